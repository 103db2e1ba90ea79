"""Gives every frame of the source the target's look, at its own size."""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from rich.progress import track
from torch import Tensor

from synth2real.frames import FRAMES_FILE, Frame, FrameError, read_frames, resize_image, write_frames, write_image
from synth2real.hardware import HardwareSettings
from synth2real.models import inference_device
from synth2real.resuming import resume_folder
from synth2real.translation.data import to_image, to_tensor
from synth2real.translation.generators import Generator, load_generators

_PIXELS_AT_ONCE = 2**21
"""Pixels that go through the generator at once: what a full-size Cityscapes frame has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateSettings:
    """The section ``translate`` of params.yaml."""

    size: tuple[int, int] | None
    """(height, width) at which frames are translated; the result is resized back. Null translates each at its own size."""
    tile: tuple[int, int]
    """(height, width): the bound on memory. Larger images are translated in overlapping tiles of at most this size."""
    overlap: int
    """Pixels that neighbouring tiles share, in which one is blended linearly into the other. Where no tile's edge is in reach of
    the convolutions (18 + 8 blocks pixels for the ResNet), tiles differ from the whole image's translation by instance norm
    alone, whose statistics are then a tile's."""

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 8:
            raise ValueError(f"size must be at least 8x8 (height x width), got {self.size[0]}x{self.size[1]}")
        if not 0 <= self.overlap <= min(self.tile) // 2:
            raise ValueError(f"overlap must be in [0, half of tile's shorter side], got {self.overlap} for {self.tile}")


class TilesTooSmallError(RuntimeError):
    """The section ``translate`` asks for tiles that the translator cannot take."""


def tile_spans(length: int, tile: int, overlap: int, stride: int) -> list[tuple[int, int]]:
    """First and one past the last pixel of the fewest tiles that cover a side, evenly long.

    Tiles begin at multiples of ``stride``, so that a generator's grid of deep features is that of the whole image.

    Args:
        length: Pixels of the side.
        tile: Most pixels of a tile.
        overlap: Least pixels that neighbours share.
        stride: See :attr:`synth2real.translation.generators.GeneratorSettings.stride`.

    Raises:
        TilesTooSmallError: If a tile has no room for more than its overlap.
    """
    if length <= tile:
        return [(0, length)]
    most = (tile - overlap) // stride * stride
    if most < 1:
        raise TilesTooSmallError(
            f"translate.tile must be at least {overlap + stride} pixels high and wide (translate.overlap and the generator's "
            f"stride of {stride}), got {tile}; raise it, or lower translate.overlap."
        )
    count = -(-(length - overlap) // most)
    step = -(-(length - overlap) // (count * stride)) * stride
    last = max(0, -(-(length - step - overlap) // stride) * stride)
    starts = sorted({min(start, last) for start in range(0, length - overlap, step)})
    return [(start, min(start + step + overlap, length)) for start in starts]


def _weights(span: tuple[int, int], length: int, overlap: int) -> Float[Tensor, " pixels"]:
    """1 inside a tile, falling linearly to its edges within the overlap, but not at the image's own edges."""
    start, stop = span
    inwards = torch.arange(stop - start) + 0.5
    ramp = torch.ones(stop - start)
    if start > 0:
        ramp = torch.minimum(ramp, inwards / max(overlap, 0.5))
    if stop < length:
        ramp = torch.minimum(ramp, inwards.flip(0) / max(overlap, 0.5))
    return ramp


def translate_tiles(
    generator: Generator, images: Float[Tensor, "batch 3 height width"], tile: tuple[int, int], overlap: int
) -> Float[Tensor, "batch 3 height width"]:
    """Translates images in overlapping tiles that are blended linearly; as a whole where they are no larger than a tile.

    Args:
        generator: One direction of a trained translator.
        images: Values in [-1, 1], on the generator's device.
        tile: (height, width) of a tile at most.
        overlap: Pixels that neighbours share at least.
    """
    height, width = images.shape[-2:]
    rows, columns = (
        tile_spans(length, most, overlap, generator.settings.stride) for length, most in zip((height, width), tile, strict=True)
    )
    if len(rows) == len(columns) == 1:
        translated: Tensor = generator(images)
        return translated
    blended, total = torch.zeros_like(images), images.new_zeros(height, width)
    for top, bottom in rows:
        for left, right in columns:
            weights = torch.outer(_weights((top, bottom), height, overlap), _weights((left, right), width, overlap))
            weights = weights.to(images)
            blended[..., top:bottom, left:right] += weights * generator(images[..., top:bottom, left:right])
            total[top:bottom, left:right] += weights
    return blended / total


@torch.inference_mode()
def translate_images(
    generator: Generator,
    images: UInt8[np.ndarray, "batch height width 3"],
    device: torch.device,
    settings: TranslateSettings | None = None,
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Translates images of one size, each by itself: instance norm takes its statistics over the whole image (or tile).

    Args:
        generator: One direction of a trained translator, on ``device``.
        images: RGB, of any size that the generator takes.
        device: Where to compute.
        settings: Size and tiles; None translates whole images at their own size.
    """
    own = images.shape[1:3]
    size = settings.size if settings and settings.size else own
    batch = torch.stack([to_tensor(resize_image(image, size)) for image in images]).to(device)
    translated = translate_tiles(generator, batch, settings.tile, settings.overlap) if settings else generator(batch)
    return np.stack([resize_image(to_image(image), own) for image in translated])


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


def translate_frames(source: Path, model: Path, out: Path, settings: TranslateSettings, hardware: HardwareSettings) -> None:
    """Translates the split ``train`` of a frame set into one with images only, as PNG of each frame's own size.

    What is done is kept in a resume folder (see :func:`synth2real.resuming.resume_folder`), so an interrupted run goes on where
    it was; the images move to ``out`` once all are there, and ``frames.csv`` comes last.

    Args:
        source: Frame set with the source's images.
        model: A translator's model file.
        out: Where the frame set is written.
        settings: Size and tiles.
        hardware: What to run on.

    Raises:
        FrameError: If the frame set is unfinished, or an image is damaged or too small for the translator.
        ModelFileError: If the model is missing or no translator.
        TilesTooSmallError: If frames are larger than a tile, and a tile is too small for the translator.
    """
    frames = read_frames(source).split("train")
    device = inference_device(hardware)
    generator = load_generators(model, device).to_target
    for frame in frames.frames:
        height, width = settings.size or (frame.height, frame.width)
        if min(height, width) < generator.settings.minimum_size:
            raise FrameError(
                f"{frames.image_path(frame)}: is translated at {height}x{width} (height x width), but the translator takes sides "
                f"of at least {generator.settings.minimum_size} pixels. Set translate.size."
            )
    unfinished = resume_folder("translate", (settings, hardware.accelerator), [source, model])

    def path(frame: Frame) -> Path:
        return unfinished / f"{frame.frame_id}.png"

    writes: list[Future[None]] = []
    batches = list(_batches(frames.frames))
    with ThreadPoolExecutor() as pool:
        for batch in track(batches, "translate"):
            if all(path(frame).is_file() for frame in batch):
                continue
            images = np.stack(list(pool.map(frames.image, batch)))
            for frame, translated in zip(batch, translate_images(generator, images, device, settings), strict=True):
                writes.append(pool.submit(write_image, path(frame), translated))
    for write in writes:
        write.result()

    (out / FRAMES_FILE).unlink(missing_ok=True)
    (out / "images").mkdir(parents=True, exist_ok=True)
    for frame in frames.frames:
        shutil.move(path(frame), out / "images" / path(frame).name)
    write_frames(out, frames.frames)
    shutil.rmtree(unfinished)
