"""Whole comparisons of a scratch repository's revisions, and of this repository with itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dvc.repo import Repo

from synth2real.revisions import markdown
from synth2real.revisions.__main__ import main
from synth2real.revisions.policy import PolicyError
from synth2real.revisions.snapshot import RevisionError, read_snapshot, resolve

ROOT = Path(__file__).parents[2]
OUT = Path("report/revisions")


def _report() -> str:
    return (OUT / "report.md").read_text()


def _rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table rows that begin with a cell."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith(f"| {first} |")
    ]


def _status(root: Path) -> set[str]:
    with Repo(str(root)) as repo:
        return set(repo.status())


def test_the_ladder_has_signs_and_greys_what_may_be_noise(scratch: Any) -> None:
    scratch.params(training={"epochs": 30, "rate": 0.1})
    scratch.run_stages({"source_only": 24.5, "adapted": 32.33})
    scratch.commit("Longer trainings")
    main("main", "head")
    text = _report()
    assert text.startswith(markdown.MARKER)
    assert text.index("## The ladder") < text.index("## Parameters") < text.index("## IoU of each class")
    assert _rows(text, "`source_only`") == [
        ["`source_only`", "alone", "23.38", "24.5", "<sub>+1.12</sub>", "-1.71 to +3.95", "="],
        ["`source_only`", "fused", "24.38", "25.5", "<sub>+1.12</sub>", "-2.04 to +4.28", "="],
    ]
    assert _rows(text, "`adapted`")[0][2:6] == ["22.33", "32.33", "**+10**", "+7.17 to +12.83"]
    assert _rows(text, "`training.epochs`") == [["`training.epochs`", "`3`", "`30`"]]
    assert "training.rate" not in text
    road, other = _rows(text, "road")
    assert road == ["road", "33.38", "34.5", "<sub>+1.12</sub>", "33.38", "34.5", "<sub>+1.12</sub>"]
    assert other[3] == "**+10**"
    assert _rows(text, "train") == []  # has no score on either side
    assert "**Stale**" not in text
    assert "Fresh: all stages" in text


def test_a_comparison_the_other_way_has_the_opposite_signs(scratch: Any) -> None:
    scratch.run_stages({"source_only": 24.5, "adapted": 32.33})
    scratch.commit("Better")
    main("head", "main")
    assert _rows(_report(), "`adapted`")[0][4] == "**-10**"


def test_a_revision_with_itself_has_no_difference(scratch: Any) -> None:
    main("main", "main", fail_if=("miou<0",), fail_if_stale=True)
    text = _report()
    assert "No parameter differs." in text
    assert "No metric differs: " in text
    assert "2 of 2 trainings have equal curves." in text
    assert "2 of 2 pictures and pages in dvc.lock are equal." in text
    assert not list(OUT.rglob("*.png"))
    assert {row[4] for row in _rows(text, "`adapted`")} == {"="}


def test_models_and_metrics_that_come_and_go(scratch: Any) -> None:
    scratch.params(ladder=["source_only", "round-1"])
    scratch.git("rm", "--quiet", "metrics/evaluation/adapted.json", "metrics/curves/adapted.csv")
    scratch.run_stages({"source_only": 23.38, "round-1": 25.0})
    content = json.loads((scratch.root / "metrics/evaluation/source_only.json").read_text())
    del content["unfused"]["pixel_accuracy"]
    scratch.write("metrics/evaluation/source_only.json", json.dumps({**content, "seconds": 3}))
    scratch.record()
    scratch.commit("Another ladder")
    with pytest.raises(SystemExit) as stopped:
        main("main", "head", fail_if=("miou<-1.0",))
    assert stopped.value.code == 3  # a model that is gone cannot keep its score
    text = _report()
    assert _rows(text, "`adapted`")[0][2:5] == ["22.33", "", "dropped"]
    assert _rows(text, "`round-1`")[0][2:5] == ["", "25", "new"]
    assert _rows(text, "`source_only`")[0][4:7] == ["=", "", "dropped"]
    assert _rows(text, "`evaluation/source_only:seconds`")[0][1:4] == ["", "3", "new"]
    assert text.index("| `source_only` |") < text.index("| `adapted` |") < text.index("| `round-1` |")
    assert "`metrics/curves/adapted.csv` (dropped)" in text
    assert "`metrics/curves/round-1.csv` (new)" in text


def test_policies_decide_the_exit_status_and_the_report_says_why(scratch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scratch.run_stages({"source_only": 23.38, "adapted": 21.0})
    scratch.commit("Worse")
    main("main", "head", fail_if=("miou<-1.33", "miou>5"))  # it is -1.33 exactly
    assert "- ✅ fail if `miou<-1.33`\n- ✅ fail if `miou>5`" in _report()
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main("main", "head", fail_if=("miou<-1.0", "pixel_accuracy<-1"))
    assert stopped.value.code == 3
    assert "- ❌ fail if `miou<-1.0`: `evaluation/adapted:unfused.miou` <sub>-1.33</sub>" in _report()
    assert "- ✅ fail if `pixel_accuracy<-1`" in _report()
    assert "Fails miou<-1.0: evaluation/adapted:unfused.miou -1.33" in capsys.readouterr().out


def test_a_metric_without_interval_is_neither_bold_nor_small(scratch: Any) -> None:
    for model in ("source_only", "adapted"):
        content = json.loads((scratch.root / f"metrics/evaluation/{model}.json").read_text())
        content["unfused"]["pixel_accuracy"] = 60.5
        scratch.write(f"metrics/evaluation/{model}.json", json.dumps(content))
    scratch.commit("By hand")
    main("main", "head")
    assert _rows(_report(), "`adapted`")[0][4:] == ["=", "", "-9.5"]


def test_a_policy_of_no_metric_leaves_no_report(scratch: Any) -> None:
    main("main", "head")
    with pytest.raises(PolicyError, match="no metric mioo"):
        main("main", "head", fail_if=("mioo<0",))
    assert not (OUT / "report.md").exists()  # not that of the earlier call either
    assert not (OUT / "comment.md").exists()


@pytest.mark.parametrize(
    ("file", "text", "stale"),
    [
        ("stages/train.py", "changed", {"train@source_only", "train@adapted"}),
        ("src/steps/deep/two.py", "changed", {"train@source_only", "train@adapted"}),
        ("src/steps/three.py", "added", {"train@source_only", "train@adapted"}),
        ("metrics/evaluation/adapted.json", '{"miou": 99}', {"evaluate@adapted"}),
        ("src/elsewhere.py", "of no stage", set()),
        ("README.md", "of no stage", set()),
    ],
)
def test_the_lock_check_agrees_with_dvc_status(scratch: Any, file: str, text: str, stale: set[str]) -> None:
    """DVC's own status, which has the data, is the reference; the check sees what git holds."""
    scratch.write(file, text)
    scratch.commit("An edit without dvc repro")
    assert _status(scratch.root) == stale
    found = read_snapshot(scratch.root, resolve(scratch.root, "HEAD")).stale
    assert {item.stage for item in found} == stale
    assert all(any(file.startswith(reason.split()[0]) for reason in item.reasons) for item in found)


