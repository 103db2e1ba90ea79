"""Predicts label maps with a trained segmenter, at each image's own resolution."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import UInt8
from torch.nn import functional as F

from synth2real.frames import Frame, FrameSet, map_frames, read_frames, resize_image, write_frames, write_label
from synth2real.hardware import HardwareSettings
from synth2real.label_space import TRAIN_ID_TO_LABEL_ID
from synth2real.segmentation.networks import load_segmenter
from synth2real.training import inference_device

Predictor = Callable[[UInt8[np.ndarray, "height width 3"]], UInt8[np.ndarray, "height width"]]

_IN_FLIGHT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticPredictionSettings:
    """The section ``predict_semantics`` of params.yaml."""

    flip: bool
    """Whether to average the probabilities of the image and of its mirror image; twice the time."""


def load_predictor(model: Path, hardware: HardwareSettings, *, flip: bool = False) -> Predictor:
    """A function from an RGB image of any size to its train ids (0..18) at the same size.

    The image is resized to what the network was trained for; its logits are upsampled bilinearly to the image's size before the
    arg max. Batch normalisation uses the statistics of training, so a prediction depends on its image alone.

    Args:
        model: Model file of :func:`synth2real.segmentation.train.train_segmenter`.
        hardware: Device and precision.
        flip: Average probabilities over the image and its mirror image.

    Raises:
        ModelFileError: If the model file is missing, damaged or of another kind.
    """
    segmenter, _, size = load_segmenter(model)
    device = inference_device(hardware)
    segmenter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}.get(hardware.precision)

    def predict(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width"]:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected an RGB image, uint8[height, width, 3], got {image.dtype}{list(image.shape)}.")
        batch = torch.from_numpy(np.ascontiguousarray(resize_image(image, size))).to(device)[None]
        with torch.inference_mode(), torch.autocast(device.type, dtype=half) if half else nullcontext():
            scores = segmenter(batch).float()
            if flip:
                scores = scores.softmax(1) + segmenter(batch.flip(2)).float().flip(3).softmax(1)
            full = F.interpolate(scores, size=image.shape[:2], mode="bilinear", align_corners=False)
            prediction: np.ndarray = full[0].argmax(0).to(torch.uint8).cpu().numpy()
        return prediction

    return predict


def predict_frames(
    images: Path, model: Path, splits: Sequence[str], out: Path, settings: SemanticPredictionSettings, hardware: HardwareSettings
) -> None:
    """Writes the predicted label ids of a frame set's images as a frame set with ``labels/``.

    Args:
        images: Frame set with ``images/``.
        model: Model file of a segmenter.
        splits: Which splits to take; all if none is named.
        out: Where the predictions go.
        settings: The section ``predict_semantics``.
        hardware: The section ``hardware``.

    Raises:
        FrameError: If a split has no frame, or an image is missing or damaged.
        ModelFileError: If the model file is missing, damaged or of another kind.
    """
    frame_set = read_frames(images)
    chosen = [frame_set.split(split) for split in splits] or [frame_set]
    frames = [frame for part in chosen for frame in part.frames]
    predictor = load_predictor(model, hardware, flip=settings.flip)

    with ThreadPoolExecutor(2) as pool:  # decoding and encoding PNG overlap with the network
        ahead = deque(pool.submit(frame_set.image, frame) for frame in frames[:_IN_FLIGHT])
        writes: deque[Future[None]] = deque()

        def predict(number: int) -> None:
            image = ahead.popleft().result()
            if number + _IN_FLIGHT < len(frames):
                ahead.append(pool.submit(frame_set.image, frames[number + _IN_FLIGHT]))
            if len(writes) == _IN_FLIGHT:
                writes.popleft().result()
            writes.append(pool.submit(_write, out, frames[number], TRAIN_ID_TO_LABEL_ID[predictor(image)]))

        deque(map_frames(predict, range(len(frames)), workers=0, description="Semantic predictions"), maxlen=0)
        for write in writes:
            write.result()
    write_frames(out, frames)


def _write(out: Path, frame: Frame, label_ids: UInt8[np.ndarray, "height width"]) -> None:
    write_label(FrameSet(out, (frame,)).label_path(frame), label_ids)
