"""Scores translated frames: distance to the target's look, and content kept."""

import json
from pathlib import Path

from synth2real.frames import write_image, write_text
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.segmentation.predict import load_predictor
from synth2real.translation.samples import sheet
from synth2real.translation.scores import TranslationScoreSettings, chosen_sets, picture_rows, score_translation


def main(
    source: Path,
    translated: Path,
    target: Path,
    segmenter: Path,
    out: Path,
    grid: Path,
    annotations: Path | None = None,
    split: str = "train",
) -> None:
    """Compares source and translated frames with target frames and with the source's labels.

    Args:
        source: Frame set with the source's images and labels.
        translated: Frame set with its translations.
        target: Frame set with the target's images.
        segmenter: Model trained on the untranslated source.
        out: JSON file with the scores.
        grid: Picture sheet: source, translated and target frames.
        annotations: Frame set with the source's labels, where the source has none itself.
        split: Of the source.
    """
    hardware = read_section("hardware", HardwareSettings)
    settings = read_section("translation_scores", TranslationScoreSettings)
    sets = chosen_sets(source, translated, target, settings, annotations=annotations, split=split)
    predict = load_predictor(segmenter, hardware)
    scores = score_translation(sets, lambda image: predict(image).train_ids, settings, hardware)
    write_text(out, json.dumps(scores, indent=2) + "\n")
    write_image(grid, sheet(picture_rows(sets, 6), ("source", "translated", "target")))


if __name__ == "__main__":
    run(main)
