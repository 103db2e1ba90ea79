"""Trains the translator between the source's and the target's look."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.training import inference_device
from synth2real.translation.cyclegan import TranslationSettings, load_generators, train_translator
from synth2real.translation.samples import write_samples


def main(source: Path, target: Path, out: Path, curves: Path, samples: Path) -> None:
    """Trains a CycleGAN on the training images of two frame sets.

    Args:
        source: Frame set with the source's images.
        target: Frame set with the target's images.
        out: The model file.
        curves: CSV file with each epoch's mean losses.
        samples: Picture sheet: real, translated, reconstructed and identity images of fixed frames.
    """
    hardware = read_section("hardware", HardwareSettings)
    train_translator(source, target, read_section("translation", TranslationSettings), hardware, model=out, curves=curves)
    device = inference_device(hardware)
    write_samples(samples, source, target, load_generators(out, device), device, count=3)


if __name__ == "__main__":
    run(main)
