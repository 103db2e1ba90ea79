"""Tries trained models on any pictures or video: ``python -m synth2real.segment --input PATH --segmenter MODEL --out FOLDER``.

``--translator MODEL`` goes with the segmenter, or alone. From pictures it makes a frame set (see :mod:`synth2real.frames`) with
two more folders; from a video, videos::

    frames.csv, labels/          label ids, with a segmenter
    instances/                   with a detector too: instance ids of the fused prediction
    translated/<frame_id>.png    with a translator: the picture in the target's look, which is what the segmenter sees
    overlays/<frame_id>.jpg      with a segmenter: class colours over the picture; instances are outlined in white

    <name>_overlay.mp4           as overlays/
    <name>_translated.mp4        as translated/
    <name>_side_by_side.mp4      the video, and those of the two above that there are

A rotation that a phone wrote into a video's metadata is not applied.
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from rich.progress import track

from synth2real.datasets.folder import OTHER_SUFFIXES, list_folder
from synth2real.datasets.raw import IMAGE_SUFFIXES, WHOLE_SET, RawFrame, files_by_path
from synth2real.datasets.video import VIDEO_SUFFIXES, read_moments
from synth2real.detections import Detection
from synth2real.frames import (
    FRAMES_FILE,
    Frame,
    FrameError,
    FrameSet,
    read_frames,
    read_image,
    write_frames,
    write_image,
    write_instances,
    write_label,
)
from synth2real.fusion import FusionSettings, fuse
from synth2real.hardware import HardwareSettings
from synth2real.instances.calibration import chosen_calibration
from synth2real.instances.mask_rcnn import load_detector
from synth2real.instances.predict import PredictionSettings, detect
from synth2real.label_space import INSTANCE_FACTOR, PALETTE, TRAIN_ID_TO_LABEL_ID
from synth2real.models import inference_device
from synth2real.params import ParamsError, read_section, run
from synth2real.segmentation.predict import Predictor, SemanticPredictionSettings, load_predictor
from synth2real.translation.generators import load_generators
from synth2real.translation.translate import TranslateSettings, translate_images
from synth2real.video import Sampling, VideoWriter, sample_video, side_by_side


class Segmented(NamedTuple):
    """What the models make of a picture."""

    seen: UInt8[np.ndarray, "height width 3"]
    """What the segmenter saw: the picture, or its translation."""
    label_ids: UInt8[np.ndarray, "height width"] | None
    """None without a segmenter."""
    instance_ids: UInt16[np.ndarray, "height width"] | None
    """As :class:`synth2real.fusion.Fused` has them; None without a detector."""


Segment = Callable[[UInt8[np.ndarray, "height width 3"]], Segmented]


class Models(NamedTuple):
    """The model files to apply."""

    segmenter: Path | None
    detector: Path | None
    """Its instances are pasted over the segmenter's prediction."""
    translator: Path | None
    """Gives the picture the target's look before the others see it."""


def load_models(models: Models) -> Segment:
    """A function that applies the models to an RGB picture of any size, with the values of params.yaml.

    Raises:
        ModelFileError: If a file is missing, damaged or of another kind.
        ParamsError: If there is neither segmenter nor translator, or a detector without segmenter, or a section that the models
            need is missing or wrong.
    """
    segmenter, detector, translator = models
    if segmenter is None and (detector is not None or translator is None):
        raise ParamsError("--segmenter is missing: name a model file, or --translator alone to translate only.")
    hardware = read_section("hardware", HardwareSettings)
    translate = _translate_with(translator, hardware) if translator else None
    find = _detect_with(detector, hardware) if detector else None
    fusion = read_section("fusion", FusionSettings) if detector else None
    votes = fusion is not None and fusion.semantic_weight > 0
    predict = _predict_with(segmenter, hardware, confidence=votes) if segmenter else None

    def segment(image: UInt8[np.ndarray, "height width 3"]) -> Segmented:
        seen = translate(image) if translate else image
        if predict is None:
            return Segmented(seen, None, None)
        train_ids, confidence = predict(seen)
        label_ids = TRAIN_ID_TO_LABEL_ID[train_ids]
        if find is None or fusion is None:
            return Segmented(seen, label_ids, None)
        return Segmented(seen, *fuse(label_ids, find(seen), fusion, confidence))

    return segment


def _predict_with(model: Path, hardware: HardwareSettings, *, confidence: bool) -> Predictor:
    settings = read_section("predict_semantics", SemanticPredictionSettings)
    return load_predictor(model, hardware, dataclasses.replace(settings, confidence=confidence))


