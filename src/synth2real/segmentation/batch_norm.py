"""Re-estimates a trained segmenter's batch-norm statistics on the target's training images.

Adaptive batch normalisation (AdaBN; Li, Wang, Shi, Liu, Hou, "Revisiting Batch Normalization for Practical Domain Adaptation",
2016): the mean and variance of each batch-norm layer become those of the target's features; no weight changes and no label is
read. It makes a model of its own, to be compared with the one it came from: :mod:`synth2real.segmentation.predict` never takes
statistics from what it predicts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from synth2real.frames import FrameError, FrameSet, map_frames, read_frames, resize_image
from synth2real.hardware import HardwareSettings
from synth2real.models import ModelFileError, inference_device
from synth2real.segmentation.networks import load_segmenter, save_segmenter
from synth2real.segmentation.predict import read_ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormSettings:
    """The section ``target_batch_norm`` of params.yaml."""

    batch_size: int
    """Least images of a batch; statistics are those of batches, each counting alike."""
    frames: int | None
    """At most so many training images, evenly spread; None takes all."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "frames"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise ValueError(f"{name} must be at least 2: batch normalisation needs more than one sample, got {value}")


def batch_norm_layers(network: nn.Module) -> list[_BatchNorm]:
    """The network's batch-norm layers that keep running statistics, in its own order."""
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]


def reestimate_batch_norm(images: Path, model: Path, out: Path, settings: BatchNormSettings, hardware: HardwareSettings) -> None:
    """Writes a copy of a segmenter with the batch-norm statistics of other images, in one pass over them.

    Running statistics become the plain average over batches of their means and unbiased variances (PyTorch's ``momentum=None``).
    While the batches pass, batch-norm layers normalise by their batch; all else, such as dropout, is as in evaluation. The same
    files give the same bits on one kind of device.

    Args:
        images: Frame set with ``images/``; its split ``train`` is used, at the size that the segmenter was trained for.
        model: Model file of a segmenter.
        out: The new model file.
        settings: The section ``target_batch_norm``.
        hardware: The section ``hardware``.

    Raises:
        FrameError: If there are fewer than two training images, or one is missing or damaged.
        ModelFileError: If the model file is missing, damaged or of another kind, or its network has no batch normalisation.
    """
    trained = load_segmenter(model)
    layers = batch_norm_layers(trained.segmenter)
    if not layers:
        raise ModelFileError(f"{model}: its network has no batch normalisation to re-estimate.")
    training = read_frames(images).split("train")
    if len(training) < 2:
        raise FrameError(f"{images}: batch normalisation needs two training images at least, found {len(training)}.")
    count = min(len(training), settings.frames or len(training))
    kept = np.linspace(0, len(training) - 1, count).round().astype(int)
    taken = FrameSet(images, tuple(training.frames[index] for index in kept))
    device = inference_device(hardware)
    trained.segmenter.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    pictures = read_ahead(taken)

    def pass_batch(frames: np.ndarray) -> None:
        batch = np.stack([resize_image(next(pictures), trained.size) for _ in frames])
        with torch.no_grad():
            trained.segmenter(torch.from_numpy(batch).to(device))

    batches = np.array_split(np.arange(count), max(1, count // settings.batch_size))
    for _ in map_frames(pass_batch, batches, workers=0, description="Batch-norm statistics"):
        pass
    save_segmenter(out, trained)
