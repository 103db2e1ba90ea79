"""Hoods measured from annotations, and laid over other maps."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from synth2real.frames import Frame, FrameError, FrameSet, read_frames, write_frames, write_label
from synth2real.synthesis.hood_masks import HoodVariant, measure_hood, overlay

EGO, BORDER, OUTSIDE, ROAD, CAR = 1, 2, 3, 7, 26


def _annotations(root: Path, *maps: np.ndarray) -> FrameSet:
    frames = [Frame(f"frame_{number}", "train", *label_ids.shape) for number, label_ids in enumerate(maps)]
    for frame, label_ids in zip(frames, maps, strict=True):
        write_label(root / "labels" / f"{frame.frame_id}.png", label_ids)
    write_frames(root, frames)
    return read_frames(root)


def _street() -> np.ndarray:
    """A border of one pixel, outside of it at the left, and a hood in the lowest three rows, curved in the first of them."""
    label_ids = np.full((12, 20), ROAD, np.uint8)
    label_ids[[0, -1]] = label_ids[:, [0, -1]] = BORDER
    label_ids[:, 0] = OUTSIDE
    label_ids[-3, 8:12] = EGO
    label_ids[-2, 3:17] = EGO
    label_ids[-1, 1:-1] = EGO
    return label_ids


@pytest.fixture
def annotations(tmp_path: Path) -> FrameSet:
    """Two of three frames agree; in the third a car hides all."""
    return _annotations(tmp_path, _street(), _street(), np.full((12, 20), CAR, np.uint8))


def test_variants_are_what_most_frames_have(annotations: FrameSet) -> None:
    hood = measure_hood(annotations)
    street = _street()
    np.testing.assert_array_equal(hood.mask("bonnet"), np.where(street == EGO, EGO, 0))
    np.testing.assert_array_equal(hood.mask("frame"), np.where((street == BORDER) | (street == OUTSIDE), street, 0))
    bottom = np.zeros_like(street)
    bottom[-2:] = EGO  # the third row from below is mostly street
    np.testing.assert_array_equal(hood.mask("bottom"), bottom)


def test_a_rarer_hood_is_none(tmp_path: Path) -> None:
    road = np.full((12, 20), ROAD, np.uint8)
    assert not measure_hood(_annotations(tmp_path, _street(), road)).mask("bonnet+frame+bottom").any()  # half is not most


def test_unions_keep_the_former(annotations: FrameSet) -> None:
    hood = measure_hood(annotations)
    both, bonnet, frame = hood.mask("bonnet+frame"), hood.mask("bonnet"), hood.mask("frame")
    np.testing.assert_array_equal(both, np.where(bonnet > 0, bonnet, frame))
    for variant in get_args(HoodVariant):
        covered = hood.mask(variant) > 0
        parts = [hood.mask(part) > 0 for part in variant.split("+")]
        np.testing.assert_array_equal(covered, np.logical_or.reduce(parts))


def test_overlay_changes_maps_under_the_mask_only_at_any_size(annotations: FrameSet) -> None:
    mask = measure_hood(annotations).mask("bonnet+frame")
    label_ids = np.full((24, 40), CAR, np.uint8)
    instance_ids = np.full((24, 40), 26001, np.uint16)
    labels, instances = overlay(mask, label_ids, instance_ids)
    large = mask.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(labels, np.where(large > 0, large, CAR))
    np.testing.assert_array_equal(instances, np.where(large > 0, large.astype(np.uint16), 26001))
    assert (label_ids == CAR).all()


def test_annotations_without_hood_or_of_many_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"no pixel of ego vehicle.*synthesize\.hood"):
        measure_hood(_annotations(tmp_path / "none", np.full((4, 4), ROAD, np.uint8)))
    with pytest.raises(FrameError, match=r"expected frames of one size.*\(4, 4\), \(8, 8\)"):
        measure_hood(_annotations(tmp_path / "sizes", np.ones((4, 4), np.uint8), np.ones((8, 8), np.uint8)))
