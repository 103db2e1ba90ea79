"""What every reader gives: raw frames, listed and paired but not yet decoded, and the annotation that one decodes to."""

import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from synth2real.frames import FrameError, read_encoded
from synth2real.label_space import IGNORE_INDEX

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
WHOLE_SET: Final = "train"
"""The split of data sets that have none."""


class Annotation(NamedTuple):
    """What one raw annotation says, in Cityscapes ids."""

    label_ids: UInt8[np.ndarray, "height width"]
    instance_ids: UInt16[np.ndarray, "height width"] | None
    """``label_id * 1000 + n`` for things, ``label_id`` for all else; ``None`` where the data set tells no instances apart."""
    dropped_polygons: int = 0
    """Polygons that cover no pixel of the image."""


class RawFrame(NamedTuple):
    """One frame as it lies in the raw data set."""

    frame_id: str
    split: str
    image: Path
    annotation: Callable[[], Annotation] | None
    """Decodes the annotation, in any process (a partial of a module-level function); ``None`` where unlabelled."""
    excluded: str = ""
    """Why a known-bad frame is left out; empty for good frames."""
    moment: float = 0.0
    """Where ``image`` is a video: seconds from its beginning."""
    label_ids: Callable[[], UInt8[np.ndarray, "height width"]] | None = None
    """Decodes the label ids alone, where that is much quicker than ``annotation``."""


def files_by_path(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES, *, ending: str = "") -> dict[str, Path]:
    """The files at any depth of a folder, by their path below it (with ``/``) without ``ending`` and suffix.

    Args:
        folder: Where to look; a folder that is missing gives nothing.
        suffixes: Which files count, in lower case.
        ending: What their stems must end with, such as ``_leftImg8bit``; it is cut off.

    Raises:
        FrameError: If two files have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.stem.endswith(ending) or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_name(path.stem.removesuffix(ending)).as_posix()
        if name in found:
            raise FrameError(f"{path}: names the same frame as {found[name]}. Keep one of the two.")
        found[name] = path
    return found


def require_some(found: Mapping[str, Path], folder: Path, expectation: str) -> None:
    """Refuses an empty or missing folder.

    Raises:
        FrameError: It names ``folder`` and what was expected there.
    """
    if not found:
        state = "holds none" if folder.is_dir() else "there is no such folder"
        raise FrameError(f"{folder}: expected {expectation}, but {state}. Check `root` and `splits` in params.yaml.")


def require_pairs(images: Mapping[str, Path], annotations: Mapping[str, Path], images_at: Path, annotations_at: Path) -> None:
    """Refuses images without annotation and annotations without image.

    Raises:
        FrameError: It names the first frame without partner, the folder where that should be, and how many there are.
    """
    for present, absent, kind, folder in (
        (images, annotations, "annotation", annotations_at),
        (annotations, images, "image", images_at),
    ):
        lonely = sorted(present.keys() - absent.keys())
        if lonely:
            raise FrameError(
                f"{present[lonely[0]]}: has no {kind} in {folder} ({len(lonely)} of {len(present)} files have none). "
                "Complete the download, or delete the files without partner."
            )


def read_indices(path: Path) -> UInt8[np.ndarray, "height width"]:
    """The 8-bit indices of a grey or palette PNG, whatever the palette's colours.

    Raises:
        FrameError: If the file is missing, damaged, or of another kind.
    """
    content = read_encoded(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = image.mode
            indices = np.array(image) if image.format == "PNG" and mode in ("L", "P") else None
    except (OSError, SyntaxError, ValueError) as error:
        raise FrameError(f"{path}: the file is damaged ({error}). Download it again.") from None
    if indices is None:
        raise FrameError(f"{path}: expected a grey or palette PNG of 8 bits, found mode {mode}: no map of class indices.")
    return indices


def to_label_ids(
    path: Path, values: UInt8[np.ndarray, "height width"], table: UInt8[np.ndarray, "256"]
) -> UInt8[np.ndarray, "height width"]:
    """``table[values]``, where the table holds 255 for values that the data set does not know.

    Raises:
        FrameError: It names the file, the unknown values and their pixel counts.
    """
    label_ids: UInt8[np.ndarray, "height width"] = table[values]
    unknown = label_ids == IGNORE_INDEX
    if unknown.any():
        found, counts = np.unique(values[unknown], return_counts=True)
        listed = ", ".join(f"{value} ({count} pixels)" for value, count in zip(found, counts, strict=True))
        known = np.flatnonzero(table != IGNORE_INDEX)
        raise FrameError(
            f"{path}: unknown class ids {listed}; the data set has {known[0]}..{known[-1]}. "
            "Is `dataset` in params.yaml the right one for these files?"
        )
    return label_ids
