"""Predicts label maps with a trained segmenter."""

from pathlib import Path

import tyro

from synth2real.params import read_section
from synth2real.segmentation.predict import SemanticPredictionSettings, predict_frames
from synth2real.training import HardwareSettings


def main(images: Path, model: Path, splits: tuple[str, ...], out: Path) -> None:
    """Writes predicted label ids at each image's own resolution.

    Args:
        images: Frame set with images.
        model: Model file of a segmenter.
        splits: Which splits to predict.
        out: Frame set to write.
    """
    settings = read_section("predict_semantics", SemanticPredictionSettings)
    predict_frames(images, model, splits, out, settings, read_section("hardware", HardwareSettings))


if __name__ == "__main__":
    tyro.cli(main)
