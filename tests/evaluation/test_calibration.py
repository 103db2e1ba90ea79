"""The calibration error against its definition over single pixels, and predictions whose calibration is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.confusion import confusion_matrix, count_frame, pixel_accuracy
from synth2real.evaluation.calibration import BINS, count_confidences, summarise_calibration
from synth2real.label_space import LABEL_SPACES, NUM_LABEL_IDS, LabelSpace

_CITYSCAPES19 = LABEL_SPACES["cityscapes19"]
_SPACES = st.sampled_from(list(LABEL_SPACES.values()))
_SEEDS = st.integers(0, 10_000)


def _maps(seed: int, size: tuple[int, int] = (12, 16)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Annotation, a prediction that is half right, and confidences."""
    rng = np.random.default_rng(seed)
    annotation, other = (rng.integers(0, NUM_LABEL_IDS, size).astype(np.uint8) for _ in range(2))
    prediction = np.where(rng.random(size) < 0.5, annotation, other).astype(np.uint8)
    return annotation, prediction, rng.choice(rng.integers(0, 256, 5), size).astype(np.uint8)


@settings(deadline=None, max_examples=60)
@given(_SEEDS, _SPACES)
def test_equals_its_definition(seed: int, space: LabelSpace) -> None:
    annotation, prediction, confidence = _maps(seed)
    counted = space.table[annotation] != 255
    is_right = (space.table[annotation] == space.table[prediction])[counted]
    sure = confidence[counted] / 255
    found = summarise_calibration(count_confidences(annotation, prediction, confidence, space))
    error = 0.0
    for index in range(BINS):
        is_in = (sure > index / BINS - (index == 0)) & (sure <= (index + 1) / BINS + 1e-12)
        if is_in.any():
            error += is_in.mean() * abs(is_right[is_in].mean() - sure[is_in].mean())
            assert found["reliability"]["accuracy"][index] == round(100 * is_right[is_in].mean(), 2)
            assert found["reliability"]["confidence"][index] == pytest.approx(100 * sure[is_in].mean(), abs=0.0051)
        else:
            assert found["reliability"]["accuracy"][index] is None
    assert found["ece"] == pytest.approx(100 * error, abs=0.0051)
    assert found["mean_confidence"] == pytest.approx(100 * sure.mean(), abs=0.0051)
    assert sum(found["reliability"]["share"]) == pytest.approx(100, abs=0.1)


@settings(deadline=None, max_examples=40)
@given(_SEEDS, _SPACES)
def test_counts_add_up_to_the_pixel_accuracy(seed: int, space: LabelSpace) -> None:
    annotation, prediction, confidence = _maps(seed)
    counts = count_confidences(annotation, prediction, confidence, space)
    confusion = confusion_matrix(count_frame(annotation, [prediction])[0].pixels, space)
    assert counts.sum() == confusion.sum()
    assert counts[1].sum() / counts.sum() == pixel_accuracy(confusion)


@pytest.mark.parametrize(("confidence", "expected"), [(255, 75.0), (0, 25.0), (64, 0.1)])
def test_one_confidence_for_all_errs_by_its_distance_from_the_accuracy(confidence: int, expected: float) -> None:
    annotation = np.full((4, 4), 7, np.uint8)
    prediction = np.where(np.arange(16).reshape(4, 4) % 4 == 0, 7, 11).astype(np.uint8)
    found = summarise_calibration(count_confidences(annotation, prediction, np.full((4, 4), confidence, np.uint8), _CITYSCAPES19))
    assert found["ece"] == expected


def test_confidences_that_come_true_are_calibrated() -> None:
    """A prediction that is right as often as its confidences say."""
    rng = np.random.default_rng(0)
    confidence = rng.integers(0, 256, (400, 500)).astype(np.uint8)
    annotation = np.where(rng.random(confidence.shape) < confidence / 255, 7, 11).astype(np.uint8)
    calm = count_confidences(annotation, np.full_like(annotation, 7), confidence, _CITYSCAPES19)
    brash = count_confidences(annotation, np.full_like(annotation, 7), np.maximum(confidence, 200), _CITYSCAPES19)
    assert summarise_calibration(calm)["ece"] < 0.6
    assert summarise_calibration(brash)["ece"] > 30


def test_nothing_counted_has_no_calibration() -> None:
    nothing = np.zeros((2, 2), np.uint8)
    found = summarise_calibration(count_confidences(nothing, nothing, nothing, _CITYSCAPES19))
    assert (found["ece"], found["mean_confidence"]) == (None, None)
    assert set(found["reliability"]["share"]) == {None}
