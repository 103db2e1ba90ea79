"""Anchors fitted to the boxes of the training data.

Redmon & Farhadi, "YOLO9000", CVPR 2017, section 2: k-means over the boxes' shapes, where the distance is ``1 - IoU`` of boxes
with a common centre, so that large boxes do not weigh more than small ones. A feature pyramid wants one size a level and the same
ratios on all levels, so sizes and ratios are fitted apart: sizes to squares of the boxes' areas, ratios to boxes of unit area.
"""

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float64
from rich.progress import track

from synth2real.frames import FrameError, FrameSet
from synth2real.instances.data import instances_of
from synth2real.instances.mask_rcnn import NetworkSettings, fitted_size

_RATIOS: Final = 3
_TURNS: Final = 300
"""k-means ends long before."""


def shape_overlaps(
    one: Float64[np.ndarray, "boxes 2"], other: Float64[np.ndarray, "others 2"]
) -> Float64[np.ndarray, "boxes others"]:
    """Intersection over union of boxes with a common centre, from their widths and heights."""
    shared = np.prod(np.minimum(one[:, None], other), axis=2)
    unions = np.prod(one, axis=1)[:, None] + np.prod(other, axis=1) - shared
    overlaps: Float64[np.ndarray, "boxes others"] = shared / unions
    return overlaps


def cluster_shapes(shapes: Float64[np.ndarray, "boxes 2"], count: int) -> Float64[np.ndarray, "means 2"]:
    """k-means of box shapes under ``1 - IoU``.

    Args:
        shapes: Width and height of boxes, at least one. The means start at shapes evenly spread over their order.
        count: How many means.
    """
    means: Float64[np.ndarray, "count 2"] = shapes[((np.arange(count) + 0.5) / count * len(shapes)).astype(int)]
    for _ in range(_TURNS):
        nearest = shape_overlaps(shapes, means).argmax(axis=1)
        sizes = np.bincount(nearest, minlength=count)
        sums = np.stack([np.bincount(nearest, weights=side, minlength=count) for side in shapes.T], axis=1)
        moved = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], means)
        if np.array_equal(moved, means):
            break
        means = moved
    return means


def fit_anchors(shapes: Float64[np.ndarray, "boxes 2"], levels: int, ratios: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Sizes of the levels' anchors, ascending, in whole pixels, and ratios of height to width, ascending, to two decimals.

    Args:
        shapes: Width and height of the training boxes in pixels, at least one.
        levels: How many sizes.
        ratios: How many ratios.
    """
    sides, slimness = np.sort(np.sqrt(np.prod(shapes, axis=1))), np.sort(np.sqrt(shapes[:, 1] / shapes[:, 0]))
    sizes = cluster_shapes(np.stack((sides, sides), axis=1), levels)[:, 0]
    unit = cluster_shapes(np.stack((1 / slimness, slimness), axis=1), ratios)
    return (
        tuple(max(1, round(size)) for size in sorted(sizes.tolist())),
        tuple(max(0.01, round(ratio, 2)) for ratio in sorted((unit[:, 1] / unit[:, 0]).tolist())),
    )


def with_fitted_anchors(network: NetworkSettings, frames: FrameSet, min_area: int) -> NetworkSettings:
    """The network with numbers in place of ``fitted``; unchanged where there is none.

    Args:
        network: What the detector looks like.
        frames: The training frames, with instances. Their boxes count at the size at which the network sees whole frames.
        min_area: Instances of fewer pixels at that size do not count.

    Raises:
        FrameError: If an instance map is missing or damaged, or there is no instance.
    """
    if "fitted" not in (network.anchor_sizes, network.anchor_ratios):
        return network
    boxes = []
    for frame in track(frames.frames, "Fitting anchors"):
        fitted = fitted_size((frame.height, frame.width), network.size)
        ids = cv2.resize(frames.instances(frame), fitted[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        boxes.append(instances_of(ids, min_area).boxes)
    edges = np.concatenate(boxes).astype(np.float64)
    if not len(edges):
        raise FrameError(f"{frames.root / 'instances'}: no instance of at least {min_area} pixels to fit anchors to.")
    sizes, ratios = fit_anchors(edges[:, 2:] - edges[:, :2], len(network.strides) + 1, _RATIOS)
    return replace(
        network,
        anchor_sizes=sizes if network.anchor_sizes == "fitted" else network.anchor_sizes,
        anchor_ratios=ratios if network.anchor_ratios == "fitted" else network.anchor_ratios,
    )
