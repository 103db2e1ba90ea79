"""Training samples for the detector: a crop of a frame, and what each instance in it is and covers.

Studio frames (VEIS) have true shapes but unreal textures and colours, so what is learnt must not hang on them: scale jitter
(Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", CVPR 2021, section 3: resize,
then crop or pad), flips, strong photometric jitter, and by parameter that paper's copy-paste.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8
from torch import Tensor

from synth2real.augmentation import AugmentationSettings, augment
from synth2real.frames import Frame, FrameError, FrameSet, resize_image
from synth2real.instances.mask_rcnn import fitted_size
from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS, VEIS_LABELS
from synth2real.sampling import shuffled

_CATEGORY_OF_LABEL_ID: Final = np.zeros(NUM_LABEL_IDS, np.int64)
_CATEGORY_OF_LABEL_ID[[label.label_id for label in VEIS_LABELS]] = np.arange(1, 1 + len(VEIS_LABELS))
_PASTED_SHARE: Final = 0.5
"""Probability that an instance of the other frame is among those pasted."""


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
    masks: Bool[np.ndarray, "instances height width"] = instance_ids == ids.astype(instance_ids.dtype)[:, None, None]
    return Instances(_CATEGORY_OF_LABEL_ID[ids // INSTANCE_FACTOR], _boxes(masks), masks)


def _boxes(masks: Bool[np.ndarray, "instances height width"]) -> Float32[np.ndarray, "instances 4"]:
    rows: Bool[np.ndarray, "instances height"] = np.logical_or.reduce(masks, axis=2)
    columns: Bool[np.ndarray, "instances width"] = np.logical_or.reduce(masks, axis=1)
    height, width = masks.shape[1:]
    edges = (columns.argmax(1), rows.argmax(1), width - columns[:, ::-1].argmax(1), height - rows[:, ::-1].argmax(1))
    return np.stack(edges, 1).astype(np.float32)


@dataclass(frozen=True)
class PairedFrames(FrameSet):
    """Frames with instances whose images are another frame set's. Make one with :func:`pair_frames`."""

    images: FrameSet

    def image_path(self, frame: Frame) -> Path:
        """Where the frame's image is."""
        return self.images.image_path(frame)


def pair_frames(images: FrameSet, annotations: FrameSet) -> PairedFrames:
    """The annotated frames, seen in the images of another set, such as translated or painted ones.

    Args:
        images: Frame set with images of all annotated frames, and maybe others.
        annotations: Frame set with instances; may be the same.

    Raises:
        FrameError: If an annotated frame has no image there.
    """
    there = {frame.frame_id for frame in images.frames}
    missing = [frame.frame_id for frame in annotations.frames if frame.frame_id not in there]
    if missing:
        raise FrameError(
            f"{images.root}: {len(missing)} of the {len(annotations)} frames of {annotations.root} have no image there, first "
            f"{missing[0]!r}. Images and instances must be of the same frames: see detector_frames in params.yaml."
        )
    return PairedFrames(annotations.root, annotations.frames, images)


class View(NamedTuple):
    """An image and its instances."""

    image: UInt8[np.ndarray, "height width 3"]
    instances: Instances


def paste(view: View, other: View, min_area: int) -> View:
    """The instances of another view in front of this one (copy-paste, Ghiasi et al. 2021, section 3).

    What they cover is cut from the instances behind them. Edges are not blended, which made no difference in the paper.

    Args:
        view: What is pasted on.
        other: Whose instances are pasted at their places; of the same size.
        min_area: Instances of which fewer pixels are left are background, as in :func:`instances_of`.
    """
    cover: Bool[np.ndarray, "height width"] = np.logical_or.reduce(other.instances.masks, axis=0)
    masks = np.concatenate((view.instances.masks & ~cover, other.instances.masks))
    is_left: Bool[np.ndarray, " instances"] = masks.sum((1, 2)) >= min_area
    labels = np.concatenate((view.instances.labels, other.instances.labels))
    instances = Instances(labels[is_left], _boxes(masks[is_left]), masks[is_left])
    return View(np.where(cover[..., None], other.image, view.image), instances)


class Sample(NamedTuple):
    """One training sample."""

    image: UInt8[Tensor, "3 height width"]
    target: dict[str, Tensor]
    """``boxes`` (xyxy pixels), ``labels`` (1..10) and boolean ``masks``, as torchvision's detectors want them."""


class InstanceSamples:
    """Draws training samples from the frames of a set: see :func:`synth2real.training.fit`."""

    def __init__(
        self,
        frames: FrameSet,
        settings: AugmentationSettings,
        *,
        size: tuple[int, int],
        min_area: int,
        copy_paste: float,
        seed: int,
    ) -> None:
        """Lists what to draw from.

        Args:
            frames: A frame set with images and instances.
            settings: How samples vary; a magnification of 1 fits a frame into ``size``.
            size: Height and width of the samples. What lies outside of the frame is grey, without instances.
            min_area: See :func:`instances_of`.
            copy_paste: Probability that about half of the instances of a second frame, drawn at random and augmented like the
                first, are pasted onto a sample.
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
        self.copy_paste = copy_paste

    def __call__(self, index: int, generator: np.random.Generator) -> Sample:
        """The ``index``-th sample."""
        view = self._view(shuffled(len(self.frames), self.seed, index), generator)
        if self.copy_paste and generator.random() < self.copy_paste:
            other = self._view(int(generator.integers(len(self.frames))), generator)
            is_chosen = generator.random(len(other.instances.labels)) < _PASTED_SHARE
            chosen = Instances(*(values[is_chosen] for values in other.instances))
            view = paste(view, View(other.image, chosen), self.min_area)
        labels, boxes, masks = map(torch.from_numpy, view.instances)
        target = {"boxes": boxes, "labels": labels, "masks": masks}
        return Sample(torch.from_numpy(view.image).permute(2, 0, 1).contiguous(), target)

    def _view(self, index: int, generator: np.random.Generator) -> View:
        frame = self.frames.frames[index]
        fitted = fitted_size((frame.height, frame.width), self.size)
        image = resize_image(self.frames.image(frame), fitted)
        ids = cv2.resize(self.frames.instances(frame), fitted[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        image, ids = augment(image, ids, self.settings, self.size, generator, outside=0)
        return View(image, instances_of(ids, self.min_area))
