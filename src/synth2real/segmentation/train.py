"""Trains DeepLabV3+ on labelled frames: of one set, or of several in equal parts (source and pseudo-labelled target)."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float, UInt8
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from synth2real import tracking
from synth2real.augmentation import AugmentationSettings
from synth2real.encoders import load_encoder_weights
from synth2real.hardware import HardwareSettings
from synth2real.label_space import IGNORE_INDEX
from synth2real.models import ModelFileError
from synth2real.resuming import resume_folder
from synth2real.sampling import seed_of
from synth2real.segmentation.data import (
    LabelledFrames,
    RareClassSettings,
    Samples,
    TrainingFrames,
    Views,
    class_weights,
    read_labelled_frames,
)
from synth2real.segmentation.networks import NetworkSettings, Segmenter, TrainedSegmenter, load_segmenter, save_segmenter
from synth2real.training import Schedule, TrainingError, fit


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """The sections ``segmentation.optimizer`` and ``online_teacher.optimizer`` of params.yaml."""

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
    average: float
    """Decay of the weights' exponential moving average, which is what is saved; see :func:`update_average`. 0 saves the last
    weights. It is at most (1 + step) / (10 + step), so that short trainings forget their start."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        for name in ("encoder_factor", "weight_decay", "warm_up", "power"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average must lie in [0, 1), got {self.average}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationSettings:
    """The section ``segmentation`` of params.yaml."""

    backend: Literal["synth2real", "mmseg"]
    """``mmseg`` trains the network of ``mmseg_config``; see :mod:`synth2real.segmentation.mmseg_train`."""
    mmseg_config: str
    """File with a config of mmsegmentation."""
    network: NetworkSettings
    size: tuple[int, int]
    """(height, width) that every image is resized to before the network, in training and in prediction."""
    crop: tuple[int, int]
    """(height, width) of the training samples, cut from the randomly magnified image."""
    cache_mib: int
    """Most memory for resized training frames, in MiB; beyond, each sample reads its files."""
    augmentation: AugmentationSettings
    rare_classes: RareClassSettings | None
    """How frames of rare classes are drawn more often; null shows all frames in turn."""
    class_weight_power: float
    """Weights of the cross-entropy are class frequency to the power of minus this; 0 for none."""
    freeze_batch_norm: bool
    """Whether the encoder's batch normalisation keeps the statistics that its weights came with."""
    optimizer: OptimizerSettings
    accumulate: int
    """Equal parts of a batch that pass the network one after another, for less memory. Their gradients add up to the whole
    batch's, but that batch normalisation sees each part alone; steps and samples stay what they are."""
    schedule: Schedule

    def __post_init__(self) -> None:
        stride = self.network.output_stride
        for name in ("size", "crop"):
            height, width = getattr(self, name)
            if min(height, width) < stride:
                raise ValueError(f"{name} must be at least the output stride {stride} each way, got {height}x{width}")
        if not 0 <= self.class_weight_power <= 1:
            raise ValueError(f"class_weight_power must lie in [0, 1], got {self.class_weight_power}")
        if self.cache_mib < 0:
            raise ValueError(f"cache_mib must not be negative, got {self.cache_mib}")
        batch_size = self.schedule.batch_size
        if self.accumulate < 1 or batch_size % self.accumulate:
            raise ValueError(f"accumulate must divide schedule.batch_size {batch_size}, got {self.accumulate}")
        if batch_size < 2 * self.accumulate:
            raise ValueError(
                "schedule.batch_size must be at least 2 for each accumulated part, as batch normalisation needs more than one "
                f"sample; got {batch_size} for {self.accumulate}"
            )


def learning_rate_factor(step: int, steps: int, warm_up: int, power: float) -> float:
    """Share of the peak learning rate at ``step`` of ``steps``: a linear rise times ``(1 - step / steps) ** power``.

    The polynomial decay is that of Liu et al. 2015 and Chen et al. (DeepLab, PAMI 2018), who take the power 0.9.
    """
    rise = min(1.0, (step + 1) / warm_up) if warm_up else 1.0
    return float(rise * max(0.0, 1 - step / steps) ** power)


