"""The search asks for experiments, goes on where it stopped, takes up killed trials, and does not run for ever."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from synth2real.params import ParamsError, read_params

optuna = pytest.importorskip("optuna", reason="optuna is in the extra `studies`")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

from studies.optuna_search import search  # noqa: E402  (after the skip)

_SPACE = """\
translation.optimizer.learning_rate: {low: 1e-4, high: 1e-2, log: true}
translation.generator.blocks: {low: 1, high: 4}
translation.loss.adversarial: {choices: [lsgan, hinge]}
"""


class _Experiments:
    """Stands for DVC: knows what was run, and fails where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run: dict[str, dict[str, Any]] = {}
        self.failing: set[str] = set()
        monkeypatch.setattr(search, "run_experiment", self.start)
        monkeypatch.setattr(search, "read_metric", self.read)

    def start(self, name: str, values: dict[str, Any], target: str) -> None:
        assert target == "score_translation@adapted"
        assert name not in self.run
        if name in self.failing:
            raise search.TrialError(name)
        self.run[name] = values

    def read(self, name: str, metric: tuple[str, tuple[str, ...]]) -> float:
        assert metric == ("metrics/translation/adapted.json", ("distances", "fd_lite0", "translated"))
        return abs(float(self.run[name]["translation.optimizer.learning_rate"]) - 1e-3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    (tmp_path / "space.yaml").write_text(_SPACE)
    return tmp_path


def _search(folder: Path, trials: int) -> None:
    search.main(trials, space=folder / "space.yaml", name="t", storage=folder / "new" / "trials.db")


def test_a_search_goes_on_and_prints_the_best(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiments = _Experiments(monkeypatch)
    _search(folder, 3)
    assert list(experiments.run) == ["t-0", "t-1", "t-2"]
    _search(folder, 5)
    _search(folder, 5)
    assert list(experiments.run) == ["t-0", "t-1", "t-2", "t-3", "t-4"]
    for values in experiments.run.values():
        assert 1e-4 <= values["translation.optimizer.learning_rate"] <= 1e-2
        assert values["translation.generator.blocks"] in {1, 2, 3, 4}
        assert values["translation.loss.adversarial"] in {"lsgan", "hinge"}
    assert len({values["translation.optimizer.learning_rate"] for values in experiments.run.values()}) == 5
    best = min(experiments.run, key=lambda name: abs(experiments.run[name]["translation.optimizer.learning_rate"] - 1e-3))
    assert f"dvc exp apply {best}" in capsys.readouterr().out


def test_a_failure_is_passed_over_and_three_in_a_row_end_the_search(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiments = _Experiments(monkeypatch)
    experiments.failing = {"t-1", "t-2", "t-4"}
    _search(folder, 3)
    assert list(experiments.run) == ["t-0", "t-3", "t-5"]
    experiments.failing = {"t-6", "t-7", "t-8"}
    with pytest.raises(SystemExit, match="3 trials failed"):
        _search(folder, 4)


def test_a_killed_trial_is_run_again_with_its_values(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiments = _Experiments(monkeypatch)
    _search(folder, 1)
    url = f"sqlite:///{folder / 'new' / 'trials.db'}"
    study = optuna.load_study(study_name="t", storage=url)
    killed = study.ask()
    drawn = search.suggest(killed, read_params(folder / "space.yaml"))
    optuna.storages.RDBStorage(url, heartbeat_interval=1).record_heartbeat(killed._trial_id)
    monkeypatch.setattr(search, "_HEARTBEAT", 1)
    time.sleep(5)
    _search(folder, 2)
    assert experiments.run["t-2"] == drawn


def test_bounds_and_metrics_that_mean_nothing_are_refused() -> None:
    trial = optuna.create_study().ask()
    for wrong in ({"low": 1}, {"choices": 3}, 5, {"low": "a", "high": 2}):
        with pytest.raises(ParamsError, match=r"some\.key: expected choices"):
            search.suggest(trial, {"some.key": wrong})
    with pytest.raises(ParamsError, match="expected file:key"):
        search.Metric.parse("metrics/detector/instances.json")


def test_a_trial_is_an_experiment_that_takes_what_it_can_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/said\ntest "$6" != --set-param=a.b=2\n')
    (tmp_path / "dvc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    search.run_experiment("t-1", {"a.b": 1e-4, "c": "lsgan", "d": None}, "evaluate_detector")
    assert (tmp_path / "said").read_text().split("\n")[:-1] == [
        "--wait-for-lock", "exp", "run", "--temp", "--name=t-1",
        "--set-param=a.b=0.0001", '--set-param=c="lsgan"', "--set-param=d=null", "evaluate_detector",
    ]  # fmt: skip
    with pytest.raises(search.TrialError, match="t-1: the experiment failed"):
        search.run_experiment("t-1", {"a.b": 2}, "evaluate_detector")


def test_a_metric_is_read_from_what_dvc_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [
        {"rev": "workspace", "experiments": None},
        {"rev": "a", "experiments": [
            {"name": "t-1", "revs": [{"data": {"metrics": {"m.json": {"data": {"a": {"b": 2, "c": None}}}}}}]},
        ]},
    ]  # fmt: skip
    (tmp_path / "dvc").write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(shown)}\nEND\n")
    (tmp_path / "dvc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert search.read_metric("t-1", search.Metric.parse("m.json:a.b")) == 2.0
    for metric in ("m.json:a.c", "m.json:a.d", "m.json:a.b.c", "other.json:a"):
        with pytest.raises(search.TrialError, match=r"t-1: .* has no number"):
            search.read_metric("t-1", search.Metric.parse(metric))
    with pytest.raises(search.TrialError, match="no such experiment"):
        search.read_metric("t-2", search.Metric.parse("m.json:a.b"))
