from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth2real.datasets.folder import list_folder
from synth2real.frames import FrameError


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path)


def test_pictures_at_any_depth_are_sorted(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/er/c.jpeg"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.png").touch()
    frames = list_folder(tmp_path)
    assert [(frame.frame_id, frame.split, frame.annotation) for frame in frames] == [
        ("a", "train", None),
        ("b", "train", None),
        ("deep_er_c", "train", None),
    ]


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="expected PNG or JPEG pictures, but holds none"):
        list_folder(tmp_path)
    with pytest.raises(FrameError, match="there is no such folder"):
        list_folder(tmp_path / "gone")
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")
    with pytest.raises(FrameError, match="names the same frame"):
        list_folder(tmp_path)
    (tmp_path / "a.png").unlink()
    save(tmp_path / "b.tiff")
    with pytest.raises(FrameError, match=r"b\.tiff: expected PNG or JPEG \(1 files are not\)"):
        list_folder(tmp_path)
