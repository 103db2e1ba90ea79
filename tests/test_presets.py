"""Presets: only the named values change, comments and layout stay, and what does not fit is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from synth2real.params import ParamsError
from synth2real.presets import Change, apply_preset, list_presets, main, merge, parse_assignment, read_values

_ROOT = Path(__file__).parents[1]
_PARAMS = """\
# Head.
prepare:
  source:
    root: data/worlds/gta   # a folder
    size: [256, 512]  # height, width
    limit: null
segmentation:
  # Of Adam.
  learning_rate: 2e-4
  classes:
    - road
    - sky  # last
  # After a list.
  encoder: "lite0"
render: [gta, cityscapes]
empty:
flow: {one: 1, two: 2}  # both
# The end.
"""


def _load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _merged(overlay: str) -> tuple[str, list[Change]]:
    return merge(_PARAMS, read_values(overlay, "preset.yaml"), "preset.yaml")


def test_values_change_and_everything_else_stays() -> None:
    merged, changes = _merged(
        "# For trying.\nprepare: {source: {root: /data/gta5, size: [128, 256], limit: 5}}\nsegmentation:\n  learning_rate: 5e-4\n"
        "  classes: [car]\n  encoder: lite1\nempty: full\nflow: {two: [2, 3]}\n"
    )
    expected = (
        _PARAMS.replace("data/worlds/gta ", "/data/gta5 ").replace("[256, 512]", "[128, 256]").replace("null", "5")
        .replace("2e-4", "5e-4").replace("- road\n    - sky", "[car]").replace('"lite0"', "lite1")
        .replace("empty:", "empty: full").replace("two: 2", "two: [2, 3]")
    )  # fmt: skip
    assert merged == expected
    assert changes[0] == Change("prepare.source.root", "data/worlds/gta", "/data/gta5")
    assert [change.key for change in changes] == [
        "prepare.source.root", "prepare.source.size", "prepare.source.limit",
        "segmentation.learning_rate", "segmentation.classes", "segmentation.encoder", "empty", "flow.two",
    ]  # fmt: skip


def test_every_preset_of_the_project_fits_its_params() -> None:
    params = (_ROOT / "params.yaml").read_text(encoding="utf-8")
    paths = sorted((_ROOT / "presets").glob("*.yaml"))
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert re.match(r"# \w", text), path
        merged, changes = merge(params, read_values(text, path.name), path.name)
        assert changes, path
        comments = [line.strip() for line in params.splitlines() if line.strip().startswith("#")]
        assert [line.strip() for line in merged.splitlines() if line.strip().startswith("#")] == comments


def test_equal_values_are_no_change() -> None:
    assert _merged("segmentation: {learning_rate: 0.0002, encoder: lite0, classes: [road, sky]}") == (_PARAMS, [])


def test_a_block_list_and_a_comma_find_their_place() -> None:
    merged, _ = _merged("render:\n- veis\n- gta  # why\nflow:\n  one: a, b\n")
    assert _load(merged)["render"] == ["veis", "gta"]
    assert _load(merged)["flow"] == {"one": "a, b", "two": 2}


_TEXTS = st.text("ab1 #:,.[]{}'\"\\&*!%@-?|>~é\n\t", max_size=6)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _TEXTS,
    st.lists(st.one_of(st.integers(), _TEXTS), max_size=3),
)  # fmt: skip
_KEYS = st.sampled_from(["prepare.source.root", "prepare.source.size", "segmentation.classes", "render", "empty", "flow.one"])


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(_KEYS, _SCALARS, max_size=6))
def test_a_merge_does_what_it_says_and_is_idempotent(overlay: dict[str, Any]) -> None:
    import json

    values = {key: parse_assignment(f"{key}={json.dumps(value)}")[key] for key, value in overlay.items()}
    merged, _ = merge(_PARAMS, values, "preset")
    found = {key: item.value for key, item in read_values(merged, "params").items()}
    assert found == {key: item.value for key, item in read_values(_PARAMS, "params").items()} | overlay
    assert merge(merged, values, "preset") == (merged, [])
    assert {line for line in _PARAMS.splitlines() if line.strip().startswith("#")} <= set(merged.splitlines())


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("segmentation: {lerning_rate: 1}", r"no segmentation\.lerning_rate; did you mean segmentation\.learning_rate"),
        ("encoder: x", r"no encoder; did you mean segmentation\.encoder"),
        ("render: {gta: 1}", r"no render\.gta"),
        ("flow: 3", r"flow is a section of params\.yaml, not a value; it has flow\.one, flow\.two"),
        ("xyzzy: 3", r"has no xyzzy\.$"),
    ],
)
def test_unknown_keys_are_refused_with_close_ones(overlay: str, message: str) -> None:
    with pytest.raises(ParamsError, match=rf"preset\.yaml: .*{message}"):
        _merged(overlay)


def test_a_mapping_takes_the_place_of_null() -> None:
    """As optional sections have it; merging again changes nothing."""
    params = "data:\n  video: null # or a mapping\n  limit: 3\n"
    overlay = parse_assignment("data.video={rate: 2.0, scenes: {shortest: 1}}")
    merged, changes = merge(params, overlay, "it")
    assert YAML(typ="safe").load(merged) == {"data": {"video": {"rate": 2.0, "scenes": {"shortest": 1}}, "limit": 3}}
    assert "# or a mapping" in merged
    assert [change.key for change in changes] == ["data.video"]
    assert merge(merged, overlay, "it") == (merged, [])
    with pytest.raises(ParamsError, match=r"no data\.limit\.rate"):
        merge(params, parse_assignment("data.limit={rate: 2.0}"), "it")


@pytest.mark.parametrize("text", ["a: [1", "- a", "", "a: 1\na: 2"])
def test_what_is_no_params_file_is_refused(text: str) -> None:
    with pytest.raises(ParamsError, match=r"some\.yaml"):
        read_values(text, "some.yaml")


@pytest.mark.parametrize("assignment", ["a", "=3", "a={}", "a=[1", "a=1\nb: 2"])
def test_what_is_no_assignment_is_refused(assignment: str) -> None:
    with pytest.raises(ParamsError, match=r"^'?(a|=3)"):
        parse_assignment(assignment)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "params.yaml").write_text(_PARAMS)
    (tmp_path / "presets/ci.yaml").write_text("# A few minutes.\nsegmentation:\n  learning_rate: 1e-3\n")
    (tmp_path / "presets/wrong.yaml").write_text("# Wrong.\nrender: [gta]\nsegmentation:\n  rate: 1e-3\n")
    return tmp_path


def test_a_preset_and_assignments_are_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main("ci", ("flow.one=7", "segmentation.learning_rate=1e-2"))
    assert (project / "params.yaml").read_text() == _PARAMS.replace("2e-4", "1e-2").replace("one: 1", "one: 7")
    assert "flow.one: 1 -> 7" in capsys.readouterr().out
    main("ci", ("flow.one=7", "segmentation.learning_rate=1e-2"))
    assert [path.name for path in project.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(("name", "assignments"), [("wrong", ()), ("ci", ("flow.tow=1",)), ("missing", ())])
def test_what_does_not_fit_leaves_the_file_as_it_was(project: Path, name: str, assignments: tuple[str, ...]) -> None:
    with pytest.raises(ParamsError):
        apply_preset(name, assignments)
    assert (project / "params.yaml").read_text() == _PARAMS


def test_the_missing_preset_names_those_that_are_there(project: Path) -> None:
    with pytest.raises(ParamsError, match=r"presets/cj\.yaml: no such preset; there are: ci, wrong"):
        main("cj")


def test_presets_are_listed_with_their_purpose(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list_presets() == {"ci": "A few minutes.", "wrong": "Wrong."}
    main(show=True)
    assert "A few minutes." in capsys.readouterr().out


def test_no_argument_shows_help(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["presets"])
    with pytest.raises(SystemExit):
        main()
    assert "usage" in capsys.readouterr().out
    assert (project / "params.yaml").read_text() == _PARAMS


def test_a_fault_ends_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: 1\n")
    (tmp_path / "presets").mkdir()
    environment = os.environ | {"PYTHONPATH": str(_ROOT / "src")}
    command = [sys.executable, "-m", "synth2real.presets", "nosuch"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("presets/nosuch.yaml: no such preset")
    assert "Traceback" not in done.stderr
