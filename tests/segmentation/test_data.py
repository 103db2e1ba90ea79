from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synth2real.augmentation import AugmentationSettings
from synth2real.frames import FrameError, read_frames, write_frames, write_label
from synth2real.label_space import LABEL_ID_TO_TRAIN_ID
from synth2real.segmentation.data import (
    RareClasses,
    RareClassSettings,
    Samples,
    TrainingFrames,
    Views,
    class_weights,
    read_labelled_frames,
    which_frame,
)


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=3), share=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_batch_takes_equally_from_each_pair_and_every_frame_in_turn(counts: list[int], share: int, seed: int) -> None:
    batch_size = share * len(counts)
    turns = 2 * max(counts)
    drawn = [which_frame(index, counts, batch_size, seed) for index in range(turns * batch_size)]
    for start in range(0, len(drawn), batch_size):
        assert Counter(pair for pair, _ in drawn[start : start + batch_size]) == dict.fromkeys(range(len(counts)), share)
    for pair, count in enumerate(counts):
        frames = [frame for chosen, frame in drawn if chosen == pair]
        assert set(frames[:count]) == set(range(count))


def test_class_weights_follow_the_formula() -> None:
    counts = np.array([800, 150, 50, *[0] * 16])
    expected = np.array([0.8, 0.15, 0.05]) ** -0.5
    weights = class_weights(counts, 0.5)
    np.testing.assert_allclose(weights[:3], expected / expected.mean())
    assert not weights[3:].any()
    np.testing.assert_allclose(class_weights(counts, 0.0)[:3], 1)


def test_class_counts_are_those_of_the_files(make_frames: Callable[..., Path]) -> None:
    root = make_frames("source", 3)
    frames = TrainingFrames([read_labelled_frames(root, root)], (32, 64), 1)
    label_ids = np.stack([read_frames(root).label(frame) for frame in read_frames(root).frames])
    expected = np.bincount(LABEL_ID_TO_TRAIN_ID[label_ids].ravel(), minlength=256)[:19]
    np.testing.assert_array_equal(frames.class_counts, expected)


def test_frames_are_the_same_from_memory_and_from_files(make_frames: Callable[..., Path]) -> None:
    roots = [make_frames("source", 2, size=(64, 128)), make_frames("target", 3, seed=9)]
    pairs = [read_labelled_frames(root, root) for root in roots]
    cached, uncached = (TrainingFrames(pairs, (32, 64), cache_mib) for cache_mib in (1, 0))
    assert len(cached) == len(uncached) == 5
    np.testing.assert_array_equal(cached.class_counts, uncached.class_counts)
    for pair, count in enumerate((2, 3)):
        for index in range(count):
            for one, other in zip(cached.get(pair, index), uncached.get(pair, index), strict=True):
                np.testing.assert_array_equal(one, other)


def test_images_and_labels_are_joined_by_frame_id(make_frames: Callable[..., Path], tmp_path: Path) -> None:
    images, labels = make_frames("source", 4), tmp_path / "labels"
    chosen = [frame for frame in read_frames(images).frames if frame.frame_id in {"source_1", "source_3"}]
    for frame in chosen:
        write_label(labels / "labels" / f"{frame.frame_id}.png", read_frames(images).label(frame))
    write_frames(labels, chosen)
    joined = read_labelled_frames(images, labels)
    assert [(image.frame_id, label.frame_id) for image, label in joined.frames] == [("source_1",) * 2, ("source_3",) * 2]
    np.testing.assert_array_equal(joined.image(1, (32, 64)), read_frames(images).image(chosen[1]))


def test_samples_are_a_function_of_number_and_generator(
    make_frames: Callable[..., Path], strong_augmentation: AugmentationSettings
) -> None:
    root = make_frames("source", 3)
    frames = TrainingFrames([read_labelled_frames(root, root)], (32, 64), 1)
    samples = Samples(Views(frames, strong_augmentation, (32, 32), 4, 1, None))
    image, train_ids = samples(5, np.random.default_rng((1, 5)))
    again, again_ids = samples(5, np.random.default_rng((1, 5)))
    assert image.shape == (32, 32, 3)
    assert torch.equal(image, again)
    assert torch.equal(train_ids, again_ids)


def test_a_label_without_image_is_named(make_frames: Callable[..., Path]) -> None:
    with pytest.raises(FrameError, match=r"2 of the 2 train frames of .*labels have no image there, first 'labels_0'"):
        read_labelled_frames(make_frames("images", 1), make_frames("labels", 2))


def test_a_set_without_training_frames_is_refused(make_frames: Callable[..., Path]) -> None:
    root = make_frames("target", 2, split="val")
    with pytest.raises(FrameError, match="no frame of split train"):
        read_labelled_frames(root, root)


@pytest.mark.parametrize("cache_mib", [0, 1])
def test_labels_that_are_all_ignored_are_refused(make_frames: Callable[..., Path], cache_mib: int) -> None:
    good, ignored = make_frames("source", 1), make_frames("target", 1)
    write_label(ignored / "labels" / "target_0.png", np.zeros((32, 64), np.uint8))
    pairs = [read_labelled_frames(root, root) for root in (good, ignored)]
    with pytest.raises(FrameError, match="target: all pixels of the 1 train frames are ignored"):
        TrainingFrames(pairs, (32, 64), cache_mib)


