"""Gives every frame of the source the target's colours or coarse look without training: what a trained translator must beat."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8

from synth2real.frames import Frame, FrameSet, map_frames, read_frames, resize_image, write_frames, write_image
from synth2real.translation.colour_statistics import (
    ColourStatistics,
    colour_statistics,
    pooled,
    to_lab,
    to_rgb,
    transfer_colours,
)
from synth2real.translation.fda import swap_low_frequencies

Method = Literal["fda", "colour_statistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FdaSettings:
    """The section ``restyle.fda`` of params.yaml."""

    beta: float
    """Share of the spectrum whose amplitudes become the target's; see :mod:`synth2real.translation.fda`."""

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 0.5:
            raise ValueError(f"beta must be in 0..0.5, got {self.beta}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourStatisticsSettings:
    """The section ``restyle.colour_statistics`` of params.yaml."""

    reference: Literal["frame", "set"]
    """Whose statistics each source frame gets: those of its partner in the target, or of all the target's training frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestyleSettings:
    """The section ``restyle`` of params.yaml."""

    methods: tuple[Method, ...]
    """Which methods are rows of the experiment."""
    seed: int
    """Chooses the target frame that each source frame is paired with."""
    fda: FdaSettings
    colour_statistics: ColourStatisticsSettings


class _Job(NamedTuple):
    """A source frame and its partner in the target."""

    source: Frame
    target: Frame


def pairs(source: FrameSet, target: FrameSet, seed: int) -> list[_Job]:
    """Each source frame with a target frame; the i-th choice depends on ``(seed, i)`` and the number of target frames alone."""
    chosen = [int(np.random.default_rng((seed, index)).integers(len(target))) for index in range(len(source))]
    return [_Job(frame, target.frames[partner]) for frame, partner in zip(source.frames, chosen, strict=True)]


def with_coarse_look(
    image: UInt8[np.ndarray, "height width 3"], look: UInt8[np.ndarray, "_ _ 3"], settings: FdaSettings
) -> UInt8[np.ndarray, "height width 3"]:
    """Fourier domain adaptation of RGB images; the look is resized to the image first, and values beyond 0..255 are clipped."""
    resized = resize_image(look, (image.shape[0], image.shape[1]))
    swapped = swap_low_frequencies(image.astype(np.float32), resized.astype(np.float32), settings.beta)
    return swapped.round().clip(0, 255).astype(np.uint8)


def with_colours(image: UInt8[np.ndarray, "height width 3"], target: ColourStatistics) -> UInt8[np.ndarray, "height width 3"]:
    """The image with these means and standard deviations in CIE L*a*b*, but for colours that sRGB does not have."""
    lab = to_lab(image)
    return to_rgb(transfer_colours(lab, colour_statistics(lab), target))


def restyle_frames(source: Path, target: Path, out: Path, method: Method, settings: RestyleSettings, *, workers: int) -> None:
    """Writes the split ``train`` of the source, restyled, as a frame set with images only: PNG of each frame's own size.

    Args:
        source: Frame set with the source's images.
        target: Frame set with the target's images, of which the split ``train`` is used.
        out: Where the frame set is written.
        method: ``fda`` or ``colour_statistics``.
        settings: The section ``restyle``.
        workers: Processes.

    Raises:
        FrameError: If a frame set is unfinished or has no training frame, or an image is damaged.
    """
    frames, looks = read_frames(source).split("train"), read_frames(target).split("train")
    of_set = None
    if method == "colour_statistics" and settings.colour_statistics.reference == "set":
        measure = partial(_statistics_of, frames=looks)
        of_set = pooled(list(map_frames(measure, looks.frames, workers=workers, description="Colours of the target")))
    work = partial(_restyle_frame, source=frames, target=looks, out=out, method=method, settings=settings, of_set=of_set)
    for _ in map_frames(work, pairs(frames, looks, settings.seed), workers=workers, description=f"Restyling by {method}"):
        pass
    write_frames(out, frames.frames)


def _statistics_of(frame: Frame, frames: FrameSet) -> ColourStatistics:
    return colour_statistics(to_lab(frames.image(frame)))


def _restyle_frame(
    job: _Job,
    source: FrameSet,
    target: FrameSet,
    out: Path,
    method: Method,
    settings: RestyleSettings,
    of_set: ColourStatistics | None,
) -> None:
    image = source.image(job.source)
    if method == "fda":
        restyled = with_coarse_look(image, target.image(job.target), settings.fda)
    else:
        restyled = with_colours(image, of_set or _statistics_of(job.target, target))
    write_image(out / "images" / f"{job.source.frame_id}.png", restyled)
