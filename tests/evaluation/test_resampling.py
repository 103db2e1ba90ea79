"""Bootstrap intervals and paired comparisons: their degenerate cases, and that they cover what they should."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.confusion import confusion_matrix, ious, mean_of_present, pixel_accuracy
from synth2real.evaluation.comparison import SeedScores, compare, compare_ladder, seed_scores
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


def _scores(*pixels: np.ndarray) -> SeedScores:
    return seed_scores(pixels, _CITYSCAPES19, _BOOTSTRAP)


def _compare(before: SeedScores, after: SeedScores) -> dict[str, Any]:
    return compare(before, after, _CITYSCAPES19, _BOOTSTRAP.confidence)


def test_a_prediction_gains_nothing_over_itself() -> None:
    pixels = _scores(_counts(0, 8), _counts(1, 8))
    found = _compare(pixels, pixels)
    assert (found["miou"], found["miou_sd"], found["miou_seeds"], found["miou_interval"]) == (0, 0, [0, 0], [0, 0])
    assert (found["pixel_accuracy"], found["classes_gained"], found["classes_lost"]) == (0, 0, 0)
    assert all(gain == [0, 0, 0] for gain in found["iou"].values())


def test_a_comparison_turned_round_changes_sign() -> None:
    before, after = _scores(_counts(0, 8)), _scores(_counts(0, 8, right=0.8))
    there, back = _compare(before, after), _compare(after, before)
    assert there["miou"] == -back["miou"] > 0
    assert there["miou_interval"] == [-bound for bound in back["miou_interval"][::-1]]
    assert (there["classes_gained"], there["classes_lost"]) == (back["classes_lost"], back["classes_gained"])
    assert there["classes_gained"] > 5
    assert there["miou_sd"] is None


def test_gains_are_means_over_the_seeds() -> None:
    """Against the comparison of each seed alone; equal seeds leave the single seed's interval, and no spread."""
    before, after = [_counts(seed, 8) for seed in range(3)], [_counts(seed, 8, 0.7 + seed / 20) for seed in range(3)]
    found = _compare(_scores(*before), _scores(*after))
    alone = [_compare(_scores(one), _scores(two)) for one, two in zip(before, after, strict=True)]
    gains = [item["miou"] for item in alone]
    assert found["miou_seeds"] == gains
    assert found["miou"] == pytest.approx(np.mean(gains), abs=0.01)
    assert found["miou_sd"] == pytest.approx(statistics.stdev(gains), abs=0.01)
    assert found["iou"]["road"][0] == pytest.approx(np.mean([item["iou"]["road"][0] for item in alone]), abs=0.01)
    repeated = _compare(_scores(*before[:1] * 2), _scores(*after[:1] * 2))
    assert repeated["miou_sd"] == 0
    assert (repeated["miou_interval"], repeated["iou"]) == (alone[0]["miou_interval"], alone[0]["iou"])


def test_a_class_that_one_seed_lacks_is_compared_by_the_others() -> None:
    before, after = _counts(0, 4), _counts(0, 4, right=0.9)
    lacking = [item.copy() for item in (before, after)]
    for item in lacking:
        item[:, 7], item[:, :, 7] = 0, 0
    found = _compare(_scores(before, lacking[0]), _scores(after, lacking[1]))
    assert found["iou"]["road"] == _compare(_scores(before), _scores(after))["iou"]["road"]
    assert _compare(_scores(lacking[0]), _scores(lacking[1]))["iou"]["road"] is None


