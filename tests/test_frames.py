import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synth2real.frames import (
    FRAMES_FILE,
    Frame,
    FrameError,
    map_frames,
    read_confidence,
    read_encoded,
    read_frames,
    read_image,
    read_index_map,
    read_instances,
    read_label,
    resize_image,
    write_bytes,
    write_confidence,
    write_frames,
    write_image,
    write_instances,
    write_label,
)

HEIGHT, WIDTH = 24, 40


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


# --- Round trips -----------------------------------------------------------------------------------------------------

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint8, (*size, 3))))
@settings(max_examples=40, deadline=None)
def test_images_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("set") / "image.png"
    write_image(path, pixels)
    assert np.array_equal(read_image(path), pixels)


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint8, size, elements=st.integers(0, 33))))
@settings(max_examples=40, deadline=None)
def test_labels_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("set") / "label.png"
    write_label(path, pixels)
    found = read_label(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels)


instance_values = st.one_of(st.integers(0, 33), st.integers(1000, 33_999))


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint16, size, elements=instance_values)))
@settings(max_examples=40, deadline=None)
def test_instances_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("set") / "instances.png"
    write_instances(path, pixels)
    found = read_instances(path)
    assert found.dtype == np.uint16
    assert np.array_equal(found, pixels)


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint8, size)))
@settings(max_examples=40, deadline=None)
def test_confidences_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("set") / "confidence.png"
    write_confidence(path, pixels)
    found = read_confidence(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels)


def test_jpeg_keeps_channels_in_order(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    write_image(tmp_path / "red.jpg", red)
    assert np.abs(read_image(tmp_path / "red.jpg").astype(int) - red).max() < 6


def test_grey_and_alpha_become_rgb(tmp_path: Path, image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), image[..., 0])
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([image[..., ::-1], image[..., :1]]))
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(image[..., :1], 3, axis=2))
    assert np.array_equal(read_image(tmp_path / "alpha.png"), image)


# --- Damaged files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_file_cut_anywhere_is_never_read(tmp_path: Path, image: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    write_image(path, image)
    content = path.read_bytes()
    cuts = {*range(0, 64), *range(0, len(content), 37), *range(len(content) - 64, len(content))}
    for cut in sorted(cuts):
        path.write_bytes(content[:cut])
        with pytest.raises(FrameError, match=r"image\.(png|jpg): "):
            read_image(path)


