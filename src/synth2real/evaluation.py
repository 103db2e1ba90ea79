"""Semantic segmentation scores by the official Cityscapes rules, in a chosen label space.

Cordts et al., "The Cityscapes Dataset", CVPR 2016, section 4.1, as in cityscapesScripts: over all frames together,
``IoU = TP / (TP + FP + FN)`` of each class (Everingham et al., IJCV 2015), at the annotation's own resolution. Pixels whose
annotated class is outside of the label space do not count at all; a pixel predicted as such a class is a false negative of its
annotated class. A class that is neither annotated nor predicted has no IoU and is left out of the mean (mIoU).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from synth2real.frames import Frame, FrameError, FrameSet, map_frames, read_frames
from synth2real.label_space import IGNORE_INDEX, LABEL_SPACES, NUM_LABEL_IDS, LabelSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """The section ``evaluation`` of params.yaml."""

    label_space: str
    """Classes to score in: cityscapes19, synthia16, synthia13 or camvid11."""
    split: str
    """The annotated split to score on."""

    def __post_init__(self) -> None:
        if self.label_space not in LABEL_SPACES:
            raise ValueError(f"label_space must be one of {', '.join(LABEL_SPACES)}, found {self.label_space!r}")


def count_pixels(
    annotation: UInt8[np.ndarray, "height width"], prediction: UInt8[np.ndarray, "height width"]
) -> Int64[np.ndarray, "ids ids"]:
    """How many pixels there are of each annotated (row) and predicted (column) label id, 0..33; sums over frames may be added."""
    pairs = annotation * np.uint16(NUM_LABEL_IDS) + prediction
    return np.bincount(pairs.ravel(), minlength=NUM_LABEL_IDS**2).reshape(NUM_LABEL_IDS, NUM_LABEL_IDS)


def confusion_matrix(counts: Int64[np.ndarray, "ids ids"], space: LabelSpace) -> Int64[np.ndarray, "classes classes+1"]:
    """The label ids of :func:`count_pixels` gathered into classes.

    Rows are annotated classes, columns predicted ones; the last column is every prediction outside of the label space. Pixels
    annotated outside of it are left out.
    """
    outside = len(space.class_names)
    class_of_id = space.table[:NUM_LABEL_IDS].astype(np.int64)
    class_of_id[class_of_id == IGNORE_INDEX] = outside
    membership = np.equal.outer(np.arange(outside + 1), class_of_id).astype(np.int64)
    confusion: Int64[np.ndarray, "classes+1 classes+1"] = membership @ counts @ membership.T
    return confusion[:outside]


def ious(confusion: Int64[np.ndarray, "classes classes+1"]) -> Float64[np.ndarray, " classes"]:
    """Intersection over union of each class, in [0, 1]; NaN for a class that is neither annotated nor predicted."""
    true_positives = np.diagonal(confusion).astype(np.float64)
    union = confusion.sum(axis=1) + confusion[:, :-1].sum(axis=0) - true_positives
    scores: Float64[np.ndarray, " classes"] = np.full(len(union), np.nan)
    np.divide(true_positives, union, out=scores, where=union > 0)
    return scores


def summarise(counts: Int64[np.ndarray, "ids ids"], space: LabelSpace) -> dict[str, Any]:
    """The scores that a paper's table holds.

    Gives ``miou``, ``pixel_accuracy``, ``classes_present`` (the number of classes that have an IoU) and ``iou`` by class name
    (None for a class that has none); all scores in %, to two decimals.

    Args:
        counts: Pixels of at least one class of the label space; see :func:`count_pixels`.
        space: What to score in.
    """
    confusion = confusion_matrix(counts, space)
    scores = ious(confusion)
    return {
        "miou": _percent(np.nanmean(scores)),
        "pixel_accuracy": _percent(np.trace(confusion) / confusion.sum()),
        "classes_present": int(np.isfinite(scores).sum()),
        "iou": {name: _percent(score) for name, score in zip(space.class_names, scores, strict=True)},
    }


def majority(counts: Int64[np.ndarray, "ids ids"], space: LabelSpace) -> dict[str, Any]:
    """The baseline that needs no model: ``miou`` (%) of the constant prediction that scores best, and its ``class``.

    That is the class with the most annotated pixels: every other constant has a smaller IoU of its own, and zero elsewhere.
    """
    annotated = confusion_matrix(counts, space).sum(axis=1)
    best = int(annotated.argmax())
    constant = np.zeros((len(annotated), len(annotated) + 1), np.int64)
    constant[:, best] = annotated
    return {"miou": _percent(np.nanmean(ious(constant))), "class": space.class_names[best]}


def evaluate(annotations: Path, predictions: Mapping[str, Path], settings: EvaluationSettings, *, workers: int) -> dict[str, Any]:
    """Scores predictions of the same frames against their annotation.

    Args:
        annotations: Frame set with annotated ``labels/``.
        predictions: For each name, such as ``unfused``, a frame set with predicted ``labels/``; it may hold more frames.
        settings: Label space and split.
        workers: Processes.

    Returns:
        ``label_space``, ``split``, ``frames``, each prediction's scores under its name (see :func:`summarise`), and ``majority``.

    Raises:
        FrameError: If a frame has no prediction or one of another size, a file is damaged, or nothing is annotated.
    """
    space = LABEL_SPACES[settings.label_space]
    annotated = read_frames(annotations).split(settings.split)
    predicted = [_matching(annotated, read_frames(root)) for root in predictions.values()]
    counts = np.zeros((len(predicted), NUM_LABEL_IDS, NUM_LABEL_IDS), np.int64)
    work = partial(_count_frame, annotated=annotated, predicted=predicted)
    for frame_counts in map_frames(work, annotated.frames, workers=workers, description="Evaluating"):
        counts += frame_counts
    if not confusion_matrix(counts[0], space).sum():
        raise FrameError(f"{annotations}: no pixel of split {settings.split} is annotated with a class of {space.name}.")
    return {
        "label_space": space.name,
        "split": settings.split,
        "frames": len(annotated),
        **{name: summarise(item, space) for name, item in zip(predictions, counts, strict=True)},
        "majority": majority(counts[0], space),
    }


def _matching(annotated: FrameSet, predicted: FrameSet) -> FrameSet:
    by_id = {frame.frame_id: frame for frame in predicted.frames}
    missing = [frame.frame_id for frame in annotated.frames if frame.frame_id not in by_id]
    if missing:
        raise FrameError(
            f"{predicted.root}: no prediction for {len(missing)} of the {len(annotated)} annotated frames of {annotated.root}, "
            f"such as {missing[0]!r}. Predict all frames of the split."
        )
    for frame in annotated.frames:
        other = by_id[frame.frame_id]
        if (other.height, other.width) != (frame.height, frame.width):
            raise FrameError(
                f"{predicted.label_path(other)} is {other.height}x{other.width} (height x width), its annotation "
                f"{annotated.label_path(frame)} is {frame.height}x{frame.width}. Predict at the annotation's own resolution."
            )
    return predicted


def _count_frame(frame: Frame, annotated: FrameSet, predicted: list[FrameSet]) -> Int64[np.ndarray, "predictions ids ids"]:
    annotation = annotated.label(frame)
    return np.stack([count_pixels(annotation, item.label(frame)) for item in predicted])


def _percent(share: float) -> float | None:
    return round(100 * float(share), 2) if np.isfinite(share) else None
