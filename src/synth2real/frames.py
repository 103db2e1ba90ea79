"""The on-disk contract: a *frame set* is a folder with ``frames.csv`` and any of the folders below.

::

    frames.csv                    frame_id, split, height, width; sorted by frame_id; one row a frame
    images/<frame_id>.png|.jpg    RGB, 8 bit
    labels/<frame_id>.png         uint8, Cityscapes label ids 0..33
    instances/<frame_id>.png      uint16, Cityscapes instance ids: label_id * 1000 + n for things, label_id for stuff
    confidences/<frame_id>.png    uint8, of predictions: round(255 * probability of the class that labels/ names)

``frames.csv`` is written last, so a folder without it is unfinished. Every file is written to a temporary name and then
renamed; every reader raises :class:`FrameError`, which names the file, what was expected, what was found and the remedy.
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS

Item = TypeVar("Item")
Result = TypeVar("Result")

FRAMES_FILE = "frames.csv"
_COLUMNS = ("frame_id", "split", "height", "width")
_IMAGE_SUFFIXES = (".png", ".jpg")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_JPEG_SIGNATURE = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"


class FrameError(ValueError):
    """A file or folder is not what the contract says; the message names it, the expectation, the finding and the remedy."""


class Frame(NamedTuple):
    """One row of ``frames.csv``."""

    frame_id: str
    split: str
    height: int
    width: int


# --- Writing ---------------------------------------------------------------------------------------------------------


def write_bytes(path: Path, content: bytes) -> None:
    """Writes ``content`` so that ``path`` is at any moment either absent, old or whole.

    Raises:
        FrameError: If the disk is full or does not let it write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise FrameError(
            f"{path}: could not write {len(content)} bytes: {error.strerror}. Make room or rights, run again."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """:func:`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


def to_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV with a header line; None becomes an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


_IMAGE_PNG: Final = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
)
"""Half the time of OpenCV's defaults, for files a tenth larger."""

_MAP_PNG: Final = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)
"""Maps of ids without a filter are read in a third of the time, for files a quarter larger."""


