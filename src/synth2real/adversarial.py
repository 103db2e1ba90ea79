"""What every training of generators against discriminators shares: alternate steps, learning rates, sample sheets, stops."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from synth2real import tracking
from synth2real.hardware import HardwareSettings
from synth2real.training import Schedule, TrainingError, fit


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings:
    """The sections ``translation.samples`` and ``synthesis.samples`` of params.yaml: picture sheets of fixed frames."""

    every: int
    """Steps from one sheet to the next; the last step has one too."""
    frames: int
    """Frames of each set, evenly spread."""

    def __post_init__(self) -> None:
        for name in ("every", "frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamSettings:
    """What the sections ``translation.optimizer`` and ``synthesis.optimizer`` of params.yaml share: Adam for either opponent."""

    learning_rate: float
    """For batches of one; 2e-4 in the papers of pix2pix, CycleGAN and pix2pixHD."""
    beta1: float
    """Decay of the gradient's mean; 0.5 in these papers (beta2 is 0.999)."""
    constant_share: float
    """Share of the steps at the full learning rate; then it falls linearly to zero. 0.5 in these papers."""
    discriminator_steps: int
    """Steps of the discriminators for each one of the generators; 1 in these papers, 5 in that of WGAN-GP."""

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.beta1 < 1:
            raise ValueError(f"beta1 must be in [0, 1), got {self.beta1}")
        if not 0 <= self.constant_share <= 1:
            raise ValueError(f"constant_share must be in [0, 1], got {self.constant_share}")
        if self.discriminator_steps < 1:
            raise ValueError(f"discriminator_steps must be at least 1, got {self.discriminator_steps}")


class LossNotFiniteError(TrainingError):
    """A loss is infinite or no number."""

    def __init__(self, name: str, value: float, step: int) -> None:
        super().__init__(f"{name} is {value} at step {step}")
        self.step = step


def learning_rate_factor(step: int, steps: int, constant_share: float) -> float:
    """What the learning rate is multiplied by at a step: 1, then linearly down to 0 at the step after the last.

    Args:
        step: From 0.
        steps: Of the whole training.
        constant_share: Share of the steps at factor 1.
    """
    constant = round(constant_share * steps)
    return 1.0 if step < constant else (steps - step) / max(steps - constant, 1)


class AdversarialModule(pl.LightningModule):
    """Base of a module whose step first descends for its generators, then for its discriminators."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.schedule = schedule
        self.after_step: Callable[[int], None] = lambda steps: None
        """Called with the number of steps done so far, after each."""

    def adam(
        self, *opponents: Iterable[nn.Module], settings: AdamSettings, learning_rate: float
    ) -> tuple[list[Adam], list[LambdaLR]]:
        """Adam for each of the opponents, with its rate's schedule (:func:`learning_rate_factor`).

        Args:
            opponents: The networks that learn together: generators, then discriminators.
            settings: Decay and schedule.
            learning_rate: In the constant part.
        """
        optimizers = [
            Adam(
                [parameter for network in networks for parameter in network.parameters()],
                lr=learning_rate,
                betas=(settings.beta1, 0.999),
                fused=True,
            )
            for networks in opponents
        ]

        def factor(step: int) -> float:
            return learning_rate_factor(step, self.schedule.steps, settings.constant_share)

        return optimizers, [LambdaLR(optimizer, factor) for optimizer in optimizers]

    def step_number(self, batch_idx: int) -> int:
        """The step's number in the whole training, from 0."""
        return self.current_epoch * self.schedule.steps_per_epoch + batch_idx

    def descend(
        self,
        optimizer: LightningOptimizer,
        losses: Mapping[str, Tensor],
        objective: Tensor,
        step: int,
        gradient_norm: float | None = None,
    ) -> None:
        """One step of an optimizer.

        Args:
            optimizer: Of the generators or of the discriminators.
            losses: The terms, for the message if one is not finite.
            objective: What is minimised.
            step: Its number.
            gradient_norm: The gradients together are scaled down to this Euclidean norm (Pascanu et al., ICML 2013), if given.

        Raises:
            LossNotFiniteError: Before a loss that is not finite reaches any weight.
        """
        if not torch.isfinite(torch.stack(list(losses.values())).detach()).all():
            name, value = next((name, loss.item()) for name, loss in losses.items() if not torch.isfinite(loss))
            raise LossNotFiniteError(name, value, step)
        optimizer.zero_grad()
        self.manual_backward(objective)
        if gradient_norm is not None:
            self.clip_gradients(optimizer, gradient_norm, "norm")  # type: ignore[arg-type]
        optimizer.step()

    def end_step(self, values: Mapping[str, Tensor], batch_size: int) -> None:
        """Moves the learning rates on and logs the step's losses and balance."""
        for scheduler in cast(list[LambdaLR], self.lr_schedulers()):
            scheduler.step()
        logged = {name: value.detach() for name, value in values.items()}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=batch_size)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tells ``after_step``."""
        if self.trainer.is_global_zero:
            self.after_step(self.step_number(batch_idx) + 1)


def fit_adversarial(
    module: AdversarialModule,
    draw: Callable[[int, np.random.Generator], Any],
    *,
    name: str,
    settings: object,
    seed: int,
    hardware: HardwareSettings,
    curves: Path,
    resume: Path,
    sheets: SampleSettings,
    samples: Path,
    write_sheet: Callable[[Path, int], None],
    files: Callable[[int], Sequence[Path]],
) -> None:
    """Trains ``module`` in place (:func:`synth2real.training.fit`), with sample sheets that survive an interruption.

    Args:
        module: What to train.
        draw: The ``index``-th sample.
        name: The section of params.yaml that ``settings`` came from.
        settings: What MLflow shows of the training.
        seed: Of samples and steps.
        hardware: What to run on.
        curves: CSV file with each epoch's means.
        resume: Folder for the state of an unfinished training.
        sheets: How often to write a sheet.
        samples: Folder that gets the sheets, ``step_<steps>.jpg``.
        write_sheet: Writes the sheet of the networks as they are: its file, and the number of steps done.
        files: The images of the ``index``-th sample, for the message if a loss is not finite.

    Raises:
        TrainingError: If a loss is not finite: it names step, images and the last good state.
    """
    kept = resume / "samples"

    def after_step(step: int) -> None:
        if step % sheets.every == 0 or step == module.schedule.steps:
            path = samples / f"step_{step:06}.jpg"
            write_sheet(path, step)
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, kept / path.name)
            tracking.log_picture(path)

    module.after_step = after_step
    if kept.is_dir():
        shutil.copytree(kept, samples, dirs_exist_ok=True)
    try:
        fit(
            module,
            draw,
            schedule=module.schedule,
            seed=seed,
            hardware=hardware,
            curves=curves,
            resume=resume,
            settings={name: settings},
        )
    except LossNotFiniteError as error:
        size = module.schedule.batch_size
        batch = [str(path) for index in range(error.step * size, (error.step + 1) * size) for path in files(index)]
        last = resume / "last.ckpt"
        raise TrainingError(
            f"{error}, with the batch {', '.join(batch)}. The last good state is {last if last.is_file() else 'the start'}. "
            f"Look at these images; lower {name}.optimizer.learning_rate."
        ) from error
