"""The study of fusion's rules: its table, and that each rule is one that the settings allow."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from studies.fusion_rules import table
from synth2real.frames import FrameError
from synth2real.fusion import FusionSettings
from synth2real.params import read_section

ROOT = Path(__file__).parents[2]


def variants() -> list[dict[str, str]]:
    found: list[dict[str, str]] = YAML(typ="safe", pure=True).load(ROOT / "studies/fusion_rules/params.yaml")["variants"]
    return found


def scores(gain: float) -> dict[str, Any]:
    return {
        "unfused": {"miou": 30.0, "iou": {"road": 80.0, "car": 50.0, "train": None, "bus": 10.0}},
        "fused": {"miou": 30.0 + gain, "iou": {"road": 79.0, "car": 50.0 + 2 * gain, "train": None, "bus": None}},
    }


def test_the_table_has_the_mean_gain_of_each_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for variant in variants():
        (tmp_path / variant["name"]).mkdir()
        for seed, gain in enumerate((1.0, 2.0), 1):
            (tmp_path / variant["name"] / f"seed-{seed}.json").write_text(json.dumps(scores(gain)))
    table.main(tmp_path, tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [row["rule"] for row in rows] == [variant["name"] for variant in variants()]
    assert (rows[0]["seeds"], rows[0]["miou"], rows[0]["miou_sd"], rows[0]["car"]) == ("2", "1.5", "0.71", "3.0")
    assert rows[0]["train"] == rows[0]["bus"] == ""
    assert "road" not in rows[0]
    (tmp_path / "paper").rename(tmp_path / "away")
    with pytest.raises(FrameError, match="paper: no scores"):
        table.main(tmp_path, tmp_path / "other.csv")


def test_the_first_rule_is_the_papers_and_each_other_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    default = read_section("fusion", FusionSettings)
    paper, *others = (read_section("fusion", FusionSettings, changes=variant["changes"].split()) for variant in variants())
    assert paper == default
    assert all(other != paper for other in others)