def test_the_lock_check_sees_parameters_commands_and_new_stages(scratch: Any) -> None:
    scratch.params(training={"epochs": 4, "rate": 0.1})
    scratch.write(
        "dvc.yaml", (scratch.root / "dvc.yaml").read_text().replace("evaluate.py --model", "evaluate.py --verbose --model")
    )
    scratch.commit("Edits without dvc repro")
    with pytest.raises(SystemExit) as stopped:
        main("main", "head", fail_if_stale=True)
    assert stopped.value.code == 3
    assert dict(_rows(_report(), "`train@adapted`")) == {"`train@adapted`": "`training modified`"}
    assert _rows(_report(), "`evaluate@adapted`") == [["`evaluate@adapted`", "`cmd modified`"]]
    assert "- ❌ fail if dvc.lock is stale: 4 stages" in _report()

    scratch.params(ladder=["source_only", "adapted", "round-1"])
    scratch.commit("A model that never ran")
    stale = {item.stage for item in read_snapshot(scratch.root, resolve(scratch.root, "HEAD")).stale}
    assert {"train@round-1", "evaluate@round-1"} <= stale


def test_the_lock_check_sees_a_lock_that_was_merged_from_two_runs(scratch: Any) -> None:
    """What a stage used is not what its producer made: told from dvc.lock alone."""
    lock = scratch.root / "dvc.lock"
    before = lock.read_text()
    scratch.run_stages({"source_only": 23.38, "adapted": 40.0})
    start = re.compile(r"  evaluate@")
    lock.write_text(before[: start.search(before).start()] + lock.read_text()[start.search(lock.read_text()).start() :])  # type: ignore[union-attr]
    scratch.commit("Half a merge")
    reasons = {item.stage: item.reasons for item in read_snapshot(scratch.root, resolve(scratch.root, "HEAD")).stale}
    assert "data/models/adapted.ckpt is not the one that its stage made" in reasons["evaluate@adapted"]
    assert "evaluate@source_only" not in reasons


