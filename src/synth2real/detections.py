"""Detected instances on disk: one JSON file a frame, a list of COCO results.

::

    detections/<frame_id>.json    [{"category_id": 1..10, "score": 0..1, "bbox": [x, y, width, height],
                                    "segmentation": {"size": [height, width], "counts": "<compressed run lengths>"}}, ...]

``category_id`` k is ``label_space.VEIS_LABELS[k - 1]``; the list is sorted by descending score and may be empty; boxes are in
pixels. The folder lies in a frame set (``frames.csv`` names the frames). Form and run-length code are those of the COCO results
format (Lin et al., ECCV 2014), so that pycocotools reads the files as they are.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from pycocotools import mask as coco_mask

from synth2real.frames import FrameError, read_bytes, write_text
from synth2real.label_space import VEIS_LABELS

_KEYS = ("category_id", "score", "bbox", "segmentation")


class Detection(NamedTuple):
    """One detected instance."""

    category_id: int
    """1..10: ``VEIS_LABELS[category_id - 1]``."""
    score: float
    """The detector's confidence, in [0, 1]."""
    bbox: tuple[float, float, float, float]
    """x and y of the upper left corner, width and height, in pixels."""
    size: tuple[int, int]
    """Height and width of the frame that the mask covers."""
    counts: str
    """The mask as COCO's compressed run lengths, column by column: see :func:`encode_masks` and :func:`decode_mask`."""


def detections_path(root: Path, frame_id: str) -> Path:
    """Where the detections of a frame are in the frame set ``root``."""
    return root / "detections" / f"{frame_id}.json"


def encode_masks(masks: Bool[np.ndarray, "instances height width"]) -> list[str]:
    """The masks as COCO's compressed run lengths, in the same order."""
    if not len(masks):
        return []
    encoded = coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    return [item["counts"].decode("ascii") for item in encoded]


class Stretch(NamedTuple):
    """A mask from its first pixel to its last, counting down the columns from left to right."""

    start: int
    """Number of its first pixel; 0 for a mask without a pixel."""
    is_inside: Bool[np.ndarray, " pixels"]


def decode_masks(detections: Sequence[Detection]) -> Iterator[Stretch]:
    """The instances' pixels, one mask after the other; most frames are far larger than what one mask spans.

    Raises:
        ValueError: If run lengths are damaged: not of the code's alphabet, cut off, or not covering the frame exactly. All are
            checked before the first mask is given.
    """
    return map(_stretch, _runs(detections))


def decode_mask(detection: Detection) -> Bool[np.ndarray, "height width"]:
    """The instance's pixels, in column-major (Fortran) order as the code stores them.

    Raises:
        ValueError: See :func:`decode_masks`.
    """
    (stretch,) = decode_masks([detection])
    height, width = detection.size
    mask = np.zeros(height * width, np.bool_)
    mask[stretch.start : stretch.start + len(stretch.is_inside)] = stretch.is_inside
    return mask.reshape(width, height).T


def _stretch(runs: Int64[np.ndarray, "pairs 2"]) -> Stretch:
    lengths = runs.ravel()[1:] if runs[-1, 1] else runs.ravel()[1:-2]  # without what is outside before and behind
    return Stretch(int(runs[0, 0]) if len(lengths) else 0, np.repeat(np.arange(len(lengths)) % 2 == 0, lengths))


def _runs(detections: Sequence[Detection]) -> list[Int64[np.ndarray, "pairs 2"]]:
    """For each mask, pixels outside and inside in turn, from COCO's text code; all masks in one pass."""
    if not detections:
        return []
    values, counts = _numbers([item.counts.encode("utf-8") for item in detections])
    rows = (counts + 1) // 2
    first = np.cumsum(rows) - rows
    is_odd = counts % 2 == 1
    runs = np.zeros((rows.sum(), 2), np.int64)
    runs.ravel()[np.arange(len(values)) + np.repeat(np.cumsum(is_odd) - is_odd, counts)] = values
    # From the fourth number on, each is the difference to the number two places before.
    before = runs[first, 0]
    runs[first, 0] = 0
    runs = np.cumsum(runs, axis=0)
    runs -= np.repeat(np.concatenate((np.zeros((1, 2), np.int64), runs[first[1:] - 1])), rows, axis=0)
    runs[first, 0] = before
    runs[(first + rows - 1)[is_odd], 1] = 0
    pixels = np.array([item.size[0] * item.size[1] for item in detections])
    totals, shortest = np.add.reduceat(runs.sum(axis=1), first), np.minimum.reduceat(runs.min(axis=1), first)
    for index in np.flatnonzero((totals != pixels) | (shortest < 0))[:1]:
        height, width = detections[index].size
        raise ValueError(
            f"the run lengths of a {height}x{width} mask must add up to {height * width} pixels, found {totals[index]}"
        )
    return np.split(runs, first[1:])


