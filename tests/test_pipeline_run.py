"""The whole pipeline, for real: the ci preset in two clean clones, which must end with equal metrics."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTEST_"))},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",  # two runs side by side on a small machine
    "PYTHONDONTWRITEBYTECODE": "1",
}


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{' '.join(command)} in {folder}:\n{done.stdout[-6000:]}"
    return done.stdout


def _clone(folder: Path) -> Path:
    """A new repository with the files that git would clone, as they are in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    _run(folder, "git", "init", "--quiet")
    _run(folder, "git", "add", "--all")
    _run(folder, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message=clone")
    return folder


def _reproduce(folder: Path) -> Path:
    clone = _clone(folder)
    _run(clone, sys.executable, "-m", "synth2real.presets", "ci")
    _run(clone, "dvc", "repro")
    return clone


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(_reproduce, folders)
    return first, second


def _files(clone: Path) -> dict[str, bytes]:
    return {
        path.relative_to(clone).as_posix(): path.read_bytes() for path in sorted((clone / "metrics").rglob("*")) if path.is_file()
    }


@pytest.mark.pipeline
def test_two_runs_give_equal_bits(clones: tuple[Path, Path]) -> None:
    first, second = clones
    metrics = _files(first)
    assert {"metrics/summary.csv", "metrics/data.json", "metrics/evaluation/round-1/seed-1.json"} <= set(metrics)
    assert metrics == _files(second)
    locks = [
        [line for line in (clone / "dvc.lock").read_text().splitlines() if "md5:" in line or "path:" in line] for clone in clones
    ]
    assert locks[0] == locks[1]  # every output, model weights too


@pytest.mark.pipeline
def test_nothing_is_run_again(clones: tuple[Path, Path]) -> None:
    assert "Data and pipelines are up to date." in _run(clones[0], "dvc", "repro")


@pytest.mark.pipeline
def test_a_segmentation_value_touches_no_translator_or_detector(clones: tuple[Path, Path]) -> None:
    params = clones[0] / "params.yaml"
    before = params.read_text()
    _run(clones[0], sys.executable, "-m", "synth2real.presets", "ci", "segmentation.class_weight_power=0.4")
    try:
        status = _run(clones[0], "dvc", "status", "--json")
    finally:
        params.write_text(before)
    assert "train_translated@adapted-1" in status
    assert not [
        stage for stage in ("train_translator", "translate", "train_detector", "render@", "prepare_") if f'"{stage}' in status
    ]
