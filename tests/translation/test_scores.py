"""Distances against their equations and torch-fidelity, intervals against repeated draws, and content scores by hand."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_fidelity import FeatureExtractorInceptionV3, calculate_metrics
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from synth2real.frames import Frame, FrameError, FrameSet, read_frames, write_frames, write_image, write_label
from synth2real.hardware import HardwareSettings
from synth2real.models import ModelFileError
from synth2real.translation.distances import (
    colour_distance,
    diversity,
    fast_frechet_distance,
    frechet_distance,
    kernel_distance,
    precision_recall,
    with_interval,
)
from synth2real.translation.features import INCEPTION, Protocol, Statistics, colour_histograms, feature_extractor, statistics
from synth2real.translation.samples import sheet
from synth2real.translation.scores import (
    TranslationScoreSettings,
    chosen_sets,
    compared,
    content_scores,
    distances,
    diversities,
    picture_rows,
    score_translation,
)

ROAD, CAR = 7, 26  # label ids; train ids 0 and 13
CPU = HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0, tracking=False)


def _settings(**values: Any) -> TranslationScoreSettings:
    return TranslationScoreSettings(
        **{
            "frames": 4,
            "size": (64, 96),
            "inception_weights": None,
            "neighbours": 1,
            "resamples": 20,
            "confidence": 0.95,
            "seed": 1,
            "collapse_ratio": 0.5,
            **values,
        }
    )


# --- Distances ---------------------------------------------------------------------------------------------------------


def _samples(seed: int, count: int, features: int = 6) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, features)) @ generator.normal(size=(features, features)) + generator.normal(
        size=features
    )


@pytest.mark.parametrize(("first", "second"), [(50, 70), (4, 5)])  # more samples than features, and fewer
def test_frechet_distance_is_the_equation_and_the_librarys(first: int, second: int) -> None:
    x, y = _samples(0, first), _samples(1, second)
    covariances = np.cov(x.T), np.cov(y.T)
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root
    whole = [fid_features_to_statistics(torch.from_numpy(samples)) for samples in (x, y)]
    librarys = fid_statistics_to_metric(*whole, verbose=False)["frechet_inception_distance"]
    for distance in (frechet_distance, fast_frechet_distance):
        assert distance(x, y) == pytest.approx(expected, rel=1e-5)
        assert distance(x, y) == pytest.approx(librarys, rel=1e-5)
        assert distance(x, x) == pytest.approx(0, abs=1e-5)
        assert distance(x, x + 2) == pytest.approx(4 * 6)


@given(seed=st.integers(0, 1000), count=st.integers(2, 12), features=st.integers(2, 12))
def test_both_frechet_distances_agree(seed: int, count: int, features: int) -> None:
    x, y = _samples(seed, count, features).astype(np.float32), _samples(seed + 1, count, features).astype(np.float32)
    assert fast_frechet_distance(x, y) == pytest.approx(frechet_distance(x, y), rel=1e-4, abs=1e-3)


def test_kernel_distance_is_the_equation() -> None:
    x, y = _samples(0, 5), _samples(1, 5)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    expected = (
        np.mean([kernel(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
        + np.mean([kernel(y[i], y[j]) for i in range(5) for j in range(5) if i != j])
        - 2 * np.mean([kernel(a, b) for a in x for b in y])
    )
    assert kernel_distance(x, y) == pytest.approx(expected)


def test_kernel_distance_is_unbiased() -> None:
    draws = [kernel_distance(*np.split(np.random.default_rng(seed).normal(size=(40, 3)), 2)) for seed in range(100)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(len(draws))


def test_precision_and_recall_are_the_equations() -> None:
    x, y = _samples(0, 30, 3), _samples(1, 30, 3) * 0.6

    def share(inside: np.ndarray, manifold: np.ndarray) -> float:
        hits = []
        for point in inside:
            radii = [np.sort(np.linalg.norm(manifold - centre, axis=1))[3] for centre in manifold]  # the 0th is itself
            hits.append(any(np.linalg.norm(point - c) <= radius for c, radius in zip(manifold, radii, strict=True)))
        return float(np.mean(hits))

    found = precision_recall(x, y, 3)
    assert found == pytest.approx((share(x, y), share(y, x)))
    assert 0 < found.precision < found.recall < 1
    assert precision_recall(x, x, 3) == (1, 1)
    assert precision_recall(x, x + 1000, 3) == (0, 0)


def _histograms(colours: np.ndarray) -> np.ndarray:
    return colour_histograms(colours.round().clip(0, 255).astype(np.uint8))[None]


def test_colour_distance_is_the_sorted_samples() -> None:
    """In one dimension, the distance of order 2 is the root mean square between sorted samples."""
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 256, (900, 3)), (generator.integers(0, 256, (900, 3)) * 0.6).astype(int)
    heights = (np.arange(64) + 0.5) / 64
    turns = np.arange(64) * np.pi * (3 - np.sqrt(5))
    directions = np.stack((np.sqrt(1 - heights**2) * np.cos(turns), np.sqrt(1 - heights**2) * np.sin(turns), heights))
    expected = np.sqrt(np.square(np.sort(first @ directions, axis=0) - np.sort(second @ directions, axis=0)).mean())
    assert colour_distance(_histograms(first), _histograms(second)) == pytest.approx(expected, rel=0.01)


def test_colour_distance_of_a_shift() -> None:
    colours = np.random.default_rng(0).uniform(0, 200, (500, 3)).round()
    assert colour_distance(_histograms(colours), _histograms(colours)) == 0
    # The mean square of a direction's sum of components is 1, over the half sphere.
    assert colour_distance(_histograms(colours), _histograms(colours + 10)) == pytest.approx(10, rel=0.05)
    assert colour_distance(_histograms(colours), _histograms(colours[::2])) < 5


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 255)])
def test_every_colour_has_its_step(colour: tuple[int, int, int]) -> None:
    assert (colour_histograms(np.array([colour] * 7, np.uint8)).sum(axis=1) == 7).all()


@given(seed=st.integers(0, 100))
def test_diversity_is_half_the_mean_squared_distance(seed: int) -> None:
    x = _samples(seed, 9)
    pairs = [np.square(x[i] - x[j]).sum() for i in range(9) for j in range(9) if i != j]
    assert diversity(x) == pytest.approx(np.mean(pairs) / 2)
    assert diversity(np.repeat(x[:1], 5, axis=0)) == pytest.approx(0)


# --- Intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [fast_frechet_distance, kernel_distance])
def test_intervals_are_as_wide_as_repeated_draws(distance: Any) -> None:
    """Draws the sets anew, many times: the true spread of the distance is what the interval of one draw should show."""

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(seed)
        return generator.normal(size=(40, 4)), generator.normal(0.7, 1.3, size=(40, 4))

    true = np.quantile([distance(*draw(seed)) for seed in range(300)], (0.025, 0.975))
    widths = []
    for seed in range(12):
        x, y = draw(seed)
        whole = np.array([distance(x, y)])

        def of(first: np.ndarray, second: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> np.ndarray:
            return np.array([distance(x[first], y[second])])

        estimate = with_interval(whole, of, 40, resamples=60, confidence=0.95, seed=0)
        assert estimate.low[0] < whole[0] < estimate.high[0]
        widths.append(estimate.high[0] - estimate.low[0])
    assert np.mean(widths) == pytest.approx(true[1] - true[0], rel=0.25)


PROTOCOL = Protocol("tf_efficientnet_lite0", "0123", "64x96")


def _measured(features: np.ndarray, colours: float = 100, protocol: Protocol = PROTOCOL) -> Statistics:
    generator = np.random.default_rng(0)
    histograms = [_histograms(generator.normal(colours, 10, (50, 3)))[0] for _ in features]
    return Statistics(features.astype(np.float32), np.stack(histograms), protocol)


def test_changes_are_surer_than_the_distances_that_they_are_made_of() -> None:
    generator = np.random.default_rng(0)
    features, target = generator.normal(0, 1, (30, 8)), generator.normal(1, 1.5, (30, 8))
    source, translated = _measured(features, 60), _measured(features + 0.15, 90)
    found = compared(source, translated, _measured(target, 100), _settings(resamples=40))
    assert list(found) == ["fd_lite0", "kd_lite0", "precision_lite0", "recall_lite0", "colour"]
    for name, scores in found.items():
        assert scores["change"] == pytest.approx(scores["translated"] - scores["source"], rel=1e-3), name
        for value in ("source", "translated", "change"):
            assert scores[f"{value}_low"] <= scores[value] <= scores[f"{value}_high"], (name, value)
    frechet = found["fd_lite0"]
    assert frechet["change_high"] < 0  # surely nearer,
    assert frechet["source_low"] < frechet["translated_high"]  # though the intervals of the distances overlap


def test_resamples_depend_on_the_seed_alone() -> None:
    source, target = _measured(_samples(0, 8), 60), _measured(_samples(1, 8), 90)
    once, again, other = (compared(source, source, target, _settings(seed=seed)) for seed in (1, 1, 2))
    assert once == again != other


def test_equal_sets_have_no_distance() -> None:
    same = _measured(_samples(0, 8))
    frechet, kernel, precision, recall, colour = distances(same, same, 1)
    assert frechet == pytest.approx(0, abs=1e-4)
    assert kernel < 0  # unbiased: equal samples are nearer than equal distributions
    assert (precision, recall, colour) == (1, 1, 0)


def test_features_of_different_protocols_are_refused() -> None:
    first = _measured(_samples(0, 8))
    for other in (_measured(_samples(0, 8), protocol=PROTOCOL._replace(weights="ff")), _measured(_samples(0, 7))):
        with pytest.raises(ValueError, match="cannot be compared"):
            distances(first, other, 1)


# --- Mode collapse -----------------------------------------------------------------------------------------------------


def test_collapse_raises_the_alarm(caplog: pytest.LogCaptureFixture) -> None:
    source, target = _measured(_samples(0, 20)), _measured(_samples(1, 20))
    alike = _measured(source.features * 0.6 + 1)  # 0.36 of the variance
    with caplog.at_level(logging.WARNING):
        healthy = diversities(source, source, target, _settings())
        assert not caplog.records
        collapsed = diversities(source, alike, target, _settings())
    assert (healthy["ratio"], healthy["mode_collapse"]) == (1, False)
    assert collapsed["ratio"] == pytest.approx(0.36, rel=1e-4)
    assert collapsed["mode_collapse"] is True
    assert "Mode collapse: translated frames have 36 %" in caplog.text
    assert diversities(source, alike, target, _settings(collapse_ratio=0.3))["mode_collapse"] is False


# --- Content -----------------------------------------------------------------------------------------------------------


def _frames(root: Path, colour: int, count: int = 3, labels: bool = False) -> Path:
    rows = [Frame(f"f{index}", "train", 40, 60) for index in range(count)]
    for index, row in enumerate(rows):
        image = np.random.default_rng(index).normal(colour, 30, (40, 60, 3)).clip(0, 255).astype(np.uint8)
        write_image(root / "images" / f"{row.frame_id}.png", image)
        if labels:
            label = np.full((40, 60), ROAD, np.uint8)
            label[:, 30:] = CAR
            label[:10] = 0
            write_label(root / "labels" / f"{row.frame_id}.png", label)
    write_frames(root, rows)
    return root


def _road(image: np.ndarray) -> np.ndarray:
    return np.zeros(image.shape[:2], np.uint8)


def test_content_scores_by_hand(tmp_path: Path) -> None:
    frames = read_frames(_frames(tmp_path / "source", 100, labels=True))
    # Half of the counted pixels are road, half car. Predicting road: IoU 1/2 and 0.
    assert content_scores(frames, frames, _road) == {"miou": 25.0, "pixel_accuracy": 50.0}

    def right(image: np.ndarray) -> np.ndarray:
        return np.where(np.arange(60) < 30, 0, 13).astype(np.uint8)[None].repeat(40, axis=0)

    assert content_scores(frames, frames, right) == {"miou": 100.0, "pixel_accuracy": 100.0}


# --- All of it ---------------------------------------------------------------------------------------------------------


def test_scores_tell_near_from_far(tmp_path: Path) -> None:
    source = _frames(tmp_path / "source", 60, count=4, labels=True)
    translated, target = _frames(tmp_path / "translated", 190, count=4), _frames(tmp_path / "target", 200, count=5)
    sets = chosen_sets(source, translated, target, _settings())
    scores = score_translation(sets, _road, _settings(), CPU)
    assert scores["protocol"]["frames"] == 4
    assert scores["protocol"]["network"] == "tf_efficientnet_lite0"
    assert scores["protocol"]["size"] == "64x96"
    for name in ("fd_lite0", "kd_lite0", "colour"):
        assert scores["distances"][name]["change"] < 0
    assert scores["content"] == {
        "miou": {"source": 25.0, "translated": 25.0},
        "pixel_accuracy": {"source": 50.0, "translated": 50.0},
    }
    assert not any("fid" in name or "kid" in name for name in scores["distances"])
    assert json.loads(json.dumps(scores)) == scores
    picture = sheet(picture_rows(sets, 2), ("source", "translated", "target"))
    assert picture.shape[1] == 3 * 256 + 2 * 4
    # Other target frames are another protocol.
    write_image(target / "images" / "f0.png", np.zeros((40, 60, 3), np.uint8))
    again = score_translation(chosen_sets(source, translated, target, _settings()), _road, _settings(), CPU)
    assert again["protocol"]["chosen"] != scores["protocol"]["chosen"]
    assert again["protocol"] | {"chosen": ""} == scores["protocol"] | {"chosen": ""}


def test_features_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    frames = read_frames(_frames(tmp_path / "frames", 100, count=11))
    extractor = feature_extractor(None, (32, 64), torch.device("cpu"))
    features = statistics(frames, extractor).features
    assert features.shape == (11, 1280)
    for index in (0, 8, 10):
        alone = statistics(FrameSet(frames.root, (frames.frames[index],)), extractor).features[0]
        np.testing.assert_allclose(features[index], alone, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of torch-fidelity's file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state_dict: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *args, **kwargs: {})
        network = FeatureExtractorInceptionV3(INCEPTION, ["2048"])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning:torch_fidelity", "ignore::UserWarning:torch.utils.data")
def test_features_of_inception_are_those_of_torch_fidelity(inception_file: Path, tmp_path: Path) -> None:
    source, target = _frames(tmp_path / "source", 60, count=4), _frames(tmp_path / "target", 150, count=4)
    extractor = feature_extractor(inception_file, (64, 96), torch.device("cpu"))
    of_source, of_target = (statistics(read_frames(root), extractor) for root in (source, target))
    scores = compared(of_source, of_source, of_target, _settings())
    expected = calculate_metrics(
        input1=str(source / "images"),
        input2=str(target / "images"),
        cuda=False,
        kid=True,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(inception_file),
        feature_layer_prc="2048",
        kid_subsets=1,
        kid_subset_size=4,
        prc_neighborhood=1,
        batch_size=4,
        samples_shuffle=False,
        cache=False,
        verbose=False,
    )
    found = {name: value["source"] for name, value in scores.items()}
    assert list(found) == ["fid", "kid", "precision_inception", "recall_inception", "colour"]
    assert found["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-3)
    assert found["precision_inception"] == pytest.approx(expected["precision"])
    assert found["recall_inception"] == pytest.approx(expected["recall"])
    assert of_source.protocol.network == "inception-v3-compat"
    assert of_source.protocol.size == "299x299"
    assert found["fid"] > 1
    assert scores["fid"]["change"] == pytest.approx(0, abs=1e-3)


# --- Faults ------------------------------------------------------------------------------------------------------------


def test_faulty_inception_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "inception.pth"
    with pytest.raises(ModelFileError, match=r"inception\.pth: no such file. Set translation_scores.inception_weights"):
        feature_extractor(path, (64, 96), torch.device("cpu"))
    for content in (b"", b"text", b"\x80\x04N."):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"inception\.pth: no weights of Inception-v3"):
            feature_extractor(path, (64, 96), torch.device("cpu"))
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match=r"inception\.pth: no weights of Inception-v3.*Missing key"):
        feature_extractor(path, (64, 96), torch.device("cpu"))
    torch.save({"weight": Path("code")}, path)  # a pickle that runs code when it is loaded
    with pytest.raises(ModelFileError, match=r"inception\.pth: no weights of Inception-v3"):
        feature_extractor(path, (64, 96), torch.device("cpu"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": 3}, "frames must be at least 2 .neighbours"),
        ({"frames": 7, "neighbours": 3}, "= 8, got 7"),
        ({"neighbours": 0}, "neighbours must be at least 1"),
        ({"size": (31, 64)}, "size must be at least 32x32"),
        ({"resamples": 3}, "resamples must be at least 20"),
        ({"confidence": 95.0}, "confidence must be in"),
        ({"collapse_ratio": 1.5}, "collapse_ratio must be in"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _settings(**values)


def test_strangers_are_refused(tmp_path: Path) -> None:
    source, more = _frames(tmp_path / "source", 60, count=4), _frames(tmp_path / "translated", 60, count=5)
    with pytest.raises(FrameError, match=r"translated: frame f4 is none of .*source"):
        chosen_sets(source, more, source, _settings())
    few = _frames(tmp_path / "few", 60, count=3)
    with pytest.raises(FrameError, match=r"few: expected at least 4 frames"):
        chosen_sets(source, source, few, _settings())


def test_equally_many_frames_are_chosen(tmp_path: Path) -> None:
    source, target = _frames(tmp_path / "source", 60, count=9), _frames(tmp_path / "target", 60, count=5)
    sets = chosen_sets(source, source, target, _settings(frames=100))
    assert [len(frames) for frames in sets] == [5, 5, 5, 5]
    assert sets.source.frames == sets.translated.frames
    assert [frame.frame_id for frame in sets.source.frames] == ["f0", "f2", "f4", "f6", "f8"]


def test_all_ignored_is_refused(tmp_path: Path) -> None:
    frames: FrameSet = read_frames(_frames(tmp_path / "source", 60, count=2))
    for frame in frames.frames:
        write_label(frames.label_path(frame), np.zeros((40, 60), np.uint8))
    with pytest.raises(FrameError, match="every pixel of the chosen frames is ignored"):
        content_scores(frames, frames, _road)
