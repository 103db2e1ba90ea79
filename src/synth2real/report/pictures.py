"""Pictures of the report, as data URIs, so that the page needs no other file."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import matplotlib as mpl
import numpy as np
from jaxtyping import Float64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from synth2real.frames import Frame, resize_image
from synth2real.label_space import IGNORE_INDEX, LabelSpace
from synth2real.report.tables import ReportError, Row, words

PANEL: Final = (2.9, 2.0)
"""Width and height of a curve, in inches."""

_COLUMNS = 4
_CAPTION = 20
_GAP = 6
"""Of a sheet: panels in a row, height of a caption, and space between panels, in pixels."""

_PHOTO_SHARE = 0.4
"""Of an overlay; the rest are the classes' colours."""


def choose(frames: Sequence[Frame], scores: Mapping[str, float], extremes: int, spread: int) -> dict[str, list[Frame]]:
    """Frames to look at, none twice: ``best``, the best first, ``worst``, the worst first, and others, evenly ``spread``.

    Args:
        frames: In their order.
        scores: Of frames by their id; one without score is neither among the best nor among the worst.
        extremes: How many of the best, and of the worst; fewer if there are no more.
        spread: How many of the others; all if there are fewer.
    """
    ranked = sorted((frame for frame in frames if frame.frame_id in scores), key=lambda frame: -scores[frame.frame_id])
    best, worst = ranked[:extremes], ranked[extremes:][::-1][:extremes]
    others = [frame for frame in frames if frame not in best and frame not in worst]
    positions = np.linspace(0, len(others) - 1, min(spread, len(others))).round().astype(int)
    return {"best": best, "worst": worst, "spread": [others[position] for position in positions]}


def data_uri(kind: str, content: bytes) -> str:
    """Content of the given media type as a URI that holds it whole."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def photo(image: UInt8[np.ndarray, "height width 3"], height: int) -> str:
    """An RGB image as JPEG, at most ``height`` pixels high."""
    buffer = io.BytesIO()
    Image.fromarray(_shrunk(image, height, cv2.INTER_AREA)).save(buffer, "JPEG", quality=85)
    return data_uri("image/jpeg", buffer.getvalue())


def colour_map(label_ids: UInt8[np.ndarray, "height width"], space: LabelSpace, height: int) -> str:
    """Label ids as PNG in the colours of a label space (black outside of it), at most ``height`` pixels high."""
    picture = Image.fromarray(_classes(_shrunk(label_ids, height, cv2.INTER_NEAREST), space), "P")
    picture.putpalette(_palette(space).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return data_uri("image/png", buffer.getvalue())


def _classes(label_ids: UInt8[np.ndarray, "height width"], space: LabelSpace) -> UInt8[np.ndarray, "height width"]:
    """Class of each pixel; the number of classes for all that is outside."""
    classes = space.table[label_ids]
    return np.where(classes == IGNORE_INDEX, len(space.class_names), classes).astype(np.uint8)


def _palette(space: LabelSpace) -> UInt8[np.ndarray, "colours 3"]:
    """The classes' colours, and black for all that is outside."""
    return np.array([*space.colours, (0, 0, 0)], np.uint8)


