"""Trains Mask R-CNN on a frame set with instances."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from synth2real.augmentation import AugmentationSettings
from synth2real.frames import FrameSet
from synth2real.hardware import HardwareSettings
from synth2real.instances.data import InstanceSamples, Sample
from synth2real.instances.detectron2_network import Detectron2Detector, Detectron2Settings, describe, load_start
from synth2real.instances.mask_rcnn import Detector, NetworkSettings, build_detector
from synth2real.sampling import seed_of
from synth2real.training import Schedule, TrainingError, fit


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """How the weights move."""

    name: Literal["sgd", "adamw"]
    learning_rate: float
    """After warm-up; it then falls to 0 along half a cosine."""
    backbone_factor: float
    """The backbone's learning rate as a share of it: pre-trained weights want smaller steps."""
    warm_up_steps: int
    """Steps in which the learning rate grows linearly from near 0."""
    weight_decay: float
    gradient_norm: float
    """Longer gradients are shortened to this norm."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.gradient_norm <= 0:
            raise ValueError("learning_rate and gradient_norm must be above 0")
        if not 0 < self.backbone_factor <= 1:
            raise ValueError(
                f"backbone_factor must be in (0, 1], got {self.backbone_factor}; instances.network.frozen_levels freezes"
            )
        if self.warm_up_steps < 0 or self.weight_decay < 0:
            raise ValueError("warm_up_steps and weight_decay must be at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSettings:
    """All that decides what detector a data set gives."""

    backend: Literal["torchvision", "detectron2"]
    """Whose Mask R-CNN: that of ``network``, or detectron2's; see :mod:`synth2real.instances.detectron2_network`."""
    detectron2: Detectron2Settings
    network: NetworkSettings
    augmentation: AugmentationSettings
    min_area: int
    """Instances of fewer visible pixels are background."""
    copy_paste: float
    """Probability that instances of another frame are pasted onto a sample."""
    optimizer: OptimizerSettings
    seed: int
    schedule: Schedule

    def __post_init__(self) -> None:
        if self.min_area < 1:
            raise ValueError(f"min_area must be at least 1, got {self.min_area}")
        if not 0 <= self.copy_paste <= 1:
            raise ValueError(f"copy_paste must be in [0, 1], got {self.copy_paste}")


class DetectorTraining(pl.LightningModule):
    """A detector in training.

    Args:
        detector: It is trained in place.
        settings: How its weights move.
        steps: Of the whole training.
    """

    def __init__(self, detector: Detector, settings: OptimizerSettings, steps: int) -> None:
        super().__init__()
        self.detector, self.settings, self.steps = detector, settings, steps

    def training_step(self, batch: Sequence[Sample], batch_idx: int) -> Tensor:
        """The sum of all losses of a batch."""
        images = [sample.image / 255 for sample in batch]
        try:
            losses: dict[str, Tensor] = self.detector(images, [sample.target for sample in batch])
        except FloatingPointError as error:  # detectron2's
            raise TrainingError(f"step {self.global_step}: the training diverged. Lower the learning rate. {error}") from error
        total = torch.stack(tuple(losses.values())).sum()
        named = {name.removeprefix("loss_"): value for name, value in losses.items()}
        self.log("loss", total, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch), sync_dist=True)
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(batch), sync_dist=True)
        return total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Shortens the gradients."""
        torch.nn.utils.clip_grad_norm_(self.detector.parameters(), self.settings.gradient_norm)

    def configure_optimizers(self) -> Any:
        """SGD or AdamW, with the rate's schedule."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        backbone_name = self.detector.backbone_name if isinstance(self.detector, Detectron2Detector) else "backbone.body."
        backbone: list[Tensor] = []
        heads: list[Tensor] = []
        for name, parameter in self.detector.named_parameters():
            if parameter.requires_grad:
                (backbone if name.startswith(backbone_name) else heads).append(parameter)
        learning: list[dict[str, Any]] = [{"params": heads}, {"params": backbone, "lr": rate * self.settings.backbone_factor}]
        optimizer: torch.optim.Optimizer
        if self.settings.name == "sgd":
            optimizer = torch.optim.SGD(learning, rate, momentum=0.9, weight_decay=decay)
        else:
            optimizer = torch.optim.AdamW(learning, rate, weight_decay=decay)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, self.steps, self.settings.warm_up_steps)
        )
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def rate_factor(step: int, steps: int, warm_up_steps: int) -> float:
    """What the learning rate is multiplied by: linear warm-up, then half a cosine (Loshchilov & Hutter, ICLR 2017, equation 5).

    Args:
        step: 0-based.
        steps: Of the whole training.
        warm_up_steps: After them, the warm-up's factor is 1.
    """
    warm_up = min(1.0, (step + 1) / (warm_up_steps + 1))
    return warm_up * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def train_detector(
    frames: FrameSet, settings: InstanceSettings, *, hardware: HardwareSettings, curves: Path, resume: Path
) -> Detector:
    """Trains a detector on frames with instances.

    Frames without an instance count: they say what background looks like.

    Args:
        frames: Frame set with images and instances, all for training.
        settings: What to train, and how.
        hardware: On what.
        curves: CSV file with the epoch means of ``loss`` and its terms: ``objectness`` and ``rpn_box_reg`` of the proposal
            network, ``classifier``, ``box_reg`` and ``mask`` of the heads; a config of detectron2 may have others.
        resume: Folder for the state of an unfinished training.

    Returns:
        The trained detector, in evaluation mode.

    Raises:
        FrameError: If a file is missing or damaged, or there is no instance at all.
        MissingDetectron2Error: If detectron2 is wanted and not installed.
        Detectron2Error: If its config or weights cannot serve.
        TrainingError: If the training diverged.
    """
    samples = InstanceSamples(
        frames,
        settings.augmentation,
        size=settings.network.size,
        min_area=settings.min_area,
        copy_paste=settings.copy_paste,
        seed=settings.seed,
    )
    detector: Detector
    if settings.backend == "detectron2":
        detector = build_detector(describe(settings.detectron2, settings.network.size), seed_of(settings.seed))
        load_start(detector, settings.detectron2.weights)
    else:
        detector = build_detector(settings.network, seed_of(settings.seed))
    module = DetectorTraining(detector, settings.optimizer, settings.schedule.steps)
    fit(
        module,
        samples,
        schedule=settings.schedule,
        seed=settings.seed,
        hardware=hardware,
        curves=curves,
        resume=resume,
        settings={"instances": settings},
        collate=list,
    )
    return detector.eval()
