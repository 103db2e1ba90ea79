"""Labelled frames for training a segmenter: which there are, how often each class occurs, and the samples of each step."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor

from synth2real.augmentation import AugmentationSettings, move, move_labels, random_view, recolour
from synth2real.frames import Frame, FrameError, FrameSet, read_frames, resize_image
from synth2real.label_space import IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID, NUM_CLASSES
from synth2real.sampling import seed_of, shuffled

TRAIN_SPLIT: Final = "train"
_VIEWS: Final = 10
"""Views of a frame that are drawn, at most, to see its rare class; as in DAFormer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RareClassSettings:
    """The section ``segmentation.rare_classes`` of params.yaml; see :class:`RareClasses`."""

    temperature: float
    """T; 0.01 in the paper. The higher, the more evenly the classes are drawn."""
    min_pixels: int
    """Pixels of a class from which on a frame is drawn for it, at ``segmentation.size``; 3000 of 1280x720 in the paper."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.min_pixels < 1:
            raise ValueError(f"min_pixels must be at least 1, got {self.min_pixels}")


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """Images of one frame set with the labels of another, joined by frame id. Make one with :func:`read_labelled_frames`."""

    images: FrameSet
    labels: FrameSet
    frames: tuple[tuple[Frame, Frame], ...]
    """Of each frame, the row in ``images`` and the row in ``labels``; their sizes may differ."""

    def __len__(self) -> int:
        return len(self.frames)

    def image(self, index: int, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
        """The ``index``-th RGB image, resized."""
        return resize_image(self.images.image(self.frames[index][0]), size)

    def train_ids(self, index: int, size: tuple[int, int]) -> UInt8[np.ndarray, "height width"]:
        """The ``index``-th map of train ids, resized to the nearest pixel."""
        label_ids = cv2.resize(self.labels.label(self.frames[index][1]), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        train_ids: np.ndarray = LABEL_ID_TO_TRAIN_ID[label_ids]
        return train_ids


def read_labelled_frames(images: Path, labels: Path) -> LabelledFrames:
    """Lists the frames of the label set's split ``train`` together with their images.

    Args:
        images: Frame set with ``images/``.
        labels: Frame set with ``labels/``; may be the same folder.

    Raises:
        FrameError: If the label set has no frame of the split, or the image set lacks one of them.
    """
    image_set, label_set = read_frames(images), read_frames(labels)
    by_id = {frame.frame_id: frame for frame in image_set.frames}
    wanted = label_set.split(TRAIN_SPLIT).frames
    missing = [frame.frame_id for frame in wanted if frame.frame_id not in by_id]
    if missing:
        raise FrameError(
            f"{images}: {len(missing)} of the {len(wanted)} {TRAIN_SPLIT} frames of {labels} have no image there, first "
            f"{missing[0]!r}. Images and labels must come from the same frames; run the stage that makes the images again."
        )
    return LabelledFrames(image_set, label_set, tuple((by_id[frame.frame_id], frame) for frame in wanted))


class TrainingFrames:
    """All frames that a segmenter learns from, resized; held in memory where they fit."""

    def __init__(self, pairs: Sequence[LabelledFrames], size: tuple[int, int], cache_mib: int) -> None:
        """Reads every label map (and, where all fits, every image) once.

        Args:
            pairs: The labelled frame sets.
            size: (height, width) that frames are resized to.
            cache_mib: Most memory that the resized frames may take, in MiB; beyond, they are read again for each sample.

        Raises:
            FrameError: If a file is missing or damaged, or if no pixel of a pair has a label that counts.
        """
        self.pairs, self.size = tuple(pairs), size
        starts = np.cumsum([0, *map(len, pairs)])
        self._starts = tuple(int(start) for start in starts[:-1])
        keys = [(pair, index) for pair, frames in enumerate(pairs) for index in range(len(frames))]
        fits = len(keys) * size[0] * size[1] * 4 <= cache_mib * 2**20
        self._images = np.empty((len(keys) if fits else 0, *size, 3), np.uint8)
        self._train_ids = np.empty((len(keys) if fits else 0, *size), np.uint8)

        def read(number: int) -> np.ndarray:
            pair, index = keys[number]
            train_ids = self.pairs[pair].train_ids(index, size)
            if fits:
                self._images[number] = self.pairs[pair].image(index, size)
                self._train_ids[number] = train_ids
            return np.bincount(train_ids.ravel(), minlength=IGNORE_INDEX + 1)

        with ThreadPoolExecutor() as pool:
            counts = np.stack(list(pool.map(read, range(len(keys)))))[:, :NUM_CLASSES]
        self.counts = tuple(np.split(counts, starts[1:-1]))
        """Of each pair, the pixels of its frames' 19 classes at the resized size, int[frames, 19]."""
        for pair, of_pair in zip(self.pairs, self.counts, strict=True):
            if not of_pair.any():
                raise FrameError(
                    f"{pair.labels.root}: all pixels of the {len(pair)} {TRAIN_SPLIT} frames are ignored, so there is nothing to "
                    "learn. Check the ids in labels/ (Cityscapes label ids) and the stage that makes them."
                )

    def __len__(self) -> int:
        return sum(map(len, self.pairs))

    @property
    def class_counts(self) -> Int64[np.ndarray, "19"]:
        """Pixels of each class over all frames, at the resized size."""
        total: np.ndarray = np.concatenate(self.counts).sum(axis=0)
        return total

    def get(self, pair: int, index: int) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
        """Resized image and train ids of a pair's ``index``-th frame."""
        if len(self._images):
            number = self._starts[pair] + index
            return self._images[number], self._train_ids[number]
        return self.pairs[pair].image(index, self.size), self.pairs[pair].train_ids(index, self.size)


