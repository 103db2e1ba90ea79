"""Pseudo-labels: what is kept, what is ignored, and the shares that are reported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synth2real.frames import (
    Frame,
    FrameError,
    read_frames,
    write_confidence,
    write_frames,
    write_instances,
    write_label,
)
from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS, UNLABELED_ID, VEIS_LABELS
from synth2real.pseudo_labels import PseudoLabelSettings, class_thresholds, near_edges, pseudo_label, pseudo_label_frames

_ALL = PseudoLabelSettings(variant="fused", portion=1.0, min_confidence=0.0, border=0)
_FOREGROUND = [label.label_id for label in VEIS_LABELS]
_SEEDS = st.integers(0, 2**32 - 1)
_SIZES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)


def _fused(rng: np.random.Generator, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    instance_ids = rng.integers(0, NUM_LABEL_IDS, size).astype(np.uint16)
    pasted = rng.random(size) < 0.4
    instance_ids[pasted] = rng.choice(_FOREGROUND, pasted.sum()) * INSTANCE_FACTOR + rng.integers(0, 1000, pasted.sum())
    return np.where(pasted, instance_ids // INSTANCE_FACTOR, instance_ids).astype(np.uint8), instance_ids


@given(_SEEDS, _SIZES)
def test_only_foreground_in_holes_is_removed(seed: int, size: tuple[int, ...]) -> None:
    label_ids, instance_ids = _fused(np.random.default_rng(seed), size)
    result = pseudo_label(label_ids, instance_ids, _ALL)
    removed = result != label_ids
    assert result.dtype == np.uint8
    assert (result[removed] == UNLABELED_ID).all()
    np.testing.assert_array_equal(removed, (instance_ids < INSTANCE_FACTOR) & np.isin(label_ids, _FOREGROUND))


@given(_SEEDS, _SIZES)
def test_all_foreground_is_removed_where_only_background_is_wanted(seed: int, size: tuple[int, ...]) -> None:
    label_ids, instance_ids = _fused(np.random.default_rng(seed), size)
    result = pseudo_label(label_ids, instance_ids, replace(_ALL, variant="background"))
    np.testing.assert_array_equal(result, np.where(np.isin(label_ids, _FOREGROUND), UNLABELED_ID, label_ids))
    np.testing.assert_array_equal(pseudo_label(label_ids, instance_ids, replace(_ALL, variant="all")), label_ids)


@given(_SEEDS, _SIZES, st.booleans(), st.booleans(), st.integers(0, 2))
def test_filters_remove_what_they_say_and_only_that(
    seed: int, size: tuple[int, ...], is_thresholded: bool, is_compared: bool, border: int
) -> None:
    rng = np.random.default_rng(seed)
    label_ids, instance_ids = _fused(rng, size)
    confidence = rng.integers(0, 256, size).astype(np.uint8)
    thresholds = rng.integers(0, 256, NUM_LABEL_IDS).astype(np.uint8)
    other = np.where(rng.random(size) < 0.5, label_ids, rng.integers(0, NUM_LABEL_IDS, size)).astype(np.uint8)
    result = pseudo_label(
        label_ids,
        instance_ids,
        replace(_ALL, border=border),
        confidence=confidence if is_thresholded else None,
        thresholds=thresholds,
        other=other if is_compared else None,
    )
    expected = pseudo_label(label_ids, instance_ids, _ALL)
    for (row, column), label_id in np.ndenumerate(label_ids):
        around = label_ids[max(0, row - border) : row + border + 1, max(0, column - border) : column + border + 1]
        is_hole = instance_ids[row, column] < INSTANCE_FACTOR
        if (
            (is_thresholded and is_hole and confidence[row, column] < thresholds[label_id])
            or (is_compared and is_hole and other[row, column] != label_id)
            or (around != label_id).any()
        ):
            expected[row, column] = UNLABELED_ID
    np.testing.assert_array_equal(result, expected)


def test_a_border_lies_on_both_sides_of_an_edge() -> None:
    label_ids = np.repeat(np.array([7, 11], np.uint8), 5)[None].repeat(3, axis=0)
    np.testing.assert_array_equal(near_edges(label_ids, 2)[1], [0, 0, 0, 1, 1, 1, 1, 0, 0, 0])
    assert not near_edges(label_ids[:, :5], 2).any()


# --- Thresholds --------------------------------------------------------------------------------------------------------


def _histograms(label_ids: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    histograms = np.zeros((NUM_LABEL_IDS, 256), np.int64)
    np.add.at(histograms, (label_ids, confidence), 1)
    return histograms


@given(_SEEDS, st.integers(1, 400), st.integers(1, 256), st.floats(0.001, 1))
def test_thresholds_are_those_of_sorted_confidences(seed: int, pixels: int, levels: int, portion: float) -> None:
    """The published procedure: sort each class's confidences, and read off the one at the portion."""
    rng = np.random.default_rng(seed)
    label_ids, confidence = rng.integers(0, 5, pixels), rng.integers(256 - levels, 256, pixels)
    found = class_thresholds(_histograms(label_ids, confidence), portion, 0.0)
    assert found.dtype == np.uint8
    assert not found[5:].any()
    for label_id in range(5):
        descending = np.sort(confidence[label_ids == label_id])[::-1]
        if len(descending):
            rank = int(np.ceil(portion * len(descending)))
            assert found[label_id] == descending[rank - 1]


