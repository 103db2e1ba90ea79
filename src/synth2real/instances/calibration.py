"""Calibration of a detector's scores: the probability that a detection of a class with some score is right.

A detector's score orders the detections of its class, but 0.8 need not mean that eight in ten are right, nor the same for each
class. For each class, a monotone map from scores to probabilities is fitted to detections on held-out frames of the detector's
own world, each of which is right or wrong by COCO's rule of matching at an overlap of one half:

- ``platt``: Platt, "Probabilistic outputs for support vector machines", 1999, section 2: ``p = 1 / (1 + exp(A f + B))`` by
  maximum likelihood, with his targets a little off 0 and 1. Here f is the score's logit, so that ``A = -1, B = 0`` leaves scores
  as they are, and A is at most 0, so that a higher score is never worth less.
- ``isotonic``: the monotone step function nearest to the outcomes, by pooling adjacent violators (Zadrozny & Elkan, "Transforming
  classifier scores into accurate multiclass probability estimates", KDD 2002); linear between its steps.

A class of few detections gets the map that is fitted to the detections of all classes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64

from synth2real.detections import Detection
from synth2real.frames import to_csv, write_text
from synth2real.label_space import VEIS_LABELS

Method = Literal["platt", "isotonic"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
LOWEST_SCORE: Final = 0.05
"""Detections from here on count in average precision (torchvision's and Detectron's convention) and are calibrated."""

_LEAST_OUTCOMES: Final = 10
"""Right detections, and wrong ones, that a class needs for a map of its own."""
_RUNS: Final = 8
_BINS: Final = 15
_ALL: Final = "all"
_TURNS: Final = 100
"""Newton's method ends long before."""


class CalibrationError(ValueError):
    """A file of calibrations is missing or damaged."""


class Outcomes(NamedTuple):
    """Detections of which it is known whether they are right, in any order."""

    frames: Int64[np.ndarray, " detections"]
    """Number of the frame that each is on, from 0."""
    categories: Int64[np.ndarray, " detections"]
    """1..10: ``VEIS_LABELS[category - 1]``."""
    scores: Float64[np.ndarray, " detections"]
    """In [0, 1]."""
    right: Bool[np.ndarray, " detections"]


