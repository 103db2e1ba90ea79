"""Instance ids guessed from label maps."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.detections import Detection, detections_path, encode_masks, write_detections
from synth2real.frames import FrameError, read_frames
from synth2real.label_space import VEIS_LABELS
from synth2real.synthesis.data import PairedCrops, PairSettings, instance_map
from synth2real.synthesis.instance_maps import instances_from_detections, instances_from_labels

CAR, PERSON, ROAD = 26, 24, 7


def _road(height: int = 40, width: int = 80) -> np.ndarray:
    return np.full((height, width), ROAD, np.uint8)


def _ids(instance_ids: np.ndarray, label_id: int) -> list[int]:
    return sorted(set(np.unique(instance_ids[instance_ids // 1000 == label_id]).tolist()))


def test_regions_apart_are_instances_and_stuff_keeps_its_id() -> None:
    label_ids = _road()
    label_ids[10:20, 5:25] = CAR
    label_ids[10:20, 40:60] = CAR
    label_ids[5:25, 30:36] = PERSON
    instance_ids = instances_from_labels(label_ids)
    assert _ids(instance_ids, CAR) == [26000, 26001]
    assert _ids(instance_ids, PERSON) == [24000]
    assert (instance_ids[label_ids == ROAD] == ROAD).all()
    assert len(np.unique(instance_ids[10:20, 5:25])) == 1


def test_a_region_too_wide_for_one_thing_is_cut_where_it_dips() -> None:
    label_ids = _road()
    label_ids[10:30, 5:18] = PERSON
    label_ids[10:30, 21:34] = PERSON
    label_ids[22:30, 18:21] = PERSON  # they hold hands
    instance_ids = instances_from_labels(label_ids)
    assert _ids(instance_ids, PERSON) == [24000, 24001]
    assert len(np.unique(instance_ids[10:30, 5:18])) == 1
    assert len(np.unique(instance_ids[10:30, 21:34])) == 1
    assert instance_ids[15, 10] != instance_ids[15, 30]


def test_a_long_car_is_one_and_a_row_of_cars_several() -> None:
    label_ids = _road()
    label_ids[10:20, 5:33] = CAR
    assert _ids(instances_from_labels(label_ids), CAR) == [26000]
    label_ids[10:20, 5:75] = CAR
    assert len(_ids(instances_from_labels(label_ids), CAR)) == 3


def test_specks_stay_stuff() -> None:
    label_ids = _road()
    label_ids[3, 3:6] = CAR
    assert (instances_from_labels(label_ids)[3, 3:6] == CAR).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_every_pixel_keeps_its_class_and_things_become_instances(seed: int) -> None:
    blocks = np.random.default_rng(seed).choice(np.array([ROAD, CAR, PERSON, 33], np.uint8), (6, 10))
    label_ids = np.kron(blocks, np.ones((5, 5), np.uint8))
    instance_ids = instances_from_labels(label_ids)
    classes = np.where(instance_ids >= 1000, instance_ids // 1000, instance_ids)
    np.testing.assert_array_equal(classes, label_ids)
    assert not (instance_ids[label_ids > 23] < 1000).any()  # 25 pixels are no speck


def _detection(mask: np.ndarray, score: float, name: str = "car") -> Detection:
    category = [label.name for label in VEIS_LABELS].index(name) + 1
    return Detection(category, score, (0.0, 0.0, 1.0, 1.0), (mask.shape[0], mask.shape[1]), encode_masks(mask[None])[0])


def _mask(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((40, 80), np.bool_)
    mask[rows, columns] = True
    return mask


def test_masks_take_a_region_apart_that_only_a_detector_can() -> None:
    """Two cars, one before the other, whose masks miss an edge and spill onto the road, and a third that was not found."""
    label_ids = _road()
    label_ids[10:20, 5:45] = CAR
    label_ids[30:36, 60:70] = CAR
    front, behind = _mask(slice(8, 20), slice(5, 26)), _mask(slice(11, 23), slice(20, 44))
    instance_ids = instances_from_detections(label_ids, [_detection(behind, 0.6), _detection(front, 0.9)])
    assert _ids(instance_ids, CAR) == [26000, 26001, 26002]
    assert (instance_ids[10:20, 5:26] == 26000).all()  # the surer one is in front
    assert (instance_ids[10:20, 26:45] == 26001).all()  # the edges that the mask misses are its own
    assert (instance_ids[30:36, 60:70] == 26002).all()
    assert (instance_ids[label_ids == ROAD] == ROAD).all()


def test_a_mask_of_another_class_or_of_a_speck_changes_nothing() -> None:
    label_ids = _road()
    label_ids[10:20, 5:33] = CAR
    others = [
        _detection(_mask(slice(8, 22), slice(0, 40)), 0.9, "person"),
        _detection(_mask(slice(0, 5), slice(0, 80)), 0.9, "traffic sign"),
        _detection(_mask(slice(10, 11), slice(5, 8)), 0.9),
    ]
    np.testing.assert_array_equal(instances_from_detections(label_ids, others), instances_from_labels(label_ids))
    with pytest.raises(ValueError, match="label map is 40x70"):
        instances_from_detections(label_ids[:, :70], others)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_masks_never_change_a_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label_ids = np.kron(rng.choice(np.array([ROAD, CAR, PERSON], np.uint8), (4, 8)), np.ones((10, 10), np.uint8))
    names = ("car", "person", "traffic light")
    detections = [
        _detection(np.kron(rng.random((8, 16)) < 0.4, np.ones((5, 5), np.bool_)), float(rng.random()), names[index % 3])
        for index in range(6)
    ]
    instance_ids = instances_from_detections(label_ids, detections)
    np.testing.assert_array_equal(np.where(instance_ids >= 1000, instance_ids // 1000, instance_ids), label_ids)
    for label_id in (CAR, PERSON):
        numbers = [value - label_id * 1000 for value in _ids(instance_ids, label_id)]
        assert numbers == list(range(len(numbers)))


def test_detections_of_a_frame_set_go_before_its_own_instances(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    frames = read_frames(pairs[1])
    frame = frames.frames[0]
    label_ids = frames.label(frame)
    np.testing.assert_array_equal(instance_map(frames, frame), frames.instances(frame))
    mask = np.zeros(label_ids.shape, np.bool_)
    mask[:, : label_ids.shape[1] // 2] = True
    found = [_detection(mask, 0.9), _detection(~mask, 0.8), _detection(mask, 0.9, "person")]
    path = detections_path(tmp_path / "found", frame.frame_id)
    write_detections(path, found)
    np.testing.assert_array_equal(instance_map(frames, frame, tmp_path / "found"), instances_from_detections(label_ids, found))
    draw = PairedCrops(
        read_frames(pairs[0]), frames, PairSettings(load_size=None, crop_size=(32, 64), flip=False), 1, tmp_path / "found"
    )
    np.testing.assert_array_equal(draw.whole(frame)[1], instance_map(frames, frame, tmp_path / "found"))
    write_detections(path, [_detection(np.ones((8, 8), np.bool_), 0.5)])
    with pytest.raises(FrameError, match=r"frame_0\.json: the masks are 8x8"):
        instance_map(frames, frame, tmp_path / "found")
    path.unlink()
    with pytest.raises(FrameError, match="no such file"):
        instance_map(frames, frame, tmp_path / "found")