def test_a_lock_that_is_missing_is_stale(scratch: Any) -> None:
    scratch.git("rm", "--quiet", "dvc.lock")
    scratch.commit("No lock")
    assert len(read_snapshot(scratch.root, resolve(scratch.root, "HEAD")).stale) == 4
    main("head", "main")
    assert "The base is stale too (4 stages" in _report()


def test_the_merge_base_is_what_a_pull_request_compares_with(scratch: Any) -> None:
    scratch.run_stages({"source_only": 23.38, "adapted": 30.0})
    scratch.commit("The branch")
    scratch.git("switch", "--quiet", "main")
    scratch.run_stages({"source_only": 40.0, "adapted": 40.0})
    scratch.commit("Meanwhile on main")
    main("main", "head", merge_base_of=True)
    assert _rows(_report(), "`source_only`")[0][4] == "="
    assert "Before: `main, where head left it (" in _report()
    main("main", "head")
    assert _rows(_report(), "`source_only`")[0][4] == "**-16.62**"


def test_the_working_tree_and_the_index_stay_as_they_are(scratch: Any) -> None:
    scratch.write("params.yaml", "being: edited\n")
    scratch.write("staged.txt", "staged")
    scratch.git("add", "staged.txt")
    before = scratch.git("status", "--porcelain"), scratch.git("worktree", "list"), scratch.git("rev-parse", "HEAD")
    main("main", "head")
    assert (scratch.git("status", "--porcelain"), scratch.git("worktree", "list"), scratch.git("rev-parse", "HEAD")) == before
    assert "No parameter differs." in _report()


def test_curves_of_both_revisions_are_drawn_into_one_picture(scratch: Any) -> None:
    scratch.run_stages({"source_only": 23.38, "adapted": 30.0})
    scratch.commit("Better")
    main("main", "head")
    assert [path.name for path in OUT.rglob("curves/*.png")] == ["adapted.png"]
    picture = cv2.imread(str(OUT / "curves/adapted.png"))
    assert picture is not None
    blue, grey = (31, 95, 153)[::-1], (138, 143, 152)[::-1]
    for colour in (blue, grey):
        assert (np.abs(picture.astype(int) - colour).max(axis=2) < 12).sum() > 50
    assert "![adapted](curves/adapted.png)" in _report()
    assert "1 of 2 trainings have equal curves." in _report()


