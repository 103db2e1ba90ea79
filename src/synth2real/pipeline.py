"""Keeps the code that each stage of dvc.yaml, and of the studies', lists equal to the code that it imports.

``python -m synth2real.pipeline`` reports the difference and ``--write`` mends the files. A stage that lists too little reuses
stale results; one that lists too much retrains for nothing. A package folder of which a stage imports every module is listed as
one entry, as DVC takes time for each. ``__init__.py`` files hold only a docstring and are not listed by themselves.
"""

import ast
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from ruamel.yaml import YAML

from synth2real.frames import write_text

PACKAGE = "synth2real"
_SCRIPT = r"(?:stages|studies/\w+)/\w+\.py"


def _imported_modules(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_closure(script: Path, root: Path) -> set[str]:
    """All modules of the package that a script imports, directly or through others, as paths relative to ``root``.

    Args:
        script: A Python file.
        root: The repository, which has the package in ``src/``.
    """
    found: set[str] = set()
    waiting = [script]
    while waiting:
        for name in _imported_modules(waiting.pop().read_text(encoding="utf-8")):
            if name.split(".")[0] != PACKAGE:
                continue
            path = root / "src" / Path(*name.split(".")).with_suffix(".py")
            relative = path.relative_to(root).as_posix()
            if path.is_file() and relative not in found:
                found.add(relative)
                waiting.append(path)
    return found


def whole_folders(modules: set[str], root: Path) -> set[str]:
    """The same modules, with each package folder that lies among them as a whole in place of its files.

    Args:
        modules: Paths relative to ``root``.
        root: The repository, which has the package in ``src/``.
    """
    result = set(modules)
    for folder in sorted(path.parent for path in (root / "src" / PACKAGE).glob("*/**/__init__.py")):  # the outermost first
        inside = {path.relative_to(root).as_posix() for path in folder.rglob("*.py") if path.name != "__init__.py"}
        if inside and inside <= result:
            result = (result - inside) | {folder.relative_to(root).as_posix()}
    return result


def is_code(dep: str) -> bool:
    """Whether an entry of ``deps`` is code of this repository, not data."""
    return re.fullmatch(_SCRIPT, dep) is not None or dep.startswith(f"src/{PACKAGE}/")


def pipelines(root: Path) -> list[Path]:
    """dvc.yaml and those of the studies, whose stages run in the repository too (``wdir: ../..``)."""
    return [root / "dvc.yaml", *sorted(root.glob("studies/*/dvc.yaml"))]


@dataclass(frozen=True, slots=True)
class StageCode:
    """The code that a stage lists and the code that it should list: files and whole folders, relative to the repository."""

    stage: str
    listed: frozenset[str]
    needed: frozenset[str]


def stage_code(document: dict[str, Any], root: Path) -> list[StageCode]:
    """Compares, for each stage of a parsed dvc.yaml, the code among ``deps`` with the script and the modules that it imports.

    Args:
        document: The parsed dvc.yaml.
        root: The repository.

    Raises:
        ValueError: If a stage's command runs no script of ``stages/`` or of a study.
    """
    result = []
    for name, stage in document["stages"].items():
        body = stage.get("do", stage)
        script = re.search(_SCRIPT, str(body["cmd"]))
        if script is None:
            raise ValueError(f"dvc.yaml: the command of stage {name} runs no script of stages/ or of a study.")
        listed = frozenset(dep for dep in map(str, body.get("deps", [])) if is_code(dep))
        needed = whole_folders(import_closure(root / script[0], root), root) | {script[0]}
        result.append(StageCode(name, listed, frozenset(needed)))
    return result


def main(write: bool = False) -> None:
    """Compares the code that each stage lists with the code that it imports.

    Args:
        write: Mend dvc.yaml, and those of the studies.
    """
    yaml = YAML()
    yaml.width = 130
    yaml.indent(mapping=2, sequence=4, offset=2)
    any_wrong = False
    for path in pipelines(Path()):
        document = yaml.load(path)
        wrong = [code for code in stage_code(document, Path.cwd()) if code.listed != code.needed]
        for code in wrong:
            for sign, paths in (("+", code.needed - code.listed), ("-", code.listed - code.needed)):
                for dep in sorted(paths):
                    print(f"{path}: {code.stage}: {sign} {dep}")
            stage = document["stages"][code.stage]
            body = stage.get("do", stage)
            data = [dep for dep in body.get("deps", []) if not is_code(str(dep))]
            body["deps"] = [*sorted(code.needed, key=lambda dep: (dep.startswith("src/"), dep)), *data]
        if write and wrong:
            buffer = io.StringIO()
            yaml.dump(document, buffer)
            write_text(path, buffer.getvalue())
        any_wrong |= bool(wrong)
    if not write:
        sys.exit(1 if any_wrong else 0)


if __name__ == "__main__":
    tyro.cli(main)
