"""Kept counts: for each frame, the number of pixels of each annotated and predicted label id.

They are small (34 x 34 numbers a frame, see :mod:`synth2real.confusion`), so a prediction's counts are kept frame by frame, for
resampling and for comparisons.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Int32

from synth2real.frames import FrameError, read_bytes, write_bytes
from synth2real.label_space import NUM_LABEL_IDS

_FRAME_IDS = "frame_ids"


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
