"""A tiny experiment in a git repository of its own, with a base and what a branch may do to it."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dvc.repo import Repo

_DVC = """
stages:
  train:
    foreach: ${ladder}
    do:
      cmd: python stages/train.py --model ${item}
      deps: [stages/train.py, src/steps]
      params: [training]
      outs: ['data/models/${item}.ckpt']
      plots:
        - metrics/curves/${item}.csv:
            cache: false
  evaluate:
    foreach: ${ladder}
    do:
      cmd: python stages/evaluate.py --model ${item}
      deps: [stages/evaluate.py, 'data/models/${item}.ckpt']
      outs: ['data/grids/${item}.png']
      metrics:
        - metrics/evaluation/${item}.json:
            cache: false
"""


def evaluation(miou: float, half: float = 2.0, **rest: Any) -> dict[str, Any]:
    """What an evaluation writes, with an interval of miou that reaches ``half`` to both sides."""
    one = {
        "miou": miou,
        "classes_present": 2,
        "pixel_accuracy": 70.0,
        "iou": {"road": miou + 10, "traffic light": miou - 10, "train": None},
        "miou_interval": [miou - half, miou + half],
        "iou_interval": {"road": [miou + 9, miou + 11], "traffic light": [miou - 10, miou - 10], "train": [None, None]},
    }
    return {
        "label_space": "cityscapes19",
        "split": "val",
        "frames": 72,
        "unfused": one,
        "fused": {**one, "miou": miou + 1},
        **rest,
    }


class Scratch:
    """A repository; git's and DVC's view of it follow :meth:`commit`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *arguments: str) -> str:
        command = (
            "git",
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@localhost",
            "-c",
            "protocol.file.allow=always",
            *arguments,
        )
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def params(self, **values: object) -> None:
        """JSON is YAML."""
        content = {"ladder": ["source_only", "adapted"], "training": {"epochs": 3, "rate": 0.1}, **values}
        self.write("params.yaml", json.dumps(content, indent=1))

    def run_stages(self, mious: Mapping[str, float], shade: int = 90) -> None:
        """Stands in for dvc repro: writes what the stages would, and takes it into dvc.lock and the cache."""
        for model, miou in mious.items():
            self.write(f"data/models/{model}.ckpt", f"weights {miou}")
            self.write(f"metrics/evaluation/{model}.json", json.dumps(evaluation(miou)))
            self.write(f"metrics/curves/{model}.csv", f"step,loss,accuracy\n1,{100 - miou},\n2,{90 - miou},0.5\n")
            (self.root / "data/grids").mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(self.root / f"data/grids/{model}.png"), np.full((20, 30, 3), shade, np.uint8))
        self.record()

    def record(self) -> None:
        """``dvc commit``."""
        with chdir(self.root), Repo(str(self.root)) as repo:
            repo.commit(force=True)

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = Scratch(tmp_path_factory.mktemp("scratch"))
    scratch.git("init", "--quiet", "--initial-branch=main")
    Repo.init(str(scratch.root)).close()
    scratch.write(".gitignore", "/data/\n/report/\n__pycache__/\n")
    scratch.write("dvc.yaml", _DVC)
    scratch.params()
    for name in ("stages/train.py", "stages/evaluate.py", "src/steps/one.py", "src/steps/deep/two.py"):
        scratch.write(name, f"# {name}\n")
    scratch.run_stages({"source_only": 23.38, "adapted": 22.33})
    scratch.commit("The base")
    return scratch.root


@pytest.fixture
def scratch(_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    """A fresh copy of the base on branch ``head``; it is also the current folder."""
    root = tmp_path / "scratch"
    shutil.copytree(_template, root, symlinks=True)
    monkeypatch.chdir(root)
    scratch = Scratch(root)
    scratch.git("switch", "--quiet", "--create=head")
    return scratch
