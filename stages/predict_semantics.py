"""Predicts label maps and confidences with a trained segmenter."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.segmentation.predict import SemanticPredictionSettings, predict_frames


def main(images: Path, model: Path, out: Path, splits: tuple[str, ...] = ()) -> None:
    """Writes predicted label ids and, by params.yaml, confidences at each image's own resolution.

    Args:
        images: Frame set with images.
        model: Model file of a segmenter.
        out: Frame set to write.
        splits: Which splits to take; all if none is named.
    """
    settings = read_section("predict_semantics", SemanticPredictionSettings)
    predict_frames(images, model, splits, out, settings, read_section("hardware", HardwareSettings))


if __name__ == "__main__":
    run(main)
