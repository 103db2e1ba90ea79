"""Measures the instance detector on held-out frames."""

import json
from pathlib import Path

from synth2real.frames import read_frames, write_text
from synth2real.hardware import HardwareSettings
from synth2real.instances.evaluate import evaluate_detector
from synth2real.instances.mask_rcnn import load_detector
from synth2real.instances.predict import PredictionSettings
from synth2real.instances.train import InstanceSettings
from synth2real.params import read_section, run
from synth2real.tracking import record


def main(instances: Path, model: Path, out: Path) -> None:
    """COCO average precision on the validation frames of a set with instances, beside that of an untrained detector.

    Args:
        instances: Frame set with images and instances.
        model: Model file of a detector.
        out: JSON file with the metrics, in %.
    """
    network, detector = load_detector(model)
    settings, hardware = read_section("predict_instances", PredictionSettings), read_section("hardware", HardwareSettings)
    metrics = evaluate_detector(
        detector,
        network,
        read_frames(instances).split("val"),
        min_area=read_section("instances", InstanceSettings).min_area,
        settings=settings,
        hardware=hardware,
    )
    write_text(out, json.dumps(metrics, indent=2) + "\n")
    if hardware.tracking:
        record({"predict_instances": settings}, metrics)


if __name__ == "__main__":
    run(main)
