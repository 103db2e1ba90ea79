"""Trains the translator between the source's and the target's look."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.translation.cyclegan import TranslationSettings, train_translator


def main(source: Path, target: Path, out: Path, curves: Path, samples: Path, changes: tuple[str, ...] = ()) -> None:
    """Trains a CycleGAN on the training images of two frame sets.

    Args:
        source: Frame set with the source's images.
        target: Frame set with the target's images.
        out: The model file.
        curves: CSV file with each epoch's mean losses, and the discriminators' mean logits of real and of translated images.
        samples: Folder of picture sheets of fixed frames as training goes on: real, translated, reconstructed, identity.
        changes: Values in place of those of the section translation, such as loss.cycle=10.
    """
    settings = read_section("translation", TranslationSettings, changes=changes)
    hardware = read_section("hardware", HardwareSettings)
    train_translator(source, target, settings, hardware, model=out, curves=curves, samples=samples)


if __name__ == "__main__":
    run(main)
