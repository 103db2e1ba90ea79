import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth2real.revisions.scores import Difference, Score, differences, flatten

numbers = st.decimals(-1000, 1000, places=4).map(float)
widths = st.floats(0, 100)


@st.composite
def scores(draw: st.DrawFn) -> Score:
    value = draw(numbers)
    return Score(value, (value - draw(widths), value + draw(widths)))


def test_flatten_names_numbers_and_finds_their_intervals() -> None:
    content = json.loads(
        '{"frames": 72, "split": "val", "mode_collapse": false, "unfused": {"miou": 22.3, "miou_interval": [20.1, 24.0],'
        '"iou": {"road": 80.5, "traffic light": 0.0, "train": null},'
        '"iou_interval": {"road": [79.0, 82.0], "traffic light": [null, null], "train": [null, null]}},'
        '"colour": {"source": 3, "source_low": 2, "source_high": 4, "in_low": 1},'
        '"gain": {"iou": {"road": [1.5, -0.5, 3.0]}}, "curve": [0.5, NaN, 0.25]}'
    )
    assert flatten(content) == {
        "frames": Score(72.0, None),
        "split": Score("val", None),
        "mode_collapse": Score("False", None),
        "unfused.miou": Score(22.3, (20.1, 24.0)),
        "unfused.iou.road": Score(80.5, (79.0, 82.0)),
        "unfused.iou.traffic light": Score(0.0, None),
        "colour.source": Score(3.0, (2.0, 4.0)),
        "colour.in_low": Score(1.0, None),  # there is no in_high
        "gain.iou.road": Score(1.5, (-0.5, 3.0)),
        "curve.0": Score(0.5, None),
        "curve.2": Score(0.25, None),
    }


def test_an_interval_without_its_metric_is_a_metric() -> None:
    assert flatten({"x_interval": [1, 2]}) == {"x_interval.0": Score(1.0, None), "x_interval.1": Score(2.0, None)}


@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(max_size=3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner)
    )
)
def test_flatten_keeps_every_leaf_but_none(content: Any) -> None:
    def leaves(node: Any) -> list[Any]:
        if isinstance(node, dict):
            return [leaf for value in node.values() for leaf in leaves(value)]
        return [] if node is None else [node]

    assert [score.value for score in flatten(content).values()] == leaves(content)


@given(numbers, numbers)
def test_the_change_is_exact_and_signed(before: float, after: float) -> None:
    change = Difference("f", "k", Score(before, None), Score(after, None)).change
    assert change is not None
    assert Decimal(repr(before)) + Decimal(repr(change)) == Decimal(repr(after))
    assert (change > 0) == (after > before)


def test_the_change_has_no_error_of_binary_fractions() -> None:
    assert 22.33 - 23.38 != -1.05
    assert Difference("f", "k", Score(23.38, None), Score(22.33, None)).change == -1.05


def test_interval_of_the_change_of_symmetric_intervals_is_that_of_independent_errors() -> None:
    """Half widths 3 and 4 give 5."""
    item = Difference("f", "k", Score(10.0, (7.0, 13.0)), Score(20.0, (16.0, 24.0)))
    assert item.interval == pytest.approx((5.0, 15.0))
    assert item.is_noise is False
    assert Difference("f", "k", Score(10.0, (7.0, 13.0)), Score(14.9, (10.9, 18.9))).is_noise is True


@given(scores(), scores())
def test_swapping_the_revisions_mirrors_the_interval(one: Score, other: Score) -> None:
    there, back = Difference("f", "k", one, other), Difference("f", "k", other, one)
    assert there.interval is not None
    assert back.interval is not None
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert there.change == -(back.change or 0.0)


@given(scores(), scores(), st.floats(1, 3))
def test_wider_intervals_never_turn_noise_into_a_finding(one: Score, other: Score, factor: float) -> None:
    def widened(score: Score) -> Score:
        value = float(score.value)
        low, high = score.interval or (math.nan, math.nan)
        return Score(value, (value - factor * (value - low), value + factor * (high - value)))

    if Difference("f", "k", one, other).is_noise:
        wide = Difference("f", "k", widened(one), widened(other)).interval
        assert wide is not None
        assert wide[0] <= 1e-9
        assert wide[1] >= -1e-9


def test_a_metric_without_interval_is_never_called_noise() -> None:
    assert Difference("f", "k", Score(1.0, None), Score(1.1, (0.0, 2.0))).is_noise is None


def test_differences_hold_each_metric_of_either_side_once() -> None:
    before = {"a": {"x": Score(1.0, None), "gone": Score(2.0, None)}, "dropped": {"x": Score(1.0, None)}}
    after = {"a": {"new": Score(3.0, None), "x": Score(1.0, None)}, "added": {"x": Score(1.0, None)}}
    found = differences(before, after)
    assert [(item.file, item.key) for item in found] == [
        ("a", "new"), ("a", "x"), ("a", "gone"), ("added", "x"), ("dropped", "x"),
    ]  # fmt: skip
    assert [(item.before is None, item.after is None) for item in found] == [
        (True, False), (False, False), (False, True), (True, False), (False, True),
    ]  # fmt: skip
    assert [item.is_equal for item in found] == [False, True, False, False, False]
