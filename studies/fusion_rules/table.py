"""Puts what each rule of fusion gains into one table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from synth2real.frames import FrameError, to_csv, write_text
from synth2real.label_space import VEIS_LABELS
from synth2real.params import read_params, run

VALUES: Final = Path("studies/fusion_rules/params.yaml")
FOREGROUND: Final = tuple(label.name for label in VEIS_LABELS)


def gains(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """What fusion adds to one model's mIoU and IoU of each foreground class, in points; None for a class that is nowhere.

    Args:
        scores: What ``evaluate`` gives.
    """
    before, after = ({"miou": scores[kind]["miou"], **scores[kind]["iou"]} for kind in ("unfused", "fused"))
    return {
        name: after[name] - before[name] if before.get(name) is not None and after.get(name) is not None else None
        for name in ("miou", *FOREGROUND)
    }


def row(rule: str, seeds: Sequence[Mapping[str, float | None]]) -> list[object]:
    """A rule's means over the seeds, with the standard deviation of the gain in mIoU where there are several."""
    known = {name: [value for one in seeds if (value := one[name]) is not None] for name in seeds[0]}
    means = {name: round(fmean(values), 2) if values else None for name, values in known.items()}
    spread = round(stdev(known["miou"]), 2) if len(seeds) > 1 else None
    return [rule, len(seeds), means.pop("miou"), spread, *means.values()]


def main(scores: Path, out: Path) -> None:
    """Writes the table, a row for each rule: what it adds to mIoU and to the IoU of each foreground class, in points.

    Args:
        scores: Folder ``<rule>/seed-<seed>.json``.
        out: CSV file.
    """
    rules = {}
    for variant in read_params(VALUES)["variants"]:
        paths = sorted((scores / variant["name"]).glob("seed-*.json"))
        if not paths:
            raise FrameError(f"{scores / variant['name']}: no scores; run `dvc repro studies/fusion_rules/dvc.yaml`.")
        rules[variant["name"]] = [gains(json.loads(path.read_text("utf-8"))) for path in paths]
    columns = ("rule", "seeds", "miou", "miou_sd", *FOREGROUND)
    write_text(out, to_csv(columns, (row(rule, seeds) for rule, seeds in rules.items())))


if __name__ == "__main__":
    run(main)
