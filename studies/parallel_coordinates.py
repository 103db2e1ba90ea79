"""Draws a study as parallel coordinates: ``python studies/parallel_coordinates.py --metric FILE:KEY --out grid.svg``.

A line for each experiment of the current commit, an axis for each parameter that differs between them, and one for the metric.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection

from synth2real.params import ParamsError, run
from synth2real.tracking import flat


class Experiment(NamedTuple):
    """A finished experiment."""

    name: str
    params: Mapping[str, Any]
    """By dotted key."""
    metric: float


def read_experiments(shown: Sequence[Mapping[str, Any]], metric: str) -> list[Experiment]:
    """The experiments of the current commit, and the commit itself, as far as they have the metric.

    Args:
        shown: What ``dvc exp show --json`` gives.
        metric: As ``file:key``.

    Raises:
        ParamsError: If fewer than two have it.
    """
    file, _, key = metric.partition(":")
    found = []
    for baseline in shown:
        if baseline["rev"] == "workspace":
            continue
        finished = [  # one that waits or runs still has the metrics of its baseline
            item["revs"][0] | {"name": item["name"]}
            for item in baseline["experiments"] or []
            if (item["executor"] or {"state": "success"})["state"] == "success"
        ]
        for entry in [baseline, *finished]:
            data = entry["data"] or {"metrics": {}}
            value = flat(data["metrics"].get(file, {}).get("data") or {}, ".").get(key)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                params = data["params"].get("params.yaml", {}).get("data") or {}
                found.append(Experiment(entry["name"] or entry["rev"][:7], flat(params, "."), float(value)))
    if len(found) < 2:
        raise ParamsError(f"{metric}: expected this number in two experiments at least, found {len(found)} (`dvc exp show`).")
    return found


def axes_of(experiments: Sequence[Experiment]) -> dict[str, list[Any]]:
    """The values of each parameter that differs between experiments, one for each of them.

    Raises:
        ParamsError: If none differs.
    """
    keys = dict.fromkeys(key for experiment in experiments for key in experiment.params)
    columns = {key: [experiment.params.get(key) for experiment in experiments] for key in keys}
    differing = {key: values for key, values in columns.items() if len(set(map(str, values))) > 1}
    if not differing:
        raise ParamsError("the experiments have equal parameters: there is nothing to draw.")
    return differing


def positions(values: Sequence[Any]) -> tuple[list[float], dict[float, str]]:
    """Where values lie on an axis from 0 to 1, and the labels there: numbers to scale, all else in order at equal distances."""
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        places = [(number - low) / (high - low) if high > low else 0.5 for number in numbers]
        labels = {place: f"{number:g}" for place, number in zip(places, numbers, strict=True)}
    else:
        names = sorted(set(map(str, values)))
        places = [names.index(str(value)) / max(1, len(names) - 1) for value in values]
        labels = {place: str(value) for place, value in zip(places, values, strict=True)}
    return places, labels


def draw(experiments: Sequence[Experiment], metric: str, out: Path) -> None:
    """Writes the picture, in the format of ``out``'s suffix."""
    axes = axes_of(experiments) | {metric: [experiment.metric for experiment in experiments]}
    columns = [positions(values) for values in axes.values()]
    scores = np.array([experiment.metric for experiment in experiments])
    figure, plot = plt.subplots(figsize=(2.6 * len(axes) + 1, 4.2), layout="constrained")
    lines = LineCollection([list(enumerate(line)) for line in zip(*(places for places, _ in columns), strict=True)], linewidths=2)
    lines.set_array(scores)
    plot.add_collection(lines)
    for at, (_, labels) in enumerate(columns):
        plot.axvline(at, color="0.3", linewidth=1)
        shown: list[float] = []
        for place in sorted(labels):
            if not shown or place - shown[-1] > 0.04:  # where labels would lie on each other, the lower one is shown
                plot.annotate(
                    labels[place], (at, place), (5, 0), textcoords="offset points", va="center", fontsize=8,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
                )  # fmt: skip
                shown.append(place)
    plot.set(xticks=range(len(axes)), yticks=[], xlim=(-0.3, len(axes) - 0.5), ylim=(-0.06, 1.06))
    plot.set_xticklabels([name.replace(".", ".\n") for name in axes if name != metric] + [metric.replace(":", "\n")], fontsize=8)
    plot.spines[:].set_visible(False)
    plot.tick_params(length=0)
    figure.colorbar(lines, ax=plot, label=metric.rpartition(":")[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main(metric: str, out: Path) -> None:
    """Draws the experiments of the current commit as parallel coordinates.

    Args:
        metric: The last axis and the lines' colour, as file:key.
        out: Picture to write: .svg, .png or .pdf.
    """
    done = subprocess.run(["dvc", "exp", "show", "--json"], capture_output=True, text=True, check=True)
    draw(read_experiments(json.loads(done.stdout), metric), metric, out)


if __name__ == "__main__":
    plt.switch_backend("agg")
    run(main, "python studies/parallel_coordinates.py")
