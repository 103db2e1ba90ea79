"""Searches values of params.yaml with Optuna; every trial is an experiment of DVC.

``python studies/optuna_search/search.py`` from the repository's root. The trials are kept in an SQLite file, so a search that was
stopped goes on, and several may run side by side. It needs ``pip install -e .[studies]``.
"""

import json
import subprocess
import warnings
from pathlib import Path
from typing import Any, Literal, NamedTuple

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import Trial, TrialState

from synth2real.params import ParamsError, read_params, run

_COMMAND = "python studies/optuna_search/search.py"
_HEARTBEAT = 30  # seconds; a trial that is silent for four of them was killed
_PATIENCE = 3  # failed trials in a row; a single one may have drawn a learning rate that diverges


class TrialError(RuntimeError):
    """An experiment failed, or its metric is not there."""


class Metric(NamedTuple):
    """A number in a committed metrics file."""

    file: str
    keys: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Metric":
        """``file.json:key.key``.

        Raises:
            ParamsError: If there is no colon.
        """
        file, colon, keys = text.partition(":")
        if not colon or not keys:
            raise ParamsError(f"--metric {text}: expected file:key, such as metrics/detector/instances.json:ap.")
        return cls(file, tuple(keys.split(".")))


def suggest(trial: Trial, space: dict[str, Any]) -> dict[str, Any]:
    """A value for each parameter of the space, by dotted key of params.yaml.

    Raises:
        ParamsError: If a parameter has neither ``choices`` nor bounds.
    """
    values = {}
    for key, bounds in space.items():
        match bounds:
            case {"choices": list(choices)}:
                values[key] = trial.suggest_categorical(key, choices)
            case {"low": int(low), "high": int(high), **rest}:
                values[key] = trial.suggest_int(key, low, high, log=bool(rest.get("log")))
            case {"low": float() | int() as low, "high": float() | int() as high, **rest}:
                values[key] = trial.suggest_float(key, low, high, log=bool(rest.get("log")))
            case _:
                raise ParamsError(f"{key}: expected choices: [...], or low: and high: (and log: true), found {bounds!r}.")
    return values


def run_experiment(name: str, values: dict[str, Any], target: str) -> None:
    """Runs ``dvc exp run --temp`` in a clone of its own, with these values.

    Raises:
        TrialError: If it failed; DVC has said why.
    """
    assignments = [f"--set-param={key}={json.dumps(value)}" for key, value in values.items()]
    command = ["dvc", "--wait-for-lock", "exp", "run", "--temp", f"--name={name}", *assignments, target]
    if subprocess.run(command, check=False).returncode:
        raise TrialError(f"{name}: the experiment failed; DVC says why above.")


def read_metric(name: str, metric: Metric) -> float:
    """The metric of a finished experiment, from ``dvc exp show --json``.

    Raises:
        TrialError: If it is not there, or not a number.
    """
    done = subprocess.run(["dvc", "exp", "show", "--json"], capture_output=True, text=True, check=True)
    for baseline in json.loads(done.stdout):
        for experiment in baseline["experiments"] or []:
            if experiment["name"] == name:
                value = experiment["revs"][0]["data"]["metrics"].get(metric.file, {}).get("data")
                for key in metric.keys:
                    value = value.get(key) if isinstance(value, dict) else None
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise TrialError(f"{name}: {metric.file} has no number {'.'.join(metric.keys)}, found {value!r}.")
                return float(value)
    raise TrialError(f"{name}: DVC knows no such experiment of this commit.")


def main(
    trials: int = 20,
    metric: str = "metrics/translation/adapted.json:distances.fd_lite0.translated",
    direction: Literal["minimize", "maximize"] = "minimize",
    target: str = "score_translation@adapted",
    space: Path = Path("studies/optuna_search/space.yaml"),
    name: str = "translator",
    storage: Path = Path(".dvc/tmp/optuna.db"),
    seed: int = 1,
) -> None:
    """Runs experiments until the search has enough finished trials, and prints the best.

    Args:
        trials: Finished trials that the search should have in the end, those of earlier calls included.
        metric: What to optimise, as file:key. Not one that was measured with the target's labels (metrics/evaluation).
        direction: Which way is better.
        target: Stage that writes the metric; DVC runs what it depends on, too.
        space: YAML file with the values to try, by dotted key of params.yaml.
        name: Of the search; its experiments are called NAME-0, NAME-1, ...
        storage: SQLite file of the trials.
        seed: Of the sampler (TPE, Bergstra et al. 2011).
    """
    wanted = Metric.parse(metric)
    values = read_params(space)
    storage.parent.mkdir(parents=True, exist_ok=True)
    database = RDBStorage(
        f"sqlite:///{storage.absolute()}",
        heartbeat_interval=_HEARTBEAT,
        grace_period=4 * _HEARTBEAT,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=1),
    )
    study = optuna.create_study(storage=database, study_name=name, direction=direction, load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))  # one that goes on must not draw the same again
    failures = 0

    def objective(trial: Trial) -> float:
        nonlocal failures
        experiment = f"{name}-{trial.number}"
        failures += 1
        run_experiment(experiment, suggest(trial, values), target)
        value = read_metric(experiment, wanted)
        failures = 0
        return value

    while len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < trials:
        study.optimize(objective, n_trials=1, catch=(TrialError,))
        if failures == _PATIENCE:
            raise SystemExit(f"{failures} trials failed, one after the other: the search ends here. Their messages are above.")
    best = study.best_trial
    print(f"Best of {trials}: {name}-{best.number}, {metric} = {best.value:.6g}")
    for key, value in best.params.items():
        print(f"  {key} = {value!r}")
    print(f"`dvc exp apply {name}-{best.number}` puts it into the working tree.")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # heartbeats, since 2021
    run(main, _COMMAND)
