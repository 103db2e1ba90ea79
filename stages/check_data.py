"""Checks the prepared frame sets and counts what is in them."""

from pathlib import Path

import tyro

from synth2real.datasets.statistics import check_data
from synth2real.params import read_params


def main(source: Path, target: Path, target_annotations: Path, instances: Path, out: Path) -> None:
    """Checks the prepared frame sets, by themselves and against each other, and writes their statistics.

    Args:
        source: Frame set with images and labels.
        target: Frame set with images.
        target_annotations: Frame set with the target's labels.
        instances: Frame set with images, labels and instance ids.
        out: JSON file of statistics.
    """
    check_data(source, target, target_annotations, instances, out, workers=int(read_params()["hardware"]["workers"]))


if __name__ == "__main__":
    tyro.cli(main)
