"""Losses, image pool, learning rate and crops."""

import itertools
import math
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synth2real.adversarial import learning_rate_factor
from synth2real.frames import Frame, FrameError, FrameSet, read_frames, resize_image, write_frames, write_image, write_label
from synth2real.translation.data import CropSettings, UnpairedCrops, evenly_spread, to_image, to_tensor
from synth2real.translation.image_pool import ImagePool
from synth2real.translation.losses import (
    AdversarialObjective,
    LossSettings,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    reconstruction_loss,
    semantic_consistency_loss,
)


def test_least_squares_losses_by_hand() -> None:
    real = torch.tensor([1.0, 0.5]).reshape(1, 1, 1, 2)
    translated = torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2)
    # generator: ((0 - 1)^2 + (2 - 1)^2) / 2; discriminator: half of ((0 + 0.25) / 2 + (0 + 4) / 2)
    assert generator_loss([translated], "lsgan").item() == pytest.approx(1.0)
    assert discriminator_loss([real], [translated], "lsgan").item() == pytest.approx(0.5 * (0.125 + 2.0))
    assert generator_loss([translated, translated], "lsgan").item() == pytest.approx(2.0)  # a sum over scales
    undecided = torch.full((1, 1, 3, 3), 0.5)
    assert discriminator_loss([undecided], [undecided], "lsgan").item() == pytest.approx(0.25)
    assert reconstruction_loss(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), -0.25)).item() == pytest.approx(0.25)


_LOGITS = st.lists(st.floats(-4, 4), min_size=4, max_size=4)


@given(_LOGITS, _LOGITS)
def test_losses_are_the_published_equations(real: list[float], translated: list[float]) -> None:
    """Written with Python's own mathematics, one logit at a time."""

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    def log_sigmoid(value: float) -> float:
        return -math.log(1 + math.exp(-value))

    # Goodfellow et al. 2014, section 3; Miyato et al. 2018, equations 16 and 17; Gulrajani et al. 2017, algorithm 1
    expected: dict[AdversarialObjective, tuple[float, float]] = {
        "vanilla": (
            -mean([log_sigmoid(value) for value in translated]),
            -mean([log_sigmoid(value) for value in real]) / 2
            - mean([math.log(1 - 1 / (1 + math.exp(-value))) for value in translated]) / 2,
        ),
        "hinge": (
            -mean(translated),
            -mean([min(0, value - 1) for value in real]) - mean([min(0, -value - 1) for value in translated]),
        ),
        "wgan_gp": (-mean(translated), mean(translated) - mean(real)),
    }
    of_real, of_translated = (torch.tensor(values, dtype=torch.float64).reshape(1, 1, 2, 2) for values in (real, translated))
    for objective, (of_generator, of_discriminator) in expected.items():
        assert generator_loss([of_translated], objective).item() == pytest.approx(of_generator, abs=1e-12)
        found = discriminator_loss([of_real], [of_translated], objective).item()
        assert found == pytest.approx(of_discriminator, abs=1e-9)


def test_gradient_penalty_of_a_linear_critic() -> None:
    """The gradient of ``w . x`` is w everywhere, so the penalty is (|w| - 1)^2 and its own gradient 2 (|w| - 1) w / |w|."""
    weight = torch.randn(3, 4, 5, dtype=torch.float64).requires_grad_()
    real, translated = (torch.rand(2, 3, 4, 5, dtype=torch.float64) for _ in range(2))
    penalty = gradient_penalty(lambda images: [(images * weight).sum((1, 2, 3)).reshape(-1, 1, 1, 1)], real, translated)
    norm = weight.detach().norm()
    assert penalty.item() == pytest.approx((norm.item() - 1) ** 2)
    torch.autograd.backward(penalty)
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_gradient_penalty_by_finite_differences() -> None:
    """For a critic with curvature: at the points between, with numerical gradients of the mean logit."""
    torch.manual_seed(0)
    critic = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Conv2d(4, 1, 1)).double()
    real, translated = (torch.rand(2, 3, 4, 4, dtype=torch.float64) for _ in range(2))
    torch.manual_seed(3)
    penalty = gradient_penalty(lambda images: [critic(images)], real, translated)
    torch.manual_seed(3)
    share = torch.rand(2, 1, 1, 1, dtype=torch.float64)
    between = share * real + (1 - share) * translated
    norms = []
    with torch.no_grad():
        for image in between:
            moved = torch.eye(48, dtype=torch.float64).reshape(48, 3, 4, 4) * 1e-5
            gradient = (critic(image + moved).mean((1, 2, 3)) - critic(image - moved).mean((1, 2, 3))) / 2e-5
            norms.append(gradient.norm().item())
    assert penalty.item() == pytest.approx(np.mean([(norm - 1) ** 2 for norm in norms]), rel=1e-6)


