"""The evaluations of all models as one table: the ladder from source-only to self-training."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from synth2real.frames import to_csv
from synth2real.label_space import LABEL_SPACES

MAJORITY = "majority"
"""Name of the baseline's row: the best constant prediction."""


class ReportError(ValueError):
    """A file that the report is made of is missing or not as expected; the message names it and the remedy."""


class Row(NamedTuple):
    """One model's scores over its seeds, in %; None where a class is neither annotated nor predicted."""

    model: str
    is_fused: bool
    miou: float
    """Mean over the seeds, as all other scores."""
    miou_seeds: tuple[float, ...]
    """Of each seed; empty for the baseline, for which the five fields below are None too."""
    miou_sd: float | None
    """Standard deviation over the seeds; None for a single one."""
    miou_interval: tuple[float, float] | None
    """Bounds of the mean by the bootstrap over frames."""
    classes_present: int | None
    """How many classes the mean is over."""
    gap_closed: float | None
    """Share of the way from the ladder's first model to the oracle; None without an oracle that is above the first model."""
    pixel_accuracy: float | None
    iou: Mapping[str, float | None]
    """By class name; empty for the baseline."""


class Gain(NamedTuple):
    """What one prediction gains over another on the same frames, in percentage points."""

    step: str
    """What is compared: a model with the one before it, or its fused prediction with the unfused."""
    over: str
    is_fused: bool
    """Whether both are fused."""
    miou: float
    miou_sd: float | None
    """Standard deviation over the seeds; None for a single one."""
    miou_interval: tuple[float, float]
    classes_gained: int
    """Classes whose gain of IoU is above zero throughout its interval."""
    classes_lost: int


class Table(NamedTuple):
    """All rows of an experiment, which share label space, split, frames and seeds."""

    label_space: str
    split: str
    frames: int
    seeds: tuple[int, ...]
    majority_class: str
    """What the baseline predicts everywhere."""
    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]
    """The ladder's steps in order, then fusion's."""


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ReportError: If it is missing or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ReportError(f"{path}: no such file. Run the stage that makes it (dvc repro).") from None
    except ValueError as error:
        raise ReportError(f"{path}: expected JSON, found {error}. Run the stage that makes it again.") from None


def read_comparable(folder: Path) -> dict[str, Any]:
    """The JSON files of a folder by name, in the ladder's order.

    Raises:
        ReportError: If one is damaged, or was measured by another ``protocol`` than the first that names one.
    """
    paths = runs(folder, "json")
    contents = {path: read_json(path) for path in paths.values()}
    protocols = {path: content["protocol"] for path, content in contents.items() if "protocol" in content}
    for path, protocol in protocols.items():
        first, expected = next(iter(protocols.items()))
        differing = sorted(key for key in {*protocol, *expected} if protocol.get(key) != expected.get(key))
        if differing:
            of_first, of_this = ({key: values.get(key) for key in differing} for values in (expected, protocol))
            raise ReportError(
                f"{path}: measured by another protocol than {first}, so their scores cannot be compared: {of_this}, not "
                f"{of_first}. Score both again (dvc repro), or delete the one that is left of an earlier run."
            )
    return {name: contents[path] for name, path in paths.items()}


def runs(folder: Path, suffix: str) -> dict[str, Path]:
    """Files of a folder by name, in the ladder's order: ``<name>.<suffix>``, and ``<model>/seed-<n>.<suffix>``."""
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob(f"*.{suffix}")}
    return {name: found[name] for name in sorted(found, key=ladder_position)}


def ladder_position(run: str) -> tuple[int, int, str, int]:
    """Sorts models as the method builds on them: source_only, controls, adapted, online, round-1, round-2, ..., others, oracle.

    Args:
        run: A model's name, or with its seed, such as ``adapted/seed-2``.
    """
    model, _, seed = run.partition("/seed-")
    number = int(seed) if seed.isdecimal() else 0
    if match := re.fullmatch(r"round-(\d+)", model):
        return (4, int(match[1]), model, number)
    places = {"source_only": 0, "target_bn": 1, "colour_statistics": 1, "fda": 1, "adapted": 2, "online": 3, "oracle": 6}
    return (places.get(model, 5), 0, model, number)


def words(name: object) -> str:
    """A name of a model, a run or a quantity as one reads it: ``round-1/seed-2`` is round 1, seed 2."""
    return str(name).replace("_", " ").replace("round-", "round ").replace("/seed-", ", seed ")


