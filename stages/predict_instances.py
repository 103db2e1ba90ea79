"""Detects the instances of a frame set."""

from pathlib import Path

from synth2real.frames import read_frames
from synth2real.hardware import HardwareSettings
from synth2real.instances.calibration import chosen_calibration
from synth2real.instances.mask_rcnn import load_detector
from synth2real.instances.predict import PredictionSettings, predict_frames
from synth2real.params import read_section, run


def main(images: Path, model: Path, calibration: Path, out: Path, splits: tuple[str, ...] = ()) -> None:
    """Detects instances at the frames' own resolution.

    Args:
        images: Frame set with images.
        model: Model file of a detector.
        calibration: JSON file with the calibration of its scores.
        out: Frame set with detections.
        splits: Which splits to take; all if none is named.
    """
    network, detector = load_detector(model)
    frames, settings = read_frames(images), read_section("predict_instances", PredictionSettings)
    predict_frames(
        detector,
        frames.split(*splits) if splits else frames,
        out,
        size=network.size,
        settings=settings,
        calibration=chosen_calibration(calibration, settings.calibration),
        hardware=read_section("hardware", HardwareSettings),
    )


if __name__ == "__main__":
    run(main)
