from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth2real.augmentation import AugmentationSettings, augment, move, random_view, recolour
from synth2real.label_space import IGNORE_INDEX

SIZE = (48, 96)
only_once = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def coded(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An image that shows at each pixel ten times its train id."""
    coarse = np.random.default_rng(seed).integers(0, 19, (3, 6))
    train_ids = coarse.astype(np.uint8).repeat(16, 0).repeat(16, 1)
    return np.repeat(10 * train_ids[..., None], 3, 2), train_ids


@only_once
@given(seed=st.integers(0, 2**32), crop=st.sampled_from([(48, 96), (32, 64), (64, 64)]))
def test_image_and_labels_stay_aligned(strong_augmentation: AugmentationSettings, seed: int, crop: tuple[int, int]) -> None:
    generator = np.random.default_rng(seed)
    image, train_ids = coded(seed)
    view = random_view(train_ids.shape, crop, strong_augmentation, generator)
    moved, moved_ids = move(image, train_ids, view, crop, outside=IGNORE_INDEX)
    assert moved.shape == (*crop, 3)
    assert moved_ids.shape == crop
    square = np.ones((5, 5), np.uint8)
    inner = (cv2.erode(moved_ids, square) == cv2.dilate(moved_ids, square)) & (moved_ids != IGNORE_INDEX)
    inner[[0, 1, -2, -1]] = inner[:, [0, 1, -2, -1]] = False  # the next block may begin just outside of the view
    np.testing.assert_array_equal(moved[inner, 0], 10 * moved_ids[inner])
    assert inner.any()


def test_no_augmentation_changes_nothing(augmentation: AugmentationSettings) -> None:
    image, train_ids = coded()
    same, same_ids = augment(image, train_ids, augmentation, SIZE, np.random.default_rng(0), outside=IGNORE_INDEX)
    np.testing.assert_array_equal(same, image)
    np.testing.assert_array_equal(same_ids, train_ids)


def test_what_lies_beyond_the_image_has_the_label_given(augmentation: AugmentationSettings) -> None:
    image, labels = np.full((16, 16, 3), 9, np.uint8), np.full((16, 16), 33999, np.uint16)
    moved, moved_labels = augment(image, labels, augmentation, (16, 48), np.random.default_rng(0), outside=0)
    assert moved_labels.dtype == np.uint16
    assert np.unique(moved_labels).tolist() == [0, 33999]
    columns = np.flatnonzero(moved_labels[8] > 0)
    assert len(columns) == 16
    np.testing.assert_array_equal(moved[:, columns[1:-1]], 9)
    np.testing.assert_array_equal(moved[:, : max(columns[0] - 1, 0)], 128)
    np.testing.assert_array_equal(moved[:, columns[-1] + 2 :], 128)


def test_a_flip_mirrors_exactly(augmentation: AugmentationSettings) -> None:
    image, train_ids = coded()
    image[10:20, 30:40] = np.random.default_rng(1).integers(0, 256, (10, 10, 3))
    mirrored, mirrored_ids = augment(
        image, train_ids, replace(augmentation, flip=1.0), SIZE, np.random.default_rng(0), outside=IGNORE_INDEX
    )
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    np.testing.assert_array_equal(mirrored_ids, train_ids[:, ::-1])


def test_magnifying_by_two_repeats_each_label_twice(augmentation: AugmentationSettings) -> None:
    image, train_ids = coded()
    doubled = replace(augmentation, scale=(2.0, 2.0))
    _, twice = augment(image, train_ids, doubled, (96, 192), np.random.default_rng(0), outside=IGNORE_INDEX)
    np.testing.assert_array_equal(twice, train_ids.repeat(2, 0).repeat(2, 1))


def test_outside_of_a_shrunk_image_labels_are_ignored(augmentation: AugmentationSettings) -> None:
    image, train_ids = coded()
    halved = replace(augmentation, scale=(0.5, 0.5))
    _, smaller = augment(image, train_ids, halved, SIZE, np.random.default_rng(0), outside=IGNORE_INDEX)
    assert np.count_nonzero(smaller != IGNORE_INDEX) == train_ids.size // 4


@only_once
@given(seed=st.integers(0, 2**32))
def test_a_view_is_a_function_of_the_generator(strong_augmentation: AugmentationSettings, seed: int) -> None:
    image, train_ids = coded()
    views = [
        augment(image, train_ids, strong_augmentation, (32, 64), np.random.default_rng(seed), outside=IGNORE_INDEX)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(views[0][0], views[1][0])
    np.testing.assert_array_equal(views[0][1], views[1][1])


def test_greying_gives_the_luma_of_opencv(augmentation: AugmentationSettings) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    grey = recolour(image, replace(augmentation, grey=1.0), np.random.default_rng(0))
    expected = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert np.abs(grey.astype(int) - expected[..., None]).max() <= 1


def test_a_grey_image_keeps_its_grey_under_any_hue_and_saturation(augmentation: AugmentationSettings) -> None:
    image = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    turned = recolour(image, replace(augmentation, hue=0.5, saturation=1.0), np.random.default_rng(3))
    assert np.abs(turned.astype(int) - image).max() <= 1


def test_noise_has_at_most_the_stated_strength(augmentation: AugmentationSettings) -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    strengths = [recolour(image, replace(augmentation, noise=10.0), np.random.default_rng(seed)).std() for seed in range(20)]
    assert 8 < max(strengths) < 10.5
    assert min(strengths) < 4


@pytest.mark.parametrize(
    "wrong", [{"scale": (2.0, 1.0)}, {"flip": 1.1}, {"hue": 0.6}, {"gamma": 0.9}, {"blur": -1.0}, {"tint": -0.1}]
)
def test_values_out_of_range_are_refused(augmentation: AugmentationSettings, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(augmentation, **wrong)  # type: ignore[arg-type]
