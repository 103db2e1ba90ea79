from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth2real.datasets.gta import EXCLUDED, list_gta, read_gta_label
from synth2real.frames import FrameError

CAR_COLOUR = (0, 0, 142)


def write_palette_label(path: Path, indices: np.ndarray) -> None:
    """As in the download: car (26) and licence plate (34) share a colour, so only the index tells them apart."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:, 0] = np.arange(256)
    palette[[26, 34]] = CAR_COLOUR
    label = Image.fromarray(indices)
    label.putpalette(palette.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    label.save(path)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("00001", "00002", "15188"):
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
        write_palette_label(tmp_path / "labels" / f"{name}.png", np.full((6, 8), 7, np.uint8))
    return tmp_path


def test_labels_are_decoded_by_index(tmp_path: Path) -> None:
    indices = np.array([[0, 7, 26, 34], [33, 11, 255, 1]], np.uint8)
    write_palette_label(tmp_path / "00001.png", indices)
    with Image.open(tmp_path / "00001.png") as label:
        assert label.mode == "P"
    annotation = read_gta_label(tmp_path / "00001.png")
    assert annotation.label_ids.tolist() == [[0, 7, 26, 0], [33, 11, 0, 1]]
    assert annotation.instance_ids is None


def test_grey_index_labels_are_read_too(tmp_path: Path) -> None:
    Image.fromarray(np.array([[7, 34, 26]], np.uint8)).save(tmp_path / "00001.png")
    assert read_gta_label(tmp_path / "00001.png").label_ids.tolist() == [[7, 0, 26]]


@pytest.mark.parametrize("colours", [2, 4, 16])
def test_palettes_of_fewer_bits_are_read(tmp_path: Path, colours: int) -> None:
    indices = (np.arange(32, dtype=np.uint8) % colours).reshape(4, 8)
    label = Image.fromarray(indices)
    label.putpalette(bytes(range(colours * 3)))
    label.save(tmp_path / "00001.png", bits={2: 1, 4: 2, 16: 4}[colours])
    assert np.array_equal(read_gta_label(tmp_path / "00001.png").label_ids, indices)


def test_known_bad_frames_are_marked(raw: Path) -> None:
    frames = list_gta(raw)
    assert [(frame.frame_id, bool(frame.excluded)) for frame in frames] == [("00001", False), ("00002", False), ("15188", True)]
    assert set(EXCLUDED) == {"15188", "17705"}


def test_unknown_classes_are_counted(tmp_path: Path) -> None:
    write_palette_label(tmp_path / "00001.png", np.array([[35, 35, 90, 7]], np.uint8))
    with pytest.raises(FrameError, match=r"00001\.png: unknown class ids 35 \(2 pixels\), 90 \(1 pixels\); .* 0\.\.255"):
        read_gta_label(tmp_path / "00001.png")


def test_colour_labels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "00001.png")
    with pytest.raises(FrameError, match="found mode RGB"):
        read_gta_label(tmp_path / "00001.png")


def test_damaged_labels_are_refused(raw: Path) -> None:
    path = raw / "labels" / "00001.png"
    content = path.read_bytes()
    for cut in range(0, len(content), 29):
        path.write_bytes(content[:cut])
        with pytest.raises(FrameError, match=r"00001\.png: "):
            read_gta_label(path)
    damaged = bytearray(content)
    damaged[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(FrameError, match="damaged"):
        read_gta_label(path)


@pytest.mark.parametrize(("gone", "kind"), [("labels/00002.png", "annotation"), ("images/00001.png", "image")])
def test_missing_partners_are_named(raw: Path, gone: str, kind: str) -> None:
    (raw / gone).unlink()
    with pytest.raises(
        FrameError, match=rf"{Path(gone).name}: has no {kind} in .*{'labels' if kind == 'annotation' else 'images'}"
    ):
        list_gta(raw)


@pytest.mark.parametrize("empty", ["images", "labels"])
def test_empty_and_missing_folders_are_named(raw: Path, empty: str) -> None:
    for path in (raw / empty).iterdir():
        path.unlink()
    with pytest.raises(FrameError, match=rf"{empty}: expected {empty} such as 00001\.png, but holds none"):
        list_gta(raw)
    (raw / empty).rmdir()
    with pytest.raises(FrameError, match="there is no such folder"):
        list_gta(raw)


def test_two_files_of_one_frame_are_refused(raw: Path) -> None:
    (raw / "images" / "00001.jpg").touch()
    with pytest.raises(FrameError, match=r"00001\.png: names the same frame as .*00001\.jpg"):
        list_gta(raw)
