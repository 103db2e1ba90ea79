"""The evaluations of all models as one table: the ladder from source-only to self-training."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth2real.label_space import LABEL_SPACES

MAJORITY = "majority"
"""Name of the baseline's row: the best constant prediction."""


class ReportError(ValueError):
    """A file that the report is made of is missing or not as expected; the message names it and the remedy."""


class Row(NamedTuple):
    """One prediction's scores, in %; None where a class is neither annotated nor predicted."""

    model: str
    is_fused: bool
    miou: float
    miou_interval: tuple[float, float] | None
    """Bounds of the bootstrap over frames; None for the baseline."""
    classes_present: int | None
    """How many classes the mean is over; None for the baseline."""
    pixel_accuracy: float | None
    """None for the baseline."""
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
    miou_interval: tuple[float, float]
    classes_gained: int
    """Classes whose gain of IoU is above zero throughout its interval."""
    classes_lost: int


class Table(NamedTuple):
    """All rows of an experiment, which share label space, split and frames."""

    label_space: str
    split: str
    frames: int
    majority_class: str
    """What the baseline predicts everywhere."""
    rows: tuple[Row, ...]


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
    paths = sorted(folder.glob("*.json"), key=lambda path: ladder_position(path.stem))
    contents = {path: read_json(path) for path in paths}
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
    return {path.stem: content for path, content in contents.items()}


def ladder_position(model: str) -> tuple[int, int, str]:
    """Sorts models as the method builds on them: source_only, controls, adapted, round-1, round-2, ..., others, oracle."""
    if match := re.fullmatch(r"round-(\d+)", model):
        return (3, int(match[1]), model)
    places = {"source_only": 0, "colour_statistics": 1, "fda": 1, "adapted": 2, "oracle": 5}
    return (places.get(model, 4), 0, model)


def read_table(folder: Path) -> Table:
    """Reads ``<model>.json`` of all models, as :func:`synth2real.evaluation.evaluate` gives them.

    The baseline comes first, then each model in the ladder's order, unfused before fused.

    Raises:
        ReportError: If there is none, or one is damaged or was scored on other frames or in another label space than the first.
    """
    paths = sorted(folder.glob("*.json"), key=lambda path: ladder_position(path.stem))
    if not paths:
        raise ReportError(f"{folder}: no evaluation <model>.json there. Run dvc repro evaluate.")
    evaluations = {path: _read_evaluation(path) for path in paths}
    first = evaluations[paths[0]]
    for path, other in evaluations.items():
        if other[:-1] != first[:-1]:
            raise ReportError(
                f"{path}: label space, split, frames and most frequent class are {other[:-1]}, in {paths[0]} {first[:-1]}; "
                "such scores cannot be compared. Evaluate all models again."
            )
    baseline, *_ = first.rows
    return first._replace(rows=(baseline, *(row for table in evaluations.values() for row in table.rows[1:])))


def _read_evaluation(path: Path) -> Table:
    """One model's table: the baseline, then its predictions."""
    scores = read_json(path)
    try:
        rows = [Row(MAJORITY, False, scores[MAJORITY]["miou"], None, None, None, {})]
        for name in ("unfused", "fused"):
            if name in scores:
                item = scores[name]
                interval = tuple(item["miou_interval"])
                rest = (item[key] for key in ("classes_present", "pixel_accuracy", "iou"))
                rows.append(Row(path.stem, name == "fused", item["miou"], interval, *rest))
        table = Table(scores["label_space"], scores["split"], scores["frames"], scores[MAJORITY]["class"], tuple(rows))
    except (KeyError, TypeError) as error:
        raise ReportError(f"{path}: expected an evaluation's scores, found none at {error}. Evaluate again.") from None
    if table.label_space not in LABEL_SPACES:
        raise ReportError(f"{path}: unknown label space {table.label_space!r}; there are {', '.join(LABEL_SPACES)}.")
    return table


def read_gains(path: Path) -> list[Gain]:
    """Reads the comparisons of :func:`synth2real.evaluation.comparison.compare_ladder`: the steps in order, then fusion.

    Raises:
        ReportError: If the file is missing or damaged.
    """
    content = read_json(path)
    try:
        steps = [
            _gain(model, step["over"], kind == "fused", step[kind])
            for model, step in content["step"].items()
            for kind in ("unfused", "fused")
            if kind in step
        ]
        return steps + [_gain(f"{model}, fused", "unfused", False, gain) for model, gain in content["fusion"].items()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{path}: expected comparisons, found none at {error}. Run dvc repro compare.") from None


def _gain(step: str, over: str, is_fused: bool, gain: Mapping[str, Any]) -> Gain:
    low, high = gain["miou_interval"]
    return Gain(step, over, is_fused, gain["miou"], (low, high), gain["classes_gained"], gain["classes_lost"])


def to_csv(table: Table) -> str:
    """The table as CSV, in %; empty where None.

    Columns: model, fused (yes or no), miou with its interval's bounds miou_low and miou_high, classes_present, pixel_accuracy,
    and the IoU of each class.
    """
    classes = LABEL_SPACES[table.label_space].class_names
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("model", "fused", "miou", "miou_low", "miou_high", "classes_present", "pixel_accuracy", *classes))
    for row in table.rows:
        scores = (row.miou, *(row.miou_interval or (None, None)), row.classes_present, row.pixel_accuracy)
        writer.writerow((row.model, "yes" if row.is_fused else "no", *scores, *(row.iou.get(name) for name in classes)))
    return buffer.getvalue()


def best_per_class(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, float | None]:
    """The highest IoU of each class over all rows but the oracle's, which has seen the labels."""
    found = {name: [row.iou.get(name) for row in rows if row.model != "oracle"] for name in classes}
    return {name: max((value for value in values if value is not None), default=None) for name, values in found.items()}
