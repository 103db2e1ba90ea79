"""Measures the instance detector on frames that it was not trained on."""

import json
from pathlib import Path

from synth2real.frames import read_frames, write_image, write_text
from synth2real.hardware import HardwareSettings
from synth2real.instances.evaluate import evaluate_detector
from synth2real.instances.mask_rcnn import load_detector
from synth2real.instances.predict import PredictionSettings
from synth2real.instances.train import InstanceSettings
from synth2real.params import read_section, run
from synth2real.tracking import record


def main(
    images: Path, annotations: Path, split: str, model: Path, out: Path, curves: Path, pictures: Path, untrained: bool = False
) -> None:
    """Average precision by the rules of COCO and Cityscapes, precision-recall curves, and pictures.

    Args:
        images: Frame set with images.
        annotations: Frame set with the instances of the same frames.
        split: Which of the annotated frames to score.
        model: Model file of a detector.
        out: JSON file with the metrics, in %.
        curves: CSV file with the precision at each recall, in %.
        pictures: JPEG file with some frames, their annotation and what was detected.
        untrained: Also score a detector that has not learnt anything.
    """
    network, detector = load_detector(model)
    settings, hardware = read_section("predict_instances", PredictionSettings), read_section("hardware", HardwareSettings)
    evaluation = evaluate_detector(
        detector,
        network,
        read_frames(images),
        read_frames(annotations).split(split),
        min_area=read_section("instances", InstanceSettings).min_area,
        settings=settings,
        hardware=hardware,
        untrained=untrained,
    )
    write_image(pictures, evaluation.pictures)
    write_text(curves, evaluation.curves)
    write_text(out, json.dumps(evaluation.metrics, indent=2) + "\n")
    if hardware.tracking:
        record({"predict_instances": settings}, evaluation.metrics)


if __name__ == "__main__":
    run(main)