def total_weight(train_ids: UInt8[Tensor, "batch height width"], weights: Float[Tensor, " classes"]) -> Float[Tensor, ""]:
    """Sum of the class weights of all pixels; ignored ones weigh nothing. Never quite 0, so that one may divide by it."""
    total = F.pad(weights, (0, IGNORE_INDEX + 1 - len(weights)))[train_ids.long()].sum()
    return total.clamp_min(torch.finfo(total.dtype).tiny)


def weighted_cross_entropy(
    logits: Float[Tensor, "batch classes height width"],
    train_ids: UInt8[Tensor, "batch height width"],
    weights: Float[Tensor, " classes"],
    shares: Float[Tensor, "batch height width"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy, averaged over the pixels that are not ignored by their classes' weights; 0 where all are ignored.

    Args:
        logits: Of the network.
        train_ids: What it should have said.
        weights: Of the classes.
        shares: What each pixel's loss counts of its weight, in [0, 1]; the average is still over the whole weights. 1 if None.
    """
    reduction = "sum" if shares is None else "none"
    loss = F.cross_entropy(logits.float(), train_ids.long(), weight=weights, ignore_index=IGNORE_INDEX, reduction=reduction)
    return (loss if shares is None else (shares * loss).sum()) / total_weight(train_ids, weights)


def pixel_accuracy(
    logits: Float[Tensor, "batch classes height width"], train_ids: UInt8[Tensor, "batch height width"]
) -> tuple[Tensor, Tensor]:
    """How many pixels are right, and how many are not ignored, in every fourth row and column."""
    sparse = train_ids[:, ::4, ::4]
    counted = sparse != IGNORE_INDEX
    return ((logits[:, :, ::4, ::4].argmax(1) == sparse) & counted).sum(), counted.sum()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    r"""Moves an average towards a network: weights :math:`\bar w \leftarrow d \bar w + (1 - d) w`; buffers are copied.

    Buffers are the running statistics of batch normalisation, averages themselves.

    Args:
        average: A copy of the network, changed in place.
        network: Of this step.
        decay: d, in [0, 1); 0 copies.
    """
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    update(list(average.parameters()), list(network.parameters()), None)
    for kept, current in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(current)


class SegmenterTraining(pl.LightningModule):
    """A step of supervised training."""

    weights: Tensor

    def __init__(self, segmenter: Segmenter, weights: Float[Tensor, " classes"], settings: SegmentationSettings) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.segmenter = segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = deepcopy(segmenter).requires_grad_(False) if settings.optimizer.average else None
        """The moving average of the weights, if there is one."""
        self.settings = settings
        self.register_buffer("weights", weights, persistent=False)

    @property
    def result(self) -> Segmenter:
        """What is kept: the average, or the last weights where there is none."""
        return self.averaged or self.segmenter

    def train(self, mode: bool = True) -> "SegmenterTraining":
        """Switches to training; the average, and the encoder's batch normalisation where it is frozen, stay in evaluation."""
        super().train(mode)
        if self.averaged:
            self.averaged.eval()
        if self.settings.freeze_batch_norm:
            for layer in self.segmenter.encoder.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()
        return self

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Logs ``loss`` and, from every fourth row and column, ``pixel_accuracy``."""
        images, train_ids = batch
        whole = total_weight(train_ids, self.weights)
        losses, rights, counts = [], [], []
        self.zero_grad()
        for part, part_ids in zip(*(tensor.chunk(self.settings.accumulate) for tensor in (images, train_ids)), strict=True):
            logits = self.segmenter(part)
            loss = weighted_cross_entropy(logits, part_ids, self.weights) * (total_weight(part_ids, self.weights) / whole)
            self.manual_backward(loss)
            right, counted = pixel_accuracy(logits, part_ids)
            losses.append(loss.detach())
            rights.append(right)
            counts.append(counted)
        self.step(batch_idx)
        accuracy = torch.stack(rights).sum() / torch.stack(counts).sum().clamp_min(1)
        self.log_means(loss=torch.stack(losses).sum(), pixel_accuracy=accuracy)

    def step(self, batch_idx: int) -> None:
        """Descends along the gradients that are there, then moves the learning rate and the average."""
        cast(LightningOptimizer, self.optimizers()).step()
        cast(LambdaLR, self.lr_schedulers()).step()
        if self.averaged:
            step = self.current_epoch * self.settings.schedule.steps_per_epoch + batch_idx
            update_average(self.averaged, self.segmenter, min(self.settings.optimizer.average, (1 + step) / (10 + step)))

    def log_means(self, **values: Tensor) -> None:
        """Logs the values' means over each epoch."""
        self.log_dict(values, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)

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
        schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, chosen.warm_up, chosen.power))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def initial_segmenter(settings: NetworkSettings, start: Path | None, seed: int) -> Segmenter:
    """The network before its first step.

    Args:
        settings: Its architecture.
        start: Model file of a segmenter to go on from; None takes the encoder's weights and a random decoder.
        seed: Of what is random.

    Raises:
        EncoderError: If the encoder's weights are missing or do not fit.
        ModelFileError: If ``start`` cannot be read or holds another network.
        TrainingError: If no such network can be built.
    """
    torch.manual_seed(seed_of(seed))
    try:
        segmenter = Segmenter(settings)
    except ValueError as error:
        raise TrainingError(f"segmentation.network: {error}") from None
    if start is None:
        load_encoder_weights(segmenter.encoder, settings.encoder, settings.weights)
        return segmenter
    try:
        segmenter.load_state_dict(load_segmenter(start).segmenter.state_dict())
    except RuntimeError as error:
        raise ModelFileError(f"{start}: not the network of segmentation.network; train both alike. {error}") from None
    return segmenter


