"""Label maps and photos as they come to the page and leave it: bounded, checked, and told apart in plain words."""

import base64
import binascii
import re
import warnings
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from synth2real.frames import FrameError, read_encoded, read_image, read_label, resize_image
from synth2real.label_space import LABEL_BY_NAME, LABELS, NUM_LABEL_IDS

MOST_BYTES: Final = 16 * 2**20
"""Of an uploaded file."""
MOST_PIXELS: Final = 2048 * 1024
"""Of a label map; Cityscapes' own size."""
MOST_PHOTO_PIXELS: Final = 50_000_000
"""Of a photo as it is uploaded; above :data:`MOST_PIXELS` it is shrunk."""
LEAST_SIDE: Final = 16
MOST_LIVE_SIDE: Final = 512
"""Of the label maps that the page brings along; an upload keeps its size."""
_CLOSE: Final = 16
"""Distance of RGB colours up to which a pixel has a class's colour; what is farther is a blend at an edge, or no label map."""
_LEAST_CLOSE: Final = 0.7
"""Share of such pixels below which a picture is no label map."""


class PageError(ValueError):
    """What was painted, uploaded or chosen cannot be used; the message says why, in words for whoever uses the page."""


# --- Between the page and the server ----------------------------------------------------------------------------------


def to_text(label_ids: UInt8[np.ndarray, "height width"]) -> str:
    """A label map as the page's canvas takes and gives it: ``<height>x<width>:<its bytes, zlib, base64>``."""
    height, width = label_ids.shape
    packed = zlib.compress(np.ascontiguousarray(label_ids).tobytes(), 1)
    return f"{height}x{width}:{base64.b64encode(packed).decode('ascii')}"


def from_text(text: str) -> UInt8[np.ndarray, "height width"]:
    """The label map of :func:`to_text`.

    Raises:
        PageError: If the text is of another form, the map is too small or too large, or holds an id above 33.
    """
    found = re.match(r"(\d{1,5})x(\d{1,5}):", text)
    if not found:
        raise PageError("The painted map did not arrive whole. Reload the page.")
    height, width = int(found[1]), int(found[2])
    _check_size("The label map", height, width, MOST_PIXELS)
    try:
        packed = base64.b64decode(text[found.end() :], validate=True)
        content = zlib.decompressobj().decompress(packed, height * width + 1)
    except (binascii.Error, zlib.error):
        content = b""
    label_ids = np.frombuffer(content, np.uint8)
    if label_ids.size != height * width or int(label_ids.max()) >= NUM_LABEL_IDS:
        raise PageError("The painted map did not arrive whole. Reload the page.")
    return label_ids.reshape(height, width).copy()  # writable


def _check_size(what: str, height: int, width: int, most: int) -> None:
    if min(height, width) < LEAST_SIDE:
        raise PageError(f"{what} has {width}x{height} pixels (width x height), expected at least {LEAST_SIDE} on each side.")
    if height * width > most:
        raise PageError(
            f"{what} has {width}x{height} pixels (width x height), {height * width / 1e6:.1f} million; at most {most / 1e6:.1f} "
            "million are taken. Make it smaller."
        )


# --- To start from -----------------------------------------------------------------------------------------------------


def empty_street(height: int, width: int) -> UInt8[np.ndarray, "height width"]:
    """A street without traffic, seen along its middle: sky, buildings and trees, sidewalks, road."""
    label_ids = np.full((height, width), LABEL_BY_NAME["sky"].label_id, np.uint8)

    def paint(name: str, *corners: tuple[float, float]) -> None:
        """Fills a polygon; its corners are shares of width and height."""
        points = np.array(corners) * (width - 1, height - 1)
        cv2.fillPoly(label_ids, [points.round().astype(np.int32)], LABEL_BY_NAME[name].label_id)

    paint("building", (0.0, 0.0), (0.16, 0.06), (0.40, 0.32), (0.40, 0.5), (0.0, 0.75))
    paint("vegetation", (0.40, 0.36), (0.43, 0.33), (0.47, 0.40), (0.5, 0.42), (0.5, 0.5), (0.40, 0.5))
    paint("sidewalk", (0.0, 0.70), (0.40, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0))
    half = width // 2
    label_ids[:, width - half :] = label_ids[:, :half][:, ::-1]
    paint("road", (0.46, 0.5), (0.54, 0.5), (0.98, 1.0), (0.02, 1.0))
    return label_ids


