from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from synth2real.frames import Frame, FrameError, FrameSet, read_frames, write_frames, write_instances
from synth2real.instances.anchors import cluster_shapes, fit_anchors, shape_overlaps, with_fitted_anchors
from synth2real.instances.mask_rcnn import NetworkSettings, build_detector

ShapesWriter = Callable[..., FrameSet]

_SHAPES = st.lists(st.tuples(st.floats(1, 500), st.floats(1, 500)), min_size=1, max_size=30).map(np.array)


@settings(deadline=None)
@given(_SHAPES, _SHAPES)
def test_overlaps_are_those_of_boxes_with_one_centre(one: np.ndarray, other: np.ndarray) -> None:
    boxes = [torch.from_numpy(np.concatenate((-shapes, shapes), axis=1) / 2) for shapes in (one, other)]
    np.testing.assert_allclose(shape_overlaps(one, other), box_iou(*boxes).numpy(), rtol=1e-9)


def test_clusters_are_found() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[10.0, 30.0], [60.0, 20.0], [200.0, 180.0]])
    shapes = centres.repeat([300, 20, 5], 0) * rng.uniform(0.95, 1.05, (325, 2))
    found = cluster_shapes(shapes[np.argsort(shapes.prod(1))], 3)
    np.testing.assert_allclose(found[np.argsort(found.prod(1))], centres, rtol=0.05)


@settings(deadline=None)
@given(_SHAPES, st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_anchors_are_sorted_within_the_data_and_know_no_order(shapes: np.ndarray, levels: int, ratios: int, seed: int) -> None:
    sizes, slimness = fit_anchors(shapes, levels, ratios)
    assert (len(sizes), len(slimness)) == (levels, ratios)
    assert list(sizes) == sorted(sizes)
    assert list(slimness) == sorted(slimness)
    sides, heights = np.sqrt(shapes.prod(1)), shapes[:, 1] / shapes[:, 0]
    assert sides.min() - 1 <= sizes[0] <= sizes[-1] <= sides.max() + 1
    assert heights.min() - 0.01 <= slimness[0] <= slimness[-1] <= heights.max() + 0.01
    assert fit_anchors(np.random.default_rng(seed).permutation(shapes), levels, ratios) == (sizes, slimness)


def test_fitted_anchors_overlap_more_than_others() -> None:
    rng = np.random.default_rng(1)
    areas, heights = np.exp(rng.normal(6, 1, 2000)), np.exp(rng.normal(0.5, 0.4, 2000))
    shapes = np.stack((np.sqrt(areas / heights), np.sqrt(areas * heights)), axis=1)

    def mean_best(sizes: tuple[int, ...], ratios: tuple[float, ...]) -> float:
        anchors = np.array([(size / ratio**0.5, size * ratio**0.5) for size in sizes for ratio in ratios])
        return float(shape_overlaps(shapes, anchors).max(axis=1).mean())

    fitted = mean_best(*fit_anchors(shapes, 5, 3))
    assert fitted > mean_best((8, 16, 32, 64, 128), (0.5, 1.0, 2.0)) + 0.05
    assert fitted > 0.7


def test_a_network_gets_the_anchors_of_its_frames(write_shapes: ShapesWriter, network: NetworkSettings) -> None:
    frames = write_shapes("set", 3, (128, 192))  # twice the size that the network sees
    assert with_fitted_anchors(network, frames, 4) is network
    fitted = with_fitted_anchors(replace(network, anchor_sizes="fitted", anchor_ratios="fitted"), frames, 4)
    assert fitted.anchor_sizes == pytest.approx((24.5, 28, 28), abs=1)  # discs of 24.5 x 24.5, rectangles of 32.5 x 24.5 pixels
    assert fitted.anchor_ratios[::2] == pytest.approx((0.75, 1.0), abs=0.03)
    assert with_fitted_anchors(replace(network, anchor_sizes="fitted"), frames, 4).anchor_ratios == network.anchor_ratios
    build_detector(fitted, 0)


def test_frames_without_instances_are_refused(network: NetworkSettings, tmp_path: Path) -> None:
    write_instances(tmp_path / "instances/a.png", np.zeros((64, 96), np.uint16))
    write_frames(tmp_path, [Frame("a", "train", 64, 96)])
    with pytest.raises(FrameError, match="no instance of at least 4 pixels to fit anchors to"):
        with_fitted_anchors(replace(network, anchor_sizes="fitted"), read_frames(tmp_path), 4)
