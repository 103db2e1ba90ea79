"""Fusion of a semantic prediction with detected instances: objects by shape, everything else by texture.

Saleh et al., "Effective Use of Synthetic Data for Urban Scene Semantic Segmentation", ECCV 2018, section 3 (prediction on real
images): the instances are pasted one after the other by descending score; where one overlaps an earlier one, the earlier keeps
its pixels; what no instance covers (the *holes*) is filled by the semantic network. The paper applies no threshold on the score.

Every departure from this rule is a parameter, and off by default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from pycocotools import mask as coco_mask

from synth2real.detections import Detection, decode_masks, detections_path, read_detections
from synth2real.frames import Frame, FrameError, FrameSet, map_frames, read_frames, write_frames, write_instances, write_label
from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS, UNLABELED_ID, VEIS_LABELS, lookup_table

_CATEGORY: Final = {label.name: number for number, label in enumerate(VEIS_LABELS, start=1)}
_IS_FOREGROUND: Final = lookup_table({label.label_id: 1 for label in VEIS_LABELS}, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionSettings:
    """The section ``fusion`` of params.yaml, in the order in which the values apply."""

    score_threshold: float
    """Instances with a lower score are not pasted; 0 pastes all, as in the paper."""
    rider_overlap: float | None
    """A person is a rider if its box shares at least this part of the smaller box with that of a bicycle or motorcycle, and ends
    above the latter's lower edge, as feet on pedals do; None leaves persons what they are, as in the paper."""
    mask_overlap: float | None
    """Of two instances of a class whose masks have a higher intersection over union, the one with the lower score is dropped
    (non-maximum suppression); None drops none, as in the paper."""
    semantic_weight: float
    """The semantic network's share in a vote on each covered pixel, see :func:`fuse`; 0 pastes all, as in the paper."""
    holes: Literal["semantic", "background"]
    """``semantic`` fills holes with whatever the semantic network predicts there, as in the paper; ``background`` with background
    classes only: where a foreground class is predicted that no instance confirms, that of the nearest background pixel."""

    def __post_init__(self) -> None:
        for name in ("score_threshold", "rider_overlap", "mask_overlap"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], found {value}")
        if not 0 <= self.semantic_weight < 1:
            raise ValueError(f"semantic_weight must be in [0, 1), found {self.semantic_weight}")


class Fused(NamedTuple):
    """A fused prediction."""

    label_ids: UInt8[np.ndarray, "height width"]
    """Class of each pixel."""
    instance_ids: UInt16[np.ndarray, "height width"]
    """``label_id * 1000 + n`` where the n-th instance of a class was pasted (by descending score, from 0); ``label_id`` in the
    holes, whatever the class there."""


