"""On what the stages run."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareSettings:
    """Accelerator and processes: never part of a stage's identity."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    devices: int
    precision: Literal["32-true", "16-mixed", "bf16-mixed"]
    workers: int
    """Processes that load and prepare data."""
    tracking: bool
    """Whether trainings and evaluations show up in MLflow."""

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ValueError(f"devices must be at least 1, got {self.devices}")
        if self.workers < 0:
            raise ValueError(f"workers must be at least 0, got {self.workers}")
