"""Predicts label maps and confidences with a trained segmenter, at each image's own resolution.

An image is resized to the size that the network was trained for, times each of ``scales``. The network sees it whole or in
overlapping windows, whose logits are averaged; and as it is or mirrored too. A single view's logits are upsampled bilinearly to
the image's size, which gives label (arg max) and confidence (softmax). Of several views the probabilities are averaged: those of
an image and its mirror image at the network's resolution, those of scales at the image's.

Batch normalisation uses the statistics of its model file and nothing is learnt, so a prediction depends on its image and the
model alone: nothing of the target leaks from one frame into another. To use the target's statistics is a choice of its own, see
:mod:`synth2real.segmentation.batch_norm`.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from synth2real.frames import (
    FRAMES_FILE,
    Frame,
    FrameSet,
    map_frames,
    read_frames,
    resize_image,
    write_confidence,
    write_frames,
    write_label,
)
from synth2real.hardware import HardwareSettings
from synth2real.label_space import TRAIN_ID_TO_LABEL_ID
from synth2real.models import inference_device
from synth2real.segmentation.mmseg_network import MMSegmenter
from synth2real.segmentation.networks import Segmenter, load_segmenter

_IN_FLIGHT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticPredictionSettings:
    """The section ``predict_semantics`` of params.yaml."""

    flip: bool
    """Whether to average the probabilities of the image and of its mirror image; twice the time."""
    scales: tuple[float, ...]
    """Magnifications of the size that the network was trained for, whose probabilities are averaged."""
    window: tuple[int, int] | None
    """(height, width) of the windows that the network sees of each resized image; None shows it whole."""
    overlap: int
    """Pixels that neighbouring windows share at least."""
    confidence: bool
    """Whether to write confidences."""

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError(f"scales must be positive numbers, at least one, got {list(self.scales)}")
        if self.overlap < 0:
            raise ValueError(f"overlap must not be negative, got {self.overlap}")
        if self.window is not None and min(self.window) <= self.overlap:
            raise ValueError(f"window must be larger than overlap {self.overlap}, got {self.window[0]}x{self.window[1]}")


ONE_VIEW: Final = SemanticPredictionSettings(flip=False, scales=(1.0,), window=None, overlap=0, confidence=False)
"""The network sees each image once, whole."""


class Prediction(NamedTuple):
    """What a segmenter says about an image."""

    train_ids: UInt8[np.ndarray, "height width"]
    """0..18."""
    confidence: UInt8[np.ndarray, "height width"] | None
    """255 times the probability of ``train_ids``, rounded; None where it was not asked for."""


Predictor = Callable[[UInt8[np.ndarray, "height width 3"]], Prediction]


def window_starts(length: int, window: int, overlap: int) -> list[int]:
    """First pixels of the fewest windows that cover ``length`` pixels, as evenly spread as whole pixels allow.

    Args:
        length: Pixels to cover.
        window: Of each window; where it is no shorter than ``length``, one window covers all.
        overlap: Least pixels that neighbours share; less than ``window``.
    """
    if window >= length:
        return [0]
    count = -(-(length - overlap) // (window - overlap))
    return [number * (length - window) // (count - 1) for number in range(count)]


def window_logits(
    segmenter: Segmenter | MMSegmenter,
    images: UInt8[Tensor, "batch height width 3"],
    window: tuple[int, int] | None,
    overlap: int,
) -> Float[Tensor, "batch 19 height width"]:
    """Logits of images that are seen in windows, one after another; averaged where windows overlap.

    Args:
        segmenter: In evaluation mode.
        images: RGB, on the segmenter's device.
        window: (height, width) of a window; None sees the images whole.
        overlap: See :func:`window_starts`.
    """
    height, width = window or images.shape[1:3]
    rows, columns = (window_starts(*sides, overlap) for sides in zip(images.shape[1:3], (height, width), strict=True))
    if len(rows) == len(columns) == 1:
        whole: Tensor = segmenter(images).float()
        return whole
    total: Tensor | None = None
    for top, left in itertools.product(rows, columns):
        place = np.s_[..., top : top + height, left : left + width]
        logits = segmenter(images[:, top : top + height, left : left + width]).float()
        if total is None:
            total = logits.new_zeros((*logits.shape[:2], *images.shape[1:3]))
            views = torch.zeros_like(total[:1, :1])
        total[place] += logits
        views[place] += 1
    assert total is not None
    return total / views


def load_predictor(model: Path, hardware: HardwareSettings, settings: SemanticPredictionSettings = ONE_VIEW) -> Predictor:
    """A function from an RGB image of any size to what the module describes.

    Args:
        model: Model file of :func:`synth2real.segmentation.train.train_segmenter`.
        hardware: Device and precision.
        settings: The section ``predict_semantics``.

    Raises:
        ModelFileError: If the model file is missing, damaged or of another kind.
    """
    segmenter, _, size = load_segmenter(model)
    device = inference_device(hardware)
    segmenter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}.get(hardware.precision)
    views = len(settings.scales) * (1 + settings.flip)
    sizes = [(max(1, round(size[0] * scale)), max(1, round(size[1] * scale))) for scale in settings.scales]

    def scores(image: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]) -> Float[Tensor, "1 19 height width"]:
        """Logits of a single view, or sums of probabilities, at the image's size."""
        batch = torch.from_numpy(np.ascontiguousarray(resize_image(image, size))).to(device)[None]
        seen = window_logits(segmenter, batch, settings.window, settings.overlap)
        if views > 1:
            seen = seen.softmax(1)
        if settings.flip:
            seen = seen + window_logits(segmenter, batch.flip(2), settings.window, settings.overlap).flip(3).softmax(1)
        return F.interpolate(seen, size=image.shape[:2], mode="bilinear", align_corners=False)

    def predict(image: UInt8[np.ndarray, "height width 3"]) -> Prediction:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected an RGB image, uint8[height, width, 3], got {image.dtype}{list(image.shape)}.")
        with torch.inference_mode(), torch.autocast(device.type, dtype=half) if half else nullcontext():
            full = scores(image, sizes[0])
            for size in sizes[1:]:
                full += scores(image, size)
            train_ids: np.ndarray = full[0].argmax(0).to(torch.uint8).cpu().numpy()
            if not settings.confidence:
                return Prediction(train_ids, None)
            best = full.amax(1)
            probability = best / views if views > 1 else (best - full.logsumexp(1)).exp()
            confidence: np.ndarray = (255 * probability[0]).round().to(torch.uint8).cpu().numpy()
        return Prediction(train_ids, confidence)

    return predict


