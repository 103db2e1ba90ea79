"""What every training shares: seeds, the Lightning Trainer, resuming, loss curves.

The same parameters, code and data give the same bits, also when a training was killed and run again:

- the i-th sample and its augmentation are a pure function of ``(seed, i)``, whoever loads it;
- before each step the global generator is seeded with ``(seed, step)``, so dropout and image pools need no saved state of it;
- at the end of each epoch everything that a training carries is written to a resume folder (:mod:`synth2real.resuming`), in one
  atomic step.
"""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme
from torch.utils.data import DataLoader, Dataset, Sampler

from synth2real import tracking
from synth2real.frames import to_csv, write_text
from synth2real.hardware import HardwareSettings
from synth2real.models import inference_device
from synth2real.sampling import seed_of

cv2.setNumThreads(0)  # loader processes are forked, and one forked from a process with OpenCV threads waits for them for ever


class TrainingError(RuntimeError):
    """A training cannot go on; the message says at which step and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long a training runs. An epoch is a fixed number of steps; after each, the training can be resumed."""

    epochs: int
    steps_per_epoch: int
    batch_size: int
    """Samples a step, over all devices."""

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch


# --- Samples as a pure function of their number ----------------------------------------------------------------------


class _Samples(Dataset[Any]):
    def __init__(self, draw: Callable[[int, np.random.Generator], Any], seed: int) -> None:
        self.draw = draw
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        torch.manual_seed(seed_of(self.seed, index))  # torchvision's transforms draw from the global generator
        return self.draw(index, np.random.default_rng((self.seed, index)))


class _Steps(Sampler[int]):
    """Sample numbers of one epoch on one device."""

    def __init__(self, schedule: Schedule, rank: int, devices: int) -> None:
        self.samples = schedule.steps_per_epoch * schedule.batch_size
        self.rank, self.devices = rank, devices
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples // self.devices

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self.samples
        return iter(range(start + self.rank, start + self.samples, self.devices))


def sample_loader(
    draw: Callable[[int, np.random.Generator], Any],
    schedule: Schedule,
    seed: int,
    hardware: HardwareSettings,
    collate: Callable[[list[Any]], Any] | None = None,
    *,
    rank: int = 0,
    devices: int = 1,
) -> DataLoader[Any]:
    """Loads the batches of one epoch on one device; which epoch, its sampler's ``set_epoch`` says.

    Args:
        draw: See :func:`fit`, as for ``schedule``, ``seed``, ``hardware`` and ``collate``.
        schedule: Steps and batch size.
        seed: Of the samples.
        hardware: Loader processes.
        collate: How samples become a batch.
        rank: Number of the device.
        devices: How many there are.

    Raises:
        TrainingError: If the devices cannot share a batch equally.
    """
    if schedule.batch_size % devices:
        raise TrainingError(f"batch_size {schedule.batch_size} is not divisible by {devices} devices.")
    workers = hardware.workers
    return DataLoader(
        _Samples(draw, seed),
        batch_size=schedule.batch_size // devices,
        sampler=_Steps(schedule, rank, devices),
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers > 0 else None,
        pin_memory=torch.cuda.is_available(),
    )


class _Data(pl.LightningDataModule):
    def __init__(self, load: Callable[..., DataLoader[Any]]) -> None:
        super().__init__()
        self.load = load

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        return self.load(rank=self.trainer.global_rank, devices=self.trainer.world_size)


# --- The Trainer -----------------------------------------------------------------------------------------------------


class _SeedSteps(Callback):
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(seed_of(self.seed, trainer.current_epoch, batch_idx, trainer.global_rank))


class _Curves(Callback):
    """Epoch means of all logged values, as CSV; part of the resume state."""

    def __init__(self, path: Path, schedule: Schedule) -> None:
        self.path, self.schedule = path, schedule
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = (trainer.current_epoch + 1) * self.schedule.steps_per_epoch
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        for name, value in values.items():
            if not np.isfinite(value):
                raise TrainingError(f"{name} is {value} at step {step}: the training diverged. Lower the learning rate.")
        self.rows.append({"step": float(step), **values})
        if trainer.is_global_zero:
            write_curves(self.path, self.rows)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]


class _Tracking(Callback):
    """Sends a training to MLflow, from the first device."""

    def __init__(self, settings: Mapping[str, object], schedule: Schedule, training: str, resumed: bool) -> None:
        self.settings, self.schedule, self.training, self.resumed = settings, schedule, training, resumed

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            tracking.start(self.settings, training=self.training, resumed=self.resumed)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        tracking.log_metrics(values, (trainer.current_epoch + 1) * self.schedule.steps_per_epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        tracking.end("KILLED" if trainer.interrupted else "FINISHED")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        tracking.end("KILLED" if isinstance(exception, KeyboardInterrupt) else "FAILED")


def write_curves(path: Path, rows: Sequence[Mapping[str, int | float]]) -> None:
    """Writes one row per epoch: ``step`` and the mean of each logged value, with six significant digits."""
    names = list(rows[0])
    write_text(path, to_csv(names, ([f"{row[name]:.6g}" for name in names] for row in rows)))


class _Resume(Checkpoint):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        temporary = self.path.with_suffix(".part")
        trainer.save_checkpoint(temporary, weights_only=False)  # on every device; the first writes
        if trainer.is_global_zero:
            temporary.replace(self.path)


def fit(
    module: pl.LightningModule,
    draw: Callable[[int, np.random.Generator], Any],
    *,
    schedule: Schedule,
    seed: int,
    hardware: HardwareSettings,
    curves: Path,
    resume: Path,
    settings: Mapping[str, object],
    collate: Callable[[list[Any]], Any] | None = None,
) -> None:
    """Trains ``module`` in place, from the resume folder's state where there is one.

    Args:
        module: What to train; it logs its losses by ``self.log(..., on_step=False, on_epoch=True)``.
        draw: ``draw(index, generator)`` gives the ``index``-th sample; it must depend on nothing else. Picklable.
        schedule: Epochs, steps and batch size.
        seed: Of the samples, and of the global generator at each step.
        hardware: Devices, precision and loader processes; without influence on which samples are drawn.
        curves: CSV file that gets one row an epoch.
        resume: Folder for the state of an unfinished training (see :func:`resume_folder`); removed at the end.
        settings: What MLflow shows of the training, by section of params.yaml, where ``hardware.tracking`` is true.
        collate: How samples become a batch; PyTorch's default if None.

    Raises:
        TrainingError: If a logged value is not finite.
        KeyboardInterrupt: If the user stopped it; the resume folder stays.
    """
    resume.mkdir(parents=True, exist_ok=True)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    on_cpu = inference_device(hardware).type == "cpu"
    last = resume / "last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")
        trainer = pl.Trainer(
            accelerator="cpu" if on_cpu else hardware.accelerator,
            devices=hardware.devices,
            precision=hardware.precision,
            max_epochs=schedule.epochs,
            callbacks=[
                _SeedSteps(seed),
                _Curves(curves, schedule),
                _Resume(resume),
                *([_Tracking(settings, schedule, resume.name, last.is_file())] if hardware.tracking else []),
                RichProgressBar(leave=False, theme=RichProgressBarTheme(metrics_format=".4g")),
            ],
            logger=False,
            enable_checkpointing=True,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            deterministic="warn" if on_cpu else False,
            benchmark=not on_cpu,
        )
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # it only costs time: nothing reads it
        trainer.fit(
            module,
            datamodule=_Data(partial(sample_loader, draw, schedule, seed, hardware, collate)),
            ckpt_path=str(last) if last.is_file() else None,
            weights_only=True,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    shutil.rmtree(resume)
