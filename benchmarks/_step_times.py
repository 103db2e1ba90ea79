"""What the benchmarks of trainings share: how long steps take, and how ours compare with a plain loop's."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

WARM_UP = 3
"""Steps that do not count: the first of the plain loop, and the first of ours."""


class Timed(pl.LightningModule):
    """A training that notes when its steps begin and end. It stands before the training's own class among the bases."""

    begins: list[float]
    ends: list[float]

    def on_fit_start(self) -> None:
        self.begins, self.ends = [], []

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.begins.append(now())

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ends.append(now())


def now() -> float:
    """Seconds, once the device has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(step: Callable[[], None], steps: int) -> list[float]:
    """Of each of the next steps."""
    times = [now()]
    for _ in range(steps):
        step()
        times.append(now())
    return list(np.diff(times))


def report(name: str, size: tuple[int, int], batch_size: int, training: Timed, plain: Sequence[float]) -> None:
    """Prints what a training that has run does in a second, beside a plain loop whose steps took ``plain`` seconds."""
    begins, ends = np.array(training.begins)[WARM_UP:], np.array(training.ends)[WARM_UP:]
    ours = batch_size * (len(begins) - 1) / (begins[-1] - begins[0])
    waits = (begins[1:] - ends[:-1]).sum() / (begins[-1] - begins[0])
    textbook = batch_size * len(plain) / sum(plain)
    print(f"{name}: {ours:.1f} images/s of {size[0]}x{size[1]}, {ours / textbook:.2f} times the plain loop's {textbook:.1f}")
    print(f"{name}: the device waits {waits:.1%} of the time between steps, for data and all else")
