"""Scores of a detector, beside those of an untrained one: average precision, precision-recall curves, pictures.

The first measure is COCO's (Lin et al., ECCV 2014), computed by pycocotools: the area under the precision-recall curve, averaged
over intersection-over-union thresholds 0.50, 0.55 ... 0.95 and over the classes that occur. The second is that of the Cityscapes
benchmark, see :mod:`synth2real.instances.cityscapes`.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.progress import track

from synth2real.detections import Detection, encode_masks
from synth2real.frames import Frame, FrameError, FrameSet, to_csv
from synth2real.hardware import HardwareSettings
from synth2real.instances.calibration import (
    LOWEST_SCORE,
    METHODS,
    Calibration,
    Method,
    Outcomes,
    cross_fitted,
    fit_calibration,
    reliability,
    reliability_table,
)
from synth2real.instances.cityscapes import cityscapes_average_precision
from synth2real.instances.data import Instances, instances_of
from synth2real.instances.mask_rcnn import Detector, DetectorNetwork, build_detector
from synth2real.instances.pictures import draw_annotation, draw_detections, sheet
from synth2real.instances.predict import PredictionSettings, detect
from synth2real.label_space import VEIS_LABELS

_UNTRAINED_SEED: Final = 0
_SCORES: Final = (LOWEST_SCORE, 0.25, 0.5, 0.75)
_ANY_SIZE, _SIZES = 0, ("small", "medium", "large")
_HALF: Final = 0
"""Index of the overlap of one half."""
_PICTURES: Final = 6


class AveragePrecision(NamedTuple):
    """COCO's scores."""

    metrics: dict[str, Any]
    """In %: ``ap`` and ``ap50`` of the masks, ``box_ap`` and ``box_ap50`` of the boxes; ``per_class``: the masks' ``ap`` of each
    class by name, None for a class without annotation; ``per_size``: the masks' ``ap`` of ``small``, ``medium`` and ``large``
    instances (COCO's: areas of up to 32 x 32 pixels of the frame, of up to 96 x 96, and of more), None without any;
    ``at_score``: how many of the detections with at least that score are right (``precision``), and how many instances they
    find (``recall``), where right is a mask that overlaps an instance of its class, not found by a higher score, by at least
    one half; ``half_right_from``: the lowest score such that at least half of the detections from it on are right, or None."""
    precision: Float[np.ndarray, "101 classes"]
    """The masks' precision at recall 0, 0.01 ... 1 and an overlap of one half, as COCO interpolates it: the highest at any higher
    recall; -1 for a class without annotation."""
    outcomes: Outcomes
    """The detections, at most a hundred of a class and frame, and whether they are right at an overlap of one half; by descending
    score."""