def test_a_flipped_byte_in_the_pixels_of_a_png_is_found(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "image.png"
    write_image(path, image)
    content = path.read_bytes()
    start = content.index(b"IDAT") + 4
    end = content.index(b"IEND") - 8
    for position in range(start, end, 53):
        damaged = bytearray(content)
        damaged[position] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(FrameError, match=r"image\.png: the file is damaged"):
            read_image(path)


def test_a_png_whose_middle_is_missing_is_found(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "image.png"
    write_image(path, image)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[-12:])
    with pytest.raises(FrameError, match="damaged"):
        read_image(path)


def test_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(b"<html>404</html>")
    with pytest.raises(FrameError, match=r"page\.png: expected a PNG or JPEG file, found 16 bytes"):
        read_encoded(tmp_path / "page.png")
    with pytest.raises(FrameError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")


def test_an_image_is_no_label(tmp_path: Path, image: np.ndarray) -> None:
    write_image(tmp_path / "image.png", image)
    for read in (read_label, read_index_map, read_instances, read_confidence):
        with pytest.raises(FrameError, match="expected one channel"):
            read(tmp_path / "image.png")


def test_values_beyond_the_contract_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="found 34"):
        write_label(tmp_path / "label.png", np.full((4, 4), 34, np.uint8))
    assert not (tmp_path / "label.png").exists()
    cv2.imwrite(str(tmp_path / "train_ids.png"), np.full((4, 4), 255, np.uint8))
    with pytest.raises(FrameError, match=r"0\.\.33, found 255"):
        read_label(tmp_path / "train_ids.png")
    for value in (34, 999, 34_000, 65_535):
        write_instances(tmp_path / "instances.png", np.full((4, 4), value, np.uint16))
        with pytest.raises(FrameError, match=f"found {value}"):
            read_instances(tmp_path / "instances.png")


def test_an_unknown_stuff_id_hides_behind_no_thing(tmp_path: Path) -> None:
    """The highest value is fine here; a lower one is not."""
    write_instances(tmp_path / "instances.png", np.array([[26_001, 500]], np.uint16))
    with pytest.raises(FrameError, match="found 500"):
        read_instances(tmp_path / "instances.png")


# --- frames.csv ------------------------------------------------------------------------------------------------------


def test_frames_are_listed_sorted(tmp_path: Path) -> None:
    write_frames(tmp_path, [Frame("b", "val", 3, 4), Frame("a", "train", 1, 2)])
    assert (tmp_path / FRAMES_FILE).read_text() == "frame_id,split,height,width\na,train,1,2\nb,val,3,4\n"
    assert read_frames(tmp_path).frames == (Frame("a", "train", 1, 2), Frame("b", "val", 3, 4))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "at least one frame"),
        ([Frame("a", "train", 1, 1), Frame("a", "val", 1, 1)], "'a' occurs twice"),
        ([Frame("a/b", "train", 1, 1)], "without path separators"),
        ([Frame("", "train", 1, 1)], "plain file name"),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, frames: list[Frame], message: str) -> None:
    with pytest.raises(FrameError, match=message):
        write_frames(tmp_path, frames)
    assert not (tmp_path / FRAMES_FILE).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "found nothing"),
        ("id,split\na,train\n", "expected the columns"),
        ("frame_id,split,height,width\n", "lists no frame"),
        ("frame_id,split,height,width\na,train,1\n", "a row does not have"),
        ("frame_id,split,height,width\na,train,high,2\n", "a row does not have"),
    ],
)
def test_malformed_frames_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / FRAMES_FILE).write_text(content)
    with pytest.raises(FrameError, match=message):
        read_frames(tmp_path)


def test_a_folder_without_frames_file_is_unfinished(tmp_path: Path, image: np.ndarray) -> None:
    write_image(tmp_path / "images" / "a.png", image)
    with pytest.raises(FrameError, match="no finished frame set"):
        read_frames(tmp_path)


