"""Unpaired training images: a random crop of a source frame beside a random crop of a target frame."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from synth2real.frames import Frame, FrameError, FrameSet
from synth2real.training import shuffled


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSettings:
    """The section ``translation.crop`` of params.yaml."""

    load_size: tuple[int, int] | None
    """(height, width) that each image is resized to before it is cropped; null keeps its own."""
    crop_size: tuple[int, int]
    """(height, width) of the crop; equal to ``load_size`` for training on whole images."""
    flip: bool
    """Whether half of the crops are mirrored."""

    def __post_init__(self) -> None:
        for name in ("load_size", "crop_size"):
            size = getattr(self, name)
            if size is not None and min(size) < 32:
                raise ValueError(f"{name} must be at least 32x32 (height x width), got {size[0]}x{size[1]}")
        if any(side % 4 for side in self.crop_size):
            raise ValueError(f"the sides of crop_size must be multiples of 4, got {self.crop_size[0]}x{self.crop_size[1]}")
        if self.load_size is not None and any(crop > load for crop, load in zip(self.crop_size, self.load_size, strict=True)):
            raise ValueError(f"crop_size {self.crop_size} must fit into load_size {self.load_size}")


class Crops(NamedTuple):
    """One sample, or a batch of them; values in [-1, 1]."""

    source: Float[Tensor, "*batch 3 height width"]
    target: Float[Tensor, "*batch 3 height width"]


def to_tensor(image: UInt8[np.ndarray, "height width 3"]) -> Float[Tensor, "3 height width"]:
    """8-bit RGB to values in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div_(127.5).sub_(1)


def to_image(tensor: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """Values in [-1, 1] to 8-bit RGB, rounded; the inverse of :func:`to_tensor`."""
    scaled = tensor.float().add(1).mul(127.5).round().clamp(0, 255).byte().cpu()
    return np.ascontiguousarray(scaled.numpy().transpose(1, 2, 0))


def resize(image: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "rows columns 3"]:
    """The image at ``size`` (height, width): area averages when shrunk, bicubic when enlarged."""
    if image.shape[:2] == size:
        return image
    shrunk = size[0] < image.shape[0] or size[1] < image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_CUBIC)


def evenly_spread(frames: FrameSet, count: int) -> FrameSet:
    """``count`` frames at equal distances in the order of their ids, or all where there are fewer."""
    if count >= len(frames):
        return frames
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return FrameSet(frames.root, tuple(frames.frames[index] for index in chosen))


class UnpairedCrops:
    """``draw`` of :func:`synth2real.training.fit`: the i-th pair of crops, as a pure function of ``i``."""

    def __init__(self, source: FrameSet, target: FrameSet, crop: CropSettings, seed: int) -> None:
        """Checks that every frame is large enough.

        Args:
            source: Synthetic frames, at least two.
            target: Real frames, at least two.
            crop: Sizes and flips.
            seed: Chooses the order of the frames.

        Raises:
            FrameError: If a set has fewer than two frames, or a frame is smaller than the crop.
        """
        for frames in (source, target):
            if len(frames) < 2:
                raise FrameError(
                    f"{frames.root}: expected at least 2 training images, found {len(frames)}: one shows no look to learn. "
                    "Add frames to the split train."
                )
            for frame in frames.frames:
                height, width = crop.load_size or (frame.height, frame.width)
                if height < crop.crop_size[0] or width < crop.crop_size[1]:
                    raise FrameError(
                        f"{frames.image_path(frame)}: is {height}x{width} (height x width), smaller than the crop of "
                        f"{crop.crop_size[0]}x{crop.crop_size[1]}. Lower translation.crop.crop_size, "
                        "or set translation.crop.load_size."
                    )
        self.source, self.target, self.crop, self.seed = source, target, crop, seed

    def __call__(self, index: int, generator: np.random.Generator) -> Crops:
        """The ``index``-th sample; the generator chooses where to crop and whether to flip."""
        source = self.source.frames[shuffled(len(self.source), self.seed, index)]
        target = self.target.frames[shuffled(len(self.target), self.seed + 1, index)]
        return Crops(self._cropped(self.source, source, generator), self._cropped(self.target, target, generator))

    def _cropped(self, frames: FrameSet, frame: Frame, generator: np.random.Generator) -> Tensor:
        image = frames.image(frame)
        if self.crop.load_size is not None:
            image = resize(image, self.crop.load_size)
        height, width = self.crop.crop_size
        top = generator.integers(image.shape[0] - height + 1)
        left = generator.integers(image.shape[1] - width + 1)
        image = image[top : top + height, left : left + width]
        return to_tensor(image[:, ::-1] if self.crop.flip and generator.random() < 0.5 else image)
