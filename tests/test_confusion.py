"""Counts against counts of single pixels, and the ratios that are made of them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.confusion import confusion_matrix, count_frame, ious, mean_of_present, pixel_accuracy, ratio
from synth2real.label_space import LABEL_SPACES, NUM_LABEL_IDS, LabelSpace

_CITYSCAPES19 = LABEL_SPACES["cityscapes19"]


def _maps(seed: int, ids: int = 34, size: tuple[int, int] = (24, 32)) -> tuple[np.ndarray, np.ndarray]:
    """Annotation and prediction over some of the label ids, ignored ones among them, half of the pixels right."""
    rng = np.random.default_rng(seed)
    annotation, other = (rng.choice(rng.choice(NUM_LABEL_IDS, ids, replace=False), size).astype(np.uint8) for _ in range(2))
    return annotation, np.where(rng.random(size) < 0.5, annotation, other).astype(np.uint8)


def test_runs_count_what_pixels_count() -> None:
    """Against a count of single pixels, on a map with long runs, runs over the rows' ends, and noise."""
    rng = np.random.default_rng(0)
    annotation = np.kron(rng.integers(0, 34, (6, 5)), np.ones((7, 11), int)).astype(np.uint8)
    predictions = [np.roll(annotation, 3, 1), rng.integers(0, 34, annotation.shape).astype(np.uint8)]
    number = rng.integers(-1, 5, annotation.shape)
    instance_ids = np.where((annotation >= 24) & (number >= 0), annotation.astype(np.int64) * 1000 + number, annotation)
    instance_ids = instance_ids.astype(np.uint16)
    for prediction, counts in zip(predictions, count_frame(annotation, predictions, instance_ids), strict=True):
        expected = np.zeros((34, 34), int)
        np.add.at(expected, (annotation, prediction), 1)
        np.testing.assert_array_equal(counts.pixels, expected)
        shares = np.zeros((34, 34))
        for instance in np.unique(instance_ids[instance_ids >= 1000]):
            of_instance = instance_ids == instance
            shares[instance // 1000] += np.bincount(prediction[of_instance], minlength=34) / of_instance.sum()
        assert counts.instances is not None
        np.testing.assert_allclose(counts.instances, shares, rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 34), st.sampled_from(list(LABEL_SPACES.values())))
def test_the_matrix_sums_to_the_valid_pixels(seed: int, ids: int, space: LabelSpace) -> None:
    annotation, prediction = _maps(seed, ids)
    confusion = confusion_matrix(count_frame(annotation, [prediction])[0].pixels, space)
    assert confusion.sum() == (space.table[annotation] != 255).sum()
    assert (confusion >= 0).all()


def test_leading_axes_are_frames() -> None:
    pairs = [_maps(seed, 20) for seed in range(5)]
    counts = [count_frame(annotation, [prediction])[0].pixels for annotation, prediction in pairs]
    confusion = confusion_matrix(np.stack(counts), _CITYSCAPES19)
    for one, several in zip(counts, ious(confusion), strict=True):
        np.testing.assert_array_equal(several, ious(confusion_matrix(one, _CITYSCAPES19)))
    assert pixel_accuracy(confusion).shape == (5,)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_ratios_are_those_of_sets_of_pixels(seed: int, ids: int) -> None:
    """Intersection over union, and their mean over the classes that are annotated or predicted, from the maps themselves."""
    annotation, prediction = _maps(seed, ids)
    classes, predicted = _CITYSCAPES19.table[annotation], _CITYSCAPES19.table[prediction]
    is_counted = classes != 255
    confusion = confusion_matrix(count_frame(annotation, [prediction])[0].pixels, _CITYSCAPES19)
    expected = np.full(19, np.nan)
    for index in range(19):
        one, other = (classes == index) & is_counted, (predicted == index) & is_counted
        if (one | other).any():
            expected[index] = (one & other).sum() / (one | other).sum()
    np.testing.assert_array_equal(ious(confusion), expected)
    if is_counted.any():
        np.testing.assert_allclose(mean_of_present(ious(confusion)), np.nanmean(expected), rtol=1e-12)
        assert pixel_accuracy(confusion) == (classes == predicted)[is_counted].mean()
    else:
        assert np.isnan(mean_of_present(ious(confusion)))
        assert np.isnan(pixel_accuracy(confusion))


def test_nothing_divided_by_nothing_has_no_value() -> None:
    np.testing.assert_array_equal(ratio(np.array([1.0, 0.0, 0.0]), np.array([2, 4, 0])), [0.5, 0.0, np.nan])