def fit_map(label_ids: UInt8[np.ndarray, "_ _"]) -> UInt8[np.ndarray, "height width"]:
    """The map, shrunk where a side is longer than :data:`MOST_LIVE_SIDE`: a photo of it is painted while one waits."""
    height, width = label_ids.shape
    factor = MOST_LIVE_SIDE / max(height, width)
    if factor >= 1:
        return label_ids
    return cv2.resize(label_ids, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_NEAREST)


# --- Uploads -----------------------------------------------------------------------------------------------------------


class Snapped(NamedTuple):
    """A coloured picture read as a label map."""

    label_ids: UInt8[np.ndarray, "height width"]
    close: float
    """Share of the pixels that have a class's colour, or nearly."""


def snap(colours: UInt8[np.ndarray, "height width 3"]) -> Snapped:
    """The class whose colour is nearest to each pixel's, so that blends at smoothed edges fall to one side.

    Of classes that share a colour the first counts: black is *unlabeled*, the grey of poles *pole*. A blend of two classes that
    lies next to a third one's colour becomes that one: no colour tells.

    Args:
        colours: RGB.
    """
    packed = colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    distinct, inverse = np.unique(packed, return_inverse=True)
    rgb = np.stack((distinct >> 16, distinct >> 8 & 255, distinct & 255), -1)
    nearest = np.zeros(distinct.size, np.uint8)
    least = np.full(distinct.size, np.iinfo(np.int32).max, np.int32)
    for label in LABELS:
        distances = ((rgb - np.array(label.colour, np.int32)) ** 2).sum(-1)
        nearest[distances < least] = label.label_id
        least = np.minimum(least, distances)
    return Snapped(nearest[inverse].reshape(packed.shape), float((least <= _CLOSE**2)[inverse].mean()))


def read_map(path: Path) -> UInt8[np.ndarray, "height width"]:
    """An uploaded label map: a grey PNG of label ids, or a PNG in the colours of the classes (:func:`snap`).

    Raises:
        PageError: If it is neither, damaged, too small or too large.
    """
    header = _header(path, MOST_PIXELS)
    expected = "Expected a label map as PNG: grey with label ids, or in the classes' colours."
    if header.format != "PNG":
        raise PageError(f"{path.name}: is a {header.format}, which blurs label maps. {expected}")
    if header.mode not in ("L", "P", "RGB", "RGBA"):
        raise PageError(f"{path.name}: is a PNG of mode {header.mode}. {expected}")
    try:
        if header.mode == "L":
            return read_label(path)
        snapped = snap(read_image(path))
    except FrameError as error:
        raise PageError(_named(error, path)) from None
    if snapped.close < _LEAST_CLOSE:
        raise PageError(f"{path.name}: {1 - snapped.close:.0%} of its pixels have the colour of no class. {expected}")
    return snapped.label_ids


def read_photo(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """An uploaded photo, PNG or JPEG, turned as its camera noted, and no larger than :data:`MOST_PIXELS`.

    Raises:
        PageError: If it is neither, damaged, too small or too large.
    """
    _header(path, MOST_PHOTO_PIXELS)
    try:
        image = read_image(path)
    except FrameError as error:
        raise PageError(_named(error, path)) from None
    height, width = image.shape[:2]
    factor = (MOST_PIXELS / (height * width)) ** 0.5
    return resize_image(image, (int(height * factor), int(width * factor))) if factor < 1 else image


class _Header(NamedTuple):
    format: str | None
    mode: str


def _header(path: Path, most_pixels: int) -> _Header:
    """What a file says of itself, before anything is decoded."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise PageError(f"{path.name}: has {size / 2**20:.0f} MB; at most {MOST_BYTES // 2**20} MB are taken.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                (width, height), header = image.size, _Header(image.format, image.mode)
        read_encoded(path)
    except FrameError as error:
        raise PageError(_named(error, path)) from None
    except Image.DecompressionBombError:
        raise PageError(f"{path.name}: has far too many pixels; at most {most_pixels / 1e6:.1f} million are taken.") from None
    except UnidentifiedImageError:
        raise PageError(f"{path.name}: is neither a PNG nor a JPEG.") from None
    except (OSError, SyntaxError, ValueError):
        raise PageError(f"{path.name}: is damaged. Save or download it again.") from None
    _check_size(f"{path.name}:", height, width, most_pixels)
    return header


def _named(error: FrameError, path: Path) -> str:
    """The message with the file's name in place of where the server put it."""
    return str(error).replace(str(path), path.name)
