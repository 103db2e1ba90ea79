"""The templates of ``dvc plots``, filled by DVC itself as dvc.yaml says, from files such as the stages write."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from synth2real.label_space import LABEL_SPACES
from synth2real.report.counts import OUTSIDE

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / ".dvc" / "plots"
_FILES = {
    "metrics/summary.csv": (
        "model,fused,seeds,miou,miou_sd,miou_low,miou_high,classes_present,pixel_accuracy,road,car\n"
        "majority,no,0,1.5,,,,,,,\nadapted,yes,2,35.2,0.3,33.3,36.4,19,79.1,87.4,\n"
    ),
    "metrics/confusion.csv": "model,fused,annotated,predicted,share\nadapted,no,road,road,91.2\nadapted,no,car,outside,7.0\n",
    "metrics/reliability/instances.csv": "calibration,score,precision,share\nnone,10.2,3.1,80.0\nplatt,3.0,3.1,100.0\n",
    "metrics/curves/source_only/seed-1.csv": "step,loss,pixel_accuracy\n10,2.5,0.5\n20,1.5,0.6\n",
}


def _definitions() -> list[Any]:
    """The plots of dvc.yaml that are drawn from :data:`_FILES`, as definitions at the top level."""
    document = YAML(typ="safe").load(ROOT / "dvc.yaml")
    of_stages = chain.from_iterable(stage.get("do", stage).get("plots", []) for stage in document["stages"].values())
    named = {re.sub(r"\$\{item\.seed\}", "1", path): dict(values) for entry in of_stages for path, values in entry.items()}
    drawn = [{path: {key: value for key, value in named[path].items() if key != "cache"}} for path in _FILES]
    return [*drawn, *(plot for plot in document["plots"] if isinstance(plot, dict))]


def _inside(node: Any) -> Iterator[dict[str, Any]]:
    """All mappings of a specification, without its data."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _inside(child)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("plots")
    for path, text in _FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], cwd=folder, check=True)
    (folder / ".dvc" / "plots").mkdir()
    for template in TEMPLATES.iterdir():
        (folder / ".dvc" / "plots" / template.name).write_text(template.read_text())
    YAML().dump({"plots": _definitions()}, folder / "dvc.yaml")
    shown = json.loads(subprocess.run([*dvc, "plots", "show", "--json"], cwd=folder, check=True, capture_output=True).stdout)
    assert not shown.get("errors")
    return {name: json.loads(content) if isinstance(content := plots[0]["content"], str) else content
            for name, plots in shown["data"].items()}  # fmt: skip


def test_each_template_is_used(filled: dict[str, dict[str, Any]]) -> None:
    described = {json.loads(path.read_text())["description"] for path in TEMPLATES.glob("*.json")}
    assert {spec["description"] for spec in filled.values()} == described
    assert set(filled) == {*_FILES, "classes"}


def test_templates_use_only_what_the_files_or_they_themselves_have(filled: dict[str, dict[str, Any]]) -> None:
    for name, spec in filled.items():
        rows = spec["data"]["values"]
        assert rows, name
        rest = {key: value for key, value in spec.items() if key != "data"}
        assert "DVC_METRIC" not in json.dumps(rest), name
        parts = list(_inside(rest))
        made = [
            value for part in parts if "as" in part for value in (part["as"] if isinstance(part["as"], list) else [part["as"]])
        ]
        used = {part["field"] for part in parts if isinstance(part.get("field"), str)}
        used |= {word for part in parts for value in part.values() if isinstance(value, str) for word in _datum(value)}
        used |= {column for part in parts for column in part.get("groupby", ())}
        assert used, name
        assert used - set(made) <= set(rows[0]), name


def _datum(expression: str) -> list[str]:
    return re.findall(r"\bdatum\.(\w+)", expression)


def test_templates_know_all_classes() -> None:
    classes = {name for space in LABEL_SPACES.values() for name in space.class_names}
    folds = [part["fold"] for part in _inside(json.loads((TEMPLATES / "classes.json").read_text())) if "fold" in part]
    assert [sorted(fold) for fold in folds] == [sorted(classes)]
    encoding = json.loads((TEMPLATES / "confusion.json").read_text())["spec"]["encoding"]
    assert encoding["x"]["sort"] == encoding["y"]["sort"] == [*folds[0], OUTSIDE]


def test_templates_know_all_curves_of_the_default_run() -> None:
    folds = [part["fold"] for part in _inside(json.loads((TEMPLATES / "curves.json").read_text())) if "fold" in part]
    paths = list((ROOT / "metrics" / "curves").rglob("*.csv"))
    assert paths
    for path in paths:
        step, *quantities = path.read_text().splitlines()[0].split(",")
        assert step == "step"
        assert set(quantities) <= set(folds[0]), path


def test_the_page_of_dvc_has_its_placeholders() -> None:
    page = (TEMPLATES / "page.html").read_text()
    assert all(f"{{{name}}}" in page for name in ("refresh_tag", "scripts", "plot_divs"))
    config = (ROOT / ".dvc" / "config").read_text()
    assert re.search(r"\[plots\]\n\s+html_template = plots/page\.html\n", config)


def test_the_reliability_diagram_has_its_whole_diagonal() -> None:
    spec = json.loads((TEMPLATES / "reliability.json").read_text())["spec"]
    diagonal, *_ = (layer for layer in spec["layer"] if "data" in layer)
    assert [tuple(point.values()) for point in diagonal["data"]["values"]] == [(0, 0), (100, 100)]
    assert [spec["encoding"][axis]["scale"]["domain"] for axis in ("x", "y")] == [[0, 100], [0, 100]]
