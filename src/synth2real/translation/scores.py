"""How far translated frames are from the target, how varied they are, and how much of the source's content they keep.

Distances are taken between features of Inception-v3, under the usual names ``fid`` and ``kid``, where its weights are at hand.
Over the offline EfficientNet-Lite0 they carry its name: ``fd_lite0`` and ``kd_lite0`` cannot be compared with FID and KID.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from rich.progress import track

from synth2real.confusion import confusion_matrix, count_frame, ious, mean_of_present, pixel_accuracy
from synth2real.encoders import OFFLINE_ENCODER
from synth2real.frames import FrameError, FrameSet, read_bytes, read_frames
from synth2real.hardware import HardwareSettings
from synth2real.label_space import LABEL_SPACES, NUM_LABEL_IDS, TRAIN_ID_TO_LABEL_ID
from synth2real.models import inference_device
from synth2real.translation.data import evenly_spread
from synth2real.translation.distances import (
    colour_distance,
    diversity,
    fast_frechet_distance,
    frechet_distance,
    kernel_distance,
    precision_recall,
    with_interval,
)
from synth2real.translation.features import INCEPTION, Statistics, feature_extractor, statistics

_log = logging.getLogger(__name__)

METRICS: Final = {
    INCEPTION: ("fid", "kid", "precision_inception", "recall_inception", "colour"),
    OFFLINE_ENCODER: ("fd_lite0", "kd_lite0", "precision_lite0", "recall_lite0", "colour"),
}
"""By network: the names of Fréchet distance, kernel distance, precision, recall, and colour distance (8-bit steps)."""
_LOWEST: Final = np.array((0, -np.inf, 0, 0, 0))
_HIGHEST: Final = np.array((np.inf, np.inf, 1, 1, np.inf))


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationScoreSettings:
    """The section ``translation_scores`` of params.yaml."""

    frames: int
    """Frames taken of each set, evenly spread; as many as the smallest set has, if that is fewer."""
    size: tuple[int, int]
    """(height, width) at which EfficientNet-Lite0 sees every frame, whatever its own size."""
    inception_weights: Path | None
    """Torch-fidelity's weights of Inception-v3; None takes EfficientNet-Lite0."""
    neighbours: int
    """How many make the neighbourhood of a frame in precision and recall."""
    resamples: int
    """Halves of the frames that are scored for each confidence interval."""
    confidence: float
    """Of the intervals, such as 0.95."""
    seed: int
    """Chooses these halves."""
    collapse_ratio: float
    """Below this share of the source's diversity, translated frames raise the alarm."""

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, got {self.neighbours}")
        if self.frames < self.least_frames:
            raise ValueError(f"frames must be at least 2 (neighbours + 1) = {self.least_frames}, got {self.frames}")
        if min(self.size) < 32:
            raise ValueError(f"size must be at least 32x32 (height x width), got {self.size[0]}x{self.size[1]}")
        if self.resamples < 20:
            raise ValueError(f"resamples must be at least 20, got {self.resamples}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be in 0..1, got {self.confidence}")
        if not 0 <= self.collapse_ratio < 1:
            raise ValueError(f"collapse_ratio must be in 0..1, got {self.collapse_ratio}")

    @property
    def least_frames(self) -> int:
        """What precision and recall of half of the frames need."""
        return 2 * (self.neighbours + 1)


# --- Distances ---------------------------------------------------------------------------------------------------------


def distances(first: Statistics, target: Statistics, neighbours: int, *, fast: bool = False) -> Float64[np.ndarray, "5"]:
    """The five measures of :data:`METRICS` between source or translated frames and target frames.

    Args:
        first: Of source or translated frames.
        target: Of as many target frames.
        neighbours: See :func:`synth2real.translation.distances.precision_recall`.
        fast: Take :func:`synth2real.translation.distances.fast_frechet_distance`.

    Raises:
        ValueError: If the sets differ in protocol or number of frames.
    """
    if first.protocol != target.protocol or len(first.features) != len(target.features):
        raise ValueError(
            f"features of {len(first.features)} frames by {first.protocol} and of {len(target.features)} by {target.protocol} "
            "cannot be compared; take both by one network, at one size, of equally many frames."
        )
    frechet = fast_frechet_distance if fast else frechet_distance
    return np.array(
        (
            frechet(first.features, target.features),
            kernel_distance(first.features, target.features),
            *precision_recall(first.features, target.features, neighbours),
            colour_distance(first.colours, target.colours),
        )
    )


