"""params.yaml: values as YAML 1.2, and errors that name the dotted path, the finding and what is allowed; how stages end."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from synth2real.hardware import HardwareSettings
from synth2real.params import TIMES_FILE, ParamsError, read_params, read_section, run

ROOT = Path(__file__).parents[1]


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


def test_values_are_changed_by_path_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(_GOOD)
    changes = ["optimiser.learning_rate=3e-4", "size=[1, 2]", "optimiser.kind=sgd", "optimiser.learning_rate=3"]
    found = read_section("outer.training", _Training, path, changes=changes)
    assert found == _Training(epochs=3, size=(1, 2), optimiser=_Optimiser(learning_rate=3.0, kind="sgd"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.knd=sgd", r"--changes optimiser\.knd=sgd: expected KEY=VALUE .*; there is learning_rate, kind"),
        ("other.kind=sgd", r"--changes other\.kind=sgd: expected KEY=VALUE with the dotted path of a value\."),
        ("epochs.kind=sgd", "expected KEY=VALUE"),
        ("epochs", "expected KEY=VALUE"),
        ("epochs=many", r"--changes epochs=many:\n.*training\.epochs: Input should be a valid integer"),
        ("optimiser.learning_rate=-1", r"training\.optimiser: .*learning_rate must be above 0"),
        ("optimiser={kind: adam, rate: 1}", r"unknown key outer\.training\.optimiser\.rate"),
        ("size=[1", r"\[1 is no value in YAML"),
    ],
)
def test_a_change_of_no_value_or_to_a_wrong_one_is_refused(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(_GOOD)
    with pytest.raises(ParamsError, match=message):
        read_section("outer.training", _Training, path, changes=[change])


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"nothing\.yaml: no such file; run from the folder"):
        read_params(tmp_path / "nothing.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ParamsError, match="expected sections, found NoneType"):
        read_params(tmp_path / "params.yaml")


def test_numbers_are_read_as_yaml_1_2(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: 2e-4\nb: 010\nc: no\nd: 12:30\n")
    assert read_params(tmp_path / "params.yaml") == {"a": 0.0002, "b": 10, "c": "no", "d": "12:30"}


def _fuse(folder: Path, params: str, *extra: str) -> subprocess.CompletedProcess[str]:
    """Runs a real stage in a folder that has nothing but a params file."""
    (folder / "params.yaml").write_text(params)
    paths = ("--semantics", "semantics", "--instances", "instances", "--out", "out")
    command = [sys.executable, str(ROOT / "stages" / "fuse.py"), *paths, *extra]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


_HARDWARE = "hardware: {accelerator: cpu, devices: 1, precision: 32-true, workers: 0, tracking: false}\n"
_FUSION = "fusion: {score_threshold: 0.5, rider_overlap: null, mask_overlap: null, semantic_weight: 0.0, holes: semantic}\n"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            _HARDWARE + _FUSION,
            "semantics: no frames.csv, so this is no finished frame set. Run the stage that makes it (dvc repro).\n",
        ),
        (
            _HARDWARE.replace("workers: 0", "workers: -1") + _FUSION,
            "params.yaml:\n  hardware: Value error, workers must be at least 0, got -1, found",
        ),
        (_FUSION, "params.yaml: no section 'hardware'.\n"),
    ],
)
def test_a_stage_ends_an_expected_fault_with_its_message_alone(tmp_path: Path, params: str, message: str) -> None:
    done = _fuse(tmp_path, params)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    """A file that is in the way where a folder belongs is no fault that the project foresees."""
    for name in ("semantics", "instances"):
        (tmp_path / name).mkdir()
    (tmp_path / "semantics" / "frames.csv").write_bytes(b"\xff\xfe not UTF-8")
    done = _fuse(tmp_path, _HARDWARE + _FUSION)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "UnicodeDecodeError" in done.stderr


def test_a_stage_refuses_unknown_options_and_shows_help(tmp_path: Path) -> None:
    assert _fuse(tmp_path, "", "--unknown", "1").returncode == 2
    shown = _fuse(tmp_path, "", "--help")
    assert shown.returncode == 0
    assert "Pastes detected instances over a semantic prediction" in shown.stdout


@pytest.mark.parametrize(("key", "value"), [("devices", 0), ("workers", -1)])
def test_hardware_out_of_range_is_refused(key: str, value: int) -> None:
    good = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "workers": 0, "tracking": False}
    HardwareSettings(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{key} must be at least"):
        HardwareSettings(**good | {key: value})  # type: ignore[arg-type]


def test_a_stage_that_dvc_ran_to_its_end_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(fail: bool = False) -> None:
        """Works."""
        if fail:
            raise ParamsError("params.yaml: wrong.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["work"])
    run(work)
    assert not TIMES_FILE.exists()
    monkeypatch.setenv("DVC_STAGE", "train@1")
    run(work)
    run(work)
    monkeypatch.setattr(sys, "argv", ["work", "--fail"])
    with pytest.raises(SystemExit, match="wrong"):
        run(work)
    entries = [json.loads(line) for line in TIMES_FILE.read_text().splitlines()]
    assert [entry["stage"] for entry in entries] == ["train@1", "train@1"]
    for entry in entries:
        assert 0 <= entry["seconds"] < 60
        assert abs((datetime.now(UTC) - datetime.fromisoformat(entry["finished"])).total_seconds()) < 60


def test_a_log_that_cannot_be_kept_spoils_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@1")
    monkeypatch.setattr(sys, "argv", ["work"])
    Path(".dvc").write_text("in the way")
    done = []

    def work() -> None:
        """Works."""
        done.append(True)

    run(work)
    assert done
