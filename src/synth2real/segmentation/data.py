"""Labelled frames for training a segmenter: which there are, how often each class occurs, and the samples of each step."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from synth2real.augmentation import AugmentationSettings, augment
from synth2real.frames import Frame, FrameError, FrameSet, read_frames, resize_image
from synth2real.label_space import IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID, NUM_CLASSES
from synth2real.training import seed_of, shuffled

TRAIN_SPLIT: Final = "train"


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
        for pair, of_pair in zip(self.pairs, np.split(counts, starts[1:-1]), strict=True):
            if not of_pair.any():
                raise FrameError(
                    f"{pair.labels.root}: all pixels of the {len(pair)} {TRAIN_SPLIT} frames are ignored, so there is nothing to "
                    "learn. Check the ids in labels/ (Cityscapes label ids) and the stage that makes them."
                )
        self.class_counts = counts.sum(axis=0)
        """Pixels of each of the 19 classes over all frames, at the resized size."""

    def __len__(self) -> int:
        return sum(map(len, self.pairs))

    def get(self, pair: int, index: int) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
        """Resized image and train ids of a pair's ``index``-th frame."""
        if len(self._images):
            number = self._starts[pair] + index
            return self._images[number], self._train_ids[number]
        return self.pairs[pair].image(index, self.size), self.pairs[pair].train_ids(index, self.size)


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


@dataclass(frozen=True, slots=True)
class Samples:
    """``samples(index, generator)`` is the ``index``-th training sample: an augmented image and its train ids."""

    frames: TrainingFrames
    augmentation: AugmentationSettings
    crop: tuple[int, int]
    batch_size: int
    seed: int

    def __call__(
        self, index: int, generator: np.random.Generator
    ) -> tuple[UInt8[Tensor, "height width 3"], UInt8[Tensor, "height width"]]:
        """Draws the sample; a pure function of its arguments."""
        counts = [len(pair) for pair in self.frames.pairs]
        image, train_ids = self.frames.get(*which_frame(index, counts, self.batch_size, self.seed))
        image, train_ids = augment(image, train_ids, self.augmentation, self.crop, generator, outside=IGNORE_INDEX)
        return torch.from_numpy(image), torch.from_numpy(train_ids)


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
