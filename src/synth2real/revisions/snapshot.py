"""What git holds of the experiment at a revision: parameters, metrics, curves, and whether dvc.lock belongs to them.

A revision's files are unpacked into a temporary folder, where DVC reads them as it would in a fresh clone without data. Neither
the working tree nor the index of the repository is touched. metrics/summary.csv is not read: it repeats the evaluations.
"""

import csv
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from dvc.exceptions import DvcException
from dvc.repo import Repo
from jaxtyping import Float64

from synth2real.presets import Value, read_values
from synth2real.report.tables import ladder_position
from synth2real.revisions.lock import StaleStage, stages_of, stale_stages
from synth2real.revisions.scores import Score, flatten

_PICTURES = (".jpg", ".png", ".html")


class RevisionError(ValueError):
    """Revisions cannot be compared; the message names the revision, what was found, and the remedy."""


class Revision(NamedTuple):
    """A commit."""

    name: str
    """As the user wrote it."""
    commit: str
    """All forty digits."""
    title: str
    """First line of its message."""

    def __str__(self) -> str:
        return f"{self.name} ({self.commit[:10]})"


class Curves(NamedTuple):
    """What a training wrote while it ran."""

    steps: Float64[np.ndarray, " rows"]
    columns: Mapping[str, Float64[np.ndarray, " rows"]]
    """By the column's name; NaN where a cell is empty."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The experiment as a revision has it."""

    revision: Revision
    params: Mapping[str, Value]
    """By dotted path."""
    metrics: Mapping[str, Mapping[str, Score]]
    """By file without folder ``metrics`` and suffix, such as ``evaluation/adapted``; then by dotted path."""
    curves: Mapping[str, Curves]
    """By file."""
    uncommitted: tuple[str, ...]
    """Files of metrics that dvc.yaml declares and git lacks."""
    stale: tuple[StaleStage, ...]
    pictures: Mapping[str, str]
    """MD5 in dvc.lock of each picture and page that lies in DVC's cache, by file."""


# --- git ---------------------------------------------------------------------------------------------------------------


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, env=environment, check=False)
    except FileNotFoundError:
        raise RevisionError("git is not installed, or not on the PATH; revisions are read through it.") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(done.stderr.decode(errors="replace").split()) or f"exit status {done.returncode}"


def find_repository(folder: Path) -> Path:
    """The top folder of the git repository that ``folder`` is in.

    Raises:
        RevisionError: If it is in none.
    """
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.returncode:
        raise RevisionError(f"{folder.resolve()}: no git repository ({_said(done)}). Run inside a clone of the project.")
    return Path(done.stdout.decode().strip())