def test_sizes_and_missing_files_are_checked(tmp_path: Path, image: np.ndarray) -> None:
    write_image(tmp_path / "images" / "a.png", image)
    write_label(tmp_path / "labels" / "a.png", np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    write_frames(tmp_path, [Frame("a", "train", HEIGHT, WIDTH), Frame("b", "train", HEIGHT, WIDTH)])
    frame_set = read_frames(tmp_path)
    first, second = frame_set.frames
    assert np.array_equal(frame_set.image(first), image)
    with pytest.raises(FrameError, match=r"a\.png: .* says 24x40 .*, the file has 24x41"):
        frame_set.label(first)
    with pytest.raises(FrameError, match="no image b"):
        frame_set.image(second)
    with pytest.raises(FrameError, match=r"b\.png: no such file"):
        frame_set.label(second)
    with pytest.raises(FrameError, match="no frame of split test; it has train"):
        frame_set.split("test")


def test_confidences_of_a_frame_are_checked(tmp_path: Path) -> None:
    frames = [Frame(frame_id, "train", HEIGHT, WIDTH) for frame_id in ("absent", "deep", "large", "whole")]
    write_frames(tmp_path, frames)
    frame_set = read_frames(tmp_path)
    absent, deep, large, whole = frames
    confidence = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    write_confidence(frame_set.confidence_path(whole), confidence)
    assert np.array_equal(frame_set.confidence(whole), confidence)
    assert frame_set.confidence_path(whole) == tmp_path / "confidences" / "whole.png"
    with pytest.raises(FrameError, match=r"absent\.png: no such file\. Set predict_semantics\.confidence to true"):
        frame_set.confidence(absent)
    write_confidence(frame_set.confidence_path(large), confidence.repeat(2, 0))
    with pytest.raises(FrameError, match=r"large\.png: .* says 24x40 .*, the file has 48x40"):
        frame_set.confidence(large)
    write_instances(frame_set.confidence_path(deep), confidence.astype(np.uint16))
    with pytest.raises(FrameError, match=r"deep\.png: expected one channel of 8 bits, found uint16"):
        frame_set.confidence(deep)


# --- Writing at once or not at all -----------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_killed_write_leaves_old_or_nothing(tmp_path: Path, old: bytes | None) -> None:
    path = tmp_path / "file.bin"
    if old is not None:
        path.write_bytes(old)
    program = textwrap.dedent(
        f"""
        import os, pathlib, signal
        from synth2real import frames

        def die(self, target):
            os.kill(os.getpid(), signal.SIGKILL)

        pathlib.Path.replace = die
        frames.write_bytes(pathlib.Path({str(path)!r}), b"new" * 1000)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (path.read_bytes() if path.exists() else None) == old


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FrameError, match=r"label\.png: could not write \d+ bytes: No space left on device"):
        write_label(tmp_path / "label.png", np.zeros((4, 4), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_write_bytes_replaces(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        write_bytes(tmp_path / "deep" / "file", content)
        assert (tmp_path / "deep" / "file").read_bytes() == content


# --- Work over many frames -------------------------------------------------------------------------------------------


def _process_and_square(number: int) -> tuple[int, int]:
    return os.getpid(), number * number


def _refuse_seven(number: int) -> int:
    if number == 7:
        raise FrameError("seven.png: is no good")
    return number


# Functions of test modules cannot be found by other processes, those of a module can.
@pytest.mark.parametrize("workers", [0, 1])
def test_map_frames_keeps_order_in_this_process(workers: int) -> None:
    results = list(map_frames(_process_and_square, range(30), workers=workers, description="square"))
    assert [square for _, square in results] == [number * number for number in range(30)]
    assert {process for process, _ in results} == {os.getpid()}


def test_map_frames_keeps_order_over_processes(tmp_path: Path) -> None:
    paths = []
    for index in range(40):
        paths.append(tmp_path / f"{index}.png")
        write_label(paths[-1], np.full((2, 2), index % 34, np.uint8))
    results = list(map_frames(read_label, paths, workers=2, description="read"))
    assert [int(result[0, 0]) for result in results] == [index % 34 for index in range(40)]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_map_frames_stops_at_the_first_error(tmp_path: Path, workers: int) -> None:
    paths = [tmp_path / f"{index:02d}.png" for index in range(40)]
    for path in paths[:10]:
        write_label(path, np.zeros((2, 2), np.uint8))
    with pytest.raises(FrameError, match=r"10\.png: no such file"):
        list(map_frames(read_label, paths, workers=workers, description="read"))


def test_map_frames_in_one_process_raises_what_the_function_raises() -> None:
    with pytest.raises(FrameError, match="seven"):
        list(map_frames(_refuse_seven, range(10), workers=1, description="refuse"))


def test_shrinking_by_two_averages_four_pixels() -> None:
    image = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    means = image.reshape(4, 2, 6, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(resize_image(image, (4, 6)) - means).max() <= 0.5
    assert resize_image(image, (16, 5)).shape == (16, 5, 3)
    assert resize_image(image, (8, 12)) is image


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_resizing_keeps_a_constant_image(height: int, width: int) -> None:
    image = np.full((height, width, 3), (10, 120, 240), np.uint8)
    resized = resize_image(image, (16, 24))
    assert resized.shape == (16, 24, 3)
    assert (resized == (10, 120, 240)).all()
