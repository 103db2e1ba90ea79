"""Writes predictions in the form of the Cityscapes benchmark server."""

from pathlib import Path

from synth2real.evaluation.export import export_predictions
from synth2real.params import run


def main(predictions: Path, split: str, out: Path) -> None:
    """Writes the predicted label ids of a split as one archive to upload.

    Args:
        predictions: Frame set with predicted label ids.
        split: Which of its splits.
        out: ZIP file.
    """
    export_predictions(predictions, split, out)


if __name__ == "__main__":
    run(main)
