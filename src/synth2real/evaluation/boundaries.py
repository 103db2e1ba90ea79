"""How well a prediction follows the outlines of the classes: the boundary F-score.

Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, section 2.2: of each class, precision is
the share of the predicted outline that lies within a tolerance of the annotated one, recall the reverse, ``F = 2PR / (P + R)``;
the tolerance is a share of the image's diagonal (0.0075 there; 0.008 in Perazzi et al., CVPR 2016).
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8

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
    classes = (_outlined(space, annotation, annotation), _outlined(space, prediction, annotation))
    reach = max(1.0, tolerance * float(np.hypot(*annotation.shape)))
    present = [np.bincount(item.ravel(), minlength=256)[:number] > 0 for item in classes]
    scores: Float64[np.ndarray, " classes"] = np.where(present[0] | present[1], 0.0, np.nan)
    for index in np.flatnonzero(present[0] & present[1]):
        annotated, predicted = (item == index for item in classes)
        left, top, width, height = cv2.boundingRect((annotated | predicted).view(np.uint8))
        window = np.s_[top : top + height, left : left + width]
        precision = _share_near(predicted[window], annotated[window], reach)
        recall = _share_near(annotated[window], predicted[window], reach)
        scores[index] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return scores


def _outlined(
    space: LabelSpace, label_ids: UInt8[np.ndarray, "height width"], annotation: UInt8[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width"]:
    """The class of each pixel on an outline, 255 elsewhere."""
    is_counted = space.table[annotation] != IGNORE_INDEX
    is_outline: Bool[np.ndarray, "height width"] = np.zeros(label_ids.shape, np.bool_)
    classes = space.table[label_ids]
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        is_edge = (classes[before] != classes[after]) & is_counted[before] & is_counted[after]
        is_outline[before] |= is_edge
        is_outline[after] |= is_edge
    return np.where(is_outline, classes, np.uint8(IGNORE_INDEX))


def _share_near(outline: Bool[np.ndarray, "height width"], other: Bool[np.ndarray, "height width"], reach: float) -> float:
    """Share of an outline's pixels within ``reach`` pixels of the other outline."""
    distances = cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distances[outline] <= reach).mean())
