"""The study of CycleGAN's loss weights: its table, and the stage that takes the weights from the command line."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages import train_translator as stage
from studies import translation_table as table
from synth2real.frames import FrameError
from synth2real.params import ParamsError, read_section
from synth2real.translation.cyclegan import TranslationSettings

ROOT = Path(__file__).parents[2]


def scores(translated: float, size: str = "192x384") -> dict[str, Any]:
    return {
        "protocol": {"size": size},
        "distances": {"fd_lite0": {"source": 87.5676, "source_low": 81.0, "translated": translated, "change": -1.0}},
        "diversity": {"source": 70.8, "translated": 70.7, "ratio": 0.998},
        "content": {"miou": {"source": 44.4876, "translated": 40.0}},
    }


def test_the_table_has_a_row_for_each_variant_after_the_source(tmp_path: Path) -> None:
    for name, value in (("b", 2.0), ("a", 1.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps(scores(value)))
    table.main(tmp_path, "weights", tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == [
            ("untranslated", "87.568", "70.8", "44.488"),
            ("a", "1.0", "70.7", "40.0"),
            ("b", "2.0", "70.7", "40.0"),
        ]
    (tmp_path / "c.json").write_text(json.dumps(scores(3.0, "64x64")))
    with pytest.raises(FrameError, match="expected scores of one protocol"):
        table.main(tmp_path, "weights", tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


def test_the_default_is_among_the_variants_and_weights_replace_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    default = read_section("translation", TranslationSettings)
    variants = YAML(typ="safe", pure=True).load(ROOT / "studies/cyclegan_weights/params.yaml")["variants"]
    assert {"cycle": default.loss.cycle, "identity": default.loss.identity} in variants.values()
    assert {(10.0, 5.0), (1.0, 1.0), (5.0, 5.0)} < {(one["cycle"], one["identity"]) for one in variants.values()}

    trained: list[TranslationSettings] = []
    monkeypatch.setattr(stage, "train_translator", lambda source, target, settings, *_, **__: trained.append(settings))
    paths = Path("source"), Path("target"), Path("out"), Path("curves"), Path("samples")
    stage.main(*paths)
    stage.main(*paths, changes=("loss.cycle=10.0", "loss.identity=0.5"))
    assert trained[0] == default
    assert (trained[1].loss.cycle, trained[1].loss.identity) == (10.0, 0.5)
    assert trained[1].optimizer == default.optimizer
    with pytest.raises(ParamsError, match=r"cycle must be at least 0, got -1\.0"):
        stage.main(*paths, changes=("loss.cycle=-1.0",))
