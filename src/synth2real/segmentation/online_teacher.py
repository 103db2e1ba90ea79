r"""Self-training with a teacher that follows its student, on mixed images: DACS.

Tranheden, Olsson, Pinto, Svensson, "DACS: Domain Adaptation via Cross-domain Mixed Sampling", WACV 2021; the mixing is that of
Olsson, Tranheden, Pinto, Svensson, "ClassMix", WACV 2021. In each step the teacher, the moving average of the student
(Tarvainen & Valpola, NeurIPS 2017), labels views of the target; half of the classes of a source image are pasted over each; and
the student minimises

.. math:: L = H(x_S, y_S) + \lambda \, H(x_M, y_M, q)

with H the cross-entropy, in which the pixels taken from a target image weigh q: the share of its pixels of which the teacher is
surer than a threshold. Pasted pixels weigh 1. Departures: q belongs to each image (as in Hoyer et al., DAFormer, CVPR 2022,
equation 7), not to the batch; ignored source pixels are never pasted; source and mixed images share one pass, so that batch
normalisation sees both; the teacher uses the student's running statistics; and the teacher is what is kept.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from synth2real import tracking
from synth2real.augmentation import AugmentationSettings, move, random_colours, random_view
from synth2real.hardware import HardwareSettings
from synth2real.label_space import IGNORE_INDEX, NUM_CLASSES
from synth2real.resuming import resume_folder
from synth2real.sampling import seed_of, shuffled
from synth2real.segmentation.data import TrainingFrames, UnlabelledFrames, Views, class_weights, read_labelled_frames
from synth2real.segmentation.networks import Segmenter, TrainedSegmenter, save_segmenter
from synth2real.segmentation.train import (
    OptimizerSettings,
    SegmentationSettings,
    SegmenterTraining,
    initial_segmenter,
    pixel_accuracy,
    weighted_cross_entropy,
)
from synth2real.training import Schedule, TrainingError, fit


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineTeacherSettings:
    """The section ``online_teacher`` of params.yaml; network, sizes, augmentation and sampling are those of ``segmentation``."""

    threshold: float
    """Confidence, in [0, 1], above which a pixel of the teacher counts as sure; 0.968 in DACS."""
    weight: float
    """lambda, of the mixed images' loss; 1 in DACS."""
    ignored_rows: tuple[int, int]
    """Rows of a target frame at ``segmentation.size``, from the top and from the bottom, that get no pseudo-label, as DAFormer
    does where the ego vehicle is in view."""
    optimizer: OptimizerSettings
    """Its ``average``, more than 0, is the teacher's decay."""
    schedule: Schedule
    """``batch_size`` source images, and as many of the target, a step."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must lie in [0, 1], got {self.threshold}")
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")
        if not self.optimizer.average:
            raise ValueError("optimizer.average must be more than 0, as it is the teacher's decay, got 0")
        if min(self.ignored_rows) < 0:
            raise ValueError(f"ignored_rows must not be negative, got {self.ignored_rows}")
        if self.schedule.batch_size < 2:
            raise ValueError(f"schedule.batch_size must be at least 2, as in DACS, got {self.schedule.batch_size}")


# --- Samples ---------------------------------------------------------------------------------------------------------


class ColourTensors(NamedTuple):
    """:class:`synth2real.augmentation.Colours` of one image or of a batch."""

    matrix: Float[Tensor, "*batch 3 4"]
    exponent: Float[Tensor, "*batch"]
    blur: Float[Tensor, "*batch"]
    noise: Float[Tensor, "*batch"]


class MixingBatch(NamedTuple):
    """One sample, or a batch of them: views of both domains, and the colours in which the student sees them."""

    source: UInt8[Tensor, "*batch height width 3"]
    train_ids: UInt8[Tensor, "*batch height width"]
    """Of the source."""
    target: UInt8[Tensor, "*batch height width 3"]
    is_labelled: Bool[Tensor, "*batch height width"]
    """Where the target may get pseudo-labels."""
    source_colours: ColourTensors
    mixed_colours: ColourTensors


@dataclass(frozen=True, slots=True)
class MixingSamples:
    """``samples(index, generator)`` is the ``index``-th sample: a view of a source frame beside one of a target frame."""

    source: Views
    target: UnlabelledFrames
    ignored_rows: tuple[int, int]

    def __call__(self, index: int, generator: np.random.Generator) -> MixingBatch:
        """Draws the sample; a pure function of its arguments."""
        source, augmentation, crop = self.source(index, generator), self.source.augmentation, self.source.crop
        image = self.target.get(shuffled(len(self.target), seed_of(self.source.seed, 1), index))
        (height, width), (top, bottom) = image.shape[:2], self.ignored_rows
        is_labelled = np.zeros((height, width), np.uint8)
        is_labelled[top : height - bottom] = 1
        image, is_labelled = move(
            image, is_labelled, random_view((height, width), crop, augmentation, generator), crop, outside=0
        )
        return MixingBatch(
            torch.from_numpy(source.image),
            torch.from_numpy(source.train_ids),
            torch.from_numpy(image),
            torch.from_numpy(is_labelled > 0),
            *(_colour_tensors(augmentation, generator) for _ in range(2)),
        )


def _colour_tensors(augmentation: AugmentationSettings, generator: np.random.Generator) -> ColourTensors:
    return ColourTensors(*(torch.as_tensor(value, dtype=torch.float32) for value in random_colours(augmentation, generator)))


# --- A step, in parts ------------------------------------------------------------------------------------------------


def recolour_batch(
    images: UInt8[Tensor, "batch height width 3"], colours: ColourTensors, radius: int
) -> UInt8[Tensor, "batch height width 3"]:
    """:func:`synth2real.augmentation.recolour` of a batch, on its device; noise comes from PyTorch's global generator.

    Args:
        images: RGB.
        colours: Of each image.
        radius: Of the blur's kernel, in pixels: three times the largest standard deviation, and less than each side.
    """
    batch, height, width, _ = images.shape
    pixels = images.reshape(batch, -1, 3).float()
    pixels = torch.baddbmm(colours.matrix[:, None, :, 3], pixels, colours.matrix[:, :, :3].mT)
    pixels = 255 * (pixels.clamp(0, 255) / 255) ** colours.exponent[:, None, None]

    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernels = torch.exp(-((offsets / colours.blur[:, None].clamp_min(1e-3)) ** 2) / 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0)[:, None]
    planes = pixels.view(batch, height, width, 3).permute(0, 3, 1, 2).reshape(1, 3 * batch, height, width)
    planes = F.pad(planes, (radius,) * 4, mode="reflect")
    planes = F.conv2d(F.conv2d(planes, kernels[..., None], groups=3 * batch), kernels[:, :, None], groups=3 * batch)

    moved = planes.view(batch, 3, height, width)
    moved = moved + colours.noise[:, None, None, None] * torch.randn_like(moved)
    return moved.round().clamp(0, 255).byte().permute(0, 2, 3, 1)


def class_mask(train_ids: UInt8[Tensor, "batch height width"]) -> Bool[Tensor, "batch height width"]:
    """Where each map shows one of the half of its classes, rounded up, that PyTorch's global generator chooses (ClassMix).

    Ignored pixels are never of the mask.
    """
    flat = train_ids.flatten(1).long()
    present = torch.zeros(len(flat), IGNORE_INDEX + 1, device=flat.device).scatter_(1, flat, 1.0)[:, :NUM_CLASSES]
    priority = present * (1 + torch.rand_like(present))  # 0 where absent
    rank = priority.argsort(1, descending=True).argsort(1)
    chosen = rank < (present.sum(1, keepdim=True) + 1) // 2
    mask = F.pad(chosen, (0, IGNORE_INDEX + 1 - NUM_CLASSES)).gather(1, flat)
    return mask.view(train_ids.shape)


class Mixed(NamedTuple):
    """Target images with pasted source classes, and what the student should see in them."""

    images: UInt8[Tensor, "batch height width 3"]
    train_ids: UInt8[Tensor, "batch height width"]
    """Annotations where pasted, pseudo-labels elsewhere."""
    weights: Float[Tensor, "batch height width"]
    """1 where pasted, q elsewhere."""
    confident: Float[Tensor, " batch"]
    """q: of the pixels that may get pseudo-labels, the share of which the teacher is surer than the threshold."""


def mix(
    batch: MixingBatch,
    mask: Bool[Tensor, "batch height width"],
    teacher_logits: Float[Tensor, "batch classes height width"],
    threshold: float,
) -> Mixed:
    """Pastes the source where ``mask`` says so over the target.

    Args:
        batch: Views of both domains.
        mask: See :func:`class_mask`.
        teacher_logits: Of the target's views.
        threshold: Confidence above which a pixel is sure, in [0, 1].
    """
    confidence, predictions = teacher_logits.float().softmax(1).max(1)
    labelled = batch.is_labelled.flatten(1)
    sure = ((confidence > threshold).flatten(1) & labelled).sum(1)
    confident = sure / labelled.sum(1).clamp_min(1)
    pseudo_labels = predictions.byte().masked_fill(~batch.is_labelled, IGNORE_INDEX)
    return Mixed(
        torch.where(mask[..., None], batch.source, batch.target),
        torch.where(mask, batch.train_ids, pseudo_labels),
        torch.where(mask, 1.0, confident[:, None, None]),
        confident,
    )


# --- Training --------------------------------------------------------------------------------------------------------


class OnlineTeacherTraining(SegmenterTraining):
    """A step of the student; the teacher is its moving average."""

    def __init__(
        self,
        segmenter: Segmenter,
        weights: Float[Tensor, " classes"],
        segmentation: SegmentationSettings,
        settings: OnlineTeacherSettings,
    ) -> None:
        """Takes the student in its first state; so does the teacher.

        Args:
            segmenter: The student.
            weights: Of the classes, in both losses.
            segmentation: The section ``segmentation``; its optimiser, schedule and accumulation are not read.
            settings: The section ``online_teacher``.
        """
        chosen = replace(segmentation, optimizer=settings.optimizer, schedule=settings.schedule, accumulate=1)
        super().__init__(segmenter, weights, chosen)
        self.online = settings
        self.radius = min(int(np.ceil(3 * segmentation.augmentation.blur)), min(segmentation.crop) - 1)

    def training_step(self, batch: MixingBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Logs both losses, the share of sure pixels, and the accuracy on the source."""
        with torch.no_grad():
            mixed = mix(batch, class_mask(batch.train_ids), self.result(batch.target), self.online.threshold)
            source = recolour_batch(batch.source, batch.source_colours, self.radius)
            images = torch.cat((source, recolour_batch(mixed.images, batch.mixed_colours, self.radius)))
        of_source, of_mixed = self.segmenter(images).chunk(2)
        loss_source = weighted_cross_entropy(of_source, batch.train_ids, self.weights)
        loss_mixed = weighted_cross_entropy(of_mixed, mixed.train_ids, self.weights, mixed.weights)
        self.zero_grad()
        self.manual_backward(loss_source + self.online.weight * loss_mixed)
        self.step(batch_idx)
        correct, counted = pixel_accuracy(of_source, batch.train_ids)
        self.log_means(
            loss_source=loss_source.detach(),
            loss_mixed=loss_mixed.detach(),
            confident=mixed.confident.mean(),
            pixel_accuracy=correct / counted.clamp_min(1),
        )


