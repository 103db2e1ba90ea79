"""Fusion: equal to the published procedure step by step, its properties, and faults that name the file."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.detections import Detection, decode_mask, detections_path, encode_masks, write_detections
from synth2real.frames import Frame, FrameError, read_frames, write_confidence, write_frames, write_label
from synth2real.fusion import FusionSettings, fuse, fuse_frames
from synth2real.label_space import INSTANCE_FACTOR, TRAIN_LABELS, VEIS_LABELS

_ALL = FusionSettings(score_threshold=0.0, rider_overlap=None, mask_overlap=None, semantic_weight=0.0, holes="semantic")
_SIZE = (12, 17)
_ROOT = Path(__file__).parents[1]


def _detection(mask: np.ndarray, category_id: int, score: float) -> Detection:
    height, width = mask.shape
    return Detection(category_id, score, (0.0, 0.0, float(width), float(height)), (height, width), encode_masks(mask[None])[0])


_SEEDS = st.integers(0, 2**32 - 1)
_SCORES = st.integers(0, 20).map(lambda value: value / 20)


def _scene(seed: int, scores: list[float]) -> tuple[np.ndarray, list[Detection]]:
    """A random semantic prediction, and random masks of random classes with the given scores."""
    rng = np.random.default_rng(seed)
    semantic = rng.choice([label.label_id for label in TRAIN_LABELS], _SIZE).astype(np.uint8)
    masks = [rng.random(_SIZE) < rng.random() for _ in scores]
    return semantic, [_detection(mask, int(rng.integers(1, 11)), score) for mask, score in zip(masks, scores, strict=True)]


@given(_SEEDS, st.lists(_SCORES, max_size=8))
def test_equals_the_published_procedure(seed: int, scores: list[float]) -> None:
    semantic, detections = _scene(seed, scores)
    expected, taken = semantic.copy(), np.zeros(_SIZE, bool)
    for item in sorted(detections, key=lambda item: item.score, reverse=True):
        free = decode_mask(item) & ~taken
        expected[free] = VEIS_LABELS[item.category_id - 1].label_id
        taken |= free
    fused = fuse(semantic, detections, _ALL)
    np.testing.assert_array_equal(fused.label_ids, expected)
    np.testing.assert_array_equal(fused.instance_ids >= INSTANCE_FACTOR, taken)
    assert fused.label_ids.dtype == np.uint8
    assert fused.instance_ids.dtype == np.uint16


@given(_SEEDS, st.lists(_SCORES, max_size=8))
def test_holes_are_the_semantic_prediction(seed: int, scores: list[float]) -> None:
    semantic, detections = _scene(seed, scores)
    fused = fuse(semantic, detections, _ALL)
    hole = ~np.any([decode_mask(item) for item in detections], axis=0) if detections else np.ones(_SIZE, bool)
    np.testing.assert_array_equal(fused.label_ids[hole], semantic[hole])
    np.testing.assert_array_equal(fused.instance_ids[hole], semantic[hole])
    assert (fused.instance_ids[~hole] >= INSTANCE_FACTOR).all()


@given(_SEEDS, st.permutations([value / 9 for value in range(8)]), st.permutations(range(8)))
def test_the_best_is_never_overwritten_and_order_is_irrelevant(seed: int, scores: list[float], order: list[int]) -> None:
    semantic, detections = _scene(seed, scores)
    fused = fuse(semantic, detections, _ALL)
    again = fuse(semantic, [detections[index] for index in order], _ALL)
    np.testing.assert_array_equal(fused.label_ids, again.label_ids)
    np.testing.assert_array_equal(fused.instance_ids, again.instance_ids)
    best = max(detections, key=lambda item: item.score)
    assert (fused.label_ids[decode_mask(best)] == VEIS_LABELS[best.category_id - 1].label_id).all()


@given(_SEEDS, st.lists(_SCORES, max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_threshold_never_pastes_more(seed: int, scores: list[float], one: float, other: float) -> None:
    semantic, detections = _scene(seed, scores)
    loose, strict = (
        fuse(semantic, detections, replace(_ALL, score_threshold=value)).instance_ids >= INSTANCE_FACTOR
        for value in (min(one, other), max(one, other))
    )
    assert not (strict & ~loose).any()


def test_instances_are_numbered_by_class_and_score() -> None:
    masks = np.zeros((3, 4, 4), bool)
    masks[0, 0], masks[1, 1], masks[2, 2] = True, True, True
    detections = [
        _detection(mask, category, score) for mask, category, score in zip(masks, (5, 5, 3), (0.1, 0.9, 0.5), strict=True)
    ]
    fused = fuse(np.full((4, 4), 7, np.uint8), detections, _ALL)
    np.testing.assert_array_equal(fused.instance_ids[:, 0], [26001, 26000, 24000, 7])


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"masks are 3x4 .* prediction is 6x8"):
        fuse(np.zeros((6, 8), np.uint8), [_detection(np.ones((3, 4), bool), 1, 0.5)], _ALL)


def test_more_instances_than_ids_are_refused() -> None:
    item = _detection(np.ones((2, 2), bool), 5, 0.5)
    with pytest.raises(ValueError, match="more than 1000 instances of car"):
        fuse(np.zeros((2, 2), np.uint8), [item] * 1001, _ALL)


@pytest.mark.parametrize("name", ["score_threshold", "rider_overlap", "mask_overlap", "semantic_weight"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_values_have_ranges(name: str, value: float) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name} must be in"):
        replace(_ALL, **changes)


def _voted(semantic: np.ndarray, confidence: np.ndarray, detections: list[Detection], weight: float) -> np.ndarray:
    """The vote pixel by pixel, as its definition says."""
    ranked = sorted(detections, key=lambda item: -item.score)
    masks = [decode_mask(item) for item in ranked]
    result = np.zeros_like(semantic)
    for row, column in np.ndindex(*semantic.shape):
        votes: dict[int, float] = {}
        for item, mask in zip(ranked, masks, strict=True):
            if mask[row, column]:
                votes.setdefault(VEIS_LABELS[item.category_id - 1].label_id, (1 - weight) * item.score)
        own = int(semantic[row, column])
        votes[own] = votes.get(own, 0.0) + weight / 255 * float(confidence[row, column])
        result[row, column] = max(votes, key=lambda label_id: votes[label_id])
    return result


@settings(deadline=None)
@given(_SEEDS, st.lists(st.integers(0, 20).map(lambda value: value / 21), max_size=6, unique=True), st.floats(0.05, 0.95))
def test_votes_add_up_by_class(seed: int, scores: list[float], weight: float) -> None:
    semantic, detections = _scene(seed, scores)
    confidence = np.random.default_rng(seed).integers(0, 256, _SIZE).astype(np.uint8)
    fused = fuse(semantic, detections, replace(_ALL, semantic_weight=weight), confidence)
    np.testing.assert_array_equal(fused.label_ids, _voted(semantic, confidence, detections, weight))
    is_pasted = fused.instance_ids >= INSTANCE_FACTOR
    np.testing.assert_array_equal(fused.instance_ids[is_pasted] // INSTANCE_FACTOR, fused.label_ids[is_pasted])
    np.testing.assert_array_equal(fused.label_ids[~is_pasted], semantic[~is_pasted])
    assert not (is_pasted & ~(fuse(semantic, detections, _ALL).instance_ids >= INSTANCE_FACTOR)).any()


def test_a_vote_may_go_to_an_instance_under_a_higher_one() -> None:
    semantic, everywhere = np.full((1, 3), 24, np.uint8), np.ones((1, 3), bool)
    car, person = _detection(everywhere, 5, 0.6), _detection(everywhere, 3, 0.4)
    confidence = np.array([[0, 50, 128]], np.uint8)
    fused = fuse(semantic, [car, person], replace(_ALL, semantic_weight=0.5), confidence)
    np.testing.assert_array_equal(fused.instance_ids, [[26000, 26000, 24000]])
    unsure = fuse(semantic, [car], replace(_ALL, semantic_weight=0.5), confidence)
    np.testing.assert_array_equal(unsure.instance_ids, [[26000, 26000, 26000]])
    np.testing.assert_array_equal(fuse(semantic, [car], replace(_ALL, semantic_weight=0.9), confidence).label_ids, [[26, 24, 24]])


def test_votes_without_confidences_are_refused() -> None:
    with pytest.raises(ValueError, match=r"semantic_weight needs .*predict_semantics\.confidence"):
        fuse(np.zeros((2, 2), np.uint8), [], replace(_ALL, semantic_weight=0.5))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own, under NumPy 2
@given(_SEEDS, st.lists(_SCORES, max_size=8, unique=True), st.floats(0, 1))
def test_masks_are_suppressed_within_their_class(seed: int, scores: list[float], overlap: float) -> None:
    semantic, detections = _scene(seed, scores)
    kept: list[Detection] = []
    for item in sorted(detections, key=lambda item: -item.score):
        mask = decode_mask(item)
        others = [decode_mask(other) for other in kept if other.category_id == item.category_id]
        if all((mask & other).sum() <= overlap * (mask | other).sum() for other in others):
            kept.append(item)
    fused, expected = fuse(semantic, detections, replace(_ALL, mask_overlap=overlap)), fuse(semantic, kept, _ALL)
    np.testing.assert_array_equal(fused.instance_ids, expected.instance_ids)


def _box(category_id: int, left: int, top: int, right: int, bottom: int) -> Detection:
    mask = np.zeros((20, 20), bool)
    mask[top:bottom, left:right] = True
    box = (float(left), float(top), float(right - left), float(bottom - top))
    return _detection(mask, category_id, 0.5)._replace(bbox=box)


@pytest.mark.parametrize(
    ("person", "other", "label"),
    [
        ((5, 2, 9, 12), (10, 3, 8, 13, 16), 25),  # on a bicycle
        ((5, 2, 9, 12), (9, 3, 8, 13, 16), 25),  # on a motorcycle
        ((5, 2, 9, 12), (5, 3, 8, 13, 16), 24),  # before a car
        ((5, 2, 9, 17), (10, 3, 8, 13, 16), 24),  # feet on the ground
        ((14, 2, 18, 12), (10, 3, 8, 13, 16), 24),  # beside
        ((12, 2, 18, 12), (10, 3, 8, 13, 16), 24),  # 4 of 60 pixels shared
    ],
)
def test_persons_on_two_wheelers_are_riders(person: tuple[int, ...], other: tuple[int, ...], label: int) -> None:
    category, *box = other
    detections = [_box(3, *person), _box(category, *box)]
    semantic = np.full((20, 20), 7, np.uint8)
    fused = fuse(semantic, detections, replace(_ALL, rider_overlap=0.2))
    assert fused.instance_ids[person[1], person[0]] == label * INSTANCE_FACTOR
    assert fuse(semantic, detections, _ALL).instance_ids[person[1], person[0]] == 24000


def test_a_rider_found_twice_is_pasted_once() -> None:
    rider, person, bicycle = _box(4, 5, 2, 9, 12), _box(3, 5, 2, 9, 12)._replace(score=0.4), _box(10, 3, 8, 13, 16)
    both = replace(_ALL, rider_overlap=0.2, mask_overlap=0.5)
    fused = fuse(np.full((20, 20), 7, np.uint8), [rider._replace(score=0.3), person, bicycle], both)
    assert set(np.unique(fused.instance_ids)) == {7, 25000, 33000}


def test_unconfirmed_foreground_becomes_the_nearest_background() -> None:
    semantic = np.array([[7, 26, 26, 11, 11], [7, 24, 24, 11, 11]], np.uint8)
    mask = np.zeros((2, 5), bool)
    mask[0, 1] = True
    background = replace(_ALL, holes="background")
    fused = fuse(semantic, [_detection(mask, 5, 0.5)], background)
    np.testing.assert_array_equal(fused.label_ids, [[7, 26, 11, 11, 11], [7, 7, 11, 11, 11]])
    np.testing.assert_array_equal(fused.instance_ids, [[7, 26000, 11, 11, 11], [7, 7, 11, 11, 11]])
    nothing = fuse(np.full((2, 2), 24, np.uint8), [], background)
    np.testing.assert_array_equal(nothing.label_ids, np.zeros((2, 2)))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(_SEEDS, st.lists(_SCORES, max_size=4))
def test_background_holes_hold_no_foreground(seed: int, scores: list[float]) -> None:
    semantic, detections = _scene(seed, scores)
    fused, paper = fuse(semantic, detections, replace(_ALL, holes="background")), fuse(semantic, detections, _ALL)
    foreground = [label.label_id for label in VEIS_LABELS]
    assert not np.isin(fused.instance_ids, foreground).any()
    is_same = ~np.isin(paper.instance_ids, foreground)
    np.testing.assert_array_equal(fused.instance_ids[is_same], paper.instance_ids[is_same])


def _frame_sets(root: Path) -> tuple[Path, Path, dict[str, Detection]]:
    rng = np.random.default_rng(0)
    frames = [Frame("a", "train", *_SIZE), Frame("b", "val", *_SIZE)]
    detections = {}
    for frame in frames:
        write_label(root / "semantics/labels" / f"{frame.frame_id}.png", np.full(_SIZE, 7, np.uint8))
        detections[frame.frame_id] = _detection(rng.random(_SIZE) < 0.5, 5, 0.9)
        write_detections(detections_path(root / "instances", frame.frame_id), [detections[frame.frame_id]])
    write_frames(root / "semantics", frames)
    write_frames(root / "instances", frames)
    return root / "semantics", root / "instances", detections


@pytest.mark.parametrize("workers", [1, 2])
def test_frame_sets_are_fused(tmp_path: Path, workers: int) -> None:
    semantics, instances, detections = _frame_sets(tmp_path)
    fuse_frames(semantics, instances, tmp_path / "fused", _ALL, workers=workers)
    fused = read_frames(tmp_path / "fused")
    assert fused.frames == read_frames(semantics).frames
    for frame in fused.frames:
        mask = decode_mask(detections[frame.frame_id])
        np.testing.assert_array_equal(fused.label(frame), np.where(mask, 26, 7))
        np.testing.assert_array_equal(fused.instances(frame), np.where(mask, 26000, 7))


def test_votes_read_the_confidences_and_name_missing_ones(tmp_path: Path) -> None:
    semantics, instances, _ = _frame_sets(tmp_path)
    votes = replace(_ALL, semantic_weight=0.9)
    with pytest.raises(FrameError, match=r"confidences/a\.png: no such file\. Set predict_semantics\.confidence to true"):
        fuse_frames(semantics, instances, tmp_path / "fused", votes, workers=1)
    for frame in read_frames(semantics).frames:
        write_confidence(semantics / "confidences" / f"{frame.frame_id}.png", np.full(_SIZE, 255, np.uint8))
    fuse_frames(semantics, instances, tmp_path / "fused", votes, workers=1)
    assert all((read_frames(tmp_path / "fused").label(frame) == 7).all() for frame in read_frames(semantics).frames)


def test_frames_without_detections_are_named(tmp_path: Path) -> None:
    semantics, instances, _ = _frame_sets(tmp_path)
    write_frames(instances, [Frame("a", "train", *_SIZE)])
    with pytest.raises(FrameError, match=r"no detections for 1 of the 2 frames of .*'b'"):
        fuse_frames(semantics, instances, tmp_path / "fused", _ALL, workers=1)
    assert not (tmp_path / "fused/frames.csv").exists()


def test_detections_in_frames_of_another_size_are_named(tmp_path: Path) -> None:
    semantics, instances, _ = _frame_sets(tmp_path)
    write_frames(instances, [Frame("a", "train", *_SIZE), Frame("b", "val", 6, 8)])
    with pytest.raises(FrameError, match=r"instances/detections/b\.json is of a frame of 6x8 .*labels/b\.png of 12x17"):
        fuse_frames(semantics, instances, tmp_path / "fused", _ALL, workers=1)
    assert not (tmp_path / "fused").exists()


def test_the_stage_ends_in_one_message_on_masks_of_another_size(tmp_path: Path) -> None:
    semantics, instances, _ = _frame_sets(tmp_path)
    small = _detection(np.ones((6, 8), bool), 5, 0.9)
    write_detections(detections_path(instances, "b"), [small])
    shutil.copy(_ROOT / "params.yaml", tmp_path)
    ended = subprocess.run(
        [sys.executable, _ROOT / "stages/fuse.py", "--semantics", semantics, "--instances", instances, "--out", tmp_path / "out"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(_ROOT / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(
        f"{detections_path(instances, 'b')}: the masks are 6x8 (height x width), the semantic prediction"
    )
    assert f"is 12x17; both must be at the target's own resolution (with {semantics / 'labels/b.png'})." in ended.stderr
    assert not (tmp_path / "out/frames.csv").exists()


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    semantics, instances, detections = _frame_sets(tmp_path)
    path = detections_path(instances, "b")
    write_detections(path, [detections["b"]._replace(counts=detections["b"].counts[:-2])])
    with pytest.raises(FrameError, match=r"b\.json: the run lengths"):
        fuse_frames(semantics, instances, tmp_path / "fused", _ALL, workers=1)
    path.unlink()
    with pytest.raises(FrameError, match=r"b\.json: no such file"):
        fuse_frames(semantics, instances, tmp_path / "fused", _ALL, workers=1)
    assert not (tmp_path / "fused/frames.csv").exists()
