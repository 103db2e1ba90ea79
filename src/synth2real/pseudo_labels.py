"""Pseudo-labels (*pseudo ground truth*): predictions on the target's training images, as labels to train on.

Saleh et al., "Effective Use of Synthetic Data for Urban Scene Semantic Segmentation", ECCV 2018, section 3 (unsupervised real
images): objects come from the detector and background from the semantic network; a *hole* (a pixel that no detected instance
covers) where the semantic network says one of the 10 foreground classes is ignored. No annotation is read.

What of it is trusted can be narrowed down, in the *holes* by the semantic network's confidence and by a second prediction, and
everywhere along the borders of classes. Detected instances have a score instead of a confidence; predict_instances.min_score and
fusion.score_threshold have chosen them before.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt16

from synth2real.frames import Frame, FrameError, FrameSet, map_frames, read_frames, write_frames, write_label
from synth2real.label_space import (
    IGNORE_INDEX,
    INSTANCE_FACTOR,
    LABEL_ID_TO_TRAIN_ID,
    NUM_LABEL_IDS,
    TRAIN_LABELS,
    UNLABELED_ID,
    VEIS_LABELS,
    Label,
    lookup_table,
)

_BACKGROUND_ONLY: Final = lookup_table(
    {label_id: label_id for label_id in range(NUM_LABEL_IDS)} | {label.label_id: UNLABELED_ID for label in VEIS_LABELS},
    UNLABELED_ID,
)
"""Label id to itself, but foreground to unlabeled."""
_BACKGROUND_LABELS: Final = tuple(label for label in TRAIN_LABELS if label not in VEIS_LABELS)
_LEVELS: Final = 256
"""Of a confidence: 255 times the probability of the predicted class, rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabelSettings:
    """The section ``self_training.labels`` of params.yaml."""

    variant: Literal["fused", "background", "all"]
    """``fused``: detected instances, and the background classes in the holes, as in the paper. ``background``: the latter alone;
    all foreground is ignored, so that the student learns it from the source only. ``all``: detected instances, and every class
    in the holes, as self-training without a detector has it."""
    portion: float
    """Share of each class's pixels in the holes that is kept, the most confident first; 1 keeps all."""
    min_confidence: float
    """Pixels in the holes of lower confidence are ignored; 0 ignores none."""
    border: int
    """Pixels that are ignored on either side of an edge between classes; 0 ignores none."""

    def __post_init__(self) -> None:
        if not 0 < self.portion <= 1:
            raise ValueError(f"portion must be in (0, 1], found {self.portion}")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be in [0, 1], found {self.min_confidence}")
        if not 0 <= self.border <= 100:
            raise ValueError(f"border must be in 0..100, found {self.border}")

    @property
    def hole_labels(self) -> tuple[Label, ...]:
        """The classes that are kept in the holes."""
        return TRAIN_LABELS if self.variant == "all" else _BACKGROUND_LABELS

    @property
    def needs_confidence(self) -> bool:
        """Whether the semantic prediction must have confidences."""
        return self.portion < 1 or self.min_confidence > 0


def pseudo_label(
    label_ids: UInt8[np.ndarray, "height width"],
    instance_ids: UInt16[np.ndarray, "height width"],
    settings: PseudoLabelSettings,
    *,
    confidence: UInt8[np.ndarray, "height width"] | None = None,
    thresholds: UInt8[np.ndarray, "ids"] | None = None,
    other: UInt8[np.ndarray, "height width"] | None = None,
) -> UInt8[np.ndarray, "height width"]:
    """Label ids to train on: the fused prediction, with what is not trusted set to 0 (unlabeled).

    Args:
        label_ids: The fused prediction's label ids.
        instance_ids: Its instance ids; below 1000 in the holes.
        settings: The variant and the border.
        confidence: Of the semantic prediction, 0..255; in the holes, a pixel below its class's threshold is ignored. None ignores
            none.
        thresholds: See :func:`class_thresholds`; needed with ``confidence``.
        other: Label ids of another prediction; in the holes, a pixel where the two disagree is ignored. None ignores none.
    """
    is_hole = instance_ids < INSTANCE_FACTOR
    is_kept: Bool[np.ndarray, "height width"] = np.ones(label_ids.shape, np.bool_)
    if confidence is not None and thresholds is not None:
        is_kept &= confidence >= thresholds[label_ids]
    if other is not None:
        is_kept &= other == label_ids
    hole_ids = label_ids if settings.variant == "all" else _BACKGROUND_ONLY[label_ids]
    pasted_ids = _BACKGROUND_ONLY[label_ids] if settings.variant == "background" else label_ids
    labelled = np.where(is_hole, np.where(is_kept, hole_ids, np.uint8(UNLABELED_ID)), pasted_ids)
    if settings.border:
        labelled[near_edges(label_ids, settings.border)] = UNLABELED_ID
    return labelled


