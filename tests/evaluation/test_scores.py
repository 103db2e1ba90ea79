"""Counts and scores against the official Cityscapes evaluator, and their properties."""

import json
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.confusion import FrameCounts, confusion_matrix, count_frame, ious, mean_of_present
from synth2real.evaluation.counts import read_pixel_counts, write_pixel_counts
from synth2real.evaluation.scores import (
    as_json,
    categories,
    category_instance_ious,
    category_ious,
    instance_ious,
    majority,
    summarise,
    thing_categories,
    things,
)
from synth2real.frames import FrameError
from synth2real.label_space import LABEL_SPACES, LABELS, NUM_LABEL_IDS, TRAIN_LABELS, LabelSpace

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813

_CITYSCAPES19 = LABEL_SPACES["cityscapes19"]
_SPACES = st.sampled_from(list(LABEL_SPACES.values()))
_SEEDS = st.integers(0, 10_000)
_Frame = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Annotated and predicted label ids, annotated instance ids."""
_THINGS = [label.label_id for label in LABELS if label.is_thing]


def _maps(seed: int, ids: int, size: tuple[int, int] = (24, 32)) -> tuple[np.ndarray, np.ndarray]:
    """Annotation and prediction over some of the label ids, ignored ones among them, half of the pixels right."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(NUM_LABEL_IDS, ids, replace=False)
    annotation = rng.choice(chosen, size).astype(np.uint8)
    wrong = rng.choice(NUM_LABEL_IDS, ids, replace=False)
    return annotation, np.where(rng.random(size) < 0.5, annotation, rng.choice(wrong, size)).astype(np.uint8)


def _instances(annotation: np.ndarray, seed: int) -> np.ndarray:
    """Up to five instances of each class of things; some regions of things have none, as Cityscapes' groups."""
    number = np.random.default_rng(seed).integers(-1, 5, annotation.shape)
    is_instance = np.isin(annotation, _THINGS) & (number >= 0)
    return np.where(is_instance, annotation.astype(np.int64) * 1000 + number, annotation).astype(np.uint16)


