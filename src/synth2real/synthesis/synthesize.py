"""Paints the label maps of a frame set."""

import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8, UInt16
from rich.progress import track

from synth2real.frames import (
    FRAMES_FILE,
    FrameError,
    read_frames,
    resize_image,
    write_frames,
    write_image,
    write_instances,
    write_label,
)
from synth2real.hardware import HardwareSettings
from synth2real.models import inference_device
from synth2real.resuming import resume_folder
from synth2real.sampling import seed_of
from synth2real.synthesis.checkpoints import Synthesizer, load_synthesizer
from synth2real.synthesis.conditions import encode
from synth2real.synthesis.data import instance_map, resize_map, to_ids
from synth2real.synthesis.features import sample_features
from synth2real.synthesis.generators import set_dropout
from synth2real.synthesis.hood_masks import HoodVariant, measure_hood, overlay
from synth2real.translation.data import to_image


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizeSettings:
    """The section ``synthesize`` of params.yaml."""

    size: tuple[int, int] | None
    """(height, width) at which maps are painted (the image is resized back); null paints each at its own size."""
    dropout: float | None
    """Share of features that are dropped, for images that differ from seed to seed; null keeps the training's, 0 drops none."""
    seed: int
    """Of dropout, noise and looks; what a frame gets of them depends on this and its id alone."""
    hood: HoodVariant | None
    """What is overlaid on the maps before they are painted; null for nothing."""

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 8:
            raise ValueError(f"size must be at least 8x8 (height x width), got {self.size[0]}x{self.size[1]}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


@torch.inference_mode()
def paint(
    synthesizer: Synthesizer,
    label_ids: UInt8[np.ndarray, "height width"],
    instance_ids: UInt16[np.ndarray, "height width"],
    *,
    seed: int,
    hardware: HardwareSettings,
) -> UInt8[np.ndarray, "height width 3"]:
    """A photo for a label map.

    Args:
        synthesizer: See :func:`synth2real.synthesis.checkpoints.load_synthesizer`.
        label_ids: Cityscapes' ids.
        instance_ids: Cityscapes instance ids.
        seed: Of dropout, noise and looks.
        hardware: Its precision is used, such as half precision on a GPU with ``16-mixed``.

    Raises:
        ValueError: If the map is smaller than the network takes.
    """
    generator, has_boundaries, clusters = synthesizer
    device = next(generator.parameters()).device
    instances = to_ids(instance_ids.astype(np.int32))[None].to(device)
    planes = encode(to_ids(label_ids)[None].to(device), instances if has_boundaries else None)
    if clusters is not None:
        planes = torch.cat((planes, sample_features(instances, clusters, np.random.default_rng(seed))), 1)
    kind = {"32-true": None, "16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}[hardware.precision]
    with torch.random.fork_rng(), torch.autocast(device.type, kind, enabled=kind is not None):
        torch.manual_seed(seed)
        return to_image(generator(planes)[0])


def synthesize_frames(
    annotations: Path,
    model: Path,
    out: Path,
    settings: SynthesizeSettings,
    hardware: HardwareSettings,
    *,
    hood: Path | None = None,
    detections: Path | None = None,
    splits: Sequence[str] = (),
) -> None:
    """Paints all label maps of a frame set: images as PNG of each frame's own size, beside the maps that were painted.

    What is done is kept in a resume folder (see :func:`synth2real.resuming.resume_folder`), so an interrupted run goes on where
    it was; the images move to ``out`` once all are there, and ``frames.csv`` comes last.

    Args:
        annotations: Frame set with label maps; where it has no instance maps, they are guessed
            (:func:`synth2real.synthesis.data.instance_map`) and written too.
        model: A synthesizer's model file, or a generator that the authors of pix2pixHD published.
        out: Where the frame set is written.
        settings: Size, randomness, hood.
        hardware: What to run on.
        hood: Frame set with annotations of the target that the hood is measured from, where one is wanted; the maps are then
            written with it.
        detections: Frame set with detections of the same frames, by which things are told apart.
        splits: Which splits to paint; all if none is named.

    Raises:
        FrameError: If a frame set is unfinished, a map is damaged or too small for the network, or a hood is wanted and no
            annotations for it are given, or the other way round, or most of them have none.
        ModelFileError: If the model is missing or no synthesizer.
    """
    frames = read_frames(annotations)
    if splits:
        frames = frames.split(*splits)
    synthesizer = load_synthesizer(model, inference_device(hardware))
    least = synthesizer.generator.settings.minimum_size
    for frame in frames.frames:
        height, width = settings.size or (frame.height, frame.width)
        if min(height, width) < least:
            raise FrameError(
                f"{frames.label_path(frame)}: is painted at {height}x{width} (height x width), but the synthesizer takes sides "
                f"of at least {least} pixels. Set synthesize.size."
            )
    if settings.dropout is not None:
        set_dropout(synthesizer.generator, settings.dropout)
    if (hood is None) != (settings.hood is None):
        raise FrameError(
            f"synthesize.hood is {settings.hood}, but --hood is {hood}: give the target's annotations where a hood is "
            "wanted, and only there."
        )
    mask = measure_hood(read_frames(hood)).mask(settings.hood) if hood and settings.hood else None
    if mask is not None and not mask.any():
        raise FrameError(f"{hood}: most frames have no {settings.hood}. Choose another synthesize.hood.")
    identity = (settings, splits, hardware.accelerator, hardware.precision)
    unfinished = resume_folder("synthesize", identity, [annotations, model, *filter(None, (hood, detections))])
    for frame in track(frames.frames, "synthesize"):
        path = unfinished / "images" / f"{frame.frame_id}.png"
        if path.is_file():
            continue
        label_ids, instance_ids = frames.label(frame), instance_map(frames, frame, detections)
        if mask is not None:
            label_ids, instance_ids = overlay(mask, label_ids, instance_ids)
        size = settings.size or label_ids.shape
        image = paint(
            synthesizer,
            resize_map(label_ids, size),
            resize_map(instance_ids, size),
            seed=seed_of(settings.seed, zlib.crc32(frame.frame_id.encode())),
            hardware=hardware,
        )
        write_label(unfinished / "labels" / path.name, label_ids)
        write_instances(unfinished / "instances" / path.name, instance_ids)
        write_image(path, resize_image(image, label_ids.shape))

    (out / FRAMES_FILE).unlink(missing_ok=True)
    for folder in ("images", "labels", "instances"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for frame in frames.frames:
            name = f"{frame.frame_id}.png"
            shutil.move(unfinished / folder / name, out / folder / name)
    write_frames(out, frames.frames)
    shutil.rmtree(unfinished)
