"""Sums up the models of the ladder over their seeds, and compares them on the same frames: what each step buys, and fusion."""

from pathlib import Path

from synth2real.evaluation.comparison import compare_ladder
from synth2real.evaluation.evaluate import EvaluationSettings
from synth2real.evaluation.scores import as_json
from synth2real.frames import write_text
from synth2real.params import read_params, read_section, run


def main(counts: Path, out: Path) -> None:
    """Writes each model's mean over the seeds, its gain over the model before it, and fusion's, with intervals, as JSON.

    Args:
        counts: Folder with the confusion matrices of frames of each model and seed, as <model>/seed-<seed>.npz.
        out: JSON file with means in % and gains in percentage points.
    """
    params = read_params()
    gains = compare_ladder(counts, params["ladder"], params["seeds"], read_section("evaluation", EvaluationSettings))
    write_text(out, as_json(gains))


if __name__ == "__main__":
    run(main)