def _officially(
    folder: Path, frames: list[tuple[np.ndarray, np.ndarray, np.ndarray]], patch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What cityscapesScripts says of the frames."""
    patch.setattr(np, "in1d", np.isin, raising=False)  # gone from NumPy 2.4, which cityscapesScripts 2.2 does not know
    patch.setattr(official.args, "JSONOutput", False)
    patch.setattr(official.args, "quiet", True)
    names: list[list[str]] = [[], []]
    for number, (annotation, prediction, instance_ids) in enumerate(frames):
        annotated, predicted = (str(folder / f"a_{number:06}_000000_{kind}.png") for kind in ("gtFine_labelIds", "pred_labelIds"))
        cv2.imwrite(annotated, annotation)
        cv2.imwrite(predicted, prediction)
        cv2.imwrite(annotated.replace("labelIds", "instanceIds"), instance_ids)
        names[0].append(annotated)
        names[1].append(predicted)
    result: dict[str, Any] = official.evaluateImgLists(names[1], names[0], official.args)
    return result


def _total(frames: list[_Frame]) -> FrameCounts:
    counts = [count_frame(annotation, [prediction], instance_ids)[0] for annotation, prediction, instance_ids in frames]
    instances = [item.instances for item in counts if item.instances is not None]
    return FrameCounts(np.sum([item.pixels for item in counts], axis=0), np.sum(instances, axis=0))


@pytest.mark.parametrize("ids", [2, 5, 12, 34])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_official_evaluator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, ids: int) -> None:
    pairs = [_maps(100 * seed + number, ids, (48, 64)) for number in range(3)]
    frames = [(*pair, _instances(pair[0], seed)) for pair in pairs]
    expected = _officially(tmp_path, frames, monkeypatch)
    counts = _total(frames)
    np.testing.assert_array_equal(counts.pixels, np.array(expected["confMatrix"])[:NUM_LABEL_IDS, :NUM_LABEL_IDS])
    space = _CITYSCAPES19
    confusion = confusion_matrix(counts.pixels, space)
    for key, mean, names, scores in (
        ("classScores", "averageScoreClasses", space.class_names, ious(confusion)),
        ("classInstScores", "averageScoreInstClasses", things(space), instance_ious(counts, space)),
        ("categoryScores", "averageScoreCategories", categories(space), category_ious(counts.pixels, space)),
        ("categoryInstScores", "averageScoreInstCategories", thing_categories(space), category_instance_ious(counts, space)),
    ):
        theirs = {name: score for name, score in expected[key].items() if np.isfinite(score)}
        ours = {name: score for name, score in zip(names, scores, strict=True) if np.isfinite(score)}
        assert ours.keys() == theirs.keys(), key
        np.testing.assert_allclose([ours[name] for name in theirs], list(theirs.values()), rtol=1e-12, err_msg=key)
        if ours:
            np.testing.assert_allclose(mean_of_present(scores), expected[mean], rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(_SEEDS, st.integers(3, 34), _SPACES)
def test_ignored_annotation_never_matters(seed: int, ids: int, space: LabelSpace) -> None:
    annotation, prediction = _maps(seed, ids)
    annotation[0, :2] = (7, 0)
    ignored = space.table[annotation] == 255
    other = np.where(ignored, (prediction + 7) % NUM_LABEL_IDS, prediction).astype(np.uint8)
    instance_ids = _instances(annotation, seed) * ~ignored
    one, two = count_frame(annotation, [prediction, other], instance_ids)
    assert not np.array_equal(one.pixels, two.pixels)
    assert summarise(one, space) == summarise(two, space)


@settings(deadline=None, max_examples=40)
@given(_SEEDS, st.integers(1, 34), _SPACES)
def test_a_perfect_prediction_scores_100(seed: int, ids: int, space: LabelSpace) -> None:
    annotation, _ = _maps(seed, ids)
    annotation[0, 0] = 26
    instance_ids = _instances(annotation, seed)
    instance_ids[0, 0] = 26_000
    scores = summarise(count_frame(annotation, [annotation], instance_ids)[0], space)
    means = {"miou", "pixel_accuracy", "miiou"} | ({"category_miou", "category_miiou"} if categories(space) else set())
    assert {key for key, value in scores.items() if isinstance(value, float)} == means
    assert all(scores[key] == 100 for key in means)
    by_class = [value for value in scores.values() if isinstance(value, dict)]
    assert {score for value in by_class for score in value.values()} <= {100, None}
    assert scores["classes_present"] == len(np.setdiff1d(space.table[annotation], 255))


@settings(deadline=None, max_examples=40)
@given(_SEEDS, _SPACES)
def test_sums_do_not_depend_on_the_order_of_frames(seed: int, space: LabelSpace) -> None:
    pairs = [_maps(seed + number, 20) for number in range(4)]
    frames = [(*pair, _instances(pair[0], seed)) for pair in pairs]
    assert summarise(_total(frames), space) == summarise(_total(frames[::-1]), space)


@settings(deadline=None, max_examples=40)
@given(_SEEDS, st.integers(1, 34), _SPACES)
def test_majority_is_the_best_constant(seed: int, ids: int, space: LabelSpace) -> None:
    annotation, prediction = _maps(seed, ids)
    annotation[0, 0] = 7
    constants = {}
    for name, group in zip(space.class_names, space.groups, strict=True):
        label_id = next(label.label_id for label in TRAIN_LABELS if label.name in group)
        constant = np.full_like(annotation, label_id)
        constants[name] = summarise(count_frame(annotation, [constant])[0], space)["miou"]
    found = majority(count_frame(annotation, [prediction])[0].pixels, space)
    assert found["miou"] == constants[found["class"]] == max(constants.values())


def test_wall_counts_as_building_in_camvid() -> None:
    annotation = np.array([[11, 11, 25, 0]], np.uint8)
    prediction = np.array([[12, 11, 33, 23]], np.uint8)
    scores = summarise(count_frame(annotation, [prediction])[0], LABEL_SPACES["camvid11"])
    assert scores["iou"] == dict.fromkeys(LABEL_SPACES["camvid11"].class_names) | {"building": 100.0, "bicyclist": 100.0}
    assert scores["classes_present"] == 2
    assert "category_miou" not in scores


def test_a_small_instance_weighs_as_much_as_a_large_one() -> None:
    annotation = np.full((1, 100), 26, np.uint8)
    instance_ids = np.where(np.arange(100) < 90, 26_000, 26_001).astype(np.uint16)[None]
    prediction = np.where(np.arange(100) < 90, 26, 7).astype(np.uint8)[None]
    scores = summarise(count_frame(annotation, [prediction], instance_ids)[0], _CITYSCAPES19)
    assert (scores["iou"]["car"], scores["iiou"]["car"]) == (90, 50)


def test_confusions_within_a_category_are_forgiven() -> None:
    annotation = np.array([[26, 26, 24, 7]], np.uint8)
    prediction = np.array([[27, 26, 25, 8]], np.uint8)
    scores = summarise(count_frame(annotation, [prediction])[0], _CITYSCAPES19)
    assert (scores["miou"], scores["category_miou"], scores["categories_present"]) == (8.33, 100, 3)


def test_scores_without_instances_are_refused() -> None:
    with pytest.raises(ValueError, match="hold no instances"):
        instance_ious(FrameCounts(np.zeros((34, 34), np.int64)), _CITYSCAPES19)


def test_json_has_each_list_on_one_line() -> None:
    scores = {"miou": 1.5, "interval": [1.0, None], "iou": {"car [a]": [1, 2, 3], "bus": {"x": []}}}
    text = as_json(scores)
    assert json.loads(text) == scores
    assert '  "interval": [1.0, null],\n' in text
    assert len(text.splitlines()) == 10


def test_counts_are_kept(tmp_path: Path) -> None:
    pixels = {name: np.random.default_rng(seed).integers(0, 99, (2, 34, 34)).astype(np.int32) for seed, name in enumerate("ab")}
    path = tmp_path / "counts.npz"
    write_pixel_counts(path, ["one", "two"], pixels)
    first = path.read_bytes()
    write_pixel_counts(path, ["one", "two"], pixels)
    assert path.read_bytes() == first
    frame_ids, found = read_pixel_counts(path)
    assert frame_ids == ("one", "two")
    assert found.keys() == pixels.keys()
    np.testing.assert_array_equal(found["b"], pixels["b"])
    write_pixel_counts(path, ["one"], pixels)
    with pytest.raises(FrameError, match=r"counts\.npz: expected 1x34x34 counts of a, found \(2, 34, 34\)"):
        read_pixel_counts(path)
    for damaged in (first[:-50], b"", b"no zip"):
        path.write_bytes(damaged)
        with pytest.raises(FrameError, match=r"counts\.npz: expected counts of frames as \.npz"):
            read_pixel_counts(path)
    path.unlink()
    with pytest.raises(FrameError, match=r"counts\.npz: no such file"):
        read_pixel_counts(path)