def test_pictures_are_shown_where_the_cache_has_both(scratch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run_stages({"source_only": 23.38, "adapted": 22.33}, shade=200)
    scratch.commit("Brighter")
    main("main", "head")
    pair = cv2.imread(str(OUT / "pictures/data_grids_adapted.jpg"))
    assert pair is not None
    assert pair.shape == (48, 30, 3)
    assert (abs(int(pair[10, 15, 0]) - 90) < 4, int(pair[24, 15, 0]) > 250, abs(int(pair[40, 15, 0]) - 200) < 4) == (True,) * 3
    assert "![data_grids_adapted](pictures/data_grids_adapted.jpg)" in _report()
    assert "![" not in (OUT / "comment.md").read_text()

    scratch.git("clone", "--quiet", str(scratch.root), str(tmp_path / "plain"))
    monkeypatch.chdir(tmp_path / "plain")
    main("origin/main", "HEAD")
    assert (
        "Not in this clone's cache for both revisions, so not shown (`dvc fetch` brings them): `data/grids/adapted.png`"
        in _report()
    )
    assert "Fresh: all stages" in _report()


def test_other_frames_are_not_comparable(scratch: Any) -> None:
    for model in ("source_only", "adapted"):
        content = json.loads((scratch.root / f"metrics/evaluation/{model}.json").read_text())
        scratch.write(f"metrics/evaluation/{model}.json", json.dumps({**content, "frames": 48}))
    scratch.commit("Fewer frames")
    main("main", "head")
    assert "⚠️ Not comparable: `evaluation/adapted` has frames 72 before and 48 after." in _report()


# --- Loud failures -----------------------------------------------------------------------------------------------------


def test_an_unknown_revision_says_how_to_bring_it(scratch: Any) -> None:
    scratch.git("remote", "add", "origin", "https://localhost:1/none.git")  # nobody answers there, and nobody is asked
    with pytest.raises(RevisionError, match=r"origin/topic: no such revision .*`git fetch origin topic`"):
        main("origin/topic", "head")
    with pytest.raises(RevisionError, match=r"v9: no such revision .*git fetch --all --tags"):
        main("main", "v9")
    with pytest.raises(RevisionError, match="--output=x: no such revision"):
        main("--output=x", "head")


def test_a_shallow_clone_says_so(scratch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = scratch.git("rev-parse", "main")
    scratch.commit("One more")
    scratch.git("clone", "--quiet", "--depth=1", f"file://{scratch.root}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    with pytest.raises(RevisionError, match=r"no such revision .* shallow; `git fetch --unshallow`"):
        main(base)


def test_unrelated_histories_have_no_merge_base(scratch: Any) -> None:
    scratch.git("switch", "--quiet", "--orphan", "other")
    scratch.commit("Another beginning")
    with pytest.raises(RevisionError, match="no common ancestor"):
        main("main", "other", merge_base_of=True)


def test_a_partial_clone_without_its_remote_fails(scratch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.write("params.yaml", (scratch.root / "params.yaml").read_text() + "\n")
    scratch.commit("One more")
    scratch.git("config", "uploadpack.allowFilter", "true")
    scratch.git("clone", "--quiet", "--filter=blob:none", f"file://{scratch.root}", str(tmp_path / "partial"))
    scratch.root.rename(tmp_path / "gone")
    monkeypatch.chdir(tmp_path / "partial")
    with pytest.raises(RevisionError, match=r"git cannot give its files: .*remote must be reachable"):
        main("HEAD~1")
    assert not OUT.exists()


def test_a_base_without_metrics_is_no_empty_table(scratch: Any) -> None:
    scratch.git("rm", "-r", "--quiet", "metrics/evaluation")
    scratch.commit("No figures")
    with pytest.raises(
        RevisionError, match=r"head .*no metrics .dvc.yaml declares 2 files of them and git has none.*commit metrics/"
    ):
        main("head", "main")
    with pytest.raises(RevisionError, match="no metrics"):
        main("main", "head")
    scratch.git("rm", "--quiet", "dvc.yaml")
    scratch.commit("No experiment")
    with pytest.raises(RevisionError, match=r"has no dvc\.yaml"):
        main("head", "main")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("metrics/evaluation/adapted.json", '{"miou": ', "expected JSON"),
        ("metrics/curves/adapted.csv", "step,loss\n1,low\n", "expected numbers in 2 columns"),
        ("metrics/curves/adapted.csv", "step,loss\n1\n", "expected numbers in 2 columns"),
        ("dvc.yaml", "stages: [", "DVC cannot read its pipeline"),
        ("dvc.lock", "stages: [", "DVC cannot read its pipeline"),
        ("dvc.yaml", "stages:\n  a:\n    cmd: ${nowhere}\n", "DVC cannot read its pipeline"),
        ("dvc.yaml", "stages:\n  a:\n    cmd: 'true'\n", "dvc.yaml declares none"),
        ("params.yaml", "", "Could not find 'ladder'"),
    ],
)
def test_a_damaged_file_is_named_with_its_revision(scratch: Any, file: str, text: str, message: str) -> None:
    scratch.write(file, text)
    scratch.commit("Damage")
    with pytest.raises(ValueError, match=f"(?s)head .*{re.escape(message)}"):
        main("main", "head")


def test_the_command_ends_with_one_message_and_status_1(scratch: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "synth2real.revisions", *arguments)
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    done = call(scratch.root, "nowhere", "head")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nowhere: no such revision")
    assert done.stderr.count("\n") == 1
    assert not (scratch.root / OUT).exists()
    done = call(scratch.root, "main", "--fail-if", "miou<0", "--fail-if", "miou>=0")
    assert done.returncode == 3, done.stderr
    assert (scratch.root / OUT / "report.md").is_file()


# --- The comment -------------------------------------------------------------------------------------------------------


def test_a_comment_has_a_limit_and_names_what_it_leaves_out() -> None:
    sections = [
        markdown.Section("", "head", False),
        markdown.Section("Short", "s" * 100, True),
        markdown.Section("Long", "l" * 5000, True),
        markdown.Section("Last", "z" * 100, False),
    ]
    text = markdown.comment(sections, limit=2000)
    assert len(text) <= 2000
    assert text.startswith(f"{markdown.MARKER}\n")
    assert "<summary>Short</summary>" in text
    assert "### Last" in text
    assert "lll" not in text
    assert "too long for a comment: Long." in text
    assert "lll" in markdown.comment(sections)


@pytest.mark.parametrize("text", ["a|b", "`@everyone`", "a\n\n# b", "<img src=x>", ""])
def test_a_value_cannot_leave_its_cell(text: str) -> None:
    shown = markdown.code(text)
    assert shown.startswith("`")
    assert shown.endswith("`")
    assert not re.search(r"(?<!\\)\||\n|`", shown[1:-1])


# --- This repository ---------------------------------------------------------------------------------------------------


def test_this_repository_with_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: no revisions")
    monkeypatch.chdir(ROOT)
    main("HEAD", "HEAD", out=tmp_path, fail_if=("miou<0",))
    text = (tmp_path / "report.md").read_text()
    assert "No metric differs: " in text
    assert "No parameter differs." in text
    assert len(_rows(text, "`source_only/seed-1`")) == 2


def test_workflows_are_pinned_and_may_do_little() -> None:
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text()
        uses = re.findall(r"uses: (\S+)", text)
        assert [item for item in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", item)] == [], path
        assert "pull_request_target" not in text
        assert re.search(r"(?m)^permissions:( \{\}|\n  contents: read)$", text), path
        assert set(re.findall(r"(\S+): write", text)) <= {"pull-requests"}


def test_studies_with_lock_files_of_their_own_are_left_out(scratch: Any) -> None:
    before = read_snapshot(scratch.root, resolve(scratch.root, "HEAD"))
    scratch.write(
        "studies/weights/dvc.yaml",
        "stages:\n  try:\n    wdir: ../..\n    cmd: python stages/try.py\n    outs: [data/tried]\n"
        "    metrics: [studies/weights/scores.json: {cache: false}]\n",
    )
    scratch.commit("A study that never ran")
    after = read_snapshot(scratch.root, resolve(scratch.root, "HEAD"))
    assert (after.stale, after.uncommitted, after.metrics) == (before.stale, before.uncommitted, before.metrics)
