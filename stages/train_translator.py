"""Trains the translator between the source's and the target's look."""

from dataclasses import replace
from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import ParamsError, read_section, run
from synth2real.translation.cyclegan import TranslationSettings, train_translator


def main(
    source: Path, target: Path, out: Path, curves: Path, samples: Path, cycle: float | None = None, identity: float | None = None
) -> None:
    """Trains a CycleGAN on the training images of two frame sets.

    Args:
        source: Frame set with the source's images.
        target: Frame set with the target's images.
        out: The model file.
        curves: CSV file with each epoch's mean losses, and the discriminators' mean logits of real and of translated images.
        samples: Folder of picture sheets of fixed frames as training goes on: real, translated, reconstructed, identity.
        cycle: Weight of cycle consistency, in place of translation.loss.cycle.
        identity: Weight of the identity loss, in place of translation.loss.identity.
    """
    settings, hardware = read_section("translation", TranslationSettings), read_section("hardware", HardwareSettings)
    loss = settings.loss
    try:
        loss = replace(
            loss, cycle=loss.cycle if cycle is None else cycle, identity=loss.identity if identity is None else identity
        )
    except ValueError as error:
        raise ParamsError(f"--cycle, --identity: {error}.") from None
    settings = replace(settings, loss=loss)
    train_translator(source, target, settings, hardware, model=out, curves=curves, samples=samples)


if __name__ == "__main__":
    run(main)
