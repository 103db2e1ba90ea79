import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synth2real.detections import read_detections
from synth2real.frames import FrameError, FrameSet, read_frames
from synth2real.hardware import HardwareSettings
from synth2real.instances.calibration import METHODS, Calibration, Isotonic
from synth2real.instances.data import instances_of
from synth2real.instances.evaluate import average_precision, evaluate_detector
from synth2real.instances.mask_rcnn import build_detector
from synth2real.instances.predict import PredictionSettings, detect, predict_frames
from synth2real.instances.train import InstanceSettings, train_detector
from synth2real.training import Schedule

ShapesWriter = Callable[..., FrameSet]
KilledTraining = Callable[[FrameSet, InstanceSettings, HardwareSettings], Path]


def _train(
    frames: FrameSet, settings: InstanceSettings, hardware: HardwareSettings, folder: Path
) -> tuple[dict[str, torch.Tensor], str]:
    detector = train_detector(frames, settings, hardware=hardware, curves=folder / "curves.csv", resume=folder / "resume")
    return detector.state_dict(), (folder / "curves.csv").read_text()


def test_a_killed_training_ends_with_the_same_bits(
    write_shapes: ShapesWriter,
    settings: InstanceSettings,
    hardware: HardwareSettings,
    killed_training: KilledTraining,
    tmp_path: Path,
) -> None:
    frames = write_shapes("set", 4)
    whole, curves = _train(frames, settings, hardware, tmp_path / "whole")
    folder = killed_training(frames, settings, hardware)
    resumed, resumed_curves = _train(frames, settings, hardware, folder)
    assert resumed_curves == curves
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not (folder / "resume").exists()


def test_two_images_are_learnt_and_found_at_another_size(
    write_shapes: ShapesWriter,
    settings: InstanceSettings,
    prediction: PredictionSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    frames = write_shapes("small", 2)
    longer = replace(settings, schedule=Schedule(epochs=4, steps_per_epoch=25, batch_size=2))
    detector = train_detector(frames, longer, hardware=hardware, curves=tmp_path / "c.csv", resume=tmp_path / "r")
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert list(rows[0]) == ["step", "loss", "classifier", "box_reg", "mask", "objectness", "rpn_box_reg"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) / 3

    strict = replace(prediction, min_score=1.0)
    evaluation = evaluate_detector(
        detector, settings.network, frames, frames, min_area=8, settings=strict, hardware=hardware, untrained=True
    )
    scores = evaluation.metrics
    assert scores["frames"] == 2
    assert scores["classes"] == ["person", "car"]
    assert scores["cityscapes"]["ap50"] > 80
    rows = list(csv.DictReader(evaluation.curves.splitlines()))
    assert list(rows[0]) == ["recall", "precision", "person", "car"]
    assert [row["recall"] for row in rows] == [str(recall) for recall in range(101)]
    assert np.mean([float(row["precision"]) for row in rows]) == pytest.approx(scores["ap50"], abs=0.01)
    assert evaluation.pictures.shape == (2 * (320 + 4), 2 * (480 + 4), 3)
    assert scores["instances"] == 4
    assert scores["ap50"] > 80
    assert scores["box_ap50"] > 80
    assert scores["untrained"]["ap50"] < 20
    assert list(scores["calibration"]) == ["none", "platt", "isotonic"]
    assert scores["calibration"]["none"]["ece"] > 0
    assert evaluation.reliability.startswith("calibration,score,precision,share")
    # in one frame of the two are fewer than ten right detections, so nothing is learnt
    assert scores["calibration"]["platt"] == pytest.approx(scores["calibration"]["none"], abs=0.01)
    half = {method: Calibration(Isotonic((0.0, 1.0), (0.0, 0.5)), {}) for method in METHODS}
    judged = evaluate_detector(
        detector, settings.network, frames, frames, min_area=8, settings=strict, hardware=hardware,
        untrained=False, calibrations=half,
    )  # fmt: skip
    assert judged.calibrations is half
    judged_mean = judged.metrics["calibration"]["platt"]["mean_score"]
    assert judged_mean == pytest.approx(judged.metrics["calibration"]["none"]["mean_score"] / 2, abs=0.01)
    assert scores["per_class"]["bus"] is None

    larger = write_shapes("large", 3, (160, 240))
    annotations = [instances_of(larger.instances(frame), 8) for frame in larger.frames]
    detections = list(detect(detector, larger, settings.network.size, prediction, hardware))
    assert all(item.size == (160, 240) for found in detections for item in found)
    assert average_precision(annotations, detections).metrics["ap50"] > 80

    above = replace(prediction, min_score=0.3)
    kept = list(detect(detector, larger, settings.network.size, above, hardware, half["platt"]))
    wanted_scores = [[item.score / 2 for item in found if item.score >= 0.6] for found in detections]
    assert [[item.score for item in found] for found in kept] == [pytest.approx(wanted) for wanted in wanted_scores]
    assert sum(map(len, kept)) > 0

    predict_frames(detector, larger, tmp_path / "out", size=settings.network.size, settings=prediction, hardware=hardware)
    assert read_frames(tmp_path / "out").frames == larger.frames
    for frame, wanted in zip(larger.frames, detections, strict=True):
        assert read_detections(tmp_path / "out" / "detections" / f"{frame.frame_id}.json") == tuple(wanted)


def test_a_prediction_that_fails_leaves_no_finished_frame_set(
    write_shapes: ShapesWriter,
    settings: InstanceSettings,
    prediction: PredictionSettings,
    hardware: HardwareSettings,
    tmp_path: Path,
) -> None:
    frames = write_shapes("set", 3)
    detector = build_detector(settings.network, 0)
    out = tmp_path / "out"
    predict_frames(detector, frames, out, size=(64, 96), settings=prediction, hardware=hardware)
    assert len(read_frames(out)) == 3
    damaged = frames.image_path(frames.frames[2])
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(FrameError, match=r"shape2\.png"):
        predict_frames(detector, frames, out, size=(64, 96), settings=prediction, hardware=hardware)
    assert not (out / "frames.csv").exists()


def test_a_set_without_instances_cannot_be_scored_on(
    write_shapes: ShapesWriter, settings: InstanceSettings, prediction: PredictionSettings, hardware: HardwareSettings
) -> None:
    frames = write_shapes("set", 3)
    empty = FrameSet(frames.root, frames.frames[2:])
    detector = build_detector(settings.network, 0)
    with pytest.raises(FrameError, match=r"set/instances: expected instances .* found none in 1 frames"):
        evaluate_detector(
            detector, settings.network, frames, empty, min_area=8, settings=prediction, hardware=hardware, untrained=False
        )
