"""How far translated frames are from the target, and how much of the source's content they keep.

Distances are taken between ImageNet features of EfficientNet-Lite0 and carry its name: ``fd_lite0`` and ``kd_lite0`` cannot be
compared with FID and KID, which are the same formulas over Inception-v3 features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from rich.progress import track
from timm import create_model
from torch import nn

from synth2real.encoders import OFFLINE_ENCODER, load_encoder_weights
from synth2real.frames import FrameError, FrameSet, read_frames
from synth2real.hardware import HardwareSettings
from synth2real.label_space import IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID, NUM_CLASSES
from synth2real.training import inference_device
from synth2real.translation.data import evenly_spread, resize, to_tensor

_PIXELS = 32
"""Each frame gives the colours of a 32x32 grid of its pixels."""
_DIRECTIONS = 64
_QUANTILES = (np.arange(1000) + 0.5) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationScoreSettings:
    """The section ``translation_scores`` of params.yaml."""

    frames: int
    """Frames taken of each set, evenly spread; all where there are fewer. Distances depend on it: compare at equal numbers."""
    size: tuple[int, int]
    """(height, width) at which the encoder sees every frame, whatever its own size."""

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(f"frames must be at least 2, got {self.frames}")
        if min(self.size) < 32:
            raise ValueError(f"size must be at least 32x32 (height x width), got {self.size[0]}x{self.size[1]}")


# --- Distances between sets of features --------------------------------------------------------------------------------


def frechet_distance(first: Float[np.ndarray, "n features"], second: Float[np.ndarray, "m features"]) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two sets: ``|mu1 - mu2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``.

    Dowson & Landau, J. Multivariate Analysis 1982, equation 4; as a score of generators: Heusel et al., NeurIPS 2017, equation 6.
    With ``C = A^T A``, the last trace is the sum of the singular values of ``A1 A2^T``: exact without a matrix root, also where
    there are fewer samples than features. Few samples bias it upwards, so only distances at equal numbers compare.

    Args:
        first: At least two samples.
        second: At least two samples.
    """
    means = first.mean(axis=0, dtype=np.float64), second.mean(axis=0, dtype=np.float64)
    roots: list[np.ndarray] = [
        np.asarray(np.linalg.qr((features - mean) / np.sqrt(len(features) - 1), mode="r"))
        for features, mean in zip((first, second), means, strict=True)
    ]
    variances = sum(float(np.square(root).sum()) for root in roots)
    overlap = float(np.linalg.norm(roots[0] @ roots[1].T, "nuc"))
    return float(np.square(means[0] - means[1]).sum()) + variances - 2 * overlap


def kernel_distance(first: Float[np.ndarray, "n features"], second: Float[np.ndarray, "m features"]) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel ``(x.y / d + 1)^3``; around 0 (also below) for equal sets.

    Bińkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4 (the kernel inception distance) and Gretton et al., JMLR 2012,
    equation 3. Over all samples at once instead of blocks of them.

    Args:
        first: At least two samples.
        second: At least two samples.
    """

    def kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.asarray((left.astype(np.float64) @ right.T.astype(np.float64) / left.shape[1] + 1) ** 3)

    def without_diagonal(matrix: np.ndarray) -> float:
        count = len(matrix)
        return float(matrix.sum() - np.trace(matrix)) / (count * (count - 1))

    within = without_diagonal(kernel(first, first)) + without_diagonal(kernel(second, second))
    return within - 2 * float(kernel(first, second).mean())


def colour_distance(first: Float[np.ndarray, "n 3"], second: Float[np.ndarray, "m 3"]) -> float:
    """Sliced Wasserstein distance of order 2 between two sets of colours, in the colours' own unit.

    Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", 2015: the root mean square, over directions evenly
    spread on the half sphere, of the distance between the projections' quantiles.
    """
    heights = (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
    turns = np.arange(_DIRECTIONS) * np.pi * (3 - np.sqrt(5))  # golden-angle spiral
    radii = np.sqrt(1 - heights**2)
    directions = np.stack((radii * np.cos(turns), radii * np.sin(turns), heights))
    gaps = np.quantile(first @ directions, _QUANTILES, axis=0) - np.quantile(second @ directions, _QUANTILES, axis=0)
    return float(np.sqrt(np.square(gaps).mean()))


# --- What is measured of frames ----------------------------------------------------------------------------------------


class Statistics(NamedTuple):
    """What the distances need of a frame set."""

    features: Float[np.ndarray, "frames features"]
    """The encoder's pooled output for each frame."""
    colours: Float[np.ndarray, "pixels 3"]
    """RGB, 0..255, of a grid of pixels of each frame."""


def offline_encoder(device: torch.device) -> nn.Module:
    """EfficientNet-Lite0 with ImageNet weights, giving pooled features (1280 a frame)."""
    encoder: nn.Module = create_model(OFFLINE_ENCODER, num_classes=0)
    load_encoder_weights(encoder, OFFLINE_ENCODER, "offline")
    return encoder.to(device).eval()