def read_ahead(frame_set: FrameSet) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The images of a frame set in order; threads decode the next ones while whoever takes them is busy.

    Raises:
        FrameError: If an image is missing or damaged.
    """
    with ThreadPoolExecutor(2) as pool:
        ahead: deque[Future[np.ndarray]] = deque()
        for frame in frame_set.frames:
            if len(ahead) == _IN_FLIGHT:
                yield ahead.popleft().result()
            ahead.append(pool.submit(frame_set.image, frame))
        while ahead:
            yield ahead.popleft().result()


def predict_frames(
    images: Path, model: Path, splits: Sequence[str], out: Path, settings: SemanticPredictionSettings, hardware: HardwareSettings
) -> None:
    """Writes what a segmenter says of a frame set's images as a frame set with ``labels/`` and, if wanted, ``confidences/``.

    Memory holds a few frames at a time.

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
    predictor = load_predictor(model, hardware, settings)
    (out / FRAMES_FILE).unlink(missing_ok=True)

    with ThreadPoolExecutor(2) as pool:  # encoding PNG overlaps with the network
        pictures = read_ahead(FrameSet(images, tuple(frames)))
        writes: deque[Future[None]] = deque()

        def predict(frame: Frame) -> None:
            prediction = predictor(next(pictures))
            if len(writes) == _IN_FLIGHT:
                writes.popleft().result()
            writes.append(pool.submit(_write, out, frame, prediction))

        deque(map_frames(predict, frames, workers=0, description="Semantic predictions"), maxlen=0)
        for write in writes:
            write.result()
    write_frames(out, frames)


def _write(out: Path, frame: Frame, prediction: Prediction) -> None:
    place = FrameSet(out, (frame,))
    write_label(place.label_path(frame), TRAIN_ID_TO_LABEL_ID[prediction.train_ids])
    if prediction.confidence is not None:
        write_confidence(place.confidence_path(frame), prediction.confidence)