def sheet(
    image: UInt8[np.ndarray, "_ _ 3"],
    maps: Sequence[tuple[str, UInt8[np.ndarray, "height width"]]],
    space: LabelSpace,
    height: int,
) -> bytes:
    """An RGB image, and the same under the colours of each label map, with captions, as one JPEG file.

    Args:
        image: Of any size.
        maps: Captions and label ids, all of one size; what is outside of the label space is not coloured.
        space: Whose colours.
        height: Of each panel at most, in pixels.
    """
    shrunk = [(caption, _shrunk(label_ids, height, cv2.INTER_NEAREST)) for caption, label_ids in maps]
    size = shrunk[0][1].shape
    photo = resize_image(image, (size[0], size[1]))
    panels = [("image", photo), *((caption, _overlay(photo, label_ids, space)) for caption, label_ids in shrunk)]
    lines = []
    for first in range(0, len(panels), _COLUMNS):
        line = np.full((size[0] + _CAPTION + _GAP, (size[1] + _GAP) * min(_COLUMNS, len(panels)), 3), 255, np.uint8)
        for column, (caption, pixels) in enumerate(panels[first : first + _COLUMNS]):
            left = column * (size[1] + _GAP)
            cv2.putText(line, caption, (left, _CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
            line[_CAPTION : _CAPTION + size[0], left : left + size[1]] = pixels
        lines.append(line)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(lines)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _overlay(
    photo: UInt8[np.ndarray, "height width 3"], label_ids: UInt8[np.ndarray, "height width"], space: LabelSpace
) -> UInt8[np.ndarray, "height width 3"]:
    classes = _classes(label_ids, space)
    mixed = (photo * _PHOTO_SHARE + _palette(space)[classes] * (1 - _PHOTO_SHARE)).astype(np.uint8)
    return np.where((classes == len(space.class_names))[..., None], photo, mixed)


def _shrunk(pixels: np.ndarray, height: int, interpolation: int) -> np.ndarray:
    if pixels.shape[0] <= height:
        return pixels
    width = max(1, round(pixels.shape[1] * height / pixels.shape[0]))
    return cv2.resize(pixels, (width, height), interpolation=interpolation)


def ladder(rows: Sequence[Row]) -> str:
    """Each model's mIoU as SVG: its mean, standard deviation and value of each seed, and its interval over frames.

    Where the oracle is above the first model, a second scale and a figure at each model are the share of this gap that is closed.

    Args:
        rows: The models' rows, without the baseline; unfused and fused.
    """
    models = list(dict.fromkeys(row.model for row in rows))
    with mpl.rc_context(_style("ladder")):
        figure = Figure(figsize=(8.2, 1.2 + 0.42 * len(models)), layout="constrained")
        axes = figure.add_subplot()
        bounds = {row.model: row.miou for row in rows if row.model in (models[0], "oracle") and not row.is_fused}
        for value in bounds.values():
            axes.axvline(value, color="#8a94a0", linewidth=1, linestyle=":")
        if any(row.gap_closed is not None for row in rows):
            _add_gap_axis(axes, bounds[models[0]], bounds["oracle"])
        for row in rows:
            height = models.index(row.model) + (0.16 if row.is_fused else -0.16)
            colour = "#1f5f99" if row.is_fused else "#7f8fa0"
            if row.miou_interval:
                axes.plot(row.miou_interval, (height, height), color=colour, linewidth=1.2)
            if row.miou_sd is not None:
                spread = (row.miou - row.miou_sd, row.miou + row.miou_sd)
                axes.plot(spread, (height, height), color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
            axes.plot(row.miou_seeds, [height] * len(row.miou_seeds), "|", color=colour, markersize=6)
            label = None if row.model != models[0] else "fused" if row.is_fused else "alone"
            axes.plot(row.miou, height, "o", color=colour, markersize=5, label=label)
            if row.gap_closed is not None and (row.is_fused or row.model not in bounds):
                right = max(row.miou + (row.miou_sd or 0), *row.miou_seeds, *(row.miou_interval or ()))
                axes.annotate(
                    f"{row.gap_closed:.0f} %", (right, height), (5, 0), textcoords="offset points", va="center", fontsize=7
                )
        axes.set_yticks(range(len(models)), [words(model) for model in models])
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.set_xlabel("mIoU (%)")
        axes.grid(color="#e3e6ea", linewidth=0.6, axis="x")
        axes.spines[["top", "right", "left"]].set_visible(False)
        figure.legend(frameon=False, loc="outside lower left", ncols=2)
        return _svg(figure)


def _add_gap_axis(axes: Axes, low: float, high: float) -> None:
    """A second scale of mIoU: 0 % at the first model's, 100 % at the oracle's."""
    way = high - low
    of_way = (lambda miou: (np.asarray(miou) - low) / way * 100, lambda share: low + np.asarray(share) / 100 * way)
    share = axes.secondary_xaxis("top", functions=of_way)
    share.set_xlabel("share of the gap closed (%)")
    share.spines["top"].set_visible(False)


def curves(path: Path) -> dict[str, str]:
    """The columns of a training's CSV file over its ``step``, as one SVG each, by their names.

    Raises:
        ReportError: If the file is missing, or not a table of numbers with a column ``step``.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file))
        values = np.array(lines, np.float64).reshape(len(lines), len(header))
        steps = values[:, header.index("step")]
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: expected a CSV of numbers with a column step: {error}. Train again.") from None
    return {name: _curve(name, steps, column) for name, column in zip(header, values.T, strict=True) if name != "step"}


def _curve(name: str, steps: Float64[np.ndarray, " rows"], values: Float64[np.ndarray, " rows"]) -> str:
    with mpl.rc_context(_style(name)):
        figure = Figure(figsize=PANEL, layout="constrained")
        axes = figure.add_subplot()
        draw_curve(axes, name, steps, values, color="#1f5f99")
        return _svg(figure)


def draw_curve(
    axes: Axes, name: str, steps: Float64[np.ndarray, " rows"], values: Float64[np.ndarray, " rows"], **style: Any
) -> None:
    """Draws a quantity over a training's steps into a panel of :data:`PANEL`'s size.

    Args:
        axes: The panel; it may hold the same quantity of other trainings.
        name: The quantity, its title.
        steps: In ascending order.
        values: At these; NaN leaves a gap.
        style: Matplotlib's, of the line.
    """
    axes.plot(steps, values, linewidth=1.4, marker="." if len(steps) < 20 else "", **style)
    axes.set_title(words(name), fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(color="#e3e6ea", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)


def _style(name: str) -> dict[Any, Any]:
    """Matplotlib's settings under which the same content gives the same bytes."""
    return {"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8}


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri("image/svg+xml", buffer.getvalue())
