"""Videos written picture by picture, and videos read whole at a constant rate.

Written is MP4 with H.264 (or MPEG-4 part 2, where FFmpeg was built without x264), ITU-R BT.709 at limited range, 4:2:0: what
browsers and players take. Memory holds a few pictures, never the video.
"""

import os
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from jaxtyping import UInt8

from synth2real.datasets.video import VideoSettings, sample_moments, video_duration
from synth2real.frames import FrameError, resize_image

_ENCODERS: Final = {
    "libx264": {"crf": "18", "preset": "medium"},
    "mpeg4": {"qmin": "2", "qmax": "4"},
}
"""Encoders by preference, each with a quality at which losses are hard to see."""
_BT709: Final = 1
"""Code of ITU-R BT.709's primaries, transfer and matrix in a stream's header (ITU-T H.273, tables 2 to 4)."""
_LARGEST_DENOMINATOR: Final = 1001
"""Of a rate: that of NTSC's 30000/1001; averages over a file's odd time stamps are rounded."""


class Sampling(NamedTuple):
    """Which pictures of a video to take, for :func:`synth2real.datasets.video.read_moments`."""

    rate: Fraction
    """Pictures a second: what a video made of them is to be played at."""
    moments: tuple[float, ...]
    """Seconds from the video's beginning."""


def sample_video(path: Path, *, rate: float | None = None, start: float = 0.0, stop: float | None = None) -> Sampling:
    """Moments at a constant rate, each amid a picture's time, so that time stamps rounded by the container skip and repeat none.

    Args:
        path: The video.
        rate: Pictures a second; None takes the video's own (the average, where it varies), hence every picture once.
        start: First second.
        stop: Pictures are before this second; None goes on to the end.

    Raises:
        FrameError: If the file is missing, damaged, without pictures, shorter than ``start``, or tells no duration or rate.
        ValueError: If rate, start or stop is out of range.
    """
    duration = video_duration(path)
    own = _own_rate(path)
    exact = (own if rate is None else Fraction(rate)).limit_denominator(_LARGEST_DENOMINATOR)
    settings = VideoSettings(rate=float(exact), start=start, stop=stop, duplicates=None, scenes=None)
    amid = replace(settings, start=start + 0.5 / float(max(exact, own)))
    return Sampling(exact, sample_moments(path, duration, amid))


def _own_rate(path: Path) -> Fraction:
    with av.open(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise FrameError(f"{path}: does not tell its pictures a second. Convert it: ffmpeg -i {path.name} -r 25 out.mp4")
    return rate


class VideoWriter:
    """Writes RGB pictures to an MP4 file; a context manager.

    The pictures go to a temporary name; the file appears, whole, when the ``with`` block ends without error. All pictures are of
    the first one's size; where a side is odd, its last row or column is repeated, as 4:2:0 wants even sides.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        """Nothing is opened yet.

        Args:
            path: The file, with the suffix ``.mp4``.
            rate: Pictures a second.
        """
        self.path, self.rate = path, rate
        self.count = 0
        """Pictures written so far."""
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._size = (0, 0)

    def __enter__(self) -> "VideoWriter":
        """Opens the temporary file.

        Raises:
            FrameError: If the folder cannot be made or written to, or FFmpeg has no encoder.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(self._temporary, "w", format="mp4", options={"movflags": "+faststart"})
        except (av.FFmpegError, OSError) as error:
            raise self._fault(error) from None
        return self

    def write(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Appends a picture.

        Args:
            image: RGB, of the first one's size.

        Raises:
            FrameError: If it cannot be encoded or written.
            ValueError: If it is of another size.
        """
        height, width = image.shape[:2]
        if not self.count:
            self._size = (height, width)
            self._stream = self._add_stream()
        if (height, width) != self._size:
            raise ValueError(f"{self.path}: expected pictures of {self._size} (height, width), got {(height, width)}")
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts, picture.time_base = self.count, 1 / self.rate
        try:
            self._container.mux(self._stream.encode(picture))
        except (av.FFmpegError, OSError) as error:
            raise self._fault(error) from None
        self.count += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the file and gives it its name; after an error, removes it.

        Raises:
            FrameError: If there was no picture, or the file could not be ended.
        """
        try:
            if kind is not None:
                with suppress(av.FFmpegError, OSError):
                    self._container.close()
                return
            if not self.count:
                self._container.close()
                raise FrameError(f"{self.path}: a video needs at least one picture.")
            try:
                self._container.mux(self._stream.encode())
                self._container.close()
                self._temporary.replace(self.path)
            except (av.FFmpegError, OSError) as failure:
                raise self._fault(failure) from None
        finally:
            self._temporary.unlink(missing_ok=True)

    def _add_stream(self) -> Any:
        for name, options in _ENCODERS.items():
            try:
                stream: Any = self._container.add_stream(name, rate=self.rate, options=options)
            except av.codec.codec.UnknownCodecError:
                continue
            stream.height, stream.width = (side + side % 2 for side in self._size)
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = ColorRange.MPEG
            return stream
        raise FrameError(f"{self.path}: FFmpeg has no encoder {' or '.join(_ENCODERS)}. Install PyAV's wheel: pip install av.")

    def _fault(self, error: Exception) -> FrameError:
        return FrameError(f"{self.path}: could not write the video ({error}). Make room or rights, run again.")


def side_by_side(
    left: UInt8[np.ndarray, "height _ 3"], *others: UInt8[np.ndarray, "_ _ 3"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures beside each other; each of the others is resized to the first one's height, in its own shape."""
    height = left.shape[0]
    return np.hstack(
        [left, *(resize_image(other, (height, round(other.shape[1] * height / other.shape[0]))) for other in others)]
    )
