"""Trains a network of any mmsegmentation config through mmengine's Runner: what ``segmentation.backend: mmseg`` does.

Who decides what:

- The *config* decides the network with its losses, normalisation and starting weights (``model``), and of ``optim_wrapper`` the
  ``constructor``, ``paramwise_cfg`` and ``clip_grad``. Nothing else of it is read: no data set, pipeline, schedule or hook.
- ``segmentation`` decides the rest, as for the repository's own networks: ``size``, ``crop``, ``augmentation``, ``rare_classes``
  and the order of the samples; ``schedule``; ``optimizer`` with its warm-up, decay and moving average (``encoder_factor`` is the
  rate of ``backbone``, unless the config has a ``paramwise_cfg``); ``class_weight_power``, for each ``CrossEntropyLoss`` without
  a ``class_weight`` of its own.
- ``network``, ``accumulate`` and ``freeze_batch_norm`` are not for it: the first is not read, the others are refused where they
  ask for something.

One device trains; ``hardware.precision`` counts on GPUs only.
"""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from synth2real import tracking
from synth2real.encoders import OFFLINE_ENCODER, load_encoder_weights
from synth2real.hardware import HardwareSettings
from synth2real.models import ModelFileError, inference_device
from synth2real.resuming import resume_folder
from synth2real.sampling import seed_of
from synth2real.segmentation.data import Samples, TrainingFrames, Views, class_weights
from synth2real.segmentation.mmseg_network import MMSegmenter, describe, quiet, require_mmseg
from synth2real.segmentation.networks import AtrousDepthwiseConv2d, TrainedSegmenter, load_segmenter, save_segmenter
from synth2real.segmentation.train import SegmentationSettings, labelled_pairs, learning_rate_factor, update_average
from synth2real.training import TrainingError, sample_loader, write_curves

_LAST: Final = "last.ckpt"


@dataclass(frozen=True, slots=True)
class MMSegSamples:
    """``samples(index, generator)`` is the ``index``-th training sample in mmsegmentation's form: BGR and train ids."""

    samples: Samples

    def __call__(self, index: int, generator: np.random.Generator) -> dict[str, Any]:
        """Draws the sample; a pure function of its arguments."""
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        image, train_ids = self.samples(index, generator)
        data_sample = SegDataSample(gt_sem_seg=PixelData(data=train_ids.long()[None]))
        data_sample.set_metainfo({"img_shape": tuple(train_ids.shape), "ori_shape": tuple(train_ids.shape)})
        return {"inputs": image.permute(2, 0, 1).flip(0).contiguous(), "data_samples": data_sample}


def read_config(path: Path) -> Any:
    """A config of mmsegmentation with all that it inherits.

    Raises:
        MissingExtraError: If mmsegmentation is not installed.
        TrainingError: If the file is missing or no config, or lacks a model with a ``data_preprocessor``.
    """
    require_mmseg()
    from mmengine.config import Config

    if not path.is_file():
        raise TrainingError(f"segmentation.mmseg_config: {path}: no such file; name a config of mmsegmentation.")
    try:
        config = Config.fromfile(path)
    except Exception as error:
        raise TrainingError(f"{path}: not a config of mmsegmentation ({type(error).__name__}: {error}).") from error
    if "data_preprocessor" not in config.get("model", {}):
        raise TrainingError(f"{path}: expected a config with a model that has a data_preprocessor, found none.")
    return config


def with_class_weights(model: Any, weights: Sequence[float]) -> Any:
    """A copy of a config's model in which each ``CrossEntropyLoss`` without weights of its own has these.

    With weights mmsegmentation 1.4 averages over the pixels that are not ignored, and ``avg_non_ignore`` is a fault of it.
    """
    if isinstance(model, dict):
        copy = type(model)({name: with_class_weights(value, weights) for name, value in model.items()})
        if copy.get("type") == "CrossEntropyLoss" and copy.get("class_weight") is None:
            copy.update(class_weight=list(weights), avg_non_ignore=False)
        return copy
    return [with_class_weights(value, weights) for value in model] if isinstance(model, list) else model


def optimizer_config(theirs: Mapping[str, Any], settings: SegmentationSettings, precision: str) -> dict[str, Any]:
    """What mmengine builds the optimiser from; the learning rate at its peak.

    Args:
        theirs: The part ``optim_wrapper`` of a config.
        settings: The section ``segmentation``.
        precision: ``hardware.precision`` on a GPU, ``32-true`` elsewhere.
    """
    chosen = settings.optimizer
    named = {"adamw": {"type": "AdamW", "fused": True}, "sgd": {"type": "SGD", "momentum": 0.9}}[chosen.name]
    half = {"16-mixed": "float16", "bf16-mixed": "bfloat16"}.get(precision)
    wrapper = {"type": "AmpOptimWrapper", "dtype": half} if half else {"type": "OptimWrapper"}
    own = {"paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": chosen.encoder_factor}}}}
    kept = {name: theirs[name] for name in ("constructor", "paramwise_cfg", "clip_grad") if theirs.get(name) is not None}
    return {
        **wrapper,
        "optimizer": {**named, "lr": chosen.learning_rate, "weight_decay": chosen.weight_decay},
        **own,
        **kept,
    }


