from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from synth2real.datasets.diversity import CELLS, describe_layout, farthest_first
from synth2real.datasets.gta import read_gta_label
from synth2real.datasets.preparation import PreparationSettings, choose, prepare
from synth2real.datasets.raw import Annotation, RawFrame
from synth2real.frames import FrameError, write_label
from synth2real.label_space import LABEL_ID_TO_TRAIN_ID, NUM_CLASSES

ROAD, SKY, CAR, PERSON, EGO = 7, 23, 26, 24, 1


def counts(descriptor: np.ndarray) -> np.ndarray:
    return descriptor.reshape(CELLS, CELLS, NUM_CLASSES)


def test_a_layout_counts_classes_where_they_are() -> None:
    label_ids = np.full((270, 480), SKY, np.uint8)
    label_ids[135:] = ROAD
    label_ids[135:, :120] = EGO
    layout = counts(describe_layout(label_ids))
    assert (layout[:2, :, LABEL_ID_TO_TRAIN_ID[SKY]] == 256).all()
    assert (layout[2:, 1:, LABEL_ID_TO_TRAIN_ID[ROAD]] == 256).all()
    assert (layout[2:, 0] == 0).all()  # nothing but what is ignored


def test_a_layout_hardly_depends_on_the_size() -> None:
    label_ids = np.kron(
        np.random.default_rng(1).choice(np.array([ROAD, SKY, CAR], np.uint8), (8, 8)), np.ones((40, 60), np.uint8)
    )
    np.testing.assert_array_equal(describe_layout(label_ids), describe_layout(label_ids[::2, ::2]))


@given(st.integers(0, 10_000), st.integers(2, 40), st.data())
@example_settings(max_examples=60, deadline=None)
def test_the_farthest_is_taken_each_time(seed: int, frames: int, data: st.DataObject) -> None:
    """Against the definition, in whole numbers; and at most twice the radius of any other choice (Gonzalez 1985)."""
    descriptors = np.random.default_rng(seed).integers(0, 6, (frames, 3))
    count = data.draw(st.integers(1, frames))
    chosen = farthest_first(descriptors.astype(np.float32), count).tolist()
    distances = ((descriptors[:, None] - descriptors) ** 2).sum(2)
    assert chosen[0] == 0
    assert len(set(chosen)) == count
    for place in range(1, count):
        to_nearest = distances[:, chosen[:place]].min(1)
        assert to_nearest[chosen[place]] == to_nearest.max()
    if count < frames:
        radius = np.sqrt(distances[:, chosen].min(1).max())
        others = np.random.default_rng(seed + 1).permutation(frames)[:count]
        assert radius <= 2 * np.sqrt(distances[:, others].min(1).max()) + 1e-9


def annotate(label_id: int) -> Annotation:
    return Annotation(np.full((8, 8), label_id, np.uint8), None)


def diverse(limit: int, root: str = "") -> PreparationSettings:
    return PreparationSettings(
        dataset="gta5",
        root=root,
        splits=("train",),
        validation_fraction=0.0,
        size=None,
        limit=limit,
        sampling="diverse",
        video=None,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_takes_the_scenes_that_differ(workers: int, tmp_path: Path) -> None:
    """Thirty frames of road, and one each of a car and a person: evenly spaced frames would miss both."""
    scenes = [ROAD] * 32
    scenes[11], scenes[22] = CAR, PERSON
    for label_id in (ROAD, CAR, PERSON):
        write_label(tmp_path / f"{label_id}.png", annotate(label_id).label_ids)
    frames = [
        RawFrame(f"{number:02d}", "train", Path(f"{number:02d}.png"), partial(read_gta_label, tmp_path / f"{label_id}.png"))
        for number, label_id in enumerate(scenes)
    ]
    assert [frame.frame_id for frame in choose(frames, diverse(3), workers)] == ["00", "11", "22"]


def test_labels_alone_are_decoded_where_that_is_quicker() -> None:
    def never() -> Annotation:
        raise AssertionError

    frames = [
        RawFrame(name, "train", Path(name), never, label_ids=lambda label_id=label_id: annotate(label_id).label_ids)  # type: ignore[misc]
        for name, label_id in (("a", ROAD), ("b", ROAD), ("c", CAR))
    ]
    assert [frame.frame_id for frame in choose(frames, diverse(2), 1)] == ["a", "c"]


def test_no_label_chooses_frames_without_labels_or_of_a_target(tmp_path: Path) -> None:
    bare = [RawFrame(name, "train", Path(name), None) for name in "abc"]
    with pytest.raises(FrameError, match="has no labels"):
        choose(bare, diverse(2), 1)
    with pytest.raises(FrameError, match="only the images may be used"):
        prepare(diverse(2, str(tmp_path)), tmp_path / "out", tmp_path / "annotations", needs="images", workers=1)
