from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from synth2real.augmentation import AugmentationSettings
from synth2real.frames import Frame, write_frames, write_image, write_label
from synth2real.hardware import HardwareSettings
from synth2real.label_space import PALETTE
from synth2real.segmentation.networks import NetworkSettings
from synth2real.segmentation.train import OptimizerSettings, SegmentationSettings
from synth2real.training import Schedule

LABEL_IDS = np.array([7, 8, 11, 21, 23, 24, 26, 0], np.uint8)


def blocks(seed: int, height: int, width: int) -> np.ndarray:
    """Label ids of a scene of 16x16 blocks."""
    coarse = np.random.default_rng(seed).integers(0, len(LABEL_IDS), (-(-height // 16), -(-width // 16)))
    return LABEL_IDS[coarse].repeat(16, 0).repeat(16, 1)[:height, :width]


@pytest.fixture
def make_frames(tmp_path: Path) -> Callable[..., Path]:
    """Writes a frame set whose images show each class in its own colour."""

    def make(name: str, count: int, *, size: tuple[int, int] = (32, 64), split: str = "train", seed: int = 0) -> Path:
        root, frames = tmp_path / name, []
        for number in range(count):
            label_ids = blocks(seed + number, *size)
            frame = Frame(f"{name}_{number}", split, *size)
            write_image(root / "images" / f"{frame.frame_id}.png", PALETTE[label_ids])
            write_label(root / "labels" / f"{frame.frame_id}.png", label_ids)
            frames.append(frame)
        write_frames(root, frames)
        return root

    return make


@pytest.fixture
def settings(augmentation: AugmentationSettings) -> SegmentationSettings:
    """A narrow network for a few steps."""
    return SegmentationSettings(
        backend="synth2real",
        mmseg_config="",
        network=NetworkSettings(
            architecture="deeplabv3plus",
            encoder="test_efficientnet",
            weights="random",
            output_stride=16,
            decoder_channels=16,
            atrous_rates=(1, 2, 3),
            dropout=0.0,
        ),
        size=(32, 64),
        crop=(32, 64),
        cache_mib=1,
        augmentation=augmentation,
        rare_classes=None,
        class_weight_power=0.25,
        freeze_batch_norm=False,
        optimizer=OptimizerSettings(
            name="adamw", learning_rate=1e-2, encoder_factor=1.0, weight_decay=0.0, warm_up=2, power=0.9, average=0.0
        ),
        accumulate=1,
        schedule=Schedule(epochs=2, steps_per_epoch=2, batch_size=2),
    )


@pytest.fixture
def hardware() -> HardwareSettings:
    return HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0, tracking=False)
