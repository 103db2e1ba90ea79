"""The study of shape and texture: crops, balance, a classifier that learns, and the table."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ruamel.yaml import YAML

from studies.shape_vs_texture import classify, crops, table
from synth2real.frames import Frame, FrameError, read_image, write_frames, write_image, write_instances

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "studies/shape_vs_texture"


def test_an_object_lies_in_the_middle_of_grey() -> None:
    image = np.random.default_rng(0).integers(0, 100, (40, 60, 3)).astype(np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[0:20, 50:60] = True  # at the frame's corner
    settings = crops.CropSettings(size=24, margin=0.1, min_area=1, most=1, seed=0)
    texture, shape = crops.cut(image, mask, settings)
    assert texture.shape == (24, 24, 3)
    expected = np.zeros((24, 24), bool)
    expected[2:22, 7:17] = True
    assert ((shape == 255) == expected).all()
    assert (texture[expected].reshape(20, 10, 3) == image[:20, 50:]).all()
    assert (texture[~expected] == 128).all()
    small = crops.cut(image, mask, crops.CropSettings(size=12, margin=0.1, min_area=1, most=1, seed=0))
    assert [part.shape for part in small] == [(12, 12, 3), (12, 12)]
    assert set(np.unique(small[1])) == {0, 255}


_CLASSES = hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(0, 9))


@given(_CLASSES, _CLASSES, st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_both_sets_give_equally_many_of_each_class(real: np.ndarray, synthetic: np.ndarray, most: int, seed: int) -> None:
    one, other = crops.balanced(real, synthetic, most, np.random.default_rng(seed))
    counts = np.bincount(real[one], minlength=10)
    assert (counts == np.bincount(synthetic[other], minlength=10)).all()
    wanted = np.minimum(np.bincount(real, minlength=10), np.bincount(synthetic, minlength=10))
    assert (counts == np.minimum(wanted, most)).all()
    assert len(set(one.tolist())) == len(one)


def test_scores_name_what_needs_no_classifier() -> None:
    found = classify.scores(np.array([0, 0, 0, 1]), np.array([0, 0, 2, 2]))
    assert found == {"crops": 4, "accuracy": 50.0, "majority": 50.0, "mean_class_accuracy": 50.0}


def _write_set(root: Path, is_real: bool) -> None:
    """Persons are discs and cars flat bars; in the real set they are bright. Four frames to train on, two to test on."""
    frames = []
    for number in range(6):
        image, ids = np.full((48, 96, 3), 90, np.uint8), np.full((48, 96), 7, np.uint16)
        colour = (250, 250, 250) if is_real else (10, 10, 10)
        cv2.circle(image, (20 + number, 24), 12, colour, -1)
        cv2.circle(ids, (20 + number, 24), 12, 24000, -1)
        cv2.rectangle(image, (54, 20 + number), (90, 28 + number), colour, -1)
        cv2.rectangle(ids, (54, 20 + number), (90, 28 + number), 26000, -1)
        frame = Frame(f"frame{number}", "train" if number < 4 else "val", 48, 96)
        write_image(root / "images" / f"{frame.frame_id}.png", image)
        write_instances(root / "instances" / f"{frame.frame_id}.png", ids)
        frames.append(frame)
    write_frames(root, frames)


def test_a_classifier_learns_what_its_cue_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(STUDY / "params.yaml")
    values["crops"] |= {"size": 32, "min_area": 20}
    values["classifier"] |= {"learning_rate": 1e-3, "schedule": {"epochs": 8, "steps_per_epoch": 12, "batch_size": 8}}
    (tmp_path / classify.STUDY).mkdir(parents=True)
    yaml.dump(values, tmp_path / classify.STUDY / "params.yaml")
    hardware = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "workers": 0, "tracking": False}
    yaml.dump({"hardware": hardware}, tmp_path / "params.yaml")
    _write_set(tmp_path / "real", is_real=True)
    _write_set(tmp_path / "synthetic", is_real=False)
    real, synthetic, file = Path("real"), Path("synthetic"), Path("crops.npz")
    crops.main(real, real, synthetic, synthetic, file, Path("crops.png"))
    assert read_image(Path("crops.png")).shape == (2 * 32, 16 * 32, 3)
    assert len(np.load(file)["real/train/classes"]) == 8

    def accuracies(task: classify.Task, cue: classify.Cue, trained_on: classify.TrainedOn) -> dict[str, Any]:
        out = Path(f"scores/{task}_{cue}.json")
        classify.main(file, out.stem, task, cue, trained_on, out, Path("curves.csv"))
        return {name: found["accuracy"] for name, found in json.loads(out.read_text())["tested_on"].items()}

    assert accuracies("domain", "shape", "both")["both"] < 80  # the shapes are the same
    assert accuracies("domain", "texture", "both") == {"both": 100.0}
    assert accuracies("class", "shape", "real") == {"real": 100.0, "synthetic": 100.0}
    with pytest.raises(FrameError, match="must be trained on both sets, not on real"):
        accuracies("domain", "shape", "real")

    table.main(Path("scores"), Path("results.csv"))
    with Path("results.csv").open() as rows:
        found = {row["classifier"]: row["published"] for row in csv.DictReader(rows)}
    assert found == {
        "real or synthetic, by shape": "70.0",
        "real or synthetic, by texture": "95.1",
        "class, real to real, by shape": "81.0",
        "class, real to synthetic, by shape": "",
    }


def test_the_study_trains_each_published_classifier_once() -> None:
    values = YAML(typ="safe", pure=True).load(STUDY / "params.yaml")
    trained = [(one["task"], one["cue"], one["trained_on"]) for one in values["classifiers"]]
    assert sorted(trained) == sorted(table.PUBLISHED)
    assert len({one["name"] for one in values["classifiers"]}) == len(trained)
