"""What the kept counts of pixels tell beside the scores: confusion of classes, and each frame's score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64

from synth2real.confusion import confusion_matrix, ious, mean_of_present, ratio
from synth2real.evaluation.counts import read_pixel_counts
from synth2real.frames import to_csv
from synth2real.label_space import LABEL_SPACES, LabelSpace
from synth2real.report.tables import ReportError, Row, Table

SMALLEST_SHARE: Final = 0.5
"""In %: cells of a confusion matrix below are left empty."""

OUTSIDE: Final = "outside"
"""Name of what is predicted outside of the label space."""


class Counted(NamedTuple):
    """What is counted of one row of the table."""

    confusion: Float64[np.ndarray, "classes predicted"]
    """Share in % of each annotated class's pixels, over all frames and seeds, that is predicted as each class, in the last column
    as something outside of the label space; NaN for a class that is not annotated."""
    frame_miou: Mapping[str, float]
    """Of each frame by its id, in %, with the table's first seed: the mean over the classes annotated or predicted in it. Frames
    without annotation are left out."""


def read_counts(folder: Path, table: Table) -> list[tuple[Row, Counted]]:
    """The counts of each row but the baseline's.

    Args:
        folder: ``<model>/seed-<seed>.npz``, as :func:`synth2real.evaluation.counts.write_pixel_counts` writes them.
        table: What was evaluated.

    Raises:
        ReportError: If a file lacks a kind of prediction.
        FrameError: If a file is missing or damaged.
    """
    space = LABEL_SPACES[table.label_space]
    result = []
    for row in table.rows[1:]:
        paths = [folder / row.model / f"seed-{seed}.npz" for seed in table.seeds]
        kind = "fused" if row.is_fused else "unfused"
        of_seeds = []
        for path in paths:
            frame_ids, pixels = read_pixel_counts(path)
            if kind not in pixels:
                raise ReportError(f"{path}: no counts of {kind} predictions, only of {', '.join(pixels)}. Evaluate again.")
            of_seeds.append((frame_ids, confusion_matrix(pixels[kind], space)))
        total = np.sum([confusion.sum(axis=0) for _, confusion in of_seeds], axis=0)
        frame_ids, confusions = of_seeds[0]
        scores = 100 * mean_of_present(ious(confusions))
        miou = {name: float(score) for name, score in zip(frame_ids, scores, strict=True) if np.isfinite(score)}
        annotated = np.broadcast_to(total.sum(axis=1, keepdims=True), total.shape)
        result.append((row, Counted(100 * ratio(total, annotated), miou)))
    return result


def confusions_to_csv(counted: list[tuple[Row, Counted]], space: LabelSpace) -> str:
    """Confusion matrices as CSV with a line for each cell of at least :data:`SMALLEST_SHARE` %.

    Columns: model, fused (yes or no), annotated, predicted, share (in %, of the annotated class's pixels).
    """
    predicted = (*space.class_names, OUTSIDE)
    rows = (
        (row.model, "yes" if row.is_fused else "no", space.class_names[true], predicted[found], round(float(share), 1))
        for row, item in counted
        for (true, found), share in np.ndenumerate(item.confusion)
        if share >= SMALLEST_SHARE
    )
    return to_csv(("model", "fused", "annotated", "predicted", "share"), rows)
