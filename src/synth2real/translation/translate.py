"""Gives every frame of the source the target's look, at its own size."""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from rich.progress import track

from synth2real.frames import FRAMES_FILE, Frame, read_frames, write_frames, write_image
from synth2real.hardware import HardwareSettings
from synth2real.training import inference_device, resume_folder
from synth2real.translation.cyclegan import load_generators
from synth2real.translation.data import to_image, to_tensor
from synth2real.translation.generators import ResnetGenerator

_PIXELS_AT_ONCE = 2**21
"""Pixels that go through the generator at once: what a full-size Cityscapes frame has."""


@torch.inference_mode()
def translate_images(
    generator: ResnetGenerator, images: UInt8[np.ndarray, "batch height width 3"], device: torch.device
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Translates images of one size, each by itself: instance norm takes its statistics over the whole image.

    Args:
        generator: One direction of a trained translator, on ``device``.
        images: RGB, of any size from 8x8.
        device: Where to compute.
    """
    batch = torch.stack([to_tensor(image) for image in images]).to(device)
    return np.stack([to_image(translated) for translated in generator(batch)])


def _batches(frames: tuple[Frame, ...]) -> Iterator[list[Frame]]:
    """Neighbouring frames of one size. Which frames share a batch depends on the frame set alone, so bits do too."""
    batch: list[Frame] = []
    for frame in frames:
        limit = max(1, _PIXELS_AT_ONCE // (frame.height * frame.width))
        if batch and ((frame.height, frame.width) != (batch[0].height, batch[0].width) or len(batch) >= limit):
            yield batch
            batch = []
        batch.append(frame)
    yield batch


def translate_frames(source: Path, model: Path, out: Path, hardware: HardwareSettings) -> None:
    """Translates the split ``train`` of a frame set into one with images only, as PNG of each frame's own size.

    What is done is kept in a resume folder (see :func:`synth2real.training.resume_folder`), so an interrupted run goes on where
    it was; the images move to ``out`` once all are there, and ``frames.csv`` comes last.

    Args:
        source: Frame set with the source's images.
        model: A translator's model file.
        out: Where the frame set is written.
        hardware: What to run on.

    Raises:
        FrameError: If the frame set is unfinished or an image is damaged.
        ModelFileError: If the model is missing or no translator.
    """
    frames = read_frames(source).split("train")
    device = inference_device(hardware)
    generator = load_generators(model, device).to_target
    unfinished = resume_folder("translate", hardware.accelerator, [source, model])

    def path(frame: Frame) -> Path:
        return unfinished / f"{frame.frame_id}.png"

    writes: list[Future[None]] = []
    batches = list(_batches(frames.frames))
    with ThreadPoolExecutor() as pool:
        for batch in track(batches, "translate"):
            if all(path(frame).is_file() for frame in batch):
                continue
            images = np.stack(list(pool.map(frames.image, batch)))
            for frame, translated in zip(batch, translate_images(generator, images, device), strict=True):
                writes.append(pool.submit(write_image, path(frame), translated))
    for write in writes:
        write.result()

    (out / FRAMES_FILE).unlink(missing_ok=True)
    (out / "images").mkdir(parents=True, exist_ok=True)
    for frame in frames.frames:
        shutil.move(path(frame), out / "images" / path(frame).name)
    write_frames(out, frames.frames)
    shutil.rmtree(unfinished)
