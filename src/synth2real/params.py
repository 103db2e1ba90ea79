"""What the stages share: their values, a section of params.yaml each, how they end, how long they took; only stages import this.

Every module keeps the frozen dataclass of its own settings, without defaults; params.yaml is the only home of values. A wrong
key, type or range ends in a :class:`ParamsError` that names the dotted path, what was found and what is allowed.
"""

import dataclasses
import json
import os
import time
import typing
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import tyro
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Settings = TypeVar("Settings")

PARAMS_FILE = Path("params.yaml")

TIMES_FILE = Path(".dvc/tmp/stage_times.jsonl")
"""This clone's log of stages that DVC ran to their end, a line of JSON each: ``stage``, ``seconds`` and ``finished`` (UTC)."""


class ParamsError(ValueError):
    """params.yaml is missing, malformed, or holds a key or value that the settings do not allow."""


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The whole file as plain dictionaries, read as YAML 1.2 (so ``2e-4`` is a number).

    Raises:
        ParamsError: If the file is missing or not valid YAML.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the folder that holds params.yaml.") from None
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path}: expected sections, found {type(content).__name__}.")
    return content


def read_section(section: str, settings: type[Settings], path: Path = PARAMS_FILE, changes: Sequence[str] = ()) -> Settings:
    """One section of the params file as the dataclass ``settings``.

    Args:
        section: Dotted path of the section, such as ``segmentation`` or ``prepare.source``.
        settings: A dataclass; nested dataclasses are nested sections.
        path: The params file.
        changes: Values that studies put in place of the file's, such as ``loss.l1=100``: the dotted path below the section, ``=``
            and the value in YAML. The last one of a path counts.

    Raises:
        ParamsError: If the section is missing, a key is unknown or missing, a value is of the wrong type or out of range, or a
            change names no value.
    """
    node: Any = read_params(path)
    for key in section.split("."):
        if not isinstance(node, dict) or key not in node:
            raise ParamsError(f"{path}: no section {section!r}.")
        node = node[key]
    for change in changes:
        _change(node, change)
    _refuse_unknown_keys(node, settings, section, path)
    try:
        return TypeAdapter(settings).validate_python(node)
    except ValidationError as error:
        faults = [
            f"  {'.'.join((section, *map(str, fault['loc'])))}: {fault['msg']}, found {fault['input']!r}"
            for fault in error.errors()
        ]
        source = f"{path} with --changes {' '.join(changes)}" if changes else str(path)
        raise ParamsError(f"{source}:\n" + "\n".join(faults)) from None


def _change(section: Any, change: str) -> None:
    path, equals, text = change.partition("=")
    *parents, key = path.split(".")
    node = section
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not equals or not isinstance(node, dict) or key not in node:
        known = f"; there is {', '.join(node)}" if isinstance(node, dict) else ""
        raise ParamsError(f"--changes {change}: expected KEY=VALUE with the dotted path of a value{known}.")
    try:
        node[key] = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        raise ParamsError(f"--changes {change}: {text} is no value in YAML.") from None


def _refuse_unknown_keys(node: object, settings: Any, dotted: str, path: Path) -> None:
    settings = next((kind for kind in typing.get_args(settings) if dataclasses.is_dataclass(kind)), settings)
    if not dataclasses.is_dataclass(settings) or not isinstance(node, dict):
        return
    types = typing.get_type_hints(settings)
    known = [field.name for field in dataclasses.fields(settings)]
    for key, value in node.items():
        if key not in known:
            raise ParamsError(f"{path}: unknown key {dotted}.{key}; {dotted} has {', '.join(known)}.")
        _refuse_unknown_keys(value, types[key], f"{dotted}.{key}", path)


def run(main: Callable[..., None], command: str | None = None) -> None:
    """Runs ``main`` with the values of the command line, and turns an expected fault into one message and exit status 1.

    Expected are the errors of the classes that this package defines, such as :class:`ParamsError`: their message says all that
    the user needs. Any other exception is a defect and keeps its traceback.

    Args:
        main: Its typed arguments become the options, its docstring the help.
        command: What the help calls it; the script's name if None.

    Raises:
        SystemExit: With the message of an expected fault, or after the help.
    """
    start = time.monotonic()
    try:
        tyro.cli(main, prog=command)
    except Exception as error:
        if type(error).__module__.partition(".")[0] != __package__:
            raise
        raise SystemExit(str(error)) from None
    if stage := os.environ.get("DVC_STAGE"):
        _log_time(stage, time.monotonic() - start)


def _log_time(stage: str, seconds: float) -> None:
    entry = {"stage": stage, "seconds": round(seconds, 1), "finished": datetime.now(UTC).isoformat(timespec="seconds")}
    with suppress(OSError):  # a log that cannot be kept spoils no result
        TIMES_FILE.parent.mkdir(parents=True, exist_ok=True)
        with TIMES_FILE.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
