"""Average precision of instances by the rule of the Cityscapes benchmark.

Cordts et al., "The Cityscapes Dataset", CVPR 2016, section 4.2, as cityscapesScripts' ``evalInstanceLevelSemanticLabeling`` has
it: on pixels, for the eight classes whose instances are annotated, at overlaps of more than 0.50, 0.55 ... 0.95. An annotated
instance of fewer than 100 pixels, and a group that the annotators did not tell apart, must not be found and may be; a wrong
detection is forgiven where more than the overlap's share of its pixels lies on these or on void. The size is not scaled to other
resolutions, just as there. Annotations hold no distances here, so the official scores within 50 m and 100 m are left out;
:func:`synth2real.instances.evaluate.average_precision` has scores by size.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt16

from synth2real.detections import Detection, decode_masks
from synth2real.label_space import IGNORE_INDEX, INSTANCE_FACTOR, LABEL_ID_TO_TRAIN_ID, VEIS_LABELS

CITYSCAPES_THINGS: Final = tuple(label for label in VEIS_LABELS if label.is_thing)
"""The classes whose instances the benchmark scores."""

_OVERLAPS: Final = np.arange(0.5, 1.0, 0.05)
_LEAST_AREA: Final = 100


class Matches(NamedTuple):
    """The detections of one class in one frame, and what of the annotation they lie on."""

    scores: Float64[np.ndarray, " detections"]
    overlaps: Float64[np.ndarray, "detections instances"]
    """Intersection over union with each annotated instance of the class, small ones and groups included."""
    is_sought: Bool[np.ndarray, " instances"]
    """Which instances must be found."""
    forgiven: Float64[np.ndarray, " detections"]
    """Share of each detection's pixels that lies on what must not be found; a small group counts twice, as in the original."""


def match_frame(instance_ids: UInt16[np.ndarray, "height width"], detections: Sequence[Detection]) -> list[Matches]:
    """Compares the detections of a frame with its annotation, for each of the classes.

    Args:
        instance_ids: Annotated Cityscapes instance ids; a thing's label id alone is a group.
        detections: Detections of the frame, of any classes. One without a pixel does not count.

    Raises:
        ValueError: If a mask is damaged.
    """
    ids, compact, areas = np.unique(instance_ids.T, return_inverse=True, return_counts=True)
    compact = compact.ravel()  # down the columns, as masks are
    shared: Int64[np.ndarray, "detections ids"] = np.array(
        [
            np.bincount(compact[start : start + len(is_inside)][is_inside], minlength=len(ids))
            for start, is_inside in decode_masks(detections)
        ],
        np.int64,
    ).reshape(-1, len(ids))
    pixels = shared.sum(axis=1)
    is_void = (ids < INSTANCE_FACTOR) & (LABEL_ID_TO_TRAIN_ID[np.minimum(ids, IGNORE_INDEX)] == IGNORE_INDEX)
    categories = np.array([item.category_id for item in detections], np.int64)
    scores = np.array([item.score for item in detections], np.float64)
    matches = []
    for label in CITYSCAPES_THINGS:
        chosen = (categories == VEIS_LABELS.index(label) + 1) & (pixels > 0)
        is_group, is_of_class = ids == label.label_id, ids // INSTANCE_FACTOR == label.label_id
        is_small = (is_group | is_of_class) & (areas < _LEAST_AREA)
        unions = areas + pixels[chosen, None] - shared[chosen]
        forgiven = shared[chosen] @ (is_void.astype(np.int64) + is_group + is_small) / pixels[chosen]
        instances = is_group | is_of_class
        overlaps = (shared[chosen] / unions)[:, instances]
        matches.append(Matches(scores[chosen], overlaps, (is_of_class & ~is_small)[instances], forgiven))
    return matches


def cityscapes_average_precision(
    annotations: Iterable[UInt16[np.ndarray, "height width"]], detections: Iterable[Sequence[Detection]]
) -> dict[str, Any]:
    """The official average precision in %.

    Args:
        annotations: Cityscapes instance ids of each frame.
        detections: What was detected in each frame, in the same order.

    Returns:
        ``ap`` and ``ap50``, means over the classes that are annotated, and both of each class under ``per_class`` and
        ``per_class_50``; None without annotation.
    """
    frames = [match_frame(ids, detected) for ids, detected in zip(annotations, detections, strict=True)]
    scores = np.array(
        [[_average_precision(of_class, overlap) for overlap in _OVERLAPS] for of_class in zip(*frames, strict=True)]
    )
    scores = scores.reshape(len(CITYSCAPES_THINGS), len(_OVERLAPS))
    names = [label.name for label in CITYSCAPES_THINGS]
    is_present = np.isfinite(scores[:, 0])
    return {
        "ap": _percent(scores[is_present].mean()) if is_present.any() else None,
        "ap50": _percent(scores[is_present, 0].mean()) if is_present.any() else None,
        "per_class": dict(zip(names, map(_percent, scores.mean(axis=1)), strict=True)),
        "per_class_50": dict(zip(names, map(_percent, scores[:, 0]), strict=True)),
    }


def _average_precision(frames: Sequence[Matches], overlap: float) -> float:
    """Of one class at one overlap; NaN if nothing is to be found."""
    missed = 0
    right: list[np.ndarray] = []
    wrong: list[np.ndarray] = []
    for scores, overlaps, is_sought, forgiven in frames:
        is_match = overlaps > overlap  # from one half on, a detection matches one instance at most
        finds = is_match[:, is_sought]
        is_found: Bool[np.ndarray, " sought"] = np.logical_or.reduce(finds, axis=0)
        order = np.argsort(-scores, kind="stable")
        best = order[finds[order][:, is_found].argmax(axis=0)] if is_found.any() else order[:0]
        missed += len(is_found) - len(best)
        right.append(scores[best])
        is_wrong = np.where(is_match.any(axis=1), finds.any(axis=1), forgiven <= overlap)
        is_wrong[best] = False  # of several detections of an instance, all but the best are wrong
        wrong.append(scores[is_wrong])
    hits, alarms = np.concatenate(right), np.concatenate(wrong)
    if not len(hits) + missed:
        return np.nan
    scores = np.concatenate((hits, alarms))
    if not len(scores):
        return 0.0
    order = np.argsort(scores, kind="stable")
    is_right = np.repeat((1, 0), (len(hits), len(alarms)))[order]
    _, first = np.unique(scores[order], return_index=True)  # precision and recall at each score that occurs
    before = np.concatenate(([0], np.cumsum(is_right)))[first]
    found_from = len(hits) - before
    precision = found_from / (len(scores) - first)
    recall = found_from / (len(hits) + missed)
    curve = np.concatenate((recall[:1], recall, (0.0, 0.0)))  # ends at recall 0 and precision 1
    return float(np.dot(np.append(precision, 1.0), (curve[:-2] - curve[2:]) / 2))


def _percent(share: float) -> float | None:
    return round(100 * float(share), 3) if np.isfinite(share) else None
