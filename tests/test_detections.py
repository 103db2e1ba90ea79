"""The detections' files: run lengths against pycocotools, round trips, and faults that name the file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from synth2real.detections import Detection, decode_mask, detections_path, encode_masks, read_detections, write_detections
from synth2real.frames import FrameError


def _detection(mask: np.ndarray, category_id: int = 5, score: float = 0.5) -> Detection:
    height, width = mask.shape
    return Detection(category_id, score, (0.0, 0.0, float(width), float(height)), (height, width), encode_masks(mask[None])[0])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own, under NumPy 2
@given(hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40))))
def test_masks_survive_the_code_and_pycocotools_reads_them(masks: np.ndarray) -> None:
    for mask, counts in zip(masks, encode_masks(masks), strict=True):
        detection = Detection(1, 1.0, (0, 0, 1, 1), (mask.shape[0], mask.shape[1]), counts)
        np.testing.assert_array_equal(decode_mask(detection), mask)
        reference = coco_mask.decode({"size": list(mask.shape), "counts": counts.encode()})
        np.testing.assert_array_equal(decode_mask(detection), reference)


def test_long_runs_are_decoded() -> None:
    mask = np.zeros((1024, 2048), bool)
    mask[7:900, 3:2000] = True
    mask[1000, 5] = True
    np.testing.assert_array_equal(decode_mask(_detection(mask)), mask)


def test_no_mask_gives_no_code() -> None:
    assert encode_masks(np.zeros((0, 4, 4), bool)) == []


def test_files_hold_detections_by_descending_score(tmp_path: Path) -> None:
    mask = np.eye(6, 9, dtype=bool)
    items = [_detection(mask, score=score) for score in (0.2, 0.9, 0.5)]
    path = detections_path(tmp_path, "frame")
    write_detections(path, items)
    assert read_detections(path) == (items[1], items[2], items[0])
    write_detections(path, [])
    assert read_detections(path) == ()


@pytest.mark.parametrize("counts", ["", "0~", "o", "5", "éé", "oooooooooooooooooo0"])
def test_damaged_run_lengths_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        decode_mask(Detection(1, 1.0, (0, 0, 1, 1), (4, 4), counts))


def test_every_cut_of_the_run_lengths_is_refused() -> None:
    rng = np.random.default_rng(0)
    detection = _detection(rng.random((20, 30)) < 0.3)
    for length in range(len(detection.counts)):
        with pytest.raises(ValueError, match="run lengths"):
            decode_mask(detection._replace(counts=detection.counts[:length]))


_GOOD = {"category_id": 1, "score": 0.5, "bbox": [0, 0, 2, 2], "segmentation": {"size": [4, 4], "counts": "0"}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"category_id": 0}, "category_id in 1..10, found 0"),
        ({"category_id": 11}, "category_id in 1..10, found 11"),
        ({"category_id": "car"}, "category_id"),
        ({"score": 1.5}, "score in"),
        ({"score": None}, "score in"),
        ({"score": float("nan")}, "score in"),
        ({"bbox": [0, 0, 2]}, "bbox"),
        ({"bbox": [0, 0, -1, 2]}, "bbox"),
        ({"segmentation": [[0, 0, 1, 1]]}, "segmentation"),
        ({"segmentation": {"size": [4], "counts": "0"}}, "segmentation"),
        ({"segmentation": {"size": [4, 0], "counts": "0"}}, "segmentation"),
        ({"segmentation": {"size": [4, 4], "counts": [16]}}, "segmentation"),
    ],
)
def test_a_faulty_detection_is_named(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([_GOOD, _GOOD | change]))
    with pytest.raises(FrameError, match=rf"a\.json: detection 1: expected .*{expected}"):
        read_detections(path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{key: value for key, value in _GOOD.items() if key != "score"}]))
    with pytest.raises(FrameError, match="detection 0"):
        read_detections(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(FrameError, match=r"a\.json: no such file"):
        read_detections(path)
    path.write_text(json.dumps([_GOOD])[:-5])
    with pytest.raises(FrameError, match=r"a\.json: .*damaged JSON"):
        read_detections(path)
    path.write_text("{}")
    with pytest.raises(FrameError, match="JSON list"):
        read_detections(path)
    path.write_text(json.dumps([_GOOD, _GOOD | {"segmentation": {"size": [5, 4], "counts": "0"}}]))
    with pytest.raises(FrameError, match="one frame size"):
        read_detections(path)


def test_a_faulty_detection_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(FrameError, match="category_id"):
        write_detections(path, [_detection(np.ones((3, 3), bool), category_id=11)])
    assert not path.exists()
