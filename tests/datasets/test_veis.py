import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from synth2real.datasets.veis import list_veis
from synth2real.frames import FrameError
from synth2real.label_space import VEIS_LABELS

HEIGHT, WIDTH = 20, 30
CATEGORIES = [{"id": 10 + index, "name": label.name} for index, label in enumerate(VEIS_LABELS)]
LIGHT, SIGN, PERSON, CAR = 10, 11, 12, 14


def box(left: int, top: int, right: int, bottom: int) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def annotation(image_id: int, category_id: int, segmentation: Any, iscrowd: int = 0) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": category_id, "segmentation": segmentation, "iscrowd": iscrowd}


Content = dict[str, list[dict[str, Any]]]


def write_raw(root: Path, content: Content, pixel_labels: dict[str, np.ndarray] | None = None) -> None:
    for item in content["images"]:
        path = root / "images" / item["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)
    for name, train_ids in (pixel_labels or {}).items():
        path = root / "pixel_labels" / f"{name}_trainIds.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(train_ids).save(path)
    (root / "annotations.json").write_text(json.dumps(content))


def scene(*annotations: dict[str, Any], names: tuple[str, ...] = ("multi_class/00001.png",)) -> Content:
    images = [{"id": index + 1, "file_name": name, "height": HEIGHT, "width": WIDTH} for index, name in enumerate(names)]
    return {"images": images, "categories": [*CATEGORIES], "annotations": list(annotations)}


def decode(root: Path) -> tuple[np.ndarray, np.ndarray, int]:
    (frame,) = list_veis(root)
    assert frame.annotation is not None
    found = frame.annotation()
    assert found.instance_ids is not None
    return found.label_ids, found.instance_ids, found.dropped_polygons


def test_frame_ids_and_folders(tmp_path: Path) -> None:
    write_raw(tmp_path, scene(names=("multi_class/00001.png", "single_class/00001.png")))
    assert [(frame.frame_id, frame.split) for frame in list_veis(tmp_path)] == [
        ("multi_class_00001", "train"),
        ("single_class_00001", "train"),
    ]


def test_smaller_objects_lie_on_larger_ones(tmp_path: Path) -> None:
    small, large = annotation(1, PERSON, box(5, 5, 8, 10)), annotation(1, CAR, box(2, 2, 20, 15))
    for name, order in (("first", (small, large)), ("last", (large, small))):
        write_raw(tmp_path / name, scene(*order))
        labels, instances, dropped = decode(tmp_path / name)
        assert (instances == 24_000).sum() == 3 * 5
        assert (instances == 26_000).sum() == 18 * 13 - 3 * 5
        assert np.array_equal(labels, instances // 1000)
        assert dropped == 0


def test_numbers_count_by_class_also_for_lights_and_signs(tmp_path: Path) -> None:
    write_raw(
        tmp_path,
        scene(
            annotation(1, LIGHT, box(0, 0, 2, 2)),
            annotation(1, SIGN, box(4, 0, 6, 2)),
            annotation(1, LIGHT, box(8, 0, 10, 2)),
            annotation(1, CAR, box(12, 0, 14, 2)),
        ),
    )
    _, instances, _ = decode(tmp_path)
    assert instances[0, [0, 4, 8, 12]].tolist() == [19_000, 20_000, 19_001, 26_000]


def test_more_objects_than_ids_are_refused(tmp_path: Path) -> None:
    cars = [annotation(1, CAR, box(0, 0, 2, 2)) for _ in range(1000)]
    write_raw(tmp_path, scene(*cars, annotation(1, LIGHT, box(4, 0, 6, 2))))
    _, instances, _ = decode(tmp_path)
    assert set(np.unique(instances)) == {0, 19_000, 26_999}
    write_raw(tmp_path, scene(*cars, annotation(1, CAR, box(4, 0, 6, 2))))
    with pytest.raises(FrameError, match=r"annotations\.json: multi_class/00001 has more than 1000 objects of one class"):
        decode(tmp_path)


def test_pixel_labels_fill_what_no_object_covers(tmp_path: Path) -> None:
    train_ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    train_ids[10:] = 255
    train_ids[:, 20:] = 18
    write_raw(tmp_path, scene(annotation(1, CAR, box(0, 0, 4, 4))), {"multi_class/00001": train_ids})
    labels, instances, _ = decode(tmp_path)
    assert [int(labels[0, 0]), int(labels[15, 5]), int(labels[0, 25])] == [7, 0, 33]
    assert [int(instances[0, 0]), int(instances[15, 5]), int(instances[0, 25]), int(instances[5, 5])] == [26_000, 0, 33, 7]


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_and_crowds(tmp_path: Path, compressed: bool) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[3:7, 10:15] = 1
    encoded = coco_mask.encode(mask)
    if compressed:
        segmentation = {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}
    else:
        flat = np.concatenate([[0], mask.ravel(order="F"), [0]]).astype(int)
        borders = np.flatnonzero(np.diff(flat))
        segmentation = {"size": [HEIGHT, WIDTH], "counts": np.diff([0, *borders, HEIGHT * WIDTH]).tolist()}
    write_raw(tmp_path / "single", scene(annotation(1, CAR, segmentation)))
    write_raw(tmp_path / "crowd", scene(annotation(1, CAR, segmentation, iscrowd=1)))
    assert np.array_equal(decode(tmp_path / "single")[1], mask * np.uint16(26_000))
    assert np.array_equal(decode(tmp_path / "crowd")[1], mask * np.uint16(26))


corners = st.tuples(st.integers(0, WIDTH - 4), st.integers(0, HEIGHT - 4), st.integers(2, WIDTH), st.integers(2, HEIGHT))


@given(st.lists(st.tuples(st.sampled_from([LIGHT, PERSON, CAR]), corners), max_size=8))
@settings(max_examples=40, deadline=None)
def test_labels_are_the_class_of_the_instances(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, tuple[int, int, int, int]]]
) -> None:
    root = tmp_path_factory.mktemp("veis")
    boxes = [(category, box(x, y, min(x + w, WIDTH), min(y + h, HEIGHT))) for category, (x, y, w, h) in drawn]
    write_raw(root, scene(*(annotation(1, category, segmentation) for category, segmentation in boxes)))
    labels, instances, dropped = decode(root)
    assert np.array_equal(labels, instances // 1000)
    assert dropped == 0
    covered = np.zeros((HEIGHT, WIDTH), bool)
    for _, segmentation in boxes:
        left, top, right, bottom = segmentation[0][0], segmentation[0][1], segmentation[0][2], segmentation[0][5]
        covered[int(top) : int(bottom), int(left) : int(right)] = True
    assert np.array_equal(instances > 0, covered)


def test_objects_without_pixels_are_dropped_and_counted(tmp_path: Path) -> None:
    write_raw(
        tmp_path,
        scene(
            annotation(1, CAR, box(WIDTH + 5, 0, WIDTH + 9, 4)),
            annotation(1, CAR, [[3, 3, 3, 3, 3, 3]]),
            annotation(1, CAR, [[3, 3, 8, 8]]),
            annotation(1, CAR, []),
            annotation(1, CAR, box(0, 0, 2, 2)),
        ),
    )
    _, instances, dropped = decode(tmp_path)
    assert dropped == 4
    assert set(np.unique(instances)) == {0, 26_000}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("images"), "KeyError: 'images'"),
        (
            lambda content: content["categories"].append({"id": 99, "name": "tank"}),
            "unknown category 'tank'; VEIS has traffic light",
        ),
        (lambda content: content["categories"].append({"id": 99, "name": "road"}), "unknown category 'road'"),
        (lambda content: content["annotations"][0].update(category_id=77), "category_id 77"),
        (lambda content: content["annotations"][0].update(image_id=5), "names image_id 5"),
        (lambda content: content["annotations"][0].pop("segmentation"), "KeyError: 'segmentation'"),
        (lambda content: content["images"][0].update(height="tall"), "ValueError"),
    ],
)
def test_wrong_json_is_named(tmp_path: Path, change: Callable[[Content], Any], message: str) -> None:
    content = scene(annotation(1, CAR, box(0, 0, 4, 4)))
    write_raw(tmp_path, content)
    change(content)
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(FrameError, match=rf"annotations\.json: .*{message}"):
        list_veis(tmp_path)


