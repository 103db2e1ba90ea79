"""Trains the translator with semantic consistency: what a segmenter of the source sees must stay what it is."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.segmentation.networks import load_segmenter
from synth2real.translation.cyclegan import SourceSegmenter, TranslationSettings, train_translator


def load_source_segmenter(path: Path) -> SourceSegmenter:
    """A trained segmenter as the translator's training sees it."""
    segmenter = load_segmenter(path).segmenter.requires_grad_(False)

    return SourceSegmenter(lambda images: segmenter.to(images.device).logits((images + 1) * 127.5), path)


def main(source: Path, target: Path, segmenter: Path, out: Path, curves: Path, samples: Path) -> None:
    """Trains a CycleGAN with the semantic consistency loss of CyCADA on the training images of two frame sets.

    Args:
        source: Frame set with the source's images.
        target: Frame set with the target's images.
        segmenter: Model file of a segmenter trained on the untranslated source.
        out: The model file.
        curves: CSV file with each epoch's mean losses, and the discriminators' mean logits of real and of translated images.
        samples: Folder of picture sheets of fixed frames as training goes on: real, translated, reconstructed, identity.
    """
    settings, hardware = read_section("translation", TranslationSettings), read_section("hardware", HardwareSettings)
    taught = load_source_segmenter(segmenter)
    train_translator(source, target, settings, hardware, model=out, curves=curves, samples=samples, segmenter=taught)


if __name__ == "__main__":
    run(main)
