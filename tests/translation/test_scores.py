"""Distances against their equations, and content scores by hand."""

from pathlib import Path

import numpy as np
import pytest

from synth2real.frames import Frame, FrameError, FrameSet, read_frames, write_frames, write_image, write_label
from synth2real.hardware import HardwareSettings
from synth2real.translation.samples import sheet
from synth2real.translation.scores import (
    TranslationScoreSettings,
    chosen_sets,
    colour_distance,
    content_scores,
    frechet_distance,
    kernel_distance,
    picture_rows,
    score_translation,
)

ROAD, CAR = 7, 26  # label ids; train ids 0 and 13


def _samples(seed: int, count: int, features: int = 6) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, features)) @ generator.normal(size=(features, features)) + generator.normal(
        size=features
    )


@pytest.mark.parametrize(("first", "second"), [(50, 70), (4, 5)])  # more samples than features, and fewer
def test_frechet_distance_is_the_equation(first: int, second: int) -> None:
    x, y = _samples(0, first), _samples(1, second)
    covariances = np.cov(x.T), np.cov(y.T)
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * root
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + 2) == pytest.approx(4 * 6)


def test_kernel_distance_is_the_equation() -> None:
    x, y = _samples(0, 5), _samples(1, 4)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    expected = (
        np.mean([kernel(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
        + np.mean([kernel(y[i], y[j]) for i in range(4) for j in range(4) if i != j])
        - 2 * np.mean([kernel(a, b) for a in x for b in y])
    )
    assert kernel_distance(x, y) == pytest.approx(expected)


def test_kernel_distance_is_unbiased() -> None:
    draws = [kernel_distance(*np.split(np.random.default_rng(seed).normal(size=(40, 3)), 2)) for seed in range(100)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(len(draws))


def test_colour_distance_of_a_shift() -> None:
    colours = np.random.default_rng(0).uniform(0, 200, (500, 3))
    assert colour_distance(colours, colours) == 0
    assert colour_distance(colours, colours + 10) == pytest.approx(10, rel=0.05)
    assert colour_distance(colours, colours[::2]) < 5


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


def test_scores_tell_near_from_far(tmp_path: Path) -> None:
    source = _frames(tmp_path / "source", 60, labels=True)
    translated, target = _frames(tmp_path / "translated", 190), _frames(tmp_path / "target", 200, count=4)
    sets = chosen_sets(source, translated, target, 3)
    hardware = HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0)
    scores = score_translation(sets, _road, TranslationScoreSettings(frames=3, size=(64, 96)), hardware)
    assert scores["frames"] == {"translated": 3, "target": 3}
    for name in ("fd_lite0", "kd_lite0", "colour"):
        assert scores["translated"][name] < scores["source"][name]
    assert scores["translated"]["miou"] == scores["source"]["miou"] == 25.0
    picture = sheet(picture_rows(sets, 2), ("source", "translated", "target"))
    assert picture.shape[1] == 3 * 256 + 2 * 4


def test_strangers_are_refused(tmp_path: Path) -> None:
    source, more = _frames(tmp_path / "source", 60, count=2), _frames(tmp_path / "translated", 60, count=3)
    with pytest.raises(FrameError, match=r"translated: frame f2 is none of .*source"):
        chosen_sets(source, more, source, 10)
    one = _frames(tmp_path / "one", 60, count=1)
    with pytest.raises(FrameError, match=r"one: expected at least 2 frames"):
        chosen_sets(source, source, one, 10)


def test_all_ignored_is_refused(tmp_path: Path) -> None:
    frames: FrameSet = read_frames(_frames(tmp_path / "source", 60, count=2))
    for frame in frames.frames:
        write_label(frames.label_path(frame), np.zeros((40, 60), np.uint8))
    with pytest.raises(FrameError, match="every pixel of the chosen frames is ignored"):
        content_scores(frames, frames, _road)