def _numbers(texts: Sequence[bytes]) -> tuple[Int64[np.ndarray, " numbers"], Int64[np.ndarray, " texts"]]:
    """The numbers of all texts, and how many each text has.

    Each number is a group of characters, 5 bits each with the lowest first, character minus 48; bit 5 says that the group goes
    on, bit 4 of its last character is the sign.
    """
    codes = np.frombuffer(b"".join(texts), np.uint8) - np.uint8(48)  # what is below wraps around to the top
    stops = np.flatnonzero(codes < 32)
    ends = np.cumsum([len(text) for text in texts])
    if not all(texts) or codes.max() > 63 or (codes[ends - 1] > 31).any():
        raise ValueError("the run lengths are cut off or hold characters outside of COCO's code")
    lengths = np.diff(stops, prepend=-1)
    longest = int(lengths.max())
    if longest > 10:
        raise ValueError("the run lengths hold a number of more than 50 bits")
    starts = stops - lengths + 1
    values = (codes[starts] & 31).astype(np.int64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        values[longer] |= (codes[starts[longer] + place] & 31).astype(np.int64) << (5 * place)
    values -= np.where(codes[stops] & 16, np.int64(1) << (5 * lengths), 0)
    return values, np.diff(np.searchsorted(stops, ends), prepend=0)


def write_detections(path: Path, detections: Sequence[Detection]) -> None:
    """Writes one frame's detections, by descending score.

    Args:
        path: See :func:`detections_path`.
        detections: In any order; none is an empty list.

    Raises:
        FrameError: If one of them breaks the format.
    """
    results = [
        {
            "category_id": item.category_id,
            "score": item.score,
            "bbox": list(item.bbox),
            "segmentation": {"size": list(item.size), "counts": item.counts},
        }
        for item in sorted(detections, key=lambda item: -item.score)
    ]
    for index, result in enumerate(results):
        _parse(result, path, index)
    write_text(path, json.dumps(results))


def read_detections(path: Path) -> tuple[Detection, ...]:
    """One frame's detections.

    The masks stay encoded; :func:`decode_mask` gives one.

    Raises:
        FrameError: If the file is missing, is no JSON, or a detection breaks the format, or two are of different frame sizes.
    """
    content = read_bytes(path)
    try:
        results = json.loads(content)
    except ValueError as error:
        raise FrameError(f"{path}: expected a JSON list of detections, found damaged JSON ({error}). Detect again.") from None
    if not isinstance(results, list):
        raise FrameError(f"{path}: expected a JSON list of detections, found {type(results).__name__}.")
    detections = tuple(_parse(result, path, index) for index, result in enumerate(results))
    sizes = {item.size for item in detections}
    if len(sizes) > 1:
        raise FrameError(f"{path}: all masks must be of one frame size, found {sorted(sizes)} (height, width).")
    return detections


def _parse(result: Any, path: Path, index: int) -> Detection:
    def fault(expected: str, found: object) -> FrameError:
        return FrameError(f"{path}: detection {index}: expected {expected}, found {found!r}. Run the detector again.")

    if not isinstance(result, dict) or any(key not in result for key in _KEYS):
        raise fault(f"an object with {', '.join(_KEYS)}", sorted(result) if isinstance(result, dict) else result)
    category_id, score, bbox, segmentation = (result[key] for key in _KEYS)
    if not isinstance(category_id, int) or not 1 <= category_id <= len(VEIS_LABELS):
        raise fault(f"a category_id in 1..{len(VEIS_LABELS)}", category_id)
    if not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise fault("a score in [0, 1]", score)
    if not _are_numbers(bbox, 4) or min(bbox[2:]) < 0:
        raise fault("a bbox [x, y, width, height]", bbox)
    size: Any = segmentation.get("size") if isinstance(segmentation, dict) else None
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    if not _are_numbers(size, 2) or not all(isinstance(side, int) and side > 0 for side in size) or not isinstance(counts, str):
        raise fault('a segmentation {"size": [height, width], "counts": text}', segmentation)
    x, y, width, height = map(float, bbox)
    return Detection(category_id, float(score), (x, y, width, height), (size[0], size[1]), counts)


def _are_numbers(values: Any, length: int) -> bool:
    return (
        isinstance(values, (list, tuple))
        and len(values) == length
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
    )