def labelled_pairs(images: Sequence[Path], labels: Sequence[Path], batch_size: int) -> list[LabelledFrames]:
    """Lists the frames of several pairs of an image set and a label set, which are to share each batch equally.

    Args:
        images: See :func:`train_segmenter`.
        labels: For each of ``images``.
        batch_size: Samples a step.

    Raises:
        FrameError: See :func:`synth2real.segmentation.data.read_labelled_frames`.
        TrainingError: If there are not as many image sets as label sets, or the batch cannot be divided equally between them.
    """
    if len(images) != len(labels) or not images:
        raise TrainingError(f"images and labels go in pairs: got {len(images)} image sets and {len(labels)} label sets.")
    if batch_size % len(images):
        raise TrainingError(
            f"segmentation.schedule.batch_size is {batch_size}, which {len(images)} pairs of images and labels cannot "
            f"share equally; set it to a multiple of {len(images)}."
        )
    return [read_labelled_frames(*pair) for pair in zip(images, labels, strict=True)]


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
        ModelFileError: If ``start`` cannot be read or holds another network than the settings describe.
        FrameError: If frames are missing or damaged, or nothing is labelled.
        TrainingError: If there are not as many image sets as label sets, or the batch cannot be divided equally between them, or
            the training diverges.
    """
    schedule = settings.schedule
    pairs = labelled_pairs(images, labels, schedule.batch_size)
    frames = TrainingFrames(pairs, settings.size, settings.cache_mib)
    weights = class_weights(frames.class_counts, settings.class_weight_power)

    training = SegmenterTraining(
        initial_segmenter(settings.network, start, seed), torch.tensor(weights, dtype=torch.float32), settings
    )
    fit(
        training,
        Samples(Views(frames, settings.augmentation, settings.crop, schedule.batch_size, seed, settings.rare_classes)),
        schedule=schedule,
        seed=seed,
        hardware=hardware,
        curves=curves,
        resume=resume_folder(
            f"train_segmenter-{out.parent.name}-{out.stem}", (settings, seed), [*images, *labels, *([start] if start else [])]
        ),
        settings={"segmentation": settings, "seed": seed},
    )
    save_segmenter(out, TrainedSegmenter(training.result, settings.network, settings.size))
    tracking.log_model(out)
