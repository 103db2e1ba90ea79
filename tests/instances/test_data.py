from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synth2real.augmentation import AugmentationSettings
from synth2real.frames import Frame, FrameError, FrameSet, read_frames, write_frames, write_image, write_instances
from synth2real.instances.data import Instances, InstanceSamples, View, instances_of, pair_frames, paste
from synth2real.label_space import LABEL_BY_NAME, VEIS_LABELS

ShapesWriter = Callable[..., FrameSet]

_IDS = [0, 7, 19, 19000, 19003, 20001, 24, 24000, 24001, 26002, 29000, 31001, 33999]
_MAPS = hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from(_IDS))


@settings(deadline=None)
@given(_MAPS, st.integers(1, 4))
def test_instances_match_a_plain_loop_over_ids(instance_ids: np.ndarray, min_area: int) -> None:
    expected = []
    for value in sorted(set(instance_ids.ravel().tolist())):
        names = [label.label_id for label in VEIS_LABELS]
        mask = instance_ids == value
        if value >= 1000 and value // 1000 in names and mask.sum() >= min_area:
            rows, columns = np.nonzero(mask)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            expected.append((names.index(value // 1000) + 1, box, mask))
    found = instances_of(instance_ids, min_area)
    assert found.labels.tolist() == [label for label, _, _ in expected]
    assert found.boxes.shape == (len(expected), 4)
    assert found.boxes.tolist() == [box for _, box, _ in expected]
    assert found.masks.shape == (len(expected), *instance_ids.shape)
    assert all((mask == wanted).all() for mask, (_, _, wanted) in zip(found.masks, expected, strict=True))


def test_classes_that_veis_lacks_are_background() -> None:
    ids = np.array([[29001, 30001, 26001]], np.uint16)
    found = instances_of(ids, 1)
    assert [VEIS_LABELS[label - 1] for label in found.labels] == [LABEL_BY_NAME["car"]]


def test_samples_depend_on_seed_and_index_only(write_shapes: ShapesWriter, strong_augmentation: AugmentationSettings) -> None:
    frames = write_shapes("set", 4)

    def draw(index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        sample = InstanceSamples(frames, strong_augmentation, size=(48, 80), min_area=4, copy_paste=0.0, seed=3)(
            index, np.random.default_rng((3, index))
        )
        return sample.image, sample.target

    first, second, other = draw(5), draw(5), draw(6)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(first[1][name], second[1][name]) for name in ("boxes", "labels", "masks"))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("size", [(48, 80), (64, 96), (128, 64)])
def test_targets_follow_the_augmented_image(
    write_shapes: ShapesWriter, augmentation: AugmentationSettings, size: tuple[int, int]
) -> None:
    moving = replace(augmentation, scale=(0.5, 2.0), flip=0.5)
    samples = InstanceSamples(write_shapes("set", 2), moving, size=size, min_area=20, copy_paste=0.0, seed=0)
    seen = 0
    for index in range(12):
        image, target = samples(index, np.random.default_rng(index))
        assert image.shape == (3, *size)
        assert image.dtype == torch.uint8
        for label, mask, box in zip(target["labels"], target["masks"], target["boxes"], strict=True):
            colour = torch.tensor([220, 20, 20] if VEIS_LABELS[label - 1].name == "person" else [20, 20, 220])
            right = ((image.int() - colour[:, None, None]).abs().sum(0) < 150)[mask].float().mean()
            assert right > 0.7
            assert box[2] > box[0]
            assert box[3] > box[1]
            seen += 1
    assert seen > 6


@pytest.mark.parametrize("size", [(64, 96), (32, 48), (48, 48), (128, 64)])
def test_at_scale_1_the_whole_frame_fills_the_sample(
    write_shapes: ShapesWriter, augmentation: AugmentationSettings, size: tuple[int, int]
) -> None:
    frames = write_shapes("set", 1)
    zoom = min(size[0] / 64, size[1] / 96)
    _, target = InstanceSamples(frames, augmentation, size=size, min_area=1, copy_paste=0.0, seed=0)(0, np.random.default_rng(0))
    wanted = instances_of(frames.instances(frames.frames[0]), 1).boxes * zoom
    extents = target["boxes"][:, 2:] - target["boxes"][:, :2]
    assert extents.numpy() == pytest.approx(wanted[:, 2:] - wanted[:, :2], abs=2)


def test_the_view_keeps_its_colours_without_augmentation(write_shapes: ShapesWriter, augmentation: AugmentationSettings) -> None:
    frames = write_shapes("set", 1)
    image = InstanceSamples(frames, augmentation, size=(64, 96), min_area=1, copy_paste=0.0, seed=0)(
        0, np.random.default_rng(0)
    ).image
    assert (image.permute(1, 2, 0).numpy() == frames.image(frames.frames[0])).all()


def test_a_frame_without_instances_gives_empty_targets(write_shapes: ShapesWriter, augmentation: AugmentationSettings) -> None:
    frames = write_shapes("set", 3)
    samples = InstanceSamples(frames, augmentation, size=(64, 96), min_area=4, copy_paste=0.0, seed=0)
    counts = sorted(len(samples(index, np.random.default_rng(0)).target["labels"]) for index in range(3))
    assert counts == [0, 2, 2]
    empty = instances_of(np.full((4, 5), 7, np.uint16), 1)
    assert empty.boxes.shape == (0, 4)
    assert empty.masks.shape == (0, 4, 5)


def test_a_set_without_any_instance_is_refused(tmp_path: Path, augmentation: AugmentationSettings) -> None:
    write_image(tmp_path / "images" / "a.png", np.zeros((8, 8, 3), np.uint8))
    write_instances(tmp_path / "instances" / "a.png", np.full((8, 8), 24, np.uint16))
    write_frames(tmp_path, [Frame("a", "train", 8, 8)])
    with pytest.raises(FrameError, match=r"found none in 1 frames"):
        InstanceSamples(read_frames(tmp_path), augmentation, size=(32, 32), min_area=4, copy_paste=0.0, seed=0)


def test_a_missing_instance_map_is_named(write_shapes: ShapesWriter, augmentation: AugmentationSettings) -> None:
    frames = write_shapes("set", 2)
    frames.instances_path(frames.frames[0]).unlink()
    with pytest.raises(FrameError, match=r"instances/shape0\.png: no such file"):
        InstanceSamples(frames, augmentation, size=(32, 32), min_area=4, copy_paste=0.0, seed=0)


def _view(grey: int, **corners: tuple[int, int, int, int]) -> View:
    ids = np.zeros((20, 30), np.uint16)
    for number, (name, (top, left, bottom, right)) in enumerate(corners.items()):
        ids[top:bottom, left:right] = LABEL_BY_NAME[name].label_id * 1000 + number
    return View(np.full((20, 30, 3), grey, np.uint8), instances_of(ids, 1))


def test_pasted_instances_cover_what_is_behind_them() -> None:
    below = _view(10, person=(2, 2, 8, 6), car=(0, 10, 10, 20))
    above = _view(200, bus=(0, 0, 9, 14))
    pasted = paste(below, above, 1)
    assert [VEIS_LABELS[label - 1].name for label in pasted.instances.labels] == ["car", "bus"]  # the person is hidden
    assert pasted.instances.boxes.tolist() == [[10, 0, 20, 10], [0, 0, 14, 9]]
    assert pasted.instances.masks.sum((1, 2)).tolist() == [100 - 4 * 9, 126]
    assert (pasted.image[:9, :14] == 200).all()
    assert (pasted.image == 10).sum() == 3 * (600 - 126)
    assert len(paste(below, above, 65).instances.labels) == 1  # too little of the car is left
    nothing = Instances(*(values[:0] for values in above.instances))
    same = paste(below, View(above.image, nothing), 1)
    assert (same.image == below.image).all()
    assert same.instances.boxes.tolist() == below.instances.boxes.tolist()


def test_copy_paste_shows_instances_of_two_frames(write_shapes: ShapesWriter, augmentation: AugmentationSettings) -> None:
    frames = write_shapes("set", 2)
    plain, mixed = (
        InstanceSamples(frames, augmentation, size=(64, 96), min_area=4, copy_paste=share, seed=0) for share in (0.0, 1.0)
    )

    def draw(samples: InstanceSamples, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        sample = samples(index, np.random.default_rng(index))
        return sample.image, sample.target

    counts = set()
    for index in range(12):
        image, target = draw(mixed, index)
        again, _ = draw(mixed, index)
        assert torch.equal(image, again)
        counts.add(len(target["labels"]))
        covered = target["masks"].any(0)
        assert (image[:, ~covered] == 128).all()  # only the objects are pasted, not what surrounds them
        for label, mask in zip(target["labels"], target["masks"], strict=True):
            colour = torch.tensor({3: (220, 20, 20), 5: (20, 20, 220)}[int(label)], dtype=torch.uint8)
            assert (image[:, mask] == colour[:, None]).all()
    assert max(counts) > 2
    assert {len(draw(plain, index)[1]["labels"]) for index in range(4)} == {2}


def test_a_detector_sees_the_images_of_another_set(
    write_shapes: ShapesWriter, augmentation: AugmentationSettings, tmp_path: Path
) -> None:
    frames = write_shapes("set", 4)
    painted = FrameSet(tmp_path / "painted", frames.frames[1:])
    for frame in frames.frames[1:]:
        write_image(painted.root / "images" / f"{frame.frame_id}.jpg", np.full((frame.height, frame.width, 3), 200, np.uint8))
    annotated = FrameSet(frames.root, frames.frames[1:])
    paired = pair_frames(painted, annotated)
    assert paired.frames == annotated.frames
    for frame in paired.frames:
        assert (paired.image(frame) == 200).all()
        np.testing.assert_array_equal(paired.instances(frame), frames.instances(frame))
    image, target = InstanceSamples(paired, augmentation, size=(64, 96), min_area=1, copy_paste=0.0, seed=0)(
        0, np.random.default_rng(0)
    )
    _, same = InstanceSamples(annotated, augmentation, size=(64, 96), min_area=1, copy_paste=0.0, seed=0)(
        0, np.random.default_rng(0)
    )
    assert (image == image[0, 0, 0]).all()
    assert all(torch.equal(target[name], same[name]) for name in same)
    with pytest.raises(FrameError, match=r"painted: 1 of the 4 frames of .*set have no image there, first 'shape0'"):
        pair_frames(painted, frames)