def test_a_damaged_image_is_named_before_training(make_frames: Callable[..., Path]) -> None:
    root = make_frames("source", 2)
    path = root / "images" / "source_1.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FrameError, match=r"source_1\.png: the file is truncated"):
        TrainingFrames([read_labelled_frames(root, root)], (32, 64), 1)


# --- Rare class sampling ---------------------------------------------------------------------------------------------


def pixel_counts(seed: int) -> np.ndarray:
    """Pixels of 19 classes in 12 frames, in very different shares; class 18 nowhere, class 17 in a single pixel."""
    counts = np.random.default_rng(seed).integers(0, 4 ** np.arange(12, 3, -0.5).astype(int), (12, 18))
    counts[:, 17] = [1, *[0] * 11]
    return np.pad(counts, ((0, 0), (0, 1)))


@given(seed=st.integers(0, 99), temperature=st.sampled_from([0.01, 0.1, 1.0]))
def test_class_probabilities_follow_the_paper(seed: int, temperature: float) -> None:
    counts = pixel_counts(seed)
    rare = RareClasses(counts, RareClassSettings(temperature=temperature, min_pixels=2), Path("frames"))
    drawn = np.any(counts >= 2, axis=0)
    shares = counts.sum(0) / counts.sum()
    expected = np.exp((1 - shares[drawn]) / temperature)  # DAFormer, equations 9 and 10
    np.testing.assert_allclose(rare.probabilities[drawn], expected / expected.sum())
    assert not rare.probabilities[~drawn].any()
    assert not drawn[17:].any()


def test_classes_and_their_frames_are_drawn_as_often_as_the_formula_says() -> None:
    counts, draws = pixel_counts(3), 20_000
    rare = RareClasses(counts, RareClassSettings(temperature=0.1, min_pixels=50), Path("frames"))
    generator = np.random.default_rng(0)
    drawn = np.zeros((12, 19))
    for _ in range(draws):
        train_id, frame = rare.draw(generator)
        drawn[frame, train_id] += 1
    shows = counts >= 50
    expected = draws * rare.probabilities * shows / shows.sum(0).clip(1)
    assert not drawn[~shows].any()
    cells = expected > 5
    statistic = ((drawn - expected)[cells] ** 2 / expected[cells]).sum()
    freedom = cells.sum() - 1
    assert abs(statistic - freedom) < 4 * np.sqrt(2 * freedom)  # chi-square: mean k, variance 2 k


def test_a_rare_class_is_in_most_views_of_its_frames(
    make_frames: Callable[..., Path], strong_augmentation: AugmentationSettings, tmp_path: Path
) -> None:
    root = make_frames("source", 8, size=(64, 128))
    frames = read_frames(root)
    for number, frame in enumerate(frames.frames):
        label_ids = np.full((64, 128), 7, np.uint8)
        if number == 5:
            label_ids[40:56, 100:116] = 33  # a bicycle, in one frame of eight
        write_label(frames.label_path(frame), label_ids)
    training = TrainingFrames([read_labelled_frames(root, root)], (64, 128), 1)
    rare = RareClassSettings(temperature=0.01, min_pixels=100)
    shares = []
    for settings in (rare, None):
        views = Views(training, strong_augmentation, (32, 32), 2, 1, settings)
        seen = [(views(index, np.random.default_rng((1, index))).train_ids == 18).sum() for index in range(100)]
        shares.append(np.mean(np.array(seen) >= 50))
        again = views(7, np.random.default_rng((1, 7)))
        np.testing.assert_array_equal(again.image, views(7, np.random.default_rng((1, 7))).image)
    assert shares[0] > 0.7
    assert shares[1] < 0.1


def test_without_augmentation_a_view_is_the_frame_of_the_class(
    make_frames: Callable[..., Path], augmentation: AugmentationSettings
) -> None:
    root = make_frames("source", 4)
    training = TrainingFrames([read_labelled_frames(root, root)], (32, 64), 1)
    views = Views(training, augmentation, (32, 64), 2, 1, RareClassSettings(temperature=1.0, min_pixels=256))
    for index in range(8):
        train_id, frame = views.rare[0].draw(np.random.default_rng((1, index)))
        view = views(index, np.random.default_rng((1, index)))
        np.testing.assert_array_equal(view.train_ids, training.get(0, frame)[1])
        assert (view.train_ids == train_id).sum() >= 256


def test_too_high_a_least_number_of_pixels_is_named(make_frames: Callable[..., Path], augmentation: AugmentationSettings) -> None:
    root = make_frames("source", 2)
    training = TrainingFrames([read_labelled_frames(root, root)], (32, 64), 1)
    with pytest.raises(FrameError, match=r"source: no frame has segmentation.rare_classes.min_pixels \(9999\) .*most is \d+ "):
        Views(training, augmentation, (32, 64), 2, 1, RareClassSettings(temperature=0.01, min_pixels=9999))


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"min_pixels": 0}])
def test_rare_class_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RareClassSettings(**{"temperature": 0.01, "min_pixels": 1, **wrong})  # type: ignore[arg-type]
