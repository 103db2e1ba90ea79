"""The boundary F-score against its definition, written out over pairs of pixels, and in cases with known scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.evaluation.boundaries import boundary_f
from synth2real.label_space import LABEL_SPACES, NUM_LABEL_IDS, LabelSpace

_CITYSCAPES19 = LABEL_SPACES["cityscapes19"]
_SPACES = st.sampled_from(list(LABEL_SPACES.values()))
_SEEDS = st.integers(0, 10_000)


def _maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of a few label ids, ignored ones among them, and the same with other blocks here and there."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(NUM_LABEL_IDS, 6, replace=False)
    annotation, other = (np.kron(rng.choice(ids, (4, 5)), np.ones((4, 4), int)).astype(np.uint8) for _ in range(2))
    return annotation, np.where(rng.random(annotation.shape) < 0.8, annotation, other).astype(np.uint8)


def _outline(classes: np.ndarray, counted: np.ndarray, index: int) -> np.ndarray:
    """Coordinates of the pixels of a class that have a counted neighbour of another."""
    found = []
    height, width = classes.shape
    for row in range(height):
        for column in range(width):
            if classes[row, column] == index and counted[row, column]:
                around = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
                inside = [place for place in around if 0 <= place[0] < height and 0 <= place[1] < width]
                if any(counted[place] and classes[place] != index for place in inside):
                    found.append((row, column))
    return np.array(found).reshape(-1, 2)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["cityscapes19", "camvid11"])
def test_equals_its_definition(seed: int, name: str) -> None:
    space, tolerance = LABEL_SPACES[name], 0.08
    annotation, prediction = _maps(seed)
    counted = space.table[annotation] != 255
    reach = tolerance * np.hypot(*annotation.shape)
    for index, score in enumerate(boundary_f(annotation, prediction, space, tolerance)):
        one, two = (_outline(space.table[item], counted, index) for item in (annotation, prediction))
        if not len(one) and not len(two):
            assert np.isnan(score)
        elif not len(one) or not len(two):
            assert score == 0
        else:
            near = np.linalg.norm(one[:, None] - two[None], axis=2) <= reach
            recall, precision = near.any(axis=1).mean(), near.any(axis=0).mean()
            expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
            assert score == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(_SEEDS, _SPACES, st.floats(0.001, 0.1))
def test_a_perfect_prediction_scores_1(seed: int, space: LabelSpace, tolerance: float) -> None:
    annotation, _ = _maps(seed)
    scores = boundary_f(annotation, annotation, space, tolerance)
    assert (scores[np.isfinite(scores)] == 1).all()


@settings(deadline=None, max_examples=40)
@given(_SEEDS, _SPACES, st.floats(0.001, 0.1), st.floats(0.001, 0.1))
def test_more_tolerance_never_lowers_a_score(seed: int, space: LabelSpace, one: float, two: float) -> None:
    strict, lenient = (boundary_f(*_maps(seed), space, tolerance) for tolerance in sorted((one, two)))
    np.testing.assert_array_equal(np.isnan(strict), np.isnan(lenient))
    assert (strict <= lenient)[np.isfinite(strict)].all()


@settings(deadline=None, max_examples=40)
@given(_SEEDS, _SPACES)
def test_pixels_without_an_annotated_class_never_matter(seed: int, space: LabelSpace) -> None:
    annotation, prediction = _maps(seed)
    other = np.where(space.table[annotation] == 255, 7, prediction).astype(np.uint8)
    np.testing.assert_array_equal(boundary_f(annotation, prediction, space, 0.05), boundary_f(annotation, other, space, 0.05))


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (3, 1.0), (4, 0.0)])
def test_an_edge_may_be_off_by_the_tolerance(shift: int, expected: float) -> None:
    annotation, prediction = (np.full((30, 40), 7, np.uint8) for _ in range(2))  # a diagonal of 50
    annotation[:, 20:] = 11
    prediction[:, 20 + shift :] = 11
    scores = boundary_f(annotation, prediction, _CITYSCAPES19, 0.06)
    np.testing.assert_array_equal(scores[[0, 2]], expected)
    assert np.isnan(np.delete(scores, [0, 2])).all()


def test_a_class_that_was_missed_or_made_up_scores_0() -> None:
    annotation, prediction = (np.full((30, 40), 7, np.uint8) for _ in range(2))
    annotation[5:9, 5:9] = 24
    prediction[5:9, 5:9] = 26
    scores = boundary_f(annotation, prediction, _CITYSCAPES19, 0.01)
    np.testing.assert_array_equal(scores[[0, 11, 13]], [1, 0, 0])
