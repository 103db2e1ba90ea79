"""Trains a segmenter on one or several labelled frame sets."""

from dataclasses import replace
from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import ParamsError, read_section, run
from synth2real.segmentation.mmseg_train import train_mmseg
from synth2real.segmentation.train import SegmentationSettings, train_segmenter


def main(
    images: tuple[Path, ...],
    labels: tuple[Path, ...],
    out: Path,
    curves: Path,
    seed: int,
    start: Path | None = None,
    learning_rate: float | None = None,
    changes: tuple[str, ...] = (),
) -> None:
    """Trains the network of params.yaml on the labelled frames of split train; each batch takes equally from every pair of sets.

    Args:
        images: Frame sets with images.
        labels: For each of them, the frame set with labels of the same frames.
        out: Model file to write.
        curves: CSV file with loss and pixel accuracy by epoch.
        seed: Of first weights, order and augmentation of the samples.
        start: Model file to go on from, such as a student's teacher; without one, the encoder's own weights.
        learning_rate: Peak rate in place of segmentation.optimizer.learning_rate, for a model that goes on from another.
        changes: Values in place of those of the section segmentation, such as schedule.epochs=20.
    """
    settings = read_section("segmentation", SegmentationSettings, changes=changes)
    if learning_rate is not None:
        try:
            settings = replace(settings, optimizer=replace(settings.optimizer, learning_rate=learning_rate))
        except ValueError as error:
            raise ParamsError(f"--learning-rate: {error}") from None
    train = {"synth2real": train_segmenter, "mmseg": train_mmseg}[settings.backend]
    train(images, labels, out, curves, settings, read_section("hardware", HardwareSettings), seed=seed, start=start)


if __name__ == "__main__":
    run(main)
