"""The whole pipeline, for real: the ci preset in two clean clones, which must end with equal metrics; and an S3 remote for it."""

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTEST_"))},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",  # two runs side by side on a small machine
    "PYTHONDONTWRITEBYTECODE": "1",
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test"),
    "AWS_EC2_METADATA_DISABLED": "true",
}
_COMMIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet")


def _run(folder: Path, *command: str, fails: bool = False) -> str:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode != 0) == fails, f"{' '.join(command)} in {folder}:\n{done.stdout[-6000:]}"
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
    _run(folder, *_COMMIT, "--message=clone")
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


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Where a server on this machine, which speaks S3 and has the bucket ``streets``, answers."""
    from moto.server import ThreadedMotoServer  # takes seconds, which the other tests need not wait

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with urlopen(Request(f"{url}/streets", method="PUT")):
        pass
    yield url
    server.stop()


def _hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.pipeline
def test_a_clone_without_data_runs_nothing_and_gets_all_from_s3(clones: tuple[Path, Path], s3: str, tmp_path: Path) -> None:
    first, second = clones[0], tmp_path / "clone"
    _run(first, "dvc", "remote", "add", "--default", "--force", "storage", "s3://streets/store")
    _run(first, "dvc", "remote", "modify", "storage", "endpointurl", s3)
    _run(first, "git", "add", "--all")
    _run(first, *_COMMIT, "--message=run")
    _run(first, "dvc", "push")
    _run(tmp_path, "git", "clone", "--quiet", str(first), str(second))

    assert "Running stage" not in _run(second, "dvc", "repro", "--pull", "--allow-missing")
    assert not (second / "data/models").exists()  # nothing needs them
    assert _run(second, "git", "status", "--porcelain") == ""
    _run(second, sys.executable, "-m", "synth2real.revisions", "HEAD~1", "--fail-if-stale")

    _run(second, sys.executable, "-m", "synth2real.presets", "ci", "fusion.score_threshold=0.5")
    log = _run(second, "dvc", "repro", "--pull", "--allow-missing", "fuse@source_only-1")
    assert [line for line in log.splitlines() if line.startswith("Running stage")] == ["Running stage 'fuse@source_only-1':"]
    assert not (second / "data/models").exists()  # predictions were pulled, and nothing else

    _run(second, "git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    _run(second, "dvc", "pull", "--force", "--allow-missing")  # of studies that were never run
    assert _hashes(second / "data") == _hashes(first / "data")
    assert "Data and pipelines are up to date." in _run(second, "dvc", "repro")


@pytest.mark.pipeline
def test_a_wrong_remote_says_what_is_wrong(s3: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n  a:\n    cmd: echo 1 > out\n    outs: [out]\n")
    _run(tmp_path, "dvc", "init", "--quiet", "--no-scm")
    _run(tmp_path, "dvc", "repro")
    assert "no remote specified" in _run(tmp_path, "dvc", "push", fails=True)
    _run(tmp_path, "dvc", "remote", "add", "--default", "storage", "s3://nosuch/store")
    _run(tmp_path, "dvc", "remote", "modify", "storage", "endpointurl", s3)
    assert "bucket" in _run(tmp_path, "dvc", "push", fails=True).lower()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        _run(tmp_path, "dvc", "remote", "modify", "storage", "endpointurl", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert "connect" in _run(tmp_path, "dvc", "push", fails=True).lower()
