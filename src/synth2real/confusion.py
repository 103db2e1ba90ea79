"""Confusion of annotated and predicted classes, and the ratios that are made of it.

Counts are in label ids, whatever the label space, and may be added over frames; :func:`confusion_matrix` gathers them into the
classes of a space. Over all frames together, ``IoU = TP / (TP + FP + FN)`` of each class (Everingham et al., IJCV 2015; as in
cityscapesScripts). Pixels whose annotated class is outside of the label space do not count at all; a pixel predicted as such a
class is a false negative of its annotated class. A class that is neither annotated nor predicted has no score (NaN) and is left
out of the mean; the number of those that are in it belongs beside every mean.

The functions of counts take any leading axes, such as one of frames or resamples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, Num, UInt8, UInt16
from numpy.typing import ArrayLike

from synth2real.label_space import IGNORE_INDEX, INSTANCE_FACTOR, NUM_LABEL_IDS, LabelSpace


class FrameCounts(NamedTuple):
    """Counts of one frame (without the leading axis), or of several."""

    pixels: Integer[np.ndarray, "*frames ids ids"]
    """Pixels of each annotated (row) and predicted (column) label id."""
    instances: Float64[np.ndarray, "*frames ids ids"] | None = None
    """The same with every annotated instance of a thing counting as one, however large: the sum over the instances of a label id
    (row) of the share of their pixels that is predicted as each label id (column). None where no instances are annotated."""


def count_frame(
    annotation: UInt8[np.ndarray, "height width"],
    predictions: Sequence[UInt8[np.ndarray, "height width"]],
    instance_ids: UInt16[np.ndarray, "height width"] | None = None,
) -> list[FrameCounts]:
    """Counts several predictions of a frame against its annotation.

    Label maps are piecewise constant, so what is counted are the runs of equal pixels along the rows, weighted with their length:
    a hundredth of the pixels in a street scene, and never more than all of them.

    Args:
        annotation: Annotated label ids, 0..33.
        predictions: Predicted label ids, 0..33.
        instance_ids: Annotated Cityscapes instance ids; without them the result has no ``instances``.
    """
    maps = [annotation, *predictions] if instance_ids is None else [annotation, *predictions, instance_ids]
    flat = [item.ravel() for item in maps]
    starts, lengths = _runs(flat)
    runs = [item[starts] for item in flat]
    pixels = [_histogram(runs[0], run, lengths).astype(np.int32) for run in runs[1 : 1 + len(predictions)]]
    if instance_ids is None:
        return [FrameCounts(item) for item in pixels]
    is_thing = runs[-1] >= INSTANCE_FACTOR
    things, instance = np.unique(runs[-1][is_thing], return_inverse=True)
    lengths = lengths[is_thing]
    shares = lengths / np.bincount(instance, weights=lengths, minlength=len(things))[instance]
    label_ids = (things // INSTANCE_FACTOR)[instance]
    instances = [_histogram(label_ids, run[is_thing], shares) for run in runs[1 : 1 + len(predictions)]]
    return [FrameCounts(*pair) for pair in zip(pixels, instances, strict=True)]


def _runs(maps: Sequence[Integer[np.ndarray, " pixels"]]) -> tuple[Int64[np.ndarray, " runs"], Int64[np.ndarray, " runs"]]:
    """Where the stretches begin on which no map changes, and their lengths."""
    is_start: Bool[np.ndarray, " pixels"] = np.ones(maps[0].size, np.bool_)
    np.not_equal(maps[0][1:], maps[0][:-1], out=is_start[1:])
    for other in maps[1:]:
        is_start[1:] |= other[1:] != other[:-1]
    starts = np.flatnonzero(is_start)
    return starts, np.diff(starts, append=is_start.size)


def _histogram(
    rows: Integer[np.ndarray, " runs"], columns: UInt8[np.ndarray, " runs"], weights: np.ndarray
) -> Float64[np.ndarray, "ids ids"]:
    pairs = rows * np.uint16(NUM_LABEL_IDS) + columns
    histogram = np.bincount(pairs, weights=weights, minlength=NUM_LABEL_IDS**2).astype(np.float64)  # of nothing it is integer
    return histogram.reshape(NUM_LABEL_IDS, NUM_LABEL_IDS)


def members_of(groups: int, group_of_item: np.ndarray) -> Num[np.ndarray, "groups items"]:
    """1 where an item belongs to a group, else 0: multiplied with counts of items, it adds them up by group.

    Args:
        groups: How many there are.
        group_of_item: Of each item, such as a label id, the index of its group; any other number belongs to none.
    """
    members: Num[np.ndarray, "groups items"] = np.equal.outer(np.arange(groups), group_of_item).astype(np.float64)
    return members


def class_of_id(space: LabelSpace) -> np.ndarray:
    """Class index of each label id; the number of classes for all that is outside."""
    classes = space.table[:NUM_LABEL_IDS].astype(np.int64)
    return np.where(classes == IGNORE_INDEX, len(space.class_names), classes)


def confusion_matrix(
    counts: Num[np.ndarray, "*frames ids ids"], space: LabelSpace
) -> Float64[np.ndarray, "*frames classes outside"]:
    """Counts of label ids gathered into classes: whole numbers, exact up to 2**53.

    Rows are annotated classes, columns predicted ones; the last column is every prediction outside of the label space. Pixels
    annotated outside of it are left out.
    """
    outside = len(space.class_names)
    members = members_of(outside + 1, class_of_id(space))
    confusion: Float64[np.ndarray, "*frames classes outside"] = members[:outside] @ counts @ members.T
    return confusion


def ious(confusion: Float64[np.ndarray, "*frames classes outside"]) -> Float64[np.ndarray, "*frames classes"]:
    """Intersection over union of each class, in [0, 1]; NaN for a class that is neither annotated nor predicted."""
    true_positives = np.diagonal(confusion, axis1=-2, axis2=-1)
    return ious_of(true_positives, confusion.sum(axis=-1), confusion[..., :-1].sum(axis=-2))


def ious_of(
    true_positives: Num[np.ndarray, "*frames classes"],
    annotated: Num[np.ndarray, "*frames classes"],
    predicted: Num[np.ndarray, "*frames classes"],
) -> Float64[np.ndarray, "*frames classes"]:
    """Intersection over union from the pixels of each class that are right, annotated, and predicted; NaN where none is."""
    return ratio(true_positives, annotated + predicted - true_positives)


def mean_of_present(scores: Float64[np.ndarray, "*frames classes"]) -> Float64[np.ndarray, "*frames"]:
    """The mean over the classes that have a score; NaN where none has."""
    is_present = np.isfinite(scores)
    return ratio(np.where(is_present, scores, 0).sum(axis=-1), is_present.sum(axis=-1))


def pixel_accuracy(confusion: Float64[np.ndarray, "*frames classes outside"]) -> Float64[np.ndarray, "*frames"]:
    """Share of the counted pixels that are right, in [0, 1]; NaN where none is counted."""
    return ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """The quotient; NaN where the denominator is 0."""
    denominator = np.asarray(denominator)
    quotient: np.ndarray = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
