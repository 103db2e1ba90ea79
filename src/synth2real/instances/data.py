"""Training samples for the detector: a crop of a frame, and what each instance in it is and covers.

Studio frames (VEIS) have true shapes but unreal textures and colours, so what is learnt must not hang on them: scale jitter
(Ghiasi et al., CVPR 2021, section 3: resize, then crop or pad), flips, and strong photometric jitter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from synth2real.frames import FrameError, FrameSet
from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS, VEIS_LABELS
from synth2real.training import shuffled

_CATEGORY_OF_LABEL_ID: Final = np.zeros(NUM_LABEL_IDS, np.int64)
_CATEGORY_OF_LABEL_ID[[label.label_id for label in VEIS_LABELS]] = np.arange(1, 1 + len(VEIS_LABELS))


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


def augmentation(settings: AugmentationSettings, size: tuple[int, int]) -> Callable[..., Any]:
    """A transform of image and instance map to the size (height, width); it draws from PyTorch's global generator."""
    photometric = v2.ColorJitter(settings.brightness, settings.contrast, settings.saturation, settings.hue)
    fill = {tv_tensors.Image: 128, tv_tensors.Mask: 0}
    transform: Callable[..., Any] = v2.Compose(
        [
            v2.ScaleJitter(size, settings.scale),
            v2.RandomCrop(size, pad_if_needed=True, fill=fill),
            v2.RandomHorizontalFlip(settings.flip),
            photometric,
            v2.RandomGrayscale(settings.grey),
            v2.RandomApply([v2.GaussianBlur(7, settings.blur_sigma)], settings.blur),
        ]
    )
    return transform


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
        self.frames, self.min_area, self.seed, self.noise = frames, min_area, seed, settings.noise
        self.transform = augmentation(settings, size)

    def __call__(self, index: int, generator: np.random.Generator) -> Sample:
        """The ``index``-th sample."""
        frame = self.frames.frames[shuffled(len(self.frames), self.seed, index)]
        image = tv_tensors.Image(torch.from_numpy(self.frames.image(frame)).permute(2, 0, 1))
        ids = tv_tensors.Mask(torch.from_numpy(self.frames.instances(frame).astype(np.int32)))
        image, ids = self.transform(image, ids)
        spread = generator.uniform(0, 255 * self.noise)
        noisy = image.numpy() + generator.standard_normal(image.shape, np.float32) * np.float32(spread)
        instances = instances_of(ids.numpy(), self.min_area)
        target = {
            "boxes": torch.from_numpy(instances.boxes),
            "labels": torch.from_numpy(instances.labels),
            "masks": torch.from_numpy(instances.masks),
        }
        return Sample(torch.from_numpy(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)), target)
