import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as official_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.label_space import (
    CAMVID11_TO_LABEL_ID,
    CAMVID32_TO_LABEL_ID,
    FOREGROUND_TRAIN_IDS,
    GTA5_TO_LABEL_ID,
    IGNORE_INDEX,
    LABEL_BY_NAME,
    LABEL_ID_TO_TRAIN_ID,
    LABEL_SPACES,
    LABELS,
    NUM_CLASSES,
    NUM_LABEL_IDS,
    PALETTE,
    TRAIN_ID_TO_LABEL_ID,
    TRAIN_LABELS,
    UNLABELED_ID,
    VEIS_LABELS,
    VIPER_CLASSES,
    VIPER_TO_LABEL_ID,
    lookup_table,
)


def test_labels_are_those_of_cityscapesscripts() -> None:
    official = {item.name: item for item in official_labels if item.id >= 0}
    assert [label.name for label in LABELS] == list(official)
    for label in LABELS:
        reference = official[label.name]
        assert label.label_id == reference.id
        assert label.train_id == (reference.trainId if 0 <= reference.trainId < NUM_CLASSES else IGNORE_INDEX)
        assert label.category == reference.category
        assert label.is_thing == reference.hasInstances
        assert label.colour == reference.color


def test_tables_follow_cityscapesscripts() -> None:
    for item in official_labels:
        if item.id >= 0:
            assert LABEL_ID_TO_TRAIN_ID[item.id] == item.trainId % 256
            assert tuple(PALETTE[item.id]) == item.color
        if 0 <= item.trainId < NUM_CLASSES:
            assert TRAIN_ID_TO_LABEL_ID[item.trainId] == item.id


def test_train_ids_are_in_order_and_come_back() -> None:
    train_ids = np.arange(NUM_CLASSES)
    assert [label.train_id for label in TRAIN_LABELS] == train_ids.tolist()
    assert np.array_equal(LABEL_ID_TO_TRAIN_ID[TRAIN_ID_TO_LABEL_ID[train_ids]], train_ids)


@pytest.mark.parametrize(
    "table",
    [LABEL_ID_TO_TRAIN_ID, TRAIN_ID_TO_LABEL_ID, GTA5_TO_LABEL_ID, VIPER_TO_LABEL_ID, CAMVID11_TO_LABEL_ID],
)
def test_tables_are_total_and_read_only(table: np.ndarray) -> None:
    assert table.shape == (256,)
    assert table.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


@pytest.mark.parametrize(
    ("table", "known"),
    [
        (GTA5_TO_LABEL_ID, [*range(35), 255]),
        (VIPER_TO_LABEL_ID, list(range(32))),
        (CAMVID11_TO_LABEL_ID, list(range(12))),
    ],
)
def test_tables_of_other_data_sets_know_exactly_their_classes(table: np.ndarray, known: list[int]) -> None:
    assert np.flatnonzero(table < NUM_LABEL_IDS).tolist() == known
    unknown = np.setdiff1d(np.arange(256), known)
    assert (table[unknown] == IGNORE_INDEX).all()


@given(st.dictionaries(st.integers(0, 255), st.integers(0, 255)), st.integers(0, 255))
@settings(deadline=None)
def test_lookup_table_maps_what_it_names_and_nothing_else(mapping: dict[int, int], default: int) -> None:
    table = lookup_table(mapping, default)
    assert all(table[value] == mapping.get(value, default) for value in range(256))


def test_gta_licence_plates_and_minus_one_are_unlabeled() -> None:
    assert GTA5_TO_LABEL_ID[34] == GTA5_TO_LABEL_ID[255] == UNLABELED_ID
    assert (GTA5_TO_LABEL_ID[:34] == np.arange(34)).all()


def test_classes_of_other_data_sets_keep_their_names_meaning() -> None:
    """Where a class has the same name as in Cityscapes it must fall onto that one."""
    for viper in VIPER_CLASSES:
        if viper.name in LABEL_BY_NAME:
            assert viper.label_id == LABEL_BY_NAME[viper.name].label_id, viper.name
    for name, label_id in CAMVID32_TO_LABEL_ID.values():
        if name.lower() in LABEL_BY_NAME and name != "Train":
            assert label_id == LABEL_BY_NAME[name.lower()].label_id, name


def test_camvid_colours_are_32_made_of_quarters() -> None:
    assert len(CAMVID32_TO_LABEL_ID) == len({name for name, _ in CAMVID32_TO_LABEL_ID.values()}) == 32
    assert all(channel in (0, 64, 128, 192) for colour in CAMVID32_TO_LABEL_ID for channel in colour)


def test_camvid11_indices_come_back_through_the_protocol() -> None:
    """Annotated index -> label id -> class of the protocol is the identity; void is ignored."""
    protocol = LABEL_SPACES["camvid11"].table
    assert protocol[CAMVID11_TO_LABEL_ID[:11]].tolist() == list(range(11))
    assert protocol[CAMVID11_TO_LABEL_ID[11]] == IGNORE_INDEX


@pytest.mark.parametrize(("name", "number"), [("cityscapes19", 19), ("synthia16", 16), ("synthia13", 13), ("camvid11", 11)])
def test_label_spaces_hold_their_number_of_classes(name: str, number: int) -> None:
    space = LABEL_SPACES[name]
    assert len(space.class_names) == len(space.groups) == len(space.colours) == number
    members = [member for group in space.groups for member in group]
    assert len(set(members)) == len(members), "a Cityscapes class falls into two classes of the protocol"
    assert set(np.unique(space.table)) == {*range(number), IGNORE_INDEX}


def test_cityscapes19_space_is_the_train_ids() -> None:
    assert np.array_equal(LABEL_SPACES["cityscapes19"].table, LABEL_ID_TO_TRAIN_ID)


def test_synthia_leaves_out_the_classes_that_it_lacks() -> None:
    full = set(LABEL_SPACES["cityscapes19"].class_names)
    assert full - set(LABEL_SPACES["synthia16"].class_names) == {"terrain", "truck", "train"}
    assert full - set(LABEL_SPACES["synthia13"].class_names) == {"terrain", "truck", "train", "wall", "fence", "pole"}


def test_veis_foreground_is_the_things_and_lights_and_signs() -> None:
    trained_things = {label.name for label in TRAIN_LABELS if label.is_thing}
    assert {label.name for label in VEIS_LABELS} == trained_things | {"traffic light", "traffic sign"}
    assert set(FOREGROUND_TRAIN_IDS) == {6, 7, *range(11, 19)}
