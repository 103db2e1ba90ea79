"""Pictures of instances: masks in class colours, boxes, names and scores, beside the annotation."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from synth2real.detections import Detection, decode_mask
from synth2real.instances.data import Instances
from synth2real.label_space import VEIS_LABELS

_HEIGHT: Final = 320
"""Smaller frames are magnified to at least this height, so that names can be read."""
_MASK_SHARE: Final = 0.5
_GAP: Final = 4
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE: Final = 0.4


class _Shape(NamedTuple):
    mask: Bool[np.ndarray, "height width"]
    box: tuple[float, float, float, float]
    """Left, top, right and bottom edge in pixels."""
    category_id: int
    text: str


def draw_annotation(image: UInt8[np.ndarray, "height width 3"], instances: Instances) -> UInt8[np.ndarray, "_ _ 3"]:
    """The image with its annotated instances and their classes, magnified if it is small."""
    shapes = [
        _Shape(mask, tuple(box.tolist()), int(label), VEIS_LABELS[label - 1].name)
        for label, box, mask in zip(*instances, strict=True)
    ]
    return _draw(image, shapes)


def draw_detections(
    image: UInt8[np.ndarray, "height width 3"], detections: Sequence[Detection], min_score: float
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The image with its detections of at least ``min_score``, their classes and scores; the highest score lies on top."""
    shapes = []
    for item in sorted((item for item in detections if item.score >= min_score), key=lambda item: item.score):
        left, top, width, height = item.bbox
        text = f"{VEIS_LABELS[item.category_id - 1].name} {item.score:.2f}"
        shapes.append(_Shape(decode_mask(item), (left, top, left + width, top + height), item.category_id, text))
    return _draw(image, shapes)


def _draw(image: UInt8[np.ndarray, "height width 3"], shapes: Sequence[_Shape]) -> UInt8[np.ndarray, "_ _ 3"]:
    drawn = image.copy()
    for shape in shapes:
        shade = _MASK_SHARE * np.array(VEIS_LABELS[shape.category_id - 1].colour)
        drawn[shape.mask] = ((1 - _MASK_SHARE) * image[shape.mask] + shade).astype(np.uint8)
    factor = max(1, -(-_HEIGHT // len(image)))
    drawn = cv2.resize(drawn, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    for shape in shapes:
        left, top, right, bottom = (round(factor * edge) for edge in shape.box)
        colour = VEIS_LABELS[shape.category_id - 1].colour
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), colour, 1)
        (width, height), _ = cv2.getTextSize(shape.text, _FONT, _FONT_SCALE, 1)
        corner = (min(left, drawn.shape[1] - width), max(top, height + 2))
        cv2.rectangle(drawn, (corner[0], corner[1] - height - 2), (corner[0] + width, corner[1] + 2), colour, -1)
        ink = (0, 0, 0) if sum(colour) > 300 else (255, 255, 255)
        cv2.putText(drawn, shape.text, corner, _FONT, _FONT_SCALE, ink, 1, cv2.LINE_AA)
    return drawn


def sheet(rows: Sequence[Sequence[UInt8[np.ndarray, "_ _ 3"]]]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures in rows, with white gaps; those of a row are of one height.

    Args:
        rows: At least one, each of at least one picture.
    """
    lines = [np.concatenate([_framed(picture) for picture in row], axis=1) for row in rows]
    width = max(line.shape[1] for line in lines)
    filled = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines]
    return np.concatenate(filled)


def _framed(picture: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    return np.pad(picture, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