def near_edges(label_ids: UInt8[np.ndarray, "height width"], width: int) -> Bool[np.ndarray, "height width"]:
    """Where a pixel of another class is at most ``width`` rows and ``width`` columns away; the frame's border is no edge."""
    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    is_near: Bool[np.ndarray, "height width"] = cv2.dilate(label_ids, window) != cv2.erode(label_ids, window)
    return is_near


def class_thresholds(histograms: Int64[np.ndarray, "ids 256"], portion: float, min_confidence: float) -> UInt8[np.ndarray, "ids"]:
    """The lowest confidence, 0..255, at which a pixel of each class is kept.

    Zou et al., "Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced Self-Training", ECCV 2018, algorithm
    2: of all pixels that are predicted as a class, over all images, the ``portion`` with the highest confidence is kept, so that
    a class of which the network is rarely sure is not lost, as it is under one threshold for all. Departure: pixels of equal
    confidence are kept or ignored as one, so that at least the portion is kept. ``min_confidence`` counts where it is higher.

    Args:
        histograms: Pixels predicted as each label id (row) at each confidence (column).
        portion: In (0, 1].
        min_confidence: In [0, 1].
    """
    at_least = histograms[:, ::-1].cumsum(axis=1)[:, ::-1]
    total = at_least[:, :1]
    balanced = np.where(total[:, 0] > 0, (at_least >= portion * total).sum(axis=1) - 1, 0)
    floor = math.ceil(round((_LEVELS - 1) * min_confidence, 9))
    return np.maximum(balanced, floor).astype(np.uint8)


class _Sources(NamedTuple):
    """Predictions of the same frames."""

    fused: FrameSet
    semantics: FrameSet | None
    """With confidences; None where none are needed."""
    other: FrameSet | None


def pseudo_label_frames(
    fused: Path, semantics: Path, out: Path, settings: PseudoLabelSettings, *, agree_with: Path | None = None, workers: int
) -> dict[str, Any]:
    """Writes the pseudo-labels of the training split of a fused prediction as a frame set with ``labels/``.

    Frames are read one at a time, and twice where the portion needs the histograms of all of them first.

    Args:
        fused: Frame set with ``labels/`` and ``instances/``, as :mod:`synth2real.fusion` writes it.
        semantics: Frame set with the ``labels/`` that were fused and their ``confidences/``; read only if the settings need it.
        out: Where the pseudo-labels go.
        settings: What is trusted.
        agree_with: Frame set with another prediction's ``labels/`` of the same frames, such as another model's; ``semantics``
            itself always agrees, and is not read for that.
        workers: Processes.

    Returns:
        ``frames``, ``kept`` (share of pixels, in %, that have one of the 19 classes), ``kept_holes`` (the same of the holes
        alone; None if there is none), ``classes`` (each class's share of the kept pixels, in %), ``kept_of_class`` (share of the
        fused prediction's pixels of each class that are kept, in %; None if there is none) and ``thresholds`` (of each class that
        is kept in the holes, the lowest confidence in [0, 1]).

    Raises:
        FrameError: If there is no training frame, the predictions are not of the same frames or not of the same model, or a file
            is missing or damaged.
    """
    predictions = read_frames(fused).split("train")
    sources = _Sources(
        predictions,
        _with_confidences(_matching(predictions, semantics)) if settings.needs_confidence else None,
        _matching(predictions, agree_with) if agree_with and agree_with != semantics else None,
    )
    histograms = np.zeros((NUM_LABEL_IDS, _LEVELS), np.int64)
    if settings.portion < 1:
        count = partial(_histogram, sources=sources)
        for histogram in map_frames(count, predictions.frames, workers=workers, description="Confidences"):
            histograms += histogram
    thresholds = class_thresholds(histograms, settings.portion, settings.min_confidence)
    counts = np.zeros((3, NUM_LABEL_IDS), np.int64)
    work = partial(_pseudo_label_frame, sources=sources, out=out, settings=settings, thresholds=thresholds)
    for frame_counts in map_frames(work, predictions.frames, workers=workers, description="Pseudo-labels"):
        counts += frame_counts
    write_frames(out, predictions.frames)
    return {
        "frames": len(predictions),
        **_shares(counts),
        "thresholds": {label.name: round(int(thresholds[label.label_id]) / (_LEVELS - 1), 3) for label in settings.hole_labels},
    }


