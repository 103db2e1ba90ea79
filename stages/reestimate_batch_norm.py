"""Re-estimates a segmenter's batch-norm statistics on the target's unlabelled training images."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.segmentation.batch_norm import BatchNormSettings, reestimate_batch_norm


def main(images: Path, model: Path, out: Path) -> None:
    """Writes a copy of a segmenter with the batch-norm statistics of a frame set's training images (AdaBN, Li et al. 2016).

    Args:
        images: Frame set with the target's images.
        model: Model file of a segmenter.
        out: The new model file.
    """
    settings = read_section("target_batch_norm", BatchNormSettings)
    reestimate_batch_norm(images, model, out, settings, read_section("hardware", HardwareSettings))


if __name__ == "__main__":
    run(main)
