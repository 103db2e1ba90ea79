"""Restyling without training: Fourier domain adaptation and colour statistics."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synth2real.frames import Frame, FrameError, read_frames, write_frames, write_image
from synth2real.translation.colour_statistics import colour_statistics, pooled, to_lab, to_rgb, transfer_colours
from synth2real.translation.fda import swap_low_frequencies
from synth2real.translation.restyle import (
    ColourStatisticsSettings,
    FdaSettings,
    Method,
    RestyleSettings,
    pairs,
    restyle_frames,
    with_coarse_look,
    with_colours,
)


def _image(seed: int, height: int = 24, width: int = 36) -> np.ndarray:
    """Smooth blobs and noise, well inside 0..255."""
    generator = np.random.default_rng(seed)
    coarse = cv2.resize(generator.uniform(70, 180, (3, 4, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    image: np.ndarray = (coarse + generator.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)
    return image


def _floats(seed: int, height: int = 24, width: int = 36) -> np.ndarray:
    return _image(seed, height, width).astype(np.float32)


# --- Fourier domain adaptation -----------------------------------------------------------------------------------------


@given(
    height=st.integers(4, 21),
    width=st.integers(4, 21),
    beta=st.sampled_from((0.01, 0.06, 0.13, 0.31, 0.5)),
    seed=st.integers(0, 99),
)
def test_fda_is_the_equation(height: int, width: int, beta: float, seed: int) -> None:
    """Against the equations written down over the whole, centred spectrum of one channel at a time."""
    source, target = _floats(seed, height, width), _floats(seed + 100, height, width)
    assume(np.abs(np.fft.fft2(source.astype(float), axes=(0, 1))).min() > 0.05)  # a frequency that is not there has no phase
    expected = np.empty_like(source)
    for channel in range(3):
        of_source, of_target = (np.fft.fftshift(np.fft.fft2(image[..., channel].astype(float))) for image in (source, target))
        mask = np.zeros((height, width))
        down, right = int(beta * height), int(beta * width)
        rows = [row for row in range(height) if abs(row - height // 2) <= down]
        columns = [column for column in range(width) if abs(column - width // 2) <= right]
        mask[np.ix_(rows, columns)] = 1
        amplitude = mask * np.abs(of_target) + (1 - mask) * np.abs(of_source)
        mixed = np.fft.ifft2(np.fft.ifftshift(amplitude * np.exp(1j * np.angle(of_source))))
        expected[..., channel] = mixed.real
    found = swap_low_frequencies(source, target, beta)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_fda_keeps_phases_and_high_frequencies() -> None:
    source, target = _floats(0), _floats(1)
    mixed = swap_low_frequencies(source, target, 0.1)
    before, after = (np.fft.fft2(image.astype(float), axes=(0, 1)) for image in (source, mixed))
    turned = np.angle(after / before)
    assert np.abs(np.where(np.abs(before) > 5, turned, 0)).max() < 1e-3
    is_high = np.abs(np.fft.fftfreq(24)) > 0.1
    np.testing.assert_allclose(after[is_high], before[is_high], atol=0.05)
    np.testing.assert_allclose(mixed.mean(axis=(0, 1)), target.mean(axis=(0, 1)), rtol=1e-5)


def test_fda_at_the_ends() -> None:
    source, target = _floats(0), _floats(1)
    assert np.array_equal(swap_low_frequencies(source, target, 0.0), source)
    np.testing.assert_allclose(swap_low_frequencies(source, source, 0.2), source, atol=1e-3)
    other = np.fft.fft2(swap_low_frequencies(source, target, 0.5), axes=(0, 1))
    np.testing.assert_allclose(np.abs(other), np.abs(np.fft.fft2(target, axes=(0, 1))), atol=0.1)


def test_a_black_source_has_a_defined_phase() -> None:
    mixed = swap_low_frequencies(np.zeros((8, 8, 3), np.float32), _floats(1, 8, 8), 0.2)
    assert np.isfinite(mixed).all()


def test_fda_refuses_what_it_cannot_mix() -> None:
    with pytest.raises(ValueError, match="of one size"):
        swap_low_frequencies(_floats(0), _floats(0, 20, 20), 0.1)
    for beta in (-0.1, 0.6, float("nan")):
        with pytest.raises(ValueError, match="beta must be in"):
            FdaSettings(beta=beta)


@pytest.mark.parametrize("size", [(24, 36), (50, 80), (10, 90)])
def test_looks_of_other_sizes_are_resized(size: tuple[int, int]) -> None:
    mixed = with_coarse_look(_image(0), _image(1, *size), FdaSettings(beta=0.05))
    assert mixed.shape == (24, 36, 3)
    assert mixed.dtype == np.uint8
    assert np.abs(mixed.mean(axis=(0, 1)) - _image(1, *size).mean(axis=(0, 1))).max() < 3


# --- Colour statistics -------------------------------------------------------------------------------------------------


def test_lab_is_the_standards() -> None:
    """CIE 1976 values of white, mid grey and the primaries of sRGB, D65."""
    colours = np.array([[[255, 255, 255], [119, 119, 119], [255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]], np.uint8)
    known = [(100, 0, 0), (50.03, 0, 0), (53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86), (0, 0, 0)]
    np.testing.assert_allclose(to_lab(colours)[0], known, atol=0.3)


@given(seed=st.integers(0, 50))
def test_lab_and_back_is_the_image(seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert np.abs(to_rgb(to_lab(image)).astype(int) - image).max() <= 1


@given(first=st.integers(0, 20), second=st.integers(0, 20))
def test_statistics_become_the_targets(first: int, second: int) -> None:
    lab, target = to_lab(_image(first)), colour_statistics(to_lab(_image(second)))
    moved = colour_statistics(transfer_colours(lab, colour_statistics(lab), target))
    np.testing.assert_allclose(moved.mean, target.mean, atol=1e-3)
    np.testing.assert_allclose(moved.std, target.std, atol=1e-3)


def test_colours_of_images_become_the_targets_but_for_rounding() -> None:
    target = colour_statistics(to_lab(_image(1)))
    found = colour_statistics(to_lab(with_colours(_image(0), target)))
    np.testing.assert_allclose(found.mean, target.mean, atol=0.3)
    np.testing.assert_allclose(found.std, target.std, atol=0.3)
    itself = with_colours(_image(0), colour_statistics(to_lab(_image(0))))
    assert np.abs(itself.astype(int) - _image(0)).max() <= 1


def test_a_flat_image_is_only_moved() -> None:
    flat = np.full((8, 8, 3), 90, np.uint8)
    target = colour_statistics(to_lab(_image(1)))
    moved = to_lab(with_colours(flat, target))
    np.testing.assert_allclose(moved, np.broadcast_to(target.mean, moved.shape), atol=0.6)


def test_pooled_statistics_are_those_of_all_pixels() -> None:
    images = [to_lab(_image(seed)) for seed in range(3)]
    everything = colour_statistics(np.concatenate(images))
    found = pooled([colour_statistics(image) for image in images])
    np.testing.assert_allclose(found.mean, everything.mean, atol=1e-5)
    np.testing.assert_allclose(found.std, everything.std, atol=1e-5)


# --- Frame sets --------------------------------------------------------------------------------------------------------


def _frames(root: Path, count: int, seed: int, size: tuple[int, int]) -> Path:
    rows = [Frame(f"f{index}", "train", *size) for index in range(count)] + [Frame("v", "val", *size)]
    for index, row in enumerate(rows):
        write_image(root / "images" / f"{row.frame_id}.png", _image(seed + index, *size))
    write_frames(root, rows)
    return root


def _settings(reference: str = "frame", seed: int = 1) -> RestyleSettings:
    return RestyleSettings(
        methods=(),
        seed=seed,
        fda=FdaSettings(beta=0.05),
        colour_statistics=ColourStatisticsSettings(reference=reference),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("method", "reference"), [("fda", "frame"), ("colour_statistics", "frame"), ("colour_statistics", "set")]
)
def test_frames_are_restyled(tmp_path: Path, method: Method, reference: str) -> None:
    source, target = _frames(tmp_path / "source", 5, 0, (24, 36)), _frames(tmp_path / "target", 3, 50, (30, 40))
    settings = _settings(reference)
    for name, workers in (("one", 0), ("two", 2)):
        restyle_frames(source, target, tmp_path / name, method, settings, workers=workers)
    one, two, of_source = (read_frames(tmp_path / name) for name in ("one", "two", "source"))
    assert [frame.frame_id for frame in one.frames] == [f"f{index}" for index in range(5)]  # the split train alone
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["frames.csv", "images"]
    assert all(one.image_path(frame).read_bytes() == two.image_path(frame).read_bytes() for frame in one.frames)
    looks = read_frames(target).split("train")
    for frame, job in zip(one.frames, pairs(of_source.split("train"), looks, settings.seed), strict=True):
        look = looks.frames if reference == "set" else (job.target,)
        wanted = np.mean([to_lab(looks.image(item)).mean(axis=(0, 1)) for item in look], axis=0)
        found = to_lab(one.image(frame)).mean(axis=(0, 1))
        tolerance = 4 if method == "fda" else 0.5  # the former gives the mean in RGB
        assert np.abs(found - wanted).max() < tolerance
        assert np.abs(found - to_lab(of_source.image(frame)).mean(axis=(0, 1))).max() > tolerance / 4


def test_pairs_depend_on_seed_and_number_alone(tmp_path: Path) -> None:
    source = read_frames(_frames(tmp_path / "source", 40, 0, (8, 8))).split("train")
    target = read_frames(_frames(tmp_path / "target", 7, 50, (8, 8))).split("train")
    all_pairs = pairs(source, target, 3)
    fewer = type(source)(source.root, source.frames[:11])
    assert pairs(fewer, target, 3) == all_pairs[:11]
    assert {job.target.frame_id for job in all_pairs} == {frame.frame_id for frame in target.frames}
    assert pairs(source, target, 4) != all_pairs


def test_an_unfinished_target_is_refused(tmp_path: Path) -> None:
    source = _frames(tmp_path / "source", 2, 0, (8, 8))
    with pytest.raises(FrameError, match=r"target: no frames\.csv"):
        restyle_frames(source, tmp_path / "target", tmp_path / "out", "fda", _settings(), workers=0)
    (source / "images" / "f1.png").write_bytes(b"\x89PNG")
    with pytest.raises(FrameError, match=r"f1\.png"):
        restyle_frames(source, source, tmp_path / "out", "fda", _settings(), workers=0)
    assert not (tmp_path / "out" / "frames.csv").exists()
