"""Trains a segmenter on labelled source and unlabelled target images: self-training with an online teacher."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.segmentation.online_teacher import OnlineTeacherSettings, train_online_teacher
from synth2real.segmentation.train import SegmentationSettings


def main(images: Path, labels: Path, target: Path, out: Path, curves: Path, seed: int, start: Path | None = None) -> None:
    """Trains a student on source images and on target images into which source classes are pasted (DACS); writes its teacher.

    Args:
        images: Frame set with the source's images.
        labels: Frame set with labels of the same frames.
        target: Frame set with the target's images; no label of it is read.
        out: Model file to write.
        curves: CSV file with the losses, the teacher's share of sure pixels, and the accuracy on the source, by epoch.
        seed: Of first weights, order, augmentation and mixing of the samples.
        start: Model file that student and teacher start from; without one, the encoder's own weights.
    """
    segmentation = read_section("segmentation", SegmentationSettings)
    settings, hardware = read_section("online_teacher", OnlineTeacherSettings), read_section("hardware", HardwareSettings)
    train_online_teacher(images, labels, target, out, curves, segmentation, settings, hardware, seed=seed, start=start)


if __name__ == "__main__":
    run(main)
