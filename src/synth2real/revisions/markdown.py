"""The report of two revisions as Markdown that GitHub and GitLab show alike."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from synth2real.presets import Value
from synth2real.report.tables import ladder_position
from synth2real.revisions.policy import Policy
from synth2real.revisions.scores import Difference, Score
from synth2real.revisions.snapshot import Snapshot

MARKER: Final = "<!-- synth2real: revisions -->"
"""First line of every report; a workflow finds its earlier comment by it."""
COMMENT_LIMIT: Final = 60_000
"""Characters of a comment; GitHub takes 65536."""
_EVALUATION: Final = "evaluation/"
_KINDS: Final = {"unfused": "alone", "fused": "fused"}
_MOST_REASONS: Final = 4
_LEGEND: Final = (
    "**Bold**: zero lies outside of the difference's interval. <sub>Small</sub>: inside, so it may be noise. Plain: the metric "
    "has no interval. Intervals come from the bootstraps over frames of both revisions, taken for independent; they do not hold "
    "what another seed of training would change."
)


class Judgement(NamedTuple):
    """What became of a policy."""

    policy: Policy
    broken_by: Sequence[Difference]


class Section(NamedTuple):
    """A part of the report."""

    title: str
    text: str
    is_long: bool
    """Folded in a comment, and left out of one that grows too large."""


class _Line(NamedTuple):
    """A prediction's metrics by dotted path, such as ``iou.road``."""

    model: str
    kind: str
    scores: Mapping[str, Difference]


