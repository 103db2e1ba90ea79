"""Videos of any format that FFmpeg reads, sampled into frames without labels: unpaired input for the translation.

::

    <name>.mp4, .mkv, .avi, ...    one file, or a folder of such files at any depth

A frame is taken every ``1 / rate`` seconds: the one that a player shows at that moment. Its id is the path below the folder
without suffix, ``/`` written as ``_``, and the moment in milliseconds: ``drive_00012500``. All frames are ``train``. A rotation
that a phone wrote into the file's metadata is not applied.

Two filters, off by default, look through the whole video first: duplicates, as of a recording that was paused or a car that
waits, and short scenes, as flashes, menus and pictures blended across a cut. What they leave out stands in the log with its
reason.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from jaxtyping import UInt8
from rich.progress import track

from synth2real.datasets.raw import WHOLE_SET, RawFrame, files_by_path, require_some
from synth2real.frames import FrameError

VIDEO_SUFFIXES: Final = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv")
MISSING_TAIL: Final = 1.0
"""Containers round their duration and count the sound: so many seconds may lack pictures at the end."""
_MOMENT_SLACK: Final = 1e-4
"""Seconds by which a time stamp may be late through rounding."""
_COMPARED_WIDTH: Final = 128
"""Pixels of the width to which pictures are reduced before they are compared: noise and compression count less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSettings:
    """Which scenes of a video to take. A scene goes from a cut to the next."""

    threshold: float
    """A cut lies before a picture whose :func:`content_change` is above it, in (0, 255); 27 is PySceneDetect's."""
    shortest: float
    """Scenes of fewer seconds are left out; 0 takes all."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 255:
            raise ValueError(f"threshold must be in (0, 255), found {self.threshold}")
        if self.shortest < 0:
            raise ValueError(f"shortest must be at least 0 seconds, found {self.shortest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Which moments of a video to take."""

    rate: float
    """Frames per second of video."""
    start: float
    """First moment, in seconds."""
    stop: float | None
    """Moments are before this second; ``None`` goes on to the end."""
    duplicates: float | None
    """A frame is left out where its mean absolute difference from the last one that was no duplicate is below so many grey levels
    of 255, both reduced to a width of 128 pixels; ``None`` takes all."""
    scenes: SceneSettings | None
    """Leaves out short scenes; ``None`` takes all."""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1000:
            raise ValueError(f"rate must be in (0, 1000] frames per second, found {self.rate}")
        if self.start < 0:
            raise ValueError(f"start must be at least 0 seconds, found {self.start}")
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(f"stop must be later than start ({self.start} s), found {self.stop}")
        if self.duplicates is not None and not 0 < self.duplicates < 255:
            raise ValueError(f"duplicates must be in (0, 255) grey levels, or null, found {self.duplicates}")


def list_videos(root: Path, settings: VideoSettings) -> tuple[RawFrame, ...]:
    """Lists the moments to take; without filters, only the headers of the files are read.

    Args:
        root: A video file, or a folder of them.
        settings: Which moments.

    Returns:
        All sampled moments; those that a filter leaves out are ``excluded``, with the reason.

    Raises:
        FrameError: If there is no video, one is damaged, does not tell its duration, or is shorter than ``start``, or nothing is
            left.
    """
    files = {root.stem: root} if root.is_file() else files_by_path(root, VIDEO_SUFFIXES)
    require_some(files, root, f"videos ({', '.join(VIDEO_SUFFIXES)})")
    frames: list[RawFrame] = []
    for name, path in files.items():
        end = min(video_duration(path), settings.stop or math.inf)
        moments = sample_moments(path, end, settings)
        unfiltered = settings.duplicates is None and settings.scenes is None
        reasons = [""] * len(moments) if unfiltered else reasons_to_exclude(path, moments, end, settings)
        frames.extend(
            RawFrame(f"{name.replace('/', '_')}_{round(moment * 1000):08d}", WHOLE_SET, path, None, reason, moment)
            for moment, reason in zip(moments, reasons, strict=True)
        )
    if all(frame.excluded for frame in frames):
        raise FrameError(
            f"{root}: the filters leave none of {len(frames)} frames, the first as it {frames[0].excluded}. "
            "Lower `video.duplicates` or `video.scenes.shortest`, or set them to null."
        )
    return tuple(frames)


def content_change(before: UInt8[np.ndarray, "height width 3"], after: UInt8[np.ndarray, "height width 3"]) -> float:
    """How much a picture differs from the one before, from 0 to 255: what PySceneDetect's ``ContentDetector`` compares.

    The mean over pixels and over hue, saturation and value of the absolute difference, with OpenCV's scales (hue 0..179, the
    others 0..255; hue is not taken round the circle) and that detector's default weights.

    Args:
        before: RGB.
        after: RGB, of the same size.
    """
    one, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2HSV) for picture in (before, after))
    return float(cv2.absdiff(one, other).mean())


