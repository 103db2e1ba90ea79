"""Colour transfer: the means and spreads of one image's colours for another's, without any training.

Reinhard, Ashikhmin, Gooch & Shirley, "Color Transfer between Images", IEEE Computer Graphics and Applications 2001. The paper
works in Ruderman's logarithmic l-alpha-beta space. This module takes CIE L*a*b* (D65), as is usual since: its axes hardly
correlate either, and it has no logarithm that makes the noise of nearly black pixels the largest spread of the image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

_FLAT = 1e-3
"""Channels that vary less than this are constant but for rounding."""


class ColourStatistics(NamedTuple):
    """Mean and standard deviation of L* (0..100), a* and b* (about -128..127) over pixels."""

    mean: Float64[np.ndarray, "3"]
    std: Float64[np.ndarray, "3"]


def to_lab(image: UInt8[np.ndarray, "height width 3"]) -> Float32[np.ndarray, "height width 3"]:
    """An sRGB image of 8 bits in CIE L*a*b*."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def to_rgb(lab: Float32[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """CIE L*a*b* to sRGB of 8 bits, rounded; colours that sRGB does not have are clipped."""
    return (cv2.cvtColor(lab, cv2.COLOR_Lab2RGB).clip(0, 1) * 255).round().astype(np.uint8)


def colour_statistics(lab: Float32[np.ndarray, "height width 3"]) -> ColourStatistics:
    """Statistics of one image in CIE L*a*b*."""
    return ColourStatistics(lab.mean(axis=(0, 1), dtype=np.float64), lab.std(axis=(0, 1), dtype=np.float64))


def pooled(statistics: Sequence[ColourStatistics]) -> ColourStatistics:
    """Statistics of all images of a set, each counting alike whatever its size: the variance is within plus between images."""
    means = np.stack([item.mean for item in statistics])
    within = np.square([item.std for item in statistics]).mean(axis=0)
    return ColourStatistics(means.mean(axis=0), np.sqrt(within + means.var(axis=0)))


def transfer_colours(
    lab: Float32[np.ndarray, "height width 3"], source: ColourStatistics, target: ColourStatistics
) -> Float32[np.ndarray, "height width 3"]:
    """Moves and stretches each channel so that statistics ``source`` become ``target`` (Reinhard et al., equations 10 and 11).

    A channel that does not vary is moved only.

    Args:
        lab: Image in CIE L*a*b*.
        source: What to map from: the image's own statistics, to give it those of the target.
        target: What to map to.
    """
    scale = np.where(source.std > _FLAT, target.std / np.maximum(source.std, _FLAT), 1)
    moved: np.ndarray = (lab - source.mean) * scale + target.mean
    return moved.astype(np.float32)
