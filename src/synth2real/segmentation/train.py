"""Trains DeepLabV3+ on labelled frames: of one set, or of several in equal parts (source and pseudo-labelled target)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from synth2real.augmentation import AugmentationSettings
from synth2real.encoders import load_encoder_weights
from synth2real.hardware import HardwareSettings
from synth2real.label_space import IGNORE_INDEX
from synth2real.segmentation.data import Samples, TrainingFrames, class_weights, read_labelled_frames
from synth2real.segmentation.networks import NetworkSettings, Segmenter, TrainedSegmenter, load_segmenter, save_segmenter
from synth2real.training import ModelFileError, Schedule, fit, resume_folder, seed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """The section ``segmentation.optimizer`` of params.yaml."""

    name: Literal["adamw", "sgd"]
    learning_rate: float
    """Of the decoder, at its peak."""
    encoder_factor: float
    """The encoder's learning rate as a share of the decoder's."""
    weight_decay: float
    warm_up: int
    """Steps over which the learning rate rises from near 0."""
    power: float
    """Exponent of the polynomial decay to 0; 0 keeps the rate constant."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        for name in ("encoder_factor", "weight_decay", "warm_up", "power"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationSettings:
    """The section ``segmentation`` of params.yaml."""

    network: NetworkSettings
    size: tuple[int, int]
    """(height, width) that every image is resized to before the network, in training and in prediction."""
    crop: tuple[int, int]
    """(height, width) of the training samples, cut from the randomly magnified image."""
    cache_mib: int
    """Most memory for resized training frames, in MiB; beyond, each sample reads its files."""
    augmentation: AugmentationSettings
    class_weight_power: float
    """Weights of the cross-entropy are class frequency to the power of minus this; 0 for none."""
    freeze_batch_norm: bool
    """Whether the encoder's batch normalisation keeps the statistics that its weights came with."""
    optimizer: OptimizerSettings
    schedule: Schedule

    def __post_init__(self) -> None:
        stride = self.network.output_stride
        for name in ("size", "crop"):
            height, width = getattr(self, name)
            if min(height, width) < stride or height % stride or width % stride:
                raise ValueError(f"{name} must be positive multiples of the output stride {stride}, got {height}x{width}")
        if not 0 <= self.class_weight_power <= 1:
            raise ValueError(f"class_weight_power must lie in [0, 1], got {self.class_weight_power}")
        if self.cache_mib < 0:
            raise ValueError(f"cache_mib must not be negative, got {self.cache_mib}")
        if self.schedule.batch_size < 2:
            raise ValueError("schedule.batch_size must be at least 2: batch normalisation needs more than one sample")


def learning_rate_factor(step: int, steps: int, warm_up: int, power: float) -> float:
    """Share of the peak learning rate at ``step`` of ``steps``: a linear rise times ``(1 - step / steps) ** power``.

    The polynomial decay is that of Liu et al. 2015 and Chen et al. (DeepLab, PAMI 2018), who take the power 0.9.
    """
    rise = min(1.0, (step + 1) / warm_up) if warm_up else 1.0
    return float(rise * max(0.0, 1 - step / steps) ** power)


