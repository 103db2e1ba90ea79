"""Pairs of a label map and its photo, and where the instance ids come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8, UInt16
from torch import Tensor

from synth2real.detections import detections_path, read_detections
from synth2real.frames import Frame, FrameError, FrameSet, resize_image
from synth2real.sampling import shuffled
from synth2real.synthesis.instance_maps import instances_from_detections, instances_from_labels
from synth2real.translation.data import to_tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """The section ``synthesis.pairs`` of params.yaml."""

    load_size: tuple[int, int] | None
    """(height, width) that each pair is resized to before it is cropped; null keeps its own."""
    crop_size: tuple[int, int]
    """(height, width) of the crop."""
    flip: bool
    """Whether half of the pairs are mirrored."""

    def __post_init__(self) -> None:
        for name in ("load_size", "crop_size"):
            size = getattr(self, name)
            if size is not None and min(size) < 32:
                raise ValueError(f"{name} must be at least 32x32 (height x width), got {size[0]}x{size[1]}")
        if self.load_size and any(crop > load for crop, load in zip(self.crop_size, self.load_size, strict=True)):
            raise ValueError(f"crop_size {self.crop_size} must fit into load_size {self.load_size}")


class Pair(NamedTuple):
    """One sample, or a batch of them."""

    label_ids: UInt8[Tensor, "*batch height width"]
    instance_ids: Int32[Tensor, "*batch height width"]
    image: Float[Tensor, "*batch 3 height width"]
    """Values in [-1, 1]."""


def instance_map(frames: FrameSet, frame: Frame, detections: Path | None = None) -> UInt16[np.ndarray, "height width"]:
    """The frame's instance ids: its own, or else those that a detector's masks and its label map let guess.

    See :func:`synth2real.synthesis.instance_maps.instances_from_detections` and ``instances_from_labels`` there.

    Args:
        frames: The frame's set.
        frame: Which.
        detections: Frame set with detections of the same frames, which then go before the set's own instance ids.

    Raises:
        FrameError: If a map is damaged, or detections are missing or of another size.
    """
    if detections is None:
        return frames.instances(frame) if (frames.root / "instances").is_dir() else instances_from_labels(frames.label(frame))
    path = detections_path(detections, frame.frame_id)
    try:
        return instances_from_detections(frames.label(frame), read_detections(path))
    except FrameError:
        raise
    except ValueError as error:
        raise FrameError(f"{path}: {error} ({frames.label_path(frame)}). Detect in the same frames again.") from None


def resize_map(
    ids: UInt8[np.ndarray, "_ _"] | UInt16[np.ndarray, "_ _"], size: tuple[int, int]
) -> UInt8[np.ndarray, "height width"] | UInt16[np.ndarray, "height width"]:
    """The map at ``size`` (height, width), each pixel as its nearest."""
    return ids if ids.shape == size else cv2.resize(ids, size[::-1], interpolation=cv2.INTER_NEAREST)


class PairedCrops:
    """``draw`` of :func:`synth2real.training.fit`: the i-th pair, as a pure function of ``i``."""

    def __init__(
        self, images: FrameSet, annotations: FrameSet, pairs: PairSettings, seed: int, detections: Path | None = None
    ) -> None:
        """Finds the frames that both sets have.

        Args:
            images: Photos.
            annotations: Label maps, and instance maps where they are to be had.
            pairs: Sizes and flips.
            seed: Chooses the order of the frames.
            detections: See :func:`instance_map`.

        Raises:
            FrameError: If a photo's frame has no label map, they differ in size, or a frame is smaller than the crop.
        """
        of_annotations = {frame.frame_id: frame for frame in annotations.frames}
        for frame in images.frames:
            other = of_annotations.get(frame.frame_id)
            if other is None or (other.height, other.width) != (frame.height, frame.width):
                found = "none" if other is None else f"one of {other.height}x{other.width}"
                raise FrameError(
                    f"{annotations.root}: expected a label map of {frame.height}x{frame.width} (height x width) for frame "
                    f"{frame.frame_id} of {images.root}, found {found}. Give frame sets of the same frames."
                )
            size = pairs.load_size or (frame.height, frame.width)
            if any(side < crop for side, crop in zip(size, pairs.crop_size, strict=True)):
                raise FrameError(
                    f"{images.image_path(frame)}: is {size[0]}x{size[1]} (height x width), smaller than the crop of "
                    f"{pairs.crop_size[0]}x{pairs.crop_size[1]}. Lower synthesis.pairs.crop_size, or set load_size."
                )
        self.images, self.annotations, self.pairs, self.seed, self.detections = images, annotations, pairs, seed, detections

    def frame(self, index: int) -> Frame:
        """The frame that the ``index``-th sample shows."""
        return self.images.frames[shuffled(len(self.images), self.seed, index)]

    def whole(self, frame: Frame) -> tuple[UInt8[np.ndarray, "_ _"], UInt16[np.ndarray, "_ _"], UInt8[np.ndarray, "_ _ 3"]]:
        """A frame's label ids, instance ids and photo at the size of loading."""
        label_ids, instance_ids = self.annotations.label(frame), instance_map(self.annotations, frame, self.detections)
        image = self.images.image(frame)
        size = self.pairs.load_size or (frame.height, frame.width)
        return resize_map(label_ids, size), resize_map(instance_ids, size), resize_image(image, size)

    def __call__(self, index: int, generator: np.random.Generator) -> Pair:
        """The ``index``-th pair; the generator chooses where to crop and whether to flip."""
        label_ids, instance_ids, image = self.whole(self.frame(index))
        height, width = self.pairs.crop_size
        top, left = (
            int(generator.integers(side - crop + 1)) for side, crop in zip(label_ids.shape, (height, width), strict=True)
        )
        step = -1 if self.pairs.flip and generator.random() < 0.5 else 1
        maps = [pixels[top : top + height, left : left + width][:, ::step] for pixels in (label_ids, instance_ids, image)]
        return Pair(to_ids(maps[0]), to_ids(maps[1].astype(np.int32)), to_tensor(maps[2]))


def to_ids(ids: np.ndarray) -> Tensor:
    """A map as a tensor of its own type."""
    return torch.from_numpy(np.ascontiguousarray(ids))