def train_online_teacher(
    images: Path,
    labels: Path,
    target: Path,
    out: Path,
    curves: Path,
    segmentation: SegmentationSettings,
    settings: OnlineTeacherSettings,
    hardware: HardwareSettings,
    *,
    seed: int,
    start: Path | None = None,
) -> None:
    """Trains a segmenter on labelled source and unlabelled target images, and writes the teacher's model file.

    Args:
        images: Frame set with the source's images, perhaps translated.
        labels: Frame set with the labels of the same frames; split ``train`` is used.
        target: Frame set with the target's images; split ``train`` is used, and no labels.
        out: The model file.
        curves: CSV file of the losses, the teacher's share of sure pixels, and the accuracy on the source, by epoch.
        segmentation: The section ``segmentation``: network, sizes, augmentation, sampling, class weights.
        settings: The section ``online_teacher``.
        hardware: The section ``hardware``.
        seed: Of the decoder's first weights, the order of the frames, their augmentation and mixing.
        start: Model file of a segmenter that student and teacher start from; None starts from the encoder's weights, as in DACS.

    Raises:
        ModelFileError: If ``start`` cannot be read or holds another network than the settings describe.
        FrameError: If frames are missing or damaged, or nothing is labelled.
        TrainingError: If the backend is another, all rows of the target are ignored, or the training diverges.
    """
    if segmentation.backend != "synth2real":
        raise TrainingError(
            f"segmentation.backend is {segmentation.backend}, but online teachers are trained by synth2real only."
        )
    if sum(settings.ignored_rows) >= segmentation.size[0]:
        raise TrainingError(
            f"online_teacher.ignored_rows {list(settings.ignored_rows)} leave nothing of the {segmentation.size[0]} rows of "
            "segmentation.size; lower them."
        )
    frames = TrainingFrames([read_labelled_frames(images, labels)], segmentation.size, segmentation.cache_mib)
    unlabelled = UnlabelledFrames(target, segmentation.size, segmentation.cache_mib)
    weights = torch.tensor(class_weights(frames.class_counts, segmentation.class_weight_power), dtype=torch.float32)
    batch_size = settings.schedule.batch_size
    views = Views(frames, segmentation.augmentation, segmentation.crop, batch_size, seed, segmentation.rare_classes)
    segmenter = initial_segmenter(segmentation.network, start, seed)
    training = OnlineTeacherTraining(segmenter, weights, segmentation, settings)
    data = [images, labels, target, *([start] if start else [])]
    fit(
        training,
        MixingSamples(views, unlabelled, settings.ignored_rows),
        schedule=settings.schedule,
        seed=seed,
        hardware=hardware,
        curves=curves,
        resume=resume_folder(f"train_online_teacher-{out.parent.name}-{out.stem}", (segmentation, settings, seed), data),
        settings={"segmentation": segmentation, "online_teacher": settings, "seed": seed},
    )
    save_segmenter(out, TrainedSegmenter(training.result, segmentation.network, segmentation.size))
    tracking.log_model(out)
