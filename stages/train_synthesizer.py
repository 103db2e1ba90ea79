"""Trains the network that paints label maps."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.synthesis.train import SynthesisSettings, train_synthesizer


def main(
    images: Path,
    annotations: Path,
    out: Path,
    curves: Path,
    samples: Path,
    detections: Path | None = None,
    changes: tuple[str, ...] = (),
) -> None:
    """Trains pix2pix or pix2pixHD on the training photos of a frame set and their label maps.

    Args:
        images: Frame set with photos.
        annotations: Frame set with label maps of the same frames, annotated or predicted, and instance maps where there are any.
        out: The model file.
        curves: CSV file with each epoch's mean losses, and the discriminators' mean logits of photos and of painted images.
        samples: Folder of picture sheets of fixed frames as training goes on: labels, painted, photo.
        detections: Frame set with detections of the same frames, by which things are told apart; without, by the annotations'
            instance maps, or by regions where there are none.
        changes: Values in place of those of the section synthesis, such as loss.l1=100.
    """
    settings = read_section("synthesis", SynthesisSettings, changes=changes)
    hardware = read_section("hardware", HardwareSettings)
    train_synthesizer(images, annotations, settings, hardware, model=out, curves=curves, samples=samples, detections=detections)


if __name__ == "__main__":
    run(main)
