from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from synth2real import video
from synth2real.datasets.video import read_moments
from synth2real.frames import FrameError
from synth2real.video import VideoWriter, sample_video, side_by_side

COLOURS = [
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
    (200, 120, 40),
    (30, 60, 90),
    (250, 250, 0),
    (9, 9, 9),
]


def plain(colour: tuple[int, int, int] | int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def write(path: Path, *images: np.ndarray, rate: Fraction = Fraction(10), then: Exception | None = None) -> Path:
    with VideoWriter(path, rate) as writer:
        for image in images:
            writer.write(image)
        if then:
            raise then
    return path


def counted(path: Path, pictures: int, rate: Fraction = Fraction(10)) -> Path:
    """A video whose n-th picture is of grey value ``5 * n``."""
    return write(path, *(plain(5 * number) for number in range(pictures)), rate=rate)


def numbers(path: Path, moments: tuple[float, ...]) -> list[int]:
    return [round(float(picture.mean()) / 5) for picture in read_moments(path, moments)]


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (31, 45), (1, 1)])
def test_what_is_written_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str, height: int, width: int
) -> None:
    monkeypatch.setattr(video, "_ENCODERS", {"no such encoder": {}, encoder: video._ENCODERS[encoder]})
    path = tmp_path / "new" / "colours.mp4"
    with VideoWriter(path, Fraction(30000, 1001)) as writer:
        for colour in COLOURS:
            writer.write(plain(colour, height, width))
            assert not path.exists()
    assert [item.name for item in path.parent.iterdir()] == ["colours.mp4"]
    sampling = sample_video(path)
    assert sampling.rate == Fraction(30000, 1001)
    read = list(read_moments(path, sampling.moments))
    assert len(read) == len(COLOURS)
    for picture, colour in zip(read, COLOURS, strict=True):
        assert picture.shape == (height + height % 2, width + width % 2, 3)
        np.testing.assert_allclose(picture, np.broadcast_to(np.array(colour), picture.shape), atol=6)


def test_an_odd_side_repeats_its_last_line(tmp_path: Path) -> None:
    image = (
        np.random.default_rng(0).integers(90, 160, (3, 5, 1)).astype(np.uint8).repeat(16, 0).repeat(16, 1).repeat(3, 2)[:-1, :-1]
    )
    path = write(tmp_path / "odd.mp4", image)
    (read,) = read_moments(path, sample_video(path).moments)
    expected = np.concatenate([image, image[-1:]])
    np.testing.assert_allclose(read.astype(int), np.concatenate([expected, expected[:, -1:]], 1).astype(int), atol=12)


def test_players_are_told_the_colour_space(tmp_path: Path) -> None:
    with av.open(counted(tmp_path / "a.mp4", 2)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert [int(value) for value in (context.colorspace, context.color_primaries, context.color_trc)] == [1, 1, 1]
        assert int(context.color_range) == 1


@pytest.mark.parametrize(
    "rate", [Fraction(10), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001)]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_at_its_own_rate_a_video_gives_each_picture_once(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    """Matroska rounds time stamps to milliseconds."""
    path = counted(tmp_path / "a.mp4", 40, rate)
    if suffix == ".mkv":
        with av.open(path) as source, av.open(tmp_path / "a.mkv", "w") as copy:
            stream = copy.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    copy.mux(packet)
    path = path.with_suffix(suffix)
    sampling = sample_video(path)
    assert float(sampling.rate) == pytest.approx(float(rate), rel=0.01)
    assert numbers(path, sampling.moments) == list(range(40))


def test_rate_start_and_stop_choose_pictures(tmp_path: Path) -> None:
    path = counted(tmp_path / "a.mp4", 40)
    sampling = sample_video(path, rate=5.0, start=1.0, stop=2.0)
    assert sampling.rate == 5
    assert numbers(path, sampling.moments) == [10, 12, 14, 16, 18]
    assert numbers(path, sample_video(path, rate=0.1).moments) == [0]
    assert numbers(path, sample_video(path, rate=20.0, start=3.8).moments) == [38, 38, 39, 39]
    with pytest.raises(FrameError, match=r"a\.mp4: lasts 4\.00 s, but `start` is 5"):
        sample_video(path, start=5.0)
    with pytest.raises(ValueError, match="rate must be in"):
        sample_video(path, rate=0.0)


def test_an_error_leaves_the_old_video(tmp_path: Path) -> None:
    path = counted(tmp_path / "a.mp4", 3)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="power cut"):
        write(path, plain(7), then=RuntimeError("power cut"))
    with pytest.raises(FrameError, match=r"a\.mp4: a video needs at least one picture"):
        write(path)
    with pytest.raises(ValueError, match=r"expected pictures of \(48, 64\) \(height, width\), got \(48, 66\)"):
        write(path, plain(7), plain(7, width=66))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.mp4"]


def test_faults_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FrameError, match=r"a\.mp4: could not write the video .*Make room or rights"):
        counted(tmp_path / "file" / "a.mp4", 1)
    monkeypatch.setattr(video, "_ENCODERS", {"no such encoder": {}})
    with pytest.raises(FrameError, match=r"a\.mp4: FFmpeg has no encoder no such encoder"):
        counted(tmp_path / "a.mp4", 1)
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(FrameError, match=r"a\.mp4: could not write the video .*No space left"):
        counted(tmp_path / "a.mp4", 2)
    assert not list(tmp_path.iterdir())


def test_pictures_are_put_side_by_side() -> None:
    joined = side_by_side(plain(10, 4, 6), plain(20, 4, 2), plain(30, 8, 6))
    assert joined.shape == (4, 11, 3)
    assert joined[:, :, 0].tolist() == [[10] * 6 + [20] * 2 + [30] * 3] * 4
