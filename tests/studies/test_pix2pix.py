"""The study that takes pix2pix apart: its table, and that each variant is one that the settings allow."""

import csv
import json
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from studies.pix2pix import table
from synth2real.frames import FrameError
from synth2real.params import read_section
from synth2real.synthesis.synthesize import SynthesizeSettings
from synth2real.synthesis.train import SynthesisSettings

ROOT = Path(__file__).parents[2]


def write(folder: Path, miou: float, size: str = "64x128") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    photos = {
        "protocol": {"size": size},
        "distances": {"fd_lite0": {"source": 10.0, "translated": 50.0 + miou}},
        "content": {"miou": {"source": 60.0, "translated": miou}, "pixel_accuracy": {"source": 90.0, "translated": 80.0}},
    }
    (folder / "photos.json").write_text(json.dumps(photos))
    (folder / "diversity.json").write_text(json.dumps({"diversity_lite0": 0.25}))


def test_the_table_has_real_photos_then_means_and_spreads_of_each_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names = [variant["name"] for variant in YAML(typ="safe", pure=True).load(table.VALUES)["variants"]]
    for name in names:
        write(tmp_path / name / "seed-1", 20.0)
        write(tmp_path / name / "seed-2", 30.0)
    table.main(tmp_path, tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [row["variant"] for row in rows] == ["real photos", *names]
    assert (rows[0]["fcn_miou"], rows[0]["fd_lite0"], rows[0]["fcn_miou_sd"]) == ("60.0", "10.0", "")
    assert (rows[1]["seeds"], rows[1]["fcn_miou"], rows[1]["fcn_miou_sd"]) == ("2", "25.0", "7.0711")

    write(tmp_path / names[-1] / "seed-2", 30.0, "32x32")
    with pytest.raises(FrameError, match="scores of one protocol"):
        table.main(tmp_path, tmp_path / "other.csv")
    for name in ("seed-1", "seed-2"):
        (tmp_path / names[-1] / name).rename(tmp_path / f"away-{name}")
    with pytest.raises(FrameError, match=f"{names[-1]}: no scores"):
        table.main(tmp_path, tmp_path / "other.csv")


def test_every_variant_differs_from_the_base_by_values_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    values = YAML(typ="safe", pure=True).load(table.VALUES)
    changes = [shlex.split(f"{values['base']} {variant['changes']}") for variant in values["variants"]]
    base = read_section("synthesis", SynthesisSettings, changes=shlex.split(values["base"]))
    found = [read_section("synthesis", SynthesisSettings, changes=each) for each in changes]
    assert found[0] == base
    assert all(one != base for one in found[1:])
    assert {variant["study"] for variant in values["variants"][1:]} == {
        "objectives", "discriminators", "batch_size", "perceptual", "stochasticity",
    }  # fmt: skip


def test_every_hood_is_one_that_the_settings_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for mask in YAML(typ="safe", pure=True).load(Path("studies/hood_mask/params.yaml"))["masks"]:
        _, _, changes = mask["arguments"].partition("--changes ")
        settings = read_section("synthesize", SynthesizeSettings, changes=changes.split())
        assert (settings.hood is None) == (mask["name"] == "none")
