"""Average precision of a detector, beside that of an untrained one.

The measure is COCO's (Lin et al., ECCV 2014), computed by pycocotools: the area under the precision-recall curve, averaged over
intersection-over-union thresholds 0.50, 0.55 ... 0.95 and over the classes that occur.
"""

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.progress import track
from torchvision.models.detection import MaskRCNN

from synth2real.detections import Detection, encode_masks
from synth2real.frames import FrameSet
from synth2real.hardware import HardwareSettings
from synth2real.instances.data import Instances, instances_of
from synth2real.instances.mask_rcnn import NetworkSettings, build_detector
from synth2real.instances.predict import PredictionSettings, detect
from synth2real.label_space import VEIS_LABELS

_UNTRAINED_SEED: Final = 0
_SCORES: Final = (0.05, 0.25, 0.5, 0.75)
_LOWEST_SCORE: Final = _SCORES[0]
"""Average precision counts detections from here on (torchvision's and Detectron's convention), whatever prediction keeps."""


def average_precision(annotations: Sequence[Instances], detections: Iterable[Sequence[Detection]]) -> dict[str, Any]:
    """COCO's average precision in %.

    Args:
        annotations: What is in each frame.
        detections: What was detected in each frame, in the same order.

    Returns:
        ``ap`` and ``ap50`` of the masks, ``box_ap`` and ``box_ap50`` of the boxes, and ``per_class``: the masks' ``ap`` of each
        class by name, None for a class without annotation. ``at_score``: how many of the detections with at least that score are
        right (``precision``), and how many instances they find (``recall``), in %; right is a mask that overlaps an instance of
        its class, not found by a higher score, by at least one half. ``half_right_from``: the lowest score such that
        at least half of the detections from it on are right, None if there is none.
    """
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    images = []
    for image_id, (instances, detected) in enumerate(zip(annotations, detections, strict=True), start=1):
        size = list(instances.masks.shape[1:])
        images.append({"id": image_id, "height": size[0], "width": size[1]})
        counts = encode_masks(instances.masks)
        for label, box, mask, code in zip(instances.labels, instances.boxes, instances.masks, counts, strict=True):
            left, top, right, bottom = box.tolist()
            truth.append(
                {
                    "id": len(truth) + 1, "image_id": image_id, "category_id": int(label), "iscrowd": 0,
                    "area": int(mask.sum()), "bbox": [left, top, right - left, bottom - top],
                    "segmentation": {"size": size, "counts": code},
                }
            )  # fmt: skip
        found += [
            {
                "image_id": image_id, "category_id": item.category_id, "score": item.score, "bbox": list(item.bbox),
                "segmentation": {"size": list(item.size), "counts": item.counts},
            }
            for item in detected
        ]  # fmt: skip
    categories = [{"id": k, "name": label.name} for k, label in enumerate(VEIS_LABELS, start=1)]
    masks, boxes = (_accumulated(images, categories, truth, found, kind) for kind in ("segm", "bbox"))
    scores, right = masks.scores, np.cumsum(masks.right)
    precise = np.flatnonzero(2 * right >= np.arange(1, 1 + len(scores)))
    return {
        "ap": _mean(masks.precision),
        "ap50": _mean(masks.precision[0]),
        "box_ap": _mean(boxes.precision),
        "box_ap50": _mean(boxes.precision[0]),
        "per_class": {label.name: _mean(masks.precision[:, :, index]) for index, label in enumerate(VEIS_LABELS)},
        "at_score": {f"{score}": _at_score(masks, score, len(truth)) for score in _SCORES},
        "half_right_from": round(float(scores[precise[-1]]), 3) if len(precise) else None,
    }


class _Accumulated(NamedTuple):
    precision: Float[np.ndarray, "overlaps recalls classes"]
    """At each overlap, recall and class; -1 for a class without annotation."""
    scores: Float[np.ndarray, " detections"]
    """Of all frames and classes, descending."""
    right: Bool[np.ndarray, " detections"]
    """Whether each of them is right, at an overlap of one half."""


def _accumulated(
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
    kind: str,
) -> _Accumulated:
    if not found:
        occurring = {item["category_id"] for item in truth}
        absent = [category["id"] not in occurring for category in categories]
        nothing = np.broadcast_to(np.where(absent, -1.0, 0.0), (10, 101, len(categories)))
        return _Accumulated(nothing, np.empty(0), np.empty(0, bool))
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = {"images": images, "categories": categories, "annotations": truth}
        annotated.createIndex()
        detected = annotated.loadRes([dict(item) for item in found])
        evaluation = COCOeval(annotated, detected, kind)
        evaluation.evaluate()
        evaluation.accumulate()
    every_area, hundred_detections, half = 0, 2, 0
    precision = np.asarray(evaluation.eval["precision"][..., every_area, hundred_detections])
    matched = np.reshape(np.array(evaluation.evalImgs, object), (len(categories), -1, len(images)))[:, every_area].ravel()
    scores = np.concatenate([item["dtScores"] for item in matched if item])
    right = np.concatenate([item["dtMatches"][half] > 0 for item in matched if item])
    order = np.argsort(-scores, kind="stable")
    return _Accumulated(precision, scores[order], right[order])


def _at_score(accumulated: _Accumulated, score: float, instances: int) -> dict[str, float | None]:
    kept = accumulated.right[accumulated.scores >= score]
    return {
        "precision": round(100 * float(kept.mean()), 3) if len(kept) else None,
        "recall": round(100 * float(kept.sum()) / instances, 3) if instances else None,
    }


def _mean(precision: Float[np.ndarray, "..."]) -> float | None:
    valid = precision[precision > -1]
    return round(100 * float(valid.mean()), 3) if valid.size else None


def evaluate_detector(
    detector: MaskRCNN,
    network: NetworkSettings,
    frames: FrameSet,
    *,
    min_area: int,
    settings: PredictionSettings,
    hardware: HardwareSettings,
) -> dict[str, Any]:
    """Compares a trained detector with an untrained one (pre-trained backbone, random heads).

    Args:
        detector: The trained one.
        network: What both look like.
        frames: Held-out frame set with images and instances.
        min_area: Instances of fewer pixels do not count.
        settings: What of the detectors' output is kept, but for ``min_score``: all from 0.05 on counts.
        hardware: On what to run.

    Returns:
        ``frames``, ``instances``, and the values of :func:`average_precision`, for the untrained one under ``untrained``.

    Raises:
        FrameError: If an image or instance map is missing or damaged.
    """
    annotations = [instances_of(frames.instances(frame), min_area) for frame in frames.frames]

    def score(candidate: MaskRCNN, description: str) -> dict[str, Any]:
        results = detect(candidate, frames, network.size, replace(settings, min_score=_LOWEST_SCORE), hardware)
        return average_precision(annotations, track(results, description, len(frames)))

    return {
        "frames": len(frames),
        "instances": sum(len(instances.labels) for instances in annotations),
        **score(detector, "Trained"),
        "untrained": score(build_detector(network, _UNTRAINED_SEED), "Untrained"),
    }