@torch.inference_mode()
def statistics(frames: FrameSet, encoder: nn.Module, size: tuple[int, int], device: torch.device) -> Statistics:
    """Reads frames and takes their features and colours.

    Args:
        frames: With images.
        encoder: See :func:`offline_encoder`; it sees values in [-1, 1].
        size: (height, width) at which it sees them.
        device: Where it is.
    """
    features, colours = [], []
    for frame in track(frames.frames, f"features of {frames.root}"):
        image = frames.image(frame)
        features.append(encoder(to_tensor(resize(image, size))[None].to(device))[0].float().cpu().numpy())
        rows, columns = (np.linspace(0, side - 1, _PIXELS).round().astype(int) for side in image.shape[:2])
        colours.append(image[np.ix_(rows, columns)].reshape(-1, 3))
    return Statistics(np.stack(features), np.concatenate(colours).astype(np.float64))


def distances(first: Statistics, second: Statistics) -> dict[str, float]:
    """``fd_lite0``, ``kd_lite0`` and ``colour`` (8-bit steps) between two frame sets."""
    return {
        "fd_lite0": frechet_distance(first.features, second.features),
        "kd_lite0": kernel_distance(first.features, second.features),
        "colour": colour_distance(first.colours, second.colours),
    }


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
    counts: Int64[np.ndarray, "annotated predicted"] = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
    for frame in track(images.frames, f"content of {images.root}"):
        annotated = LABEL_ID_TO_TRAIN_ID[annotations.label(frame)]
        predicted = predict(images.image(frame))
        valid = annotated != IGNORE_INDEX
        pairs = annotated[valid].astype(np.int64) * NUM_CLASSES + predicted[valid]
        counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
    if not counts.any():
        raise FrameError(f"{annotations.root / 'labels'}: every pixel of the chosen frames is ignored; nothing can be compared.")
    union = counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()
    present = union > 0
    return {
        "miou": 100 * float((counts.diagonal()[present] / union[present]).mean()),
        "pixel_accuracy": 100 * float(counts.trace() / counts.sum()),
    }


# --- All of it ---------------------------------------------------------------------------------------------------------


class ScoredSets(NamedTuple):
    """The chosen frames: translated ones, the source frames that they were made of, and target frames."""

    source: FrameSet
    translated: FrameSet
    target: FrameSet


def chosen_sets(source: Path, translated: Path, target: Path, count: int) -> ScoredSets:
    """Chooses at most ``count`` frames of the split ``train`` of each set, evenly spread.

    Raises:
        FrameError: If a set is unfinished or has fewer than two such frames, or a translated frame is none of the source.
    """
    chosen = evenly_spread(read_frames(translated).split("train"), count)
    of_source = {frame.frame_id: frame for frame in read_frames(source).split("train").frames}
    strangers = [frame.frame_id for frame in chosen.frames if frame.frame_id not in of_source]
    if strangers:
        raise FrameError(
            f"{translated}: frame {strangers[0]} is none of {source}; translate that source again before it is scored."
        )
    sets = ScoredSets(
        FrameSet(source, tuple(of_source[frame.frame_id] for frame in chosen.frames)),
        chosen,
        evenly_spread(read_frames(target).split("train"), count),
    )
    for frames in sets:
        if len(frames) < 2:
            raise FrameError(f"{frames.root}: expected at least 2 frames of the split train, found {len(frames)}.")
    return sets


def score_translation(
    sets: ScoredSets, predict: Predict, settings: TranslationScoreSettings, hardware: HardwareSettings
) -> dict[str, Any]:
    """Distances to the target before and after translation, and content before and after.

    Args:
        sets: See :func:`chosen_sets`; the source with labels.
        predict: A segmenter trained on the untranslated source; it has seen these frames, so ``content.source`` is the ceiling.
        settings: Sizes.
        hardware: What to run on.

    Returns:
        ``frames`` (numbers of frames), ``source`` and ``translated``: each with :func:`distances` to the target and
        :func:`content_scores`.
    """
    device = inference_device(hardware)
    encoder = offline_encoder(device)
    of_target = statistics(sets.target, encoder, settings.size, device)
    return {
        "frames": {"translated": len(sets.translated), "target": len(sets.target)},
        **{
            name: {
                **distances(statistics(frames, encoder, settings.size, device), of_target),
                **content_scores(frames, sets.source, predict),
            }
            for name, frames in (("source", sets.source), ("translated", sets.translated))
        },
    }


def picture_rows(sets: ScoredSets, count: int) -> list[list[UInt8[np.ndarray, "_ _ 3"]]]:
    """Source frame, its translation, and some target frame, for :func:`synth2real.translation.samples.sheet`."""
    pairs = zip(evenly_spread(sets.source, count).frames, evenly_spread(sets.target, count).frames, strict=False)
    return [[sets.source.image(shown), sets.translated.image(shown), sets.target.image(other)] for shown, other in pairs]