class Platt(NamedTuple):
    """A sigmoid of the score's logit; Platt's -A and -B."""

    slope: float
    """At least 0."""
    intercept: float

    def __call__(self, scores: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """The probabilities that detections with these scores are right."""
        return _sigmoid(self.slope * _logit(scores) + self.intercept)


class Isotonic(NamedTuple):
    """A monotone function, linear between its knots and constant beyond them."""

    scores: tuple[float, ...]
    """Of the knots, ascending; at least one."""
    probabilities: tuple[float, ...]
    """Of the knots, not descending."""

    def __call__(self, scores: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """The probabilities that detections with these scores are right."""
        probabilities: Float64[np.ndarray, " n"] = np.interp(scores, self.scores, self.probabilities)
        return probabilities


IDENTITY: Final[dict[Method, Platt | Isotonic]] = {"platt": Platt(1.0, 0.0), "isotonic": Isotonic((0.0, 1.0), (0.0, 1.0))}


class Calibration(NamedTuple):
    """Maps from scores to probabilities."""

    of_all: Platt | Isotonic
    """For the classes without one of their own."""
    of_class: Mapping[int, Platt | Isotonic]
    """By category."""

    def __call__(self, categories: Int64[np.ndarray, " n"], scores: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """The probabilities that detections of these categories with these scores are right."""
        probabilities = self.of_all(scores)
        for category, curve in self.of_class.items():
            is_of_class = categories == category
            probabilities[is_of_class] = curve(scores[is_of_class])
        return probabilities


def fit_platt(scores: Float64[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> Platt:
    """The likeliest sigmoid, by Newton's method as Lin, Lin & Weng have it (Machine Learning 68, 2007).

    Args:
        scores: Of detections, in [0, 1].
        right: Which of them are right.
    """
    hits = int(right.sum())
    misses = len(right) - hits
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
    features = np.stack((_logit(scores), np.ones(len(scores))))

    def loss(weights: Float64[np.ndarray, " 2"]) -> float:
        logits = weights @ features
        return float((np.logaddexp(0, logits) - targets * logits).sum())

    constant = np.log((hits + 1) / (misses + 1))
    weights: Float64[np.ndarray, " 2"] = np.array([0.0, constant])
    for _ in range(_TURNS):
        found = _sigmoid(weights @ features)
        gradient = features @ (found - targets)
        if np.abs(gradient).max() < 1e-9 * len(scores):
            break
        step = np.linalg.solve((features * (found * (1 - found))) @ features.T + 1e-12 * np.eye(2), gradient)
        before = loss(weights)
        share = next((share for share in 0.5 ** np.arange(30) if loss(weights - share * step) < before), 0.0)
        if not share:
            break
        weights = weights - share * step
    if weights[0] < 0:
        return Platt(0.0, float(_logit(targets.mean(keepdims=True))[0]))
    return Platt(float(weights[0]), float(weights[1]))


def fit_isotonic(scores: Float64[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> Isotonic:
    """The monotone function that is nearest to the outcomes in squares.

    Args:
        scores: Of detections, in [0, 1]; at least one.
        right: Which of them are right.
    """
    values, place = np.unique(scores, return_inverse=True)
    hits, counts = np.bincount(place, weights=right), np.bincount(place)
    blocks: list[tuple[float, int, int]] = []  # hits, detections, distinct scores
    for block in zip(hits.tolist(), counts.tolist(), [1] * len(values), strict=True):
        while blocks and blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    ends = np.cumsum([length for _, _, length in blocks])
    starts = np.concatenate(([0], ends[:-1]))
    is_new = np.stack((np.ones(len(blocks), bool), ends - starts > 1), axis=1)  # a block of one score is one knot
    knots = values[np.stack((starts, ends - 1), axis=1)[is_new]]
    levels = np.repeat([[hit / count] for hit, count, _ in blocks], 2, axis=1)[is_new]
    return Isotonic(tuple(knots.tolist()), tuple(levels.tolist()))


def fit_calibration(outcomes: Outcomes, method: Method) -> Calibration:
    """Maps for each class that has enough detections, and for all others together.

    Args:
        outcomes: Detections on held-out frames. Of fewer than ten right or ten wrong ones in all, nothing is learnt: scores stay.
        method: Sigmoids or step functions.
    """
    fit = fit_platt if method == "platt" else fit_isotonic

    def fitted(chosen: Bool[np.ndarray, " detections"]) -> Platt | Isotonic | None:
        right = outcomes.right[chosen]
        if min(right.sum(), (~right).sum()) < _LEAST_OUTCOMES:
            return None
        return fit(outcomes.scores[chosen], right)

    of_class = {category: fitted(outcomes.categories == category) for category in range(1, 1 + len(VEIS_LABELS))}
    return Calibration(
        fitted(np.ones(len(outcomes.right), bool)) or IDENTITY[method],
        {category: curve for category, curve in of_class.items() if curve is not None},
    )


def cross_fitted(outcomes: Outcomes, method: Method, frames: int) -> Float64[np.ndarray, " detections"]:
    """Calibrated scores of detections by maps that were fitted to other frames: to measure what calibration is worth.

    Args:
        outcomes: Detections on held-out frames.
        method: See :func:`fit_calibration`.
        frames: How many frames there are. Eight runs of consecutive ones, as neighbours show the same scene, are told off in turn
            into two halves; the detections of either are calibrated by the other's.
    """
    half = outcomes.frames * _RUNS // frames % 2
    scores = outcomes.scores.copy()
    for number in (0, 1):
        mine = half == number
        calibration = fit_calibration(Outcomes(*(values[~mine] for values in outcomes)), method)
        scores[mine] = calibration(outcomes.categories[mine], scores[mine])
    return scores


def calibrated(detections: Sequence[Detection], calibration: Calibration, min_score: float) -> list[Detection]:
    """The detections with calibrated scores, by descending score; of equal scores in the order given.

    Args:
        detections: Of a frame.
        calibration: Of their detector.
        min_score: Detections whose calibrated score is lower are left out.
    """
    categories = np.array([item.category_id for item in detections], np.int64)
    scores = calibration(categories, np.array([item.score for item in detections], np.float64))
    changed = [item._replace(score=score) for item, score in zip(detections, scores.tolist(), strict=True) if score >= min_score]
    return sorted(changed, key=lambda item: -item.score)


class Reliability(NamedTuple):
    """How far scores are from the share of right detections."""

    ece: float | None
    """The detection expected calibration error, see :func:`reliability`, in %; None without detections."""
    mean_score: float | None
    """In %; above the precision where the detector is too sure of itself."""
    bins: tuple[tuple[float, float, float], ...]
    """Of each bin that is not empty, its mean score, its precision, and its share of the detections, all in %."""


def reliability(scores: Float64[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> Reliability:
    """The detection expected calibration error of scores, and the diagram that it sums up.

    Küppers et al., "Multivariate confidence calibration for object detection", CVPR workshops 2020, section 3, of the score
    alone: ``D-ECE = sum_m |I_m| / |D| * |precision(m) - score(m)|`` over 15 bins of equal width, after Guo et al., ICML 2017.

    Args:
        scores: Of detections, in [0, 1].
        right: Which of them are right.
    """
    place = np.clip(np.ceil(scores * _BINS).astype(np.int64) - 1, 0, _BINS - 1)  # open below, closed above
    counts, sums, hits = (np.bincount(place, weights, _BINS) for weights in (None, scores, right))
    kept = np.flatnonzero(counts)
    if not len(kept):
        return Reliability(None, None, ())
    rows = np.stack((sums[kept] / counts[kept], hits[kept] / counts[kept], counts[kept] / len(scores)), axis=1)
    error = (rows[:, 2] * np.abs(rows[:, 1] - rows[:, 0])).sum()
    bins = tuple((float(score), float(precision), float(share)) for score, precision, share in (100 * rows).round(3))
    return Reliability(round(100 * float(error), 3), round(100 * float(scores.mean()), 3), bins)


def reliability_table(of_kinds: Mapping[str, Reliability]) -> str:
    """Reliability diagrams as CSV, in %: a row for each bin of each kind of score."""
    rows = ((kind, *values) for kind, found in of_kinds.items() for values in found.bins)
    return to_csv(("calibration", "score", "precision", "share"), rows)


def save_calibrations(path: Path, of_methods: Mapping[Method, Calibration]) -> None:
    """Writes the calibrations of a detector by both methods, as JSON."""
    names = {category: label.name for category, label in enumerate(VEIS_LABELS, start=1)}
    content = {
        method: {_ALL: found.of_all._asdict()} | {names[category]: curve._asdict() for category, curve in found.of_class.items()}
        for method, found in of_methods.items()
    }
    write_text(path, json.dumps(content, indent=2) + "\n")


def load_calibrations(path: Path) -> dict[Method, Calibration]:
    """Reads what :func:`save_calibrations` wrote.

    Raises:
        CalibrationError: If the file is missing or damaged.
    """
    categories = {label.name: category for category, label in enumerate(VEIS_LABELS, start=1)}
    try:
        content = json.loads(path.read_bytes())
        found: dict[Method, Calibration] = {}
        for method in METHODS:
            curves = {name: _curve(method, values) for name, values in content[method].items()}
            of_all = curves.pop(_ALL)
            found[method] = Calibration(of_all, {categories[name]: curve for name, curve in curves.items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CalibrationError(
            f"{path}: expected the calibrations {' and '.join(METHODS)} of a detector's scores, found none or damaged ones "
            f"({type(error).__name__}: {error}). Run the stage evaluate_detector again (dvc repro)."
        ) from None
    return found


def chosen_calibration(path: Path, choice: Method | Literal["none"]) -> Calibration | None:
    """The calibration of a file that is wanted, if one is: the file need not be there for ``none``.

    Raises:
        CalibrationError: See :func:`load_calibrations`.
    """
    return None if choice == "none" else load_calibrations(path)[choice]


def _curve(method: Method, values: Mapping[str, Any]) -> Platt | Isotonic:
    if method == "platt":
        platt = Platt(float(values["slope"]), float(values["intercept"]))
        if not (platt.slope >= 0 and np.isfinite(platt).all()):
            raise ValueError(f"a slope of at least 0 and a finite intercept are needed, not {platt.slope} and {platt.intercept}")
        return platt
    knots, levels = (tuple(map(float, values[name])) for name in ("scores", "probabilities"))
    is_sound = len(knots) == len(levels) > 0 and (np.diff(knots) > 0).all() and (np.diff(levels) >= 0).all()
    if not is_sound or not 0 <= levels[0] <= levels[-1] <= 1:
        raise ValueError("scores must ascend, and probabilities must not descend and lie in [0, 1]")
    return Isotonic(knots, levels)


def _logit(scores: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    inside = np.clip(scores, 1e-9, 1 - 1e-9)
    logits: Float64[np.ndarray, " n"] = np.log(inside) - np.log1p(-inside)
    return logits


def _sigmoid(logits: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    probabilities: Float64[np.ndarray, " n"] = np.exp(-np.logaddexp(0, -logits))
    return probabilities
