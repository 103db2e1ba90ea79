"""Distances between sets of images: Fréchet and kernel distance, precision and recall, colours; and how sure they are.

Over Inception-v3 features Fréchet and kernel distance are FID and KID. Estimates are torch-fidelity's.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

_QUANTILES = (np.arange(1000) + 0.5) / 1000


def frechet_distance(first: Float[np.ndarray, "n features"], second: Float[np.ndarray, "m features"]) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two sets: ``|mu1 - mu2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``.

    Dowson & Landau, J. Multivariate Analysis 1982, equation 4; as a score of generators: Heusel et al., NeurIPS 2017, equation 6.
    Few samples bias it upwards, so only distances at equal numbers compare. The sets are first turned into their common span,
    which changes no distance and spares the library a matrix of features by features where there are fewer samples.

    Args:
        first: At least two samples.
        second: At least two samples.
    """
    both = np.concatenate((first, second)).astype(np.float64)
    basis = np.linalg.qr(both.T)[0]
    statistics = [fid_features_to_statistics(torch.from_numpy(part @ basis)) for part in (both[: len(first)], both[len(first) :])]
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def fast_frechet_distance(first: Float[np.ndarray, "n features"], second: Float[np.ndarray, "m features"]) -> float:
    """What :func:`frechet_distance` gives, many times as fast, for the hundreds of resamples behind an interval.

    With ``C = A^T A``, ``tr (C1 C2)^(1/2)`` is the sum of the singular values of ``A1 A2^T``: there is no matrix root to take.
    """
    means = first.mean(axis=0, dtype=np.float64), second.mean(axis=0, dtype=np.float64)
    roots = [(features - mean) / np.sqrt(len(features) - 1) for features, mean in zip((first, second), means, strict=True)]
    if first.shape[1] < max(len(first), len(second)):
        roots = [np.asarray(np.linalg.qr(root, mode="r")) for root in roots]
    variances = sum(float(np.square(root).sum()) for root in roots)
    overlap = float(np.linalg.norm(roots[0] @ roots[1].T, "nuc"))
    return float(np.square(means[0] - means[1]).sum()) + variances - 2 * overlap


def kernel_distance(first: Float[np.ndarray, "n features"], second: Float[np.ndarray, "n features"]) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel ``(x.y / d + 1)^3``; around 0 (also below) for equal sets.

    Bińkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4 (the kernel inception distance) and Gretton et al., JMLR 2012,
    equation 3. Over all samples at once instead of many subsets of them.

    Args:
        first: At least two samples.
        second: As many.
    """
    options = {"kid_subsets": 1, "kid_subset_size": len(first), "verbose": False}
    return float(kid_features_to_metric(_double(first), _double(second), **options)[KEY_METRIC_KID_MEAN])


class PrecisionRecall(NamedTuple):
    """Both in 0..1."""

    precision: float
    """Share of the translated samples that lie among the target's."""
    recall: float
    """Share of the target's samples that lie among the translated."""


def precision_recall(
    translated: Float[np.ndarray, "n features"], target: Float[np.ndarray, "m features"], neighbours: int
) -> PrecisionRecall:
    """Which of one set's samples lie in the other's manifold: nearer to one of its samples than that one's k-th neighbour.

    Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS 2019, equations 1 and 2
    (with k = 3, and over VGG-16 features).

    Args:
        translated: More than ``neighbours`` samples.
        target: More than ``neighbours`` samples.
        neighbours: k.
    """
    options = {"prc_neighborhood": neighbours, "verbose": False}
    scores: dict[str, float] = prc_features_to_metric(_double(translated), _double(target), **options)
    return PrecisionRecall(scores[KEY_METRIC_PRECISION], scores[KEY_METRIC_RECALL])


def _double(features: Float[np.ndarray, "n features"]) -> torch.Tensor:
    return torch.from_numpy(features.astype(np.float64))


def colour_distance(
    first: Integer[np.ndarray, "frames directions bins"], second: Integer[np.ndarray, "frames directions bins"]
) -> float:
    """Sliced Wasserstein distance of order 2 between two sets of colours, in 8-bit steps.

    Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", 2015: the root mean square, over directions, of the
    distance between the projections' quantiles.

    Args:
        first: :func:`synth2real.translation.features.colour_histograms` of each frame.
        second: The same of the other set.
    """

    def quantiles(histograms: np.ndarray) -> np.ndarray:
        cumulative = np.cumsum(histograms.sum(axis=0, dtype=np.int64), axis=1)
        levels = np.pad(cumulative / cumulative[:, -1:], ((0, 0), (1, 0)))
        return np.stack([np.interp(_QUANTILES, row, np.arange(len(row))) for row in levels])

    return float(np.sqrt(np.square(quantiles(first) - quantiles(second)).mean()))


def diversity(features: Float[np.ndarray, "n features"]) -> float:
    """Trace of the features' covariance: half the mean squared distance between two frames of a set. 0 where all are alike."""
    return float(features.var(axis=0, ddof=1, dtype=np.float64).sum())


# --- How sure they are -------------------------------------------------------------------------------------------------


class Estimate(NamedTuple):
    """A value and its confidence interval."""

    value: Any
    low: Any
    high: Any


def with_interval(
    value: Float[np.ndarray, "*scores"],
    of: Callable[[Integer[np.ndarray, "half"], Integer[np.ndarray, "half"]], Float[np.ndarray, "*scores"]],
    count: int,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Estimate:
    """Confidence intervals of scores of two sets, by the half-sample bootstrap over their elements.

    Each resample scores a random half of either set, drawn without replacement. The spread of such scores about their mean is
    that of the whole sets' scores (Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982, chapter 8, on
    half-sampling; Politis & Romano, Annals of Statistics 1994, on subsampling); the interval is that spread about ``value``.
    Drawing with replacement, as usual, would not do: an element drawn twice is its own nearest neighbour, which biases all of
    these scores. Elements count as independent; frames of one street are not, so their intervals are too narrow.

    Args:
        value: Scores of the whole sets.
        of: Scores of parts of them, given the elements' numbers in the first and in the second set.
        count: Elements in either set, at least 4.
        resamples: How many halves to score.
        confidence: Such as 0.95.
        seed: Chooses the halves.
    """
    half = count // 2
    scores = []
    for number in range(resamples):
        generator = np.random.default_rng((seed, number))
        scores.append(of(generator.permutation(count)[:half], generator.permutation(count)[:half]))
    spread = (np.stack(scores) - np.mean(scores, axis=0)) * np.sqrt(half / (count - half))
    low, high = np.quantile(spread, ((1 - confidence) / 2, (1 + confidence) / 2), axis=0)
    return Estimate(value, value + low, value + high)
