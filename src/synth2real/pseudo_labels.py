"""Pseudo-labels (*pseudo ground truth*): the fused prediction on the target's training images, as labels to train on.

Saleh et al., "Effective Use of Synthetic Data for Urban Scene Semantic Segmentation", ECCV 2018, section 3 (unsupervised real
images): objects come from the detector and background from the semantic network; a *hole* (a pixel that no detected instance
covers) where the semantic network says one of the 10 foreground classes is ignored. No annotation is read.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int64, UInt8, UInt16

from synth2real.frames import Frame, FrameSet, map_frames, read_frames, write_frames, write_label
from synth2real.label_space import (
    IGNORE_INDEX,
    INSTANCE_FACTOR,
    LABEL_ID_TO_TRAIN_ID,
    NUM_LABEL_IDS,
    TRAIN_LABELS,
    UNLABELED_ID,
    VEIS_LABELS,
    lookup_table,
)

_BACKGROUND_ONLY: Final = lookup_table(
    {label_id: label_id for label_id in range(NUM_LABEL_IDS)} | {label.label_id: UNLABELED_ID for label in VEIS_LABELS},
    UNLABELED_ID,
)
"""Label id to itself, but foreground to unlabeled."""


def pseudo_label(
    label_ids: UInt8[np.ndarray, "height width"], instance_ids: UInt16[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width"]:
    """Label ids to train on: the fused prediction, with foreground in the holes set to 0 (unlabeled).

    Args:
        label_ids: The fused prediction's label ids.
        instance_ids: Its instance ids; below 1000 in the holes.
    """
    return np.where(instance_ids < INSTANCE_FACTOR, _BACKGROUND_ONLY[label_ids], label_ids)


def pseudo_label_frames(fused: Path, out: Path, *, workers: int) -> dict[str, Any]:
    """Writes the pseudo-labels of the training split of a fused prediction as a frame set with ``labels/``.

    Args:
        fused: Frame set with ``labels/`` and ``instances/``, as :mod:`synth2real.fusion` writes it.
        out: Where the pseudo-labels go.
        workers: Processes.

    Returns:
        ``frames``, ``kept`` (share of pixels, in %, that have one of the 19 classes), ``kept_holes`` (the same of the holes
        alone; None if there is none) and ``classes`` (each class's share of the kept pixels, in %).

    Raises:
        FrameError: If there is no training frame, or a file is missing or damaged.
    """
    predictions = read_frames(fused).split("train")
    counts = np.zeros((2, NUM_LABEL_IDS), np.int64)
    work = partial(_pseudo_label_frame, predictions=predictions, out=out)
    for frame_counts in map_frames(work, predictions.frames, workers=workers, description="Pseudo-labels"):
        counts += frame_counts
    write_frames(out, predictions.frames)
    return {"frames": len(predictions), **_shares(counts)}


def _pseudo_label_frame(frame: Frame, predictions: FrameSet, out: Path) -> Int64[np.ndarray, "2 ids"]:
    """Writes one frame; gives pixels by label id, on instances and in holes."""
    instance_ids = predictions.instances(frame)
    label_ids = pseudo_label(predictions.label(frame), instance_ids)
    write_label(FrameSet(out, (frame,)).label_path(frame), label_ids)
    on_instance_or_hole = (instance_ids < INSTANCE_FACTOR) * np.uint8(NUM_LABEL_IDS) + label_ids
    return np.bincount(on_instance_or_hole.ravel(), minlength=2 * NUM_LABEL_IDS).reshape(2, NUM_LABEL_IDS)


def _shares(counts: Int64[np.ndarray, "2 ids"]) -> Mapping[str, Any]:
    is_kept = LABEL_ID_TO_TRAIN_ID[:NUM_LABEL_IDS] != IGNORE_INDEX
    kept, holes = counts[:, is_kept].sum(), counts[1].sum()
    by_id = counts.sum(axis=0)
    return {
        "kept": _percent(kept, counts.sum()),
        "kept_holes": _percent(counts[1, is_kept].sum(), holes),
        "classes": {label.name: _percent(by_id[label.label_id], kept) for label in TRAIN_LABELS},
    }


def _percent(part: np.int64, whole: np.int64) -> float | None:
    return round(100 * float(part) / float(whole), 2) if whole else None