def compared(
    source: Statistics, translated: Statistics, target: Statistics, settings: TranslationScoreSettings
) -> dict[str, dict[str, float]]:
    """Distances to the target before and after translation, and their change, each with a confidence interval.

    The change is resampled as one: each half of the target is compared with the same frames before and after translation, so what
    both distances owe to the choice of frames cancels out.

    Args:
        source: Of the source frames.
        translated: Of their translations, in the same order.
        target: Of as many target frames.
        settings: Resamples and neighbours.

    Returns:
        By metric: ``source``, ``translated`` and ``change`` (the second less the first), each also with ``_low`` and ``_high``.
    """

    def scores(first: np.ndarray, second: np.ndarray, fast: bool) -> Float64[np.ndarray, "3 5"]:
        halves = [distances(part.of(first), target.of(second), settings.neighbours, fast=fast) for part in (source, translated)]
        return np.stack((*halves, halves[1] - halves[0]))

    count = len(target.features)
    everything = np.arange(count)
    estimate = with_interval(
        scores(everything, everything, fast=False),
        partial(scores, fast=True),
        count,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    low, high = estimate.low, estimate.high
    low[:2], high[:2] = np.maximum(low[:2], _LOWEST), np.minimum(high[:2], _HIGHEST)
    return {
        metric: {
            f"{name}{suffix}": _rounded(values[row, column])
            for row, name in enumerate(("source", "translated", "change"))
            for suffix, values in (("", estimate.value), ("_low", low), ("_high", high))
        }
        for column, metric in enumerate(METRICS[target.protocol.network])
    }


def _rounded(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")


def diversities(
    source: Statistics, translated: Statistics, target: Statistics, settings: TranslationScoreSettings
) -> dict[str, float | bool]:
    """How varied each set's features are, and whether translation made frames alike: the alarm of mode collapse.

    A generator that gives much the same image whatever it is shown has lost the source's variety: the trace of the covariance
    of its images' features falls towards zero.

    Returns:
        ``source``, ``translated`` and ``target`` (see :func:`synth2real.translation.distances.diversity`), ``ratio`` (translated
        over source) and ``mode_collapse`` (whether it is below ``settings.collapse_ratio``; a warning is logged too).
    """
    values = [diversity(part.features) for part in (source, translated, target)]
    ratio = values[1] / values[0] if values[0] > 0 else 1.0
    if ratio < settings.collapse_ratio:
        _log.warning(
            "Mode collapse: translated frames have %.0f %% of the diversity of the source's (alarm below %.0f %%). Look at the "
            "samples; fewer steps, a lower learning rate, or a higher translation.loss.cycle and .identity may help.",
            100 * ratio,
            100 * settings.collapse_ratio,
        )
    named = dict(zip(("source", "translated", "target"), map(_rounded, values), strict=True))
    return {**named, "ratio": _rounded(ratio), "mode_collapse": ratio < settings.collapse_ratio}


# --- Content -----------------------------------------------------------------------------------------------------------

Predict = Callable[[UInt8[np.ndarray, "height width 3"]], UInt8[np.ndarray, "height width"]]
"""An RGB image to the train id of each pixel."""


def content_scores(images: FrameSet, annotations: FrameSet, predict: Predict) -> dict[str, float]:
    """How well a segmenter of untranslated frames finds the annotated content, in %.

    Args:
        images: Frames to look at.
        annotations: A frame set with a label for each of these frames, of the same size.
        predict: The segmenter.

    Returns:
        ``miou`` over the classes that are annotated or predicted, and ``pixel_accuracy``; ignored pixels do not count.

    Raises:
        FrameError: If image and label differ in size, or all is ignored.
    """
    counts: Int64[np.ndarray, "ids ids"] = np.zeros((NUM_LABEL_IDS, NUM_LABEL_IDS), np.int64)
    for frame in track(images.frames, f"content of {images.root}"):
        predicted = TRAIN_ID_TO_LABEL_ID[predict(images.image(frame))]
        counts += count_frame(annotations.label(frame), [predicted])[0].pixels
    confusion = confusion_matrix(counts, LABEL_SPACES["cityscapes19"])
    if not confusion.any():
        raise FrameError(f"{annotations.root / 'labels'}: every pixel of the chosen frames is ignored; nothing can be compared.")
    return {
        "miou": 100 * float(mean_of_present(ious(confusion))),
        "pixel_accuracy": 100 * float(pixel_accuracy(confusion)),
    }


# --- All of it ---------------------------------------------------------------------------------------------------------


class ScoredSets(NamedTuple):
    """The chosen frames: translated ones, the source frames that they were made of, target frames, and the source's labels."""

    source: FrameSet
    translated: FrameSet
    target: FrameSet
    annotations: FrameSet


def chosen_sets(
    source: Path,
    translated: Path,
    target: Path,
    settings: TranslationScoreSettings,
    *,
    annotations: Path | None = None,
    split: str = "train",
) -> ScoredSets:
    """Chooses equally many frames of each set, evenly spread: distances depend on the number.

    Args:
        source: Frame set that was translated, or photos whose label maps were painted.
        translated: Frame set with the results.
        target: Frame set whose split ``train`` shows what they should look like.
        settings: How many.
        annotations: Frame set with the source's labels; the source itself if None.
        split: Of the source.

    Raises:
        FrameError: If a set is unfinished or has too few such frames, or a translated frame is none of the source.
    """
    translations, targets = read_frames(translated).split(split), read_frames(target).split("train")
    of_source = {frame.frame_id: frame for frame in read_frames(source).split(split).frames}
    strangers = [frame.frame_id for frame in translations.frames if frame.frame_id not in of_source]
    if strangers:
        raise FrameError(
            f"{translated}: frame {strangers[0]} is none of {source}; translate that source again before it is scored."
        )
    for frames, name in ((translations, split), (targets, "train")):
        if len(frames) < settings.least_frames:
            raise FrameError(
                f"{frames.root}: expected at least {settings.least_frames} frames of the split {name}, found {len(frames)}. Add "
                "frames, or lower translation_scores.neighbours."
            )
    count = min(settings.frames, len(translations), len(targets))
    chosen = evenly_spread(translations, count)
    of_chosen = tuple(of_source[frame.frame_id] for frame in chosen.frames)
    return ScoredSets(
        FrameSet(source, of_chosen), chosen, evenly_spread(targets, count), FrameSet(annotations or source, of_chosen)
    )


def score_translation(
    sets: ScoredSets, predict: Predict, settings: TranslationScoreSettings, hardware: HardwareSettings
) -> dict[str, Any]:
    """Distances to the target before and after translation, diversity, and content before and after.

    Args:
        sets: See :func:`chosen_sets`.
        predict: A segmenter trained on the untranslated source; it has seen these frames, so its scores there are the ceiling.
        settings: What is measured.
        hardware: What to run on.

    Returns:
        ``protocol`` (how it was measured: only scores of equal protocol can be compared), ``distances`` (see :func:`compared`),
        ``diversity`` (see :func:`diversities`), and ``content``: by measure of :func:`content_scores`, before and after.

    Raises:
        FrameError: If an image or a label is missing or damaged.
        ModelFileError: If there are no Inception-v3 weights in the file that should hold them.
    """
    extractor = feature_extractor(settings.inception_weights, settings.size, inference_device(hardware))
    source, translated, target = (statistics(frames, extractor) for frames in sets[:3])
    content = [content_scores(frames, sets.annotations, predict) for frames in (sets.source, sets.translated)]
    return {
        "protocol": {
            **extractor.protocol._asdict(),
            "frames": len(sets.target),
            "chosen": _digest(sets.source, sets.target),
            "neighbours": settings.neighbours,
            "resamples": settings.resamples,
            "confidence": settings.confidence,
            "seed": settings.seed,
        },
        "distances": compared(source, translated, target, settings),
        "diversity": diversities(source, translated, target, settings),
        "content": {
            name: {"source": _rounded(content[0][name]), "translated": _rounded(content[1][name])} for name in content[0]
        },
    }


def _digest(*sets: FrameSet) -> str:
    """The first sixteen hexadecimal digits of the SHA-256 of all image files."""
    digest = hashlib.sha256()
    for frames in sets:
        for frame in frames.frames:
            digest.update(hashlib.sha256(read_bytes(frames.image_path(frame))).digest())
    return digest.hexdigest()[:16]


def picture_rows(sets: ScoredSets, count: int) -> list[list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Source frame, its translation, and some target frame, for :func:`synth2real.translation.samples.sheet`."""
    pairs = zip(evenly_spread(sets.source, count).frames, evenly_spread(sets.target, count).frames, strict=False)
    return [[sets.source.image(shown), sets.translated.image(shown), sets.target.image(other)] for shown, other in pairs]
