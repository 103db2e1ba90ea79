from dataclasses import replace

import numpy as np
import pytest

from synth2real.label_space import LABEL_BY_NAME, LABELS, VEIS_LABELS
from synth2real.worlds.rendering import renderer
from synth2real.worlds.streets import Street
from synth2real.worlds.studios import StageSettings, studio

SETTINGS = StageSettings(shares={label.name: 0.1 for label in VEIS_LABELS}, distance=(5.5, 42.0), objects=(12, 26), groups=0.5)
FOREGROUND = {label.label_id for label in VEIS_LABELS}


def foreground(place: Street) -> set[int]:
    engine = renderer(96, 192, 1)
    engine.load(place.scene)
    return {int(value) // 1000 for view in place.views for value in np.unique(engine.render(view).foreground_ids)} - {0}


def counts(place: Street) -> dict[str, int]:
    """Instances of each class on a stage, without what riders sit on."""
    result: dict[str, int] = {}
    for placed in place.scene.placed:
        members = {(part.label_id, part.instance) for part in placed.thing.parts if part.label_id in FOREGROUND}
        if any(label == LABEL_BY_NAME["rider"].label_id for label, _ in members):
            members = {member for member in members if member[0] == LABEL_BY_NAME["rider"].label_id}
        for label, _ in members:
            result[LABELS[label].name] = result.get(LABELS[label].name, 0) + 1
    return result


def test_multi_class_stages_show_all_ten_classes() -> None:
    seen: set[int] = set()
    for seed in range(6):
        seen |= foreground(studio(np.random.default_rng(seed), 3, SETTINGS))
    assert seen == FOREGROUND


@pytest.mark.parametrize("name", ["traffic sign", "car", "person"])
def test_single_class_stages_show_one_class(name: str) -> None:
    assert foreground(studio(np.random.default_rng(1), 2, SETTINGS, name)) == {LABEL_BY_NAME[name].label_id}


def test_shares_decide_how_often_a_class_occurs() -> None:
    shares = dict.fromkeys(SETTINGS.shares, 0.0) | {"person": 0.7, "car": 0.3}
    totals: dict[str, int] = {}
    for seed in range(12):
        for name, number in counts(studio(np.random.default_rng(seed), 1, replace(SETTINGS, shares=shares))).items():
            totals[name] = totals.get(name, 0) + number
    assert set(totals) == {"person", "car"}
    assert totals["person"] / sum(totals.values()) == pytest.approx(0.7, abs=0.1)


def test_objects_stand_within_the_distances_and_their_number_is_as_wanted() -> None:
    shares = dict.fromkeys(SETTINGS.shares, 0.0) | {"person": 1.0}
    settings = replace(SETTINGS, distance=(10.0, 20.0), objects=(6, 8), shares=shares)
    places = [studio(np.random.default_rng(seed), 1, settings) for seed in range(6)]
    for place in places:
        people = [
            placed
            for placed in place.scene.placed
            if any(part.label_id == LABEL_BY_NAME["person"].label_id for part in placed.thing.parts)
        ]
        assert all(9.0 < placed.y < 26.0 for placed in people)
    numbers = [sum(counts(place).values()) for place in places]
    assert 3 <= min(numbers) <= max(numbers) <= 12  # a crowd may find no place; people on a bench count as one


def test_groups_put_objects_into_crowds_and_rows() -> None:
    def largest(groups: float) -> int:
        settings = replace(SETTINGS, groups=groups)
        places = [studio(np.random.default_rng(seed), 1, settings, "person") for seed in range(6)]
        return max(len({part.instance for part in placed.thing.parts}) for place in places for placed in place.scene.placed)

    assert largest(0.0) <= 5  # a bench and three people, a traffic light among the clutter
    assert largest(1.0) > 5


def test_a_stage_of_an_unknown_class_is_refused() -> None:
    with pytest.raises(ValueError, match="'tree'"):
        studio(np.random.default_rng(0), 1, SETTINGS, "tree")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": {"car": 1.0}}, "ten classes"),
        ({"shares": dict.fromkeys(SETTINGS.shares, 0.2)}, "sum to 1, got a sum of 2"),
        ({"shares": SETTINGS.shares | {"car": -0.1, "bus": 0.3}}, "0 or more"),  # type: ignore[operator]
        ({"distance": (9.0, 5.0)}, "nearest < farthest"),
        ({"objects": (5, 4)}, "least <= largest"),
        ({"groups": 1.5}, "groups must be between 0 and 1"),
    ],
)
def test_statistics_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **change)  # type: ignore[arg-type]