@given(_SEEDS, st.floats(0.001, 1), st.floats(0.001, 1), st.floats(0, 1), st.floats(0, 1))
def test_stricter_thresholds_never_keep_more(seed: int, one: float, other: float, low: float, high: float) -> None:
    rng = np.random.default_rng(seed)
    histograms = rng.integers(0, 5, (NUM_LABEL_IDS, 256)) * (rng.random((NUM_LABEL_IDS, 256)) < 0.1)
    loose, strict = (
        class_thresholds(histograms, portion, floor)
        for portion, floor in zip((max(one, other), min(one, other)), sorted((low, high)), strict=True)
    )
    assert (loose <= strict).all()


def test_the_floor_counts_where_it_is_higher() -> None:
    histograms = _histograms(np.array([7, 7, 8, 8]), np.array([250, 240, 90, 80]))
    found = class_thresholds(histograms, 0.5, 0.6)
    assert (found[7], found[8], found[11]) == (250, 153, 153)
    assert class_thresholds(histograms, 1.0, 0.9)[11] == 230  # 0.9 * 255 is 229.5
    assert class_thresholds(histograms, 1.0, 0.0)[11] == 0
    assert class_thresholds(histograms, 1.0, 1.0)[7] == 255


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"portion": 0.0}, r"portion must be in \(0, 1\]"),
        ({"portion": 1.1}, r"portion must be in \(0, 1\]"),
        ({"min_confidence": -0.1}, r"min_confidence must be in \[0, 1\]"),
        ({"min_confidence": 1.1}, r"min_confidence must be in \[0, 1\]"),
        ({"border": -1}, r"border must be in 0\.\.100"),
    ],
)
def test_settings_have_ranges(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(_ALL, **values)  # type: ignore[arg-type]


# --- Frame sets --------------------------------------------------------------------------------------------------------


def _write(root: Path) -> None:
    road_car = np.array([[7, 7, 7, 26], [7, 7, 26, 26]], np.uint8)
    instance_ids = np.array([[7, 7, 7, 26000], [7, 7, 26, 26]], np.uint16)
    frames = [Frame("a", "train", 2, 4), Frame("b", "val", 2, 4)]
    for frame in frames:
        write_label(root / "labels" / f"{frame.frame_id}.png", road_car)
        write_instances(root / "instances" / f"{frame.frame_id}.png", instance_ids)
    write_frames(root, frames)


def _write_semantics(root: Path, confidence: list[list[int]]) -> Path:
    """What :func:`_write` was fused from, with a building under the detected car."""
    frames = [Frame("a", "train", 2, 4)]
    write_label(root / "labels/a.png", np.array([[7, 7, 7, 11], [7, 7, 26, 26]], np.uint8))
    write_confidence(root / "confidences/a.png", np.array(confidence, np.uint8))
    write_frames(root, frames)
    return root


def _labelled(
    tmp_path: Path, settings: PseudoLabelSettings, agree_with: Path | None = None
) -> tuple[dict[str, object], np.ndarray]:
    shares = pseudo_label_frames(
        tmp_path / "fused", tmp_path / "semantics", tmp_path / "out", settings, agree_with=agree_with, workers=1
    )
    labelled = read_frames(tmp_path / "out")
    assert [frame.frame_id for frame in labelled.frames] == ["a"]
    return shares, labelled.label(labelled.frames[0])


def test_the_training_split_is_labelled_and_its_shares_are_reported(tmp_path: Path) -> None:
    _write(tmp_path / "fused")
    agreeing = tmp_path / "semantics"  # which is what was fused, so it is not read
    shares, label_ids = _labelled(tmp_path, _ALL, agree_with=agreeing)
    np.testing.assert_array_equal(label_ids, [[7, 7, 7, 26], [7, 7, 0, 0]])
    classes, kept, thresholds = (shares.pop(key) for key in ("classes", "kept_of_class", "thresholds"))
    assert shares == {"frames": 1, "kept": 75.0, "kept_holes": 71.43}
    assert isinstance(classes, dict)
    assert isinstance(kept, dict)
    assert isinstance(thresholds, dict)
    assert {name: share for name, share in classes.items() if share} == {"road": 83.33, "car": 16.67}
    assert {name: share for name, share in kept.items() if share is not None} == {"road": 100.0, "car": 33.33}
    assert len(classes) == len(kept) == 19
    assert set(thresholds.values()) == {0.0}
    assert set(thresholds).isdisjoint(label.name for label in VEIS_LABELS)
    assert len(thresholds) == 9


@pytest.mark.parametrize(("portion", "floor", "road"), [(0.5, 0.0, 200), (1.0, 0.8, 204), (0.2, 0.5, 250), (0.9, 0.5, 128)])
def test_unsure_pixels_in_the_holes_are_ignored(tmp_path: Path, portion: float, floor: float, road: int) -> None:
    """The instance keeps its pixel, whatever the confidence under it."""
    _write(tmp_path / "fused")
    confidence = [[250, 210, 200, 0], [130, 100, 255, 255]]
    _write_semantics(tmp_path / "semantics", confidence)
    shares, label_ids = _labelled(tmp_path, replace(_ALL, portion=portion, min_confidence=floor))
    expected = np.where(np.array(confidence) >= road, [[7, 7, 7, 0], [7, 7, 0, 0]], 0)
    expected[0, 3] = 26
    np.testing.assert_array_equal(label_ids, expected)
    thresholds = shares["thresholds"]
    assert isinstance(thresholds, dict)
    assert thresholds["road"] == round(road / 255, 3)
    assert thresholds["sky"] == round(np.ceil(255 * floor) / 255, 3)
    shares, label_ids = _labelled(tmp_path, replace(_ALL, variant="all", portion=portion, min_confidence=floor))
    expected[1, 2:] = 26
    np.testing.assert_array_equal(label_ids, expected)
    thresholds = shares["thresholds"]
    assert isinstance(thresholds, dict)
    assert (thresholds["car"], len(thresholds)) == (1.0 if portion < 1 else floor, 19)


def test_what_another_prediction_denies_is_ignored(tmp_path: Path) -> None:
    _write(tmp_path / "fused")
    other = tmp_path / "other"
    write_label(other / "labels/a.png", np.array([[7, 8, 7, 7], [11, 7, 26, 26]], np.uint8))
    write_frames(other, [Frame("a", "train", 2, 4)])
    _, label_ids = _labelled(tmp_path, _ALL, other)
    np.testing.assert_array_equal(label_ids, [[7, 0, 7, 26], [0, 7, 0, 0]])
    _, label_ids = _labelled(tmp_path, replace(_ALL, variant="background", border=1), other)
    np.testing.assert_array_equal(label_ids, [[7, 0, 0, 0], [0, 0, 0, 0]])


def test_frames_are_read_in_any_number_of_processes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [Frame(f"f{index}", "train", 8, 12) for index in range(5)]
    for frame in frames:
        label_ids, instance_ids = _fused(rng, (8, 12))
        write_label(tmp_path / "fused/labels" / f"{frame.frame_id}.png", label_ids)
        write_instances(tmp_path / "fused/instances" / f"{frame.frame_id}.png", instance_ids)
        write_label(tmp_path / "semantics/labels" / f"{frame.frame_id}.png", label_ids)
        write_confidence(
            tmp_path / "semantics/confidences" / f"{frame.frame_id}.png", rng.integers(0, 256, (8, 12)).astype(np.uint8)
        )
    for name in ("fused", "semantics"):
        write_frames(tmp_path / name, frames)
    settings = replace(_ALL, portion=0.5)
    one, two = (
        pseudo_label_frames(tmp_path / "fused", tmp_path / "semantics", tmp_path / f"out-{workers}", settings, workers=workers)
        for workers in (1, 2)
    )
    assert one == two
    for frame in frames:
        name = f"labels/{frame.frame_id}.png"
        assert (tmp_path / "out-1" / name).read_bytes() == (tmp_path / "out-2" / name).read_bytes()


# --- Faults ------------------------------------------------------------------------------------------------------------


def test_missing_instances_or_training_frames_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "fused")
    (tmp_path / "fused/instances/a.png").unlink()
    with pytest.raises(FrameError, match=r"instances/a\.png: no such file"):
        _labelled(tmp_path, _ALL)
    assert not (tmp_path / "out/frames.csv").exists()
    write_frames(tmp_path / "fused", [Frame("b", "val", 2, 4)])
    with pytest.raises(FrameError, match="no frame of split train; it has val"):
        _labelled(tmp_path, _ALL)