def _matching(fused: FrameSet, root: Path) -> FrameSet:
    """The frame set at ``root``, which must hold the fused frames in their size."""
    found = read_frames(root)
    by_id = {frame.frame_id: frame for frame in found.frames}
    for frame in fused.frames:
        other = by_id.get(frame.frame_id)
        if other is None:
            raise FrameError(f"{root}: no frame {frame.frame_id!r}, which {fused.root} has. Predict the same frames again.")
        if (other.height, other.width) != (frame.height, frame.width):
            raise FrameError(
                f"{found.label_path(other)} is {other.height}x{other.width} (height x width), {fused.label_path(frame)} is "
                f"{frame.height}x{frame.width}. Predict both at the target's own resolution."
            )
    return FrameSet(root, fused.frames)


def _with_confidences(semantics: FrameSet) -> FrameSet:
    missing = [frame for frame in semantics.frames if not semantics.confidence_path(frame).is_file()]
    if missing:
        raise FrameError(
            f"{semantics.root}: no confidences of {len(missing)} of the {len(semantics)} training frames, such as "
            f"{semantics.confidence_path(missing[0])}, which a portion below 1 or a min_confidence above 0 in "
            "self_training.labels needs. Set predict_semantics.confidence to true and predict again (dvc repro)."
        )
    return semantics


def _histogram(frame: Frame, sources: _Sources) -> Int64[np.ndarray, "ids 256"]:
    """One frame's pixels in the holes by label id and confidence."""
    assert sources.semantics is not None
    is_hole = sources.fused.instances(frame) < INSTANCE_FACTOR
    pairs = sources.fused.label(frame)[is_hole].astype(np.uint16) * _LEVELS + sources.semantics.confidence(frame)[is_hole]
    return np.bincount(pairs, minlength=NUM_LABEL_IDS * _LEVELS).reshape(NUM_LABEL_IDS, _LEVELS)


def _pseudo_label_frame(
    frame: Frame, sources: _Sources, out: Path, settings: PseudoLabelSettings, thresholds: UInt8[np.ndarray, "ids"]
) -> Int64[np.ndarray, "3 ids"]:
    """Writes one frame; gives pixels by label id: kept on instances, kept in holes, and fused."""
    fused, semantics, other = sources
    label_ids, instance_ids = fused.label(frame), fused.instances(frame)
    is_hole = instance_ids < INSTANCE_FACTOR
    if semantics and not np.array_equal(semantics.label(frame)[is_hole], label_ids[is_hole]):
        raise FrameError(
            f"{fused.label_path(frame)} was not fused from {semantics.label_path(frame)}, so its confidences are another "
            "prediction's. Fuse again, or name the semantic prediction that was fused."
        )
    labelled = pseudo_label(
        label_ids,
        instance_ids,
        settings,
        confidence=semantics.confidence(frame) if semantics else None,
        thresholds=thresholds,
        other=other.label(frame) if other else None,
    )
    write_label(FrameSet(out, (frame,)).label_path(frame), labelled)
    on_instance_or_hole = is_hole * np.uint8(NUM_LABEL_IDS) + labelled
    kept = np.bincount(on_instance_or_hole.ravel(), minlength=2 * NUM_LABEL_IDS).reshape(2, NUM_LABEL_IDS)
    return np.concatenate([kept, [np.bincount(label_ids.ravel(), minlength=NUM_LABEL_IDS)]])


def _shares(counts: Int64[np.ndarray, "3 ids"]) -> Mapping[str, Any]:
    is_class = LABEL_ID_TO_TRAIN_ID[:NUM_LABEL_IDS] != IGNORE_INDEX
    by_id, holes, fused = counts[:2].sum(axis=0), counts[1].sum(), counts[2]
    kept = by_id[is_class].sum()
    return {
        "kept": _percent(kept, fused.sum()),
        "kept_holes": _percent(counts[1, is_class].sum(), holes),
        "classes": {label.name: _percent(by_id[label.label_id], kept) for label in TRAIN_LABELS},
        "kept_of_class": {label.name: _percent(by_id[label.label_id], fused[label.label_id]) for label in TRAIN_LABELS},
    }


def _percent(part: np.int64, whole: np.int64) -> float | None:
    return round(100 * float(part) / float(whole), 2) if whole else None
