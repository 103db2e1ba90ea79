"""params.yaml: values as YAML 1.2, and errors that name the dotted path, the finding and what is allowed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from synth2real.params import ParamsError, read_params, read_section


@dataclass(frozen=True, slots=True, kw_only=True)
class _Optimiser:
    learning_rate: float
    kind: Literal["adam", "sgd"]

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError("learning_rate must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    epochs: int
    size: tuple[int, int]
    optimiser: _Optimiser


_GOOD = "outer:\n  training:\n    epochs: 3\n    size: [4, 8]\n    optimiser: {learning_rate: 2e-4, kind: adam}\n"


def _read(tmp_path: Path, text: str, section: str = "outer.training") -> _Training:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return read_section(section, _Training, path)


def test_a_section_becomes_its_dataclass(tmp_path: Path) -> None:
    settings = _read(tmp_path, _GOOD)
    assert settings == _Training(epochs=3, size=(4, 8), optimiser=_Optimiser(learning_rate=0.0002, kind="adam"))
    assert isinstance(settings.optimiser, _Optimiser)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs", "epoch", r"unknown key outer\.training\.epoch; outer\.training has epochs, size, optimiser"),
        ("kind", "knd", r"unknown key outer\.training\.optimiser\.knd; .* has learning_rate, kind"),
        ("epochs: 3", "epochs: three", r"outer\.training\.epochs: .*integer.*found 'three'"),
        ("2e-4", "-2e-4", r"outer\.training\.optimiser: .*learning_rate must be above 0"),
        ("adam", "lion", r"outer\.training\.optimiser\.kind: .*'adam' or 'sgd', found 'lion'"),
        ("    epochs: 3\n", "", r"outer\.training.*[Mm]issing|outer\.training\.epochs: .*required"),
        ("[4, 8]", "[4]", r"outer\.training\.size"),
        ("training:", "trainings:", r"no section 'outer\.training'"),
        ("size: [4, 8]", "size: [4, 8", "not valid YAML"),
    ],
)
def test_faults_name_path_finding_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in _GOOD
    with pytest.raises(ParamsError, match=rf"(?s)params\.yaml: ?.*({message})"):
        _read(tmp_path, _GOOD.replace(old, new))


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"nothing\.yaml: no such file; run from the folder"):
        read_params(tmp_path / "nothing.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ParamsError, match="expected sections, found NoneType"):
        read_params(tmp_path / "params.yaml")


def test_numbers_are_read_as_yaml_1_2(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: 2e-4\nb: 010\nc: no\nd: 12:30\n")
    assert read_params(tmp_path / "params.yaml") == {"a": 0.0002, "b": 10, "c": "no", "d": "12:30"}
