"""Scores from counts, in a chosen label space, by the official Cityscapes rules.

Cordts et al., "The Cityscapes Dataset", CVPR 2016, section 4.1, as in cityscapesScripts: over all frames together, at the
annotation's own resolution, the IoU of each class (see :mod:`synth2real.confusion`) and ``iIoU = iTP / (iTP + FP + iFN)`` of each
class of things, where the pixels of each annotated instance are weighted by the class's average instance size over the size of
the instance.

All functions take counts with any leading axes, such as one of resamples.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Num

from synth2real.confusion import (
    FrameCounts,
    class_of_id,
    confusion_matrix,
    ious,
    mean_of_present,
    members_of,
    pixel_accuracy,
    ratio,
)
from synth2real.label_space import LABEL_BY_NAME, LABELS, NUM_LABEL_IDS, LabelSpace

MEAN_INSTANCE_SIZE: Final[Mapping[str, float]] = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "caravan": 36771.8241758242,
    "trailer": 16926.9763313609,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}
"""Average size of an instance in pixels of Cityscapes' training frames (2048x1024), as cityscapesScripts has it. The sizes
are not scaled to other resolutions, just as there: on smaller frames false positives weigh less, so iIoU compares at one
resolution only."""

_INSTANCE_WEIGHTS: Final = np.array([MEAN_INSTANCE_SIZE.get(label.name, 0.0) for label in LABELS])


def categories(space: LabelSpace) -> tuple[str, ...]:
    """Cityscapes' categories that the space's classes fall into; none where a class spans two, as CamVid's bicyclist does."""
    of_classes = [{LABEL_BY_NAME[member].category for member in group} for group in space.groups]
    if any(len(found) > 1 for found in of_classes):
        return ()
    return tuple(dict.fromkeys(label.category for label in LABELS if {label.category} in of_classes))


def category_ious(counts: Num[np.ndarray, "*frames ids ids"], space: LabelSpace) -> Float64[np.ndarray, "*frames categories"]:
    """Intersection over union of each of :func:`categories`: confusions within a category are forgiven."""
    names = categories(space)
    category_of_class = [names.index(LABEL_BY_NAME[group[0]].category) for group in space.groups]
    columns = members_of(len(names) + 1, np.array([*category_of_class, len(names)]))
    return ious(columns[:-1, :-1] @ confusion_matrix(counts, space) @ columns.T)


def things(space: LabelSpace) -> tuple[str, ...]:
    """Classes of which Cityscapes annotates instances."""
    pairs = zip(space.class_names, space.groups, strict=True)
    return tuple(name for name, group in pairs if all(LABEL_BY_NAME[member].is_thing for member in group))


def instance_ious(counts: FrameCounts, space: LabelSpace) -> Float64[np.ndarray, "*frames things"]:
    """IIoU of each of :func:`things`, in [0, 1]; NaN for a class without annotated instances and false positives.

    Raises:
        ValueError: If the counts hold no instances.
    """
    chosen = [space.class_names.index(name) for name in things(space)]
    classes = class_of_id(space)
    rows = members_of(len(space.class_names), classes)[chosen]
    return _instance_ious(counts, rows, rows, (classes < len(space.class_names)) - rows)


def thing_categories(space: LabelSpace) -> tuple[str, ...]:
    """Categories all of whose labels have instances: human and vehicle."""
    return tuple(name for name in categories(space) if all(label.is_thing for label in LABELS if label.category == name))


def category_instance_ious(counts: FrameCounts, space: LabelSpace) -> Float64[np.ndarray, "*frames categories"]:
    """IIoU of each of :func:`thing_categories`.

    As in cityscapesScripts, predicted labels that the benchmark ignores (caravan, trailer) do count for their category here.

    Raises:
        ValueError: If the counts hold no instances.
    """
    columns = np.array([[label.category == name for label in LABELS] for name in thing_categories(space)], np.float64)
    columns = columns.reshape(-1, NUM_LABEL_IDS)
    is_valid = class_of_id(space) < len(space.class_names)
    return _instance_ious(counts, columns * is_valid, columns, is_valid * (1 - columns))


