"""Measures the instance detector on frames that it was not trained on."""

import json
from pathlib import Path

from synth2real.frames import read_frames, write_image, write_text
from synth2real.hardware import HardwareSettings
from synth2real.instances.calibration import load_calibrations, save_calibrations
from synth2real.instances.evaluate import evaluate_detector
from synth2real.instances.mask_rcnn import load_detector
from synth2real.instances.predict import PredictionSettings
from synth2real.instances.train import InstanceSettings
from synth2real.params import read_section, run
from synth2real.tracking import record


def main(
    images: Path, annotations: Path, split: str, model: Path, calibration: Path,
    out: Path, curves: Path, reliability: Path, pictures: Path, held_out: bool = False,
) -> None:  # fmt: skip
    """Average precision by the rules of COCO and Cityscapes, calibration, precision-recall curves, and pictures.

    Args:
        images: Frame set with images.
        annotations: Frame set with the instances of the same frames.
        split: Which of the annotated frames to score.
        model: Model file of a detector.
        calibration: JSON file with the calibration of its scores.
        out: JSON file with the metrics, in %.
        curves: CSV file with the precision at each recall, in %.
        reliability: CSV file with the precision at each score, in %.
        pictures: JPEG file with some frames, their annotation and what was detected.
        held_out: The frames are of the detector's own world: write the calibration, and score an untrained detector too.
    """
    (network, detector), min_area = load_detector(model), read_section("instances", InstanceSettings).min_area
    settings, hardware = read_section("predict_instances", PredictionSettings), read_section("hardware", HardwareSettings)
    evaluation = evaluate_detector(
        detector, network, read_frames(images), read_frames(annotations).split(split),
        min_area=min_area, settings=settings, hardware=hardware, untrained=held_out,
        calibrations=None if held_out else load_calibrations(calibration),
    )  # fmt: skip
    if held_out:
        save_calibrations(calibration, evaluation.calibrations)
    write_image(pictures, evaluation.pictures)
    write_text(curves, evaluation.curves)
    write_text(reliability, evaluation.reliability)
    write_text(out, json.dumps(evaluation.metrics, indent=2) + "\n")
    if hardware.tracking:
        record({"predict_instances": settings}, evaluation.metrics)


if __name__ == "__main__":
    run(main)