def write_png(path: Path, pixels: UInt8[np.ndarray, "height width *channels"] | UInt16[np.ndarray, "height width"]) -> None:
    """Writes an RGB image or a map of any ids as PNG, lossless."""
    if pixels.ndim == 3:
        _encode(path, ".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _IMAGE_PNG)
    else:
        _encode(path, ".png", pixels, _MAP_PNG)


def _encode(path: Path, suffix: str, pixels: np.ndarray, parameters: Sequence[int]) -> None:
    done, encoded = cv2.imencode(suffix, pixels, list(parameters))
    if not done:
        raise FrameError(f"{path}: could not encode an array of shape {pixels.shape} and dtype {pixels.dtype} as {suffix}.")
    write_bytes(path, encoded.tobytes())


def write_image(path: Path, image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Writes an RGB image: as PNG (lossless) or, by the suffix, as JPEG of quality 95."""
    if path.suffix == ".png":
        write_png(path, image)
    else:
        _encode(path, ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 95))


def write_label(path: Path, label_ids: UInt8[np.ndarray, "height width"]) -> None:
    """Writes a map of label ids 0..33 as 8-bit PNG.

    Raises:
        FrameError: If a value is above 33.
    """
    if label_ids.size and int(label_ids.max()) >= NUM_LABEL_IDS:
        raise FrameError(f"{path}: label ids are 0..{NUM_LABEL_IDS - 1}, found {int(label_ids.max())}.")
    write_png(path, label_ids)


def write_instances(path: Path, instance_ids: UInt16[np.ndarray, "height width"]) -> None:
    """Writes a map of Cityscapes instance ids as 16-bit PNG."""
    write_png(path, instance_ids)


def write_confidence(path: Path, confidence: UInt8[np.ndarray, "height width"]) -> None:
    """Writes a map of confidences as 8-bit PNG: 255 times the probability of the predicted class, rounded."""
    _encode(path, ".png", confidence, _IMAGE_PNG)


def write_frames(root: Path, frames: Iterable[Frame]) -> None:
    """Writes ``frames.csv``, sorted by frame id: the last act of whoever makes a frame set.

    Raises:
        FrameError: If there is no frame, or a frame id occurs twice or holds a path separator.
    """
    rows = sorted(frames)
    if not rows:
        raise FrameError(f"{root}: a frame set needs at least one frame; check the source folder and the chosen splits.")
    seen: set[str] = set()
    for row in rows:
        if row.frame_id in seen:
            raise FrameError(f"{root}: frame id {row.frame_id!r} occurs twice; ids must be unique over all splits.")
        if not row.frame_id or "/" in row.frame_id or "\\" in row.frame_id:
            raise FrameError(f"{root}: frame id {row.frame_id!r} must be a plain file name without path separators.")
        seen.add(row.frame_id)
    write_text(root / FRAMES_FILE, to_csv(_COLUMNS, rows))


# --- Reading ---------------------------------------------------------------------------------------------------------


def read_bytes(path: Path) -> bytes:
    """The file's bytes; a missing file is a :class:`FrameError` that says so."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FrameError(f"{path}: no such file. It is named by its frame set; prepare that data set again.") from None


def read_encoded(path: Path) -> bytes:
    """The bytes of a PNG or JPEG file that has its beginning and its end.

    Raises:
        FrameError: If the file is missing, no PNG or JPEG, or truncated.
    """
    content = read_bytes(path)
    if content.startswith(_PNG_SIGNATURE):
        whole = _PNG_END in content[-64:]
    elif content.startswith(_JPEG_SIGNATURE):
        whole = _JPEG_END in content[-64:]
    else:
        raise FrameError(
            f"{path}: expected a PNG or JPEG file, found {len(content)} bytes starting with {content[:8]!r}. Restore the file."
        )
    if not whole:
        raise FrameError(f"{path}: the file is truncated ({len(content)} bytes). Download or write it again.")
    return content


def _decode(path: Path, flags: int) -> np.ndarray:
    content = read_encoded(path)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if pixels is None:
        raise FrameError(f"{path}: the file is damaged ({len(content)} bytes). Download or write it again.")
    return pixels


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """An RGB image from PNG or JPEG; grey files are repeated over three channels, alpha is dropped.

    Raises:
        FrameError: If the file is missing, no PNG or JPEG, or damaged.
    """
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def resize_image(image: UInt8[np.ndarray, "_ _ 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """The image at ``size`` (height, width): averaged over areas where it shrinks in both directions, else bilinear."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def read_label(path: Path) -> UInt8[np.ndarray, "height width"]:
    """A map of label ids.

    Raises:
        FrameError: If the file is missing or damaged, is not a single-channel 8-bit PNG, or holds a value above 33.
    """
    label_ids = read_index_map(path)
    if int(label_ids.max()) >= NUM_LABEL_IDS:
        raise FrameError(
            f"{path}: expected Cityscapes label ids 0..{NUM_LABEL_IDS - 1}, found {int(label_ids.max())}. Train ids or another "
            "data set's ids must pass through a reader of synth2real.datasets first."
        )
    return label_ids


def read_index_map(path: Path) -> UInt8[np.ndarray, "height width"]:
    """A single-channel 8-bit PNG as it is.

    Raises:
        FrameError: If the file is missing, damaged, or of another kind.
    """
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise FrameError(f"{path}: expected one channel of 8 bits, found {pixels.dtype} of shape {pixels.shape}: no label map.")
    return pixels


def read_confidence(path: Path) -> UInt8[np.ndarray, "height width"]:
    """A map of confidences: 255 times the probability of each pixel's predicted class, rounded.

    Raises:
        FrameError: If the file is missing, damaged, or not a single-channel 8-bit PNG.
    """
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise FrameError(
            f"{path}: expected one channel of 8 bits, found {pixels.dtype} of shape {pixels.shape}: no confidences. "
            "Predict again."
        )
    return pixels


def read_instances(path: Path) -> UInt16[np.ndarray, "height width"]:
    """A map of Cityscapes instance ids.

    Raises:
        FrameError: If the file is missing, damaged, not a single-channel 16-bit PNG, or holds a class above 33.
    """
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise FrameError(
            f"{path}: expected one channel of 16 bits, found {pixels.dtype} of shape {pixels.shape}: no instance ids."
        )
    is_between = pixels - np.uint16(NUM_LABEL_IDS) < INSTANCE_FACTOR - NUM_LABEL_IDS  # what is below wraps around to the top
    if is_between.any() or int(pixels.max()) >= NUM_LABEL_IDS * INSTANCE_FACTOR:
        wrong = pixels[is_between | (pixels >= NUM_LABEL_IDS * INSTANCE_FACTOR)]
        raise FrameError(f"{path}: expected instance ids label_id * 1000 + n with label ids up to 33, found {wrong.max()}.")
    return pixels


@dataclass(frozen=True)
class FrameSet:
    """A frame set on disk, listed but not loaded. Make one with :func:`read_frames`."""

    root: Path
    frames: tuple[Frame, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def split(self, *splits: str) -> "FrameSet":
        """The frames of the named splits.

        Raises:
            FrameError: If there is none.
        """
        chosen = tuple(frame for frame in self.frames if frame.split in splits)
        if not chosen:
            present = sorted({frame.split for frame in self.frames})
            raise FrameError(f"{self.root}: no frame of split {' or '.join(splits)}; it has {', '.join(present)}.")
        return FrameSet(self.root, chosen)

    @cached_property
    def _image_paths(self) -> dict[str, Path]:
        folder = self.root / "images"
        return {path.stem: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}

    def image_path(self, frame: Frame) -> Path:
        """Where the frame's image is.

        Raises:
            FrameError: If it has none.
        """
        path = self._image_paths.get(frame.frame_id)
        if path is None or path.suffix not in _IMAGE_SUFFIXES:
            raise FrameError(
                f"{self.root / 'images'}: no image {frame.frame_id}.png or .jpg, though {FRAMES_FILE} lists it. "
                "Run the stage that makes it again."
            )
        return path

    def label_path(self, frame: Frame) -> Path:
        """Where the frame's map of label ids is (or would be)."""
        return self.root / "labels" / f"{frame.frame_id}.png"

    def instances_path(self, frame: Frame) -> Path:
        """Where the frame's map of instance ids is (or would be)."""
        return self.root / "instances" / f"{frame.frame_id}.png"

    def confidence_path(self, frame: Frame) -> Path:
        """Where the frame's map of confidences is (or would be)."""
        return self.root / "confidences" / f"{frame.frame_id}.png"

    def image(self, frame: Frame) -> UInt8[np.ndarray, "height width 3"]:
        """The frame's RGB image, of the size that ``frames.csv`` names.

        Raises:
            FrameError: See :func:`read_image`; also if the size differs.
        """
        path = self.image_path(frame)
        return self._checked(path, frame, read_image(path))

    def label(self, frame: Frame) -> UInt8[np.ndarray, "height width"]:
        """The frame's label ids.

        Raises:
            FrameError: See :func:`read_label`; also if the size differs.
        """
        path = self.label_path(frame)
        return self._checked(path, frame, read_label(path))

    def instances(self, frame: Frame) -> UInt16[np.ndarray, "height width"]:
        """The frame's instance ids.

        Raises:
            FrameError: See :func:`read_instances`; also if the size differs.
        """
        path = self.instances_path(frame)
        return self._checked(path, frame, read_instances(path))

    def confidence(self, frame: Frame) -> UInt8[np.ndarray, "height width"]:
        """255 times the probability of each pixel's predicted class, rounded.

        Raises:
            FrameError: If the frame has none; see also :func:`read_confidence`; also if the size differs.
        """
        path = self.confidence_path(frame)
        if not path.is_file():
            raise FrameError(f"{path}: no such file. Set predict_semantics.confidence to true and predict again.")
        return self._checked(path, frame, read_confidence(path))

    @staticmethod
    def _checked(path: Path, frame: Frame, pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[:2] != (frame.height, frame.width):
            raise FrameError(
                f"{path}: {FRAMES_FILE} says {frame.height}x{frame.width} (height x width), the file has "
                f"{pixels.shape[0]}x{pixels.shape[1]}. Image and annotation must be of one size; prepare the data set again."
            )
        return pixels


def read_frames(root: Path) -> FrameSet:
    """Lists a frame set.

    Args:
        root: Its folder.

    Raises:
        FrameError: If the folder or its ``frames.csv`` is missing, empty, or not of the contract's form.
    """
    path = root / FRAMES_FILE
    if not path.is_file():
        raise FrameError(f"{root}: no {FRAMES_FILE}, so this is no finished frame set. Run the stage that makes it (dvc repro).")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = tuple(next(reader, ()))
        if header != _COLUMNS:
            raise FrameError(f"{path}: expected the columns {','.join(_COLUMNS)}, found {','.join(header) or 'nothing'}.")
        try:
            frames = tuple(Frame(frame_id, split, int(height), int(width)) for frame_id, split, height, width in reader)
        except ValueError as error:
            raise FrameError(f"{path}: a row does not have frame_id,split,height,width ({error}).") from None
    if not frames:
        raise FrameError(f"{path}: lists no frame.")
    return FrameSet(root, frames)


# --- Work over many frames -------------------------------------------------------------------------------------------


def map_frames(function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, description: str) -> Iterator[Result]:
    """``map(function, items)`` in order, over processes, with a progress bar; the first error stops it.

    Args:
        function: A picklable function (module level, or a partial of one).
        items: What to call it with.
        workers: Processes; 0 or 1 runs in this process.
        description: What the progress bar says.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task: Any = progress.add_task(description, total=len(items))
        if workers <= 1:
            for item in items:
                yield function(item)
                progress.advance(task)
            return
        context = get_context("forkserver")
        plain = function.func if isinstance(function, partial) else function
        context.set_forkserver_preload([plain.__module__])  # imports once, not once in each process
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
            try:
                chunk = max(1, min(16, len(items) // (4 * workers)))
                for result in pool.map(function, items, chunksize=chunk):
                    yield result
                    progress.advance(task)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _one_thread() -> None:
    cv2.setNumThreads(1)
