"""How well a prediction follows the outlines of the classes: the boundary F-score.

Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, section 2.2: of each class, precision is
the share of the predicted outline that lies within a tolerance of the annotated one, recall the reverse, ``F = 2PR / (P + R)``;
the tolerance is a share of the image's diagonal (0.0075 there; 0.008 in Perazzi et al., CVPR 2016).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from synth2real.label_space import IGNORE_INDEX, LabelSpace


def boundary_f(
    annotation: UInt8[np.ndarray, "height width"],
    prediction: UInt8[np.ndarray, "height width"],
    space: LabelSpace,
    tolerance: float,
) -> Float64[np.ndarray, " classes"]:
    """The boundary F-score of each class in one frame, in [0, 1].

    A pixel is on the outline of its class if one of its four neighbours is of another; the image's border is no outline. Pixels
    that are annotated as none of the classes are on no outline and make none of their neighbours, in either map (the paper does
    not say). A class that has an outline in one of the maps only scores 0; one that has none in both has no score (NaN).

    Args:
        annotation: Annotated label ids.
        prediction: Predicted label ids.
        space: Classes to score.
        tolerance: Greatest distance between matching outline pixels as a share of the image's diagonal; at least one pixel.
    """
    number = len(space.class_names)
    reach = max(1.0, tolerance * float(np.hypot(*annotation.shape)))
    annotated, predicted = (_outlines(space, item, annotation, math.ceil(reach)) for item in (annotation, prediction))
    pixels = [np.bincount(item.classes, minlength=number) for item in (annotated, predicted)]
    hits = [
        np.bincount(one.classes[_are_near(one, other, reach)], minlength=number)
        for one, other in ((annotated, predicted), (predicted, annotated))
    ]
    recall, precision = (part / np.maximum(whole, 1) for part, whole in zip(hits, pixels, strict=True))
    scores: Float64[np.ndarray, " classes"] = np.where(pixels[0] + pixels[1] > 0, 0.0, np.nan)
    np.divide(2 * precision * recall, precision + recall, out=scores, where=precision + recall > 0)
    return scores


class _Outlines(NamedTuple):
    """The outline pixels of all classes of a map, sorted by class, row and column."""

    classes: Int64[np.ndarray, " pixels"]
    columns: Int64[np.ndarray, " pixels"]
    keys: Int64[np.ndarray, " pixels"]
    """Ascending: class, row and column in one number; between two classes lie more unused rows than a distance may span."""
    width: int
    """Of the map: by so much the keys of neighbouring rows differ."""


def _outlines(
    space: LabelSpace, label_ids: UInt8[np.ndarray, "height width"], annotation: UInt8[np.ndarray, "height width"], margin: int
) -> _Outlines:
    is_counted = space.table[annotation] != IGNORE_INDEX
    is_outline: Bool[np.ndarray, "height width"] = np.zeros(label_ids.shape, np.bool_)
    classes = space.table[label_ids]
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        is_edge = (classes[before] != classes[after]) & is_counted[before] & is_counted[after]
        is_outline[before] |= is_edge
        is_outline[after] |= is_edge
    is_outline &= classes != IGNORE_INDEX
    height, width = label_ids.shape
    places = np.flatnonzero(is_outline)
    of_places = classes.ravel()[places].astype(np.int64)
    keys = np.sort(of_places * ((height + margin) * width) + places)
    return _Outlines(keys // ((height + margin) * width), keys % width, keys, width)


def _are_near(outlines: _Outlines, others: _Outlines, reach: float) -> Bool[np.ndarray, " pixels"]:
    """Which outline pixels have one of the same class among the others within ``reach`` pixels (Euclidean distance).

    The disc is searched row by row from its middle, for what has not been found yet: the first of the others from the left end
    of the disc's row on is the one that must not lie beyond its right end.
    """
    is_near: Bool[np.ndarray, " pixels"] = np.zeros(len(outlines.keys), np.bool_)
    sought = np.arange(len(outlines.keys))
    keys = np.append(others.keys, np.iinfo(np.int64).max)
    rows = math.floor(reach)
    for row in sorted(range(-rows, rows + 1), key=abs):
        half = math.isqrt(math.floor(reach**2) - row**2)
        columns = outlines.columns[sought]
        centres = outlines.keys[sought] + row * outlines.width
        first = keys[np.searchsorted(keys, centres - np.minimum(half, columns))]
        is_found = first <= centres + np.minimum(half, outlines.width - 1 - columns)
        is_near[sought[is_found]] = True
        sought = sought[~is_found]
    return is_near