def _translate_with(
    model: Path, hardware: HardwareSettings
) -> Callable[[UInt8[np.ndarray, "height width 3"]], UInt8[np.ndarray, "height width 3"]]:
    settings, device = read_section("translate", TranslateSettings), inference_device(hardware)
    generator = load_generators(model, device).to_target
    return lambda image: translate_images(generator, image[None], device, settings)[0]


@dataclass(frozen=True)
class _Picture(FrameSet):
    """A frame set of one picture that lies in memory."""

    pixels: UInt8[np.ndarray, "height width 3"]

    def image(self, frame: Frame) -> UInt8[np.ndarray, "height width 3"]:
        return self.pixels


def _detect_with(model: Path, hardware: HardwareSettings) -> Callable[[UInt8[np.ndarray, "height width 3"]], Sequence[Detection]]:
    settings = read_section("predict_instances", PredictionSettings)
    network, detector = load_detector(model)
    calibration = chosen_calibration(model.with_suffix(".calibration.json"), settings.calibration)
    in_this_process = dataclasses.replace(hardware, workers=0)

    def find(image: UInt8[np.ndarray, "height width 3"]) -> Sequence[Detection]:
        picture = _Picture(Path(), (Frame("picture", WHOLE_SET, *image.shape[:2]),), image)
        return next(detect(detector, picture, network.size, settings, in_this_process, calibration))

    return find


def overlay(segmented: Segmented, alpha: float) -> UInt8[np.ndarray, "height width 3"]:
    """The picture under the colours of its classes; instances are outlined in white.

    Args:
        segmented: A picture and its prediction, without which it stays as it is.
        alpha: Weight of the colours, in [0, 1].
    """
    if segmented.label_ids is None:
        return segmented.seen
    blended = np.asarray(cv2.addWeighted(segmented.seen, 1 - alpha, PALETTE[segmented.label_ids], alpha, 0), np.uint8)
    if segmented.instance_ids is not None:
        blended[_outlines(segmented.instance_ids)] = 255
    return blended


