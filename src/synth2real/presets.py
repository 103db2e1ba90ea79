"""Merges a preset into params.yaml: ``python -m synth2real.presets NAME [key=value ...]``.

A preset is an overlay: a YAML file with some of the keys of params.yaml and other values. Only those values are exchanged in the
file's text; comments, order and layout stay. The first line of a preset is a comment that says what it is for.
"""

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from synth2real.frames import write_text
from synth2real.params import PARAMS_FILE, ParamsError, run

PRESETS_FOLDER = Path("presets")
_COMMAND = "python -m synth2real.presets"
_KEEPS_ITS_MEANING = re.compile(r"[\w./+-]+|\[[\w./+, -]*\]")
"""Texts that mean the same wherever they stand in a YAML file; all others are written as JSON, which is YAML too."""


class Value(NamedTuple):
    """A value of a YAML file, other than a mapping."""

    value: Any
    text: str
    """As it is written in the file."""
    start: int
    """Where it begins in the file's text."""


class Change(NamedTuple):
    """One value that a merge exchanged."""

    key: str
    """Dotted path."""
    old: str
    new: str


def read_values(text: str, name: str) -> dict[str, Value]:
    """All values of a YAML text by dotted path; nested mappings are part of the path.

    Args:
        text: What the file holds.
        name: What error messages call it.

    Raises:
        ParamsError: If it is not valid YAML, or not a mapping.
    """
    try:
        content, root = YAML(typ="safe", pure=True).load(text), YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise ParamsError(f"{name}: not valid YAML: {error}") from None
    if not isinstance(root, MappingNode):
        raise ParamsError(f"{name}: expected sections with keys and values, found {type(content).__name__}.")
    values: dict[str, Value] = {}

    def visit(node: Node, value: Any, path: tuple[str, ...]) -> None:
        if isinstance(node, MappingNode):
            for (key_node, child), key in zip(node.value, value, strict=True):
                visit(child, value[key], (*path, str(key_node.value)))
                if child.start_mark.index == child.end_mark.index:  # nothing is written; the mark lies behind what follows
                    values[".".join((*path, key))] = Value(None, "", text.index(":", key_node.end_mark.index) + 1)
        else:
            values[".".join(path)] = Value(value, text[node.start_mark.index : _end(node)], node.start_mark.index)

    visit(root, content, ())
    return values


def _end(node: Node) -> int:
    """Where a value ends; a block sequence's own mark lies behind the comments that follow it."""
    is_block = isinstance(node, SequenceNode) and not node.flow_style
    return _end(node.value[-1]) if is_block else int(node.end_mark.index)


def merge(params: str, overlay: Mapping[str, Value], name: str) -> tuple[str, list[Change]]:
    """The text of params.yaml with the overlay's values, and what changed. Merging once more changes nothing.

    Args:
        params: Text of params.yaml.
        overlay: Values by dotted path; ``start`` is not used.
        name: What error messages call the overlay.

    Raises:
        ParamsError: If params.yaml has no such value.
    """
    current = read_values(params, str(PARAMS_FILE))
    overlay = _fill_nulls(overlay, current)
    for key in overlay:
        if key not in current:
            raise ParamsError(f"{name}: {_unknown(key, list(current))}")
    changed = {key: item for key, item in overlay.items() if not _equal(item.value, current[key].value)}
    merged, changes = params, []
    for key in sorted(changed, key=lambda key: current[key].start, reverse=True):
        old, new = current[key], changed[key]
        text = new.text if _KEEPS_ITS_MEANING.fullmatch(new.text) else json.dumps(new.value, ensure_ascii=False)
        before, after = merged[: old.start], merged[old.start + len(old.text) :]
        merged = before + (" " if before.endswith(":") else "") + text + after
        changes.append(Change(key, old.text or "null", text))
    return merged, changes[::-1]


