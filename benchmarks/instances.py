"""Training images a second against a plain loop with the same network, batch and samples, and how long the device waits for data.

The plain loop is torchvision's detection recipe as one would write it down: a loader without processes of its own, which decodes
and augments each frame when it is due and takes masks and boxes from it one by one, images in the memory layout in which they are
usually stacked (channels first), and SGD parameter by parameter. Frames are rendered studios.
"""

import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks._step_times import WARM_UP, Timed, report, seconds
from synth2real.augmentation import augment
from synth2real.datasets.preparation import PreparationSettings, prepare
from synth2real.frames import FrameSet, read_frames
from synth2real.hardware import HardwareSettings
from synth2real.instances.anchors import with_fitted_anchors
from synth2real.instances.data import InstanceSamples, Sample
from synth2real.instances.mask_rcnn import build_detector
from synth2real.instances.train import DetectorTraining, InstanceSettings
from synth2real.label_space import INSTANCE_FACTOR, VEIS_LABELS
from synth2real.models import inference_device
from synth2real.params import read_section
from synth2real.training import fit
from synth2real.worlds.exporters import WorldSettings, render_world

PLAIN_STEPS = 6
"""Before ours, and as many after it."""
STEPS = 18


def make_frames(root: Path) -> FrameSet:
    """Renders 24 frames as a frame set."""
    world = read_section("worlds", WorldSettings)
    world = replace(world, veis=replace(world.veis, multi_class=4, single_class=0, views=6))
    render_world("veis", root / "world", world, workers=1)
    settings = replace(
        read_section("prepare.instances", PreparationSettings),
        dataset="veis", root=str(root / "world"), splits=("train",), validation_fraction=0.0, size=None, limit=None,
    )  # fmt: skip
    prepare(settings, root / "frames", None, needs="instances", workers=1)
    return read_frames(root / "frames")


class PlainFrames(Dataset[Sample]):
    """Frames and their instances, one after the other."""

    def __init__(self, frames: FrameSet, settings: InstanceSettings) -> None:
        self.frames, self.settings = frames, settings
        self.generator = np.random.default_rng(1)
        self.categories = {label.label_id: category for category, label in enumerate(VEIS_LABELS, start=1)}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        frame, settings = self.frames.frames[index], self.settings
        size = settings.network.size
        image = cv2.resize(self.frames.image(frame), size[::-1])
        ids = cv2.resize(self.frames.instances(frame), size[::-1], interpolation=cv2.INTER_NEAREST)
        image, ids = augment(image, ids, settings.augmentation, size, self.generator, outside=0)
        labels, boxes, masks = [], [], []
        for instance in np.unique(ids):
            mask = ids == instance
            if instance // INSTANCE_FACTOR in self.categories and mask.sum() >= settings.min_area:
                rows, columns = np.nonzero(mask)
                labels.append(self.categories[instance // INSTANCE_FACTOR])
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                masks.append(mask)
        target = {
            "labels": torch.tensor(labels, dtype=torch.int64),
            "boxes": torch.tensor(np.array(boxes), dtype=torch.float32).reshape(-1, 4),
            "masks": torch.from_numpy(np.array(masks, np.bool_).reshape(-1, *size)),
        }
        return Sample(torch.from_numpy(image).permute(2, 0, 1).float() / 255, target)


class ChannelsFirst(nn.Module):
    """A pyramid on images as they are stacked."""

    def __init__(self, pyramid: Any) -> None:
        super().__init__()
        self.pyramid, self.out_channels = pyramid, pyramid.out_channels

    def forward(self, images: Tensor) -> Tensor:
        maps = self.pyramid.body(images)
        features: Tensor = self.pyramid.fpn(OrderedDict((str(level), features) for level, features in enumerate(maps)))
        return features


class PlainLoop:
    """The training of a detector as one would write it down."""

    def __init__(self, frames: FrameSet, settings: InstanceSettings, device: torch.device) -> None:
        self.device = device
        self.detector = build_detector(settings.network, 1)
        self.detector.backbone = ChannelsFirst(self.detector.backbone)
        self.detector.to(device, memory_format=torch.contiguous_format).train()
        parameters = [parameter for parameter in self.detector.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(parameters, 1e-3, momentum=0.9, weight_decay=1e-4, foreach=False)
        samples, size = PlainFrames(frames, settings), settings.schedule.batch_size
        order = RandomSampler(samples, num_samples=size * 2 * PLAIN_STEPS)
        self.batches: Iterator[list[Sample]] = iter(DataLoader(samples, size, sampler=order, collate_fn=list))

    def step(self) -> None:
        batch = next(self.batches)
        images = [sample.image.to(self.device) for sample in batch]
        targets = [{name: value.to(self.device) for name, value in sample.target.items()} for sample in batch]
        losses: dict[str, Tensor] = self.detector(images, targets)
        self.optimizer.zero_grad()
        torch.autograd.backward(torch.stack(tuple(losses.values())).sum())
        self.optimizer.step()


class TimedDetectorTraining(Timed, DetectorTraining):
    pass


def main() -> None:
    settings, hardware = read_section("instances", InstanceSettings), read_section("hardware", HardwareSettings)
    hardware = replace(hardware, tracking=False)
    schedule = replace(settings.schedule, epochs=1, steps_per_epoch=STEPS)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        frames = make_frames(Path(folder))
        network = with_fitted_anchors(settings.network, frames, settings.min_area)
        settings = replace(settings, network=network, schedule=schedule)
        samples = InstanceSamples(
            frames, settings.augmentation, size=network.size, min_area=settings.min_area, copy_paste=settings.copy_paste, seed=1
        )
        plain_loop = PlainLoop(frames, settings, inference_device(hardware))
        training = TimedDetectorTraining(build_detector(network, 1), settings.optimizer, STEPS)

        plain = seconds(plain_loop.step, PLAIN_STEPS)[WARM_UP:]
        resume, curves = Path(folder) / "resume", Path(folder) / "curves.csv"
        fit(
            training, samples, schedule=schedule, seed=1, hardware=hardware, curves=curves, resume=resume, settings={},
            collate=list,
        )  # fmt: skip
        plain += seconds(plain_loop.step, PLAIN_STEPS)

    report("instances", network.size, schedule.batch_size, training, plain)


if __name__ == "__main__":
    main()
