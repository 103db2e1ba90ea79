import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth2real.revisions.policy import PolicyError, broken, parse_policy
from synth2real.revisions.scores import Difference, Score


def _difference(file: str, key: str, before: float | None, after: float | None) -> Difference:
    return Difference(file, key, *(None if value is None else Score(value, None) for value in (before, after)))


FOUND = [
    _difference("evaluation/adapted", "unfused.miou", 30.0, 28.5),
    _difference("evaluation/adapted", "fused.miou", 30.0, 29.5),
    _difference("evaluation/adapted", "fused.iou.traffic light", 9.0, 3.0),
    _difference("evaluation/oracle", "fused.miou", 50.0, None),
    _difference("evaluation/round-1", "fused.miou", None, 1.0),
    _difference("comparison", "step.adapted.fused.miou", 3.0, 0.0),
    _difference("detector", "ap", 0.15, 0.1),
]


def _keys(text: str) -> list[str]:
    return [f"{item.file}:{item.key}" for item in broken(parse_policy(text), FOUND)]


def test_which_metrics_a_policy_speaks_of() -> None:
    dropped = "evaluation/oracle:fused.miou"
    assert _keys("miou<-1.0") == ["evaluation/adapted:unfused.miou", dropped]  # not the comparison's, nor the new one
    assert _keys("fused.miou < -0.4") == ["evaluation/adapted:fused.miou", dropped]
    assert _keys("iou.traffic light<-5") == ["evaluation/adapted:fused.iou.traffic light"]
    assert _keys("iou.*<-5") == ["evaluation/adapted:fused.iou.traffic light"]
    assert _keys("evaluation/adapted:miou<-1.0") == ["evaluation/adapted:unfused.miou"]
    assert _keys("*:miou<-2") == [dropped, "comparison:step.adapted.fused.miou"]
    assert _keys("detector:ap<=-0.05") == ["detector:ap"]
    assert _keys("detector:ap<-0.05") == []


@given(st.sampled_from(["<", "<=", ">", ">="]), st.integers(-50, 50), st.integers(0, 100), st.integers(0, 100))
def test_a_policy_breaks_exactly_where_its_comparison_holds(sign: str, bound: int, before: int, after: int) -> None:
    item = _difference("evaluation/m", "miou", before / 10, after / 10)
    holds = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign](after - before, bound)
    assert bool(broken(parse_policy(f"miou{sign}{bound / 10}"), [item])) == holds


@pytest.mark.parametrize("text", ["miou", "miou<", "miou<low", "miou<nan", "<1", "miou=1", "a:b:c<1", "", "miou<-1.0 1"])
def test_a_malformed_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match="expected METRIC<CHANGE"):
        parse_policy(text)


def test_a_policy_that_could_never_fail_is_refused_with_a_hint() -> None:
    with pytest.raises(PolicyError, match=r"no metric ap in evaluation/\*; there is detector:ap\. "):
        broken(parse_policy("ap<0"), FOUND)
    with pytest.raises(PolicyError, match="no metric mioo"):
        broken(parse_policy("mioo<0"), FOUND)
    with pytest.raises(PolicyError, match="no metric miou in evaluation/round-1"):  # new: nothing to compare with
        broken(parse_policy("evaluation/round-1:miou<0"), FOUND)
