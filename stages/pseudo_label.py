"""Turns a fused prediction on the target's training images into labels to train on."""

import json
from pathlib import Path

from synth2real.frames import write_text
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.pseudo_labels import pseudo_label_frames


def main(fused: Path, out: Path, statistics: Path) -> None:
    """Writes pseudo-labels and what share of the pixels they keep.

    Args:
        fused: Frame set with fused label ids and instance ids.
        out: Frame set with pseudo-labels.
        statistics: JSON file with the share of pixels kept and the classes' shares, in %.
    """
    workers = read_section("hardware", HardwareSettings).workers
    shares = pseudo_label_frames(fused, out, workers=workers)
    write_text(statistics, json.dumps(shares, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
