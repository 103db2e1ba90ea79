"""Scores a model's predictions, with and without fusion, against the target's annotation."""

import json
from pathlib import Path

from synth2real.evaluation import EvaluationSettings, evaluate
from synth2real.frames import write_text
from synth2real.hardware import HardwareSettings
from synth2real.params import read_section, run


def main(annotations: Path, semantics: Path, out: Path, fused: Path | None = None) -> None:
    """Writes mIoU, pixel accuracy and per-class IoU as JSON.

    Args:
        annotations: Frame set with the target's annotated label ids.
        semantics: Frame set with predicted label ids.
        out: JSON file with the scores, in %.
        fused: Frame set with fused label ids of the same frames.
    """
    predictions = {"unfused": semantics} | ({"fused": fused} if fused else {})
    workers = read_section("hardware", HardwareSettings).workers
    scores = evaluate(annotations, predictions, read_section("evaluation", EvaluationSettings), workers=workers)
    write_text(out, json.dumps(scores, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
