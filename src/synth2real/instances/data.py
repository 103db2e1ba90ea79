"""Training samples for the detector: a crop of a frame, and what each instance in it is and covers.

Studio frames (VEIS) have true shapes but unreal textures and colours, so what is learnt must not hang on them: scale jitter
(Ghiasi et al., CVPR 2021, section 3: resize, then crop or pad), flips, and strong photometric jitter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, Shaped, UInt8
from torch import Tensor

from synth2real.frames import FrameError, FrameSet
from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS, VEIS_LABELS
from synth2real.training import shuffled

_CATEGORY_OF_LABEL_ID: Final = np.zeros(NUM_LABEL_IDS, np.int64)
_CATEGORY_OF_LABEL_ID[[label.label_id for label in VEIS_LABELS]] = np.arange(1, 1 + len(VEIS_LABELS))

_LUMA: Final = np.array([0.299, 0.587, 0.114])
_OUTSIDE: Final = 128
"""Grey level beyond the frame's edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationSettings:
    """How samples vary."""

    scale: tuple[float, float]
    """Range of the size of a frame, relative to fitting it into the network's size."""
    flip: float
    """Probability of mirroring left and right."""
    brightness: float
    contrast: float
    saturation: float
    """Each is multiplied by a factor of 1 plus or minus this."""
    hue: float
    """Turned by up to this share of the colour circle, at most 0.5."""
    grey: float
    """Probability of taking all colour away."""
    blur: float
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[float, float]
    """Range of its standard deviation in pixels."""
    noise: float
    """Largest standard deviation of Gaussian noise, where white is 1."""

    def __post_init__(self) -> None:
        for name in ("scale", "blur_sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a range of positive numbers, got {getattr(self, name)}")
        for name in ("flip", "brightness", "contrast", "saturation", "grey", "blur", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue must be in [0, 0.5], got {self.hue}")


class Instances(NamedTuple):
    """The instances of one frame, in the order of their instance ids."""

    labels: Int64[np.ndarray, " instances"]
    """1..10: ``VEIS_LABELS[label - 1]``."""
    boxes: Float32[np.ndarray, "instances 4"]
    """Left, top, right and bottom edge in pixels; the right and bottom pixels lie before the edge."""
    masks: Bool[np.ndarray, "instances height width"]


def instances_of(instance_ids: Shaped[np.ndarray, "height width"], min_area: int) -> Instances:
    """What each instance of a map is and covers.

    Stuff, groups that Cityscapes does not tell apart (ids below 1000) and the classes that VEIS lacks (caravan, trailer) are
    background.

    Args:
        instance_ids: Cityscapes instance ids, ``label_id * 1000 + n``.
        min_area: Instances of fewer pixels are left out, as background; at least 1.

    Returns:
        The instances; none gives arrays of length 0.
    """
    areas = np.bincount(instance_ids.ravel(), minlength=NUM_LABEL_IDS * INSTANCE_FACTOR)
    areas[:INSTANCE_FACTOR] = 0
    ids = np.flatnonzero(areas >= min_area)
    ids = ids[_CATEGORY_OF_LABEL_ID[ids // INSTANCE_FACTOR] > 0]
    masks = instance_ids == ids.astype(instance_ids.dtype)[:, None, None]
    rows, columns = masks.any(2), masks.any(1)
    height, width = instance_ids.shape
    edges = (columns.argmax(1), rows.argmax(1), width - columns[:, ::-1].argmax(1), height - rows[:, ::-1].argmax(1))
    return Instances(_CATEGORY_OF_LABEL_ID[ids // INSTANCE_FACTOR], np.stack(edges, 1).astype(np.float32), masks)


class Sample(NamedTuple):
    """One training sample."""

    image: UInt8[Tensor, "3 height width"]
    target: dict[str, Tensor]
    """``boxes`` (xyxy pixels), ``labels`` (1..10) and boolean ``masks``, as torchvision's detectors want them."""


def augment(
    image: UInt8[np.ndarray, "height width 3"],
    instance_ids: Shaped[np.ndarray, "height width"],
    settings: AugmentationSettings,
    size: tuple[int, int],
    generator: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "h w 3"], Shaped[np.ndarray, "h w"]]:
    """A random view of a frame: its scale, place, mirroring, colours, sharpness and noise vary.

    Args:
        image: RGB.
        instance_ids: What is where in it.
        settings: How much varies.
        size: Height and width of the view. What lies outside of the frame is grey, without instances.
        generator: Source of all randomness.

    Returns:
        The view and its instance ids.
    """
    image, instance_ids = _placed(image, instance_ids, settings.scale, size, generator)
    if generator.random() < settings.flip:
        image, instance_ids = image[:, ::-1], instance_ids[:, ::-1]
    colours = cv2.transform(np.ascontiguousarray(image), _colour_map(settings, cv2.mean(image)[:3], generator))
    sigma = generator.uniform(*settings.blur_sigma)
    if generator.random() < settings.blur:
        colours = cv2.GaussianBlur(colours, (0, 0), sigma)
    deviation = generator.uniform(0, 255 * settings.noise)
    if deviation > 0:
        noisy = colours + generator.standard_normal(colours.shape, np.float32) * np.float32(deviation)
        colours = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return colours, np.ascontiguousarray(instance_ids)


def _placed(
    image: UInt8[np.ndarray, "height width 3"],
    instance_ids: Shaped[np.ndarray, "height width"],
    scales: tuple[float, float],
    size: tuple[int, int],
    generator: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "h w 3"], Shaped[np.ndarray, "h w"]]:
    """Frame and ids at a random scale, with a random window of ``size`` cut out of them, or they out of it."""
    frame = np.array(image.shape[:2])
    zoom = np.min(np.array(size) / frame) * generator.uniform(*scales)
    cut = np.clip(np.rint(np.array(size) / zoom), 1, frame).astype(int)  # of the frame, its pixels
    filled = np.clip(np.rint(cut * zoom), 1, size).astype(int)  # of the view, its pixels
    (top, left), (row, column) = (generator.integers(0, room, endpoint=True) for room in (frame - cut, size - filled))
    source = np.s_[top : top + cut[0], left : left + cut[1]]
    target = np.s_[row : row + filled[0], column : column + filled[1]]
    view, ids = np.full((*size, 3), _OUTSIDE, np.uint8), np.zeros(size, instance_ids.dtype)
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    view[target] = cv2.resize(image[source], filled[::-1].tolist(), interpolation=interpolation)
    ids[target] = cv2.resize(instance_ids[source], filled[::-1].tolist(), interpolation=cv2.INTER_NEAREST_EXACT)
    return view, ids


def _colour_map(
    settings: AugmentationSettings, mean: Sequence[float], generator: np.random.Generator
) -> Float64[np.ndarray, "3 4"]:
    """Hue, saturation, contrast and brightness as one affine map of colours (Haeberli, "Matrix operations for images", 1993)."""
    brightness, contrast, saturation = (
        generator.uniform(1 - spread, 1 + spread) for spread in (settings.brightness, settings.contrast, settings.saturation)
    )
    angle = 2 * np.pi * generator.uniform(-settings.hue, settings.hue)
    if generator.random() < settings.grey:
        saturation = 0.0
    axis = np.full((3, 3), 1 / 3)  # onto grey
    turn = np.roll(np.eye(3), 1, axis=0) - np.roll(np.eye(3), -1, axis=0)
    rotation = axis + np.cos(angle) * (np.eye(3) - axis) + np.sin(angle) / np.sqrt(3) * turn
    saturated = (saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _LUMA)) @ rotation
    offset = (1 - contrast) * float(_LUMA @ np.array(mean))
    return brightness * np.hstack((contrast * saturated, np.full((3, 1), offset)))


class InstanceSamples:
    """Draws training samples from the frames of a set: see :func:`synth2real.training.fit`."""

    def __init__(
        self, frames: FrameSet, settings: AugmentationSettings, *, size: tuple[int, int], min_area: int, seed: int
    ) -> None:
        """Lists what to draw from.

        Args:
            frames: A frame set with images and instances.
            settings: How samples vary.
            size: Height and width of the samples.
            min_area: See :func:`instances_of`.
            seed: Chooses the order of the frames.

        Raises:
            FrameError: If no frame holds an instance of a foreground class.
        """
        if not any(len(instances_of(frames.instances(frame), min_area).labels) for frame in frames.frames):
            raise FrameError(
                f"{frames.root / 'instances'}: expected instances (label_id * 1000 + n, at least {min_area} pixels) of "
                f"{', '.join(label.name for label in VEIS_LABELS)}; found none in {len(frames)} frames. A detector cannot be "
                "trained on it; prepare a data set with instances."
            )
        self.frames, self.settings, self.size, self.min_area, self.seed = frames, settings, size, min_area, seed

    def __call__(self, index: int, generator: np.random.Generator) -> Sample:
        """The ``index``-th sample."""
        frame = self.frames.frames[shuffled(len(self.frames), self.seed, index)]
        image, ids = augment(self.frames.image(frame), self.frames.instances(frame), self.settings, self.size, generator)
        instances = instances_of(ids, self.min_area)
        target = {
            "boxes": torch.from_numpy(instances.boxes),
            "labels": torch.from_numpy(instances.labels),
            "masks": torch.from_numpy(instances.masks),
        }
        return Sample(torch.from_numpy(image).permute(2, 0, 1).contiguous(), target)