def fuse(
    semantic: UInt8[np.ndarray, "height width"],
    detections: Sequence[Detection],
    settings: FusionSettings,
    confidence: UInt8[np.ndarray, "height width"] | None = None,
) -> Fused:
    """Pastes the instances over the semantic prediction by descending score, without overlap.

    With ``semantic_weight`` w above 0, each covered pixel is voted on: an instance of score s gives its class ``(1 - w) s``, the
    semantic network gives the class that it predicts ``w`` times its probability, and votes for one class add up, of its
    instances that with the highest score. The class with most votes gets the pixel, and of its instances that with the highest
    score, if there is one; a tie is the highest score's. Only the predicted class's probability is known, so the semantic
    network has no vote for any other.

    Args:
        semantic: Label ids predicted for each pixel.
        detections: Instances of the same frame, in any order; of equal scores the earlier wins. None leaves ``semantic`` as is.
        settings: What to paste.
        confidence: 255 times the probability of each pixel's predicted class; needed for votes only.

    Raises:
        ValueError: If a mask is of another size than ``semantic``, is damaged, or a class has more than 1000 instances, or votes
            are wanted without confidences.
    """
    for item in detections:
        if item.size != semantic.shape:
            raise ValueError(
                f"the masks are {item.size[0]}x{item.size[1]} (height x width), the semantic prediction is "
                f"{semantic.shape[0]}x{semantic.shape[1]}; both must be at the target's own resolution"
            )
    chosen = _chosen(detections, settings)
    identifiers = _identifiers(chosen)
    by_column = cv2.transpose(semantic)  # run lengths go down the columns
    instance_ids = _paste(by_column.astype(np.uint16), chosen, identifiers)
    if settings.semantic_weight > 0:
        if confidence is None:
            raise ValueError("fusion.semantic_weight needs the semantic prediction's confidences (predict_semantics.confidence)")
        scores = np.zeros(NUM_LABEL_IDS * INSTANCE_FACTOR)
        scores[identifiers] = [item.score for item in chosen]
        agreeing = _paste(by_column.astype(np.uint16), chosen, identifiers, by_column)
        weight = settings.semantic_weight
        votes = (1 - weight) * scores[agreeing] + weight / 255 * cv2.transpose(confidence)
        instance_ids = np.where(votes > (1 - weight) * scores[instance_ids], agreeing, instance_ids)
    instance_ids = cv2.transpose(instance_ids)
    if settings.holes == "background":
        instance_ids = _with_background_holes(instance_ids)
    is_hole = instance_ids < INSTANCE_FACTOR
    return Fused(np.where(is_hole, instance_ids, instance_ids // INSTANCE_FACTOR).astype(np.uint8), instance_ids)


def _chosen(detections: Sequence[Detection], settings: FusionSettings) -> list[Detection]:
    """What is pasted, by descending score."""
    chosen = sorted((item for item in detections if item.score >= settings.score_threshold), key=lambda item: -item.score)
    if settings.rider_overlap is not None:
        is_rider = _are_riders(chosen, settings.rider_overlap)
        chosen = [
            item._replace(category_id=_CATEGORY["rider"]) if yes else item for item, yes in zip(chosen, is_rider, strict=True)
        ]
    if settings.mask_overlap is not None:
        is_kept = _are_no_duplicates(chosen, settings.mask_overlap)
        chosen = [item for item, yes in zip(chosen, is_kept, strict=True) if yes]
    return chosen


def _are_riders(detections: Sequence[Detection], overlap: float) -> Bool[np.ndarray, " instances"]:
    categories = np.array([item.category_id for item in detections], np.int64)
    corners = np.array([item.bbox for item in detections], np.float64).reshape(-1, 2, 2)
    corners[:, 1] += corners[:, 0]
    near, far = corners[:, 0], corners[:, 1]
    shared = np.minimum(far[:, None], far) - np.maximum(near[:, None], near)
    areas = np.prod(far - near, axis=1)
    parts = np.prod(np.maximum(shared, 0), axis=2) / np.maximum(np.minimum.outer(areas, areas), np.finfo(np.float64).tiny)
    is_ridden = np.isin(categories, [_CATEGORY["bicycle"], _CATEGORY["motorcycle"]])
    rides = (parts >= overlap) & (parts > 0) & np.less.outer(far[:, 1], far[:, 1]) & is_ridden
    is_rider: Bool[np.ndarray, " instances"] = (categories == _CATEGORY["person"]) & rides.any(axis=1)
    return is_rider


def _are_no_duplicates(detections: Sequence[Detection], overlap: float) -> Bool[np.ndarray, " instances"]:
    """Greedy non-maximum suppression of masks within each class; detections come by descending score."""
    kept: Bool[np.ndarray, " instances"] = np.ones(len(detections), np.bool_)
    if not detections:
        return kept
    decode_masks(detections)  # pycocotools reads damaged codes without a word
    codes = [{"size": list(item.size), "counts": item.counts} for item in detections]
    categories = np.array([item.category_id for item in detections])
    is_duplicate = (coco_mask.iou(codes, codes, [0] * len(codes)) > overlap) & np.equal.outer(categories, categories)
    for index in range(len(detections)):
        if kept[index]:
            kept[index + 1 :] &= ~is_duplicate[index, index + 1 :]
    return kept


def _identifiers(detections: Sequence[Detection]) -> list[int]:
    numbers = dict.fromkeys(range(1, len(VEIS_LABELS) + 1), 0)
    identifiers = []
    for item in detections:
        if numbers[item.category_id] == INSTANCE_FACTOR:
            raise ValueError(f"more than {INSTANCE_FACTOR} instances of {VEIS_LABELS[item.category_id - 1].name}")
        identifiers.append(VEIS_LABELS[item.category_id - 1].label_id * INSTANCE_FACTOR + numbers[item.category_id])
        numbers[item.category_id] += 1
    return identifiers


def _paste(
    pixels: UInt16[np.ndarray, "width height"],
    detections: Sequence[Detection],
    identifiers: Sequence[int],
    only_on: UInt8[np.ndarray, "width height"] | None = None,
) -> UInt16[np.ndarray, "width height"]:
    """Pastes in place, from the lowest score to the highest, so that each pixel ends with the highest that covers it.

    Args:
        pixels: What to paste over, column by column.
        detections: By descending score.
        identifiers: What to write, for each.
        only_on: Label ids; an instance is pasted only where they are those of its class.
    """
    flat = pixels.ravel()
    classes = None if only_on is None else only_on.ravel()
    for (start, is_inside), identifier in zip(decode_masks(detections[::-1]), reversed(identifiers), strict=True):
        part = slice(start, start + len(is_inside))
        where = is_inside if classes is None else is_inside & (classes[part] == identifier // INSTANCE_FACTOR)
        np.copyto(flat[part], np.uint16(identifier), where=where)
    return pixels


def _with_background_holes(instance_ids: UInt16[np.ndarray, "height width"]) -> UInt16[np.ndarray, "height width"]:
    is_hole = instance_ids < INSTANCE_FACTOR
    is_unconfirmed = is_hole & (_IS_FOREGROUND[np.where(is_hole, instance_ids, 0)] > 0)
    is_background = is_hole & ~is_unconfirmed
    if not is_background.any():
        return np.where(is_unconfirmed, np.uint16(UNLABELED_ID), instance_ids)
    _, nearest = cv2.distanceTransformWithLabels(
        (~is_background).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    background = np.zeros(int(nearest.max()) + 1, np.uint16)
    background[nearest[is_background]] = instance_ids[is_background]
    return np.where(is_unconfirmed, background[nearest], instance_ids)


def fuse_frames(semantics: Path, instances: Path, out: Path, settings: FusionSettings, *, workers: int) -> None:
    """Fuses every frame of a semantic prediction with its detections.

    Args:
        semantics: Frame set with ``labels/``, and with ``confidences/`` where they vote.
        instances: Frame set with ``detections/``; it may hold more frames than ``semantics``.
        out: Where the frame set with ``labels/`` and ``instances/`` (see :class:`Fused`) is written.
        settings: What to paste.
        workers: Processes.

    Raises:
        FrameError: If a frame has no detections, or a file is damaged or of another size than its counterpart.
    """
    predictions = read_frames(semantics)
    detected = {frame.frame_id: frame for frame in read_frames(instances).frames}
    missing = [frame.frame_id for frame in predictions.frames if frame.frame_id not in detected]
    if missing:
        raise FrameError(
            f"{instances}: no detections for {len(missing)} of the {len(predictions)} frames of {semantics}, such as "
            f"{missing[0]!r}. Predict instances on the same frames."
        )
    for frame in predictions.frames:
        other = detected[frame.frame_id]
        if (other.height, other.width) != (frame.height, frame.width):
            raise FrameError(
                f"{detections_path(instances, frame.frame_id)} is of a frame of {other.height}x{other.width} (height x width), "
                f"{predictions.label_path(frame)} of {frame.height}x{frame.width}. Predict both on the same frames."
            )
    work = partial(_fuse_frame, predictions=predictions, instances=instances, out=out, settings=settings)
    for _ in map_frames(work, predictions.frames, workers=workers, description="Fusing"):
        pass
    write_frames(out, predictions.frames)


def _fuse_frame(frame: Frame, predictions: FrameSet, instances: Path, out: Path, settings: FusionSettings) -> None:
    path = detections_path(instances, frame.frame_id)
    semantic, detections = predictions.label(frame), read_detections(path)
    confidence = predictions.confidence(frame) if settings.semantic_weight > 0 else None
    try:
        fused = fuse(semantic, detections, settings, confidence)
    except ValueError as error:
        raise FrameError(f"{path}: {error} (with {predictions.label_path(frame)}). Predict again.") from None
    result = FrameSet(out, (frame,))
    write_label(result.label_path(frame), fused.label_ids)
    write_instances(result.instances_path(frame), fused.instance_ids)
