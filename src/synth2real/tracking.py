"""A live view of trainings and evaluations in MLflow, beside DVC's files, which hold the truth.

A process of its own sends each run, so a training neither loads MLflow (which takes seconds) nor waits for a store, and computes
the same bits with and without it. Lines of JSON reach that process through a pipe that it always empties. While the store does
not answer, it says so once and tries again; it ends by itself, at most :data:`PATIENCE` seconds after the training. A training
that is killed closes the pipe, so its run ends as killed; when it is resumed, its run goes on.
"""

import dataclasses
import fcntl
import hashlib
import json
import logging
import math
import os
import queue
import re
import select
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import tyro
from ruamel.yaml import YAML

from synth2real.resuming import dvc_folder

PATIENCE = 30.0
"""Seconds that the sending process may live longer than the run that it sends."""

Status = Literal["FINISHED", "FAILED", "KILLED"]

_DEFAULTS = {  # a user's own values win
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # only its language models need it
    "OMP_NUM_THREADS": "1",
}
_DVC_VARIABLES = ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
_PIPE_WAIT = 1.0  # seconds; a sender that lives reads at once, whatever its store does
_SQLITE = "sqlite:///"

_sender: subprocess.Popen[bytes] | None = None  # of this process's run


class TrackingError(ValueError):
    """A model has no run, or the store is not of the kind that a command needs."""


# --- Where -----------------------------------------------------------------------------------------------------------


def store() -> str:
    """URI of the store: ``MLFLOW_TRACKING_URI``, else the SQLite file ``.dvc/tmp/mlflow/mlflow.db`` of the main repository."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{(dvc_folder() / 'tmp' / 'mlflow' / 'mlflow.db').resolve()}"


# --- What a training or evaluation says ------------------------------------------------------------------------------


def flat(values: Mapping[str, object], separator: str) -> dict[str, Any]:
    """Nested dataclasses and mappings as one level, with the names of all levels joined."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if isinstance(value, Mapping):
            result |= {f"{name}{separator}{inner}": one for inner, one in flat(value, separator).items()}
        else:
            result[str(name)] = value
    return result


