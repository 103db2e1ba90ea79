"""Scores a model's predictions, with and without fusion, against the target's annotation."""

from pathlib import Path

from synth2real.evaluation.counts import write_pixel_counts
from synth2real.evaluation.evaluate import EvaluationSettings, evaluate
from synth2real.evaluation.scores import as_json
from synth2real.frames import write_text
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run
from synth2real.tracking import record


def main(annotations: Path, semantics: Path, out: Path, counts: Path, fused: Path | None = None) -> None:
    """Writes IoU, iIoU, boundary F-score and calibration with intervals as JSON, and each frame's confusion matrix.

    Args:
        annotations: Frame set with the target's annotated label ids.
        semantics: Frame set with predicted label ids, and maybe confidences.
        out: JSON file with the scores, in %.
        counts: NPZ file with the pixels of each annotated and predicted label id, frame by frame.
        fused: Frame set with fused label ids of the same frames.
    """
    predictions = {"unfused": semantics} | ({"fused": fused} if fused else {})
    settings, hardware = read_section("evaluation", EvaluationSettings), read_section("hardware", HardwareSettings)
    evaluation = evaluate(annotations, predictions, settings, workers=hardware.workers)
    write_pixel_counts(counts, evaluation.frame_ids, evaluation.pixels)
    write_text(out, as_json(evaluation.scores))
    if hardware.tracking:
        record({"evaluation": settings}, evaluation.scores)


if __name__ == "__main__":
    run(main)