def _instance_ious(
    counts: FrameCounts,
    annotated: Num[np.ndarray, "groups ids"],
    predicted: Num[np.ndarray, "groups ids"],
    others: Num[np.ndarray, "groups ids"],
) -> Float64[np.ndarray, "*frames groups"]:
    """IIoU of groups of label ids: of ``annotated`` instances, hit by ``predicted``, with false positives on ``others``."""
    if counts.instances is None:
        raise ValueError("these counts hold no instances; count with the annotation's instance ids.")
    weighted = counts.instances * _INSTANCE_WEIGHTS[:, None]
    hits = np.einsum("gi,...ij,gj->...g", annotated, weighted, predicted)
    false_positives = np.einsum("gi,...ij,gj->...g", others, counts.pixels.astype(np.float64), predicted)
    return ratio(hits, weighted.sum(axis=-1) @ annotated.T + false_positives)


def summarise(counts: FrameCounts, space: LabelSpace) -> dict[str, Any]:
    """The scores that a paper's table holds, in % to two decimals; None for what has no score.

    Gives the means ``miou`` and ``category_miou``, and with instances ``miiou`` and ``category_miiou``, each with the number of
    classes in it; ``pixel_accuracy``; and ``iou``, ``category_iou``, ``iiou`` and ``category_iiou`` by name. Spaces whose classes
    span categories have no category scores.

    Args:
        counts: Sums over frames.
        space: What to score in.
    """
    confusion = confusion_matrix(counts.pixels, space)
    measures = {"iou": ("classes_present", space.class_names, ious(confusion))}
    if names := categories(space):
        measures["category_iou"] = ("categories_present", names, category_ious(counts.pixels, space))
    if counts.instances is not None:
        measures["iiou"] = ("instance_classes_present", things(space), instance_ious(counts, space))
        if names := thing_categories(space):
            measures["category_iiou"] = ("instance_categories_present", names, category_instance_ious(counts, space))
    means = {}
    for key, (present, _, scores) in measures.items():
        *prefix, last = key.rsplit("_", 1)
        means["_".join((*prefix, f"m{last}"))] = percent(mean_of_present(scores))
        means[present] = int(np.isfinite(scores).sum())
    return {
        **means,
        "pixel_accuracy": percent(pixel_accuracy(confusion)),
        **{key: by_name(names, scores) for key, (_, names, scores) in measures.items()},
    }


def majority(pixels: Num[np.ndarray, "ids ids"], space: LabelSpace) -> dict[str, Any]:
    """The baseline that needs no model: the constant prediction that scores best.

    Gives its ``miou`` (%), the number ``classes_present`` of classes in that mean, and its ``class``: the one with the most
    annotated pixels, as every other constant has a smaller IoU of its own, and zero elsewhere.
    """
    annotated = confusion_matrix(pixels, space).sum(axis=1)
    best = int(annotated.argmax())
    constant = np.zeros((len(annotated), len(annotated) + 1))
    constant[:, best] = annotated
    scores = ious(constant)
    return {
        "miou": percent(mean_of_present(scores)),
        "classes_present": int(np.isfinite(scores).sum()),
        "class": space.class_names[best],
    }


def by_name(names: tuple[str, ...], scores: Float64[np.ndarray, " classes"]) -> dict[str, float | None]:
    """Scores in %, to two decimals, by the class's name; None for NaN."""
    return {name: percent(score) for name, score in zip(names, scores, strict=True)}


def percent(share: Any) -> float | None:
    """A number in % to two decimals; None for NaN."""
    return round(100 * float(share), 2) + 0.0 if np.isfinite(share) else None  # + 0.0 turns -0.0 into 0.0


def as_json(scores: Mapping[str, Any]) -> str:
    """Scores as indented JSON with each list, such as an interval, on one line."""
    return re.sub(r"\[\n[^][{}]*\]", lambda match: json.dumps(json.loads(match[0])), json.dumps(scores, indent=2)) + "\n"
