import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from synth2real import tracking
from synth2real.hardware import HardwareSettings
from synth2real.models import save_model
from synth2real.training import Schedule, fit

SCHEDULE = Schedule(epochs=4, steps_per_epoch=2, batch_size=2)
LIMIT = 60.0  # seconds that a loaded machine may take


@dataclass(frozen=True)
class Run:
    name: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[tuple[int, float]]]
    artifacts: Path


def read_runs(database: Path) -> list[Run]:
    """What MLflow's tables hold, oldest run first."""
    if not database.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as store:
        if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchall():
            return []

        def rows(columns: str, table: str, run: str) -> list[tuple[Any, ...]]:
            return store.execute(f"SELECT {columns} FROM {table} WHERE run_uuid = ?", [run]).fetchall()

        result = []
        query = "SELECT run_uuid, name, status, artifact_uri FROM runs ORDER BY start_time"
        for run, name, status, artifacts in store.execute(query).fetchall():
            metrics: dict[str, list[tuple[int, float]]] = {}
            for key, step, value in sorted(rows("key, step, value", "metrics", run)):
                metrics.setdefault(key, []).append((step, value))
            params, tags = dict(rows("key, value", "params", run)), dict(rows("key, value", "tags", run))
            result.append(Run(name, status, params, tags, metrics, Path(artifacts.removeprefix("file://"))))
        return result


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the default store of an empty repository will be."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".dvc" / "tmp" / "mlflow" / "mlflow.db"


class Regression(pl.LightningModule):
    """A small net with momenta and dropout."""

    def __init__(self, after_epoch: Callable[[int], object] = lambda epoch: None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.after_epoch = after_epoch

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if batch_idx == 0 and self.current_epoch:
            self.after_epoch(self.current_epoch)
        loss: Tensor = (self.net(batch) - batch.sum(1, keepdim=True)).square().mean()
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 0.01)


def draw(index: int, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(generator.standard_normal(4, np.float32))


def train(folder: Path, module: Regression, *, tracked: bool = True) -> bytes:
    """Bytes of the model file."""
    hardware = HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0, tracking=tracked)
    fit(
        module,
        draw,
        schedule=SCHEDULE,
        seed=3,
        hardware=hardware,
        curves=folder / "curves.csv",
        resume=folder / "resume",
        settings={"regression": {"schedule": SCHEDULE, "rates": [0.01]}, "seed": 3},
    )
    model = folder / "model.ckpt"
    save_model(model, "regression", {}, module.state_dict())
    tracking.log_model(model)
    return model.read_bytes()


def test_a_training_shows_up_and_its_model_can_be_registered(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@regression")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-try")
    monkeypatch.setattr(sys, "argv", ["stages/train.py", "--source", "data/source", "--out", "tracked/model.ckpt"])
    outs = {"prepare": ("data/source", "aa11.dir"), "train@regression": ("tracked/model.ckpt", "bb22")}
    lock = {name: {"outs": [{"path": path, "md5": md5}]} for name, (path, md5) in outs.items()}
    Path("dvc.lock").write_text(json.dumps({"stages": lock}))
    folder = Path("tracked")
    folder.mkdir()
    (folder / "sheet.png").write_bytes(b"picture")
    try:
        model = train(folder, Regression(lambda epoch: tracking.log_picture(folder / "sheet.png") if epoch == 1 else None))
    finally:
        tracking.close(LIMIT)
    assert "mlflow" not in sys.modules
    assert model == train(Path("untracked"), Regression(), tracked=False)

    (run,) = read_runs(database)
    assert (run.name, run.status) == ("train@regression", "FINISHED")
    schedule = {f"regression.schedule.{name}": value for name, value in (("epochs", "4"), ("steps_per_epoch", "2"))}
    assert run.params == schedule | {"regression.schedule.batch_size": "2", "regression.rates": "[0.01]", "seed": "3"}
    written = [line.split(",") for line in (folder / "curves.csv").read_text().splitlines()[1:]]
    assert [(step, f"{loss:.6g}") for step, loss in run.metrics["loss"]] == [(int(float(row[0])), row[1]) for row in written]
    assert len(written) == SCHEDULE.epochs
    assert (run.tags["DVC_STAGE"], run.tags["DVC_EXP_NAME"]) == ("train@regression", "brave-try")
    assert {name: value for name, value in run.tags.items() if name.startswith("md5 ")} == {"md5 data/source": "aa11.dir"}
    assert run.tags["model.path"] == "tracked/model.ckpt"
    assert (run.artifacts / "pictures" / "sheet.png").read_bytes() == b"picture"
    assert run.artifacts.is_relative_to(database.parent)

    code = "from pathlib import Path; from synth2real.tracking import register; "
    code += "[register(Path(model), 'streets') for model in ('tracked/model.ckpt', 'other.ckpt')]"
    Path("other.ckpt").write_bytes(b"another")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("streets, version 1: tracked/model.ckpt of run train@regression"), done.stderr
    assert re.search(r"TrackingError: other\.ckpt: sqlite:\S+ has no run that made this file \(MD5 \w{32}\)", done.stderr)
    assert (run.artifacts / "model" / "model.ckpt").read_bytes() == model
    with contextlib.closing(sqlite3.connect(database)) as store:
        assert store.execute("SELECT name, version, source FROM model_versions").fetchall() == [
            ("streets", 1, f"{run.artifacts.as_uri()}/model")
        ]