def code(text: object) -> str:
    """Any text as a code span that fits a table's cell: nothing in it is Markdown, HTML or a mention."""
    plain = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain or ' '}`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    """A table of ready Markdown; columns from ``numbers_from`` on are set flush right."""
    rule = ["---" if column < numbers_from else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def number(value: float) -> str:
    """Six significant digits at most."""
    return f"{value:.6g}"


def _value(score: Score | None) -> str:
    if score is None:
        return ""
    return code(score.value) if isinstance(score.value, str) else number(score.value)


def _change(item: Difference | None) -> str:
    if item is None:
        return ""
    if item.before is None:
        return "new"
    if item.after is None:
        return "dropped"
    if item.is_equal:
        return "="
    if item.change is None:
        return "changed"
    shown = f"{item.change:+.6g}"
    return shown if item.is_noise is None else f"<sub>{shown}</sub>" if item.is_noise else f"**{shown}**"


def _interval(item: Difference | None) -> str:
    if item is None or item.interval is None or item.is_equal:
        return ""
    return "{:+.2f} to {:+.2f}".format(*item.interval)


def _lines(differences: Sequence[Difference]) -> list[_Line]:
    """Every prediction of every model that either revision evaluated, in the ladder's order."""
    found: dict[tuple[str, str], dict[str, Difference]] = {}
    for item in differences:
        kind, _, key = item.key.partition(".")
        if item.file.startswith(_EVALUATION) and kind in _KINDS:
            found.setdefault((item.file.removeprefix(_EVALUATION), kind), {})[key] = item
    order = sorted(found, key=lambda place: (ladder_position(place[0]), list(_KINDS).index(place[1])))
    return [_Line(model, kind, found[model, kind]) for model, kind in order]


def ladder(differences: Sequence[Difference]) -> str:
    """Mean IoU of each model before and after; empty if neither revision has evaluated one."""
    lines = _lines(differences)
    if not lines:
        return ""
    header = ("model", "prediction", "mIoU before", "after", "difference", "its interval", "pixel accuracy, difference")
    rows = []
    for line in lines:
        miou, accuracy = line.scores.get("miou"), line.scores.get("pixel_accuracy")
        values = (_value(miou.before), _value(miou.after)) if miou else ("", "")
        rows.append((code(line.model), _KINDS[line.kind], *values, _change(miou), _interval(miou), _change(accuracy)))
    return f"{table(header, rows, numbers_from=2)}\n\n(%, differences in percentage points.) {_LEGEND}"


def classes(differences: Sequence[Difference]) -> str:
    """A table of the IoU of each class for each model."""
    lines = _lines(differences)
    parts = []
    for model in dict.fromkeys(line.model for line in lines):
        kinds = {line.kind: line.scores for line in lines if line.model == model}
        names = list(dict.fromkeys(key for scores in kinds.values() for key in scores if key.startswith("iou.")))
        header = ["class", *(cell for kind in kinds for cell in (f"{_KINDS[kind]}: before", "after", "difference"))]
        rows = []
        for name in names:
            cells = [name.removeprefix("iou.")]
            for scores in kinds.values():
                item = scores.get(name)
                cells += [_value(item.before), _value(item.after), _change(item)] if item else ["", "", ""]
            rows.append(cells)
        if rows:
            parts.append(f"**{code(model)}**, IoU in %\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def metrics(differences: Sequence[Difference]) -> str:
    """Every metric that differs, and how many do not."""
    differing = [item for item in differences if not item.is_equal]
    equal = f"{len(differences) - len(differing)} of {len(differences)} metrics are equal."
    if not differing:
        return f"No metric differs: {equal}"
    header = ("metric", "before", "after", "difference", "its interval")
    rows = [
        (code(f"{item.file}:{item.key}"), _value(item.before), _value(item.after), _change(item), _interval(item))
        for item in differing
    ]
    return f"{table(header, rows)}\n\n{equal}"


def params(before: Mapping[str, Value], after: Mapping[str, Value]) -> str:
    """Every value of params.yaml that differs, as it is written there."""
    rows = []
    for key in {**after, **before}:
        old, new = before.get(key), after.get(key)
        if old is None or new is None or (type(old.value), old.value) != (type(new.value), new.value):
            rows.append((code(key), *(code(item.text or "null") if item else "not there" for item in (old, new))))
    return table(("parameter", "before", "after"), rows, numbers_from=3) if rows else "No parameter differs."


def lock(before: Snapshot, after: Snapshot) -> str:
    """Which stages do not fit dvc.lock."""
    if not after.stale:
        text = f"Fresh: all stages of {code(after.revision)} fit their command, parameters, code and committed metrics."
    else:
        rows = []
        for stage, reasons in after.stale:
            more = [f"and {len(reasons) - _MOST_REASONS} more"] if len(reasons) > _MOST_REASONS else []
            rows.append((code(stage), ", ".join([*map(code, reasons[:_MOST_REASONS]), *more])))
        text = (
            f"**Stale**: {len(after.stale)} stages of {code(after.revision)} do not fit dvc.lock, so the figures are not those "
            f"of its code and parameters. Run `dvc repro` and commit dvc.lock with metrics/.\n\n"
            + table(("stage", "differs from dvc.lock"), rows, numbers_from=2)
        )
    if before.stale:
        names = ", ".join(code(item.stage) for item in before.stale[:_MOST_REASONS])
        end = ", ..." if len(before.stale) > _MOST_REASONS else ""
        text += f"\n\nThe base is stale too ({len(before.stale)} stages: {names}{end}): its figures are not those of its code."
    return text


def verdict(before: Snapshot, after: Snapshot, judgements: Sequence[Judgement], fails_if_stale: bool) -> str:
    """The head of the report: what is compared, what the policies say, and what to beware of."""
    lines = [
        f"Before: {code(before.revision)} {code(before.revision.title)}  ",
        f"After: {code(after.revision)} {code(after.revision.title)}",
        "",
    ]
    for policy, broken_by in judgements:
        changes = ", ".join(f"{code(f'{item.file}:{item.key}')} {_change(item)}" for item in broken_by)
        lines.append(f"- {'❌' if broken_by else '✅'} fail if {code(policy.text)}" + (f": {changes}" if changes else ""))
    if fails_if_stale:
        count = f": {len(after.stale)} stages" if after.stale else ""
        lines.append(f"- {'❌' if after.stale else '✅'} fail if dvc.lock is stale{count}")
    lines += [f"- ⚠️ {warning}" for warning in warnings(before, after)]
    return "\n".join(lines)


def warnings(before: Snapshot, after: Snapshot) -> list[str]:
    """What makes the figures say less than they seem to."""
    found = []
    for file in after.metrics.keys() & before.metrics.keys():
        if file.startswith(_EVALUATION):
            for key in ("label_space", "split", "frames"):
                old, new = before.metrics[file].get(key), after.metrics[file].get(key)
                if old and new and old.value != new.value:
                    found.append(f"Not comparable: {code(file)} has {key} {_value(old)} before and {_value(new)} after.")
    for snapshot in (before, after):
        if snapshot.uncommitted:
            names = ", ".join(map(code, snapshot.uncommitted))
            found.append(f"dvc.yaml of {code(snapshot.revision)} declares metrics that are not committed: {names}.")
    return sorted(found)


def page(sections: Sequence[Section]) -> str:
    """The whole report."""
    parts = [f"{MARKER}\n# What this changes"]
    parts += [f"## {section.title}\n\n{section.text}" if section.title else section.text for section in sections]
    return "\n\n".join(parts) + "\n"


def comment(sections: Sequence[Section], limit: int = COMMENT_LIMIT) -> str:
    """The report within ``limit`` characters: long sections are folded, and those that do not fit are named instead."""
    parts = [f"{MARKER}\n## What this changes"]
    left_out = []
    for section in sections:
        if section.is_long:
            part = f"<details><summary>{section.title}</summary>\n\n{section.text}\n\n</details>"
        else:
            part = f"### {section.title}\n\n{section.text}" if section.title else section.text
        if sum(map(len, parts)) + len(part) > limit - 500:
            left_out.append(section.title)
        else:
            parts.append(part)
    end = "Curves and pictures are in the report that the job keeps"
    parts.append(f"{end}, and what is too long for a comment: {', '.join(left_out)}." if left_out else f"{end}.")
    return "\n\n".join(parts) + "\n"
