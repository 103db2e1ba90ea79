"""Turns a fused prediction on the target's training images into labels to train on."""

import json
from pathlib import Path

from synth2real.frames import write_text
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.pseudo_labels import PseudoLabelSettings, pseudo_label_frames


def main(fused: Path, semantics: Path, out: Path, statistics: Path, agree_with: Path | None = None) -> None:
    """Writes pseudo-labels and what share of the pixels they keep.

    Args:
        fused: Frame set with fused label ids and instance ids.
        semantics: Frame set with the semantic prediction that was fused, and its confidences if thresholds need them.
        out: Frame set with pseudo-labels.
        statistics: JSON file with the share of pixels kept, the classes' shares, in %, and the thresholds.
        agree_with: Frame set with another prediction of the same frames; outside of instances, labels are kept where it agrees.
    """
    workers = read_section("hardware", HardwareSettings).workers
    settings = read_section("self_training.labels", PseudoLabelSettings)
    shares = pseudo_label_frames(fused, semantics, out, settings, agree_with=agree_with, workers=workers)
    write_text(statistics, json.dumps(shares, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