def reasons_to_exclude(path: Path, moments: Sequence[float], end: float, settings: VideoSettings) -> list[str]:
    """Why each moment is left out, as the end of a sentence; empty for those that are taken. Decodes the video once.

    A scene that ``start`` or ``stop`` cuts is as long as what lies between them. Memory holds three small pictures.

    Args:
        path: The video.
        moments: Seconds from the video's beginning, ascending.
        end: Where the last scene ends, in seconds.
        settings: Thresholds.

    Raises:
        FrameError: If the file is damaged.
    """
    cuts: list[float] = []
    watched = _watch(path, moments, end, settings, cuts)
    differences = list(track(watched, f"Look through {path.name}", total=len(moments)))
    borders = [moments[0], *cuts, end]
    reasons = []
    for moment, difference in zip(moments, differences, strict=True):
        scene = bisect_right(borders, moment + _MOMENT_SLACK, hi=len(borders) - 1)
        length = borders[scene] - borders[scene - 1]
        if settings.scenes is not None and length < settings.scenes.shortest - _MOMENT_SLACK:
            reasons.append(f"lies in a scene of {length:.2f} s")
        elif settings.duplicates is not None and difference < settings.duplicates:
            reasons.append(f"differs by {difference:.2f} grey levels from the frame that it repeats")
        else:
            reasons.append("")
    return reasons


def _watch(path: Path, moments: Sequence[float], end: float, settings: VideoSettings, cuts: list[float]) -> Iterator[float]:
    """Each moment's mean absolute difference from the last moment that was no duplicate; ``cuts`` gets the scenes' beginnings."""
    pending = list(moments)
    shown: np.ndarray | None = None
    unrepeated: np.ndarray | None = None

    def difference() -> float:
        nonlocal unrepeated
        if shown is None:
            return math.inf  # the file has no picture; reading it tells
        found = math.inf if unrepeated is None else float(cv2.absdiff(shown, unrepeated).mean())
        if settings.duplicates is None or found >= settings.duplicates:
            unrepeated = shown
        return found

    for time, frame in _frames_from(path, moments[0], threads=True):
        while pending and shown is not None and pending[0] < time - _MOMENT_SLACK:
            yield difference()
            pending.pop(0)
        if time >= end or not (pending or settings.scenes):
            break
        picture = _reduced(frame)
        if shown is not None and settings.scenes and time > moments[0]:
            change = content_change(shown, picture)
            cuts.extend([time] if change > settings.scenes.threshold else [])
        shown = picture
    for _ in pending:
        yield difference()


def _reduced(frame: av.VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
    height = max(1, round(frame.height * _COMPARED_WIDTH / frame.width))
    small = frame.reformat(width=_COMPARED_WIDTH, height=height, format="rgb24", interpolation="AREA")
    return small.to_ndarray()


def sample_moments(path: Path, duration: float, settings: VideoSettings) -> tuple[float, ...]:
    """``start``, ``start + 1 / rate``, ... up to ``stop`` or the duration, whichever comes first.

    Args:
        path: The file, for messages.
        duration: Its length in seconds.
        settings: Rate, start and stop.

    Raises:
        FrameError: If the video ends before ``start``.
    """
    stop = duration if settings.stop is None else min(settings.stop, duration)
    count = math.ceil((stop - settings.start) * settings.rate - _MOMENT_SLACK)
    if count < 1:
        raise FrameError(f"{path}: lasts {duration:.2f} s, but `start` is {settings.start} s. Choose an earlier start.")
    return tuple(settings.start + index / settings.rate for index in range(count))


def video_duration(path: Path) -> float:
    """Seconds from the first to the end of the last picture, as the file's header says.

    Raises:
        FrameError: If the file is missing, damaged, without pictures, or does not tell its duration.
    """
    try:
        with av.open(path) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise FrameError(f"{path}: has no video stream.")
            if stream.duration is not None and stream.time_base is not None:
                return float(stream.duration * stream.time_base)
            if container.duration is not None:
                return container.duration / av.time_base
    except (av.FFmpegError, OSError) as error:
        raise FrameError(f"{path}: no video that can be read ({error}). Download it again, or convert it to MP4.") from None
    raise FrameError(f"{path}: does not tell its duration. Put it into another container: ffmpeg -i {path.name} -c copy out.mkv")


def read_moments(path: Path, moments: Sequence[float]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The RGB pictures that a player shows at some moments; decoding begins at the key frame before the first.

    Args:
        path: The video.
        moments: Seconds from the video's beginning, ascending.

    Raises:
        FrameError: If the file is damaged, or ends more than a second before a moment.
    """
    pending = list(moments)
    shown: av.VideoFrame | None = None
    shown_at = -math.inf
    for time, frame in _frames_from(path, pending[0]):
        while pending and shown is not None and pending[0] < time - _MOMENT_SLACK:
            yield shown.to_ndarray(format="rgb24")
            pending.pop(0)
        if not pending:
            return
        if frame.is_corrupt:
            raise FrameError(f"{path}: the picture at {time:.2f} s is damaged. Download the file again.")
        shown, shown_at = frame, time
    for moment in pending:
        if shown is None or moment > shown_at + MISSING_TAIL:
            raise FrameError(
                f"{path}: the last picture is at {max(shown_at, 0):.2f} s, though its header promises one at {moment:.2f} s. "
                "The file is truncated: download it again, or set `stop`."
            )
        yield shown.to_ndarray(format="rgb24")


def _frames_from(path: Path, moment: float, *, threads: bool = False) -> Iterator[tuple[float, av.VideoFrame]]:
    """Pictures and their seconds from the video's beginning, from a key frame at or before ``moment`` on."""
    time = 0.0
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO" if threads else "NONE"
            time_base = float(stream.time_base or 1 / av.time_base)
            first = stream.start_time or 0
            if moment > 0:
                container.seek(first + int(moment / time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.pts is not None:
                    time = (frame.pts - first) * time_base
                    yield time, frame
    except av.FFmpegError as error:
        raise FrameError(f"{path}: damaged after {time:.2f} s ({error}). Download the file again.") from None
