"""Puts the scores of a study's translated image sets into one table."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth2real.frames import FrameError, to_csv, write_text
from synth2real.params import run


def table_of(scores: Mapping[str, Mapping[str, Any]], column: str) -> list[dict[str, str | float]]:
    """A row for the untranslated source, then one for each variant: distances to the target, and what is left of the content.

    Args:
        scores: What ``score_translation`` gives, by variant; all of them of one source and target.
        column: What the variants are called.
    """
    rows = []
    for variant, found in [("untranslated", next(iter(scores.values()))), *scores.items()]:
        side = "source" if variant == "untranslated" else "translated"
        values = {name: distance[side] for name, distance in found["distances"].items()}
        values |= {"diversity": found["diversity"][side], "content_miou": found["content"]["miou"][side]}
        rows.append({column: variant} | {name: round(value, 3) for name, value in values.items()})
    return rows


def main(scores: Path, column: str, out: Path) -> None:
    """Writes the table.

    Args:
        scores: Folder with a JSON file of scores for each variant.
        column: What the variants are called.
        out: CSV file.
    """
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(scores.glob("*.json"))}
    if len({json.dumps(one["protocol"]) for one in found.values()}) != 1:
        raise FrameError(f"{scores}: expected scores of one protocol; run the study with `dvc repro {scores.parent}/dvc.yaml`.")
    rows = table_of(found, column)
    write_text(out, to_csv(rows[0], (row.values() for row in rows)))


if __name__ == "__main__":
    run(main)
