"""Writes what a pull request changes: ``python -m synth2real.revisions BASE [HEAD]``."""

from pathlib import Path
from typing import Annotated

import tyro

from synth2real.frames import write_text
from synth2real.params import run
from synth2real.revisions import markdown, pictures
from synth2real.revisions.policy import broken, parse_policy
from synth2real.revisions.scores import differences
from synth2real.revisions.snapshot import Snapshot, find_repository, merge_base, read_snapshot, resolve

_COMMAND = "python -m synth2real.revisions"
BROKEN = 3
"""Exit status when the report is written and a policy is broken; 1 means that there is no report."""


def _curves(before: Snapshot, after: Snapshot, out: Path) -> str:
    files = {**after.curves, **before.curves}
    differing = [file for file in files if not pictures.are_equal(before.curves.get(file), after.curves.get(file))]
    parts = []
    for file in differing:
        path = out / "curves" / f"{file.removeprefix('metrics/curves/').removesuffix('.csv').replace('/', '_')}.png"
        pictures.write_curves(path, before.curves.get(file), after.curves.get(file))
        state = "" if file in before.curves and file in after.curves else " (dropped)" if file in before.curves else " (new)"
        parts.append(f"{markdown.code(file)}{state}\n\n![{path.stem}]({path.relative_to(out).as_posix()})")
    parts.append(f"{len(files) - len(differing)} of {len(files)} trainings have equal curves.")
    return "\n\n".join(parts)


def _pictures(before: Snapshot, after: Snapshot, repository: Path, out: Path) -> str:
    shared = [file for file in after.pictures if file in before.pictures]
    differing = [file for file in shared if before.pictures[file] != after.pictures[file]]
    parts, missing = [], []
    for file in differing:
        versions = [pictures.cached(repository, snapshot.pictures[file]) for snapshot in (before, after)]
        if versions[0] is None or versions[1] is None:
            missing.append(file)
            continue
        for path in pictures.write_pair(out / "pictures", file, versions[0], versions[1]):
            link = f"[{path.stem}]({path.relative_to(out).as_posix()})"
            parts.append(link if path.suffix == ".html" else f"{markdown.code(file)}, before above, after below\n\n!{link}")
    if missing:
        names = ", ".join(map(markdown.code, missing))
        parts.append(f"Not in this clone's cache for both revisions, so not shown (`dvc fetch` brings them): {names}.")
    parts.append(f"{len(shared) - len(differing)} of {len(shared)} pictures and pages in dvc.lock are equal.")
    return "\n\n".join(parts)


def main(
    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")],
    head: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="HEAD")] = "HEAD",
    out: Path = Path("report/revisions"),
    merge_base_of: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(name="merge-base")] = False,
    fail_if: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    fail_if_stale: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Writes report.md (with pictures) and comment.md (without, short enough for a pull request) of two git revisions.

    Reads what is committed, not the working tree. Exit status: 0; 1 with a message if there is nothing to compare, and then no
    report; 3 if the report is written and a policy is broken.

    Args:
        base: What to compare with: a branch, tag or commit.
        head: What changed.
        out: Folder for the reports and their pictures.
        merge_base_of: Compare with the commit where HEAD left BASE, as a pull request does.
        fail_if: A change that is forbidden, such as 'miou<-1.0' (any model's, in points) or 'detector/instances:ap<0'; may be
            given again. A metric that vanishes counts as broken.
        fail_if_stale: Forbid a dvc.lock that does not fit the code, parameters and metrics of HEAD.
    """
    for name in ("report.md", "comment.md"):
        (out / name).unlink(missing_ok=True)  # a report of an earlier call must not be taken for this one's
    policies = [parse_policy(text) for text in fail_if]
    repository = find_repository(Path.cwd())
    after_revision = resolve(repository, head)
    before_revision = resolve(repository, base)
    if merge_base_of:
        before_revision = merge_base(repository, before_revision, after_revision)
    before, after = (read_snapshot(repository, revision) for revision in (before_revision, after_revision))
    found = differences(before.metrics, after.metrics)
    judgements = [markdown.Judgement(policy, broken(policy, found)) for policy in policies]

    sections = [
        markdown.Section("", markdown.verdict(before, after, judgements, fail_if_stale), False),
        markdown.Section("The ladder", markdown.ladder(found) or "No model is evaluated in either revision.", False),
        markdown.Section("Parameters", markdown.params(before.params, after.params), False),
        markdown.Section("dvc.lock", markdown.lock(before, after), False),
        markdown.Section("IoU of each class", markdown.classes(found), True),
        markdown.Section("All metrics", markdown.metrics(found), True),
    ]
    sections = [section for section in sections if section.text]
    shown = [
        markdown.Section("Curves", _curves(before, after, out), True),
        markdown.Section("Pictures", _pictures(before, after, repository, out), True),
    ]
    write_text(out / "comment.md", markdown.comment(sections))
    write_text(out / "report.md", markdown.page([*sections, *shown]))

    print(f"{out / 'report.md'}: {sum(not item.is_equal for item in found)} of {len(found)} metrics differ.")
    for policy, broken_by in judgements:
        for item in broken_by:
            change = "dropped" if item.change is None else f"{item.change:+.6g}"
            print(f"Fails {policy.text}: {item.file}:{item.key} {change}")
    if fail_if_stale and after.stale:
        print(f"dvc.lock is stale: {', '.join(item.stage for item in after.stale)}")
    if any(item.broken_by for item in judgements) or (fail_if_stale and after.stale):
        raise SystemExit(BROKEN)


if __name__ == "__main__":
    run(main, _COMMAND)