class UnlabelledFrames:
    """The training images of a frame set whose labels nobody asks for, resized; held in memory where they fit."""

    def __init__(self, images: Path, size: tuple[int, int], cache_mib: int) -> None:
        """Lists the frames of split ``train``, and reads them where all fit.

        Args:
            images: Frame set with ``images/``.
            size: (height, width) that frames are resized to.
            cache_mib: Most memory that the resized frames may take, in MiB; beyond, they are read again for each sample.

        Raises:
            FrameError: If there is no such frame, or a file is missing or damaged.
        """
        self.images, self.size = read_frames(images).split(TRAIN_SPLIT), size
        fits = len(self) * size[0] * size[1] * 3 <= cache_mib * 2**20
        with ThreadPoolExecutor() as pool:
            self._cached = list(pool.map(self._read, self.images.frames)) if fits else []

    def __len__(self) -> int:
        return len(self.images)

    def _read(self, frame: Frame) -> UInt8[np.ndarray, "height width 3"]:
        return resize_image(self.images.image(frame), self.size)

    def get(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """The ``index``-th RGB image, resized."""
        return self._cached[index] if self._cached else self._read(self.images.frames[index])


def which_frame(index: int, counts: Sequence[int], batch_size: int, seed: int) -> tuple[int, int]:
    """The pair and the frame that the ``index``-th sample shows; each batch takes as many from every pair.

    Args:
        index: Number of the sample, from 0, without bound.
        counts: Frames of each pair.
        batch_size: A multiple of the number of pairs.
        seed: Chooses the order; each turn through a pair's frames has one of its own.
    """
    share = batch_size // len(counts)
    batch, slot = divmod(index, batch_size)
    pair, within = slot % len(counts), slot // len(counts)
    return pair, shuffled(counts[pair], seed_of(seed, pair), batch * share + within)


class RareClasses:
    r"""Rare class sampling: first a class, the rarer the likelier, then any frame that shows enough of it.

    Hoyer, Dai, Van Gool, "DAFormer", CVPR 2022, equations 9 and 10: with :math:`f_c` the share of class c among all pixels,

    .. math:: P(c) = e^{(1 - f_c) / T} / \sum_{c'} e^{(1 - f_{c'}) / T}.

    Classes that no frame shows enough of are never drawn. Shares are of the labelled pixels.
    """

    def __init__(self, counts: Int[np.ndarray, "frames 19"], settings: RareClassSettings, where: Path) -> None:
        """Lists the frames of each class.

        Args:
            counts: Pixels of each class in each frame.
            settings: Temperature and least number of pixels.
            where: The frame set, for the message.

        Raises:
            FrameError: If no frame shows enough of any class.
        """
        shows = counts >= settings.min_pixels
        if not shows.any():
            raise FrameError(
                f"{where}: no frame has segmentation.rare_classes.min_pixels ({settings.min_pixels}) pixels of any class; the "
                f"most is {counts.max()} at segmentation.size. Lower it."
            )
        logits = np.where(shows.any(axis=0), (1 - counts.sum(axis=0) / counts.sum()) / settings.temperature, -np.inf)
        exponentials = np.exp(logits - logits.max())
        self.probabilities = exponentials / exponentials.sum()
        """P(c) of the 19 classes."""
        self._frames = [np.flatnonzero(of_class) for of_class in shows.T]

    def draw(self, generator: np.random.Generator) -> tuple[int, int]:
        """A train id and a frame that shows enough of it."""
        train_id = int(generator.choice(NUM_CLASSES, p=self.probabilities))
        return train_id, int(generator.choice(self._frames[train_id]))


class View(NamedTuple):
    """What a training sample shows, before its colours are changed."""

    image: UInt8[np.ndarray, "height width 3"]
    train_ids: UInt8[np.ndarray, "height width"]


class Views:
    """``views(index, generator)`` is the ``index``-th view of a labelled frame; a pure function of its arguments."""

    def __init__(
        self,
        frames: TrainingFrames,
        augmentation: AugmentationSettings,
        crop: tuple[int, int],
        batch_size: int,
        seed: int,
        rare_classes: RareClassSettings | None,
    ) -> None:
        """Prepares the drawing.

        Args:
            frames: What is shown.
            augmentation: Magnification and flip.
            crop: (height, width) of the views.
            batch_size: A multiple of the number of pairs; each batch takes as many from every pair.
            seed: Chooses the order of the frames.
            rare_classes: None shows each pair's frames in turn; else frames are drawn for their classes, each pair's by its own
                shares, and of up to ten views of a frame the first is taken that has half of ``min_pixels`` of its class.

        Raises:
            FrameError: See :class:`RareClasses`.
        """
        self.frames, self.augmentation, self.crop = frames, augmentation, crop
        self.batch_size, self.seed = batch_size, seed
        self.enough = 0.0
        self.rare: tuple[RareClasses, ...] = ()
        if rare_classes is not None:
            self.enough = rare_classes.min_pixels / 2
            pairs = zip(frames.counts, frames.pairs, strict=True)
            self.rare = tuple(RareClasses(counts, rare_classes, pair.labels.root) for counts, pair in pairs)

    def __call__(self, index: int, generator: np.random.Generator) -> View:
        """Draws the view."""
        counts = [len(pair) for pair in self.frames.pairs]
        pair, frame = which_frame(index, counts, self.batch_size, self.seed)
        train_id = IGNORE_INDEX
        if self.rare:
            train_id, frame = self.rare[pair].draw(generator)
        image, train_ids = self.frames.get(pair, frame)
        view = random_view(train_ids.shape, self.crop, self.augmentation, generator)
        for _ in range(_VIEWS - 1 if self.rare else 0):
            seen = move_labels(train_ids, view, self.crop, outside=IGNORE_INDEX)
            if (seen == train_id).sum() >= self.enough:
                break
            view = random_view(train_ids.shape, self.crop, self.augmentation, generator)
        return View(*move(image, train_ids, view, self.crop, outside=IGNORE_INDEX))


@dataclass(frozen=True, slots=True)
class Samples:
    """``samples(index, generator)`` is the ``index``-th training sample: an augmented image and its train ids."""

    views: Views

    def __call__(
        self, index: int, generator: np.random.Generator
    ) -> tuple[UInt8[Tensor, "height width 3"], UInt8[Tensor, "height width"]]:
        """Draws the sample; a pure function of its arguments."""
        image, train_ids = self.views(index, generator)
        return torch.from_numpy(recolour(image, self.views.augmentation, generator)), torch.from_numpy(train_ids)


def class_weights(counts: Int64[np.ndarray, "19"], power: float) -> Float[np.ndarray, "19"]:
    r"""Weights :math:`w_c \propto f_c^{-power}` of the cross-entropy, with mean 1 over the classes that occur.

    Args:
        counts: Pixels of each class.
        power: 0 weighs all pixels alike, 1 all classes alike.

    Returns:
        The weights; 0 for classes that do not occur.
    """
    occurs = counts > 0
    weights = np.zeros(counts.shape)
    weights[occurs] = (counts[occurs] / counts.sum()) ** -power
    weights /= weights[occurs].mean()
    return weights
