import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from synth2real.datasets.cityscapes import list_cityscapes
from synth2real.datasets.gta import list_gta
from synth2real.datasets.veis import list_veis
from synth2real.datasets.viper import list_viper
from synth2real.frames import read_image
from synth2real.label_space import LABEL_BY_NAME, LABELS, PALETTE, VEIS_LABELS
from synth2real.worlds import exporters
from synth2real.worlds.exporters import (
    CityscapesSettings,
    GtaSettings,
    VeisSettings,
    ViperSettings,
    WorldName,
    WorldSettings,
    outlines,
    render_world,
)
from synth2real.worlds.looks import TimeOfDay
from synth2real.worlds.rendering import Rendering

TIMES: dict[TimeOfDay, float] = {"day": 0.4, "dusk": 0.3, "night": 0.3}
TINY = WorldSettings(
    seed=7,
    height=48,
    width=96,
    supersampling=1,
    gta=GtaSettings(streets=2, views=2, times_of_day=TIMES, european=0.0),
    cityscapes=CityscapesSettings(train_streets=1, val_streets=1, views=2),
    veis=VeisSettings(
        multi_class=1,
        single_class=1,
        views=2,
        pixel_labels_every=2,
        shares={label.name: 0.1 for label in VEIS_LABELS},
        distance=(5.5, 42.0),
        objects=(12, 26),
        groups=0.5,
    ),
    viper=ViperSettings(train_streets=2, val_streets=1, views=2, times_of_day=TIMES),
)
EGO_VEHICLE = LABEL_BY_NAME["ego vehicle"].label_id


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rasterised(polygons: list[list[int]], height: int, width: int) -> np.ndarray:
    """What COCO's own code draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' decode under NumPy 2
        mask: np.ndarray = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))
    return mask.astype(bool)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worlds")
    for world in ("gta", "cityscapes", "veis"):
        render_world(world, root / world, TINY, workers=1)
    return root


def test_gta_is_read_back(worlds: Path) -> None:
    frames = list_gta(worlds / "gta")
    assert [frame.frame_id for frame in frames] == ["00001", "00002", "00003", "00004"]
    for frame in frames:
        assert frame.annotation is not None
        annotation = frame.annotation()
        assert read_image(frame.image).shape == (48, 96, 3)
        assert annotation.label_ids.shape == (48, 96)
        assert annotation.instance_ids is None
    with Image.open(worlds / "gta/labels/00001.png") as label:
        assert label.mode == "P"
        palette = np.array(label.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(palette[: len(LABELS)], PALETTE[: len(LABELS)])
    np.testing.assert_array_equal(palette[34], PALETTE[LABEL_BY_NAME["car"].label_id])


def test_cityscapes_is_read_back_with_a_hood_in_every_frame(worlds: Path) -> None:
    frames = list_cityscapes(worlds / "cityscapes", ("train", "val"))
    assert [frame.split for frame in frames] == ["train", "train", "val", "val"]
    assert len({frame.frame_id for frame in frames}) == 4
    for frame in frames:
        assert frame.annotation is not None
        label_ids, instance_ids, _ = frame.annotation()
        assert instance_ids is not None
        assert (label_ids[-1] == EGO_VEHICLE).all()
        np.testing.assert_array_equal(np.where(instance_ids >= 1000, instance_ids // 1000, instance_ids), label_ids)
        things = {LABELS[value // 1000].name for value in np.unique(instance_ids) if value >= 1000}
        assert things <= {label.name for label in LABELS if label.is_thing}


def test_splits_share_no_street(worlds: Path) -> None:
    frames = list_cityscapes(worlds / "cityscapes", ("train", "val"))
    places = {
        split: {frame.frame_id.rpartition("_")[0] for frame in frames if frame.split == split} for split in ("train", "val")
    }
    assert not places["train"] & places["val"]
    pictures = [frame.image.read_bytes() for frame in frames]
    assert len(set(pictures)) == len(pictures)


def test_veis_is_read_back_and_polygons_follow_the_masks(worlds: Path) -> None:
    """Where pixel labels exist, the drawn polygons must cover the same pixels, but for occluded parts and holes."""
    root = worlds / "veis"
    frames = {frame.frame_id: frame for frame in list_veis(root)}
    assert set(frames) == {f"{kind}_class_0000{number}" for kind in ("multi", "single") for number in (1, 2)}
    labelled = sorted((root / "pixel_labels").rglob("*.png"))
    assert [path.name for path in labelled] == ["00001_trainIds.png"] * 2
    index = json.loads((root / "annotations.json").read_text())
    assert [category["name"] for category in index["categories"]][:3] == ["traffic light", "traffic sign", "person"]
    images = {image["id"]: image for image in index["images"]}
    assert index["annotations"]
    for item in index["annotations"]:
        image = images[item["image_id"]]
        drawn = rasterised(item["segmentation"], image["height"], image["width"])
        assert item["area"] > 0
        assert drawn.sum() >= item["area"]
        rows, columns = np.nonzero(drawn)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert box == item["bbox"]


def test_viper_is_read_back_with_the_labels_and_instances_that_were_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Riders come back as people with numbers of their own; what VIPER has no class for comes back ignored."""
    rendered: list[Rendering] = []
    write = exporters._WRITERS["viper"]

    def recorded(root: Path, job: object, number: int, rendering: Rendering, settings: WorldSettings) -> object:
        rendered.append(rendering)
        return write(root, job, number, rendering, settings)  # type: ignore[arg-type]

    monkeypatch.setitem(exporters._WRITERS, "viper", recorded)
    settings = replace(TINY, height=128, width=256, viper=replace(TINY.viper, views=3))
    render_world("viper", tmp_path / "viper", settings, workers=1)
    frames = list_viper(tmp_path / "viper", ("train", "val"))
    assert [frame.frame_id for frame in frames][2:7] == [
        "train_001_00003", "train_002_00001", "train_002_00002", "train_002_00003", "val_001_00001",
    ]  # fmt: skip
    person, rider = LABEL_BY_NAME["person"].label_id, LABEL_BY_NAME["rider"].label_id
    unknown = [LABEL_BY_NAME[name].label_id for name in ("pole", "wall", "static", "dynamic")]
    seen = set()
    for frame, rendering in zip(frames, rendered, strict=True):
        assert frame.annotation is not None
        annotation = frame.annotation()
        np.testing.assert_array_equal(read_image(frame.image), rendering.image)
        expected = rendering.label_ids.copy()
        expected[expected == rider] = person
        expected[np.isin(expected, unknown)] = LABEL_BY_NAME["static"].label_id
        np.testing.assert_array_equal(annotation.label_ids, expected)
        things = rendering.instance_ids >= 1000
        assert annotation.instance_ids is not None
        np.testing.assert_array_equal(annotation.instance_ids >= 1000, things)
        pairs = np.unique(np.stack((rendering.instance_ids[things], annotation.instance_ids[things])), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]  # one to one
        seen |= set(np.unique(rendering.label_ids).tolist())
    assert {rider, LABEL_BY_NAME["pole"].label_id} < seen  # or the test would not have tested them


