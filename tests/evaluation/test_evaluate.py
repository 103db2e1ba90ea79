"""Frame sets are scored as their frames are, in any order and number of processes; faults name their file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synth2real.confusion import FrameCounts, count_frame
from synth2real.evaluation.boundaries import boundary_f
from synth2real.evaluation.calibration import count_confidences, summarise_calibration
from synth2real.evaluation.evaluate import EvaluationSettings, evaluate
from synth2real.evaluation.resampling import BootstrapSettings
from synth2real.evaluation.scores import majority, summarise
from synth2real.frames import Frame, FrameError, write_confidence, write_frames, write_instances, write_label, write_png
from synth2real.label_space import LABEL_SPACES, NUM_LABEL_IDS

_CITYSCAPES19 = LABEL_SPACES["cityscapes19"]
_SETTINGS = EvaluationSettings(
    label_space="cityscapes19",
    split="val",
    boundary_tolerance=0.05,
    bootstrap=BootstrapSettings(samples=50, confidence=0.9, seed=1),
)


def _maps(seed: int, size: tuple[int, int] = (24, 32)) -> tuple[np.ndarray, np.ndarray]:
    """Annotation and prediction over some of the label ids, ignored ones among them, half of the pixels right."""
    rng = np.random.default_rng(seed)
    annotation, other = (rng.choice(rng.choice(NUM_LABEL_IDS, 20, replace=False), size).astype(np.uint8) for _ in range(2))
    return annotation, np.where(rng.random(size) < 0.5, annotation, other).astype(np.uint8)


def _frame_sets(root: Path, size: tuple[int, int] = (24, 32)) -> tuple[Path, Path]:
    frames = [Frame("a", "val", *size), Frame("b", "val", *size), Frame("c", "train", *size)]
    for index, frame in enumerate(frames):
        annotation, prediction = _maps(index, size)
        write_label(root / "annotations/labels" / f"{frame.frame_id}.png", annotation)
        write_label(root / "predictions/labels" / f"{frame.frame_id}.png", prediction)
    write_frames(root / "annotations", frames)
    write_frames(root / "predictions", frames)
    return root / "annotations", root / "predictions"


def _instances(annotation: np.ndarray) -> np.ndarray:
    return np.where(annotation >= 24, annotation.astype(np.uint16) * 1000, annotation).astype(np.uint16)


@pytest.mark.parametrize("workers", [1, 2])
def test_frame_sets_are_scored(tmp_path: Path, workers: int) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    scores, frame_ids, pixels = evaluate(annotations, {"unfused": predictions, "fused": annotations}, _SETTINGS, workers=workers)
    counts = [count_frame(annotation, [prediction])[0].pixels for annotation, prediction in map(_maps, range(2))]
    assert frame_ids == ("a", "b")
    np.testing.assert_array_equal(pixels["unfused"], counts)
    total = np.sum(counts, axis=0)
    assert summarise(FrameCounts(total), _CITYSCAPES19).items() <= scores["unfused"].items()
    assert {scores["fused"][key] for key in ("miou", "category_miou", "pixel_accuracy", "boundary_f")} == {100}
    assert scores["majority"] == majority(total, _CITYSCAPES19)
    assert (scores["label_space"], scores["split"], scores["frames"]) == ("cityscapes19", "val", 2)


def test_the_boundary_score_is_averaged_over_frames(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    scores = evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1).scores["unfused"]
    frames = np.stack([boundary_f(*_maps(index), _CITYSCAPES19, 0.05) for index in range(2)])
    assert scores["boundary_f"] == round(100 * np.nanmean(np.nanmean(frames, axis=1)), 2)
    assert scores["boundary_classes_present"] == np.isfinite(frames).any(axis=0).sum()
    assert scores["boundary_f_classes"]["road"] == round(100 * np.nanmean(frames[:, 0]), 2)
    without = evaluate(annotations, {"unfused": predictions}, replace(_SETTINGS, boundary_tolerance=None), workers=1)
    assert without.scores["unfused"] == {key: value for key, value in scores.items() if not key.startswith("boundary")}


def test_intervals_surround_the_scores(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    scores = evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1).scores["unfused"]
    for key in ("miou", "pixel_accuracy"):
        low, high = scores[f"{key}_interval"]
        assert low <= scores[key] <= high
        assert high - low < 30
    for name, iou in scores["iou"].items():
        low, high = scores["iou_interval"][name]
        assert (iou is None and low is None) or low <= iou <= high
    write_frames(annotations, [Frame("a", "val", 24, 32)])
    alone = evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1).scores["unfused"]
    assert alone["miou_interval"] == [alone["miou"]] * 2


def test_instances_are_weighted_where_they_are_annotated(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    frames = [(*_maps(index), _instances(_maps(index)[0])) for index in range(2)]
    for name, (_, _, instance_ids) in zip("ab", frames, strict=True):
        write_instances(annotations / f"instances/{name}.png", instance_ids)
    counts = [count_frame(annotation, [prediction], instance_ids)[0] for annotation, prediction, instance_ids in frames]
    total = FrameCounts(*(np.sum(part, axis=0) for part in zip(*counts, strict=True)))
    scores = evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1).scores["unfused"]
    assert summarise(total, _CITYSCAPES19).items() <= scores.items()
    assert 0 < scores["miiou"] < 100
    (annotations / "instances/b.png").unlink()
    with pytest.raises(FrameError, match=r"instances/b\.png: no such file, nor for 0 more of the 2 frames to score"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)


def test_confidences_are_scored_where_there_are_any(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    rng = np.random.default_rng(0)
    confidences = [rng.integers(0, 256, (24, 32)).astype(np.uint8) for _ in range(2)]
    for name, confidence in zip("ab", confidences, strict=True):
        write_confidence(predictions / f"confidences/{name}.png", confidence)
    scores = evaluate(annotations, {"unfused": predictions, "fused": annotations}, _SETTINGS, workers=2).scores
    counts = [count_confidences(*_maps(index), confidence, _CITYSCAPES19) for index, confidence in enumerate(confidences)]
    expected = summarise_calibration(np.sum(counts, axis=0))
    assert expected.items() <= scores["unfused"].items()
    assert expected["ece"] > 0
    assert scores["fused"].keys() == scores["unfused"].keys() - expected.keys()
    (predictions / "confidences/b.png").unlink()
    with pytest.raises(FrameError, match=r"confidences/b\.png: no such file, .* the others have confidences\. Predict again"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)


def test_the_order_of_frames_changes_nothing(tmp_path: Path) -> None:
    """The same frames under names that sort the other way round."""
    results = []
    for order in ("ab", "ba"):
        root = tmp_path / order
        for index, name in enumerate(order):
            for kind, pixels in zip(("annotations", "predictions"), _maps(index), strict=True):
                write_label(root / kind / "labels" / f"{name}.png", pixels)
        for kind in ("annotations", "predictions"):
            write_frames(root / kind, [Frame(name, "val", 24, 32) for name in order])
        scores = evaluate(root / "annotations", {"unfused": root / "predictions"}, _SETTINGS, workers=1).scores["unfused"]
        results.append({key: value for key, value in scores.items() if not key.endswith("interval")})
    assert results[0] == results[1]


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


def test_a_truncated_file_and_an_unknown_label_are_named(tmp_path: Path) -> None:
    annotations, predictions = _frame_sets(tmp_path)
    path = predictions / "labels/b.png"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FrameError, match=r"predictions/labels/b\.png: the file is truncated"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=2)
    write_png(path, np.full((24, 32), 255, np.uint8))
    with pytest.raises(FrameError, match=r"predictions/labels/b\.png: expected Cityscapes label ids 0\.\.33, found 255"):
        evaluate(annotations, {"unfused": predictions}, _SETTINGS, workers=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_space": "coco"}, r"one of cityscapes19, .*found 'coco'"),
        ({"boundary_tolerance": 0.0}, r"boundary_tolerance must be in \(0, 0\.1\]"),
        ({"boundary_tolerance": 0.5}, r"boundary_tolerance must be in \(0, 0\.1\]"),
    ],
)
def test_settings_have_ranges(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(_SETTINGS, **values)  # type: ignore[arg-type]
