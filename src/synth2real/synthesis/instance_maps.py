"""Instance maps for label maps that come without: connected regions, taken apart by a detector's masks or by their width."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from synth2real.detections import Detection, decode_mask
from synth2real.label_space import INSTANCE_FACTOR, LABEL_BY_NAME, LABELS, NUM_LABEL_IDS, VEIS_LABELS

MOST_WIDTH_TO_HEIGHT: Final = {
    LABEL_BY_NAME[name].label_id: ratio
    for name, ratio in {
        "person": 1.1, "rider": 1.2, "car": 3.0, "truck": 4.0, "bus": 4.5, "caravan": 3.5, "trailer": 4.0, "train": 9.0,
        "motorcycle": 2.2, "bicycle": 2.2,
    }.items()
}  # fmt: skip
"""The widest that one thing of each class is seen, as a share of its height: a car's side is about 4.5 m by 1.5 m, a person with
arms out is about as wide as high. A region that is wider shows several, side by side."""
_SMALL: Final = 8
"""Regions of fewer pixels do not become instances: they are left to their class, as stuff."""


def instances_from_labels(label_ids: UInt8[np.ndarray, "height width"]) -> UInt16[np.ndarray, "height width"]:
    """Cityscapes instance ids guessed from a label map: one for each 8-connected region of a thing's class.

    A region wider than one thing of its class can be (:data:`MOST_WIDTH_TO_HEIGHT`) is cut into columns where it is lowest:
    things in a row differ in height, and between two of them the outline dips. Things behind one another in one region stay one,
    and a thing that another splits in two becomes two: what only depth or texture tells cannot be known here.

    Args:
        label_ids: Cityscapes' ids.

    Returns:
        ``label_id * 1000 + n`` for things, from n = 0 by class; ``label_id`` for stuff, specks, and what is beyond the thousand
        instances of a class that such ids can tell apart.
    """
    return _number_regions(label_ids, label_ids.astype(np.uint16), [0] * NUM_LABEL_IDS)


def instances_from_detections(
    label_ids: UInt8[np.ndarray, "height width"], detections: Sequence[Detection]
) -> UInt16[np.ndarray, "height width"]:
    """Cityscapes instance ids of a label map, told apart by a detector's masks, and by regions where it found nothing.

    Masks are laid on the pixels of their class by descending score, without overlap; the label map decides what a pixel is, the
    masks only which thing it belongs to. Of what they leave, a region joins the thing of its class that it touches most, where
    it is smaller: it is the edge that the mask missed. All other regions are numbered as in :func:`instances_from_labels`.

    Args:
        label_ids: Cityscapes' ids.
        detections: Of the same frame, in any order; traffic lights and signs, which Cityscapes does not tell apart, do not count.

    Returns:
        As in :func:`instances_from_labels`, numbers of a class counting its masks first.

    Raises:
        ValueError: If a mask is damaged, or of another size than the label map.
    """
    instance_ids = label_ids.astype(np.uint16)
    numbers = [0] * NUM_LABEL_IDS
    for item in sorted(detections, key=lambda item: -item.score):
        label = VEIS_LABELS[item.category_id - 1]
        if item.size != label_ids.shape:
            (height, width), (found_height, found_width) = label_ids.shape, item.size
            raise ValueError(f"the masks are {found_height}x{found_width} (height x width), the label map is {height}x{width}")
        if label.is_thing and numbers[label.label_id] < INSTANCE_FACTOR:
            mask = decode_mask(item) & (instance_ids == label.label_id)
            if np.count_nonzero(mask) >= _SMALL:
                instance_ids[mask] = label.label_id * INSTANCE_FACTOR + numbers[label.label_id]
                numbers[label.label_id] += 1
    _join_remnants(instance_ids, [label_id for label_id, number in enumerate(numbers) if number])
    return _number_regions(label_ids, instance_ids, numbers)


def _number_regions(
    label_ids: UInt8[np.ndarray, "height width"], instance_ids: UInt16[np.ndarray, "height width"], numbers: list[int]
) -> UInt16[np.ndarray, "height width"]:
    """Numbers, in place, the regions of pixels whose instance id is a thing's label id, from ``numbers`` on."""
    present = np.bincount(label_ids.ravel(), minlength=NUM_LABEL_IDS)
    for label in LABELS:
        if not label.is_thing or not present[label.label_id]:
            continue
        number = numbers[label.label_id]
        count, regions, boxes, _ = cv2.connectedComponentsWithStats(
            (instance_ids == label.label_id).view(np.uint8), connectivity=8
        )
        for region in range(1, count):
            left, top, width, height, area = boxes[region]
            if area < _SMALL:
                continue
            window = (slice(top, top + height), slice(left, left + width))
            mask = regions[window] == region
            for first, last in _columns(mask, MOST_WIDTH_TO_HEIGHT[label.label_id]):
                if number < INSTANCE_FACTOR:
                    part = mask[:, first:last]
                    instance_ids[window][:, first:last][part] = label.label_id * INSTANCE_FACTOR + number
                    number += 1
    return instance_ids


def _join_remnants(instance_ids: UInt16[np.ndarray, "height width"], label_ids: Sequence[int]) -> None:
    """In place: regions of pixels without a number join the thing that they touch most, where that is larger."""
    areas = np.bincount(instance_ids.ravel(), minlength=NUM_LABEL_IDS * INSTANCE_FACTOR)
    touching = np.ones((3, 3), np.uint8)
    for label_id in label_ids:
        count, regions, boxes, _ = cv2.connectedComponentsWithStats((instance_ids == label_id).view(np.uint8), connectivity=8)
        for region in range(1, count):
            left, top, width, height, area = boxes[region]
            window = (slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1))
            mask = regions[window] == region
            around = instance_ids[window][cv2.dilate(mask.view(np.uint8), touching).astype(bool) & ~mask]
            things = around[around // INSTANCE_FACTOR == label_id]
            if len(things):
                thing = np.bincount(things).argmax()
                if area < areas[thing]:
                    instance_ids[window][mask] = thing


def _columns(mask: Bool[np.ndarray, "height width"], widest: float) -> list[tuple[int, int]]:
    """Where to cut a region: one cut for each further thing that must be in it, in the lowest column near the even spacing."""
    height, width = mask.shape
    parts = int(np.ceil(width / (widest * height)))
    if parts < 2:
        return [(0, width)]
    heights = mask.sum(0)
    reach = max(width // (4 * parts), 1)
    cuts = [0]
    for part in range(1, parts):
        middle = part * width // parts
        nearby = heights[middle - reach : middle + reach]
        cuts.append(middle - reach + int(np.argmin(nearby)))
    return list(zip(cuts, [*cuts[1:], width], strict=True))
