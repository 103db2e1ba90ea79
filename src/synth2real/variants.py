"""Settings with some values changed on the command line, for studies: ``--changes loss.l1=100 schedule.batch_size=4``."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from synth2real.params import ParamsError

Settings = TypeVar("Settings")


def changed(settings: Settings, changes: Sequence[str]) -> Settings:
    """The settings with other values.

    Args:
        settings: A dataclass of a section of params.yaml.
        changes: For each value its dotted path below that section, ``=``, and the value in YAML. The last one of a path counts.

    Raises:
        ParamsError: If a change has another form, names no value, or gives one of the wrong type or out of range.
    """
    values: dict[str, Any] = asdict(settings)  # type: ignore[call-overload]
    for change in changes:
        path, equals, text = change.partition("=")
        *sections, key = path.split(".")
        node: Any = values
        for section in sections:
            node = node.get(section) if isinstance(node, dict) else None
        if not equals or not isinstance(node, dict) or key not in node:
            known = f"; there is {', '.join(node)}" if isinstance(node, dict) else ""
            raise ParamsError(f"--changes {change}: expected KEY=VALUE with the dotted path of a value{known}.")
        try:
            node[key] = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise ParamsError(f"--changes {change}: {text} is no value in YAML.") from None
    try:
        return TypeAdapter(type(settings)).validate_python(values)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ParamsError(f"--changes {' '.join(changes)}: {'; '.join(faults)}.") from None
