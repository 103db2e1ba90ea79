"""Keeps the code that each stage of dvc.yaml, and of the studies', lists equal to the code that it imports; draws the experiment.

``python -m synth2real.pipeline`` reports the difference; ``--write`` mends the files and draws docs/pipeline.md again. A stage
that lists too little reuses stale results; one that lists too much retrains for nothing. A package folder of which a stage
imports every module is listed as one entry, as DVC takes time for each. ``__init__.py`` files hold only a docstring and are not
listed by themselves.
"""

import ast
import io
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from ruamel.yaml import YAML

from synth2real.frames import write_text

PACKAGE = "synth2real"
PICTURE = Path("docs/pipeline.md")
_SCRIPT = r"(?:stages|studies(?:/\w+)?)/\w+\.py"
_ROWS: Mapping[str, list[Any]] = {
    "seeds": [1],
    "translator.semantic": ["translator"],
    "synthesizer": ["synthesized"],
    "painted": [{"name": "synthesized", "model": "data/models/synthesized.ckpt"}],
    "restyle.methods": ["fda"],
    "translations": ["adapted", "fda", "synthesized"],
    "target_bn": ["target_bn"],
    "online": ["online"],
    "oracle": ["oracle"],
    "game": ["game"],
    "detector_evaluations": [
        {"name": "target", "images": "data/prepared/target", "annotations": "data/prepared/target_annotations"}
    ],
    "ladder": ["source_only", "target_bn", "fda", "synthesized", "adapted", "online", "round-1", "oracle"],
    "export": ["round-1"],
}
"""Lists of params.yaml as the picture takes them: with all that is off by default."""
_PARTS: Mapping[str, str] = {
    "seeds[0]": "1",
    "synthesizer_maps": "fused",
    "detector_frames.images": "data/prepared/instances",
    "detector_frames.annotations": "data/prepared/instances",
}
"""Values of params.yaml that are parts of paths, as the picture takes them."""


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
    """Compares, for each stage of a parsed dvc.yaml, the code among ``deps`` with its scripts and the modules that they import.

    Args:
        document: The parsed dvc.yaml.
        root: The repository.

    Raises:
        ValueError: If a stage's command runs no script of ``stages/`` or of a study.
    """
    result = []
    for name, stage in document["stages"].items():
        body = stage.get("do", stage)
        scripts = set(re.findall(_SCRIPT, str(body["cmd"])))
        if not scripts:
            raise ValueError(f"dvc.yaml: the command of stage {name} runs no script of stages/ or of a study.")
        listed = frozenset(dep for dep in map(str, body.get("deps", [])) if is_code(dep))
        modules = set[str]().union(*(import_closure(root / script, root) for script in scripts))
        result.append(StageCode(name, listed, frozenset(whole_folders(modules, root) | scripts)))
    return result


def _value(values: Any, dotted: str) -> Any:
    """What nested mappings hold, or None."""
    for key in dotted.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _turns(stage: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a stage's loop puts into its templates, turn by turn."""

    def rows(reference: str) -> Any:
        name = reference.removeprefix("${").removesuffix("}")
        return _ROWS.get(name) or _value(params, name) or []

    if "foreach" in stage:
        items = rows(stage["foreach"])
        named = items.items() if isinstance(items, Mapping) else ((item, item) for item in items)
        yield from ({"key": key, "item": item} for key, item in named)
    elif "matrix" in stage:
        lists = [rows(reference) for reference in stage["matrix"].values()]
        yield from ({"item": dict(zip(stage["matrix"], items, strict=True))} for items in itertools.product(*lists))
    else:
        yield {}


def _paths(stage: Mapping[str, Any], kinds: tuple[str, ...], params: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """Paths that a stage lists, in parts; other parameters than the loop's, such as a raw data set's folder, stay as they are."""
    body = stage.get("do", stage)
    entries = [entry for kind in kinds for entry in body.get(kind, [])]
    names = [entry if isinstance(entry, str) else str(next(iter(entry))) for entry in entries]

    def fill(name: str, turn: Mapping[str, Any]) -> str:
        return re.sub(r"\$\{([^}]*)\}", lambda match: str(_value(turn, match[1]) or _PARTS.get(match[1], match[0])), name)

    return {tuple(fill(name, turn).split("/")) for turn in _turns(stage, params) for name in names if not is_code(name)}


def draw(document: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """The experiment as a Mermaid flow chart: an arrow wherever a stage reads what another writes.

    The turns of a loop are one box; rows that are off by default are there, too, in dashed boxes. An arrow is left out where
    others lead the same way through boxes that are not dashed.

    Args:
        document: The parsed dvc.yaml.
        params: The parsed params.yaml.
    """
    stages = document["stages"]
    names = list(stages)
    outs = {name: _paths(stage, ("outs", "metrics", "plots"), params) for name, stage in stages.items()}
    deps = {name: _paths(stage, ("deps",), params) for name, stage in stages.items()}

    def feeds(one: str, other: str) -> bool:
        return one != other and any(
            out[: len(dep)] == dep or dep[: len(out)] == out or (dep[0].startswith("${") and out[:2] == ("data", "worlds"))
            for out, dep in itertools.product(outs[one], deps[other])
        )

    off = [name for name, stage in stages.items() if "off by default" in stage.get("do", stage).get("desc", "")]
    arrows = [(one, other) for one, other in itertools.product(names, names) if feeds(one, other)]

    def leads(one: str, other: str, without: tuple[str, str]) -> bool:
        seen, waiting = {one}, [one]
        while waiting:
            place = waiting.pop()
            after = {end for start, end in arrows if start == place and (start, end) != without} - seen
            if other in after:
                return True
            seen |= after
            waiting.extend(after.difference(off))
        return False

    for arrow in sorted(arrows, key=lambda arrow: names.index(arrow[0]) - names.index(arrow[1])):  # the longest first
        if leads(*arrow, without=arrow):
            arrows.remove(arrow)
    lines = ["flowchart TD"]
    lines += [f'    {name}["{name.replace("_", " ")}"]' for name in names]
    lines += [f"    {one} --> {other}" for one, other in arrows]
    lines += ["    classDef off stroke-dasharray: 5 5", f"    class {','.join(off)} off"] if off else []
    return "\n".join(lines) + "\n"


def draw_page(document: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """docs/pipeline.md: the picture (:func:`draw`), and what each stage does."""
    rows = [f"| `{name}` | {stage.get('do', stage)['desc']} |" for name, stage in document["stages"].items()]
    return (
        "# The experiment\n\nDrawn from [dvc.yaml](../dvc.yaml) by `python -m synth2real.pipeline --write`. "
        "Dashed: off by default.\n\n"
        f"```mermaid\n{draw(document, params)}```\n\n| stage | what it does |\n|---|---|\n" + "\n".join(rows) + "\n"
    )


def main(write: bool = False) -> None:
    """Compares the code that each stage lists with the code that it imports, and the picture with dvc.yaml.

    Args:
        write: Mend dvc.yaml and those of the studies, and draw docs/pipeline.md again.
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
    if PICTURE.is_file():
        page = draw_page(yaml.load(Path("dvc.yaml")), yaml.load(Path("params.yaml")))
        if PICTURE.read_text(encoding="utf-8") != page:
            print(f"{PICTURE}: not drawn from this dvc.yaml")
            any_wrong = True
            if write:
                write_text(PICTURE, page)
    if not write:
        sys.exit(1 if any_wrong else 0)


if __name__ == "__main__":
    tyro.cli(main, prog="python -m synth2real.pipeline")
