from collections.abc import Callable

import numpy as np
import pytest

from synth2real.worlds.lamps import GLOW, lit
from synth2real.worlds.meshes import SceneObject
from synth2real.worlds.objects import carriages, cars, people, street_furniture, trucks

Maker = Callable[[np.random.Generator], SceneObject]


def corners(thing: SceneObject, shining: bool) -> np.ndarray:
    parts = [part.mesh for part in thing.parts if (part.mesh.texture == GLOW) == shining]
    return np.concatenate([mesh.vertices[mesh.triangles] for mesh in parts]) if parts else np.zeros((0, 3, 3), np.float32)


@pytest.mark.parametrize(
    "maker",
    [cars.car, trucks.truck, carriages.bus, carriages.train, street_furniture.traffic_light, street_furniture.lamp_post],
)
def test_lamps_shine_and_all_labels_stay(maker: Maker) -> None:
    shining = 0
    for seed in range(8):
        thing = maker(np.random.default_rng(seed))
        on = lit(thing).thing
        shining += len(corners(on, True)) > 0
        assert len(corners(on, True)) < len(corners(on, False))
        assert {(p.label_id, p.instance) for p in on.parts} == {(p.label_id, p.instance) for p in thing.parts}
        assert on.footprint == thing.footprint
        everything = np.concatenate((corners(on, True), corners(on, False)))
        assert {c.tobytes() for c in everything} == {c.tobytes() for c in corners(thing, False)}
    assert shining >= (5 if maker is street_furniture.traffic_light else 8)  # a signal may be between two states


def test_cars_have_white_light_before_and_red_light_behind() -> None:
    for seed in range(8):
        for part in lit(cars.car(np.random.default_rng(seed))).thing.parts:
            if part.mesh.texture == GLOW:
                is_red = part.mesh.colours[:, 0] > 4 * part.mesh.colours[:, 1]
                assert is_red.any()
                assert not is_red.all()
                assert part.mesh.vertices[is_red, 1].mean() < 0 < part.mesh.vertices[~is_red, 1].mean()


def test_street_lamps_alone_light_their_surroundings() -> None:
    thing = street_furniture.lamp_post(np.random.default_rng(3))
    head = lit(thing).head
    assert head is not None
    assert 0.7 * thing.height < head[2] < thing.height
    for other in (cars.car, people.person, street_furniture.traffic_light):
        assert lit(other(np.random.default_rng(0))).head is None


def test_what_has_no_lamps_stays_as_it_is() -> None:
    thing = people.person(np.random.default_rng(0))
    assert lit(thing).thing == thing
