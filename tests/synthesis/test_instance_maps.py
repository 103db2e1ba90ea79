"""Instance ids guessed from label maps."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.synthesis.instance_maps import instances_from_labels

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