def _shallow(repository: Path) -> str:
    is_shallow = _git(repository, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    return " This clone is shallow; `git fetch --unshallow` brings the rest (fetch-depth: 0 in a workflow)." if is_shallow else ""


def resolve(repository: Path, name: str) -> Revision:
    """The commit that a branch, tag, or any other expression of git means.

    Raises:
        RevisionError: If this clone has no such commit.
    """
    done = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.returncode:
        remote, _, branch = name.partition("/")
        remotes = _git(repository, "remote").stdout.decode().split()
        fetch = f"git fetch {remote} {branch}" if remote in remotes and branch else "git fetch --all --tags"
        raise RevisionError(
            f"{name}: no such revision in {repository}. Check the spelling, or bring it with `{fetch}`.{_shallow(repository)}"
        )
    commit = done.stdout.decode().strip()
    title = _git(repository, "log", "-1", "--format=%s", commit).stdout.decode(errors="replace").strip()
    return Revision(name, commit, title)


def merge_base(repository: Path, base: Revision, head: Revision) -> Revision:
    """Where ``head`` left ``base``: the last commit that both have.

    Raises:
        RevisionError: If this clone knows of none.
    """
    done = _git(repository, "merge-base", base.commit, head.commit)
    if done.returncode:
        raise RevisionError(
            f"{base} and {head} have no common ancestor in {repository}. Compare two revisions of one history."
            f"{_shallow(repository)}"
        )
    found = resolve(repository, done.stdout.decode().strip())
    return found._replace(name=f"{base.name}, where {head.name} left it")


def _unpack(repository: Path, revision: Revision, folder: Path) -> None:
    done = _git(repository, "archive", "--format=tar", revision.commit)
    if done.returncode:
        raise RevisionError(
            f"{revision}: git cannot give its files: {_said(done)}. In a partial clone the remote must be reachable; "
            f"`git fetch --refetch` brings everything.{_shallow(repository)}"
        )
    try:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise RevisionError(f"{revision}: a file of it cannot be unpacked: {error}. Remove links that leave the tree.") from None


# --- The experiment ----------------------------------------------------------------------------------------------------


def read_snapshot(repository: Path, revision: Revision) -> Snapshot:
    """Reads what git holds of the experiment at a revision.

    Args:
        repository: Top folder of the git repository, where dvc.yaml is.
        revision: See :func:`resolve`.

    Raises:
        RevisionError: If the revision lacks dvc.yaml or params.yaml, declares or holds no metrics, or a file is damaged.
        ParamsError: If params.yaml is damaged.
    """
    with TemporaryDirectory(prefix="revision-") as temporary:
        folder = Path(temporary) / "tree"
        folder.mkdir()
        _unpack(repository, revision, folder)
        for name in ("dvc.yaml", "params.yaml"):
            if not (folder / name).is_file():
                raise RevisionError(f"{revision}: has no {name}, so there is no experiment to compare. Choose a later revision.")
        (folder / ".dvc").mkdir(exist_ok=True)
        config = {"core": {"no_scm": True, "site_cache_dir": str(Path(temporary) / "state"), "analytics": False}}
        try:
            with Repo(str(folder), config=config) as repo:
                return _read(repo, folder, revision)
        except DvcException as error:
            fault = re.sub(r"[^\s']*/tree/", "", str(error))  # the temporary folder
            raise RevisionError(f"{revision}: DVC cannot read its pipeline: {fault}. Mend dvc.yaml or dvc.lock there.") from None


def _read(repo: Repo, folder: Path, revision: Revision) -> Snapshot:
    outs = [out for stage in stages_of(repo) for out in stage.outs]
    declared = sorted({out.def_path for out in outs if out.metric}, key=_position)
    metrics = {_name(path): flatten(_json(folder, path, revision)) for path in declared if (folder / path).is_file()}
    if not any(metrics.values()):
        found = f"dvc.yaml declares {len(declared)} files of them and git has none" if declared else "dvc.yaml declares none"
        raise RevisionError(
            f"{revision}: no metrics ({found}), so there is nothing to compare. Run dvc repro there and commit metrics/ with "
            "dvc.lock, or choose a revision that has them."
        )
    plots = sorted({out.def_path for out in outs if out.plot and out.def_path.endswith(".csv")})
    curves = {path: _curves(folder, path, revision) for path in plots if (folder / path).is_file()}
    return Snapshot(
        revision=revision,
        params=read_values((folder / "params.yaml").read_text(encoding="utf-8"), f"{revision}: params.yaml"),
        metrics=metrics,
        curves={path: item for path, item in curves.items() if item is not None},
        uncommitted=tuple(path for path in declared if not (folder / path).is_file()),
        stale=tuple(stale_stages(repo, folder)),
        pictures={
            out.def_path: out.hash_info.value
            for out in sorted(outs, key=lambda out: str(out.def_path))
            if out.use_cache and out.hash_info and out.def_path.endswith(_PICTURES)
        },
    )


def _name(path: str) -> str:
    return path.removeprefix("metrics/").rsplit(".", 1)[0]


def _position(path: str) -> tuple[str, tuple[int, int, str, int]]:
    folder, _, name = _name(path).partition("/")
    return (folder, ladder_position(name))


def _json(folder: Path, path: str, revision: Revision) -> Any:
    try:
        return json.loads((folder / path).read_bytes())
    except ValueError as error:
        raise RevisionError(f"{revision}: {path}: expected JSON, found {error}. Run its stage again and commit it.") from None


def _curves(folder: Path, path: str, revision: Revision) -> Curves | None:
    """None for a table that is not over training steps, such as the summary of the evaluations."""
    header, *lines = list(csv.reader((folder / path).read_text(encoding="utf-8").splitlines())) or [[]]
    if header[:1] != ["step"]:
        return None
    try:
        cells = [[cell or "nan" for cell in line] for line in lines]
        values = np.array(cells, np.float64).reshape(len(lines), len(header))
    except ValueError as error:
        raise RevisionError(f"{revision}: {path}: expected numbers in {len(header)} columns: {error}. Train again.") from None
    return Curves(values[:, 0], dict(zip(header[1:], values[:, 1:].T, strict=True)))
