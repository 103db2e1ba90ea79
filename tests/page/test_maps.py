"""Label maps and photos as the page takes and gives them. Needs no Gradio."""

import base64
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from synth2real.frames import write_image, write_label
from synth2real.label_space import LABEL_BY_NAME, LABELS, PALETTE
from synth2real.page import maps
from synth2real.page.maps import PageError, empty_street, fit_map, from_text, read_map, read_photo, snap, to_text

LABEL_MAPS = arrays.arrays(np.uint8, st.tuples(st.integers(16, 40), st.integers(16, 40)), elements=st.integers(0, 33))
HAS_OWN_COLOUR = [min(other.label_id for other in LABELS if other.colour == label.colour) == label.label_id for label in LABELS]


@given(LABEL_MAPS)
def test_text_gives_the_map_back(label_ids: np.ndarray) -> None:
    np.testing.assert_array_equal(from_text(to_text(label_ids)), label_ids)


def _text(content: bytes, size: str = "16x16") -> str:
    return f"{size}:{base64.b64encode(zlib.compress(content)).decode()}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "did not arrive whole"),
        ("16x16:***", "did not arrive whole"),
        ("16x16:AAAA", "did not arrive whole"),
        (_text(bytes(255)), "did not arrive whole"),
        (_text(bytes(257)), "did not arrive whole"),
        (_text(bytes(10**7)), "did not arrive whole"),
        (_text(bytes(255) + b"\x22"), "did not arrive whole"),  # label id 34
        (_text(b"", "0x0"), "at least 16"),
        (_text(bytes(10**7), "99999x99999"), "at most 2.1 million"),
    ],
)
def test_text_of_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(PageError, match=message):
        from_text(text)


