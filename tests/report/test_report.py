"""The report: right numbers in the right order, one page that needs no other file, and faults that name theirs."""

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synth2real.evaluation.comparison import compare_ladder
from synth2real.evaluation.counts import write_pixel_counts
from synth2real.evaluation.evaluate import EvaluationSettings, evaluate
from synth2real.evaluation.resampling import BootstrapSettings
from synth2real.frames import Frame, FrameError, write_frames, write_image, write_label
from synth2real.label_space import LABEL_SPACES, PALETTE
from synth2real.report.page import ReportSettings, ReportSources, write_report
from synth2real.report.pictures import choose, colour_map, curves, photo
from synth2real.report.tables import ReportError, ladder_position, read_comparable, read_table, to_csv

_SIZE = (24, 40)
_MODELS = ("source_only", "adapted", "round-2", "round-10", "oracle")
_SETTINGS = ReportSettings(frames=2, height=16)
_BOOTSTRAP = BootstrapSettings(samples=5, confidence=0.95, seed=1)
_EVALUATION = EvaluationSettings(label_space="cityscapes19", split="val", boundary_tolerance=None, bootstrap=_BOOTSTRAP)


def _experiment(tmp_path: Path, seeds: tuple[int, ...]) -> ReportSources:
    rng = np.random.default_rng(0)
    frames = [Frame(f"frame_{index}<b>", "val" if index else "train", *_SIZE) for index in range(4)]
    labels = {frame: rng.choice([7, 11, 23, 26, 0], _SIZE).astype(np.uint8) for frame in frames}
    for frame in frames:
        write_image(tmp_path / "target/images" / f"{frame.frame_id}.png", rng.integers(0, 255, (*_SIZE, 3)).astype(np.uint8))
        write_label(tmp_path / "annotations/labels" / f"{frame.frame_id}.png", labels[frame])
    for root in ("target", "annotations"):
        write_frames(tmp_path / root, frames)
    for seed, (index, model) in product(seeds, enumerate(_MODELS)):
        for kind, wrong in (("predictions", 0.5 - 0.1 * index), ("fused", 0.4 - 0.1 * index)):
            for frame in frames:
                prediction = np.where(rng.random(_SIZE) < wrong, 7, labels[frame]).astype(np.uint8)
                write_label(tmp_path / kind / model / f"seed-{seed}/labels" / f"{frame.frame_id}.png", prediction)
            write_frames(tmp_path / kind / model / f"seed-{seed}", frames)
        roots = {"unfused": tmp_path / "predictions", "fused": tmp_path / "fused"}
        predictions = {
            kind: root / model / f"seed-{seed}" for kind, root in roots.items() if (kind, model) != ("fused", "oracle")
        }
        evaluation = evaluate(tmp_path / "annotations", predictions, _EVALUATION, workers=1)
        (tmp_path / "evaluation" / model).mkdir(parents=True, exist_ok=True)
        (tmp_path / "evaluation" / model / f"seed-{seed}.json").write_text(json.dumps(evaluation.scores))
        write_pixel_counts(tmp_path / "counts" / model / f"seed-{seed}.npz", evaluation.frame_ids, evaluation.pixels)
    (tmp_path / "comparison.json").write_text(json.dumps(compare_ladder(tmp_path / "counts", _MODELS, seeds, _EVALUATION)))
    (tmp_path / "curves/adapted").mkdir(parents=True)
    (tmp_path / "curves/adapted/seed-1.csv").write_text("step,loss,learning_rate\n10,2.5,0.01\n20,1.5,0.005\n")
    (tmp_path / "curves/translator.csv").write_text("step,cycle\n10,2.5\n")
    (tmp_path / "data.json").write_text('{"source": {"frames": 3, "size": [24, 40]}, "all": {"a": {"x": 1}, "b": {"x": null}}}')
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds/round-1.json").write_text('{"kept": 87.65}')
    for name in ("adapted", "fda"):
        write_image(tmp_path / "grids" / f"{name}.jpg", np.zeros((8, 8, 3), np.uint8))
    return ReportSources(
        evaluations=tmp_path / "evaluation",
        comparison=tmp_path / "comparison.json",
        target=tmp_path / "target",
        annotations=tmp_path / "annotations",
        predictions=tmp_path / "predictions",
        fused=tmp_path / "fused",
        curves=tmp_path / "curves",
        statistics={"Data": tmp_path / "data.json", "Rounds": tmp_path / "rounds"},
        grids={"Data": tmp_path / "grids"},
    )


@pytest.fixture
def sources(tmp_path: Path) -> ReportSources:
    return _experiment(tmp_path, (1,))


