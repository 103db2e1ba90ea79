"""Puts the scores of all variants into one table, by the question that each belongs to."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from pydantic import TypeAdapter

from synth2real.frames import FrameError, to_csv, write_text
from synth2real.params import read_params, run

VALUES: Final = Path("studies/pix2pix/params.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An entry of ``variants`` in the study's params.yaml."""

    name: str
    study: str
    changes: str


def measures(photos: Mapping[str, Any], diversity: Mapping[str, Any] | None, side: str) -> dict[str, float]:
    """The columns of one training.

    Args:
        photos: What ``score_translation`` gives.
        diversity: What ``score_synthesis`` gives; None for real photos, of which each label map has one.
        side: ``translated`` for painted photos, ``source`` for the real ones of the same label maps.
    """
    found = {name: float(distance[side]) for name, distance in photos["distances"].items()}
    found |= {"fcn_miou": photos["content"]["miou"][side], "fcn_accuracy": photos["content"]["pixel_accuracy"][side]}
    return found | {"diversity": diversity["diversity_lite0"] if diversity else 0.0}


def row(study: str, name: str, seeds: Iterable[Mapping[str, float]]) -> dict[str, str | float | None]:
    """A variant's row: each measure's mean over the seeds, and behind it its standard deviation where there are several."""
    found = list(seeds)
    values: dict[str, str | float | None] = {"study": study, "variant": name, "seeds": len(found)}
    for measure in found[0]:
        of_seeds = [one[measure] for one in found]
        values[measure] = round(fmean(of_seeds), 4)
        values[f"{measure}_sd"] = round(stdev(of_seeds), 4) if len(found) > 1 else None
    return values


def main(scores: Path, out: Path) -> None:
    """Writes the table: real photos of the held-out label maps first, then each variant.

    Args:
        scores: Folder ``<variant>/seed-<seed>/`` with `photos.json` and `diversity.json`.
        out: CSV file.
    """
    variants = TypeAdapter(list[Variant]).validate_python(read_params(VALUES)["variants"])
    rows, protocols, real = [], set(), {}
    for variant in variants:
        seeds = []
        for folder in sorted((scores / variant.name).glob("seed-*")):
            photos, diversity = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("photos", "diversity"))
            protocols.add(json.dumps(photos["protocol"]))
            seeds.append(measures(photos, diversity, "translated"))
            real = measures(photos, None, "source")
        if not seeds:
            raise FrameError(f"{scores / variant.name}: no scores; run `dvc repro studies/pix2pix/dvc.yaml`.")
        rows.append(row(variant.study, variant.name, seeds))
    if len(protocols) != 1:
        raise FrameError(f"{scores}: expected scores of one protocol; run `dvc repro studies/pix2pix/dvc.yaml`.")
    rows.insert(0, row("all", "real photos", [real]))
    write_text(out, to_csv(rows[0], (one.values() for one in rows)))


if __name__ == "__main__":
    run(main)