def read_table(evaluations: Path, comparison: Path) -> Table:
    """Reads what was evaluated and compared.

    The baseline comes first, then each model in the ladder's order, unfused before fused.

    Args:
        evaluations: Folder of ``<model>/seed-<n>.json``, as :func:`synth2real.evaluation.evaluate.evaluate` gives them.
        comparison: JSON file of :func:`synth2real.evaluation.comparison.compare_ladder`, which says which models and seeds.

    Raises:
        ReportError: If a file is missing or damaged, or was scored on other frames or in another label space than the comparison.
    """
    compared = read_json(comparison)
    try:
        protocol = {key: compared[key] for key in ("label_space", "split", "frames")}
        seeds, kinds, gains = compared["seeds"], compared["model"], tuple(_gains(compared))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{comparison}: expected comparisons, found none at {error}. Run dvc repro compare.") from None
    if protocol["label_space"] not in LABEL_SPACES:
        raise ReportError(f"{comparison}: unknown label space {protocol['label_space']!r}; there are {', '.join(LABEL_SPACES)}.")
    rows: list[Row] = []
    majority: dict[str, Any] = {}
    for model, of_kind in kinds.items():
        scores = [_read_evaluation(evaluations / model / f"seed-{seed}.json", protocol, comparison) for seed in seeds]
        majority = scores[0][MAJORITY]
        for kind, summary in of_kind.items():
            of_seeds = [score[kind] for score in scores]
            rows.append(
                Row(
                    model,
                    kind == "fused",
                    summary["miou"],
                    tuple(summary["miou_seeds"]),
                    summary["miou_sd"],
                    tuple(summary["miou_interval"]),
                    summary["classes_present"],
                    summary["gap_closed"],
                    _mean(score["pixel_accuracy"] for score in of_seeds),
                    {name: _mean(score["iou"][name] for score in of_seeds) for name in of_seeds[0]["iou"]},
                )
            )
    baseline = Row(MAJORITY, False, majority["miou"], (), None, None, None, None, None, {})
    return Table(**protocol, seeds=tuple(seeds), majority_class=majority["class"], rows=(baseline, *rows), gains=gains)


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are not None, to two digits; None where all are."""
    known = [value for value in values if value is not None]
    return round(fmean(known), 2) if known else None


def _read_evaluation(path: Path, protocol: Mapping[str, Any], comparison: Path) -> Any:
    """One model's scores with one seed."""
    scores = read_json(path)
    try:
        found = {key: scores[key] for key in protocol}
        for kind in scores.keys() & {"unfused", "fused"}:
            _ = scores[kind]["pixel_accuracy"], scores[kind]["iou"], scores[MAJORITY]["miou"], scores[MAJORITY]["class"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{path}: expected an evaluation's scores, found none at {error}. Evaluate again.") from None
    if found != protocol:
        raise ReportError(f"{path}: scored with {found}, but {comparison} with {dict(protocol)}. Evaluate and compare again.")
    return scores


def _gains(compared: Mapping[str, Any]) -> Iterator[Gain]:
    for model, step in compared["step"].items():
        for kind in ("unfused", "fused"):
            if kind in step:
                yield _gain(model, step["over"], kind == "fused", step[kind])
    for model, gain in compared["fusion"].items():
        yield _gain(f"{model}, fused", "unfused", False, gain)


def _gain(step: str, over: str, is_fused: bool, gain: Mapping[str, Any]) -> Gain:
    low, high = gain["miou_interval"]
    return Gain(step, over, is_fused, gain["miou"], gain["miou_sd"], (low, high), gain["classes_gained"], gain["classes_lost"])


def summary_csv(table: Table) -> str:
    """The table as CSV, in %; empty where None.

    Columns: model, fused (yes or no), the number of seeds, miou as their mean with its standard deviation over them and its
    interval's bounds miou_low and miou_high, classes_present, pixel_accuracy, and the IoU of each class.
    """
    classes = LABEL_SPACES[table.label_space].class_names
    columns = ("model", "fused", "seeds", "miou", "miou_sd", "miou_low", "miou_high", "classes_present", "pixel_accuracy")

    def line(row: Row) -> tuple[object, ...]:
        interval = row.miou_interval or (None, None)
        scores = (len(row.miou_seeds), row.miou, row.miou_sd, *interval, row.classes_present, row.pixel_accuracy)
        return (row.model, "yes" if row.is_fused else "no", *scores, *(row.iou.get(name) for name in classes))

    return to_csv((*columns, *classes), map(line, table.rows))


def best_per_class(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, float | None]:
    """The highest IoU of each class over all rows but the oracle's, which has seen the labels; None where none is above zero."""
    found = {name: [row.iou.get(name) for row in rows if row.model != "oracle"] for name in classes}
    return {name: max(filter(None, values), default=None) for name, values in found.items()}
