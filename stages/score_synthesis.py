"""Scores how different the images of one label map are."""

import json
from pathlib import Path

from synth2real.frames import write_text
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.synthesis.diversity import DiversitySettings, score_diversity


def main(annotations: Path, model: Path, out: Path) -> None:
    """Paints some label maps several times and compares the images.

    Args:
        annotations: Frame set with label maps.
        model: A synthesizer's model file.
        out: JSON file with the score.
    """
    settings, hardware = read_section("synthesis_diversity", DiversitySettings), read_section("hardware", HardwareSettings)
    write_text(out, json.dumps(score_diversity(annotations, model, settings, hardware), indent=2) + "\n")


if __name__ == "__main__":
    run(main)
