import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cityscapesscripts.helpers.annotation import Annotation as OfficialAnnotation
from cityscapesscripts.helpers.labels import labels as official_labels
from cityscapesscripts.preparation.json2instanceImg import createInstanceImage
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synth2real.datasets.cityscapes import list_cityscapes, read_cityscapes_ids, read_cityscapes_polygons
from synth2real.frames import FrameError, write_instances, write_label

HEIGHT, WIDTH = 32, 64
IMAGES, LABELS = "leftImg8bit", "gtFine"


def write_image(root: Path, split: str, name: str, suffix: str = ".png") -> None:
    path = root / IMAGES / split / name.partition("_")[0] / f"{name}_leftImg8bit{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)


def annotation_path(root: Path, split: str, name: str, ending: str) -> Path:
    path = root / LABELS / split / name.partition("_")[0] / f"{name}_gtFine_{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def polygons(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {"imgHeight": HEIGHT, "imgWidth": WIDTH, "objects": objects}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_image(tmp_path, "train", "aachen_000000_000019")
    write_label(
        annotation_path(tmp_path, "train", "aachen_000000_000019", "labelIds.png"), np.full((HEIGHT, WIDTH), 26, np.uint8)
    )
    write_instances(
        annotation_path(tmp_path, "train", "aachen_000000_000019", "instanceIds.png"), np.full((HEIGHT, WIDTH), 26_003, np.uint16)
    )
    write_image(tmp_path, "train", "ulm_000001_000019", ".jpg")
    square = {"label": "car", "polygon": [[2, 2], [20, 2], [20, 12], [2, 12]]}
    annotation_path(tmp_path, "train", "ulm_000001_000019", "polygons.json").write_text(json.dumps(polygons([square])))
    write_image(tmp_path, "val", "lindau_000000_000019")
    write_image(tmp_path, "test", "berlin_000000_000019")
    annotation_path(tmp_path, "test", "berlin_000000_000019", "polygons.json").write_text(json.dumps(polygons([])))
    return tmp_path


def test_ids_and_polygons_are_read_side_by_side(raw: Path) -> None:
    aachen, ulm = list_cityscapes(raw, ("train",))
    assert (aachen.frame_id, ulm.frame_id) == ("aachen_000000_000019", "ulm_000001_000019")
    assert aachen.annotation is not None
    assert ulm.annotation is not None
    ids, drawn = aachen.annotation(), ulm.annotation()
    assert ids.instance_ids is not None
    assert drawn.instance_ids is not None
    assert set(np.unique(ids.label_ids)) == {26}
    assert set(np.unique(ids.instance_ids)) == {26_003}
    assert set(np.unique(drawn.label_ids)) == {0, 26}
    assert (drawn.instance_ids == 26_000).sum() == 19 * 11


def test_val_without_gtfine_and_test_are_unlabelled(raw: Path) -> None:
    frames = list_cityscapes(raw, ("val", "test"))
    assert [(frame.split, frame.annotation) for frame in frames] == [("val", None), ("test", None)]


names = st.sampled_from([*(item.name for item in official_labels), "cargroup", "persongroup", "bicyclegroup"])
points = st.tuples(st.integers(-6, WIDTH + 6), st.integers(-6, HEIGHT + 6))
objects = st.lists(
    st.fixed_dictionaries(
        {"label": names, "polygon": st.lists(points, min_size=2, max_size=8), "deleted": st.sampled_from([0, 0, 0, 1])}
    ),
    max_size=12,
)


@given(objects)
@settings(max_examples=60, deadline=None)
def test_polygons_are_drawn_as_the_official_scripts_do(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("polygons") / "polygons.json"
    path.write_text(json.dumps(polygons(drawn)))
    official = OfficialAnnotation()
    official.fromJsonFile(str(path))
    found = read_cityscapes_polygons(path)
    assert found.instance_ids is not None
    assert np.array_equal(found.label_ids, np.array(createLabelImage(official, "ids")))
    assert np.array_equal(found.instance_ids, np.array(createInstanceImage(official, "ids")))


def test_two_maps_must_be_of_one_size(tmp_path: Path) -> None:
    write_label(tmp_path / "labels.png", np.zeros((4, 8), np.uint8))
    write_instances(tmp_path / "instances.png", np.zeros((4, 9), np.uint16))
    with pytest.raises(FrameError, match=r"instances\.png: size \(4, 9\)"):
        read_cityscapes_ids(tmp_path / "labels.png", tmp_path / "instances.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "expected JSON with imgHeight"),
        ('{"imgHeight": 4, "imgWidth": 4}', "'objects'"),
        ('{"imgHeight": 4, "imgWidth": 4, "objects": [{"label": "car", "polygon": [[1]]}]}', "expected JSON"),
        ('{"imgHeight": 4, "imgWidth": 4, "objects": [{"label": "car", "polygon": [[1, 1]]}]}', "1 points cannot be drawn"),
        ('{"imgHeight": 4, "imgWidth": 4, "objects": [{"label": "tank", "polygon": []}]}', "unknown class 'tank'"),
    ],
)
def test_broken_polygon_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "polygons.json").write_text(content)
    with pytest.raises(FrameError, match=rf"polygons\.json: .*{message}"):
        read_cityscapes_polygons(tmp_path / "polygons.json")


def test_missing_partners_are_named(raw: Path) -> None:
    write_image(raw, "train", "ulm_000002_000019")
    with pytest.raises(FrameError, match=r"ulm_000002_000019_leftImg8bit\.png: has no annotation in .*gtFine/train \(1 of 3"):
        list_cityscapes(raw, ("train",))


def test_an_absent_split_is_named(raw: Path) -> None:
    with pytest.raises(FrameError, match=r"leftImg8bit/extra: expected images .* there is no such folder"):
        list_cityscapes(raw, ("extra",))