def test_semantic_consistency_by_hand() -> None:
    real = torch.tensor([[2.0, 0.0], [0.0, 1.0]]).T.reshape(1, 2, 1, 2)  # classes 0 and 1
    translated = torch.tensor([[1.0, 0.0], [3.0, 0.0]]).T.reshape(1, 2, 1, 2)
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(3))) / 2
    assert semantic_consistency_loss(real, translated).item() == pytest.approx(expected)


def test_pool_gives_back_what_it_gets_until_it_is_full() -> None:
    torch.manual_seed(0)
    pool = ImagePool(3)
    for value in range(3):
        image = torch.full((1, 3, 2, 2), float(value), requires_grad=True)
        given_back = pool.exchange(image)
        assert not given_back.requires_grad
        assert torch.equal(given_back, image)
    assert [image.mean().item() for image in pool.state()] == [0.0, 1.0, 2.0]


def test_full_pool_gives_an_earlier_image_half_of_the_time() -> None:
    torch.manual_seed(0)
    pool = ImagePool(50)
    earlier = 0
    for value in range(450):
        before = {image.mean().item() for image in pool.state()}
        given_back = pool.exchange(torch.full((1, 3, 1, 1), float(value))).mean().item()
        after = {image.mean().item() for image in pool.state()}
        if given_back == value:
            assert value < 50 or after == before
        else:
            earlier += 1
            assert after == before - {given_back} | {float(value)}
    assert 170 < earlier < 230


def test_pool_of_none() -> None:
    pool, images = ImagePool(0), torch.rand(2, 3, 4, 4)
    assert torch.equal(pool.exchange(images), images)
    assert pool.state() == []


def test_pool_does_not_share_memory_with_what_it_was_given() -> None:
    pool, images = ImagePool(2), torch.zeros(1, 3, 2, 2)
    pool.exchange(images)
    images += 1
    assert pool.state()[0].sum() == 0


def test_learning_rate_is_constant_then_falls_linearly() -> None:
    factors = [learning_rate_factor(step, 200, 0.5) for step in range(201)]
    assert factors[:101] == [1.0] * 101
    np.testing.assert_allclose(np.diff(factors[100:]), -0.01)
    assert factors[200] == 0
    assert [learning_rate_factor(step, 4, 1.0) for step in range(5)] == [1, 1, 1, 1, 0]


@given(st.integers(1, 50), st.floats(0, 1))
def test_learning_rate_never_rises_and_never_vanishes_before_the_end(steps: int, share: float) -> None:
    factors = [learning_rate_factor(step, steps, share) for step in range(steps)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors))
    assert min(factors) > 0


def test_images_survive_the_tensor_form() -> None:
    image = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    tensor = to_tensor(image)
    assert (float(tensor.min()), float(tensor.max())) == (-1, 1)
    np.testing.assert_array_equal(to_image(tensor), image)


def _frames(root: Path, count: int, size: tuple[int, int], value: int = 0) -> FrameSet:
    rows = [Frame(f"{index:03}", "train", *size) for index in range(count)]
    for row in rows:
        image = np.random.default_rng((value, int(row.frame_id))).integers(0, 256, (*size, 3), np.uint8)
        write_image(root / "images" / f"{row.frame_id}.png", image)
    write_frames(root, rows)
    return read_frames(root)


def _crop(
    load: tuple[int, int] | None = None,
    crop: tuple[int, int] | None = (32, 36),
    flip: bool = True,
    matching: Literal["none", "position", "labels"] = "none",
) -> CropSettings:
    return CropSettings(load_size=load, crop_size=crop, flip=flip, matching=matching)


def test_crops_are_parts_of_frames_of_any_size(tmp_path: Path) -> None:
    source, target = _frames(tmp_path / "source", 3, (40, 50)), _frames(tmp_path / "target", 5, (64, 37))
    draw = UnpairedCrops(source, target, _crop(flip=False), 7)
    seen = set()
    for index in range(12):
        sample = draw(index, np.random.default_rng(index))
        again = draw(index, np.random.default_rng(index))
        assert torch.equal(sample.source, again.source)
        assert torch.equal(sample.target, again.target)
        for crop, frames in zip(sample, (source, target), strict=True):
            assert crop.shape == (3, 32, 36)
            windows = [np.lib.stride_tricks.sliding_window_view(frames.image(frame)[..., 0], (32, 36)) for frame in frames.frames]
            found = [bool((window == to_image(crop)[..., 0]).all((2, 3)).any()) for window in windows]
            assert sum(found) == 1
            seen.add((frames.root.name, found.index(True)))
    assert len(seen) == 3 + 5  # every frame within a few turns


def test_resizing_before_the_crop(tmp_path: Path) -> None:
    source, target = _frames(tmp_path / "source", 2, (40, 50)), _frames(tmp_path / "target", 2, (20, 70))
    sample = UnpairedCrops(source, target, _crop((64, 128), None, flip=False), 0)(1, np.random.default_rng(0))
    shown = [resize_image(frames.image(frame), (64, 128)) for frames in (target,) for frame in frames.frames]
    assert any(np.array_equal(to_image(sample.target), image) for image in shown)


