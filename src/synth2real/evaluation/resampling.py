"""How far a score depends on the frames that it was measured on: the bootstrap over frames.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals). Frames are drawn with
replacement, as often as there are, which is one multinomial draw of a weight for each frame; a score is computed anew from the
weighted sum of the frames' counts. The intervals say what other frames *of the same kind* would give. Frames of one street
resemble each other, and another training would give another model: neither is in them.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Num

from synth2real.confusion import confusion_matrix, ious_of, mean_of_present
from synth2real.label_space import LabelSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapSettings:
    """The section ``evaluation.bootstrap`` of params.yaml."""

    samples: int
    """Resamples."""
    confidence: float
    """Probability that an interval is made to hold, such as 0.95."""
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 100_000:
            raise ValueError(f"samples must be in 1..100000, found {self.samples}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be between 0 and 1, found {self.confidence}")


def frame_weights(frames: int, settings: BootstrapSettings) -> Float64[np.ndarray, "samples frames"]:
    """How often each frame is drawn in each resample; the same for all predictions, which makes comparisons paired."""
    draws = np.random.default_rng(settings.seed).multinomial(frames, np.full(frames, 1 / frames), size=settings.samples)
    return draws.astype(np.float64)


def resampled_scores(
    pixels: Num[np.ndarray, "frames ids ids"], weights: Float64[np.ndarray, "samples frames"], space: LabelSpace
) -> dict[str, np.ndarray]:
    """``miou`` and ``pixel_accuracy`` (``[samples]``) and ``iou`` (``[samples, classes]``) of each resample, in [0, 1].

    Args:
        pixels: Counts of each frame.
        weights: How often each frame is drawn; one row of ones gives the scores themselves.
        space: What to score in.
    """
    confusion = confusion_matrix(pixels, space)
    parts = np.stack([np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=2), confusion[:, :, :-1].sum(axis=1)], axis=1)
    sums = (weights @ parts.reshape(len(parts), -1)).reshape(len(weights), *parts.shape[1:])
    true_positives, annotated, predicted = sums.swapaxes(0, 1)
    iou = ious_of(true_positives, annotated, predicted)
    total = annotated.sum(axis=1)
    accuracy = np.divide(true_positives.sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
    return {"miou": mean_of_present(iou), "pixel_accuracy": accuracy, "iou": iou}


def interval(samples: Float64[np.ndarray, "samples *scores"], confidence: float) -> Float64[np.ndarray, "2 *scores"]:
    """The percentile interval over the resamples that have a score: lower and upper bound; NaN where none has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        bounds: Float64[np.ndarray, 2 * scores] = np.nanquantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return bounds