def _outlines(instance_ids: UInt16[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Pixels of an instance that have another id above, below, left or right of them."""
    edges = np.zeros(instance_ids.shape, bool)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = instance_ids[here] != instance_ids[there]
        edges[here] |= differ
        edges[there] |= differ
    return edges & (instance_ids >= INSTANCE_FACTOR)


def list_pictures(root: Path) -> list[RawFrame]:
    """The pictures of a frame set or of any other folder, or the one picture that is named.

    Raises:
        FrameError: If there is none, one is neither PNG nor JPEG, or two would give one frame id.
    """
    if not root.is_dir():
        return [RawFrame(root.stem, WHOLE_SET, root, None)]
    if (root / FRAMES_FILE).is_file():
        frames = read_frames(root)
        return [RawFrame(frame.frame_id, frame.split, frames.image_path(frame), None) for frame in frames.frames]
    if not files_by_path(root, (*IMAGE_SUFFIXES, *OTHER_SUFFIXES)):
        raise FrameError(f"{root}: expected PNG or JPEG pictures, found none. Name a folder of pictures, a picture or a video.")
    return list(list_folder(root))


def segment_pictures(pictures: Sequence[RawFrame], out: Path, models: Models, *, alpha: float) -> None:
    """Writes the frame set that the module describes, ``frames.csv`` last.

    Args:
        pictures: See :func:`list_pictures`.
        out: Where it goes.
        models: See :func:`load_models`.
        alpha: See :func:`overlay`.

    Raises:
        FrameError: If a picture is damaged or too small for a model, or a file cannot be written.
        ModelFileError, ParamsError: See :func:`load_models`.
    """
    segment = load_models(models)
    (out / FRAMES_FILE).unlink(missing_ok=True)
    frames = []
    for picture in track(pictures, "Applying the models"):
        image = read_image(picture.image)
        frame = Frame(picture.frame_id, picture.split, *image.shape[:2])
        result, place = _segment(segment, image, picture.image), FrameSet(out, (frame,))
        if result.label_ids is not None:
            write_label(place.label_path(frame), result.label_ids)
            write_image(out / "overlays" / f"{frame.frame_id}.jpg", overlay(result, alpha))
        if result.instance_ids is not None:
            write_instances(place.instances_path(frame), result.instance_ids)
        if models.translator:
            write_image(out / "translated" / f"{frame.frame_id}.png", result.seen)
        frames.append(frame)
    write_frames(out, frames)


def _segment(segment: Segment, image: UInt8[np.ndarray, "height width 3"], path: Path) -> Segmented:
    try:
        return segment(image)
    except ValueError as error:
        raise FrameError(f"{path}: {error}. Leave it out, or change its size.") from None


def segment_video(path: Path, sampling: Sampling, out: Path, models: Models, *, alpha: float) -> None:
    """Writes the videos that the module describes; each appears once it is whole. Memory holds a picture at a time.

    Args:
        path: The video.
        sampling: Which of its pictures to take.
        out: Folder of the new videos.
        models: See :func:`load_models`.
        alpha: See :func:`overlay`.

    Raises:
        FrameError: If the video is damaged or too small for a model, or a file cannot be written.
        ModelFileError, ParamsError: See :func:`load_models`.
    """
    segment = load_models(models)
    with ExitStack() as stack:

        def writer(kind: str) -> VideoWriter:
            return stack.enter_context(VideoWriter(out / f"{path.stem}_{kind}.mp4", sampling.rate))

        beside = writer("side_by_side")
        translations = writer("translated") if models.translator else None
        overlays = writer("overlay") if models.segmenter else None
        for image in track(read_moments(path, sampling.moments), "Applying the models", total=len(sampling.moments)):
            result = _segment(segment, image, path)
            pictures = [image]
            for videos, picture in ((translations, result.seen), (overlays, overlay(result, alpha))):
                if videos:
                    videos.write(picture)
                    pictures.append(picture)
            beside.write(side_by_side(*pictures))


def main(
    input: Path,
    out: Path,
    segmenter: Path | None = None,
    detector: Path | None = None,
    translator: Path | None = None,
    alpha: float = 0.5,
    rate: float | None = None,
    start: float = 0.0,
    stop: float | None = None,
) -> None:
    """Segments, translates, or both, your own picture, folder of pictures, or video, with the models that a run has trained.

    Pictures give label maps (Cityscapes label ids), overlays in class colours and, with a detector, instance ids; with a
    translator, translated pictures. A video gives the overlay, the translation and the side-by-side view as MP4. How the models
    are applied (predict_semantics, predict_instances, fusion, translate, hardware) is read from the params.yaml of the folder
    where this runs.

    Args:
        input: A PNG or JPEG, a folder of them at any depth, a frame set, or a video that FFmpeg reads.
        out: Folder for the results.
        segmenter: Model file, such as data/models/segmenter/adapted/seed-1.ckpt; leave it out to translate only.
        detector: Model file, such as data/models/detector.ckpt; its instances are pasted over the segmenter's prediction.
        translator: Model file, such as data/models/translator.ckpt; pictures get the target's look before they are segmented.
            For game recordings, not for real pictures.
        alpha: Weight of the class colours in the overlay, from 0 to 1.
        rate: Of a video: pictures a second to take; the video's own by default.
        start: Of a video: first second.
        stop: Of a video: last second; its end by default.
    """
    if not 0 <= alpha <= 1:
        raise ParamsError(f"--alpha must be in [0, 1], found {alpha}.")
    if not input.exists():
        raise FrameError(f"{input}: no such file or folder. Name a picture, a folder of pictures, or a video.")
    if out.exists() and not out.is_dir():
        raise FrameError(f"{out}: expected a folder for the results, found a file. Name another.")
    if input.is_dir() and out.resolve().is_relative_to(input.resolve()):
        raise FrameError(f"{out}: the results would lie among the pictures of {input}. Name a folder elsewhere.")
    models = Models(segmenter, detector, translator)
    if input.is_dir() or input.suffix.lower() in IMAGE_SUFFIXES:
        pictures = list_pictures(input)
        segment_pictures(pictures, out, models, alpha=alpha)
    elif input.suffix.lower() in VIDEO_SUFFIXES:
        try:
            sampling = sample_video(input, rate=rate, start=start, stop=stop)
        except FrameError:
            raise
        except ValueError as error:
            raise ParamsError(f"--rate, --start, --stop: {error}.") from None
        segment_video(input, sampling, out, models, alpha=alpha)
    else:
        raise FrameError(
            f"{input}: expected a picture ({', '.join(IMAGE_SUFFIXES)}) or a video ({', '.join(VIDEO_SUFFIXES)}), "
            f"found {input.suffix or 'no suffix'}. Convert it first."
        )


if __name__ == "__main__":
    run(main, "python -m synth2real.segment")
