"""What one step buys: paired comparisons of predictions of the same frames, by models trained with the same seeds.

Two predictions err on the same difficult frames, so the difference of their scores is known better than either score. Each
resample of the frames (see :mod:`synth2real.evaluation.resampling`) scores both; the interval is of the difference. How far
another training would change it is told by its standard deviation over the seeds, which the interval does not hold: with several
seeds, every resample's score is the mean over them.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32, Num

from synth2real.confusion import mean_of_present
from synth2real.evaluation.counts import read_pixel_counts
from synth2real.evaluation.evaluate import EvaluationSettings
from synth2real.evaluation.resampling import BootstrapSettings, frame_weights, interval, resampled_scores
from synth2real.evaluation.scores import percent
from synth2real.frames import FrameError
from synth2real.label_space import LABEL_SPACES, LabelSpace

ORACLE: Final = "oracle"
"""The model trained on the target's labels: the bound that the others are measured by."""

SeedScores = Mapping[str, Float64[np.ndarray, "seeds draws *classes"]]
"""``miou``, ``pixel_accuracy`` and ``iou`` of one model's predictions, in [0, 1]. The first draw has every frame once; the others
are the resamples."""


def seed_scores(
    pixels: Sequence[Num[np.ndarray, "frames ids ids"]], space: LabelSpace, settings: BootstrapSettings
) -> SeedScores:
    """Scores of one model's predictions, seed by seed, of all frames and of each resample of them.

    Args:
        pixels: Pixel counts of the same frames for each seed.
        space: What to score in.
        settings: Resamples.
    """
    frames = len(pixels[0])
    weights = np.concatenate([np.ones((1, frames)), frame_weights(frames, settings)])
    of_seeds = [resampled_scores(item, weights, space) for item in pixels]
    return {key: np.stack([scores[key] for scores in of_seeds]) for key in of_seeds[0]}


def compare(before: SeedScores, after: SeedScores, space: LabelSpace, confidence: float) -> dict[str, Any]:
    """What ``after`` gains over ``before``, in percentage points.

    Gives for ``miou`` and ``pixel_accuracy`` the mean gain over the seeds, its standard deviation over them (``_sd``; None for a
    single seed), the gain of each seed (``_seeds``) and the interval over frames of the mean (``_interval``); ``iou`` as mean
    gain, lower and upper bound by class (None for a class that has no IoU in both); and the numbers ``classes_gained`` and
    ``classes_lost`` of classes whose interval excludes zero.

    Args:
        before: As :func:`seed_scores` gives them.
        after: Of another prediction of the same frames, with the same seeds and resamples.
        space: What was scored in.
        confidence: Of the intervals.
    """
    gains = {key: after[key] - before[key] for key in after}
    iou = _over_seeds(gains["iou"])
    low, high = interval(iou[1:], confidence)
    return {
        **{key: value for name in ("miou", "pixel_accuracy") for key, value in _summary(name, gains[name], confidence).items()},
        "classes_gained": int((low > 0).sum()),
        "classes_lost": int((high < 0).sum()),
        "iou": {
            name: None if np.isnan(gain) else [percent(gain), percent(lower), percent(upper)]
            for name, gain, lower, upper in zip(space.class_names, iou[0], low, high, strict=True)
        },
    }


