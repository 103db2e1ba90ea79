import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from synth2real.datasets.preparation import (
    LOG_FILE,
    PreparationSettings,
    choose,
    cut_clips,
    prepare,
    resize_annotation,
    write_prepared_image,
)
from synth2real.datasets.raw import Annotation, RawFrame
from synth2real.datasets.video import VideoSettings
from synth2real.frames import FRAMES_FILE, FrameError, read_frames, read_image, write_instances, write_label

HEIGHT, WIDTH = 12, 20
ROOT = Path(__file__).parents[2]


def settings_for(root: Path, dataset: str = "gta5", **changes: object) -> PreparationSettings:
    whole = PreparationSettings(
        dataset="gta5",
        root=str(root),
        splits=("train",),
        validation_fraction=0.0,
        size=None,
        limit=None,
        sampling="even",
        video=None,
    )
    return replace(whole, dataset=dataset, **changes)  # type: ignore[arg-type]


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def gta(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    for number in range(1, 9):
        save(raw / "images" / f"{number:05d}.png", noise(number))
        save(raw / "labels" / f"{number:05d}.png", np.full((HEIGHT, WIDTH), 7 + number, np.uint8))
    save(raw / "images" / "15188.png", noise(0, 5, 5))
    save(raw / "labels" / "15188.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    return raw


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    for split, city in (("train", "ulm"), ("val", "lindau")):
        for number in range(3):
            name = f"{city}_00000{number}_000019"
            save(raw / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", noise(number + 10 * (split == "val")))
            if split == "val":
                instances = np.full((HEIGHT, WIDTH), 26_000 + number, np.uint16)
                write_label(raw / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", np.full((HEIGHT, WIDTH), 26, np.uint8))
                write_instances(raw / "gtFine" / split / city / f"{name}_gtFine_instanceIds.png", instances)
    return raw


# --- Whole sets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_source_is_written_with_its_log(gta: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "out"
    prepare(settings_for(gta), out, None, needs="labels", workers=workers)
    frame_set = read_frames(out)
    assert [frame.frame_id for frame in frame_set.frames] == [f"{number:05d}" for number in range(1, 9)]
    for frame in frame_set.frames:
        assert frame_set.image_path(frame).read_bytes() == (gta / "images" / f"{frame.frame_id}.png").read_bytes()
        assert set(np.unique(frame_set.label(frame))) == {7 + int(frame.frame_id)}
    assert (out / LOG_FILE).read_text() == (
        "gta5: 9 frames in the raw data, 1 excluded, 8 taken (train 8)\n"
        "with labels: 8, with instances: 0\n"
        "excluded 15188: image and label differ in size in the original download\n"
    )


def test_a_target_keeps_its_labels_apart(cityscapes: Path, tmp_path: Path) -> None:
    out, annotations_out = tmp_path / "target", tmp_path / "annotations"
    prepare(settings_for(cityscapes, "cityscapes", splits=("train", "val")), out, annotations_out, needs="images", workers=1)
    assert sorted(path.name for path in out.iterdir()) == [FRAMES_FILE, "images", LOG_FILE]
    assert sorted(path.name for path in annotations_out.iterdir()) == [FRAMES_FILE, "instances", "labels"]
    images, annotations = read_frames(out), read_frames(annotations_out)
    assert len(images) == 6
    assert annotations.frames == images.split("val").frames
    assert [int(annotations.instances(frame)[0, 0]) for frame in annotations.frames] == [26_000, 26_001, 26_002]


def test_two_runs_give_equal_bytes(gta: Path, tmp_path: Path) -> None:
    chosen = settings_for(gta, size=(6, 10), validation_fraction=0.4, splits=("train", "val"), limit=2)
    for name, workers in (("one", 1), ("two", 2)):
        prepare(chosen, tmp_path / name, None, needs="labels", workers=workers)
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("one", "two")
    )
    assert first == second


def test_everything_is_resized(cityscapes: Path, tmp_path: Path) -> None:
    prepare(
        settings_for(cityscapes, "cityscapes", splits=("val",), size=(7, 9)), tmp_path / "out", None, needs="instances", workers=1
    )
    frame_set = read_frames(tmp_path / "out")
    for frame in frame_set.frames:
        assert (frame.height, frame.width) == (7, 9)
        assert frame_set.image(frame).shape == (7, 9, 3)
        assert frame_set.label(frame).shape == frame_set.instances(frame).shape == (7, 9)


def test_videos_are_written_as_frames(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    with av.open(raw / "drive.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for number in range(40):
            picture = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 6 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    every = VideoSettings(rate=10.0, start=0.0, stop=None, duplicates=None, scenes=None)
    chosen = settings_for(raw, "video", video=every, size=(8, 16))
    prepare(chosen, tmp_path / "out", None, needs="images", workers=2)
    frame_set = read_frames(tmp_path / "out")
    assert [frame.frame_id for frame in frame_set.frames] == [f"drive_{100 * number:08d}" for number in range(40)]
    assert [round(float(frame_set.image(frame).mean()) / 6) for frame in frame_set.frames] == list(range(40))
    with pytest.raises(FrameError, match="has no labels"):
        prepare(chosen, tmp_path / "labelled", None, needs="labels", workers=1)
    prepare(replace(chosen, video=replace(every, duplicates=9.5)), tmp_path / "fewer", None, needs="images", workers=1)
    assert len(read_frames(tmp_path / "fewer")) == 20
    log = (tmp_path / "fewer" / LOG_FILE).read_text()
    assert log.startswith("video: 40 frames in the raw data, 20 excluded, 20 taken (train 20)\n")
    assert "excluded drive_00000300: differs by 6.00 grey levels from the frame that it repeats\n" in log


def test_images_alone_leave_labels_untouched(gta: Path, tmp_path: Path) -> None:
    save(gta / "labels" / "00003.png", np.full((HEIGHT, WIDTH), 77, np.uint8))
    prepare(settings_for(gta), tmp_path / "out", None, needs="images", workers=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [FRAMES_FILE, "images", LOG_FILE]


# --- Which frames ----------------------------------------------------------------------------------------------------


def raw_frames(number: int, split: str = "train") -> list[RawFrame]:
    return [RawFrame(f"{index:05d}", split, Path(f"{index:05d}.png"), None) for index in range(number)]


@given(st.integers(1, 300), st.integers(1, 300))
@settings(deadline=None)
def test_a_limit_takes_evenly_spaced_frames(number: int, limit: int) -> None:
    chosen = choose(raw_frames(number), settings_for(Path(), limit=limit), 1)
    indices = [int(frame.frame_id) for frame in chosen]
    assert len(indices) == min(number, limit)
    steps = np.diff([*indices, number])
    assert steps.max() - steps.min() <= 1


def test_the_validation_part_is_the_end_of_each_folder() -> None:
    """Views of one scene follow one another, so that training and validation share at most the scene at the border."""
    frames = [
        frame._replace(frame_id=f"{folder}_{frame.frame_id}", image=Path(folder) / frame.image)
        for folder in ("multi_class", "single_class")
        for frame in raw_frames(20)
    ]
    chosen = choose(frames[::-1], settings_for(Path(), splits=("train", "val"), validation_fraction=0.2), 1)
    held_out = [frame.frame_id for frame in chosen if frame.split == "val"]
    assert held_out == [f"{folder}_{index:05d}" for folder in ("multi_class", "single_class") for index in range(16, 20)]


@given(st.integers(2, 300), st.floats(1e-9, 0.999))
@settings(deadline=None)
def test_a_validation_part_has_its_share_but_leaves_frames_on_both_sides(number: int, fraction: float) -> None:
    chosen = choose(raw_frames(number), settings_for(Path(), splits=("train", "val"), validation_fraction=fraction), 1)
    held_out = [frame.split for frame in chosen].count("val")
    assert 1 <= held_out < number
    assert abs(held_out - fraction * number) <= 1


def test_a_split_without_frames_is_named() -> None:
    with pytest.raises(
        FrameError, match=r"no frame of split 'val' in gta5; its frames are train, and val by validation_fraction"
    ):
        choose(raw_frames(5), settings_for(Path("raw"), splits=("train", "val")), 1)
    with pytest.raises(FrameError, match=r"no frame of split 'test' in camvid"):
        choose(raw_frames(5), settings_for(Path("raw"), "camvid", splits=("test",)), 1)


def test_clips_hold_each_moment_once_and_one_video_each() -> None:
    frames = [RawFrame(f"{path}{index}", "train", Path(path), None, moment=index / 2) for index in range(70) for path in "ab"]
    clips = cut_clips(frames)
    assert sorted(raw.frame_id for clip in clips for raw in clip) == sorted(raw.frame_id for raw in frames)
    assert all(len({raw.image for raw in clip}) == 1 for clip in clips)
    assert all(first.moment < second.moment for clip in clips for first, second in pairwise(clip))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": ()}, "at least one split"),
        ({"splits": ("train", "train")}, "none twice"),
        ({"validation_fraction": 1.0}, r"must be in \[0, 1\)"),
        ({"validation_fraction": 0.1, "dataset": "camvid"}, "camvid has its own splits"),
        ({"size": (0, 4)}, "size must be"),
        ({"limit": 0}, "limit must be"),
        ({"dataset": "video"}, "video must hold rate, start, stop, duplicates and scenes"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(settings_for(Path()), **changes)  # type: ignore[arg-type]


# --- Pixels ----------------------------------------------------------------------------------------------------------

maps = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(
    lambda size: hnp.arrays(np.uint8, size, elements=st.integers(0, 33))
)


@given(maps, st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None)
def test_resized_labels_and_instances_stay_in_step(label_ids: np.ndarray, height: int, width: int) -> None:
    found = resize_annotation(Annotation(label_ids, label_ids.astype(np.uint16) * 1000), (height, width))
    assert found.label_ids.shape == (height, width)
    assert found.instance_ids is not None
    assert np.array_equal(found.instance_ids, found.label_ids.astype(np.uint16) * 1000)
    assert set(np.unique(found.label_ids)) <= set(np.unique(label_ids))


@given(maps, st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None)
def test_resized_labels_are_those_of_pillow(label_ids: np.ndarray, height: int, width: int) -> None:
    """Pillow's nearest filter takes the pixel under the centre of the new one, as ours does."""
    reference = np.array(Image.fromarray(label_ids).resize((width, height), Image.Resampling.NEAREST))
    found = resize_annotation(Annotation(label_ids, None), (height, width)).label_ids
    rows = ((np.arange(height) + 0.5) * label_ids.shape[0] / height) % 1
    columns = ((np.arange(width) + 0.5) * label_ids.shape[1] / width) % 1
    clear = np.ix_(np.minimum(rows, 1 - rows) > 1e-6, np.minimum(columns, 1 - columns) > 1e-6)
    assert np.array_equal(found[clear], reference[clear])


def test_images_beyond_the_contract_are_decoded(tmp_path: Path) -> None:
    """Grey, alpha, 16 bits and turned by EXIF: what is written is what the reader of frame sets sees in the raw file."""
    cv2.imwrite(str(tmp_path / "grey.png"), noise(1)[..., 0])
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([noise(1), noise(2)[..., :1]]))
    cv2.imwrite(str(tmp_path / "deep.png"), noise(1).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise(1)).save(tmp_path / "turned.jpg", exif=exif)
    for name in ("grey.png", "alpha.png", "deep.png", "turned.jpg"):
        raw = tmp_path / name
        found = write_prepared_image(raw, tmp_path / "out" / raw.stem, None)
        written = tmp_path / "out" / f"{raw.stem}.png"
        with Image.open(written) as image:
            assert (image.mode, image.size) == ("RGB", (found[1], found[0]))
        assert np.array_equal(read_image(written), read_image(raw))
    assert read_image(tmp_path / "out" / "turned.png").shape == (WIDTH, HEIGHT, 3)


def test_jpegs_are_copied_or_decoded(tmp_path: Path) -> None:
    Image.fromarray(noise(1)).save(tmp_path / "a.JPEG")
    write_prepared_image(tmp_path / "a.JPEG", tmp_path / "same", (HEIGHT, WIDTH))
    assert (tmp_path / "same.jpg").read_bytes() == (tmp_path / "a.JPEG").read_bytes()
    assert write_prepared_image(tmp_path / "a.JPEG", tmp_path / "small", (3, 5)) == (HEIGHT, WIDTH)
    assert read_image(tmp_path / "small.png").shape == (3, 5, 3)


# --- Faults ----------------------------------------------------------------------------------------------------------


def assert_unfinished(out: Path) -> None:
    assert not (out / FRAMES_FILE).exists()
    with pytest.raises(FrameError, match="no finished frame set"):
        read_frames(out)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_truncated_image_is_named(gta: Path, tmp_path: Path, workers: int) -> None:
    path = gta / "images" / "00005.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FrameError, match=r"images/00005\.png: the file is truncated"):
        prepare(settings_for(gta), tmp_path / "out", None, needs="labels", workers=workers)
    assert_unfinished(tmp_path / "out")


def test_a_flipped_byte_is_found_though_the_image_is_only_copied(gta: Path, tmp_path: Path) -> None:
    path = gta / "images" / "00005.png"
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(FrameError, match=r"images/00005\.png: the file is damaged"):
        prepare(settings_for(gta), tmp_path / "out", None, needs="labels", workers=1)


def test_image_and_label_must_be_of_one_size(gta: Path, tmp_path: Path) -> None:
    save(gta / "labels" / "00003.png", np.zeros((HEIGHT, WIDTH + 2), np.uint8))
    with pytest.raises(FrameError, match=r"00003\.png: 12x20 .*, but its annotation has 12x22"):
        prepare(settings_for(gta), tmp_path / "out", None, needs="labels", workers=1)


def test_an_unknown_class_is_named(gta: Path, tmp_path: Path) -> None:
    save(gta / "labels" / "00003.png", np.full((HEIGHT, WIDTH), 77, np.uint8))
    with pytest.raises(FrameError, match=r"labels/00003\.png: unknown class ids 77 \(240 pixels\)"):
        prepare(settings_for(gta), tmp_path / "out", None, needs="labels", workers=1)
    assert_unfinished(tmp_path / "out")


def test_what_the_role_needs_must_be_there(cityscapes: Path, gta: Path, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"ulm_000000_000019.*: has no labels \(3 of 3 frames\)"):
        prepare(settings_for(cityscapes, "cityscapes"), tmp_path / "a", None, needs="labels", workers=1)
    with pytest.raises(FrameError, match="no frame of train has labels, so no result"):
        prepare(settings_for(cityscapes, "cityscapes"), tmp_path / "b", tmp_path / "c", needs="images", workers=1)
    with pytest.raises(FrameError, match=r"frame 00001 of gta5 has no instance ids .* which the detector needs"):
        prepare(settings_for(gta), tmp_path / "d", None, needs="instances", workers=1)
    assert_unfinished(tmp_path / "d")


def test_instance_ids_are_for_all_or_none(cityscapes: Path, tmp_path: Path) -> None:
    chosen = settings_for(cityscapes, "cityscapes", splits=("val",))
    maps = sorted((cityscapes / "gtFine").rglob("*_instanceIds.png"))
    maps[1].unlink()
    with pytest.raises(
        FrameError, match=r"frame lindau_000001_000019 .* \(1 of 3 labelled frames have none\), though the others do"
    ):
        prepare(chosen, tmp_path / "some", None, needs="labels", workers=1)
    for path in (maps[0], maps[2]):
        path.unlink()
    prepare(chosen, tmp_path / "none", None, needs="labels", workers=1)
    assert not (tmp_path / "none" / "instances").exists()


def test_two_files_with_one_id_are_named(tmp_path: Path) -> None:
    for name in ("a_b.png", "a/b.png"):
        save(tmp_path / "raw" / name, noise(1))
    with pytest.raises(FrameError, match=r"a/b\.png and .*a_b\.png both give frame id 'a_b'"):
        prepare(settings_for(tmp_path / "raw", "folder"), tmp_path / "out", None, needs="images", workers=1)


def test_wrong_folders_are_named(gta: Path, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="gone: no such folder, expected the raw data set gta5"):
        prepare(settings_for(tmp_path / "gone"), tmp_path / "out", None, needs="labels", workers=1)
    with pytest.raises(FrameError, match="raw: expected an empty or absent folder"):
        prepare(settings_for(gta), gta, None, needs="labels", workers=1)


def test_a_full_disk_is_named(gta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if "00004" in self.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FrameError, match=r"out/images/00004\.png: could not write \d+ bytes: No space left on device"):
        prepare(settings_for(gta), tmp_path / "out", None, needs="labels", workers=1)
    assert_unfinished(tmp_path / "out")


def test_killed_half_way_it_is_not_taken_for_whole(gta: Path, tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import os, pathlib, signal
        from synth2real.datasets import preparation

        done = preparation.prepare_frame
        def prepare_frame(raw, **paths):
            if raw.frame_id == "00004":
                os.kill(os.getpid(), signal.SIGKILL)
            return done(raw, **paths)
        preparation.prepare_frame = prepare_frame
        chosen = preparation.PreparationSettings(
            dataset="gta5", root={str(gta)!r}, splits=("train",), validation_fraction=0.0, size=None, limit=None,
            sampling="even", video=None)
        preparation.prepare(chosen, pathlib.Path({str(tmp_path / "out")!r}), None, needs="labels", workers=1)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "out" / "images").iterdir())) == 3
    assert_unfinished(tmp_path / "out")


# --- The stage -------------------------------------------------------------------------------------------------------


def run_stage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "stages" / "prepare.py"), *arguments]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def test_the_stage_reads_its_section(gta: Path, tmp_path: Path) -> None:
    section = {
        "dataset": "gta5", "root": "raw", "splits": ["train"], "validation_fraction": 0, "size": [6, 10], "limit": 3,
        "sampling": "even", "video": None,
    }  # fmt: skip
    hardware = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "workers": 1, "tracking": False}
    params = {"hardware": hardware, "prepare": {"source": section, "target": section}}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    done = run_stage(tmp_path, "--role", "source", "--out", "data/source")
    assert done.returncode == 0, done.stderr
    assert "8 taken" not in done.stdout
    assert "3 taken (train 3)" in done.stdout
    assert [(frame.height, frame.width) for frame in read_frames(tmp_path / "data" / "source").frames] == [(6, 10)] * 3
    refused = run_stage(tmp_path, "--role", "target", "--out", "data/target")
    assert refused.returncode != 0
    assert "--annotations-out belongs to --role target" in refused.stderr