def start(settings: Mapping[str, object], *, training: str | None = None, resumed: bool = False) -> None:
    """Opens this process's run; what is logged until :func:`close` goes to it.

    The run is named after the DVC stage, else after the script. Its tags hold the DVC stage and experiment, the Git commit, and
    the MD5 that ``dvc.lock`` has of each path on the command line that another stage makes.

    Args:
        settings: Params, by section: dataclasses, mappings and plain values.
        training: What tells a resumed training from all others; with it the machine's load is recorded, too.
        resumed: Go on with the last unfinished run of that training, where there is one.
    """
    global _sender
    close()
    _sender = subprocess.Popen(
        [sys.executable, "-c", f"from synth2real.tracking import forward; forward({PATIENCE})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=_DEFAULTS | os.environ,
        start_new_session=True,  # Ctrl-C ends the training, whose end ends this
    )
    assert _sender.stdin is not None
    os.set_blocking(_sender.stdin.fileno(), False)
    params = {name: str(value) for name, value in flat(settings, ".").items()}
    _tell("start", params=params, training=training, resumed=resumed, arguments=sys.argv)


def log_metrics(values: Mapping[str, object], step: int = 0) -> None:
    """Logs the finite numbers among ``values``, which may be nested, at a step; nothing if no run is open."""
    numbers = {
        name: float(value)
        for name, value in flat(values, "/").items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }
    _tell("metrics", values=numbers, step=step)


def log_picture(path: Path) -> None:
    """Adds a small picture file to the open run, if there is one."""
    _tell("picture", path=str(path.absolute()))


def log_model(path: Path) -> None:
    """Adds a finished model file to the open run, if there is one: by path and MD5, without a copy."""
    if _sender is not None:
        _tell("model", path=str(path), md5=_md5(path))


def end(status: Status) -> None:
    """Says how the open run ended, if there is one; a run of which nothing was said when its process ends was killed."""
    _tell("status", status=status)


def close(wait: float = 0.0) -> None:
    """Closes the open run, if there is one. The rest is sent while this process goes on or ends.

    Args:
        wait: Seconds to wait for it at most.

    Raises:
        subprocess.TimeoutExpired: If that was not enough.
    """
    global _sender
    if _sender is not None:
        sender, _sender = _sender, None
        assert sender.stdin is not None
        sender.stdin.close()
        if wait:
            sender.wait(wait)


def record(settings: Mapping[str, object], metrics: Mapping[str, object]) -> None:
    """Sends a whole run at once, such as an evaluation's, without waiting.

    Args:
        settings: As for :func:`start`.
        metrics: As for :func:`log_metrics`.
    """
    start(settings)
    log_metrics(metrics)
    end("FINISHED")
    close()


def _tell(kind: str, **content: object) -> None:
    if _sender is None:
        return
    assert _sender.stdin is not None
    pipe = _sender.stdin.fileno()
    line = json.dumps({"kind": kind, "time": time.time_ns() // 1_000_000, **content}).encode() + b"\n"
    try:
        while line and select.select([], [pipe], [], _PIPE_WAIT)[1]:
            line = line[os.write(pipe, line) :]
    except OSError:  # nobody reads; the sender has said why
        line = b""
        close()
    if line:
        print("MLflow: the process that sends entries does not take them; the work itself goes on.", file=sys.stderr, flush=True)
        close()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5", _bufsize=2**20).hexdigest()


# --- The process that sends ------------------------------------------------------------------------------------------


def prepare_store(uri: str) -> None:
    """Makes a SQLite store, or upgrades that of an older MLflow, one process after another; other stores are left alone.

    A new one is made under another name, so that a process which is killed meanwhile leaves none that is half made.
    """
    from mlflow.db import upgrade

    if uri.startswith(_SQLITE):
        path = Path(uri.removeprefix(_SQLITE))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = path if path.exists() else path.with_suffix(".new")
            if made != path:
                made.unlink(missing_ok=True)
            upgrade.main([f"{_SQLITE}{made}"], standalone_mode=False)
            made.replace(path)


def data_md5s(stage: str, arguments: Sequence[str], lock: Path) -> dict[str, str]:
    """MD5 of each of ``arguments`` that is an output of another stage, from ``dvc.lock``.

    DVC has brought them up to date before it runs a stage, so the lock file speaks of what lies on the disk.

    Args:
        stage: Name of the stage that runs, as DVC gives it; its own outputs are those of an earlier run.
        arguments: The stage's command line.
        lock: The file ``dvc.lock``.
    """
    if not lock.is_file():
        return {}
    stages = YAML(typ="safe").load(lock).get("stages", {})
    outs = {out["path"]: out["md5"] for name, one in stages.items() if name != stage for out in one.get("outs", ())}
    return {path: outs[path] for path in arguments if path in outs}


class _Run:
    """A run in the store. Each method may be called again if it failed half way."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.client: Any = None
        self.id = ""
        self.monitor: Any = None

    def receive(self, message: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric

        match message["kind"]:
            case "start":
                self.start(message)
            case "metrics":
                metrics = [Metric(name, value, message["time"], message["step"]) for name, value in message["values"].items()]
                for batch in _batches(metrics, 1000):
                    self.client.log_batch(self.id, metrics=batch)
            case "picture":
                self.client.log_artifact(self.id, message["path"], "pictures")
            case "model":
                self.client.set_tag(self.id, "model.path", message["path"])
                self.client.set_tag(self.id, "model.md5", message["md5"])
            case "end":
                if self.monitor is not None:
                    self.monitor.finish()
                self.client.set_terminated(self.id, message["status"], message["time"])

    def start(self, message: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        if not self.id:
            prepare_store(self.uri)
            self.client = MlflowClient(self.uri)
            self.id = (message["resumed"] and self.unfinished(message["training"])) or self.create(message)
        self.client.update_run(self.id, "RUNNING")
        params = [Param(name, value[:6000]) for name, value in message["params"].items()]
        for batch in _batches(params, 100):
            self.client.log_batch(self.id, params=batch)
        if message["training"] and self.monitor is None:
            self.monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
                self.id, resume_logging=message["resumed"], tracking_uri=self.uri
            )
            self.monitor.start()

    def experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "synth2real")
        artifacts = None
        if self.uri.startswith(_SQLITE):
            artifacts = (Path(self.uri.removeprefix(_SQLITE)).absolute().parent / "artifacts").as_uri()
        with suppress(MlflowException):  # it is there
            return str(self.client.create_experiment(name, artifacts))
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            raise TrackingError(f"{self.uri}: experiment {name} can be neither made nor found.")
        return str(experiment.experiment_id)

    def unfinished(self, training: str) -> str | None:
        wanted = f"tags.training = '{training}' and attributes.status != 'FINISHED'"
        runs = self.client.search_runs([self.experiment()], wanted, max_results=1, order_by=["attributes.start_time DESC"])
        return runs[0].info.run_id if runs else None

    def create(self, message: Mapping[str, Any]) -> str:
        script, *arguments = message["arguments"]
        stage = os.environ.get("DVC_STAGE")
        tags = {name: os.environ[name] for name in _DVC_VARIABLES if name in os.environ}
        tags["mlflow.source.name"] = shlex.join([script, *arguments])[:5000]
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        if commit.returncode == 0:
            tags["mlflow.source.git.commit"] = commit.stdout.strip()
        if stage is not None:
            tags |= {f"md5 {path}": md5 for path, md5 in data_md5s(stage, arguments, Path("dvc.lock")).items()}
        if message["training"]:
            tags["training"] = message["training"]
        name = stage or Path(script).stem
        return str(self.client.create_run(self.experiment(), message["time"], tags, name).info.run_id)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))


class _Forwarder:
    """Takes messages from standard input at any time, and brings each to the store as soon as that answers."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.run = _Run(store())
        self.messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.warned = False

    def warn(self, cause: str) -> None:
        if not self.warned:
            self.warned = True
            where = re.sub("//[^/@]*@", "//", self.run.uri)  # without a password
            print(f"MLflow: no entry in {where}; the work itself goes on ({cause}).", file=sys.stderr, flush=True)

    def read(self) -> None:
        status: Status = "KILLED"
        for line in sys.stdin.buffer:
            if not line.endswith(b"\n"):
                break  # the training ended in the middle of it
            message = json.loads(line)
            if message["kind"] == "status":
                status = message["status"]
            else:
                self.messages.put(message)
        self.messages.put({"kind": "end", "status": status, "time": time.time_ns() // 1_000_000})
        self.messages.put(None)
        time.sleep(self.patience)
        self.warn("no answer in time")
        os._exit(1)

    def send(self) -> None:
        for message in iter(self.messages.get, None):
            while not self.sent(message):
                time.sleep(1)

    def sent(self, message: Mapping[str, Any]) -> bool:
        """False if the message may get through later."""
        try:
            self.run.receive(message)
        except Exception as error:
            self.warn(f"{type(error).__name__}: {error}".splitlines()[0][:300])
            final = isinstance(error, (OSError, ImportError)) or getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE"
            if final and not self.run.id:
                os._exit(1)
            return final
        return True


def forward(patience: float) -> None:
    """Sends the run that comes in by standard input: the whole life of the sending process.

    Args:
        patience: Seconds to live at most after standard input has ended.
    """
    os.nice(10)
    logging.disable()
    forwarder = _Forwarder(patience)
    threading.Thread(target=forwarder.read, daemon=True).start()
    forwarder.send()
    os._exit(0)  # threads of a client may still wait


# --- Commands --------------------------------------------------------------------------------------------------------


def ui(port: int = 5000) -> None:
    """Serves MLflow's pages about this repository's runs, on this machine only.

    Args:
        port: Of http://127.0.0.1.
    """
    uri = store()
    if uri.startswith(("http://", "https://")):
        raise TrackingError(f"MLFLOW_TRACKING_URI is {uri}, a server with its own pages: open it in a browser, or unset it.")
    os.environ.update(_DEFAULTS | os.environ)
    prepare_store(uri)
    address = ["--host", "127.0.0.1", "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, *address, "--workers", "1"])


def register(model: Path, name: str) -> None:
    """Registers a model file in MLflow as the next version of a name, with a copy of the file beside the run that trained it.

    Args:
        model: Model file; its MD5 finds the run, so it may also have come from DVC's cache.
        name: Registered model; made where it is not there yet.
    """
    os.environ.update(_DEFAULTS | os.environ)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = store()
    prepare_store(uri)
    if not model.is_file():
        raise TrackingError(f"{model}: no such model; run the stage that trains it (dvc repro).")
    client = MlflowClient(uri)
    md5 = _md5(model)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    order = ["attributes.start_time DESC"]
    runs = client.search_runs(experiments, f"tags.`model.md5` = '{md5}'", max_results=1, order_by=order)
    if not runs:
        raise TrackingError(f"{model}: {uri} has no run that made this file (MD5 {md5}); train it with hardware.tracking: true.")
    run = runs[0]
    client.log_artifact(run.info.run_id, str(model), "model")
    with suppress(MlflowException):  # it is there
        client.create_registered_model(name)
    tags = {"path": str(model), "md5": md5}
    version = client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags).version
    print(f"{name}, version {version}: {model} of run {run.info.run_name} ({run.info.run_id})")


if __name__ == "__main__":
    try:
        tyro.extras.subcommand_cli_from_dict({"ui": ui, "register": register}, prog="python -m synth2real.tracking")
    except TrackingError as error:
        raise SystemExit(str(error)) from None