def test_half_of_the_crops_are_mirrored(tmp_path: Path) -> None:
    source = _frames(tmp_path / "source", 2, (32, 36))
    draw = UnpairedCrops(source, source, _crop(), 0)
    images = [source.image(frame) for frame in source.frames]
    shown = [to_image(draw(index, np.random.default_rng(index)).source) for index in range(60)]
    straight = sum(any(np.array_equal(image, crop) for image in images) for crop in shown)
    mirrored = sum(any(np.array_equal(image[:, ::-1], crop) for image in images) for crop in shown)
    assert straight + mirrored == 60
    assert 15 < straight < 45


def _labelled(root: Path, count: int) -> FrameSet:
    """Pixel rows tell their own number; sky above row 40, below it stripes of classes."""
    frames = _frames(root, count, (80, 48))
    rows = np.arange(80, dtype=np.uint8)
    label = np.where(rows < 40, 23, 7 + rows % 4).astype(np.uint8)
    for frame in frames.frames:
        write_image(frames.image_path(frame), np.broadcast_to(rows[:, None, None], (80, 48, 3)).copy())
        write_label(frames.label_path(frame), np.broadcast_to(label[:, None], (80, 48)).copy())
    return frames


def test_matched_crops_are_at_the_same_height(tmp_path: Path) -> None:
    source, target = _labelled(tmp_path / "source", 2), _labelled(tmp_path / "target", 3)
    tops: dict[str, list[tuple[int, int]]] = {}
    for matching in ("none", "position", "labels"):
        draw = UnpairedCrops(source, target, _crop(matching=matching, flip=False), 0)
        samples = [draw(index, np.random.default_rng(index)) for index in range(40)]
        tops[matching] = [(int(to_image(one.source)[0, 0, 0]), int(to_image(one.target)[0, 0, 0])) for one in samples]
    assert any(source_top != target_top for source_top, target_top in tops["none"])
    for matching in ("position", "labels"):
        assert all(source_top == target_top for source_top, target_top in tops[matching])
    assert min(top for top, _ in tops["position"]) < 8  # all sky
    assert min(top for top, _ in tops["labels"]) > 10
    assert np.mean(tops["labels"]) > np.mean(tops["position"]) + 5


def test_crops_matched_by_labels_need_labels(tmp_path: Path) -> None:
    frames = _frames(tmp_path / "source", 2, (40, 50))
    with pytest.raises(FrameError, match=r"labels/00\d.png: no such file"):
        UnpairedCrops(frames, frames, _crop(matching="labels"), 0)(0, np.random.default_rng(0))


def test_grey_and_transparent_files_are_trained_on(tmp_path: Path) -> None:
    frames = _frames(tmp_path / "source", 2, (40, 50))
    for path, channels in zip(sorted((tmp_path / "source/images").iterdir()), (1, 4), strict=True):
        assert cv2.imwrite(str(path), np.full((40, 50, channels), 51, np.uint8))
    draw = UnpairedCrops(frames, frames, _crop(), 0)
    for index in range(4):
        assert np.unique(to_image(draw(index, np.random.default_rng(0)).source)).tolist() == [51]


def test_faults_of_the_data_are_named(tmp_path: Path) -> None:
    many, one, small = (_frames(tmp_path / name, count, size) for name, count, size in (
        ("many", 2, (40, 50)), ("one", 1, (40, 50)), ("small", 2, (31, 50)),
    ))  # fmt: skip
    with pytest.raises(FrameError, match=r"one: expected at least 2 training images, found 1"):
        UnpairedCrops(many, one, _crop(), 0)
    with pytest.raises(FrameError, match=r"000.png: is 31x50 \(height x width\), smaller than the crop of 32x36.*load_size"):
        UnpairedCrops(small, many, _crop(), 0)
    UnpairedCrops(small, many, _crop(load=(32, 36)), 0)


def test_settings_out_of_range() -> None:
    with pytest.raises(ValueError, match="load_size must be given"):
        _crop(crop=None)
    with pytest.raises(ValueError, match="fit into load_size"):
        _crop(load=(32, 32))
    with pytest.raises(ValueError, match="at least 32x32"):
        _crop(crop=(16, 36))
    with pytest.raises(ValueError, match="identity"):
        LossSettings(adversarial="lsgan", cycle=10.0, identity=-1.0, semantic=0.0, gradient_penalty=10.0)


def test_evenly_spread_frames() -> None:
    frames = FrameSet(Path(), tuple(Frame(str(index), "train", 1, 1) for index in range(10)))
    assert [frame.frame_id for frame in evenly_spread(frames, 4).frames] == ["0", "3", "6", "9"]
    assert len(evenly_spread(frames, 99)) == 10
