"""Scores predictions of annotated frames: streaming, over processes, each file decoded once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int32, Int64

from synth2real.confusion import FrameCounts, confusion_matrix, count_frame, mean_of_present
from synth2real.evaluation.boundaries import boundary_f
from synth2real.evaluation.calibration import count_confidences, summarise_calibration
from synth2real.evaluation.resampling import BootstrapSettings, frame_weights, interval, resampled_scores
from synth2real.evaluation.scores import by_name, majority, percent, summarise
from synth2real.frames import Frame, FrameError, FrameSet, map_frames, read_frames
from synth2real.label_space import LABEL_SPACES, LabelSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """The section ``evaluation`` of params.yaml."""

    label_space: str
    """Classes to score in: cityscapes19, synthia16, synthia13 or camvid11."""
    split: str
    """The annotated split to score on."""
    boundary_tolerance: float | None
    """Of the boundary F-score, as a share of the frame's diagonal; None leaves that score out."""
    bootstrap: BootstrapSettings

    def __post_init__(self) -> None:
        if self.label_space not in LABEL_SPACES:
            raise ValueError(f"label_space must be one of {', '.join(LABEL_SPACES)}, found {self.label_space!r}")
        if self.boundary_tolerance is not None and not 0 < self.boundary_tolerance <= 0.1:
            raise ValueError(f"boundary_tolerance must be in (0, 0.1] or null, found {self.boundary_tolerance}")


class Evaluation(NamedTuple):
    """Scores, and the counts that they are made of."""

    scores: dict[str, Any]
    """``label_space``, ``split``, ``frames``, each prediction's scores under its name, and ``majority``."""
    frame_ids: tuple[str, ...]
    pixels: dict[str, Int32[np.ndarray, "frames ids ids"]]
    """Of each prediction by name; see :class:`synth2real.confusion.FrameCounts`."""


class _Measured(NamedTuple):
    """One prediction of one frame."""

    counts: FrameCounts
    boundary: Float64[np.ndarray, " classes"] | None
    confidences: Int64[np.ndarray, "2 256"] | None


def evaluate(annotations: Path, predictions: Mapping[str, Path], settings: EvaluationSettings, *, workers: int) -> Evaluation:
    """Scores predictions of the same frames against their annotation.

    A prediction's scores are those of :func:`synth2real.evaluation.scores.summarise` (instance-weighted ones where the frames
    have annotated instances); ``boundary_f`` (the mean over frames of the mean over a frame's classes, Csurka et al. 2013), the
    number ``boundary_classes_present`` of classes that have an outline at all, and ``boundary_f_classes`` (the mean over the
    frames where the class has an outline); for predictions with ``confidences/`` their calibration, see
    :func:`synth2real.evaluation.calibration.summarise_calibration`; and the bootstrap's bounds ``miou_interval``,
    ``pixel_accuracy_interval`` and ``iou_interval``. All in %, to two decimals; None for what has no score.

    Args:
        annotations: Frame set with annotated ``labels/``, and maybe ``instances/``.
        predictions: For each name, such as ``unfused``, a frame set with predicted ``labels/``; it may hold more frames.
        settings: What to score.
        workers: Processes.

    Raises:
        FrameError: If a frame has no prediction or one of another size, a file is damaged, some but not all frames have
            instances or confidences, or nothing is annotated.
    """
    space = LABEL_SPACES[settings.label_space]
    annotated = read_frames(annotations).split(settings.split)
    predicted = [_matching(annotated, read_frames(root)) for root in predictions.values()]
    work = partial(
        _measure_frame,
        annotated=annotated,
        has_instances=_have_all(annotated.frames, annotated.instances_path, "instance ids. Prepare that data set"),
        predicted=predicted,
        has_confidence=[_have_all(annotated.frames, item.confidence_path, "confidences. Predict") for item in predicted],
        space=space,
        boundary_tolerance=settings.boundary_tolerance,
    )
    measured = list(map_frames(work, annotated.frames, workers=workers, description="Evaluating"))
    of_predictions = dict(zip(predictions, map(list, zip(*measured, strict=True)), strict=True))
    pixels = {name: np.stack([item.counts.pixels for item in items]) for name, items in of_predictions.items()}
    total = next(iter(pixels.values())).sum(axis=0, dtype=np.int64)
    if not confusion_matrix(total, space).sum():
        raise FrameError(f"{annotations}: no pixel of split {settings.split} is annotated with a class of {space.name}.")
    scores = {
        "label_space": space.name,
        "split": settings.split,
        "frames": len(annotated),
        **{name: _scores(items, pixels[name], space, settings.bootstrap) for name, items in of_predictions.items()},
        "majority": majority(total, space),
    }
    return Evaluation(scores, tuple(frame.frame_id for frame in annotated.frames), pixels)


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


def _have_all(frames: tuple[Frame, ...], path_of: Callable[[Frame], Path], remedy: str) -> bool:
    """Whether all frames have such a file, not none."""
    missing = [path for frame in frames if not (path := path_of(frame)).is_file()]
    if missing and len(missing) < len(frames):
        raise FrameError(
            f"{missing[0]}: no such file, nor for {len(missing) - 1} more of the {len(frames)} frames to score; the others "
            f"have {remedy} again, with them for all frames of the split or for none."
        )
    return not missing


def _measure_frame(
    frame: Frame,
    annotated: FrameSet,
    has_instances: bool,
    predicted: list[FrameSet],
    has_confidence: list[bool],
    space: LabelSpace,
    boundary_tolerance: float | None,
) -> list[_Measured]:
    annotation = annotated.label(frame)
    predictions = [item.label(frame) for item in predicted]
    counts = count_frame(annotation, predictions, annotated.instances(frame) if has_instances else None)
    return [
        _Measured(
            frame_counts,
            None if boundary_tolerance is None else boundary_f(annotation, prediction, space, boundary_tolerance),
            count_confidences(annotation, prediction, item.confidence(frame), space) if is_confident else None,
        )
        for frame_counts, prediction, item, is_confident in zip(counts, predictions, predicted, has_confidence, strict=True)
    ]


def _scores(
    measured: list[_Measured], pixels: Int32[np.ndarray, "frames ids ids"], space: LabelSpace, settings: BootstrapSettings
) -> dict[str, Any]:
    instances = [item.counts.instances for item in measured if item.counts.instances is not None]
    scores = summarise(FrameCounts(pixels.sum(axis=0, dtype=np.int64), np.sum(instances, axis=0) if instances else None), space)
    boundaries = [item.boundary for item in measured if item.boundary is not None]
    if boundaries:
        of_classes = mean_of_present(np.stack(boundaries, axis=1))
        scores["boundary_f"] = percent(mean_of_present(mean_of_present(np.stack(boundaries))))
        scores["boundary_classes_present"] = int(np.isfinite(of_classes).sum())
        scores["boundary_f_classes"] = by_name(space.class_names, of_classes)
    confidences = [item.confidences for item in measured if item.confidences is not None]
    if confidences:
        scores |= summarise_calibration(np.sum(confidences, axis=0))
    resamples = resampled_scores(pixels, frame_weights(len(pixels), settings), space)
    bounds = {key: interval(samples, settings.confidence) for key, samples in resamples.items()}
    low, high = (by_name(space.class_names, bound) for bound in bounds.pop("iou"))
    return {
        **scores,
        **{f"{key}_interval": [*map(percent, bound)] for key, bound in bounds.items()},
        "iou_interval": {name: [low[name], high[name]] for name in space.class_names},
    }