def average_precision(annotations: Iterable[Instances], detections: Iterable[Sequence[Detection]]) -> AveragePrecision:
    """COCO's average precision, and what it is the area of.

    Args:
        annotations: What is in each frame.
        detections: What was detected in each frame, in the same order.
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
    scores, right = masks.outcomes.scores, np.cumsum(masks.outcomes.right)
    precise = np.flatnonzero(2 * right >= np.arange(1, 1 + len(scores)))
    of_all, boxes_of_all = masks.precision[..., _ANY_SIZE], boxes.precision[..., _ANY_SIZE]
    metrics = {
        "ap": _mean(of_all),
        "ap50": _mean(of_all[_HALF]),
        "box_ap": _mean(boxes_of_all),
        "box_ap50": _mean(boxes_of_all[_HALF]),
        "per_class": {label.name: _mean(of_all[:, :, index]) for index, label in enumerate(VEIS_LABELS)},
        "per_size": {size: _mean(masks.precision[..., index]) for index, size in enumerate(_SIZES, start=1)},
        "at_score": {f"{score}": _at_score(masks.outcomes, score, len(truth)) for score in _SCORES},
        "half_right_from": round(float(scores[precise[-1]]), 3) if len(precise) else None,
    }
    return AveragePrecision(metrics, of_all[_HALF], masks.outcomes)


class _Accumulated(NamedTuple):
    precision: Float[np.ndarray, "overlaps recalls classes sizes"]
    """At each overlap, recall, class and size (any, small, medium, large); -1 without annotation."""
    outcomes: Outcomes
    """See :class:`AveragePrecision`."""


def _accumulated(
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
    kind: str,
) -> _Accumulated:
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = {"images": images, "categories": categories, "annotations": truth}
        annotated.createIndex()
        detected = annotated.loadRes([dict(item) for item in found]) if found else COCO()
        evaluation = COCOeval(annotated, detected, kind)
        evaluation.evaluate()
        evaluation.accumulate()
    hundred_detections = 2
    precision = np.asarray(evaluation.eval["precision"][..., hundred_detections])
    results = np.reshape(np.array(evaluation.evalImgs, object), (len(categories), -1, len(images)))[:, _ANY_SIZE].ravel()
    matched = [item for item in results if item]
    counts = [len(item["dtScores"]) for item in matched]
    image_ids, classes = (np.repeat([item[key] for item in matched], counts) for key in ("image_id", "category_id"))
    scores = np.concatenate([np.empty(0), *(item["dtScores"] for item in matched)])
    right = np.concatenate([np.empty(0, bool), *(item["dtMatches"][_HALF] > 0 for item in matched)])
    order = np.argsort(-scores, kind="stable")
    return _Accumulated(precision, Outcomes(image_ids[order] - 1, classes[order], scores[order], right[order]))


def _at_score(outcomes: Outcomes, score: float, instances: int) -> dict[str, float | None]:
    kept = outcomes.right[outcomes.scores >= score]
    return {
        "precision": round(100 * float(kept.mean()), 3) if len(kept) else None,
        "recall": round(100 * float(kept.sum()) / instances, 3) if instances else None,
    }


def _mean(precision: Float[np.ndarray, "..."]) -> float | None:
    valid = precision[precision > -1]
    return round(100 * float(valid.mean()), 3) if valid.size else None


def curves_table(precision: Float[np.ndarray, "101 classes"]) -> str:
    """Precision-recall curves as CSV, in %: a row for each recall, the mean of the classes, then each class that is annotated."""
    present = np.flatnonzero(precision[0] > -1)
    return to_csv(
        ("recall", "precision", *(VEIS_LABELS[index].name for index in present)),
        (
            (recall, *(round(float(value), 2) for value in (values.mean() if len(values) else 0.0, *values)))
            for recall, values in enumerate(100 * precision[:, present])
        ),
    )


class DetectorEvaluation(NamedTuple):
    """What :func:`evaluate_detector` gives."""

    metrics: dict[str, Any]
    """``frames``, ``instances``, annotated ``classes``, the values of :class:`AveragePrecision`, and ``cityscapes``, those
    of :func:`synth2real.instances.cityscapes.cityscapes_average_precision`; ``calibration``: the detection expected calibration
    error ``ece`` and the ``mean_score`` of scores as they are (``none``) and calibrated, see
    :func:`synth2real.instances.calibration.reliability`; ``untrained``: the scores of an untrained one."""
    curves: str
    """CSV: see :func:`curves_table`."""
    reliability: str
    """CSV: see :func:`synth2real.instances.calibration.reliability_table`."""
    calibrations: Mapping[Method, Calibration]
    """Those given, or else those fitted to all of the frames."""
    pictures: UInt8[np.ndarray, "height width 3"]
    """Some frames with their annotation, and with the detections that prediction keeps."""


def evaluate_detector(
    detector: Detector,
    network: DetectorNetwork,
    images: FrameSet,
    annotations: FrameSet,
    *,
    min_area: int,
    settings: PredictionSettings,
    hardware: HardwareSettings,
    untrained: bool,
    calibrations: Mapping[Method, Calibration] | None = None,
) -> DetectorEvaluation:
    """Scores a trained detector, and an untrained one (pre-trained backbone, random heads).

    COCO's scores see only the classes of which some instance is annotated: Cityscapes tells no instances of traffic lights and
    signs apart, so nobody can say which detections of them are right.

    Args:
        detector: The trained one.
        network: What both look like.
        images: Frame set with images; it may hold more frames.
        annotations: Frame set with the instances of the frames to score, none of which the detector was trained on.
        min_area: Instances of fewer pixels do not count in COCO's scores.
        settings: What of the detectors' output is kept, but for ``min_score``: all from 0.05 on counts.
        hardware: On what to run.
        untrained: Whether to score an untrained detector too.
        calibrations: Of the detector's scores, to be judged on these frames. None fits them to these frames; either half of the
            frames is then judged by calibrations that were fitted to the other.

    Raises:
        FrameError: If an image or instance map is missing or damaged, or there is no instance.
    """
    frames = annotations.frames

    def annotated(frame: Frame) -> Instances:
        return instances_of(annotations.instances(frame), min_area)

    numbers = np.zeros(1 + len(VEIS_LABELS), np.int64)
    for frame in frames:
        numbers += np.bincount(annotated(frame).labels, minlength=len(numbers))
    if not numbers.any():
        raise FrameError(
            f"{annotations.root / 'instances'}: expected instances (label_id * 1000 + n, at least {min_area} pixels) of "
            f"{', '.join(label.name for label in VEIS_LABELS)}; found none in {len(frames)} frames. Score on others."
        )

    def found_by(candidate: Detector, description: str) -> list[list[Detection]]:
        kept = replace(settings, min_score=LOWEST_SCORE)
        results = detect(candidate, FrameSet(images.root, frames), network.size, kept, hardware)
        return list(track(results, description, len(frames)))

    def score(found: list[list[Detection]]) -> AveragePrecision:
        of_classes = [[item for item in items if numbers[item.category_id]] for items in found]
        coco = average_precision(map(annotated, frames), of_classes)
        official = cityscapes_average_precision(map(annotations.instances, frames), found)
        return coco._replace(metrics=coco.metrics | {"cityscapes": official})

    found = found_by(detector, "Trained")
    metrics, precision, outcomes = score(found)
    reliabilities = {"none": reliability(outcomes.scores, outcomes.right)}
    for method in METHODS:
        if calibrations is None:
            probabilities = cross_fitted(outcomes, method, len(frames))
        else:
            probabilities = calibrations[method](outcomes.categories, outcomes.scores)
        reliabilities[method] = reliability(probabilities, outcomes.right)
    if calibrations is None:
        calibrations = {method: fit_calibration(outcomes, method) for method in METHODS}
    shown = np.unique(np.linspace(0, len(frames) - 1, min(_PICTURES, len(frames))).round().astype(int))
    pairs = [(images.image(frames[index]), annotated(frames[index]), found[index]) for index in shown]
    return DetectorEvaluation(
        {
            "frames": len(frames),
            "instances": int(numbers.sum()),
            "classes": [label.name for category, label in enumerate(VEIS_LABELS, start=1) if numbers[category]],
            **metrics,
            "calibration": {kind: {"ece": item.ece, "mean_score": item.mean_score} for kind, item in reliabilities.items()},
        }
        | ({"untrained": score(found_by(build_detector(network, _UNTRAINED_SEED), "Untrained")).metrics} if untrained else {}),
        curves_table(precision),
        reliability_table(reliabilities),
        calibrations,
        sheet(
            [[draw_annotation(image, truth), draw_detections(image, items, settings.min_score)] for image, truth, items in pairs]
        ),
    )
