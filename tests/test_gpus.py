"""GPUs are told apart by locks: no two processes have one, and those of a dead process are free. No GPU is needed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from synth2real.gpus import VISIBLE, take_gpus

_ROOT = Path(__file__).parents[1]
_PROGRAM = (
    "import os, sys; from pathlib import Path; from synth2real.gpus import VISIBLE, take_gpus;"
    "take_gpus(int(sys.argv[1]), 3, Path(sys.argv[2])); print(os.environ.get(VISIBLE), flush=True); sys.stdin.read()"
)


class _Worker:
    """A process that takes GPUs out of three, says which, and lives until it is stopped."""

    def __init__(self, wanted: int, locks: Path, stack: ExitStack) -> None:
        environment = {name: value for name, value in os.environ.items() if name != VISIBLE} | {"PYTHONPATH": "src"}
        command = [sys.executable, "-c", _PROGRAM, str(wanted), str(locks)]
        self.process = stack.enter_context(
            subprocess.Popen(command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(self.process.kill)

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_workers_take_different_gpus_and_one_too_many_waits(tmp_path: Path, stack: ExitStack) -> None:
    first, second = _Worker(1, tmp_path, stack), _Worker(1, tmp_path, stack)
    assert {first.says(), second.says()} == {"0", "1"}
    pair = _Worker(2, tmp_path, stack)
    assert pair.says() == "All but 1 of 3 GPUs are taken, 2 wanted: waiting."
    third = _Worker(1, tmp_path, stack)  # the pair must not keep the one that it saw free
    assert third.says() == "2"
    third.kill()
    first.kill()
    assert pair.says() in {"0,2", "1,2"}


@pytest.mark.parametrize(("visible", "present"), [("1", 4), ("", 4), (None, 1), (None, 0)])
def test_a_choice_of_the_user_and_a_machine_without_choice_are_left_alone(
    visible: str | None, present: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    take_gpus(1, present, tmp_path / "locks")
    assert os.environ.get(VISIBLE) == visible
    assert not (tmp_path / "locks").exists()
