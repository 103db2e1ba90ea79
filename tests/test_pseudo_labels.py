"""Pseudo-labels: what is kept, what is ignored, and the shares that are reported."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synth2real.frames import Frame, FrameError, read_frames, write_frames, write_instances, write_label
from synth2real.label_space import INSTANCE_FACTOR, NUM_LABEL_IDS, UNLABELED_ID, VEIS_LABELS
from synth2real.pseudo_labels import pseudo_label, pseudo_label_frames

_FOREGROUND = [label.label_id for label in VEIS_LABELS]


def _fused(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    instance_ids = rng.integers(0, NUM_LABEL_IDS, size).astype(np.uint16)
    pasted = rng.random(size) < 0.4
    instance_ids[pasted] = rng.choice(_FOREGROUND, pasted.sum()) * INSTANCE_FACTOR + rng.integers(0, 1000, pasted.sum())
    return np.where(pasted, instance_ids // INSTANCE_FACTOR, instance_ids).astype(np.uint8), instance_ids


@given(st.integers(0, 2**32 - 1), hnp.array_shapes(min_dims=2, max_dims=2, max_side=20))
def test_only_foreground_in_holes_is_removed(seed: int, size: tuple[int, int]) -> None:
    label_ids, instance_ids = _fused(np.random.default_rng(seed), size)
    result = pseudo_label(label_ids, instance_ids)
    removed = result != label_ids
    assert result.dtype == np.uint8
    assert (result[removed] == UNLABELED_ID).all()
    np.testing.assert_array_equal(removed, (instance_ids < INSTANCE_FACTOR) & np.isin(label_ids, _FOREGROUND))


def _write(root: Path) -> None:
    road_car = np.array([[7, 7, 7, 26], [7, 7, 26, 26]], np.uint8)
    instance_ids = np.array([[7, 7, 7, 26000], [7, 7, 26, 26]], np.uint16)
    frames = [Frame("a", "train", 2, 4), Frame("b", "val", 2, 4)]
    for frame in frames:
        write_label(root / "labels" / f"{frame.frame_id}.png", road_car)
        write_instances(root / "instances" / f"{frame.frame_id}.png", instance_ids)
    write_frames(root, frames)


def test_the_training_split_is_labelled_and_its_shares_are_reported(tmp_path: Path) -> None:
    _write(tmp_path / "fused")
    shares = pseudo_label_frames(tmp_path / "fused", tmp_path / "out", workers=1)
    labelled = read_frames(tmp_path / "out")
    assert [frame.frame_id for frame in labelled.frames] == ["a"]
    np.testing.assert_array_equal(labelled.label(labelled.frames[0]), [[7, 7, 7, 26], [7, 7, 0, 0]])
    classes = shares.pop("classes")
    assert shares == {"frames": 1, "kept": 75.0, "kept_holes": 71.43}
    assert {name: share for name, share in classes.items() if share} == {"road": 83.33, "car": 16.67}
    assert len(classes) == 19


def test_missing_instances_or_training_frames_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "fused")
    (tmp_path / "fused/instances/a.png").unlink()
    with pytest.raises(FrameError, match=r"instances/a\.png: no such file"):
        pseudo_label_frames(tmp_path / "fused", tmp_path / "out", workers=1)
    assert not (tmp_path / "out/frames.csv").exists()
    write_frames(tmp_path / "fused", [Frame("b", "val", 2, 4)])
    with pytest.raises(FrameError, match="no frame of split train; it has val"):
        pseudo_label_frames(tmp_path / "fused", tmp_path / "out", workers=1)