@dataclass(eq=False)
class _Training:
    """What happens around mmengine's steps; the methods are those of a hook of its Runner."""

    settings: SegmentationSettings
    seed: int
    resume: Path
    curves: Path
    start: MMSegmenter | None
    is_tracked: bool
    progress: Progress
    average: nn.Module | None = None
    """The moving average of the weights, if there is one."""
    resumed_average: dict[str, Tensor] | None = None
    rows: list[dict[str, float]] = field(default_factory=list)
    """Of the curves."""
    steps: list[tuple[float, float]] = field(default_factory=list)
    """Loss and pixel accuracy of the epoch's steps."""

    def before_train(self, runner: Any) -> None:
        if self.start and not runner.epoch:
            runner.model.load_state_dict(self.start.network.state_dict())
        if self.settings.optimizer.average:
            self.average = deepcopy(runner.model).requires_grad_(False)
            self.average.load_state_dict(self.resumed_average or runner.model.state_dict())
        for group in runner.optim_wrapper.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.bar = self.progress.add_task("Training", total=runner.max_iters, completed=runner.iter)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        torch.manual_seed(seed_of(self.seed, runner.epoch, batch_idx))
        chosen, steps = self.settings.optimizer, self.settings.schedule.steps
        factor = learning_rate_factor(runner.iter, steps, chosen.warm_up, chosen.power)
        for group in runner.optim_wrapper.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        accuracy = next((value for name, value in outputs.items() if name.endswith("acc_seg") and "aux" not in name), np.nan)
        self.steps.append((float(outputs["loss"].detach()), float(accuracy) / 100))
        if self.average:
            step = runner.iter
            update_average(self.average, runner.model, min(self.settings.optimizer.average, (1 + step) / (10 + step)))
        self.progress.advance(self.bar)

    def after_train_epoch(self, runner: Any) -> None:
        loss, accuracy = map(float, np.mean(self.steps, axis=0))
        self.steps.clear()
        if not np.isfinite(loss):
            raise TrainingError(f"loss is {loss} at step {runner.iter}: the training diverged. Lower the learning rate.")
        values = {"loss": loss, "pixel_accuracy": accuracy}
        self.rows.append({"step": float(runner.iter), **values})
        write_curves(self.curves, self.rows)
        runner.save_checkpoint(str(self.resume), "last.part")
        (self.resume / "last.part").replace(self.resume / _LAST)
        if self.is_tracked:
            tracking.log_metrics(values, runner.iter)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["message_hub"] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
        checkpoint["training"] = {"rows": self.rows, "average": self.average.state_dict() if self.average else {}}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        self.rows, self.resumed_average = checkpoint["training"]["rows"], checkpoint["training"]["average"]


class OfflineWeights:
    """``init_cfg=dict(type='OfflineWeights')`` of a ``TIMMBackbone`` gives it the ImageNet weights that come with a package.

    The backbone must be ``tf_efficientnet_lite0``, whose weights they are.
    """

    wholemodule = False

    def __call__(self, backbone: Any) -> None:
        """Fills the backbone."""
        load_encoder_weights(backbone.timm_model, OFFLINE_ENCODER, "offline")


