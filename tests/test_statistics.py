import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth2real.frames import (
    FRAMES_FILE,
    Frame,
    FrameError,
    read_frames,
    read_image,
    write_frames,
    write_image,
    write_instances,
    write_label,
)
from synth2real.statistics import _measured, check_data, contact_sheet

HEIGHT, WIDTH = 8, 10
ROOT = Path(__file__).parents[1]
SETS = ("source", "target", "target_annotations", "instances")


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four small sets without any fault."""
    for first_seed, name in ((0, "source"), (100, "target"), (200, "instances")):
        frames = [Frame(f"{name}{index}", "val" if index == 3 else "train", HEIGHT, WIDTH) for index in range(4)]
        for index, frame in enumerate(frames):
            write_image(tmp_path / name / "images" / f"{frame.frame_id}.png", noise(first_seed + index))
            if name == "target":
                continue
            label_ids = np.full((HEIGHT, WIDTH), 7, np.uint8)
            label_ids[:2, : index + 1] = 26
            label_ids[7] = 4
            write_label(tmp_path / name / "labels" / f"{frame.frame_id}.png", label_ids)
            if name == "instances":
                instance_ids = label_ids.astype(np.uint16)
                instance_ids[0, : index + 1] = 26_000
                instance_ids[1, : index + 1] = 26_001
                instance_ids[5, :1] = 24_000
                write_instances(tmp_path / name / "instances" / f"{frame.frame_id}.png", instance_ids)
        write_frames(tmp_path / name, frames)
    write_label(tmp_path / "target_annotations" / "labels" / "target3.png", np.full((HEIGHT, WIDTH), 23, np.uint8))
    write_frames(tmp_path / "target_annotations", [Frame("target3", "val", HEIGHT, WIDTH)])
    return tmp_path


def check(data: Path, workers: int = 1) -> dict[str, Any]:
    source, target, target_annotations, instances = (data / name for name in SETS)
    check_data(source, target, target_annotations, instances, data / "data.json", data / "instances.jpg", workers=workers)
    content: dict[str, Any] = json.loads((data / "data.json").read_text())
    return content


def test_what_is_counted(data: Path) -> None:
    found = check(data)
    assert list(found) == list(SETS)
    assert found["source"]["frames"] == {"train": 3, "val": 1}
    assert found["source"]["sizes"] == {"8x10": 4}
    # Cars cover 2, 4, 6 and 8 pixels of 80, the ignored class 4 covers 10 pixels, road the rest.
    assert found["source"]["pixel_share"]["car"] == pytest.approx(20 / 320)
    assert found["source"]["pixel_share"]["ignored"] == pytest.approx(40 / 320)
    assert found["source"]["pixel_share"]["road"] == pytest.approx(260 / 320)
    assert sum(found["source"]["pixel_share"].values()) == pytest.approx(1)
    assert found["source"]["frame_share"]["car"] == 1
    assert found["source"]["frame_share"]["person"] == 0
    assert "pixel_share" not in found["target"]
    assert found["target"]["equal_images"] == 0
    assert found["target_annotations"]["frames"] == {"val": 1}
    assert found["target_annotations"]["pixel_share"]["sky"] == 1
    # Two cars of 1, 2, 3 and 4 pixels each; one person of one pixel in each frame, on what is labelled road.
    one_row = {"height": {"p10": 1.0, "p50": 1.0, "p90": 1.0}, "small": 1.0}
    assert found["instances"]["instances"] == {
        "person": {"count": 4, "median_area": 1.0, "truncated": 1.0, **one_row},  # at the left border
        "car": {"count": 8, "median_area": 2.5, "truncated": 1.0, **one_row},
    }
    assert found["instances"]["instance_agreement"] == pytest.approx(20 / 24, abs=1e-4)


def test_sizes_and_truncation_of_instances() -> None:
    instance_ids = np.full((60, 80), 7, np.uint16)
    instance_ids[10:50, 20:60] = 26_000  # 40 x 40, within
    instance_ids[20:25, 30:35] = 24_000  # in front of it
    instance_ids[55:, 70:] = 24_001  # at the corner
    measured = _measured(instance_ids)
    assert measured.label_ids.tolist() == [24, 24, 26]
    assert measured.areas.tolist() == [25, 50, 1575]
    assert measured.heights.tolist() == [5, 5, 40]
    assert measured.truncated.tolist() == [False, True, False]


def test_the_contact_sheet_shows_frames_from_first_to_last_beside_their_instances(data: Path) -> None:
    sheet = contact_sheet(read_frames(data / "instances"))
    assert sheet.shape == (2 * (HEIGHT + 4), 2 * 2 * (WIDTH + 4), 3)
    assert np.array_equal(sheet[:HEIGHT, :WIDTH], noise(200))
    assert np.array_equal(sheet[HEIGHT + 4 : -4, 2 * (WIDTH + 4) : 3 * WIDTH + 8], noise(203))
    marked = (sheet[:HEIGHT, WIDTH + 4 : 2 * WIDTH + 4] != noise(200)).any(axis=2)
    assert np.argwhere(marked).tolist() == [[0, 0], [1, 0], [5, 0]]
    check(data)
    assert read_image(data / "instances.jpg").shape == sheet.shape


def test_the_file_does_not_hang_on_the_number_of_processes(data: Path) -> None:
    contents = []
    for workers in (1, 2, 2):
        check(data, workers)
        contents.append((data / "data.json").read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_the_same_image_in_two_splits_is_found(data: Path) -> None:
    write_image(data / "source" / "images" / "source3.png", noise(1))
    with pytest.raises(FrameError, match="source1 of split train and source3 of split val are the same image"):
        check(data)
    assert not (data / "data.json").exists()


def test_the_same_image_twice_in_a_split_is_counted(data: Path) -> None:
    write_image(data / "source" / "images" / "source2.png", noise(1))
    assert check(data)["source"]["equal_images"] == 1


@pytest.mark.parametrize("name", ["source", "instances"])
def test_a_target_image_among_labelled_ones_is_found(data: Path, name: str) -> None:
    write_image(data / name / "images" / f"{name}1.png", noise(102))
    with pytest.raises(FrameError, match=rf"{name}1 is the same image as target2 of .*target labels would reach training"):
        check(data)


def test_a_frame_listed_twice_is_found(data: Path) -> None:
    path = data / "source" / FRAMES_FILE
    path.write_text(path.read_text() + f"source0,val,{HEIGHT},{WIDTH}\n")
    with pytest.raises(FrameError, match="'source0' occurs 2 times"):
        check(data)


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (Frame("stranger", "val", HEIGHT, WIDTH), "no such frame"),
        (Frame("target3", "train", HEIGHT, WIDTH), "8x10 of split val"),
        (Frame("target3", "val", HEIGHT * 2, WIDTH), "8x10 of split val"),
    ],
)
def test_an_annotation_needs_its_target_image(data: Path, frame: Frame, found: str) -> None:
    write_frames(data / "target_annotations", [frame])
    with pytest.raises(FrameError, match=rf"target_annotations: {frame.frame_id} is .*target has {found}"):
        check(data)


@pytest.mark.parametrize("name", SETS)
def test_each_set_must_be_finished(data: Path, name: str) -> None:
    (data / name / FRAMES_FILE).unlink()
    with pytest.raises(FrameError, match=rf"{name}: no frames\.csv"):
        check(data)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("source/images/source1.png", "no image source1"),
        ("source/labels/source1.png", r"labels/source1\.png: no such file"),
        ("instances/instances/instances2.png", r"instances/instances2\.png: no such file"),
        ("target_annotations/labels/target3.png", r"target3\.png: no such file"),
    ],
)
def test_missing_files_are_named(data: Path, file: str, message: str) -> None:
    (data / file).unlink()
    with pytest.raises(FrameError, match=message):
        check(data)


@pytest.mark.parametrize("name", ["source/images/source1.png", "target/images/target2.png", "instances/labels/instances0.png"])
def test_damaged_and_wrong_files_are_named(data: Path, name: str) -> None:
    path = data / name
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(FrameError, match=rf"{path.name}: the file is truncated"):
        check(data)
    write_image(path, np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8))
    with pytest.raises(FrameError, match=path.name):
        check(data)


def test_label_values_are_checked(data: Path) -> None:
    path = data / "source" / "labels" / "source1.png"
    write_instances(path, np.zeros((HEIGHT, WIDTH), np.uint16))
    with pytest.raises(FrameError, match=r"source1\.png: expected one channel of 8 bits"):
        check(data)


def test_the_stage_writes_the_metric(data: Path) -> None:
    hardware = "{accelerator: cpu, devices: 1, precision: 32-true, workers: 1, tracking: false}"
    (data / "params.yaml").write_text(f"hardware: {hardware}\n")
    arguments = [argument for name in SETS for argument in (f"--{name.replace('_', '-')}", name)]
    command = [sys.executable, str(ROOT / "stages" / "check_data.py"), *arguments, "--out", "metrics/data.json"]
    command += ["--pictures", "instances.jpg"]
    done = subprocess.run(command, cwd=data, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((data / "metrics" / "data.json").read_text()) == check(data)
    assert len(read_frames(data / "source")) == 4