def test_a_training_that_fails_goes_on_as_the_same_run(database: Path) -> None:
    def fail(epoch: int) -> None:
        if epoch == 2:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(Path(), Regression(fail))
    tracking.close(LIMIT)
    (run,) = read_runs(database)
    assert run.status == "FAILED"
    assert [step for step, _ in run.metrics["loss"]] == [2, 4]
    try:
        train(Path(), Regression())
    finally:
        tracking.close(LIMIT)
    (run,) = read_runs(database)
    assert run.status == "FINISHED"
    assert [step for step, _ in run.metrics["loss"]] == [2, 4, 6, 8]


def test_a_store_whose_making_was_cut_off_is_made_anew(database: Path) -> None:
    prepare = "from synth2real.tracking import prepare_store, store; prepare_store(store())"
    cut_off = (
        "import os, sqlite3; from mlflow.db import upgrade; upgrade.main = lambda arguments, **_: (sqlite3.connect("
        "arguments[0].removeprefix('sqlite:///')).execute('CREATE TABLE experiments (experiment_id INTEGER)'), os._exit(9));"
    )
    assert subprocess.run([sys.executable, "-c", cut_off + prepare], check=False).returncode == 9
    subprocess.run([sys.executable, "-c", prepare], check=True)
    with contextlib.closing(sqlite3.connect(database)) as made:
        assert made.execute("SELECT name FROM experiments").fetchall() == []
    assert sorted(path.name for path in database.parent.iterdir()) == ["mlflow.db", "mlflow.lock"]


def test_many_that_start_at_once_on_an_empty_store_all_get_in_also_one_that_is_killed(database: Path) -> None:
    first = "import os; from synth2real import tracking; "
    record = "tracking.record({'seed': %d}, {'val': {'miou': %d / 2, 'absent': None, 'undefined': float('nan')}})"
    killed = "tracking.start({'seed': 2}); tracking.log_metrics({'val': {'miou': 1.0}}); os.kill(os.getpid(), 9)"
    commands = [[sys.executable, "-c", first + code] for code in (record % (0, 0), record % (1, 1), killed)]
    assert [process.wait(LIMIT) for process in [subprocess.Popen(command) for command in commands]] == [0, 0, -signal.SIGKILL]
    wait_for(lambda: sorted(run.status for run in read_runs(database)) == ["FINISHED", "FINISHED", "KILLED"])
    found = sorted((run.params["seed"], run.status, run.metrics) for run in read_runs(database))
    statuses = ("FINISHED", "FINISHED", "KILLED")
    assert found == [(str(seed), status, {"val/miou": [(0, seed / 2)]}) for seed, status in enumerate(statuses)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """MLflow's own server; MLFLOW_TRACKING_URI names it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "synth2real.tracking", "ui", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:

        def answers() -> bool:
            assert process.poll() is None
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
            return False

        wait_for(answers)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_server_that_dies_changes_nothing_but_one_line(
    database: Path, server: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "PATIENCE", 3.0)
    kill_time = 0.0

    def kill(epoch: int) -> None:
        nonlocal kill_time
        if epoch == 1:
            wait_for(lambda: any(run.metrics for run in read_runs(database)))
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            kill_time = time.monotonic()

    capfd.readouterr()
    model = train(Path(), Regression(kill))
    assert time.monotonic() - kill_time < 20  # three epochs and the model file
    tracking.close(LIMIT)
    warnings = [line for line in capfd.readouterr().err.splitlines() if "MLflow" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("MLflow: no entry in http://127.0.0.1:")
    (run,) = read_runs(database)
    assert [step for step, _ in run.metrics["loss"]] == [2]
    assert model == train(Path("untracked"), Regression(), tracked=False)


def test_a_server_that_hangs_holds_nobody_up(
    database: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "PATIENCE", 1.0)
    with socket.socket() as listener:  # takes connections and never answers
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:secret@127.0.0.1:{listener.getsockname()[1]}")
        tracking.start({"seed": 1})
        listener.settimeout(LIMIT)
        connection, _ = listener.accept()
        begin = time.monotonic()
        for step in range(2000):  # more than a pipe takes
            tracking.log_metrics({"loss": 1.0}, step)
        tracking.end("FINISHED")
        assert time.monotonic() - begin < 20  # waiting for each would take hours
        tracking.close(LIMIT)
        connection.close()
    error = capfd.readouterr().err
    assert error.count("MLflow: no entry in http://127.0.0.1:") == 1
    assert "secret" not in error


def test_a_sender_that_does_not_read_is_given_up(database: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tracking.start({})
    sender = tracking._sender
    assert sender is not None
    try:
        sender.send_signal(signal.SIGSTOP)
        for step in range(2000):
            tracking.log_metrics({"loss": 1.0}, step)
        assert tracking._sender is None
        assert capfd.readouterr().err.count("MLflow") == 1
    finally:
        sender.kill()
        sender.wait()


def test_nothing_is_sent_without_a_run(database: Path, tmp_path: Path) -> None:
    tracking.log_metrics({"loss": 1.0})
    tracking.log_model(tmp_path / "none.ckpt")
    tracking.end("FINISHED")
    tracking.close()
    train(Path(), Regression(), tracked=False)
    assert not database.parent.exists()


def test_the_store_of_a_queue_s_clone_is_that_of_the_main_repository(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking.store() == f"sqlite:///{database}"
    clone = tmp_path / "clone"
    (clone / ".dvc").mkdir(parents=True)
    (clone / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {tmp_path}/.dvc/cache\n")
    monkeypatch.setenv("DVC_ROOT", str(clone))
    assert tracking.store() == f"sqlite:///{database}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.store() == "http://127.0.0.1:5000"
    with pytest.raises(tracking.TrackingError, match="a server with its own pages"):
        tracking.ui()
