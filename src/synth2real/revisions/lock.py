"""Whether dvc.lock belongs to the code, parameters and metrics beside it, told without the data.

DVC's own comparison of each stage with dvc.lock, for all that git holds: the command, the parameters, the hashes of code and of
committed metrics. What lies in the cache cannot be hashed in a clone without data; there, what a stage used must at least be what
dvc.lock says its producer made.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import Stage
from ruamel.yaml import YAML


class StaleStage(NamedTuple):
    """A stage that ``dvc repro`` would run."""

    stage: str
    reasons: tuple[str, ...]
    """What differs from dvc.lock, such as ``src/synth2real/fusion.py modified``."""


def stages_of(repo: Repo) -> list[Stage]:
    """The stages of the experiment's own dvc.yaml; studies have theirs, with a lock file of their own."""
    return [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]


def stale_stages(repo: Repo, folder: Path) -> list[StaleStage]:
    """The stages whose entry in dvc.lock is missing or does not fit the files beside it, in dvc.yaml's order.

    Those that only depend on a stale stage are not named.

    Args:
        repo: DVC's view of the folder.
        folder: A checkout without data.
    """
    lock = folder / "dvc.lock"
    content = YAML(typ="safe").load(lock) if lock.is_file() else {}
    entries = (content or {}).get("stages", {})
    stages = stages_of(repo)
    made = {out.def_path: out.hash_info.value for stage in stages for out in stage.outs if out.hash_info}
    found = []
    for stage in stages:
        reasons = tuple(_reasons(stage, made)) if stage.name in entries else ("not in dvc.lock: never run, or not committed",)
        if reasons:
            found.append(StaleStage(stage.name, reasons))
    return found


def _reasons(stage: Stage, made: dict[str, str]) -> Iterator[str]:
    if stage.cmd_changed:
        yield "cmd modified"
    for dep in stage.deps:
        path = dep.def_path
        if isinstance(dep, ParamsDependency):
            for state in dep.workspace_status().values():
                yield from [f"params.yaml {state}"] if isinstance(state, str) else (f"{key} {how}" for key, how in state.items())
        elif dep.exists:
            yield from (f"{path} {state}" for state in dep.workspace_status().values())
        elif not dep.hash_info:
            yield f"{path} new"
        elif made.get(path, dep.hash_info.value) != dep.hash_info.value:
            yield f"{path} is not the one that its stage made"
    for out in stage.outs:
        if not out.use_cache:
            states = out.workspace_status().values()
            yield from (f"{out.def_path} {'not committed' if state == 'deleted' else state}" for state in states)
        elif not out.hash_info:
            yield f"{out.def_path} new"
