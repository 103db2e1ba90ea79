"""What one step buys: paired comparisons of predictions of the same frames.

Two predictions err on the same difficult frames, so the difference of their scores is known better than either score. Each
resample of the frames (see :mod:`synth2real.evaluation.resampling`) scores both; the interval is of the difference.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from synth2real.evaluation.counts import read_pixel_counts
from synth2real.evaluation.evaluate import EvaluationSettings
from synth2real.evaluation.resampling import BootstrapSettings, frame_weights, interval, resampled_scores
from synth2real.evaluation.scores import percent
from synth2real.frames import FrameError
from synth2real.label_space import LABEL_SPACES, LabelSpace


def compare(
    before: Int32[np.ndarray, "frames ids ids"],
    after: Int32[np.ndarray, "frames ids ids"],
    space: LabelSpace,
    settings: BootstrapSettings,
) -> dict[str, Any]:
    """What ``after`` gains over ``before``, in percentage points.

    Gives ``miou`` and ``pixel_accuracy`` with their intervals, ``iou`` as gain, lower and upper bound by class (None for a class
    that has no IoU in both), and the numbers ``classes_gained`` and ``classes_lost`` of classes whose interval excludes zero.

    Args:
        before: Pixel counts of each frame.
        after: The same frames' counts of another prediction.
        space: What to score in.
        settings: Resamples.
    """
    once = np.ones((1, len(before)))
    weights = frame_weights(len(before), settings)
    old, new = (resampled_scores(item, np.concatenate([once, weights]), space) for item in (before, after))
    gains = {key: new[key] - old[key] for key in new}
    bounds = {key: interval(gain[1:], settings.confidence) for key, gain in gains.items()}
    low, high = bounds["iou"]
    return {
        **{key: percent(gains[key][0]) for key in ("miou", "pixel_accuracy")},
        **{f"{key}_interval": [*map(percent, bounds[key])] for key in ("miou", "pixel_accuracy")},
        "classes_gained": int((low > 0).sum()),
        "classes_lost": int((high < 0).sum()),
        "iou": {
            name: None if np.isnan(gain) else [percent(gain), percent(lower), percent(upper)]
            for name, gain, lower, upper in zip(space.class_names, gains["iou"][0], low, high, strict=True)
        },
    }


def compare_ladder(counts: Path, models: Sequence[str], settings: EvaluationSettings) -> dict[str, Any]:
    """Compares each model of the ladder with the one before it, and each fused prediction with the unfused.

    Args:
        counts: Folder of ``<model>.npz``, as :func:`synth2real.evaluation.counts.write_pixel_counts` writes them.
        models: The ladder, in order.
        settings: Label space and resamples.

    Returns:
        ``label_space``, ``split``, ``frames``; ``step``: for each model but the first, ``over`` (the model before it) and the
        comparison of every kind of prediction that both have; ``fusion``: for each model, fused compared with unfused. See
        :func:`compare`.

    Raises:
        FrameError: If a file is missing or damaged, or the models were scored on different frames.
    """
    space = LABEL_SPACES[settings.label_space]
    paths = [counts / f"{model}.npz" for model in models]
    content = [read_pixel_counts(path) for path in paths]
    frame_ids = content[0][0]
    for path, (other, _) in zip(paths, content, strict=True):
        if other != frame_ids:
            raise FrameError(
                f"{path}: scored on {len(other)} frames, {paths[0]} on {len(frame_ids)}, and they are not the same; such scores "
                "cannot be compared. Evaluate all models again (dvc repro evaluate)."
            )
    pixels = {model: item for model, (_, item) in zip(models, content, strict=True)}
    return {
        "label_space": space.name,
        "split": settings.split,
        "frames": len(frame_ids),
        "step": {
            model: {
                "over": before,
                **{
                    kind: compare(pixels[before][kind], pixels[model][kind], space, settings.bootstrap)
                    for kind in pixels[before]
                    if kind in pixels[model]
                },
            }
            for before, model in pairwise(models)
        },
        "fusion": {
            model: compare(kinds["unfused"], kinds["fused"], space, settings.bootstrap)
            for model, kinds in pixels.items()
            if "fused" in kinds
        },
    }
