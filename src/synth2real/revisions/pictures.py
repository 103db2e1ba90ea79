"""Pictures of two revisions in one: training curves over each other, translation grids one above the other."""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from dvc.exceptions import DvcException
from dvc.repo import Repo
from jaxtyping import UInt8
from matplotlib.figure import Figure

from synth2real.frames import read_bytes, read_image, resize_image, write_bytes, write_image
from synth2real.report.pictures import PANEL, draw_curve
from synth2real.revisions.snapshot import Curves

_COLUMNS = 4
_GAP = 8
"""White pixels between two grids."""


def are_equal(before: Curves | None, after: Curves | None) -> bool:
    """Whether both revisions have the same numbers."""
    if before is None or after is None or list(before.columns) != list(after.columns):
        return False
    return np.array_equal(before.steps, after.steps) and all(
        np.array_equal(before.columns[name], after.columns[name], equal_nan=True) for name in before.columns
    )


def write_curves(path: Path, before: Curves | None, after: Curves | None) -> None:
    """Writes a PNG with a panel for each column: before in grey and dashed, after in blue; one of them may be missing.

    Raises:
        ValueError: If both are.
        FrameError: If it cannot be written.
    """
    versions = [
        (name, curves, style)
        for name, curves, style in (
            ("before", before, {"color": "#8a8f98", "linestyle": "--"}),
            ("after", after, {"color": "#1f5f99", "linestyle": "-"}),
        )
        if curves is not None
    ]
    names = list(dict.fromkeys(name for _, curves, _ in versions for name in curves.columns))
    if not names:
        raise ValueError(f"{path}: neither revision has a curve.")
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    with mpl.rc_context({"font.family": "sans-serif", "font.size": 8}):
        figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.3), layout="constrained")
        panels: Any = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, column in zip(panels, names, strict=False):
            for name, curves, style in versions:
                if column in curves.columns:
                    draw_curve(axes, column, curves.steps, curves.columns[column], label=name, **style)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        handles: dict[str, Any] = {}
        for axes in panels:
            handles.update((label, handle) for handle, label in zip(*axes.get_legend_handles_labels(), strict=True))
        figure.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=2, frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def cached(repository: Path, md5: str) -> Path | None:
    """Where DVC's cache has a file; None if it has not, or the folder is no sound DVC repository."""
    try:
        with Repo(str(repository)) as repo:
            path = Path(repo.cache.local.oid_to_path(md5))
    except DvcException:
        return None
    return path if path.is_file() else None


def write_pair(out: Path, name: str, before: Path, after: Path) -> list[Path]:
    """Puts two versions of a picture (before above, after below) into one file, and copies of a page into two.

    Args:
        out: Folder.
        name: The file's path in the repository; its suffix tells what it is.
        before: The first version, under any name.
        after: The second version.

    Returns:
        What was written.

    Raises:
        FrameError: If a picture is damaged.
    """
    stem, _, suffix = name.replace("/", "_").rpartition(".")
    if suffix == "html":
        copies = [out / f"{stem}_{version}.html" for version in ("before", "after")]
        for copy, original in zip(copies, (before, after), strict=True):
            write_bytes(copy, read_bytes(original))
        return copies
    path = out / f"{stem}.jpg"
    write_image(path, _stacked(read_image(before), read_image(after)))
    return [path]


def _stacked(above: UInt8[np.ndarray, "_ _ 3"], below: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Both at the width of the wider one."""
    width = max(above.shape[1], below.shape[1])
    first, second = (resize_image(image, (round(image.shape[0] * width / image.shape[1]), width)) for image in (above, below))
    return np.concatenate([first, np.full((_GAP, width, 3), 255, np.uint8), second])
