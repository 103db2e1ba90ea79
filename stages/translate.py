"""Translates the source's training images into the target's look."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.translation.translate import TranslateSettings, translate_frames


def main(source: Path, model: Path, out: Path) -> None:
    """Writes the split train of the source in the target's look.

    Args:
        source: Frame set with the source's images.
        model: A translator's model file.
        out: Frame set with the translated images.
    """
    settings, hardware = read_section("translate", TranslateSettings), read_section("hardware", HardwareSettings)
    translate_frames(source, model, out, settings, hardware)


if __name__ == "__main__":
    run(main)