class _Page(HTMLParser):
    """Pictures, links and open tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.stack: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.pictures.append(values["src"] or "")
        self.links += [values[name] or "" for name in ("href", "src") if name in values]
        if tag not in {"img", "meta", "br", "input", "link"}:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def _write(sources: ReportSources, folder: Path) -> tuple[str, str]:
    write_report(sources, {"segmentation": {"epochs": 3}}, _SETTINGS, folder / "summary.csv", folder / "report/index.html")
    return (folder / "summary.csv").read_text(), (folder / "report/index.html").read_text()


def test_the_summary_follows_the_ladder(sources: ReportSources, tmp_path: Path) -> None:
    summary, _ = _write(sources, tmp_path)
    rows = list(csv.DictReader(io.StringIO(summary)))
    assert [(row["model"], row["fused"]) for row in rows] == [
        ("majority", "no"),
        *((model, fused) for model in _MODELS[:-1] for fused in ("no", "yes")),
        ("oracle", "no"),
    ]
    scores = json.loads((sources.evaluations / "adapted/seed-1.json").read_text())
    adapted = rows[4]
    assert float(adapted["miou"]) == scores["fused"]["miou"]
    assert float(adapted["car"]) == scores["fused"]["iou"]["car"]
    assert [float(adapted[f"miou_{bound}"]) for bound in ("low", "high")] == scores["fused"]["miou_interval"]
    assert int(adapted["classes_present"]) == scores["fused"]["classes_present"]
    assert adapted["train"] == ""
    assert list(adapted)[9:] == list(LABEL_SPACES["cityscapes19"].class_names)


def test_the_page_is_whole_and_offline(sources: ReportSources, tmp_path: Path) -> None:
    _, text = _write(sources, tmp_path)
    page = _Page(text)
    assert page.stack == []
    assert all(link.startswith("data:") for link in page.links)
    assert not re.search(r"https?://|@import|url\((?!data:)", text)
    fused_and_unfused = 2 * (len(_MODELS) - 1) + 1
    assert len(page.pictures) == 1 + 2 * (2 + fused_and_unfused) + 3 + 2  # the ladder; of two frames; three curves; the grids
    for uri in page.pictures:
        assert base64.b64decode(uri.split(",", 1)[1], validate=True)
    assert "frame_1&lt;b&gt;" in text
    assert "<b>_" not in text
    for row in read_table(sources.evaluations, sources.comparison).rows:
        assert f"{row.miou:.2f}" in text
    gains = read_table(sources.evaluations, sources.comparison).gains
    assert [gain.step for gain in gains[:3]] == ["adapted", "adapted", "round-2"]
    assert sum(gain.over == "unfused" for gain in gains) == len(_MODELS) - 1
    assert all(gain.miou > 0 and f"{gain.miou:+.2f}" in text for gain in gains)
    assert "epochs" in text
    assert "87.65" in text


def test_images_of_another_size_than_the_annotation_are_shown(sources: ReportSources, tmp_path: Path) -> None:
    small = [Frame(f"frame_{index}<b>", "val", 12, 20) for index in range(4)]
    for frame in small:
        write_image(sources.target / "images" / f"{frame.frame_id}.png", np.zeros((12, 20, 3), np.uint8))
    write_frames(sources.target, small)
    _write(sources, tmp_path)
    write_frames(sources.target, small[:2])
    with pytest.raises(ReportError, match="no image of 'frame_3<b>'"):
        _write(sources, tmp_path)


def test_the_same_results_give_the_same_bytes(sources: ReportSources, tmp_path: Path) -> None:
    assert _write(sources, tmp_path / "one") == _write(sources, tmp_path / "two")


def _decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_pictures_show_the_classes_colours() -> None:
    label_ids = np.array([[7, 26], [0, 29]], np.uint8)
    shown = np.asarray(_decoded(colour_map(label_ids, LABEL_SPACES["cityscapes19"], 100)).convert("RGB"))
    np.testing.assert_array_equal(shown, [[PALETTE[7], PALETTE[26]], [(0, 0, 0), (0, 0, 0)]])
    shown = np.asarray(_decoded(colour_map(label_ids, LABEL_SPACES["camvid11"], 100)).convert("RGB"))
    np.testing.assert_array_equal(shown, [[PALETTE[7], PALETTE[26]], [(0, 0, 0), PALETTE[26]]])


def test_large_photos_are_shrunk() -> None:
    assert _decoded(photo(np.zeros((100, 300, 3), np.uint8), 20)).size == (60, 20)


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (99, list(range(10)))])
def test_frames_are_spread_evenly(count: int, expected: list[int]) -> None:
    frames = [Frame(str(index), "val", 1, 1) for index in range(10)]
    assert [int(frame.frame_id) for frame in choose(frames, count)] == expected


def test_the_ladder_sorts_rounds_by_number() -> None:
    names = ["oracle", "round-10", "extra", "adapted/seed-10", "adapted/seed-2", "round-2", "source_only"]
    expected = ["source_only", "adapted/seed-2", "adapted/seed-10", "round-2", "round-10", "extra", "oracle"]
    assert sorted(names, key=ladder_position) == expected


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_scores_of_several_seeds_are_means_with_their_spread(tmp_path: Path) -> None:
    sources = _experiment(tmp_path, (1, 3))
    summary, page = _write(sources, tmp_path)
    scores = [json.loads((sources.evaluations / f"adapted/seed-{seed}.json").read_text())["fused"] for seed in (1, 3)]
    row = next(row for row in csv.DictReader(io.StringIO(summary)) if (row["model"], row["fused"]) == ("adapted", "yes"))
    mious = [score["miou"] for score in scores]
    assert row["seeds"] == "2"
    assert float(row["miou"]) == pytest.approx(np.mean(mious), abs=0.01)
    assert float(row["miou_sd"]) == pytest.approx(np.std(mious, ddof=1), abs=0.01)
    assert float(row["car"]) == pytest.approx(np.mean([score["iou"]["car"] for score in scores]), abs=0.01)
    assert "2 trainings, with the seeds 1, 3" in page


def test_the_gap_to_the_oracle_is_shown_where_there_is_one(sources: ReportSources, tmp_path: Path) -> None:
    table = read_table(sources.evaluations, sources.comparison)
    closed = {row.model: row.gap_closed for row in table.rows if not row.is_fused}
    assert closed["source_only"] == 0
    assert closed["oracle"] == 100
    assert 0 < (closed["adapted"] or 0) < (closed["round-10"] or 0) < 100
    assert f"{closed['adapted']:.0f}%" in _write(sources, tmp_path)[1]
    content = json.loads(sources.comparison.read_text())
    for kinds in content["model"].values():
        for item in kinds.values():
            item["gap_closed"] = None
    sources.comparison.write_text(json.dumps(content))
    assert "gap closed" not in _write(sources, tmp_path)[1]


def test_evaluations_that_were_not_compared_are_refused(sources: ReportSources) -> None:
    _change(sources.evaluations / "round-2/seed-1.json", frames=99)
    with pytest.raises(ReportError, match=r"round-2/seed-1\.json: scored with .*99.*comparison\.json with .*3"):
        read_table(sources.evaluations, sources.comparison)
    _change(sources.comparison, label_space="coco")
    with pytest.raises(ReportError, match="unknown label space 'coco'"):
        read_table(sources.evaluations, sources.comparison)


def test_missing_and_damaged_files_are_named(sources: ReportSources, tmp_path: Path) -> None:
    path = sources.statistics["Data"]
    path.write_text("{")
    with pytest.raises(ReportError, match=r"data\.json: expected JSON"):
        _write(sources, tmp_path)
    path.unlink()
    with pytest.raises(ReportError, match=r"data\.json: no such file"):
        _write(sources, tmp_path)
    path.write_text("{}")
    (sources.predictions / "adapted/seed-1/labels/frame_1<b>.png").unlink()
    with pytest.raises(FrameError, match=r"adapted/seed-1/labels/frame_1<b>\.png: no such file"):
        _write(sources, tmp_path)
    (sources.evaluations / "adapted/seed-1.json").write_text('{"label_space": "cityscapes19"}')
    with pytest.raises(ReportError, match=r"adapted/seed-1\.json: expected an evaluation's scores, found none at 'split'"):
        _write(sources, tmp_path)
    (sources.evaluations / "adapted/seed-1.json").unlink()
    with pytest.raises(ReportError, match=r"adapted/seed-1\.json: no such file"):
        _write(sources, tmp_path)
    _change(sources.comparison, step=None)
    with pytest.raises(ReportError, match=r"comparison\.json: expected comparisons"):
        _write(sources, tmp_path)
    assert not (tmp_path / "summary.csv").exists()


def test_scores_by_different_protocols_are_refused(sources: ReportSources, tmp_path: Path) -> None:
    folder = sources.statistics["Rounds"]
    for name, frames in (("adapted", 100), ("fda", 100)):
        (folder / f"{name}.json").write_text(json.dumps({"protocol": {"size": "64x96", "frames": frames}, "distances": {}}))
    assert list(read_comparable(folder)) == ["fda", "adapted", "round-1"]
    _change(folder / "adapted.json", protocol={"size": "64x96", "frames": 80})
    message = r"adapted\.json: measured by another protocol than .*fda\.json.*\{'frames': 80\}, not \{'frames': 100\}"
    with pytest.raises(ReportError, match=message):
        _write(sources, tmp_path)
    _change(folder / "adapted.json", protocol={"size": "64x96", "frames": 100, "seed": 1})
    with pytest.raises(ReportError, match=r"\{'seed': 1\}, not \{'seed': None\}"):
        _write(sources, tmp_path)


@pytest.mark.parametrize("text", ["", "epoch,loss\n1,2\n", "step,loss\n1,two\n", "step,loss\n1\n"])
def test_damaged_curves_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"a\.csv: expected a CSV of numbers with a column step"):
        curves(path)


def test_a_run_without_curves_is_refused(sources: ReportSources, tmp_path: Path) -> None:
    for path in sources.curves.rglob("*.csv"):
        path.unlink()
    with pytest.raises(ReportError, match="no curve"):
        _write(sources, tmp_path)


@pytest.mark.parametrize("values", [{"frames": 0}, {"frames": 51}, {"height": 8}, {"height": 5000}])
def test_settings_have_ranges(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        ReportSettings(**({"frames": 2, "height": 100} | values))


def test_the_csv_is_empty_where_there_is_no_score(sources: ReportSources) -> None:
    line = to_csv(read_table(sources.evaluations, sources.comparison)).splitlines()[1]
    assert re.fullmatch(r"majority,no,0,[\d.]+" + "," * 24, line)
