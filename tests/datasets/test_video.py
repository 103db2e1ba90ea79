from pathlib import Path

import av
import numpy as np
import pytest

from synth2real.datasets.video import VideoSettings, list_videos, read_moments, sample_moments, video_duration
from synth2real.frames import FrameError

RATE, PICTURES = 10, 45


def write_video(path: Path, *, codec: str = "libx264", pictures: int = PICTURES) -> None:
    """The n-th picture is of grey value ``5 * n``; a key frame every 20 pictures, B-frames between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 20_000_000
        stream.codec_context.gop_size = 20
        for number in range(pictures):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def numbers_of(pictures: list[np.ndarray]) -> list[int]:
    return [round(float(picture.mean()) / 5) for picture in pictures]


@pytest.fixture(params=["drive.mp4", "drive.mkv", "drive.avi"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    write_video(path, codec="mpeg4" if path.suffix == ".avi" else "libx264")
    return path


def test_each_moment_is_the_picture_shown_then(video: Path) -> None:
    assert video_duration(video) == pytest.approx(PICTURES / RATE, abs=0.15)
    moments = [0.0, 0.1, 0.25, 1.0, 1.99, 2.0, 3.75, 4.4]
    assert numbers_of(list(read_moments(video, moments))) == [0, 1, 2, 10, 19, 20, 37, 44]


@pytest.mark.parametrize("first", [0.3, 1.9, 2.0, 2.1, 3.9, 4.2])
def test_beginning_anywhere_gives_the_same_pictures(video: Path, first: float) -> None:
    moments = [moment / 10 for moment in range(45) if moment / 10 >= first]
    assert numbers_of(list(read_moments(video, moments))) == [round(moment * 10) for moment in moments]


def test_moments_are_listed_by_rate_start_and_stop(tmp_path: Path) -> None:
    write_video(tmp_path / "day" / "one.mp4")
    write_video(tmp_path / "two.mp4", pictures=25)
    frames = list_videos(tmp_path, VideoSettings(rate=2.0, start=1.0, stop=3.0))
    assert [frame.frame_id for frame in frames] == [
        "day_one_00001000", "day_one_00001500", "day_one_00002000", "day_one_00002500",
        "two_00001000", "two_00001500", "two_00002000",
    ]  # fmt: skip
    assert {frame.split for frame in frames} == {"train"}
    assert len(list_videos(tmp_path / "two.mp4", VideoSettings(rate=10.0, start=0.0, stop=None))) == 25


def test_the_number_of_moments_does_not_hang_on_rounding() -> None:
    for rate in (0.1, 0.3, 1.0, 3.0, 29.97):
        moments = sample_moments(Path("a.mp4"), 20 / rate, VideoSettings(rate=rate, start=0.0, stop=None))
        assert len(moments) == 20


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0.0}, "rate must be"),
        ({"start": -1.0}, "start must be at least 0"),
        ({"start": 5.0, "stop": 5.0}, r"stop must be later than start \(5.0 s\)"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoSettings(rate=values.get("rate", 1.0), start=values.get("start", 0.0), stop=values.get("stop"))


def test_faults_are_named(tmp_path: Path) -> None:
    settings = VideoSettings(rate=1.0, start=60.0, stop=None)
    with pytest.raises(FrameError, match="expected videos"):
        list_videos(tmp_path, settings)
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(FrameError, match=r"text\.mp4: no video that can be read"):
        list_videos(tmp_path, settings)
    (tmp_path / "text.mp4").unlink()
    write_video(tmp_path / "short.mp4")
    with pytest.raises(FrameError, match=r"short\.mp4: lasts 4\.50 s, but `start` is 60\.0 s"):
        list_videos(tmp_path, settings)


def test_a_truncated_video_is_found(tmp_path: Path) -> None:
    path = tmp_path / "drive.mkv"
    write_video(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FrameError, match=r"drive\.mkv: "):
        list(read_moments(path, [moment / 10 for moment in range(45)]))
