"""Metrics by name, how they differ between two revisions, and which differences are more than noise."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple


class Score(NamedTuple):
    """One metric."""

    value: float | str
    """A number; text for what is no number, such as the label space."""
    interval: tuple[float, float] | None
    """Bounds of its confidence interval, where the file has one."""


class Difference(NamedTuple):
    """One metric before and after; None where a revision lacks it."""

    file: str
    """Such as ``evaluation/adapted``."""
    key: str
    """Dotted path in the file."""
    before: Score | None
    after: Score | None

    @property
    def change(self) -> float | None:
        """After minus before, exact in decimals; None unless both are numbers."""
        old, new = (None if score is None else score.value for score in (self.before, self.after))
        if isinstance(old, str) or isinstance(new, str) or old is None or new is None:
            return None
        return float(Decimal(repr(new)) - Decimal(repr(old)))

    @property
    def is_equal(self) -> bool:
        """Whether the metric is the same in both; its interval does not count."""
        return self.before is not None and self.after is not None and self.before.value == self.after.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """Confidence interval of the change, from those of both scores; None where one has none.

        With ``l <= s <= u`` before (1) and after (2), its bounds are ``d - sqrt((s2 - l2)**2 + (u1 - s1)**2)`` and
        ``d + sqrt((u2 - s2)**2 + (s1 - l1)**2)`` (Zou & Donner, "Construction of confidence limits about effect measures",
        Statistics in Medicine 2008, section 2). That takes the scores for independent. Scores over the same frames are
        positively correlated, so a change that is called noise here may still show in a paired comparison, not the reverse.
        """
        change = self.change
        if change is None or self.before is None or self.after is None or not (self.before.interval and self.after.interval):
            return None
        old, new = float(self.before.value), float(self.after.value)
        (old_low, old_high), (new_low, new_high) = self.before.interval, self.after.interval
        down = math.hypot(max(new - new_low, 0), max(old_high - old, 0))
        up = math.hypot(max(new_high - new, 0), max(old - old_low, 0))
        return (change - down, change + up)

    @property
    def is_noise(self) -> bool | None:
        """Whether the interval of the change holds zero; None where there is no interval."""
        return None if self.interval is None else self.interval[0] <= 0 <= self.interval[1]


def flatten(content: Any) -> dict[str, Score]:
    """The scalars of a file of metrics by dotted path; what is None or not finite has no score and is left out.

    ``x_interval`` (two numbers, or a mapping of such beside a mapping ``x``), ``x_low`` with ``x_high``, and the second and third
    item of a list of three within a mapping ``iou`` are bounds of ``x``, not metrics. Items of other lists are named by position.
    """
    return dict(_scores(content, (), None))


def _scores(node: Any, path: tuple[str, ...], bounds: Any) -> list[tuple[str, Score]]:
    if isinstance(node, Mapping):
        inside = bounds if isinstance(bounds, Mapping) else {}
        metrics = {key: value for key, value in node.items() if not _is_bound(node, key)}
        found = (_scores(value, (*path, key), _bounds(node, key) or inside.get(key)) for key, value in metrics.items())
        return [*chain.from_iterable(found)]
    if isinstance(node, Sequence) and not isinstance(node, str):
        if path[-2:-1] == ("iou",) and len(node) == 3:
            return _scores(node[0], path, node[1:])
        return [*chain.from_iterable(_scores(value, (*path, str(index)), None) for index, value in enumerate(node))]
    if node is None or (isinstance(node, float) and not math.isfinite(node)):
        return []
    if isinstance(node, bool | str):
        return [(".".join(path), Score(str(node), None))]
    return [(".".join(path), Score(float(node), _pair(bounds)))]


def _is_bound(node: Mapping[str, Any], key: str) -> bool:
    stem, _, kind = key.rpartition("_")
    return stem in node and (kind == "interval" or (kind in ("low", "high") and {f"{stem}_low", f"{stem}_high"} <= set(node)))


def _bounds(node: Mapping[str, Any], key: str) -> Any:
    if f"{key}_interval" in node:
        return node[f"{key}_interval"]
    return [node[f"{key}_low"], node[f"{key}_high"]] if {f"{key}_low", f"{key}_high"} <= set(node) else None


def _pair(bounds: Any) -> tuple[float, float] | None:
    if not isinstance(bounds, Sequence) or len(bounds) != 2 or any(bound is None for bound in bounds):
        return None
    return (float(bounds[0]), float(bounds[1]))


def differences(before: Mapping[str, Mapping[str, Score]], after: Mapping[str, Mapping[str, Score]]) -> list[Difference]:
    """Every metric that either revision has, equal ones too: in the order of ``after``, then what was dropped.

    Args:
        before: Metrics by file and dotted path.
        after: Likewise.
    """
    return [
        Difference(file, key, old.get(key), new.get(key))
        for file in {**after, **before}
        for old, new in [(before.get(file, {}), after.get(file, {}))]
        for key in {**new, **old}
    ]
