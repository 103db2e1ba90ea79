import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth2real.detections import Detection
from synth2real.instances.calibration import (
    IDENTITY,
    METHODS,
    Calibration,
    CalibrationError,
    Isotonic,
    Method,
    Outcomes,
    calibrated,
    chosen_calibration,
    cross_fitted,
    fit_calibration,
    fit_isotonic,
    fit_platt,
    load_calibrations,
    reliability,
    reliability_table,
    save_calibrations,
)

GRID = np.linspace(0, 1, 101)

_outcomes = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=60)


def _drawn(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and outcomes that are right half as often as the scores say."""
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0.05, 1, count)
    return scores, generator.random(count) < 0.5 * scores


def _of(scores: np.ndarray, right: np.ndarray, category: int = 5, frames: int = 16) -> Outcomes:
    return Outcomes(np.arange(len(scores)) % frames, np.full(len(scores), category), scores, right)


def test_isotonic_is_that_of_scikit_learn() -> None:
    regression = pytest.importorskip("sklearn.isotonic").IsotonicRegression(out_of_bounds="clip")
    for seed in range(5):
        scores, right = _drawn(200, seed)
        scores = np.round(scores, 2)  # with ties
        wanted = regression.fit(scores, right.astype(float)).predict(GRID)
        np.testing.assert_allclose(fit_isotonic(scores, right)(GRID), wanted, atol=1e-12)


def test_platt_is_the_likeliest_of_all_sigmoids() -> None:
    logistic = pytest.importorskip("sklearn.linear_model").LogisticRegression(C=np.inf, tol=1e-10)
    scores, right = _drawn(500)
    hits, misses = right.sum(), (~right).sum()
    logits = np.log(scores / (1 - scores))[:, None]
    high, low = (hits + 1) / (hits + 2), 1 / (misses + 2)
    target = np.where(right, high, low)  # a soft target is a right and a wrong detection with its shares as weights
    logistic.fit(np.tile(logits, (2, 1)), np.repeat([1, 0], len(scores)), np.concatenate((target, 1 - target)))
    np.testing.assert_allclose(fit_platt(scores, right), [logistic.coef_[0, 0], logistic.intercept_[0]], rtol=1e-4)


@given(_outcomes)
def test_maps_are_monotone_and_give_probabilities(drawn: list[tuple[float, bool]]) -> None:
    scores, right = np.array([score for score, _ in drawn]), np.array([is_right for _, is_right in drawn])
    for found in (fit_platt(scores, right)(GRID), fit_isotonic(scores, right)(GRID)):
        assert (np.diff(found) >= -1e-12).all()
        assert found.min() >= 0
        assert found.max() <= 1


@given(_outcomes)
def test_isotonic_keeps_the_number_of_right_detections(drawn: list[tuple[float, bool]]) -> None:
    scores, right = np.array([score for score, _ in drawn]), np.array([is_right for _, is_right in drawn])
    assert fit_isotonic(scores, right)(scores).sum() == pytest.approx(right.sum())


@pytest.mark.parametrize("method", METHODS)
def test_scores_that_mean_what_they_say_stay(method: Method) -> None:
    generator = np.random.default_rng(1)
    scores = generator.uniform(0.05, 1, 40_000)
    right = generator.random(40_000) < scores
    found = fit_calibration(_of(scores, right), method)(np.full(91, 5), GRID[5:96])
    np.testing.assert_allclose(found, GRID[5:96], atol=0.05)
    assert reliability(scores, right).ece == pytest.approx(0, abs=1)


def test_a_higher_score_is_never_worth_less() -> None:
    scores, right = np.array([0.1, 0.2, 0.8, 0.9]), np.array([True, True, False, False])
    platt = fit_platt(scores, right)
    assert platt.slope == 0
    assert platt.intercept == pytest.approx(0, abs=1e-9)
    assert fit_isotonic(scores, right) == Isotonic((0.1, 0.9), (0.5, 0.5))


@pytest.mark.parametrize("method", METHODS)
def test_classes_differ_and_one_of_few_detections_gets_the_map_of_all(method: Method) -> None:
    score = np.full(40, 0.5)
    always, never = _of(score, np.arange(40) < 30, 5), _of(score, np.arange(40) < 10, 3)
    few = _of(np.full(9, 0.5), np.ones(9, bool), 7)
    calibration = fit_calibration(Outcomes(*map(np.concatenate, zip(always, never, few, strict=True))), method)
    assert set(calibration.of_class) == {3, 5}
    car, person, bus, truck = calibration(np.array([5, 3, 7, 6]), np.full(4, 0.5))
    assert (car, person) == (pytest.approx(30 / 40, abs=0.03), pytest.approx(10 / 40, abs=0.03))
    assert bus == truck == pytest.approx(49 / 89, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("right", [np.zeros(50, bool), np.zeros(0, bool)])
def test_without_right_detections_scores_stay(method: Method, right: np.ndarray) -> None:
    calibration = fit_calibration(_of(np.full(len(right), 0.5), right), method)
    assert calibration == Calibration(IDENTITY[method], {})
    np.testing.assert_allclose(calibration(np.full(101, 5), GRID), GRID, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_mends_the_scores_of_other_frames(method: Method) -> None:
    scores, right = _drawn(4000)
    before = reliability(scores, right).ece
    after = reliability(cross_fitted(_of(scores, right), method, 16), right).ece
    assert before is not None
    assert after is not None
    assert before > 20
    assert after < 5


@pytest.mark.parametrize("method", METHODS)
def test_no_detection_is_calibrated_by_its_own_half(method: Method) -> None:
    scores, right = _drawn(800)
    outcomes = _of(scores, right, frames=16)
    found = cross_fitted(outcomes, method, 16)
    first_half = outcomes.frames * 8 // 16 % 2 == 0  # frames 0, 1, 4, 5, 8 ...
    turned = outcomes._replace(right=np.where(first_half, ~right, right))
    other = cross_fitted(turned, method, 16)
    np.testing.assert_array_equal(found[first_half], other[first_half])
    assert not np.array_equal(found[~first_half], other[~first_half])


def test_the_error_is_the_mean_distance_of_precision_and_score() -> None:
    # bins of 1/15: two detections near 0.5 of which one is right, and two at 0.9, both right
    found = reliability(np.array([0.48, 0.5, 0.9, 0.9]), np.array([True, False, True, True]))
    assert found.ece == pytest.approx(100 * (0.5 * abs(0.5 - 0.49) + 0.5 * 0.1))
    assert found.mean_score == pytest.approx(69.5)
    assert found.bins == ((49, 50, 50), (90, 100, 50))
    assert reliability(np.empty(0), np.empty(0, bool)) == (None, None, ())
    rows = list(csv.DictReader(reliability_table({"none": found}).splitlines()))
    assert [list(row.values()) for row in rows] == [["none", "49.0", "50.0", "50.0"], ["none", "90.0", "100.0", "50.0"]]


def test_detections_are_sorted_anew_and_those_of_low_probability_go() -> None:
    items = [Detection(category, score, (0.0, 0.0, 1.0, 1.0), (2, 2), "04") for category, score in ((5, 0.9), (3, 0.8), (3, 0.7))]
    calibration = Calibration(
        Isotonic((0.0, 1.0), (0.0, 1.0)), {5: Isotonic((0.0,), (0.75,)), 3: Isotonic((0.7, 0.8), (0.2, 0.9))}
    )
    assert [(item.category_id, item.score) for item in calibrated(items, calibration, 0.5)] == [(3, 0.9), (5, 0.75)]
    assert calibrated([], calibration, 0.5) == []


def test_a_file_holds_both_methods(tmp_path: Path) -> None:
    scores, right = _drawn(300)
    found = {method: fit_calibration(_of(scores, right), method) for method in METHODS}
    save_calibrations(tmp_path / "c.json", found)
    assert load_calibrations(tmp_path / "c.json") == found
    assert chosen_calibration(tmp_path / "c.json", "platt") == found["platt"]
    assert chosen_calibration(tmp_path / "no such file", "none") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("platt"),
        lambda content: content["platt"].pop("all"),
        lambda content: content["platt"].update(all={"slope": -1, "intercept": 0}),
        lambda content: content["platt"].update(tree=content["platt"]["all"]),
        lambda content: content["isotonic"]["car"].update(scores=[]),
        lambda content: content["isotonic"]["car"].update(scores=[0.1, 0.2], probabilities=[0.2, 0.1]),
        lambda content: content["isotonic"]["car"].update(scores=[0.1, 0.2], probabilities=[0.2, 1.1]),
        lambda content: content["isotonic"]["car"].update(scores=[0.2, 0.1], probabilities=[0.1, 0.2]),
        lambda content: content.update(isotonic=3),
    ],
)
def test_a_damaged_file_is_refused(change, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scores, right = _drawn(300)
    path = tmp_path / "c.json"
    save_calibrations(path, {method: fit_calibration(_of(scores, right), method) for method in METHODS})
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match=r"c\.json.*Run the stage evaluate_detector again"):
        load_calibrations(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"none\.json.*Run the stage evaluate_detector again"):
        load_calibrations(tmp_path / "none.json")
