"""Pictures of the report, as data URIs, so that the page needs no other file."""

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from jaxtyping import Float64, UInt8
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from synth2real.frames import Frame
from synth2real.label_space import IGNORE_INDEX, LabelSpace
from synth2real.report.tables import ReportError, Row

_PANEL = (2.9, 2.0)
"""Width and height of a curve, in inches."""


def choose(frames: Sequence[Frame], count: int) -> list[Frame]:
    """``count`` of the frames, evenly spread; all if there are fewer."""
    positions = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[position] for position in positions]


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
    classes = space.table[_shrunk(label_ids, height, cv2.INTER_NEAREST)]
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(space.class_names)] = space.colours
    picture = Image.fromarray(np.where(classes == IGNORE_INDEX, len(space.class_names), classes).astype(np.uint8), "P")
    picture.putpalette(palette[: len(space.class_names) + 1].tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return data_uri("image/png", buffer.getvalue())


def _shrunk(pixels: np.ndarray, height: int, interpolation: int) -> np.ndarray:
    if pixels.shape[0] <= height:
        return pixels
    width = max(1, round(pixels.shape[1] * height / pixels.shape[0]))
    return cv2.resize(pixels, (width, height), interpolation=interpolation)


def ladder(rows: Sequence[Row]) -> str:
    """Each model's mIoU as SVG: the mean, its interval over frames, every seed, and the way from the first model to the oracle.

    Args:
        rows: The models' rows, without the baseline; unfused and fused.
    """
    models = list(dict.fromkeys(row.model for row in rows))
    with mpl.rc_context(_style("ladder")):
        figure = Figure(figsize=(8.2, 0.7 + 0.42 * len(models)), layout="constrained")
        axes = figure.add_subplot()
        bounds = {row.model: row.miou for row in rows if row.model in (models[0], "oracle") and not row.is_fused}
        for value in bounds.values():
            axes.axvline(value, color="#8a94a0", linewidth=1, linestyle=":")
        for row in rows:
            height = models.index(row.model) + (0.16 if row.is_fused else -0.16)
            colour = "#1f5f99" if row.is_fused else "#7f8fa0"
            if row.miou_interval:
                axes.plot(row.miou_interval, (height, height), color=colour, linewidth=1.2)
            axes.plot(row.miou_seeds, [height] * len(row.miou_seeds), "|", color=colour, markersize=6)
            label = None if row.model != models[0] else "fused" if row.is_fused else "alone"
            axes.plot(row.miou, height, "o", color=colour, markersize=5, label=label)
            if row.gap_closed is not None and row.model not in bounds:
                right = row.miou_interval[1] if row.miou_interval else row.miou
                axes.annotate(
                    f"{row.gap_closed:.0f}%", (right, height), (5, 0), textcoords="offset points", va="center", fontsize=7
                )
        axes.set_yticks(range(len(models)), [model.replace("_", " ") for model in models])
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.set_xlabel("mIoU (%)")
        axes.grid(color="#e3e6ea", linewidth=0.6, axis="x")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.legend(frameon=False, loc="best")
        return _svg(figure)


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
        figure = Figure(figsize=_PANEL, layout="constrained")
        axes = figure.add_subplot()
        axes.plot(steps, values, color="#1f5f99", linewidth=1.4, marker="." if len(steps) < 20 else "")
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(color="#e3e6ea", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.02)
        return _svg(figure)


def _style(name: str) -> dict[Any, Any]:
    """Matplotlib's settings under which the same content gives the same bytes."""
    return {"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8}


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri("image/svg+xml", buffer.getvalue())
