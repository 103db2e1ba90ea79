"""The report: right numbers in the right order, one page that needs no other file, and faults that name theirs."""

import base64
import csv
import io
import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML

from synth2real.evaluation.comparison import compare_ladder
from synth2real.evaluation.counts import write_pixel_counts
from synth2real.evaluation.evaluate import EvaluationSettings, evaluate
from synth2real.evaluation.resampling import BootstrapSettings
from synth2real.frames import Frame, FrameError, read_label, write_frames, write_image, write_label
from synth2real.label_space import LABEL_SPACES, PALETTE
from synth2real.report.counts import confusions_to_csv, read_counts
from synth2real.report.page import ReportFiles, ReportSettings, ReportSources, write_report
from synth2real.report.pictures import choose, colour_map, curves, photo, sheet
from synth2real.report.provenance import StageTime, read_provenance
from synth2real.report.tables import ReportError, best_per_class, ladder_position, read_comparable, read_table, summary_csv
from synth2real.report.template import NOTES

_SIZE = (24, 40)
_MODELS = ("source_only", "adapted", "round-2", "round-10", "oracle")
_SETTINGS = ReportSettings(frames=2, extremes=1, height=16, provenance=False)
_NAMES = {7: "road", 11: "building", 23: "sky", 26: "car"}
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
        counts=tmp_path / "counts",
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
        self.ids: list[str] = []
        self.stack: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.pictures.append(values["src"] or "")
        self.links += [values[name] or "" for name in ("href", "src") if name in values]
        if "id" in values:
            self.ids.append(values["id"] or "")
        if tag not in {"img", "meta", "br", "input", "link"}:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def _write(sources: ReportSources, folder: Path, settings: ReportSettings = _SETTINGS) -> tuple[str, str]:
    files = ReportFiles(
        summary=folder / "summary.csv",
        confusion=folder / "confusion.csv",
        frames=folder / "report/frames",
        page=folder / "report/index.html",
    )
    write_report(sources, folder / "times.jsonl", {"segmentation": {"epochs": 3}}, settings, files)
    return files.summary.read_text(), files.page.read_text()


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
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside == set(page.ids)
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert not re.search(r"https?://|@import|url\((?!data:)", text)
    fused_and_unfused = 2 * (len(_MODELS) - 1) + 1
    assert len(page.pictures) == 1 + 3 * (2 + fused_and_unfused) + 3 + 2  # the ladder; of three frames; three curves; the grids
    assert {path.name for path in (tmp_path / "report/frames").iterdir()} == {f"frame_{index}<b>.jpg" for index in (1, 2, 3)}
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


def test_scores_of_one_thing_or_of_several_are_shown(sources: ReportSources, tmp_path: Path) -> None:
    sources = replace(sources, statistics={"Detector": tmp_path / "detector"}, grids={"Detector": tmp_path / "detections"})

    def section() -> list[str]:
        """The detector's part of the page, row by row of its tables."""
        text = _write(sources, tmp_path)[1].partition(f"<p>{NOTES['Detector']}</p>")[2].partition("<h2")[0]
        assert text.count("<img") == len(list((tmp_path / "detections").iterdir()))
        return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in re.split("<tr>|</table>", text)]

    for name, ap, bus in (("instances", 1.5, 2.5), ("target", 3.5, None)):
        write_image(tmp_path / "detections" / f"{name}.jpg", np.zeros((8, 8, 3), np.uint8))
        scores = {"frames": 4, "ap": ap, "classes": ["a", "b", "c", "d"], "per_class": {"car": ap, "bus": bus, "train": 0.0}}
        (tmp_path / "detector").mkdir(exist_ok=True)
        (tmp_path / "detector" / f"{name}.json").write_text(json.dumps(scores))
        if name == "instances":
            assert section() == ["instances frames 4 ap 1.5 classes a, b, c, d per class car 1.5 bus 2.5 train 0.0 instances"]
    assert section() == [
        "", "instances target", "frames 4 4", "ap 1.5 3.5",
        "classes instances a, b, c, d target a, b, c, d per class",
        "instances target", "car 1.5 3.5", "bus 2.5 –", "train 0.0 0.0", "instances target",
    ]  # fmt: skip


