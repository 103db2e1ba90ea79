"""The report: tables as CSV, sheets of frames, and one HTML page that works offline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, StrictUndefined

from synth2real.frames import read_frames, read_image, write_bytes, write_text
from synth2real.label_space import LABEL_SPACES, LabelSpace
from synth2real.report import pictures
from synth2real.report.counts import OUTSIDE, SMALLEST_SHARE, Counted, confusions_to_csv, read_counts
from synth2real.report.provenance import read_provenance
from synth2real.report.tables import (
    MAJORITY,
    ReportError,
    Row,
    Table,
    best_per_class,
    ladder_position,
    read_comparable,
    read_json,
    read_table,
    runs,
    summary_csv,
    words,
)
from synth2real.report.template import NOTES, PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """The section ``report`` of params.yaml."""

    frames: int
    """How many frames the picture grid shows, evenly spread."""
    extremes: int
    """How many it shows besides of those on which the ladder's last model does best, and of those on which it does worst."""
    height: int
    """Height of its pictures in pixels; larger ones are shrunk."""
    provenance: bool
    """Whether the page says which commit it is of and how long the stages took. Without, equal results give equal bytes."""

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 50:
            raise ValueError(f"frames must be in 1..50, found {self.frames}")
        if not 0 <= self.extremes <= 10:
            raise ValueError(f"extremes must be in 0..10, found {self.extremes}")
        if not 16 <= self.height <= 1024:
            raise ValueError(f"height must be in 16..1024, found {self.height}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSources:
    """Where the results of an experiment are."""

    evaluations: Path
    """Folder of ``<model>/seed-<n>.json``."""
    comparison: Path
    """JSON file of what each step gains."""
    counts: Path
    """Folder of ``<model>/seed-<n>.npz``: pixels of each annotated and predicted label id, frame by frame."""
    target: Path
    """Frame set with images."""
    annotations: Path
    """Frame set with annotated labels."""
    predictions: Path
    """Folder of frame sets, ``<model>/seed-<n>``."""
    fused: Path
    """Folder of fused frame sets, likewise."""
    curves: Path
    """Folder of the trainings' CSV files: ``<training>.csv`` and ``<model>/seed-<n>.csv``."""
    statistics: dict[str, Path]
    """Title and JSON file of each further section, or a folder of such files, which are shown as they are."""
    grids: dict[str, Path]
    """Title of such a section and a folder of JPEG or PNG files that belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """What is written."""

    summary: Path
    """CSV file of the table of models, see ``summary_csv``."""
    confusion: Path
    """CSV file of all models' confusion matrices, see ``confusions_to_csv``."""
    frames: Path
    """Folder of the page's frames, each a sheet with the overlays of all models: ``<frame_id>.jpg``."""
    page: Path
    """HTML file that needs no other."""


def write_report(
    sources: ReportSources, times: Path, params: Mapping[str, Any], settings: ReportSettings, out: ReportFiles
) -> None:
    """Writes the tables, the sheets and the page.

    Args:
        sources: What to show.
        times: Log of the stages that ran in this clone; see :func:`synth2real.report.provenance.read_provenance`.
        params: The experiment's settings.
        settings: How many pictures, and how large.
        out: Where to.

    Raises:
        ReportError: If a metric or a curve is missing or damaged, or the models were not scored on the same frames.
        FrameError: If a frame or a prediction is missing or damaged.
    """
    table = read_table(sources.evaluations, sources.comparison)
    counted = read_counts(sources.counts, table)
    curve_paths = runs(sources.curves, "csv")
    if not curve_paths:
        raise ReportError(f"{sources.curves}: no curve <training>.csv there. Train first (dvc repro).")
    frames = _chosen_frames(sources, table, counted, settings)
    space = LABEL_SPACES[table.label_space]
    page = _page(
        table,
        predicted=(*space.class_names, OUTSIDE),
        smallest_share=SMALLEST_SHARE,
        confusions=[
            (_caption(row), list(zip(space.class_names, np.nan_to_num(item.confusion).tolist(), strict=True)))
            for row, item in counted
        ],
        judge=_caption(_judge(counted)[0]),
        pictures=[(group, [frame.for_page(space, settings.height) for frame in members]) for group, members in frames.items()],
        curves=[(name, pictures.curves(path)) for name, path in sorted(curve_paths.items(), key=lambda run: "/" in run[0])],
        statistics=[
            (title, _statistics(path), _grids(sources.grids[title]) if title in sources.grids else {})
            for title, path in sources.statistics.items()
        ],
        params=params,
        provenance=read_provenance(times) if settings.provenance else None,
    )
    write_text(out.summary, summary_csv(table))
    write_text(out.confusion, confusions_to_csv(counted, space))
    for frame in (frame for members in frames.values() for frame in members):
        write_bytes(out.frames / f"{frame.name}.jpg", frame.as_sheet(space, settings.height))
    write_text(out.page, page)


def _page(table: Table, **parts: Any) -> str:
    space = LABEL_SPACES[table.label_space]
    models = [row for row in table.rows if row.model != MAJORITY]
    reference = [row.miou for row in models if row.model == "source_only" and not row.is_fused]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(tabulated=_tabulated, words=words, duration=_duration)
    return environment.from_string(PAGE).render(
        table=table,
        models=models,
        majority=MAJORITY,
        has_seeds=len(table.seeds) > 1,
        oracle=next((row for row in models[1:] if row.model == "oracle" and not row.is_fused), None),
        has_gap=any(row.gap_closed is not None for row in models),
        notes=NOTES,
        reference=reference[0] if reference else None,
        best_miou=max((row.miou for row in models if row.model != "oracle"), default=None),
        ladder=pictures.ladder(models),
        best=best_per_class(models, space.class_names),
        classes=[(name, "rgb({} {} {})".format(*colour)) for name, colour in zip(space.class_names, space.colours, strict=True)],
        **parts,
    )


class _ShownFrame(NamedTuple):
    """A frame with all that was said of it."""

    name: str
    image: UInt8[np.ndarray, "_ _ 3"]
    annotation: UInt8[np.ndarray, "height width"]
    predictions: list[tuple[str, float | None, UInt8[np.ndarray, "height width"]]]
    """Caption, mIoU in this frame, label ids."""

    def for_page(self, space: LabelSpace, height: int) -> dict[str, Any]:
        return {
            "name": self.name,
            "ratio": round(self.annotation.shape[1] / self.annotation.shape[0], 4),
            "photo": pictures.photo(self.image, height),
            "annotation": pictures.colour_map(self.annotation, space, height),
            "maps": [(caption, miou, pictures.colour_map(ids, space, height)) for caption, miou, ids in self.predictions],
        }

    def as_sheet(self, space: LabelSpace, height: int) -> bytes:
        predictions = [(caption if miou is None else f"{caption}: {miou:.1f}", ids) for caption, miou, ids in self.predictions]
        return pictures.sheet(self.image, [("annotation", self.annotation), *predictions], space, height)


def _judge(counted: Sequence[tuple[Row, Counted]]) -> tuple[Row, Counted]:
    """The ladder's last model but the oracle, whose best and worst frames are shown."""
    return next((pair for pair in reversed(counted) if pair[0].model != "oracle"), counted[-1])


def _chosen_frames(
    sources: ReportSources, table: Table, counted: Sequence[tuple[Row, Counted]], settings: ReportSettings
) -> dict[str, list[_ShownFrame]]:
    target, annotations = read_frames(sources.target), read_frames(sources.annotations)
    images = {frame.frame_id: frame for frame in target.frames}
    roots = [
        (sources.fused if row.is_fused else sources.predictions) / row.model / f"seed-{table.seeds[0]}" for row, _ in counted
    ]
    sets = [read_frames(root) for root in roots]
    chosen = pictures.choose(
        annotations.split(table.split).frames, _judge(counted)[1].frame_miou, settings.extremes, settings.frames
    )
    missing = [frame.frame_id for frames in chosen.values() for frame in frames if frame.frame_id not in images]
    if missing:
        raise ReportError(f"{sources.target}: no image of {missing[0]!r}, annotated in {sources.annotations}. Prepare again.")
    return {
        group: [
            _ShownFrame(
                frame.frame_id,
                target.image(images[frame.frame_id]),
                annotations.label(frame),
                [
                    (_caption(row), item.frame_miou.get(frame.frame_id), predicted.label(frame))
                    for (row, item), predicted in zip(counted, sets, strict=True)
                ],
            )
            for frame in frames
        ]
        for group, frames in chosen.items()
        if frames
    }


def _statistics(path: Path) -> Any:
    """The content of a JSON file, or of all in a folder; what it says of several things alike is put side by side."""
    content = read_comparable(path) if path.is_dir() else read_json(path)
    things = list(content.values())
    if len(things) < 2 or not all(isinstance(thing, Mapping) for thing in things) or not set(things[0]) & set(things[1]):
        return content
    keys = dict.fromkeys(key for thing in things for key in thing)
    return {key: {name: thing[key] for name, thing in content.items() if key in thing} for key in keys}


def _grids(folder: Path) -> dict[str, str]:
    """The pictures in a folder by name, as data URIs, in the ladder's order."""
    paths = sorted((path for path in folder.iterdir() if path.suffix in (".jpg", ".png")), key=lambda p: ladder_position(p.stem))
    return {path.stem: pictures.photo(read_image(path), 2048) for path in paths}


def _caption(row: Row) -> str:
    return words(row.model) + (", fused" if row.is_fused else "")


def _duration(seconds: float) -> str:
    """Such as ``3 min 05 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def _tabulated(node: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What of a mapping makes one table, by row and column, the longer side down; and the rest.

    A table is made of all that it holds if these are mappings of scalars, else of as many as have the same keys, if any two have.
    """
    mappings = {name: _flat(value) for name, value in node.items() if isinstance(value, Mapping) and value}
    inner = {name: value for name, value in mappings.items() if all(map(_is_scalar, value.values()))}
    if len(inner) < len(node):
        alike = Counter(frozenset(value) for value in inner.values()).most_common(1)
        inner = {name: value for name, value in inner.items() if alike[0][1] > 1 and set(value) == alike[0][0]}
    rest = {name: value for name, value in node.items() if name not in inner}
    columns = list(dict.fromkeys(key for value in inner.values() for key in value))
    if len(columns) > len(inner):
        return {key: {name: value.get(key) for name, value in inner.items()} for key in columns}, rest
    return {name: {key: value.get(key) for key in columns} for name, value in inner.items()}, rest


def _flat(node: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping; among scalars, its mappings of up to three are taken apart: ``height: {p10: 3}`` becomes ``height p10: 3``."""
    if not any(map(_is_scalar, node.values())):
        return dict(node)
    flat: dict[str, Any] = {}
    for name, value in node.items():
        if isinstance(value, Mapping) and 0 < len(value) <= 3 and all(map(_is_scalar, value.values())):
            flat |= {f"{name} {key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _is_scalar(value: object) -> bool:
    """Whether it fits a table's cell: no mapping, and no list of more than three."""
    return not isinstance(value, Mapping) and (isinstance(value, str) or not isinstance(value, Sequence) or len(value) <= 3)