@pytest.mark.parametrize("values", [{"portion": 0.5}, {"min_confidence": 0.5}])
def test_missing_confidences_name_the_remedy(tmp_path: Path, values: dict[str, float]) -> None:
    _write(tmp_path / "fused")
    settings = replace(_ALL, **values)  # type: ignore[arg-type]
    with pytest.raises(FrameError, match=r"semantics: no frames\.csv"):
        _labelled(tmp_path, settings)
    semantics = _write_semantics(tmp_path / "semantics", [[255] * 4] * 2)
    (semantics / "confidences/a.png").unlink()
    message = (
        r"no confidences of 1 of the 1 training frames, .*a\.png.*Set predict_semantics\.confidence to true and predict again"
    )
    with pytest.raises(FrameError, match=message):
        _labelled(tmp_path, settings)
    assert not (tmp_path / "out").exists()


def test_confidences_of_another_prediction_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "fused")
    semantics = _write_semantics(tmp_path / "semantics", [[255] * 4] * 2)
    write_label(semantics / "labels/a.png", np.full((2, 4), 8, np.uint8))
    with pytest.raises(FrameError, match=r"fused/labels/a\.png was not fused from .*semantics/labels/a\.png"):
        _labelled(tmp_path, replace(_ALL, portion=0.5))


def test_other_frames_and_sizes_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "fused")
    other = tmp_path / "other"
    write_frames(other, [Frame("b", "val", 2, 4)])
    with pytest.raises(FrameError, match=r"other: no frame 'a', which .*fused has"):
        _labelled(tmp_path, _ALL, other)
    write_frames(other, [Frame("a", "train", 4, 8)])
    with pytest.raises(FrameError, match=r"other/labels/a\.png is 4x8 .*fused/labels/a\.png is 2x4"):
        _labelled(tmp_path, _ALL, other)