def train_mmseg(
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
    """Trains the network of ``settings.mmseg_config`` and writes its model file; the last weights, never the best.

    See the module for what the settings mean here.

    Args:
        images: Frame sets with ``images/``.
        labels: For each of ``images``, the frame set with ``labels/`` of the same frames; split ``train`` is used. Each batch
            takes as many samples from every pair.
        out: The model file; it needs neither the config nor its starting weights.
        curves: CSV file of loss and pixel accuracy by epoch; the loss is the sum of all that the config's heads have, the
            accuracy that of the decode head, ``nan`` where it reports none.
        settings: The section ``segmentation``.
        hardware: The section ``hardware``.
        seed: Of the network's first weights, the order of the frames, and their augmentation.
        start: Model file of the same network to go on from, such as a student's teacher; None starts as the config says.

    Raises:
        MissingExtraError: If mmsegmentation is not installed.
        ModelFileError: If ``start`` cannot be read or holds another network than the config describes.
        FrameError: If frames are missing or damaged, or nothing is labelled.
        TrainingError: If the config cannot be read or is of no network of 19 classes, if there are not as many image sets as
            label sets, or the batch cannot be divided equally between them, if the settings ask for what is not for it, or the
            training diverges.
    """
    _check(settings, hardware)
    config = read_config(Path(settings.mmseg_config))
    frames = TrainingFrames(labelled_pairs(images, labels, settings.schedule.batch_size), settings.size, settings.cache_mib)
    network = describe(config.model)
    try:
        segmenter = MMSegmenter(network)
    except ValueError as error:
        raise TrainingError(f"{settings.mmseg_config}: {error}") from error
    if start:
        try:
            segmenter.load_state_dict(load_segmenter(start).segmenter.state_dict())
        except RuntimeError as error:
            raise ModelFileError(f"{start}: not the network of {settings.mmseg_config}; train both alike. {error}") from None
    model = config.model
    if settings.class_weight_power:
        model = with_class_weights(model, class_weights(frames.class_counts, settings.class_weight_power).tolist())
    model.data_preprocessor.update(size=settings.crop, size_divisor=None)
    views = Views(frames, settings.augmentation, settings.crop, settings.schedule.batch_size, seed, settings.rare_classes)
    resume = resume_folder(
        f"train_segmenter-{out.parent.name}-{out.stem}",
        (settings, seed, config.to_dict()),
        [*images, *labels, *([start] if start else [])],
    )
    resume.mkdir(parents=True, exist_ok=True)
    device = inference_device(hardware).type
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        training = _hook_class()(settings, seed, resume, curves, segmenter if start else None, hardware.tracking, progress)
        runner = _runner(
            model,
            sample_loader(MMSegSamples(Samples(views)), settings.schedule, seed, hardware, _collate),
            optimizer_config(config.get("optim_wrapper", {}), settings, hardware.precision if device != "cpu" else "32-true"),
            training,
            device,
        )
        if hardware.tracking:
            tracking.start({"segmentation": settings, "seed": seed}, training=resume.name, resumed=(resume / _LAST).is_file())
        try:
            with quiet():
                runner.train()
        except BaseException as error:
            if hardware.tracking:
                tracking.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        if hardware.tracking:
            tracking.end("FINISHED")
    segmenter.network.load_state_dict((training.average or runner.model).state_dict())
    shutil.rmtree(resume)
    save_segmenter(out, TrainedSegmenter(segmenter, network, settings.size))
    tracking.log_model(out)


def _check(settings: SegmentationSettings, hardware: HardwareSettings) -> None:
    if settings.accumulate != 1:
        raise TrainingError(f"segmentation.accumulate must be 1 for the backend mmseg, got {settings.accumulate}.")
    if settings.freeze_batch_norm:
        raise TrainingError(
            "segmentation.freeze_batch_norm must be false for the backend mmseg; norm_eval in the config does that."
        )
    if hardware.devices != 1:
        raise TrainingError(f"hardware.devices must be 1 for the backend mmseg, got {hardware.devices}.")


def _collate(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [sample[name] for sample in samples] for name in samples[0]}


def _hook_class() -> type[_Training]:
    """:class:`_Training` as a hook of mmengine."""
    from mmengine.hooks import Hook

    return type("TrainingHook", (_Training, Hook), {})


def _runner(model: Any, loader: DataLoader[Any], optimizer: dict[str, Any], training: _Training, device: str) -> Any:
    """A Runner of mmengine that trains, quietly, and nothing else."""
    import mmengine.device.utils
    from mmengine.registry import WEIGHT_INITIALIZERS
    from mmengine.runner import Runner

    WEIGHT_INITIALIZERS.register_module("OfflineWeights", module=OfflineWeights, force=True)
    mmengine.device.utils.DEVICE = device
    on_cpu = device == "cpu"
    torch.use_deterministic_algorithms(on_cpu, warn_only=True)
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # it only costs time: nothing reads it
    last = training.resume / _LAST
    with quiet():
        runner = Runner(
            model=model,
            work_dir=str(training.resume),
            train_dataloader=loader,
            train_cfg={"by_epoch": True, "max_epochs": training.settings.schedule.epochs},
            optim_wrapper=optimizer,
            default_hooks=dict.fromkeys(("timer", "logger", "param_scheduler", "checkpoint")),
            custom_hooks=[training],
            load_from=str(last) if last.is_file() else None,
            resume=last.is_file(),
            env_cfg={"cudnn_benchmark": not on_cpu, "mp_cfg": {"mp_start_method": torch.multiprocessing.get_start_method()}},
            log_level="ERROR",
            default_scope="mmseg",
            randomness={"seed": seed_of(training.seed) % 2**32},
            experiment_name=uuid.uuid4().hex,
        )
    AtrousDepthwiseConv2d.adopt(runner.model)
    return runner
