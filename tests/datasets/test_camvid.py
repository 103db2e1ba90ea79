from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth2real.datasets.camvid import list_camvid, original_split, read_camvid_colours, read_camvid_indices
from synth2real.frames import FrameError
from synth2real.label_space import CAMVID11_TO_LABEL_ID, CAMVID32_TO_LABEL_ID


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


GREY = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_11_class_edition(tmp_path: Path, suffix: str) -> None:
    indices = np.arange(12, dtype=np.uint8).reshape(2, 6)
    for split in ("train", "val"):
        save(tmp_path / split / f"0001TP_{split}{suffix}", GREY)
        save(tmp_path / f"{split}annot" / f"0001TP_{split}.png", indices)
    train, val = list_camvid(tmp_path, ("train", "val"))
    assert (train.split, val.split) == ("train", "val")
    assert train.annotation is not None
    annotation = train.annotation()
    assert annotation.label_ids.ravel().tolist() == CAMVID11_TO_LABEL_ID[:12].tolist()
    assert annotation.instance_ids is None


def test_the_original_with_all_32_colours_and_its_split(tmp_path: Path) -> None:
    colours = np.array(list(CAMVID32_TO_LABEL_ID), np.uint8).reshape(4, 8, 3)
    for name in (
        "0001TP_006690",
        "0001TP_008550",
        "0006R0_f00930",
        "0016E5_07959",
        "0016E5_08159",
        "0016E5_08190",
        "Seq05VD_f00000",
    ):
        save(tmp_path / "701_StillsRaw_full" / f"{name}.png", GREY)
        save(tmp_path / "LabeledApproved_full" / f"{name}_L.png", colours)
    frames = list_camvid(tmp_path, ("train",))
    assert [frame.split for frame in frames] == ["train", "test", "train", "val", "val", "train", "test"]
    assert frames[0].annotation is not None
    assert frames[0].annotation().label_ids.ravel().tolist() == [label_id for _, label_id in CAMVID32_TO_LABEL_ID.values()]


def test_the_original_divided_into_splits(tmp_path: Path) -> None:
    save(tmp_path / "train" / "0001TP_006690.png", GREY)
    save(tmp_path / "train_labels" / "0001TP_006690_L.png", np.full((4, 6, 3), (128, 64, 128), np.uint8))
    (frame,) = list_camvid(tmp_path, ("train",))
    assert frame.annotation is not None
    assert set(frame.annotation().label_ids.ravel()) == {7}


def test_the_split_of_the_original_is_that_of_the_11_class_edition() -> None:
    """In the download's numbering; of 367, 101 and 233 frames these sequences give 62 train, 101 val and 62 + 171 test."""
    names = [f"0001TP_{number:06d}" for number in range(6690, 10_381, 30)]
    names += [f"0016E5_{number:05d}" for number in range(7959, 8160, 2)]
    names += [f"Seq05VD_f{number:05d}" for number in range(0, 5101, 30)]
    splits = [original_split(name) for name in names]
    assert (splits.count("train"), splits.count("val"), splits.count("test")) == (62, 101, 233)
    with pytest.raises(FrameError, match="no frame of CamVid"):
        original_split("0099XX_00001")


def test_unknown_colours_are_counted(tmp_path: Path) -> None:
    colours = np.full((4, 6, 3), (128, 64, 128), np.uint8)
    colours[0, :5] = (128, 64, 127)
    colours[1, 0] = (192, 192, 192)
    save(tmp_path / "a_L.png", colours)
    with pytest.raises(
        FrameError, match=r"a_L\.png: 2 unknown colours, \(128, 64, 127\) \(5 pixels\), \(192, 192, 192\) \(1 pixels\);"
    ):
        read_camvid_colours(tmp_path / "a_L.png")


def test_unknown_indices_are_counted(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.full((4, 6), 12, np.uint8))
    with pytest.raises(FrameError, match=r"a\.png: unknown class ids 12 \(24 pixels\); the data set has 0\.\.11"):
        read_camvid_indices(tmp_path / "a.png")


def test_missing_partners_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"train: expected images .* there is no such folder"):
        list_camvid(tmp_path, ("train",))
    save(tmp_path / "train" / "a.png", GREY)
    assert list_camvid(tmp_path, ("train",))[0].annotation is None
    (tmp_path / "trainannot").mkdir()
    with pytest.raises(FrameError, match=r"trainannot: expected labels .* holds none"):
        list_camvid(tmp_path, ("train",))
    save(tmp_path / "trainannot" / "b.png", GREY[..., 0])
    with pytest.raises(FrameError, match=r"a\.png: has no annotation in .*trainannot"):
        list_camvid(tmp_path, ("train",))
