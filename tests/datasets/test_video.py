import colorsys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from synth2real.datasets.video import (
    SceneSettings,
    VideoSettings,
    content_change,
    list_videos,
    read_moments,
    sample_moments,
    video_duration,
)
from synth2real.frames import FrameError

RATE, PICTURES = 10, 45
EVERY = VideoSettings(rate=float(RATE), start=0.0, stop=None, duplicates=None, scenes=None)


def write_video(path: Path, *, codec: str = "libx264", pictures: int = PICTURES) -> None:
    """The n-th picture is of grey value ``5 * n``; a key frame every 20 pictures, B-frames between."""
    write_pictures(path, [np.full((48, 64, 3), 5 * number, np.uint8) for number in range(pictures)], codec=codec)


def write_pictures(path: Path, pictures: Sequence[np.ndarray], *, codec: str = "libx264") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 20_000_000
        stream.codec_context.gop_size = 20
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
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
    frames = list_videos(tmp_path, replace(EVERY, rate=2.0, start=1.0, stop=3.0))
    assert [frame.frame_id for frame in frames] == [
        "day_one_00001000", "day_one_00001500", "day_one_00002000", "day_one_00002500",
        "two_00001000", "two_00001500", "two_00002000",
    ]  # fmt: skip
    assert {frame.split for frame in frames} == {"train"}
    assert len(list_videos(tmp_path / "two.mp4", EVERY)) == 25


def test_the_number_of_moments_does_not_hang_on_rounding() -> None:
    for rate in (0.1, 0.3, 1.0, 3.0, 29.97):
        moments = sample_moments(Path("a.mp4"), 20 / rate, replace(EVERY, rate=rate))
        assert len(moments) == 20


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0.0}, "rate must be"),
        ({"start": -1.0}, "start must be at least 0"),
        ({"start": 5.0, "stop": 5.0}, r"stop must be later than start \(5.0 s\)"),
        ({"duplicates": 0.0}, r"duplicates must be in \(0, 255\)"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(EVERY, **values)


def test_faults_are_named(tmp_path: Path) -> None:
    settings = replace(EVERY, rate=1.0, start=60.0)
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


# --- Filters ---------------------------------------------------------------------------------------------------------


def street(seed: int, shift: int = 0) -> np.ndarray:
    """A coarse coloured pattern; ``shift`` moves it sideways by so many pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 24, 3), np.uint8)
    wide = np.repeat(np.repeat(coarse, 8, 0), 8, 1)
    return np.ascontiguousarray(wide[:, shift : shift + 64])


def test_short_scenes_and_duplicates_are_left_out_with_their_reason(tmp_path: Path) -> None:
    drive = [street(1, shift) for shift in range(15)]  # 0.0 to 1.5 s
    flash = [street(2), street(3)]  # two pictures, as blended across a cut
    waiting = [street(4)] * 10  # 1.7 to 2.7 s
    pictures = [*drive, *flash, *waiting, *(street(4, shift) for shift in range(2, 10))]
    write_pictures(tmp_path / "drive.mp4", pictures)
    filtered = replace(EVERY, duplicates=2.0, scenes=SceneSettings(threshold=27.0, shortest=0.5))
    excluded = {frame.frame_id: frame.excluded for frame in list_videos(tmp_path, filtered) if frame.excluded}
    assert list(excluded) == [f"drive_{moment:08d}" for moment in (1500, 1600, *range(1800, 2700, 100))]
    assert excluded["drive_00001500"] == excluded["drive_00001600"] == "lies in a scene of 0.10 s"
    assert "grey levels from the frame that it repeats" in excluded["drive_00001800"]
    assert not [frame for frame in list_videos(tmp_path, EVERY) if frame.excluded]


@pytest.mark.parametrize("rate", [2.0, 5.0])
def test_cuts_are_found_among_all_pictures_at_any_rate(tmp_path: Path, rate: float) -> None:
    """At two frames a second a drive changes more from frame to frame than at a cut from picture to picture."""
    write_pictures(tmp_path / "drive.mp4", [*(street(1, 2 * shift) for shift in range(30)), *[street(2)] * 4, *[street(3)] * 10])
    filtered = replace(EVERY, rate=rate, scenes=SceneSettings(threshold=27.0, shortest=0.5))
    excluded = [frame.moment for frame in list_videos(tmp_path, filtered) if frame.excluded]
    assert excluded == [moment / rate for moment in range(30) if 3.0 <= moment / rate < 3.4]


def test_stop_ends_the_last_scene_and_start_begins_the_first(tmp_path: Path) -> None:
    write_pictures(tmp_path / "drive.mp4", [*[street(1)] * 10, *[street(2)] * 20, *[street(3)] * 10])
    filtered = replace(EVERY, start=0.7, stop=3.2, scenes=SceneSettings(threshold=27.0, shortest=0.5))
    frames = list_videos(tmp_path, filtered)
    assert [round(frame.moment, 1) for frame in frames if frame.excluded] == [0.7, 0.8, 0.9, 3.0, 3.1]


def test_a_slow_change_is_no_duplicate_for_ever(tmp_path: Path) -> None:
    """Each picture differs by five grey levels from the one before: every third one is ten or more from the last one kept."""
    write_video(tmp_path / "fade.mp4")
    frames = list_videos(tmp_path, replace(EVERY, duplicates=7.5))
    assert [frame.moment for frame in frames if not frame.excluded] == [index / 5 for index in range(23)]


def test_content_change_is_the_mean_difference_of_hue_saturation_and_value() -> None:
    one, other = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)

    def hsv(picture: np.ndarray) -> np.ndarray:
        values = [colorsys.rgb_to_hsv(*pixel) for pixel in picture.reshape(-1, 3) / 255]
        return np.array([(hue * 180 % 180, saturation * 255, value * 255) for hue, saturation, value in values])

    assert content_change(one, other) == pytest.approx(np.abs(hsv(one) - hsv(other)).mean(), abs=0.5)
    assert content_change(one, one) == 0


def test_filters_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "drive.mp4")
    filtered = replace(EVERY, scenes=SceneSettings(threshold=27.0, shortest=60.0))
    with pytest.raises(FrameError, match=r"leave none of 45 frames.*scene of 4\.50 s.*Lower"):
        list_videos(tmp_path, filtered)


@pytest.mark.parametrize(("threshold", "shortest"), [(0.0, 1.0), (255.0, 1.0), (27.0, -1.0)])
def test_scene_settings_out_of_range_are_refused(threshold: float, shortest: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        SceneSettings(threshold=threshold, shortest=shortest)
