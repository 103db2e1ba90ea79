"""Unpaired training images: a random crop of a source frame beside a random crop of a target frame."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from synth2real.frames import Frame, FrameError, FrameSet, resize_image
from synth2real.label_space import NUM_LABEL_IDS
from synth2real.sampling import shuffled

_CANDIDATES: Final = 8
"""Places of a source crop of which label matching takes the one with the most even classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSettings:
    """The section ``translation.crop`` of params.yaml."""

    load_size: tuple[int, int] | None
    """(height, width) that each image is resized to before it is cropped; null keeps its own."""
    crop_size: tuple[int, int] | None
    """(height, width) of the crop; null trains on whole images, resized to ``load_size``."""
    flip: bool
    """Whether half of the crops are mirrored."""
    matching: Literal["none", "position", "labels"]
    """How the crops of a pair are matched. Where the two sets differ in what they show, a discriminator asks for what is missing,
    and trees grow into the sky; pairs with alike content spare that (Richter, Al Haija, Koltun, "Enhancing Photorealism
    Enhancement", TPAMI 2022, match patches by deep features; these are cheaper forms of it). ``none``: as in the CycleGAN paper.
    ``position``: both at the same relative height, so that roads meet roads. ``labels``: also, of 8 places, where the source's
    label histogram has the highest entropy, so that no crop is all sky or all road; the source needs labels."""

    def __post_init__(self) -> None:
        for name in ("load_size", "crop_size"):
            size = getattr(self, name)
            if size is not None and min(size) < 32:
                raise ValueError(f"{name} must be at least 32x32 (height x width), got {size[0]}x{size[1]}")
        if self.load_size is None:
            if self.crop_size is None:
                raise ValueError("load_size must be given where crop_size is null: whole images of one size make a batch")
        elif any(crop > load for crop, load in zip(self.size, self.load_size, strict=True)):
            raise ValueError(f"crop_size {self.crop_size} must fit into load_size {self.load_size}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the training images."""
        size = self.crop_size or self.load_size
        assert size is not None
        return size


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
                if height < crop.size[0] or width < crop.size[1]:
                    raise FrameError(
                        f"{frames.image_path(frame)}: is {height}x{width} (height x width), smaller than the crop of "
                        f"{crop.size[0]}x{crop.size[1]}. Lower translation.crop.crop_size, "
                        "or set translation.crop.load_size."
                    )
        self.source, self.target, self.crop, self.seed = source, target, crop, seed

    def frames(self, index: int) -> tuple[Frame, Frame]:
        """The frames of source and target that the ``index``-th sample shows."""
        source = self.source.frames[shuffled(len(self.source), self.seed, index)]
        return source, self.target.frames[shuffled(len(self.target), self.seed + 1, index)]

    def __call__(self, index: int, generator: np.random.Generator) -> Crops:
        """The ``index``-th sample; the generator chooses where to crop and whether to flip."""
        source, target = self.frames(index)
        place = generator.random(2)
        if self.crop.matching == "labels":
            place = self._place_of_many_classes(source, generator.random((_CANDIDATES, 2)))
        other = generator.random(2)
        if self.crop.matching != "none":
            other[0] = place[0]
        crops = []
        for frames, frame, (down, right) in ((self.source, source, place), (self.target, target, other)):
            image = frames.image(frame)
            if self.crop.load_size is not None:
                image = resize_image(image, self.crop.load_size)
            image = image[_window(image.shape[:2], self.crop.size, down, right)]
            crops.append(to_tensor(image[:, ::-1] if self.crop.flip and generator.random() < 0.5 else image))
        return Crops(*crops)

    def _place_of_many_classes(self, frame: Frame, places: Float64[np.ndarray, "places 2"]) -> Float64[np.ndarray, " 2"]:
        label_ids = self.source.label(frame)
        if self.crop.load_size is not None:
            label_ids = cv2.resize(label_ids, self.crop.load_size[::-1], interpolation=cv2.INTER_NEAREST)
        entropies = []
        for down, right in places:
            window = label_ids[_window(label_ids.shape, self.crop.size, down, right)]
            shares = np.bincount(window.ravel(), minlength=NUM_LABEL_IDS) / window.size
            entropies.append(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
        best: np.ndarray = places[int(np.argmax(entropies))]
        return best


def _window(shape: tuple[int, ...], size: tuple[int, int], down: float, right: float) -> tuple[slice, slice]:
    """The pixels of a crop whose place is given as shares, in [0, 1), of the way down and to the right."""
    top, left = int(down * (shape[0] - size[0] + 1)), int(right * (shape[1] - size[1] + 1))
    return slice(top, top + size[0]), slice(left, left + size[1])
