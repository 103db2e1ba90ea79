"""Translates the source's training images into the target's look."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.translation.translate import translate_frames


def main(source: Path, model: Path, out: Path) -> None:
    """Writes the split train of the source in the target's look.

    Args:
        source: Frame set with the source's images.
        model: A translator's model file.
        out: Frame set with the translated images.
    """
    translate_frames(source, model, out, read_section("hardware", HardwareSettings))


if __name__ == "__main__":
    run(main)
