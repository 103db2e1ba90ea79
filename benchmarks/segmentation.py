"""Training images a second against a plain loop with the same network, batch and samples, and how long the device waits for data.

The plain loop reads and augments each sample when it is due, keeps the memory layout in which images are usually stacked
(channels first), lets PyTorch compute dilated depthwise convolutions, and steps AdamW parameter by parameter. Frames are rendered
streets.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks._step_times import WARM_UP, Timed, report, seconds
from synth2real.augmentation import augment
from synth2real.frames import Frame, write_frames
from synth2real.hardware import HardwareSettings
from synth2real.label_space import IGNORE_INDEX
from synth2real.models import inference_device
from synth2real.params import read_section
from synth2real.segmentation.data import Samples, TrainingFrames, Views, class_weights, read_labelled_frames
from synth2real.segmentation.networks import AtrousDepthwiseConv2d, Segmenter
from synth2real.segmentation.train import SegmentationSettings, SegmenterTraining
from synth2real.training import fit
from synth2real.worlds.exporters import WorldSettings, render_world

PLAIN_STEPS = 5
"""Before ours, and as many after it."""
STEPS = 18


def make_frames(root: Path) -> Path:
    """Renders 24 frames as a frame set."""
    world = read_section("worlds", WorldSettings)
    world = replace(world, cityscapes=replace(world.cityscapes, train_streets=2, val_streets=1, views=12))
    render_world("cityscapes", root / "world", world, workers=1)
    frames = []
    for image in sorted((root / "world").glob("leftImg8bit/train/*/*.png")):
        label = root / "world/gtFine/train" / image.parent.name / image.name.replace("leftImg8bit", "gtFine_labelIds")
        frame = Frame(image.stem, "train", world.height, world.width)
        for folder, path in (("images", image), ("labels", label)):
            (root / folder).mkdir(exist_ok=True)
            shutil.copyfile(path, root / folder / f"{frame.frame_id}.png")
        frames.append(frame)
    write_frames(root, frames)
    return root


class PlainLoop:
    """Supervised training as one would write it down."""

    def __init__(self, root: Path, weights: Tensor, settings: SegmentationSettings, device: torch.device) -> None:
        self.frames, self.settings, self.device = read_labelled_frames(root, root), settings, device
        self.segmenter = Segmenter(settings.network).to(device).train()
        for layer in self.segmenter.modules():
            if isinstance(layer, AtrousDepthwiseConv2d):
                layer.__class__ = nn.Conv2d  # type: ignore[assignment]
        self.weights = weights.to(device)
        rate = settings.optimizer.learning_rate
        self.optimizer = torch.optim.AdamW(self.segmenter.parameters(), rate, foreach=False, fused=False)
        self.generator = np.random.default_rng(1)

    def step(self) -> None:
        samples = []
        for index in self.generator.integers(0, len(self.frames), self.settings.schedule.batch_size):
            sample = self.frames.image(index, self.settings.size), self.frames.train_ids(index, self.settings.size)
            samples.append(augment(*sample, self.settings.augmentation, self.settings.crop, self.generator, outside=IGNORE_INDEX))
        images, train_ids = (torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*samples, strict=True))
        logits = self.segmenter.logits(images.permute(0, 3, 1, 2).float().contiguous())
        loss = F.cross_entropy(logits, train_ids.long(), self.weights, ignore_index=IGNORE_INDEX)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()


class TimedSegmenterTraining(Timed, SegmenterTraining):
    pass


def main() -> None:
    cv2.setNumThreads(0)
    settings, hardware = read_section("segmentation", SegmentationSettings), read_section("hardware", HardwareSettings)
    hardware = replace(hardware, tracking=False)
    schedule = replace(settings.schedule, epochs=1, steps_per_epoch=STEPS)
    settings = replace(settings, schedule=schedule, accumulate=1)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        root = make_frames(Path(folder))
        frames = TrainingFrames([read_labelled_frames(root, root)], settings.size, settings.cache_mib)
        weights = torch.tensor(class_weights(frames.class_counts, settings.class_weight_power), dtype=torch.float32)
        plain_loop = PlainLoop(root, weights, settings, inference_device(hardware))
        training = TimedSegmenterTraining(Segmenter(settings.network), weights, settings)
        views = Views(frames, settings.augmentation, settings.crop, schedule.batch_size, 1, settings.rare_classes)

        plain = seconds(plain_loop.step, PLAIN_STEPS)[WARM_UP:]
        resume, curves = Path(folder) / "resume", Path(folder) / "curves.csv"
        fit(training, Samples(views), schedule=schedule, seed=1, hardware=hardware, curves=curves, resume=resume, settings={})
        plain += seconds(plain_loop.step, PLAIN_STEPS)

    report("segmentation", settings.crop, schedule.batch_size, training, plain)


if __name__ == "__main__":
    main()
