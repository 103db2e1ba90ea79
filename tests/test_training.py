import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from synth2real.hardware import HardwareSettings
from synth2real.models import save_model
from synth2real.training import Schedule, TrainingError, fit

SCHEDULE = Schedule(epochs=4, steps_per_epoch=3, batch_size=2)


def hardware(workers: int = 0) -> HardwareSettings:
    return HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=workers, tracking=False)


def draw(index: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A sample that depends on its number, on NumPy's generator and on PyTorch's."""
    x = torch.from_numpy(generator.standard_normal(4, np.float32)) + torch.rand(4) + index % 3
    return x, x.sum(0, keepdim=True)


class Regression(pl.LightningModule):
    """A small net with all that a training carries: momenta, running statistics, dropout and a schedule of the rate."""

    def __init__(self, kill_at: tuple[int, int] | None = None, poison: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.kill_at, self.poison = kill_at, poison
        self.steps: list[tuple[int, int]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.steps.append((self.current_epoch, batch_idx))
        if self.steps[-1] == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        loss = loss * float("nan") if self.poison else loss
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / SCHEDULE.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(folder: Path, module: Regression, workers: int = 0) -> tuple[bytes, bytes]:
    """Bytes of the model file and of the curves."""
    model, curves = folder / "model.ckpt", folder / "curves.csv"
    fit(
        module,
        draw,
        schedule=SCHEDULE,
        seed=3,
        hardware=hardware(workers),
        curves=curves,
        resume=folder / "resume",
        settings={"schedule": SCHEDULE},
    )
    save_model(model, "regression", {}, module.state_dict())
    return model.read_bytes(), curves.read_bytes()


def test_two_runs_give_equal_bits_with_any_number_of_workers(tmp_path: Path) -> None:
    runs = []
    for workers in (0, 2):
        torch.rand(1 + workers)  # the state of the global generator must not matter
        runs.append(train(tmp_path / str(workers), Regression(), workers))
    assert runs[0] == runs[1]
    assert not (tmp_path / "0" / "resume").exists()


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, __file__, str(tmp_path / "killed")], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "killed" / "model.ckpt").exists()
    module = Regression()
    resumed = train(tmp_path / "killed", module)
    assert module.steps == [(epoch, step) for epoch in (2, 3) for step in range(3)]  # epochs 0 and 1 are not run again
    assert not (tmp_path / "killed" / "resume").exists()
    assert resumed == train(tmp_path / "whole", Regression())
    assert len(resumed[1].splitlines()) == 1 + SCHEDULE.epochs


def test_the_curves_hold_one_row_an_epoch(tmp_path: Path) -> None:
    _, curves = train(tmp_path, Regression())
    rows = [row.split(",") for row in curves.decode().splitlines()]
    assert rows[0] == ["step", "loss"]
    assert [int(float(row[0])) for row in rows[1:]] == [3, 6, 9, 12]
    assert all(float(row[1]) > 0 for row in rows[1:])


def test_divergence_ends_the_training_and_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss is nan at step 3: the training diverged\. Lower the learning rate"):
        train(tmp_path, Regression(poison=True))
    assert not (tmp_path / "model.ckpt").exists()


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"steps_per_epoch": 0}, {"batch_size": 0}])
def test_empty_schedules_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least 1"):
        Schedule(**{"epochs": 1, "steps_per_epoch": 1, "batch_size": 1, **wrong})


if __name__ == "__main__":
    train(Path(sys.argv[1]), Regression(kill_at=(2, 1)))
