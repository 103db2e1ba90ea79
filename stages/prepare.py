"""Turns a raw data set into a frame set."""

from pathlib import Path
from typing import Literal

import tyro

from synth2real.datasets.preparation import PreparationSettings, prepare
from synth2real.params import read_params, read_section


def main(role: Literal["source", "target", "instances"], out: Path, annotations_out: Path | None = None) -> None:
    """Turns a raw data set into a frame set.

    Args:
        role: Section of `prepare` in params.yaml, and what the frames serve for.
        out: The frame set to write.
        annotations_out: For the target: where its labels go, apart from its images.
    """
    if (role == "target") != (annotations_out is not None):
        raise SystemExit("--annotations-out belongs to --role target, and must be there: training must never see target labels.")
    settings = read_section(f"prepare.{role}", PreparationSettings)
    needs: Literal["labels", "instances"] = "instances" if role == "instances" else "labels"
    prepare(settings, out, annotations_out, needs=needs, workers=int(read_params()["hardware"]["workers"]))


if __name__ == "__main__":
    tyro.cli(main)
