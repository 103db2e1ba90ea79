"""Values changed on the command line."""

from dataclasses import dataclass

import pytest

from synth2real.params import ParamsError
from synth2real.variants import changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    rate: float
    size: tuple[int, int] | None

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError("rate must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    inner: Inner


OUTER = Outer(name="a", inner=Inner(rate=1.0, size=None))


def test_values_are_changed_by_path_and_the_last_one_counts() -> None:
    found = changed(OUTER, ["inner.rate=2e-4", "inner.size=[1, 2]", "name=b", "inner.rate=3"])
    assert found == Outer(name="b", inner=Inner(rate=3.0, size=(1, 2)))
    assert changed(OUTER, []) == OUTER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("inner.rat=2", r"--changes inner\.rat=2: expected KEY=VALUE .*; there is rate, size"),
        ("outer.rate=2", r"--changes outer\.rate=2: expected KEY=VALUE with the dotted path of a value\."),
        ("name.rate=2", "expected KEY=VALUE"),
        ("inner.rate", "expected KEY=VALUE"),
        ("inner.rate=fast", r"inner\.rate: Input should be a valid number"),
        ("inner.rate=-1", r"inner: .*rate must be above 0"),
        ("inner.size=[1", r"\[1 is no value in YAML"),
    ],
)
def test_a_change_of_no_value_or_to_a_wrong_one_is_refused(change: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        changed(OUTER, [change])
