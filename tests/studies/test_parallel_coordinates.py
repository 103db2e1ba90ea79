"""The parallel-coordinates plot: which experiments, which axes, and where values lie."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from studies import parallel_coordinates as plot
from synth2real.params import ParamsError


def _revision(rate: float, loss: str, miou: object) -> dict[str, Any]:
    params = {"training": {"rate": rate, "loss": loss, "seed": 1}}
    return {"data": {"params": {"params.yaml": {"data": params}}, "metrics": {"m.json": {"data": {"unfused": {"miou": miou}}}}}}


@pytest.fixture
def shown() -> list[dict[str, Any]]:
    experiments = [
        {"name": "low", "executor": None, "revs": [_revision(1e-3, "hinge", 30.0)]},
        {"name": "high", "executor": {"state": "success"}, "revs": [_revision(9e-3, "lsgan", 40)]},
        {"name": "running", "executor": {"state": "running"}, "revs": [_revision(8.0, "lsgan", 35.0)]},
        {"name": "failed", "executor": None, "revs": [{"data": None}]},
        {"name": "empty", "executor": None, "revs": [_revision(5.0, "lsgan", None)]},
    ]
    workspace = {"rev": "workspace", "name": None, **_revision(7.0, "wgan", 1.0), "experiments": None}
    return [workspace, {"rev": "0123456789", "name": "main", **_revision(5e-3, "lsgan", 35.0), "experiments": experiments}]


def test_finished_experiments_and_their_commit_are_read(shown: list[dict[str, Any]]) -> None:
    found = plot.read_experiments(shown, "m.json:unfused.miou")
    assert [(item.name, item.params["training.rate"], item.metric) for item in found] == [
        ("main", 5e-3, 35.0), ("low", 1e-3, 30.0), ("high", 9e-3, 40.0),
    ]  # fmt: skip
    assert plot.axes_of(found) == {"training.rate": [5e-3, 1e-3, 9e-3], "training.loss": ["lsgan", "hinge", "lsgan"]}
    with pytest.raises(ParamsError, match="nothing to draw"):
        plot.axes_of([found[0], found[0]._replace(metric=1.0)])


@pytest.mark.parametrize("metric", ["m.json:miou", "other.json:unfused.miou", "m.json"])
def test_a_metric_that_is_not_there_is_refused(metric: str, shown: list[dict[str, Any]]) -> None:
    with pytest.raises(ParamsError, match=r"expected this number in two experiments at least, found 0"):
        plot.read_experiments(shown, metric)


def test_numbers_lie_to_scale_and_names_in_order() -> None:
    assert plot.positions([1.0, 3, 2.0]) == ([0.0, 1.0, 0.5], {0.0: "1", 1.0: "3", 0.5: "2"})
    assert plot.positions(["b", None, "a"]) == ([1.0, 0.0, 0.5], {1.0: "b", 0.0: "None", 0.5: "a"})
    assert plot.positions([2.0, 2.0])[0] == [0.5, 0.5]


def test_the_picture_names_all_axes(shown: list[dict[str, Any]], tmp_path: Path) -> None:
    mpl.use("agg")
    with mpl.rc_context({"svg.fonttype": "none"}):
        plot.draw(plot.read_experiments(shown, "m.json:unfused.miou"), "m.json:unfused.miou", tmp_path / "new/p.svg")
    text = (tmp_path / "new/p.svg").read_text()
    assert all(word in text for word in ("training.", "rate", "loss", "unfused.miou", "hinge", "0.009", "40"))
