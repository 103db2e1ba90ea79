"""Turns a raw data set into a frame set."""

from pathlib import Path
from typing import Final, Literal

from synth2real.datasets.preparation import PreparationSettings, prepare
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run

Needs = Literal["images", "labels", "instances"]
NEEDS: Final[dict[str, Needs]] = {"source": "labels", "instances": "instances", "game": "instances"}


def main(role: str, out: Path, annotations_out: Path | None = None) -> None:
    """Turns a raw data set into a frame set.

    Args:
        role: Section of `prepare` in params.yaml. `source` needs labels, `instances` and `game` instance ids; of `target`, and
            of any other section, such as the frames of a video, only images are taken.
        out: The frame set to write.
        annotations_out: For `target`: where its labels go, apart from its images.
    """
    if (role == "target") != (annotations_out is not None):
        raise SystemExit("--annotations-out belongs to --role target, and must be there: training must never see target labels.")
    settings = read_section(f"prepare.{role}", PreparationSettings)
    workers = read_section("hardware", HardwareSettings).workers
    prepare(settings, out, annotations_out, needs=NEEDS.get(role, "images"), workers=workers)


if __name__ == "__main__":
    run(main)