def test_outlines_draw_the_mask_again() -> None:
    """Drawn by COCO's own code, not a pixel may differ, but for holes."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows, columns = np.mgrid[0:40, 0:60]
        mask = rng.random((40, 60)) < 0.02  # single pixels, some of them corner to corner
        for _ in range(3):
            y, x, a, b = rng.uniform((6, 6, 1, 1), (34, 54, 9, 9))
            mask |= ((rows - y) / b) ** 2 + ((columns - x) / a) ** 2 < 1
        mask[20, 10:50] = True  # one pixel wide
        drawn = rasterised(outlines(mask.view(np.uint8), 0, 0), 40, 60)
        parts, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = cv2.drawContours(np.zeros((40, 60), np.uint8), parts, -1, 1, cv2.FILLED)
        np.testing.assert_array_equal(drawn, filled.astype(bool))


def test_outlines_of_parts_and_single_pixels() -> None:
    mask = np.zeros((8, 12), np.uint8)
    mask[1:3, 1:4] = 1
    mask[6, 9] = 1
    boxes = {(min(p[::2]), min(p[1::2]), max(p[::2]), max(p[1::2])) for p in outlines(mask, 100, 50)}
    assert boxes == {(101, 51, 104, 53), (109, 56, 110, 57)}


@pytest.mark.parametrize("world", ["gta", "veis"])
def test_two_processes_write_the_bytes_of_one(worlds: Path, tmp_path: Path, world: WorldName) -> None:
    render_world(world, tmp_path / world, TINY, workers=2)
    assert content(tmp_path / world) == content(worlds / world)


def test_another_seed_gives_another_world(worlds: Path, tmp_path: Path) -> None:
    settings = replace(TINY, seed=8, gta=GtaSettings(streets=1, views=1, times_of_day=TIMES, european=0.0))
    render_world("gta", tmp_path / "gta", settings, workers=1)
    assert content(tmp_path / "gta")["images/00001.png"] != content(worlds / "gta")["images/00001.png"]


def test_a_share_of_the_game_is_european_and_leaves_the_rest_alone(worlds: Path, tmp_path: Path) -> None:
    settings = replace(TINY, gta=GtaSettings(streets=2, views=2, times_of_day=TIMES, european=0.5))
    render_world("gta", tmp_path / "gta", settings, workers=1)
    mixed, american = content(tmp_path / "gta"), content(worlds / "gta")
    same = [mixed[name] == american[name] for name in (f"images/{number:05d}.png" for number in range(1, 5))]
    assert same == [True, True, False, False]


def test_a_finished_world_replaces_the_old_one_and_stale_parts(tmp_path: Path) -> None:
    out = tmp_path / "gta"
    (out / "images").mkdir(parents=True)
    (out / "images" / "old.png").touch()
    stale = tmp_path / ".gta.partial"
    (stale / "labels").mkdir(parents=True)
    (stale / "labels" / "99999.png").touch()
    render_world("gta", out, replace(TINY, gta=GtaSettings(streets=1, views=1, times_of_day=TIMES, european=0.0)), workers=1)
    assert sorted(content(out)) == ["images/00001.png", "labels/00001.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["gta"]


def test_a_killed_render_leaves_no_data_set(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from dataclasses import replace\n"
        "from synth2real.params import read_section\n"
        "from synth2real.worlds.exporters import *\n"
        "settings = replace(read_section('worlds', WorldSettings), height=48, width=96, supersampling=1,"
        f"gta=GtaSettings(streets=500, views=2, times_of_day={TIMES}, european=0.0))\n"
        f"render_world('gta', Path({str(tmp_path / 'gta')!r}), settings, workers=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("labels/*.png")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "gta").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"height": 16}, "at least 32"),
        ({"supersampling": 5}, "supersampling must be 1 to 4, got 5"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shares", [{"day": 1.0}, {"day": 0.5, "dusk": 0.2, "night": 0.2}, {"day": 1.2, "dusk": -0.2, "night": 0.0}]
)
def test_times_of_day_must_sum_to_one(shares: dict[TimeOfDay, float]) -> None:
    with pytest.raises(ValueError, match="times_of_day must give day, dusk, night probabilities that sum to 1, got"):
        GtaSettings(streets=1, views=1, times_of_day=shares, european=0.0)


def test_the_share_of_european_streets_is_bounded() -> None:
    with pytest.raises(ValueError, match=r"european must be a share in \[0, 1\], got 1.5"):
        GtaSettings(streets=1, views=1, times_of_day=TIMES, european=1.5)


def test_worlds_need_streets() -> None:
    with pytest.raises(ValueError, match="streets must be at least 1, got 0"):
        GtaSettings(streets=0, views=1, times_of_day=TIMES, european=0.0)
    with pytest.raises(ValueError, match="val_streets"):
        CityscapesSettings(train_streets=1, val_streets=0, views=1)
    with pytest.raises(ValueError, match="single_class"):
        replace(TINY.veis, single_class=-1)
