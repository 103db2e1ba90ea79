"""Bootstrap intervals and paired comparisons: their degenerate cases, and that they cover what they should."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.confusion import confusion_matrix, ious, mean_of_present, pixel_accuracy
from synth2real.evaluation.comparison import compare, compare_ladder
from synth2real.evaluation.counts import write_pixel_counts
from synth2real.evaluation.evaluate import EvaluationSettings
from synth2real.evaluation.resampling import BootstrapSettings, frame_weights, interval, resampled_scores
from synth2real.frames import FrameError
from synth2real.label_space import LABEL_SPACES, LabelSpace

_CITYSCAPES19 = LABEL_SPACES["cityscapes19"]
_SPACES = st.sampled_from(list(LABEL_SPACES.values()))
_BOOTSTRAP = BootstrapSettings(samples=200, confidence=0.95, seed=1)
_SETTINGS = EvaluationSettings(label_space="cityscapes19", split="val", boundary_tolerance=None, bootstrap=_BOOTSTRAP)


def _counts(seed: int, frames: int, right: float = 0.6) -> np.ndarray:
    """Counts of frames that differ in what they show and in how much of it is right."""
    rng = np.random.default_rng(seed)
    pixels = rng.poisson(rng.exponential(30, (frames, 34, 1)) * (1 - right) / 5, (frames, 34, 34))
    pixels[:, range(34), range(34)] += rng.poisson(rng.exponential(300, (frames, 34)) * right)
    return (pixels * (rng.random((frames, 34, 1)) < 0.7)).astype(np.int32)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 12), _SPACES)
def test_each_resample_is_scored_as_the_frames_drawn(seed: int, frames: int, space: LabelSpace) -> None:
    pixels = _counts(seed, frames)
    weights = frame_weights(frames, BootstrapSettings(samples=3, confidence=0.9, seed=seed))
    assert (weights.sum(axis=1) == frames).all()
    found = resampled_scores(pixels, weights, space)
    for number, drawn in enumerate(weights.astype(int)):
        confusion = confusion_matrix(np.repeat(pixels, drawn, axis=0).sum(axis=0), space)
        np.testing.assert_array_equal(found["iou"][number], ious(confusion))
        np.testing.assert_array_equal(found["miou"][number], mean_of_present(ious(confusion)))
        np.testing.assert_array_equal(found["pixel_accuracy"][number], pixel_accuracy(confusion))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 6), _SPACES)
def test_equal_frames_leave_no_doubt(seed: int, frames: int, space: LabelSpace) -> None:
    pixels = np.repeat(_counts(seed, 1), frames, axis=0)
    point = resampled_scores(pixels, np.ones((1, frames)), space)
    samples = resampled_scores(pixels, frame_weights(frames, _BOOTSTRAP), space)
    for key, value in point.items():
        for bound in interval(samples[key], 0.95):
            np.testing.assert_allclose(bound, value[0], rtol=1e-12)


def test_intervals_cover_the_truth_about_as_often_as_promised() -> None:
    """Of 200 draws of 60 frames from a large set, its pixel accuracy is in nine of ten intervals of 90%."""
    everything = _counts(0, 4000)
    truth = resampled_scores(everything, np.ones((1, 4000)), _CITYSCAPES19)["pixel_accuracy"][0]
    rng = np.random.default_rng(1)
    weights = frame_weights(60, BootstrapSettings(samples=200, confidence=0.9, seed=2))
    covered = 0
    for _ in range(200):
        drawn = everything[rng.choice(4000, 60, replace=False)]
        low, high = interval(resampled_scores(drawn, weights, _CITYSCAPES19)["pixel_accuracy"], 0.9)
        covered += low <= truth <= high
    assert 165 <= covered <= 195


def test_more_confidence_widens_an_interval() -> None:
    samples = resampled_scores(_counts(0, 20), frame_weights(20, _BOOTSTRAP), _CITYSCAPES19)["miou"]
    widths = [float(np.ptp(interval(samples, confidence))) for confidence in (0.5, 0.9, 0.99)]
    assert widths == sorted(widths)
    assert widths[0] > 0


def test_a_score_that_no_resample_has_has_no_interval() -> None:
    assert np.isnan(interval(np.array([[np.nan, 1.0], [np.nan, np.nan]]), 0.9)).tolist() == [[True, False], [True, False]]


def test_a_prediction_gains_nothing_over_itself() -> None:
    pixels = _counts(0, 8)
    found = compare(pixels, pixels, _CITYSCAPES19, _BOOTSTRAP)
    assert (found["miou"], found["miou_interval"], found["pixel_accuracy"]) == (0, [0, 0], 0)
    assert (found["classes_gained"], found["classes_lost"]) == (0, 0)
    assert all(gain == [0, 0, 0] for gain in found["iou"].values())


def test_a_comparison_turned_round_changes_sign() -> None:
    before, after = _counts(0, 8), _counts(0, 8, right=0.8)
    there, back = compare(before, after, _CITYSCAPES19, _BOOTSTRAP), compare(after, before, _CITYSCAPES19, _BOOTSTRAP)
    assert there["miou"] == -back["miou"] > 0
    assert there["miou_interval"] == [-bound for bound in back["miou_interval"][::-1]]
    assert (there["classes_gained"], there["classes_lost"]) == (back["classes_lost"], back["classes_gained"])
    assert there["classes_gained"] > 5


def test_a_small_gain_on_every_frame_is_seen_though_frames_differ_much() -> None:
    """A twentieth of the errors mended in each frame: the intervals of the two scores overlap, that of the gain excludes 0."""
    before = _counts(0, 30) * 100
    wrong = before.copy()
    wrong[:, range(34), range(34)] = 0
    after = before - wrong // 20
    after[:, range(34), range(34)] += (wrong // 20).sum(axis=2)
    gain = compare(before, after, _CITYSCAPES19, _BOOTSTRAP)
    assert 0 < gain["miou_interval"][0] <= gain["miou"] <= gain["miou_interval"][1]
    scores = [
        interval(resampled_scores(item, frame_weights(30, _BOOTSTRAP), _CITYSCAPES19)["miou"], 0.95) for item in (before, after)
    ]
    assert scores[0][1] > scores[1][0]


def test_the_ladder_is_compared_step_by_step(tmp_path: Path) -> None:
    pixels = {
        model: {kind: _counts(0, 5, right) for kind, right in zip(("unfused", "fused"), shares, strict=True)}
        for model, shares in {"source_only": (0.5, 0.6), "adapted": (0.6, 0.7), "round-1": (0.6, 0.5)}.items()
    }
    del pixels["round-1"]["fused"]
    for model, kinds in pixels.items():
        write_pixel_counts(tmp_path / f"{model}.npz", list("abcde"), kinds)
    found = compare_ladder(tmp_path, list(pixels), _SETTINGS)
    assert (found["label_space"], found["split"], found["frames"]) == ("cityscapes19", "val", 5)
    assert {model: step["over"] for model, step in found["step"].items()} == {"adapted": "source_only", "round-1": "adapted"}
    expected = compare(pixels["source_only"]["fused"], pixels["adapted"]["fused"], _CITYSCAPES19, _BOOTSTRAP)
    assert found["step"]["adapted"]["fused"] == expected
    assert expected["miou"] > 0
    assert set(found["step"]["round-1"]) == {"over", "unfused"}
    assert found["step"]["round-1"]["unfused"]["miou"] == 0
    assert set(found["fusion"]) == {"source_only", "adapted"}
    assert found["fusion"]["adapted"]["miou"] > 0
    assert compare_ladder(tmp_path, ["adapted"], _SETTINGS)["step"] == {}


def test_models_scored_on_other_frames_are_refused(tmp_path: Path) -> None:
    for model, frame_ids in (("one", "abc"), ("two", "abx")):
        write_pixel_counts(tmp_path / f"{model}.npz", list(frame_ids), {"unfused": _counts(0, 3)})
    with pytest.raises(FrameError, match=r"two\.npz: scored on 3 frames, .*one\.npz on 3, and they are not the same"):
        compare_ladder(tmp_path, ["one", "two"], _SETTINGS)


@pytest.mark.parametrize("values", [{"samples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_settings_have_ranges(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be"):
        BootstrapSettings(**({"samples": 5, "confidence": 0.5, "seed": 1} | values))  # type: ignore[arg-type]
