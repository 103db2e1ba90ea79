"""Whether a prediction's confidences mean what they say: the expected calibration error.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equations 2, 3 and 5: pixels fall into 15 bins of equal width
by their confidence, ``ECE = sum_b |B_b| / n * |accuracy(B_b) - confidence(B_b)|``, the mean over pixels of the distance between a
bin's share of right pixels and its mean confidence. Pixels stand for the paper's images; there are millions, so they are counted
by the 256 levels that a confidence is stored in, which may be added over frames.
"""

from typing import Any, Final

import numpy as np
from jaxtyping import Int64, UInt8

from synth2real.confusion import ratio
from synth2real.evaluation.scores import percent
from synth2real.label_space import IGNORE_INDEX, LabelSpace

BINS: Final = 15
_LEVELS: Final = 256
_BIN_OF_LEVEL: Final = np.maximum(np.arange(_LEVELS) - 1, 0) * BINS // (_LEVELS - 1)
"""Bins are open below and closed above, as in the paper; the first holds 0 too. Each has 17 levels."""


def count_confidences(
    annotation: UInt8[np.ndarray, "height width"],
    prediction: UInt8[np.ndarray, "height width"],
    confidence: UInt8[np.ndarray, "height width"],
    space: LabelSpace,
) -> Int64[np.ndarray, "2 256"]:
    """Pixels of one frame that are wrong (first row) and right, by confidence; those annotated outside of the space do not count.

    Args:
        annotation: Annotated label ids.
        prediction: Predicted label ids.
        confidence: 255 times the probability of the predicted label id. In a space that joins several of them in one class, the
            class's own probability may be higher, so that such classes look less sure than the network is.
        space: In which a prediction is right or wrong.
    """
    classes = space.table[annotation]
    is_counted = classes != IGNORE_INDEX
    is_right = classes == space.table[prediction]
    outcomes = (is_right * np.uint16(_LEVELS) + confidence)[is_counted]
    return np.bincount(outcomes, minlength=2 * _LEVELS).reshape(2, _LEVELS)


def summarise_calibration(counts: Int64[np.ndarray, "2 256"]) -> dict[str, Any]:
    """The calibration of all counted pixels, in % to two decimals.

    Gives ``ece``; ``mean_confidence``, which is above the pixel accuracy where the network is too sure of itself; and
    ``reliability``, the diagram of the paper's figure 1 as lists over the bins from the least confident: ``share`` of the pixels,
    their mean ``confidence`` and their ``accuracy``, None for an empty bin.

    Args:
        counts: Sums of :func:`count_confidences` over frames.
    """
    members = np.equal.outer(np.arange(BINS), _BIN_OF_LEVEL).astype(np.float64)
    by_level = counts.sum(axis=0)
    total = by_level.sum()
    pixels = members @ by_level
    confidence = ratio(members @ (by_level * np.arange(_LEVELS) / (_LEVELS - 1)), pixels)
    accuracy = ratio(members @ counts[1], pixels)
    share = ratio(pixels, np.full(BINS, total))
    return {
        "ece": percent(np.nansum(share * np.abs(accuracy - confidence)) if total else np.nan),
        "mean_confidence": percent(np.nansum(share * confidence) if total else np.nan),
        "reliability": {
            name: [*map(percent, values)]
            for name, values in (("share", share), ("confidence", confidence), ("accuracy", accuracy))
        },
    }