def compare_ladder(counts: Path, models: Sequence[str], seeds: Sequence[int], settings: EvaluationSettings) -> dict[str, Any]:
    """Sums up each model over its seeds, and compares it with the one before it, and its fused prediction with the unfused.

    Args:
        counts: Folder of ``<model>/seed-<seed>.npz``, as :func:`synth2real.evaluation.counts.write_pixel_counts` writes them.
        models: The ladder, in order.
        seeds: Those that every model was trained with.
        settings: Label space and resamples.

    Returns:
        ``label_space``, ``split``, ``frames``, ``seeds``; ``model``: for each model and kind of prediction (``unfused``,
        ``fused``) ``miou`` as :func:`compare` gives gains, ``classes_present`` (of the mean; the fewest of any seed) and
        ``gap_closed``; ``step``: for each model but the first, ``over`` (the model before it) and :func:`compare` of every kind
        that both have; ``fusion``: for each model, fused compared with unfused.

        ``gap_closed`` is the share, in %, of the way from the first model's unfused mIoU to that of :data:`ORACLE`, for unfused
        and fused predictions alike; None without an oracle, or where it is no better than the first.

    Raises:
        FrameError: If there is no model or no seed, a file is missing or damaged, or the models were scored on different frames.
    """
    if not models or not seeds:
        raise FrameError(
            f"{counts}: nothing to compare for ladder {list(models)} and seeds {list(seeds)}; name at least one each."
        )
    space, confidence = LABEL_SPACES[settings.label_space], settings.bootstrap.confidence
    frames, pixels = _read_counts(counts, models, seeds)
    scores = {
        model: {kind: seed_scores(item, space, settings.bootstrap) for kind, item in kinds.items()}
        for model, kinds in pixels.items()
    }
    return {
        "label_space": space.name,
        "split": settings.split,
        "frames": frames,
        "seeds": list(seeds),
        "model": {
            model: {kind: _model(item, scores[models[0]], scores.get(ORACLE), confidence) for kind, item in kinds.items()}
            for model, kinds in scores.items()
        },
        "step": {
            model: {
                "over": before,
                **{
                    kind: compare(scores[before][kind], scores[model][kind], space, confidence)
                    for kind in scores[before]
                    if kind in scores[model]
                },
            }
            for before, model in pairwise(models)
        },
        "fusion": {
            model: compare(kinds["unfused"], kinds["fused"], space, confidence)
            for model, kinds in scores.items()
            if "fused" in kinds
        },
    }


def _read_counts(
    counts: Path, models: Sequence[str], seeds: Sequence[int]
) -> tuple[int, dict[str, dict[str, list[Int32[np.ndarray, "frames ids ids"]]]]]:
    """The number of frames; by model and kind of prediction, the counts of each seed."""
    first = counts / models[0] / f"seed-{seeds[0]}.npz"
    frame_ids, _ = read_pixel_counts(first)
    pixels: dict[str, dict[str, list[Int32[np.ndarray, "frames ids ids"]]]] = {}
    for model in models:
        of_seeds: list[dict[str, Int32[np.ndarray, "frames ids ids"]]] = []
        for seed in seeds:
            path = counts / model / f"seed-{seed}.npz"
            other, kinds = read_pixel_counts(path)
            if other != frame_ids:
                raise FrameError(
                    f"{path}: scored on {len(other)} frames, {first} on {len(frame_ids)}, and they are not the same; such scores "
                    "cannot be compared. Evaluate all models again (dvc repro evaluate)."
                )
            if of_seeds and kinds.keys() != of_seeds[0].keys():
                raise FrameError(
                    f"{path}: holds the predictions {', '.join(kinds)}, another seed's {', '.join(of_seeds[0])}. Evaluate all "
                    "seeds of the model alike (dvc repro evaluate)."
                )
            of_seeds.append(kinds)
        pixels[model] = {kind: [item[kind] for item in of_seeds] for kind in of_seeds[0]}
    return len(frame_ids), pixels


def _model(
    scores: SeedScores, first: Mapping[str, SeedScores], oracle: Mapping[str, SeedScores] | None, confidence: float
) -> dict[str, Any]:
    return {
        **_summary("miou", scores["miou"], confidence),
        "classes_present": int(np.isfinite(scores["iou"][:, 0]).sum(axis=1).min()),
        "gap_closed": None if oracle is None else percent(_gap_closed(scores, first["unfused"], oracle["unfused"])),
    }


def _gap_closed(scores: SeedScores, first: SeedScores, oracle: SeedScores) -> float:
    miou, low, high = (float(item["miou"][:, 0].mean()) for item in (scores, first, oracle))
    return (miou - low) / (high - low) if high > low else np.nan


def _summary(name: str, values: Float64[np.ndarray, "seeds draws"], confidence: float) -> dict[str, Any]:
    """Mean over seeds, standard deviation, value of each seed, and interval over frames, in %, under a score's name."""
    of_seeds = values[:, 0]
    return {
        name: percent(of_seeds.mean()),
        f"{name}_sd": percent(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else None,
        f"{name}_seeds": [*map(percent, of_seeds)],
        f"{name}_interval": [*map(percent, interval(values.mean(axis=0)[1:], confidence))],
    }


def _over_seeds(values: Float64[np.ndarray, "seeds draws classes"]) -> Float64[np.ndarray, "draws classes"]:
    """The mean over the seeds that have a score; NaN where none has."""
    return mean_of_present(np.moveaxis(values, 0, -1))