def test_broken_and_missing_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"annotations\.json: no such file"):
        list_veis(tmp_path)
    write_raw(tmp_path, scene())
    path = tmp_path / "annotations.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FrameError, match=r"annotations\.json: expected COCO's JSON .*JSONDecodeError"):
        list_veis(tmp_path)


@pytest.mark.parametrize("segmentation", [{"size": [3, 3], "counts": [9]}, {"counts": [9]}, 5, [["a"] * 6]])
def test_malformed_segmentations_are_named(tmp_path: Path, segmentation: Any) -> None:
    write_raw(tmp_path, scene(annotation(1, CAR, segmentation)))
    with pytest.raises(
        FrameError, match=r"a segmentation of image multi_class/00001 is neither polygons nor RLE of its size 20x30"
    ):
        decode(tmp_path)


def test_missing_and_surplus_files_are_named(tmp_path: Path) -> None:
    write_raw(tmp_path, scene(), {"multi_class/00009": np.zeros((HEIGHT, WIDTH), np.uint8)})
    with pytest.raises(FrameError, match=r"00009_trainIds\.png: no such image"):
        list_veis(tmp_path)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "images" / "extra.png")
    with pytest.raises(FrameError, match=r"extra\.png: no entry in .*annotations\.json"):
        list_veis(tmp_path)
    (tmp_path / "images" / "multi_class" / "00001.png").unlink()
    with pytest.raises(FrameError, match=r"multi_class/00001: no such image, though"):
        list_veis(tmp_path)


def test_wrong_pixel_labels_are_named(tmp_path: Path) -> None:
    write_raw(tmp_path, scene(), {"multi_class/00001": np.full((HEIGHT, WIDTH), 19, np.uint8)})
    with pytest.raises(FrameError, match=r"00001_trainIds\.png: unknown class ids 19 \(600 pixels\)"):
        decode(tmp_path)
    write_raw(tmp_path, scene(), {"multi_class/00001": np.zeros((HEIGHT, WIDTH + 1), np.uint8)})
    with pytest.raises(FrameError, match=r"00001_trainIds\.png: .*\(20, 30\)"):
        decode(tmp_path)
