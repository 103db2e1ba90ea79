"""The picture of dvc.yaml: the one in docs/ is fresh, and arrows follow the files."""

from pathlib import Path

from ruamel.yaml import YAML

from synth2real.pipeline import PICTURE, draw, draw_page

_ROOT = Path(__file__).parents[1]
_PIPELINE = """\
stages:
  render: {foreach: "${render}", do: {cmd: c, desc: d, outs: ["data/worlds/${item}"]}}
  prepare: {cmd: c, desc: d, deps: [src/synth2real/frames.py, "${prepare.root}"], outs: [data/prepared]}
  label: {matrix: {model: "${oracle}", seed: "${seeds}"}, desc: "Off by default: no, off by default (params: oracle)", cmd: c,
          deps: [data/prepared], outs: ["data/models/${item.model}/seed-${item.seed}.ckpt"]}
  train: {foreach: "${models}", do: {cmd: c, desc: d, deps: [data/prepared], outs: ["data/models/${key}/seed-1.ckpt"],
          plots: [{"curves/${key}.csv": {cache: false}}]}}
  predict: {cmd: c, desc: d, deps: [data/prepared, "data/models/a/seed-${seeds[0]}.ckpt"], outs: [data/predictions]}
  report: {cmd: c, desc: d, deps: [curves, data/predictions, data/models]}
"""


def test_the_picture_in_the_docs_is_fresh() -> None:
    dvc, params = (YAML(typ="safe", pure=True).load(_ROOT / name) for name in ("dvc.yaml", "params.yaml"))
    assert (_ROOT / PICTURE).read_text(encoding="utf-8") == draw_page(dvc, params), "python -m synth2real.pipeline --write"


def test_arrows_follow_the_files_and_none_is_needless() -> None:
    params = {"render": ["gta", "veis"], "models": {"a": {"x": 1}, "b": {"x": 2}}, "prepare": {"root": "data/worlds/gta"}}
    lines = [line.strip() for line in draw(YAML(typ="safe", pure=True).load(_PIPELINE), params).splitlines()]
    assert [line for line in lines if "-->" in line] == [
        "render --> prepare",  # whatever the raw data set's folder is called
        "prepare --> label",
        "prepare --> train",  # and from there to predict
        "label --> report",  # a folder takes what lies in it
        "train --> predict",  # but not b's model; and from there to report
        "predict --> report",
    ]
    assert lines[0] == "flowchart TD"
    assert 'predict["predict"]' in lines
    assert lines[-1] == "class label off"
