"""Which changes of a metric a pull request may not make."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Final, NamedTuple

from synth2real.revisions.scores import Difference

_FORM: Final = re.compile(r"\s*(?:([^:<>=]+):)?([^:<>=]+?)\s*(<=|>=|<|>)\s*(\S+)\s*")
_COMPARISONS: Final = {"<": lt, "<=": le, ">": gt, ">=": ge}
_EVALUATIONS: Final = "evaluation/*"


class PolicyError(ValueError):
    """A policy is malformed or speaks of no metric; the message names it, what was found, and the remedy."""


class Policy(NamedTuple):
    """A bound of a metric's change, such as ``miou<-1.0``."""

    text: str
    file: str
    """Which files, as a glob."""
    key: str
    """Which metrics in them, as a glob for the dotted path or the end of it."""
    comparison: str
    bound: float

    def applies(self, difference: Difference) -> bool:
        """Whether it speaks of that metric."""
        parts = difference.key.split(".")
        ends = (".".join(parts[start:]) for start in range(len(parts)))
        return fnmatchcase(difference.file, self.file) and any(fnmatchcase(end, self.key) for end in ends)

    def is_broken_by(self, difference: Difference) -> bool:
        """Whether the metric changes by what is forbidden, or is gone; a new one is fine."""
        if difference.before is None:
            return False
        change = difference.change
        return difference.after is None or (change is not None and bool(_COMPARISONS[self.comparison](change, self.bound)))


def parse_policy(text: str) -> Policy:
    """Reads ``[FILE:]METRIC<CHANGE``; the comparison is one of ``<``, ``<=``, ``>`` and ``>=``.

    FILE and METRIC are globs. METRIC is the end of a dotted path: ``miou`` is every model's, unfused and fused, ``fused.miou``
    the fused only. Without FILE, the metric is one of the models' evaluations.

    Raises:
        PolicyError: If the text has another form.
    """
    match = _FORM.fullmatch(text)
    try:
        bound = float(match[4]) if match else float("nan")
    except ValueError:
        bound = float("nan")
    if match is None or bound != bound:
        raise PolicyError(
            f"--fail-if {text!r}: expected METRIC<CHANGE or FILE:METRIC>CHANGE, such as 'miou<-1.0' or 'detector/instances:ap<0'."
        )
    return Policy(text.strip(), (match[1] or _EVALUATIONS).strip(), match[2].strip(), match[3], bound)


def broken(policy: Policy, differences: Sequence[Difference]) -> list[Difference]:
    """The metrics whose change the policy forbids.

    Raises:
        PolicyError: If there is no metric that it speaks of and that the base has: such a policy would never fail.
    """
    numbers = [item for item in differences if item.before is not None and not isinstance(item.before.value, str)]
    judged = [item for item in numbers if policy.applies(item)]
    if not judged:
        anywhere = policy._replace(file="*")
        others = sorted({f"{item.file}:{item.key}" for item in numbers if anywhere.applies(item)})
        known = f"; there is {', '.join(others[:5])}" if others else ""
        raise PolicyError(
            f"--fail-if {policy.text!r}: the base has no metric {policy.key} in {policy.file}{known}. Name FILE:METRIC as the "
            "report's table of metrics does."
        )
    return [item for item in judged if policy.is_broken_by(item)]
