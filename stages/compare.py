"""Compares the models of the ladder on the same frames: what each step buys, and what fusion does."""

from pathlib import Path

from synth2real.evaluation.comparison import compare_ladder
from synth2real.evaluation.evaluate import EvaluationSettings
from synth2real.evaluation.scores import as_json
from synth2real.frames import write_text
from synth2real.params import read_params, read_section, run


def main(counts: Path, out: Path) -> None:
    """Writes each model's gain over the one before it, and fusion's, with intervals over frames, as JSON.

    Args:
        counts: Folder with each model's confusion matrices of frames, as NPZ.
        out: JSON file with the gains, in percentage points.
    """
    gains = compare_ladder(counts, read_params()["ladder"], read_section("evaluation", EvaluationSettings))
    write_text(out, as_json(gains))


if __name__ == "__main__":
    run(main)