def weighted_cross_entropy(
    logits: Float[Tensor, "batch classes height width"],
    train_ids: UInt8[Tensor, "batch height width"],
    weights: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Cross-entropy, averaged over the pixels that are not ignored by their classes' weights; 0 where all are ignored."""
    targets = train_ids.long()
    total = F.cross_entropy(logits.float(), targets, weight=weights, ignore_index=IGNORE_INDEX, reduction="sum")
    weight = F.pad(weights, (0, IGNORE_INDEX + 1 - len(weights)))[targets].sum()
    return total / weight.clamp_min(torch.finfo(weight.dtype).tiny)


class SegmenterTraining(pl.LightningModule):
    """A step of supervised training."""

    weights: Tensor

    def __init__(self, segmenter: Segmenter, weights: Float[Tensor, " classes"], settings: SegmentationSettings) -> None:
        super().__init__()
        self.segmenter = segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.settings = settings
        self.register_buffer("weights", weights, persistent=False)

    def train(self, mode: bool = True) -> "SegmenterTraining":
        """Switches to training; the encoder's batch normalisation stays in evaluation where it is frozen."""
        super().train(mode)
        if self.settings.freeze_batch_norm:
            for layer in self.segmenter.encoder.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()
        return self

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Logs ``loss`` and, from every fourth row and column, ``pixel_accuracy``."""
        images, train_ids = batch
        logits = self.segmenter(images)
        loss = weighted_cross_entropy(logits, train_ids, self.weights)
        with torch.no_grad():
            sparse = train_ids[:, ::4, ::4]
            counts = sparse != IGNORE_INDEX
            correct = ((logits[:, :, ::4, ::4].argmax(1) == sparse) & counts).sum() / counts.sum().clamp_min(1)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        self.log("pixel_accuracy", correct, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        """The optimiser with its learning rate for each step; the encoder has a rate of its own."""
        chosen, steps = self.settings.optimizer, self.settings.schedule.steps
        encoder = list(self.segmenter.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        rest = [parameter for parameter in self.segmenter.parameters() if id(parameter) not in known]
        groups = [
            {"params": rest, "lr": chosen.learning_rate},
            {"params": encoder, "lr": chosen.learning_rate * chosen.encoder_factor},
        ]
        optimizer: torch.optim.Optimizer
        if chosen.name == "adamw":
            optimizer = torch.optim.AdamW(groups, weight_decay=chosen.weight_decay, fused=True)
        else:
            optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=chosen.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps, chosen.warm_up, chosen.power)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train_segmenter(
    images: Sequence[Path],
    labels: Sequence[Path],
    out: Path,
    curves: Path,
    settings: SegmentationSettings,
    hardware: HardwareSettings,
    *,
    seed: int,
    start: Path | None = None,
) -> None:
    """Trains a segmenter and writes its model file; the last weights, never the best on some validation set.

    Args:
        images: Frame sets with ``images/``.
        labels: For each of ``images``, the frame set with ``labels/`` of the same frames; split ``train`` is used. Each batch
            takes as many samples from every pair.
        out: The model file.
        curves: CSV file of loss and pixel accuracy by epoch.
        settings: The section ``segmentation``.
        hardware: The section ``hardware``.
        seed: Of the decoder's first weights, the order of the frames, and their augmentation.
        start: Model file of a segmenter to go on from, such as a student's teacher; None starts from the encoder's weights.

    Raises:
        ValueError: If there are not as many image sets as label sets, or the batch cannot be divided equally between them.
        ModelFileError: If ``start`` cannot be read or holds another network than the settings describe.
        FrameError: If frames are missing or damaged, or nothing is labelled.
        TrainingError: If the training diverges.
    """
    if len(images) != len(labels) or not images:
        raise ValueError(f"images and labels go in pairs: got {len(images)} image sets and {len(labels)} label sets.")
    schedule = settings.schedule
    if schedule.batch_size % len(images):
        raise ValueError(f"segmentation.schedule.batch_size {schedule.batch_size} is not divisible by {len(images)} pairs.")
    pairs = [read_labelled_frames(*pair) for pair in zip(images, labels, strict=True)]
    frames = TrainingFrames(pairs, settings.size, settings.cache_mib)
    weights = class_weights(frames.class_counts, settings.class_weight_power)

    torch.manual_seed(seed_of(seed))
    segmenter = Segmenter(settings.network)
    if start is None:
        load_encoder_weights(segmenter.encoder, settings.network.encoder, settings.network.weights)
    else:
        try:
            segmenter.load_state_dict(load_segmenter(start).segmenter.state_dict())
        except RuntimeError as error:
            raise ModelFileError(f"{start}: not the network of segmentation.network; train both alike. {error}") from None
    fit(
        SegmenterTraining(segmenter, torch.tensor(weights, dtype=torch.float32), settings),
        Samples(frames, settings.augmentation, settings.crop, schedule.batch_size, seed),
        schedule=schedule,
        seed=seed,
        hardware=hardware,
        curves=curves,
        resume=resume_folder(f"train_segmenter-{out.stem}", (settings, seed), [*images, *labels, *([start] if start else [])]),
    )
    save_segmenter(out, TrainedSegmenter(segmenter, settings.network, settings.size))
