"""The report: a summary as CSV, and one HTML page that works offline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from synth2real.frames import read_frames, read_image, write_text
from synth2real.label_space import LABEL_SPACES
from synth2real.report import pictures
from synth2real.report.tables import (
    MAJORITY,
    ReportError,
    Table,
    best_per_class,
    ladder_position,
    read_comparable,
    read_json,
    read_table,
    runs,
    to_csv,
)
from synth2real.report.template import PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """The section ``report`` of params.yaml."""

    frames: int
    """How many frames the picture grid shows."""
    height: int
    """Height of its pictures in pixels; larger ones are shrunk."""

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 50:
            raise ValueError(f"frames must be in 1..50, found {self.frames}")
        if not 16 <= self.height <= 1024:
            raise ValueError(f"height must be in 16..1024, found {self.height}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSources:
    """Where the results of an experiment are."""

    evaluations: Path
    """Folder of ``<model>/seed-<n>.json``."""
    comparison: Path
    """JSON file of what each step gains."""
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
    statistics: Mapping[str, Path]
    """Title and JSON file of each further section, or a folder of such files; shown as they are."""
    grids: Mapping[str, Path]
    """Title of such a section and a folder of JPEG or PNG files that belong to it."""


def write_report(sources: ReportSources, params: Mapping[str, Any], settings: ReportSettings, summary: Path, out: Path) -> None:
    """Writes the summary and the page.

    Args:
        sources: What to show.
        params: The experiment's settings.
        settings: How many pictures, and how large.
        summary: CSV file; see :func:`synth2real.report.tables.to_csv`.
        out: HTML file.

    Raises:
        ReportError: If a metric or a curve is missing or damaged, or the models were not scored on the same frames.
        FrameError: If a frame or a prediction is missing or damaged.
    """
    table = read_table(sources.evaluations, sources.comparison)
    curve_paths = runs(sources.curves, "csv")
    if not curve_paths:
        raise ReportError(f"{sources.curves}: no curve <training>.csv there. Train first (dvc repro).")
    page = _page(
        table,
        pictures=_pictures(sources, table, settings),
        curves=[(name, pictures.curves(path)) for name, path in sorted(curve_paths.items(), key=lambda run: "/" in run[0])],
        statistics=[
            (title, _statistics(path), _grids(sources.grids[title]) if title in sources.grids else {})
            for title, path in sources.statistics.items()
        ],
        params=params,
    )
    write_text(summary, to_csv(table))
    write_text(out, page)


def _page(table: Table, **parts: Any) -> str:
    space = LABEL_SPACES[table.label_space]
    models = [row for row in table.rows if row.model != MAJORITY]
    reference = [row.miou for row in models if row.model == "source_only" and not row.is_fused]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(cells_of=_cells_of, words=_words)
    return environment.from_string(PAGE).render(
        table=table,
        models=models,
        majority=MAJORITY,
        has_seeds=len(table.seeds) > 1,
        has_oracle=any(row.gap_closed is not None for row in models),
        reference=reference[0] if reference else None,
        best_miou=max((row.miou for row in models if row.model != "oracle"), default=None),
        ladder=pictures.ladder(models),
        best=best_per_class(models, space.class_names),
        classes=[(name, "rgb({} {} {})".format(*colour)) for name, colour in zip(space.class_names, space.colours, strict=True)],
        **parts,
    )


def _pictures(sources: ReportSources, table: Table, settings: ReportSettings) -> list[dict[str, Any]]:
    space = LABEL_SPACES[table.label_space]
    target = read_frames(sources.target)
    sets = [("annotation", read_frames(sources.annotations))]
    for row in table.rows:
        if row.model != MAJORITY:
            root = (sources.fused if row.is_fused else sources.predictions) / row.model / f"seed-{table.seeds[0]}"
            sets.append((_words(row.model) + (", fused" if row.is_fused else ""), read_frames(root)))
    images = {frame.frame_id: frame for frame in target.frames}
    chosen = pictures.choose(sets[0][1].split(table.split).frames, settings.frames)
    missing = [frame.frame_id for frame in chosen if frame.frame_id not in images]
    if missing:
        raise ReportError(f"{sources.target}: no image of {missing[0]!r}, annotated in {sources.annotations}. Prepare again.")
    return [
        {
            "name": frame.frame_id,
            "ratio": round(frame.width / frame.height, 4),
            "photo": pictures.photo(target.image(images[frame.frame_id]), settings.height),
            "maps": [(caption, pictures.colour_map(item.label(frame), space, settings.height)) for caption, item in sets],
        }
        for frame in chosen
    ]


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


def _words(name: object) -> str:
    return str(name).replace("_", " ").replace("round-", "round ").replace("/seed-", ", seed ")


def _cells_of(node: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A mapping of mappings of scalars as a table's rows, the longer side down; empty if it has another form."""
    values = list(node.values())
    if not values or not all(isinstance(value, Mapping) and value for value in values):
        return {}
    if any(isinstance(scalar, Mapping) for value in values for scalar in value.values()):
        return {}
    inner = list(dict.fromkeys(key for value in values for key in value))
    if len(inner) > len(values):
        return {key: {name: value.get(key) for name, value in node.items()} for key in inner}
    return {name: {key: value.get(key) for key in inner} for name, value in node.items()}
