"""Videos of any format that FFmpeg reads, sampled into frames without labels: unpaired input for the translation.

::

    <name>.mp4, .mkv, .avi, ...    one file, or a folder of such files at any depth

A frame is taken every ``1 / rate`` seconds: the one that a player shows at that moment. Its id is the path below the folder
without suffix, ``/`` written as ``_``, and the moment in milliseconds: ``drive_00012500``. All frames are ``train``. A rotation
that a phone wrote into the file's metadata is not applied.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from jaxtyping import UInt8

from synth2real.datasets.raw import WHOLE_SET, RawFrame, files_by_path, require_some
from synth2real.frames import FrameError

VIDEO_SUFFIXES: Final = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv")
MISSING_TAIL: Final = 1.0
"""Containers round their duration and count the sound: so many seconds may lack pictures at the end."""
_MOMENT_SLACK: Final = 1e-4
"""Seconds by which a time stamp may be late through rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Which moments of a video to take."""

    rate: float
    """Frames per second of video."""
    start: float
    """First moment, in seconds."""
    stop: float | None
    """Moments are before this second; ``None`` goes on to the end."""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1000:
            raise ValueError(f"rate must be in (0, 1000] frames per second, found {self.rate}")
        if self.start < 0:
            raise ValueError(f"start must be at least 0 seconds, found {self.start}")
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(f"stop must be later than start ({self.start} s), found {self.stop}")


def list_videos(root: Path, settings: VideoSettings) -> tuple[RawFrame, ...]:
    """Lists the moments to take; only the headers of the files are read.

    Args:
        root: A video file, or a folder of them.
        settings: Which moments.

    Raises:
        FrameError: If there is no video, or one is damaged, does not tell its duration, or is shorter than ``start``.
    """
    files = {root.stem: root} if root.is_file() else files_by_path(root, VIDEO_SUFFIXES)
    require_some(files, root, f"videos ({', '.join(VIDEO_SUFFIXES)})")
    return tuple(
        RawFrame(f"{name.replace('/', '_')}_{round(moment * 1000):08d}", WHOLE_SET, path, None, moment=moment)
        for name, path in files.items()
        for moment in sample_moments(path, video_duration(path), settings)
    )


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
    try:
        for time, frame in _frames_from(path, pending[0]):
            while pending and shown is not None and pending[0] < time - _MOMENT_SLACK:
                yield shown.to_ndarray(format="rgb24")
                pending.pop(0)
            if not pending:
                return
            if frame.is_corrupt:
                raise FrameError(f"{path}: the picture at {time:.2f} s is damaged. Download the file again.")
            shown, shown_at = frame, time
    except av.FFmpegError as error:
        raise FrameError(f"{path}: damaged after {max(shown_at, 0):.2f} s ({error}). Download the file again.") from None
    for moment in pending:
        if shown is None or moment > shown_at + MISSING_TAIL:
            raise FrameError(
                f"{path}: the last picture is at {max(shown_at, 0):.2f} s, though its header promises one at {moment:.2f} s. "
                "The file is truncated: download it again, or set `stop`."
            )
        yield shown.to_ndarray(format="rgb24")


def _frames_from(path: Path, moment: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Pictures and their seconds from the video's beginning, from a key frame at or before ``moment`` on."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        time_base = float(stream.time_base or 1 / av.time_base)
        first = stream.start_time or 0
        if moment > 0:
            container.seek(first + int(moment / time_base), stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None:
                yield (frame.pts - first) * time_base, frame
