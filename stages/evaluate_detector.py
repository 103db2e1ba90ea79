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


def main(instances: Path, model: Path, out: Path) -> None:
    """COCO average precision on the validation frames of a set with instances, beside that of an untrained detector.

    Args:
        instances: Frame set with images and instances.
        model: Model file of a detector.
        out: JSON file with the metrics, in %.
    """
    network, detector = load_detector(model)
    metrics = evaluate_detector(
        detector,
        network,
        read_frames(instances).split("val"),
        min_area=read_section("instances", InstanceSettings).min_area,
        settings=read_section("predict_instances", PredictionSettings),
        hardware=read_section("hardware", HardwareSettings),
    )
    write_text(out, json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
