"""Puts the scores of all classifiers into one table, beside the published ones."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from synth2real.frames import FrameError, to_csv, write_text
from synth2real.params import run

PUBLISHED = {
    ("domain", "shape", "both"): 70.0,
    ("domain", "texture", "both"): 95.1,
    ("class", "shape", "real"): 81.0,
    ("class", "shape", "synthetic"): 89.2,
    ("class", "texture", "real"): 83.7,
    ("class", "texture", "synthetic"): 94.2,
}
"""Accuracy in % of Saleh et al., ECCV 2018, on ten classes of Cityscapes and VEIS, by task, cue and set."""


def table_of(scores: Iterable[Mapping[str, Any]]) -> list[dict[str, str | float | None]]:
    """A row for each classifier and each set that it was tested on.

    Args:
        scores: What ``classify.py`` writes.
    """
    rows: list[dict[str, str | float | None]] = []
    for found in scores:
        task, cue, trained_on = found["task"], found["cue"], found["trained_on"]
        for tested_on, values in found["tested_on"].items():
            is_published = trained_on == tested_on
            what = "real or synthetic" if task == "domain" else f"class, {trained_on} to {tested_on}"
            rows.append(
                {
                    "classifier": f"{what}, by {cue}",
                    "task": task,
                    "cue": cue,
                    "trained_on": trained_on,
                    "tested_on": tested_on,
                    "training_crops": found["training_crops"],
                    **values,
                    "published": PUBLISHED[task, cue, tested_on] if is_published else None,
                }
            )
    return sorted(rows, key=lambda row: (row["task"] != "domain", str(row["tested_on"]), str(row["trained_on"]), str(row["cue"])))


def main(scores: Path, out: Path) -> None:
    """Writes the table.

    Args:
        scores: Folder with a JSON file of scores for each classifier.
        out: CSV file.
    """
    rows = table_of(json.loads(path.read_text(encoding="utf-8")) for path in sorted(scores.glob("*.json")))
    if not rows:
        raise FrameError(f"{scores}: no scores; run `dvc repro studies/shape_vs_texture/dvc.yaml`.")
    write_text(out, to_csv(rows[0], (row.values() for row in rows)))


if __name__ == "__main__":
    run(main)
