"""Where a report comes from: the git revision, what it lacks, and how long the stages took in this clone."""

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from synth2real.report.tables import ReportError


class StageTime(NamedTuple):
    """How long a stage took when it last ran to its end."""

    stage: str
    seconds: float
    """Without loading its libraries."""
    finished: str
    """UTC, as ISO 8601 has it."""


class Provenance(NamedTuple):
    """Where a report comes from. It differs from run to run even where the results are equal."""

    commit: str | None
    """Hash, date and title of git's HEAD; None outside of a repository."""
    changed: tuple[str, ...]
    """Tracked files that differ from that commit, without what the run itself writes: ``dvc.lock`` and ``metrics/``."""
    experiment: str | None
    """DVC's name of it; None in a plain ``dvc repro``."""
    times: tuple[StageTime, ...]
    """In the order in which they ended."""


def read_provenance(times: Path) -> Provenance:
    """The state of the current folder's repository, and the log of stages.

    Args:
        times: The log, a line of JSON each: ``stage``, ``seconds``, ``finished``. Of a stage's runs the last counts; there may be
            no log. Stages of other pipelines (with the path of their dvc.yaml in the name) are left out.

    Raises:
        ReportError: If the log is damaged.
    """
    changed = _git("diff", "--name-only", "HEAD", "--", ".", ":!dvc.lock", ":!metrics")
    return Provenance(
        commit=_git("log", "-1", "--format=%H, %cs: %s"),
        changed=tuple((changed or "").splitlines()),
        experiment=os.environ.get("DVC_EXP_NAME"),
        times=_times(times),
    )


def _git(*arguments: str) -> str | None:
    """What git says; None if there is no git, repository or commit."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def _times(path: Path) -> tuple[StageTime, ...]:
    if not path.is_file():
        return ()
    last: dict[str, StageTime] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = StageTime(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ReportError(f"{path}: expected a stage's time, found {line!r} ({error}). Delete the file.") from None
        last.pop(entry.stage, None)
        last[entry.stage] = entry
    return tuple(entry for entry in last.values() if ":" not in entry.stage)