def test_images_of_another_size_than_the_annotation_are_shown(sources: ReportSources, tmp_path: Path) -> None:
    small = [Frame(f"frame_{index}<b>", "val", 12, 20) for index in range(4)]
    for frame in small:
        write_image(sources.target / "images" / f"{frame.frame_id}.png", np.zeros((12, 20, 3), np.uint8))
    write_frames(sources.target, small)
    _write(sources, tmp_path)
    write_frames(sources.target, small[:2])
    with pytest.raises(ReportError, match="no image of 'frame_3<b>'"):
        _write(sources, tmp_path)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_results_give_the_same_bytes(sources: ReportSources, tmp_path: Path) -> None:
    for name in ("one", "two"):
        _write(sources, tmp_path / name)
    files = _files(tmp_path / "one")
    assert len(files) == 2 + 3 + 1
    assert files == _files(tmp_path / "two")


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    for name in ("params.yaml", "dvc.lock", "metrics/a.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1")
    _git(folder, "init", "--quiet")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message", "The <first>")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return folder


def test_a_report_says_where_it_comes_from(
    sources: ReportSources, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("params.yaml", "dvc.lock", "metrics/a.json"):
        (repository / name).write_text("2")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-name")
    entries = [("train@1", 9.0, 1), ("study/dvc.yaml:train", 8.0, 2), ("render", 3.25, 3), ("train@1", 185.2, 4)]
    log = tmp_path / "times.jsonl"
    log.write_text(
        "".join(
            json.dumps({"stage": stage, "seconds": seconds, "finished": f"2026-01-01T00:0{minute}:00+00:00"}) + "\n"
            for stage, seconds, minute in entries
        )
    )
    found = read_provenance(log)
    assert re.fullmatch(r"[0-9a-f]{40}, \d{4}-\d\d-\d\d: The <first>", found.commit or "")
    assert found.changed == ("params.yaml",)
    assert found.times == (
        StageTime("render", 3.25, "2026-01-01T00:03:00+00:00"),
        StageTime("train@1", 185.2, "2026-01-01T00:04:00+00:00"),
    )
    page = _write(sources, tmp_path, replace(_SETTINGS, provenance=True))[1]
    for text in (str(found.commit)[:40], "The &lt;first&gt;", "brave-name", "params.yaml", "3 min 05 s", "3.2 s", "01-01 00:04"):
        assert text in page
    assert set(_Page(page).ids) >= {"origin"}
    assert str(found.commit)[:10] not in _write(sources, tmp_path)[1]


def test_provenance_is_optional_but_not_guessed(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "times.jsonl"
    clean = read_provenance(log)
    assert (clean.changed, clean.experiment, clean.times) == ((), None, ())
    monkeypatch.chdir(tmp_path)
    assert read_provenance(log).commit is None
    log.write_text('{"stage": "a", "seconds"')
    with pytest.raises(ReportError, match=r"times\.jsonl: expected a stage's time, found '\{\"stage\": \"a\", \"seconds\"'"):
        read_provenance(log)


def test_confusion_is_the_share_of_the_annotated_class(tmp_path: Path) -> None:
    sources = _experiment(tmp_path, (1, 3))
    table = read_table(sources.evaluations, sources.comparison)
    space = LABEL_SPACES["cityscapes19"]
    counted = read_counts(sources.counts, table)
    assert [row for row, _ in counted] == list(table.rows[1:])
    row, item = counted[3]
    assert (row.model, row.is_fused) == ("adapted", True)
    ids = [f"frame_{index}<b>" for index in (1, 2, 3)]
    annotated = np.stack([read_label(sources.annotations / "labels" / f"{name}.png") for name in ids * 2])
    predicted = np.stack(
        [read_label(sources.fused / f"adapted/seed-{seed}/labels/{name}.png") for seed in (1, 3) for name in ids]
    )
    for true, guess in ((7, 7), (11, 7), (23, 23), (26, 11)):
        expected = 100 * (predicted[annotated == true] == guess).mean()
        found = item.confusion[space.class_names.index(_NAMES[true]), space.class_names.index(_NAMES[guess])]
        assert found == pytest.approx(expected)
    assert np.isnan(item.confusion[space.class_names.index("train")]).all()
    name = f"building as road: {item.confusion[space.class_names.index('building'), space.class_names.index('road')]:.1f}%"
    assert name in _write(sources, tmp_path)[1]
    lines = list(csv.DictReader(io.StringIO(confusions_to_csv(counted, space))))
    assert {(line["model"], line["fused"]) for line in lines} == {
        (row.model, "yes" if row.is_fused else "no") for row, _ in counted
    }
    shares = [float(line["share"]) for line in lines]
    assert min(shares) >= 0.5
    assert sum(shares) == pytest.approx(100 * 4 * len(counted), rel=0.01)  # four annotated classes, next to nothing left out


def test_each_frame_has_its_own_score(sources: ReportSources, tmp_path: Path) -> None:
    counted = read_counts(sources.counts, read_table(sources.evaluations, sources.comparison))
    frames = [Frame("frame_2<b>", "val", *_SIZE)]
    write_frames(sources.annotations, frames)
    predictions = {
        kind: tmp_path / folder / "adapted/seed-1" for kind, folder in (("unfused", "predictions"), ("fused", "fused"))
    }
    alone = evaluate(sources.annotations, predictions, _EVALUATION, workers=1).scores
    for kind, (_, item) in zip(("unfused", "fused"), counted[2:4], strict=True):
        assert item.frame_miou["frame_2<b>"] == pytest.approx(alone[kind]["miou"], abs=0.01)


def test_counts_without_a_kind_of_prediction_are_refused(sources: ReportSources, tmp_path: Path) -> None:
    table = read_table(sources.evaluations, sources.comparison)
    write_pixel_counts(sources.counts / "adapted/seed-1.npz", ("a",), {"unfused": np.zeros((1, 34, 34), np.int32)})
    with pytest.raises(ReportError, match=r"adapted/seed-1\.npz: no counts of fused predictions, only of unfused"):
        read_counts(sources.counts, table)


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


def test_a_sheet_has_a_panel_for_each_map() -> None:
    """Of a black image: the map's class shows in its colour, faded; what is outside of the label space stays black."""
    label_ids = np.full((80, 160), 7, np.uint8)
    label_ids[:, 80:] = 0
    black = np.zeros((40, 80, 3), np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(sheet(black, [("one", label_ids)] * 4, LABEL_SPACES["cityscapes19"], 40))))
    rows = shown.shape[0] // 2
    for row, column in ((0, 1), (0, 3), (1, 0)):
        left, right = (shown[row * rows + rows // 2, round(shown.shape[1] * (column + share) / 4)] for share in (0.25, 0.75))
        np.testing.assert_allclose(left.astype(float), 0.6 * np.array(PALETTE[7]), atol=15)
        assert right.max() < 15
    assert shown[rows // 2, : shown.shape[1] // 5].max() < 15
    assert shown[rows + rows // 2, shown.shape[1] // 2 :].min() > 240


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (99, list(range(10)))])
def test_frames_are_spread_evenly(count: int, expected: list[int]) -> None:
    frames = [Frame(str(index), "val", 1, 1) for index in range(10)]
    assert [int(frame.frame_id) for frame in choose(frames, {}, 2, count)["spread"]] == expected


@given(scores=st.lists(st.none() | st.floats(0, 100), max_size=12), extremes=st.integers(0, 4), spread=st.integers(1, 6))
def test_the_best_and_worst_frames_are_chosen_once(scores: list[float | None], extremes: int, spread: int) -> None:
    frames = [Frame(str(index), "val", 1, 1) for index in range(len(scores))]
    known = {str(index): score for index, score in enumerate(scores) if score is not None}
    chosen = {group: [frame.frame_id for frame in members] for group, members in choose(frames, known, extremes, spread).items()}
    together = [name for members in chosen.values() for name in members]
    assert (
        len(set(together)) == len(together) == min(len(scores), 2 * min(extremes, len(known)) + spread)
        or len(known) < 2 * extremes
    )
    best, worst = ([known[name] for name in chosen[group]] for group in ("best", "worst"))
    assert best == sorted(known.values(), reverse=True)[:extremes]
    assert worst == sorted(known.values())[: max(0, min(extremes, len(known) - extremes))]


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


def _ladder(page: str) -> list[str]:
    """The words in the picture of the ladder."""
    (uri,) = re.findall(r'<img class="plot ladder" src="([^"]*)"', page)
    return re.findall(r"<text[^>]*>([^<]*)</text>", base64.b64decode(uri.split(",", 1)[1]).decode())


def test_the_gap_to_the_oracle_is_shown_where_there_is_one(sources: ReportSources, tmp_path: Path) -> None:
    table = read_table(sources.evaluations, sources.comparison)
    closed = {row.model: row.gap_closed for row in table.rows if not row.is_fused}
    assert closed["source_only"] == 0
    assert closed["oracle"] == 100
    assert 0 < (closed["adapted"] or 0) < (closed["round-10"] or 0) < 100
    miou = {row.model: row.miou for row in table.rows if not row.is_fused}
    shares = [f"{row.gap_closed:.0f} %" for row in table.rows[1:] if row.is_fused or row.model not in ("source_only", "oracle")]
    page = _write(sources, tmp_path)[1]
    assert f"The gap between them is {miou['oracle'] - miou['source_only']:.2f} points" in page
    assert f"<td>{closed['adapted']:.0f} %</td>" in page
    drawn = _ladder(page)
    assert {"share of the gap closed (%)", "source only", "round 2", "alone", "fused"} < set(drawn)
    assert [text for text in drawn if text.endswith(" %")] == shares


def test_no_share_of_a_gap_is_given_where_the_oracle_is_not_above(sources: ReportSources, tmp_path: Path) -> None:
    content = json.loads(sources.comparison.read_text())
    first = content["model"]["source_only"]["unfused"]["miou"]
    for kinds in content["model"].values():
        for item in kinds.values():
            item["gap_closed"] = None
    content["model"]["oracle"]["unfused"]["miou"] = first - 1
    sources.comparison.write_text(json.dumps(content))
    page = _write(sources, tmp_path)[1]
    assert "closed" not in page
    assert f"There is no gap to close: the oracle, which learnt from the target's labels, has {first - 1:.2f} %" in page
    assert not [text for text in _ladder(page) if "share" in text or text.endswith(" %")]
    del content["model"]["oracle"]
    sources.comparison.write_text(json.dumps(content))
    page = _write(sources, tmp_path)[1]
    assert "dotted: the first model." in page
    assert "no gap" not in page


def test_instances_are_one_table_with_their_units(sources: ReportSources, tmp_path: Path) -> None:
    heights = {"p10": 1.0, "p50": 7.0, "p90": 31.0}
    instances = {name: {"count": 3, "height": heights, "small": 0.5} for name in ("person", "rider", "car", "truck", "bus")}
    sources.statistics["Data"].write_text(json.dumps({"source": {"frames": 3}, "target": {"frames": 4, "instances": instances}}))
    section = _write(sources, tmp_path)[1].partition('<h2 id="data">')[2].partition("<h2")[0]
    headings = "".join(f"<th>{name}</th>" for name in ("count", "height p10", "height p50", "height p90", "small"))
    assert f"<th></th>{headings}</tr>" in section
    assert "<tr><th>rider</th><td>3</td><td>1.0</td><td>7.0</td><td>31.0</td><td>0.5</td></tr>" in section
    assert NOTES["Data"].partition("'")[0] in section


def test_every_further_section_has_its_units() -> None:
    command = YAML(typ="safe").load(Path(__file__).parents[2] / "dvc.yaml")["stages"]["report"]["cmd"]
    titles = command.partition("--statistics ")[2].partition(" --")[0].split()[::2]
    assert sorted(titles) == sorted(NOTES)


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


@pytest.mark.parametrize(
    "values", [{"frames": 0}, {"frames": 51}, {"extremes": -1}, {"extremes": 11}, {"height": 8}, {"height": 5000}]
)
def test_settings_have_ranges(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        replace(_SETTINGS, **values)  # type: ignore[arg-type]


def test_the_csv_is_empty_where_there_is_no_score(sources: ReportSources) -> None:
    line = summary_csv(read_table(sources.evaluations, sources.comparison)).splitlines()[1]
    assert re.fullmatch(r"majority,no,0,[\d.]+" + "," * 24, line)


def test_a_class_that_no_model_finds_has_no_best(sources: ReportSources) -> None:
    row = read_table(sources.evaluations, sources.comparison).rows[1]
    rows = [
        row._replace(iou={"car": 0.0, "bus": 3.0, "train": None}),
        row._replace(iou={"car": 0.0, "bus": 4.0, "train": None}),
        row._replace(iou={"car": 9.0, "bus": 9.0, "train": 9.0}, model="oracle"),
    ]
    assert best_per_class(rows, ("car", "bus", "train")) == {"car": None, "bus": 4.0, "train": None}
