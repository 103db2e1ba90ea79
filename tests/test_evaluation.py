"""Scores against the official Cityscapes evaluator, their properties, and faults that name both files."""

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth2real.evaluation import EvaluationSettings, confusion_matrix, count_pixels, evaluate, ious, majority, summarise
from synth2real.frames import Frame, FrameError, write_frames, write_label
from synth2real.label_space import LABEL_SPACES, NUM_LABEL_IDS, TRAIN_LABELS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813

_CITYSCAPES19 = LABEL_SPACES["cityscapes19"]
_SETTINGS = EvaluationSettings(label_space="cityscapes19", split="val")
_SPACES = st.sampled_from(list(LABEL_SPACES.values()))


def _maps(seed: int, ids: int, size: tuple[int, int] = (24, 32)) -> tuple[np.ndarray, np.ndarray]:
    """Annotation and prediction over some of the label ids, ignored ones among them, half of the pixels right."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(NUM_LABEL_IDS, ids, replace=False)
    annotation = rng.choice(chosen, size).astype(np.uint8)
    wrong = rng.choice(NUM_LABEL_IDS, ids, replace=False)
    return annotation, np.where(rng.random(size) < 0.5, annotation, rng.choice(wrong, size)).astype(np.uint8)


@pytest.mark.parametrize("ids", [2, 5, 12, 34])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_official_evaluator(tmp_path: Path, seed: int, ids: int) -> None:
    pairs = [_maps(100 * seed + index, ids) for index in range(3)]
    files: list[list[str]] = [[], []]
    for index, pair in enumerate(pairs):
        for kind, pixels in enumerate(pair):
            files[kind].append(str(tmp_path / f"{index}_{kind}.png"))
            cv2.imwrite(files[kind][-1], pixels)
    official.args.evalInstLevelScore, official.args.JSONOutput, official.args.quiet = False, False, True
    expected = official.evaluateImgLists(files[1], files[0], official.args)

    counts = np.sum([count_pixels(annotation, prediction) for annotation, prediction in pairs], axis=0)
    np.testing.assert_array_equal(counts, np.array(expected["confMatrix"])[:NUM_LABEL_IDS, :NUM_LABEL_IDS])
    scores = ious(confusion_matrix(counts, _CITYSCAPES19))
    np.testing.assert_allclose(scores, [expected["classScores"][label.name] for label in TRAIN_LABELS], rtol=1e-12)
    if np.isfinite(scores).any():
        np.testing.assert_allclose(np.nanmean(scores), expected["averageScoreClasses"], rtol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 34), _SPACES)
def test_the_matrix_sums_to_the_valid_pixels(seed: int, ids: int, space: Any) -> None:
    annotation, prediction = _maps(seed, ids)
    confusion = confusion_matrix(count_pixels(annotation, prediction), space)
    assert confusion.sum() == (space.table[annotation] != 255).sum()
    assert (confusion >= 0).all()


@given(st.integers(0, 10_000), st.integers(3, 34), _SPACES)
def test_ignored_annotation_never_matters(seed: int, ids: int, space: Any) -> None:
    annotation, prediction = _maps(seed, ids)
    ignored = space.table[annotation] == 255
    other = np.where(ignored, (prediction + 7) % NUM_LABEL_IDS, prediction).astype(np.uint8)
    np.testing.assert_array_equal(
        confusion_matrix(count_pixels(annotation, prediction), space), confusion_matrix(count_pixels(annotation, other), space)
    )


@given(st.integers(0, 10_000), st.integers(1, 34), _SPACES)
def test_a_perfect_prediction_scores_100(seed: int, ids: int, space: Any) -> None:
    annotation, _ = _maps(seed, ids)
    if (space.table[annotation] == 255).all():
        annotation[0, 0] = 7
    scores = summarise(count_pixels(annotation, annotation), space)
    assert scores["miou"] == scores["pixel_accuracy"] == 100
    assert scores["classes_present"] == len(np.setdiff1d(space.table[annotation], 255))


@given(st.integers(0, 10_000), st.integers(1, 34), _SPACES)
def test_majority_is_the_best_constant(seed: int, ids: int, space: Any) -> None:
    annotation, prediction = _maps(seed, ids)
    annotation[0, 0] = 7
    constants = {}
    for name, group in zip(space.class_names, space.groups, strict=True):
        label_id = next(label.label_id for label in TRAIN_LABELS if label.name in group)
        constants[name] = summarise(count_pixels(annotation, np.full_like(annotation, label_id)), space)["miou"]
    found = majority(count_pixels(annotation, prediction), space)
    assert found["miou"] == constants[found["class"]] == max(constants.values())


def test_wall_counts_as_building_in_camvid() -> None:
    annotation = np.array([[11, 11, 25, 0]], np.uint8)
    prediction = np.array([[12, 11, 33, 23]], np.uint8)
    scores = summarise(count_pixels(annotation, prediction), LABEL_SPACES["camvid11"])
    assert scores["iou"] == dict.fromkeys(LABEL_SPACES["camvid11"].class_names) | {"building": 100.0, "bicyclist": 100.0}
    assert scores["classes_present"] == 2


def _frame_sets(root: Path, size: tuple[int, int] = (24, 32)) -> tuple[Path, Path]:
    frames = [Frame("a", "val", *size), Frame("b", "val", *size), Frame("c", "train", *size)]
    for index, frame in enumerate(frames):
        annotation, prediction = _maps(index, 20, size)
        write_label(root / "annotations/labels" / f"{frame.frame_id}.png", annotation)
        write_label(root / "predictions/labels" / f"{frame.frame_id}.png", prediction)
    write_frames(root / "annotations", frames)
    write_frames(root / "predictions", frames)
    return root / "annotations", root / "predictions"


@pytest.mark.parametrize("workers", [1, 2])
def test_frame_sets_are_scored(tmp_path: Path, workers: int) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    scores = evaluate(annotations, {"unfused": predictions, "fused": annotations}, _SETTINGS, workers=workers)
    counts = sum(count_pixels(*_maps(index, 20)) for index in range(2))
    assert isinstance(counts, np.ndarray)
    assert scores["unfused"] == summarise(counts, _CITYSCAPES19)
    assert scores["fused"]["miou"] == 100
    assert scores["majority"] == majority(counts, _CITYSCAPES19)
    assert (scores["label_space"], scores["split"], scores["frames"]) == ("cityscapes19", "val", 2)


def test_frames_without_a_prediction_are_named(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    write_frames(predictions, [Frame("a", "val", 24, 32)])
    with pytest.raises(FrameError, match=r"predictions: no prediction for 1 of the 2 annotated frames .*'b'"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)


def test_another_size_names_both_files(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    write_frames(predictions, [Frame("a", "val", 24, 32), Frame("b", "val", 12, 16)])
    with pytest.raises(FrameError, match=r"predictions/labels/b\.png is 12x16 .*annotations/labels/b\.png is 24x32"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)
    write_frames(predictions, [Frame("a", "val", 24, 32), Frame("b", "val", 24, 32)])
    write_label(predictions / "labels/b.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(FrameError, match=r"predictions/labels/b\.png: .* 24x32 .* 12x16"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    (predictions / "labels/b.png").unlink()
    with pytest.raises(FrameError, match=r"labels/b\.png: no such file"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)


def test_annotations_without_a_class_are_refused(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    for name in "ab":
        write_label(annotations / "labels" / f"{name}.png", np.zeros((24, 32), np.uint8))
    with pytest.raises(FrameError, match="no pixel of split val is annotated with a class of cityscapes19"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)


def test_an_unknown_label_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of cityscapes19, .*found 'coco'"):
        EvaluationSettings(label_space="coco", split="val")
