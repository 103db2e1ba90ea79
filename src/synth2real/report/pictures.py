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
from synth2real.report.tables import ReportError

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
    style: dict[Any, Any] = {"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8}
    with mpl.rc_context(style):
        figure = Figure(figsize=_PANEL, layout="constrained")
        axes = figure.add_subplot()
        axes.plot(steps, values, color="#1f5f99", linewidth=1.4, marker="." if len(steps) < 20 else "")
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(color="#e3e6ea", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.02)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri("image/svg+xml", buffer.getvalue())
