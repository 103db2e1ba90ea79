"""What scores are made of: for each frame, the number of pixels of each annotated and predicted label id.

Counts are in label ids, whatever the label space, and may be added over frames; every score is a ratio of their sums. They are
small (34 x 34 numbers a frame), so a prediction's counts are kept frame by frame, for resampling and for comparisons.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Integer, UInt8, UInt16

from synth2real.frames import FrameError, read_bytes, write_bytes
from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS

_FRAME_IDS = "frame_ids"


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


def write_pixel_counts(path: Path, frame_ids: Sequence[str], pixels: Mapping[str, Int32[np.ndarray, "frames ids ids"]]) -> None:
    """Keeps the pixel counts of each prediction by name, in one compressed ``.npz`` file; equal counts give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{_FRAME_IDS: np.array(frame_ids)}, **dict(pixels))  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_pixel_counts(path: Path) -> tuple[tuple[str, ...], dict[str, Int32[np.ndarray, "frames ids ids"]]]:
    """The frame ids, and the pixel counts of each prediction by name, as :func:`write_pixel_counts` wrote them.

    Raises:
        FrameError: If the file is missing, damaged, or of another form.
    """
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as content:
            pixels = {name: content[name] for name in content.files}
        frame_ids = tuple(map(str, pixels.pop(_FRAME_IDS)))
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise FrameError(f"{path}: expected counts of frames as .npz, found {error}. Run dvc repro evaluate.") from None
    for name, item in pixels.items():
        if item.shape != (len(frame_ids), NUM_LABEL_IDS, NUM_LABEL_IDS):
            raise FrameError(
                f"{path}: expected {len(frame_ids)}x{NUM_LABEL_IDS}x{NUM_LABEL_IDS} counts of {name}, found {item.shape}. "
                "Run dvc repro evaluate."
            )
    return frame_ids, pixels