@pytest.mark.parametrize("size", [(192, 384), (17, 16), (128, 100)])
def test_empty_street_is_one_at_every_size(size: tuple[int, int]) -> None:
    street = empty_street(*size)
    height, width = size
    assert street.shape == size
    assert street[-1, width // 2] == LABEL_BY_NAME["road"].label_id
    assert street[0, width // 2] == LABEL_BY_NAME["sky"].label_id
    assert street[height // 3, 0] == street[height // 3, -1] == LABEL_BY_NAME["building"].label_id
    if min(size) > 99:
        names = {LABELS[label_id].name for label_id in np.unique(street)}
        assert names == {"road", "sky", "building", "vegetation", "sidewalk"}


def test_fit_map_keeps_classes_and_shape() -> None:
    label_ids = empty_street(1024, 2048)
    fitted = fit_map(label_ids)
    assert fitted.shape == (256, 512)
    assert set(np.unique(fitted)) == set(np.unique(label_ids))
    assert fit_map(fitted) is fitted


@given(LABEL_MAPS)
def test_snap_reads_exact_colours(label_ids: np.ndarray) -> None:
    snapped = snap(PALETTE[label_ids])
    own = np.array(HAS_OWN_COLOUR)[label_ids]
    np.testing.assert_array_equal(snapped.label_ids[own], label_ids[own])
    np.testing.assert_array_equal(PALETTE[snapped.label_ids], PALETTE[label_ids])
    assert snapped.close == 1


@given(arrays.arrays(np.uint8, (5, 7, 3)))
def test_snap_finds_the_nearest_colour(colours: np.ndarray) -> None:
    """Against the distances of each pixel to each colour."""
    distances = np.linalg.norm(colours[:, :, None].astype(float) - PALETTE[: len(LABELS)], axis=-1)
    snapped = snap(colours)
    np.testing.assert_array_equal(snapped.label_ids, distances.argmin(-1))
    assert snapped.close == pytest.approx((distances.min(-1) <= 16).mean())


def test_snap_undoes_smoothed_edges() -> None:
    label_ids = empty_street(96, 192)
    smooth = cv2.resize(PALETTE[label_ids], (384, 192), interpolation=cv2.INTER_LINEAR)
    snapped = snap(smooth)
    assert np.mean(snapped.label_ids == cv2.resize(label_ids, (384, 192), interpolation=cv2.INTER_NEAREST)) > 0.98
    assert snapped.close < 1


Save = Callable[[Path, np.ndarray], None]


def _save(mode: str) -> Save:
    return lambda path, label_ids: Image.fromarray(PALETTE[label_ids]).convert(mode).save(path)


def _save_palette(path: Path, label_ids: np.ndarray) -> None:
    image = Image.fromarray(label_ids, mode=None).convert("L")
    image.putpalette(PALETTE.tobytes())
    image.save(path)


@pytest.mark.parametrize("save", [write_label, _save("RGB"), _save("RGBA"), _save_palette], ids=["ids", "rgb", "rgba", "palette"])
def test_read_map(save: Save, tmp_path: Path) -> None:
    label_ids = empty_street(40, 60)
    save(tmp_path / "map.png", label_ids)
    np.testing.assert_array_equal(read_map(tmp_path / "map.png"), label_ids)


def _noise(height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)


def _png_that_claims(width: int, height: int) -> bytes:
    """A small file with a large header."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def _files(folder: Path) -> dict[str, tuple[bytes, str, str]]:
    """Bad uploads: name, content, message as a map, message as a photo; empty where it is a good one."""
    write_image(folder / "photo.png", _noise())
    write_image(folder / "photo.jpg", _noise())
    Image.fromarray(np.full((40, 60), 200, np.uint8)).save(folder / "grey.png")
    Image.fromarray(np.zeros((40, 60), np.uint16)).save(folder / "deep.png")
    Image.fromarray(np.zeros((8, 60), np.uint8)).save(folder / "low.png")
    photo = (folder / "photo.png").read_bytes()
    damaged = bytearray(photo)
    damaged[60:90] = bytes(30)
    nothing = "is neither a PNG nor a JPEG"
    return {
        "photo.png": (photo, "of its pixels have the colour of no class", ""),
        "photo.jpg": ((folder / "photo.jpg").read_bytes(), "is a JPEG, which blurs label maps", ""),
        "grey.png": ((folder / "grey.png").read_bytes(), "expected Cityscapes label ids 0..33, found 200", ""),
        "deep.png": ((folder / "deep.png").read_bytes(), "is a PNG of mode I;16", ""),
        "low.png": ((folder / "low.png").read_bytes(), "at least 16 on each side", "at least 16 on each side"),
        "text.png": (b"hello", nothing, nothing),
        "empty.png": (b"", nothing, nothing),
        "page.jpg": (b"<html><script>alert(1)</script></html>", nothing, nothing),
        "half.png": (photo[: len(photo) // 2], "truncated", "truncated"),
        "damaged.png": (bytes(damaged), "damaged", "damaged"),
        "wide.png": (_png_that_claims(3000, 1000), "at most 2.1 million", "damaged"),
        "bomb.png": (_png_that_claims(60000, 60000), "at most 2.1 million|far too many", "at most 50.0 million|far too many"),
        "large.png": (bytes(maps.MOST_BYTES + 1), "at most 16 MB", "at most 16 MB"),
    }


NAMES = (
    "photo.png", "photo.jpg", "grey.png", "deep.png", "low.png", "text.png", "empty.png", "page.jpg", "half.png", "damaged.png",
    "wide.png", "bomb.png", "large.png",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["map", "photo"])
def test_uploads_end_in_a_picture_or_in_plain_words(name: str, kind: str, tmp_path: Path) -> None:
    """The words name the file, not where the server put it."""
    content, of_map, of_photo = _files(tmp_path)[name]
    path, message = tmp_path / name, of_map if kind == "map" else of_photo
    path.write_bytes(content)
    read = read_map if kind == "map" else read_photo
    if not message:
        assert read(path).ndim == 3
        return
    with pytest.raises(PageError, match=message) as raised:
        read(path)
    assert str(raised.value).startswith(f"{name}:")
    assert str(tmp_path) not in str(raised.value)
    assert not re.search(r"Error|Traceback", str(raised.value))


def test_large_photos_are_shrunk_and_turned(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((1500, 3000, 3), 90, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    image.save(tmp_path / "phone.jpg", exif=exif)
    height, width = read_photo(tmp_path / "phone.jpg").shape[:2]
    assert height == pytest.approx(2 * width, abs=2)
    assert 0.99 * maps.MOST_PIXELS < height * width <= maps.MOST_PIXELS
