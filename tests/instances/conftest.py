import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from synth2real.augmentation import AugmentationSettings
from synth2real.frames import Frame, FrameSet, read_frames, write_frames, write_image, write_instances
from synth2real.hardware import HardwareSettings
from synth2real.instances.detectron2_network import Detectron2Settings
from synth2real.instances.mask_rcnn import NetworkSettings
from synth2real.instances.predict import PredictionSettings
from synth2real.instances.train import InstanceSettings, OptimizerSettings
from synth2real.training import Schedule

ShapesWriter = Callable[..., FrameSet]
KilledTraining = Callable[[FrameSet, InstanceSettings, HardwareSettings], Path]

_KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from synth2real.instances import train
step = train.DetectorTraining.training_step
def killing(self, batch, batch_idx):
    if self.current_epoch == 2 and batch_idx == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)
train.DetectorTraining.training_step = killing
frames, settings, hardware, folder = pickle.loads(Path(sys.argv[1]).read_bytes())
train.train_detector(frames, settings, hardware=hardware, curves=folder / "curves.csv", resume=folder / "resume")
"""


@pytest.fixture
def network() -> NetworkSettings:
    return NetworkSettings(
        backbone="test_efficientnet",
        backbone_weights="random",
        backbone_norm="batch",
        frozen_levels=0,
        size=(64, 96),
        strides=(4, 8),
        channels=32,
        head_norm="group",
        anchor_sizes=(12, 24, 48),
        anchor_ratios=(0.5, 1.0, 2.0),
        rpn_batch_size=32,
        proposals_per_level=50,
        proposals=50,
        box_batch_size=32,
        box_features=64,
        mask_channels=(32,),
        class_agnostic=False,
    )


@pytest.fixture
def settings(network: NetworkSettings, augmentation: AugmentationSettings) -> InstanceSettings:
    return InstanceSettings(
        backend="torchvision",
        detectron2=Detectron2Settings(config="", overrides=(), weights=None),
        network=network,
        augmentation=augmentation,
        min_area=8,
        copy_paste=0.0,
        optimizer=OptimizerSettings(
            name="adamw", learning_rate=5e-3, backbone_factor=1.0, warm_up_steps=5, weight_decay=0.0, gradient_norm=10.0
        ),
        seed=1,
        schedule=Schedule(epochs=3, steps_per_epoch=2, batch_size=2),
    )


@pytest.fixture
def prediction() -> PredictionSettings:
    return PredictionSettings(batch_size=2, calibration="none", min_score=0.05, box_overlap=0.5, max_detections=20)


@pytest.fixture
def hardware() -> HardwareSettings:
    return HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0, tracking=False)


@pytest.fixture
def write_shapes(tmp_path: Path) -> ShapesWriter:
    """Writes frames with a red disc (person) and a blue rectangle (car) on grey; every third frame is empty."""

    def write(name: str, frames: int, size: tuple[int, int] = (64, 96)) -> FrameSet:
        root = tmp_path / name
        rows = []
        for index in range(frames):
            image = np.full((*size, 3), 128, np.uint8)
            ids = np.full(size, 7, np.uint16)
            if index % 3 != 2:
                unit = size[0] // 8
                disc = (unit * (2 + index % 3), unit * 3)
                cv2.circle(image, disc, unit * 3 // 2, (220, 20, 20), -1)
                cv2.circle(ids, disc, unit * 3 // 2, 24001, -1)
                corner = (unit * 7, unit * (2 + index % 3))
                far = (corner[0] + unit * 4, corner[1] + unit * 3)
                cv2.rectangle(image, corner, far, (20, 20, 220), -1)
                cv2.rectangle(ids, corner, far, 26000, -1)
            frame = Frame(f"shape{index}", "train", *size)
            write_image(root / "images" / f"{frame.frame_id}.png", image)
            write_instances(root / "instances" / f"{frame.frame_id}.png", ids)
            rows.append(frame)
        write_frames(root, rows)
        return read_frames(root)

    return write


@pytest.fixture
def killed_training(tmp_path: Path) -> KilledTraining:
    """Trains a detector in a process that is killed in its third epoch; gives the folder with ``curves.csv`` and ``resume``."""

    def train(frames: FrameSet, settings: InstanceSettings, hardware: HardwareSettings) -> Path:
        folder, arguments = tmp_path / "killed", tmp_path / "arguments"
        arguments.write_bytes(pickle.dumps((frames, settings, hardware, folder)))
        child = subprocess.run([sys.executable, "-c", _KILLED, str(arguments)], check=False, env=os.environ, capture_output=True)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        assert len((folder / "curves.csv").read_text().splitlines()) == 1 + 2
        return folder

    return train
