"""Checks the prepared frame sets and counts what is in them."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.statistics import check_data


def main(source: Path, target: Path, target_annotations: Path, instances: Path, out: Path, pictures: Path) -> None:
    """Checks the prepared frame sets, by themselves and against each other, and writes their statistics.

    Args:
        source: Frame set with images and labels.
        target: Frame set with images.
        target_annotations: Frame set with the target's labels.
        instances: Frame set with images, labels and instance ids.
        out: JSON file of statistics.
        pictures: JPEG file with some frames of the instances, each image beside its annotation.
    """
    workers = read_section("hardware", HardwareSettings).workers
    check_data(source, target, target_annotations, instances, out, pictures, workers=workers)


if __name__ == "__main__":
    run(main)
