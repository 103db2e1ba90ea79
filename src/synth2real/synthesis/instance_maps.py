"""Instance maps for label maps that come without: connected regions, taken apart where they are too wide for one thing."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from synth2real.label_space import INSTANCE_FACTOR, LABEL_BY_NAME, LABELS, NUM_LABEL_IDS

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
    instance_ids = label_ids.astype(np.uint16)
    present = np.bincount(label_ids.ravel(), minlength=NUM_LABEL_IDS)
    for label in LABELS:
        if not label.is_thing or not present[label.label_id]:
            continue
        number = 0
        count, regions, boxes, _ = cv2.connectedComponentsWithStats((label_ids == label.label_id).view(np.uint8), connectivity=8)
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