def _fill_nulls(overlay: Mapping[str, Value], current: Mapping[str, Value]) -> dict[str, Value]:
    """The overlay with keys below a null of params.yaml, such as those of an optional section, gathered as that null's value."""
    filled: dict[str, Value] = {}
    for key, item in overlay.items():
        parts = key.split(".")
        parents = (".".join(parts[:depth]) for depth in range(1, len(parts)))
        null = next((parent for parent in parents if parent in current and current[parent].value is None), None)
        if null is None:
            filled[key] = item
            continue
        inner = filled.setdefault(null, Value({}, "{}", 0)).value
        *path, last = key.removeprefix(f"{null}.").split(".")
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = item.value
    return filled


def _equal(one: Any, other: Any) -> bool:
    """Equality that tells 1 from 1.0 and from true."""
    return json.dumps(one, default=str) == json.dumps(other, default=str)


def _unknown(key: str, known: list[str]) -> str:
    inside = [other for other in known if other.startswith(f"{key}.")]
    if inside:
        return f"{key} is a section of {PARAMS_FILE}, not a value; it has {', '.join(inside)}."
    namesakes = [other for other in known if other.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    close = (namesakes or difflib.get_close_matches(key, known, n=3, cutoff=0.5))[:3]
    return f"{PARAMS_FILE} has no {key}" + (f"; did you mean {' or '.join(close)}?" if close else ".")


def parse_assignment(assignment: str) -> dict[str, Value]:
    """``dotted.key=value`` as an overlay; the value is YAML: ``3``, ``2e-4``, ``true``, ``text``, ``[a, b]``, ``{key: value}``.

    Raises:
        ParamsError: If there is no ``=``, or the value is not a YAML value.
    """
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ParamsError(f"{assignment!r}: expected dotted.key=value.")
    values = read_values(f"value: {text.strip()}\n", assignment)
    if not values or not all(name.partition(".")[0] == "value" for name in values):
        raise ParamsError(f"{assignment!r}: expected one value, a [list] or a {{key: value}} after the equals sign.")
    return {key + name.removeprefix("value"): value for name, value in values.items()}


def list_presets(folder: Path = PRESETS_FOLDER) -> dict[str, str]:
    """What each preset is for, by name: its first line without the comment sign."""
    return {
        path.stem: next(iter(path.read_text(encoding="utf-8").splitlines()), "").lstrip("# ")
        for path in sorted(folder.glob("*.yaml"))
    }


def apply_preset(name: str, assignments: tuple[str, ...] = (), params: Path = PARAMS_FILE) -> list[Change]:
    """Merges a preset and then the assignments into params.yaml, in one atomic write.

    Args:
        name: A file of the folder ``presets`` beside params.yaml, without its suffix.
        assignments: See :func:`parse_assignment`.
        params: The params file.

    Raises:
        ParamsError: If there is no such preset, or something does not fit; params.yaml is then as it was.
    """
    path = params.parent / PRESETS_FOLDER / f"{name}.yaml"
    if not path.is_file():
        presets = ", ".join(list_presets(path.parent)) or "none"
        raise ParamsError(f"{path}: no such preset; there are: {presets}.")
    if not params.is_file():
        raise ParamsError(f"{params}: no such file; run from the folder that holds it.")
    text = params.read_text(encoding="utf-8")
    merged, changes = merge(text, read_values(path.read_text(encoding="utf-8"), str(path)), str(path))
    for assignment in assignments:
        merged, more = merge(merged, parse_assignment(assignment), assignment)
        changes += more
    if merged != text:
        write_text(params, merged)
    return changes


def main(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "",
    assignments: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="KEY=VALUE ...")] = (),
    show: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(name="list")] = False,
) -> None:
    """Merges a preset into params.yaml and prints what changed (`git diff params.yaml` shows it, `git checkout` undoes it).

    Args:
        name: The preset, such as `ci`.
        assignments: Further values, as dotted.key=value.
        show: Only list the presets.
    """
    if show:
        for preset, purpose in list_presets().items():
            print(f"{preset:20} {purpose}")
        return
    if not name:
        tyro.cli(main, args=["--help"], prog=_COMMAND)
    changes = apply_preset(name, assignments)
    for change in changes:
        print(f"{change.key}: {change.old} -> {change.new}")
    if not changes:
        print(f"{PARAMS_FILE} already has these values.")


if __name__ == "__main__":
    run(main, _COMMAND)