def test_a_small_gain_on_every_frame_is_seen_though_frames_differ_much() -> None:
    """A twentieth of the errors mended in each frame: the intervals of the two scores overlap, that of the gain excludes 0."""
    before = _counts(0, 30) * 100
    wrong = before.copy()
    wrong[:, range(34), range(34)] = 0
    after = before - wrong // 20
    after[:, range(34), range(34)] += (wrong // 20).sum(axis=2)
    gain = _compare(_scores(before), _scores(after))
    assert 0 < gain["miou_interval"][0] <= gain["miou"] <= gain["miou_interval"][1]
    scores = [
        interval(resampled_scores(item, frame_weights(30, _BOOTSTRAP), _CITYSCAPES19)["miou"], 0.95) for item in (before, after)
    ]
    assert scores[0][1] > scores[1][0]


def _write_ladder(folder: Path, shares: dict[str, tuple[float, ...]], seeds: Sequence[int]) -> dict[str, dict[str, list[Any]]]:
    """Counts of unfused and maybe fused predictions; each seed has other errors."""
    written: dict[str, dict[str, list[Any]]] = {}
    for model, of_kinds in shares.items():
        for seed in seeds:
            kinds = {kind: _counts(seed, 5, share) for kind, share in zip(("unfused", "fused"), of_kinds, strict=False)}
            write_pixel_counts(folder / model / f"seed-{seed}.npz", list("abcde"), kinds)
            for kind, pixels in kinds.items():
                written.setdefault(model, {}).setdefault(kind, []).append(pixels)
    return written


def test_the_ladder_is_compared_step_by_step(tmp_path: Path) -> None:
    pixels = _write_ladder(tmp_path, {"source_only": (0.5, 0.6), "adapted": (0.6, 0.7), "round-1": (0.6,)}, [1, 2])
    found = compare_ladder(tmp_path, list(pixels), [1, 2], _SETTINGS)
    assert (found["label_space"], found["split"], found["frames"], found["seeds"]) == ("cityscapes19", "val", 5, [1, 2])
    assert {model: step["over"] for model, step in found["step"].items()} == {"adapted": "source_only", "round-1": "adapted"}
    expected = _compare(_scores(*pixels["source_only"]["fused"]), _scores(*pixels["adapted"]["fused"]))
    assert found["step"]["adapted"]["fused"] == expected
    assert expected["miou"] > 0
    assert set(found["step"]["round-1"]) == {"over", "unfused"}
    assert found["step"]["round-1"]["unfused"]["miou"] == 0
    assert set(found["fusion"]) == {"source_only", "adapted"}
    assert found["fusion"]["adapted"]["miou"] > 0
    alone = compare_ladder(tmp_path, ["adapted"], [1], _SETTINGS)
    assert alone["step"] == {}
    assert alone["model"]["adapted"]["unfused"]["miou_sd"] is None


def test_models_are_summed_up_over_the_seeds(tmp_path: Path) -> None:
    pixels = _write_ladder(tmp_path, {"source_only": (0.5,), "adapted": (0.6, 0.7), "oracle": (0.9, 0.8)}, [3, 4])
    found = compare_ladder(tmp_path, list(pixels), [3, 4], _SETTINGS)["model"]
    assert {model: set(kinds) for model, kinds in found.items()} == {model: set(kinds) for model, kinds in pixels.items()}
    for model, kinds in pixels.items():
        for kind, of_seeds in kinds.items():
            mious = [100 * mean_of_present(ious(confusion_matrix(item.sum(axis=0), _CITYSCAPES19))) for item in of_seeds]
            row = found[model][kind]
            assert row["miou"] == round(float(np.mean(mious)), 2)
            assert row["miou_sd"] == round(statistics.stdev(map(float, mious)), 2)
            assert row["miou_seeds"] == [round(float(miou), 2) for miou in mious]
            draws = _scores(*of_seeds)["miou"][:, 1:]
            assert row["miou_interval"] == [round(100 * float(bound), 2) for bound in interval(draws.mean(axis=0), 0.95)]
            assert row["classes_present"] == 19
    low, high = found["source_only"]["unfused"]["miou"], found["oracle"]["unfused"]["miou"]
    assert (found["source_only"]["unfused"]["gap_closed"], found["oracle"]["unfused"]["gap_closed"]) == (0, 100)
    share = 100 * (found["adapted"]["fused"]["miou"] - low) / (high - low)
    assert found["adapted"]["fused"]["gap_closed"] == pytest.approx(share, abs=0.1)
    assert 0 < found["adapted"]["unfused"]["gap_closed"] < found["adapted"]["fused"]["gap_closed"] < 100


def test_no_gap_is_closed_without_an_oracle_or_by_a_bad_one(tmp_path: Path) -> None:
    _write_ladder(tmp_path, {"source_only": (0.5,), "adapted": (0.6,), "oracle": (0.4,)}, [1])
    for models in (["source_only", "adapted"], ["source_only", "adapted", "oracle"]):
        found = compare_ladder(tmp_path, models, [1], _SETTINGS)["model"]
        assert {kinds["unfused"]["gap_closed"] for kinds in found.values()} == {None}


def test_models_scored_on_other_frames_are_refused(tmp_path: Path) -> None:
    for model, frame_ids in (("one", "abc"), ("two", "abx")):
        write_pixel_counts(tmp_path / model / "seed-1.npz", list(frame_ids), {"unfused": _counts(0, 3)})
    with pytest.raises(
        FrameError, match=r"two/seed-1\.npz: scored on 3 frames, .*one/seed-1\.npz on 3, and they are not the same"
    ):
        compare_ladder(tmp_path, ["one", "two"], [1], _SETTINGS)


def test_missing_and_unlike_seeds_are_named(tmp_path: Path) -> None:
    _write_ladder(tmp_path, {"one": (0.5, 0.6)}, [1])
    with pytest.raises(FrameError, match=r"one/seed-2\.npz: no such file"):
        compare_ladder(tmp_path, ["one"], [1, 2], _SETTINGS)
    _write_ladder(tmp_path, {"one": (0.5,)}, [2])
    with pytest.raises(FrameError, match=r"one/seed-2\.npz: holds the predictions unfused, another seed's unfused, fused"):
        compare_ladder(tmp_path, ["one"], [1, 2], _SETTINGS)
    for models, seeds in (([], [1]), (["one"], [])):
        with pytest.raises(FrameError, match="nothing to compare for ladder"):
            compare_ladder(tmp_path, models, seeds, _SETTINGS)


@pytest.mark.parametrize("values", [{"samples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_settings_have_ranges(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be"):
        BootstrapSettings(**({"samples": 5, "confidence": 0.5, "seed": 1} | values))  # type: ignore[arg-type]
