from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth2real.datasets import viper
from synth2real.datasets.viper import list_viper, read_viper
from synth2real.frames import FrameError
from synth2real.label_space import LABELS, VIPER_CLASSES

PERSON, CAR, VAN, ROAD, SIGN = 20, 24, 25, 3, 14


def write_frame(
    root: Path, split: str, name: str, classes: np.ndarray, instances: np.ndarray | None, *, labelled: bool = True
) -> None:
    sequence = name.partition("_")[0]
    for kind in ("img", "cls", "inst"):
        (root / split / kind / sequence).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*classes.shape, 3), np.uint8)).save(root / split / "img" / sequence / f"{name}.jpg")
    if labelled:
        Image.fromarray(classes).save(root / split / "cls" / sequence / f"{name}.png")
    if instances is not None:
        encoded = np.dstack([classes, instances >> 8, instances & 255]).astype(np.uint8)
        Image.fromarray(encoded).save(root / split / "inst" / sequence / f"{name}.png")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    classes = np.array([[ROAD, PERSON, PERSON, PERSON], [CAR, VAN, CAR, SIGN]], np.uint8)
    instances = np.array([[0, 300, 7, 300], [12, 5, 0, 9]])
    write_frame(tmp_path, "train", "001_00001", classes, instances)
    write_frame(tmp_path, "val", "002_00001", classes, None)
    write_frame(tmp_path, "test", "003_00001", classes, None, labelled=False)
    return tmp_path


def test_classes_and_instances_are_decoded(raw: Path) -> None:
    (frame,) = list_viper(raw, ("train",))
    assert frame.frame_id == "train_001_00001"
    assert frame.annotation is not None
    annotation = frame.annotation()
    assert annotation.label_ids.tolist() == [[7, 24, 24, 24], [26, 26, 26, 20]]
    # Persons 7 and 300 are numbers 0 and 1; cars and vans share a label and are numbered in one go; the car without number is a
    # group; signs are no things in Cityscapes.
    assert annotation.instance_ids is not None
    assert annotation.instance_ids.tolist() == [[7, 24_001, 24_000, 24_001], [26_000, 26_001, 26, 20]]


def test_splits_without_labels_or_instances(raw: Path) -> None:
    val, test = list_viper(raw, ("val", "test"))
    assert val.annotation is not None
    assert val.annotation().instance_ids is None
    assert test.annotation is None
    with pytest.raises(FrameError, match="expected images such as"):
        list_viper(raw, ("nowhere",))


def test_instances_stay_apart_and_within_their_class(tmp_path: Path) -> None:
    """Against a plain loop: equal pairs of (class, instance) get equal ids, different ones different ids."""
    rng = np.random.default_rng(3)
    classes = rng.choice(np.array([CAR, VAN, PERSON, ROAD], np.uint8), (20, 30))
    write_frame(tmp_path, "train", "001_00001", classes, rng.integers(1, 700, (20, 30)))
    (frame,) = list_viper(tmp_path, ("train",))
    assert frame.annotation is not None
    annotation = frame.annotation()
    assert annotation.instance_ids is not None
    encoded = np.asarray(Image.open(tmp_path / "train" / "inst" / "001" / "001_00001.png"))
    seen: dict[tuple[int, ...], int] = {}
    for pair, instance_id, label_id in zip(
        encoded.reshape(-1, 3), annotation.instance_ids.ravel(), annotation.label_ids.ravel(), strict=True
    ):
        if pair[0] == ROAD:
            assert instance_id == label_id == 7
        else:
            assert instance_id // 1000 == label_id
            assert seen.setdefault(tuple(map(int, pair)), int(instance_id)) == instance_id
    assert len(set(seen.values())) == len(seen)


def test_faults_are_named(raw: Path) -> None:
    label = raw / "train" / "cls" / "001" / "001_00001.png"
    instances = raw / "train" / "inst" / "001" / "001_00001.png"
    Image.fromarray(np.full((2, 4), 32, np.uint8)).save(label)
    with pytest.raises(FrameError, match=r"unknown class ids 32 \(8 pixels\)"):
        read_viper(label, instances)
    Image.fromarray(np.full((2, 5), 3, np.uint8)).save(label)
    with pytest.raises(FrameError, match="size"):
        read_viper(label, instances)
    instances.rename(instances.with_name("001_00002.png"))
    with pytest.raises(FrameError, match="has no annotation"):
        list_viper(raw, ("train",))


def test_every_class_becomes_what_the_docstring_says(tmp_path: Path) -> None:
    """Each of the 32 classes, by name, against the table in words."""
    ignored = {"unlabeled": "unlabeled", "ambiguous": "unlabeled"}
    ignored |= dict.fromkeys(("infrastructure", "billboard", "fire hydrant", "trash can"), "static")
    ignored |= dict.fromkeys(("mobile barrier", "chair", "trash", "animal", "plane", "boat"), "dynamic")
    renamed = {"railtrack": "rail track", "tree": "vegetation", "van": "car"}
    classes = np.arange(32, dtype=np.uint8).reshape(4, 8)
    write_frame(tmp_path, "train", "001_00001", classes, None)
    (frame,) = list_viper(tmp_path, ("train",))
    assert frame.annotation is not None
    assert frame.label_ids is not None
    label_ids = frame.annotation().label_ids
    np.testing.assert_array_equal(frame.label_ids(), label_ids)
    found = {item.name: LABELS[label_id].name for item, label_id in zip(VIPER_CLASSES, label_ids.ravel(), strict=True)}
    assert found == {name: (ignored | renamed).get(name, name) for name in found}
    assert viper.__doc__ is not None
    for item in VIPER_CLASSES:
        assert f"{item.name} {item.viper_id}" in viper.__doc__


def test_an_unknown_class_of_an_instance_map_is_named(raw: Path) -> None:
    label = raw / "train" / "cls" / "001" / "001_00001.png"
    instances = raw / "train" / "inst" / "001" / "001_00001.png"
    encoded = np.array(Image.open(instances))
    encoded[0, 0, 0] = 77
    Image.fromarray(encoded).save(instances)
    with pytest.raises(FrameError, match=r"inst.*unknown class ids 77 \(1 pixels\)"):
        read_viper(label, instances)
