"""Nothing floats, sinks or stands where it must not: over many streets of both looks, on hills and at crossings."""

from typing import NamedTuple

import numpy as np
import pytest

from synth2real.label_space import LABEL_BY_NAME
from synth2real.worlds.plans import HABITS, KERB, plan
from synth2real.worlds.rendering import FLAT, Placed, Scene
from synth2real.worlds.streets import Street, StreetLook, street

ROAD, SIDEWALK, BUILDING = (LABEL_BY_NAME[name].label_id for name in ("road", "sidewalk", "building"))
VEHICLES = {LABEL_BY_NAME[name].label_id for name in ("car", "truck", "bus", "train", "motorcycle", "bicycle")}
STANDING = {LABEL_BY_NAME[name].label_id for name in ("pole", "traffic light", "traffic sign", "vegetation", "fence", "wall")}
SEEDS = range(4)


class Case(NamedTuple):
    look: StreetLook
    seed: int


@pytest.fixture(scope="module")
def streets() -> dict[Case, Street]:
    cases = [Case(look, seed) for look in ("game", "camera") for seed in SEEDS]
    return {case: street(np.random.default_rng((31, case.seed)), case.look, 2, "day") for case in cases}


def labels(placed: Placed) -> set[int]:
    return {part.label_id for part in placed.thing.parts}


def feet(placed: Placed) -> np.ndarray:
    """Vertices that touch the ground."""
    parts = placed.thing.at(placed.x, placed.y, placed.yaw, placed.z, placed.slope)
    pairs = zip(parts, placed.thing.parts, strict=True)
    return np.concatenate([part.mesh.vertices[own.mesh.vertices[:, 2] < 0.06] for part, own in pairs])


def ground_labels(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Label of the highest ground at each (x, y); -1 where there is none."""
    found, top = np.full(len(points), -1), np.full(len(points), -np.inf)
    for part in scene.ground:
        if part.visibility != "both":
            continue
        low, high = part.mesh.vertices.min(0), part.mesh.vertices.max(0)
        inside = np.flatnonzero(((points >= low[:2]) & (points <= high[:2])).all(1))
        if not len(inside):
            continue
        a, b, c = (part.mesh.vertices[part.mesh.triangles[:, i]].astype(np.float64)[None] for i in range(3))
        p = points[inside][:, None]
        area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (c[..., 0] - a[..., 0]) * (b[..., 1] - a[..., 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            s = ((p[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (c[..., 0] - a[..., 0]) * (p[..., 1] - a[..., 1])) / area
            t = ((b[..., 0] - a[..., 0]) * (p[..., 1] - a[..., 1]) - (p[..., 0] - a[..., 0]) * (b[..., 1] - a[..., 1])) / area
            hit = (np.abs(area) > 1e-9) & (s >= 0) & (t >= 0) & (s + t <= 1)
            z = np.where(hit, a[..., 2] + s * (b[..., 2] - a[..., 2]) + t * (c[..., 2] - a[..., 2]), -np.inf).max(1)
        better = z > top[inside]
        top[inside[better]], found[inside[better]] = z[better], part.label_id
    return found


def test_the_streets_are_of_all_kinds() -> None:
    """Else the other tests here would say little."""
    plans = [plan(np.random.default_rng((31, seed)), city) for city in HABITS for seed in SEEDS]
    assert any(p.relief is FLAT for p in plans)
    assert any(p.relief is not FLAT for p in plans)
    assert any(p.ends_there for p in plans)
    assert any(len(p.crossings) > 1 for p in plans)
    assert any(crossing.has_signals for p in plans for crossing in p.crossings)
    assert any(max(p.angles) > 0 and max(p.parking) > 3 for p in plans)


def test_european_streets_are_narrower_and_nobody_drives_on_their_left() -> None:
    plans = {city: [plan(np.random.default_rng((37, seed)), city) for seed in range(40)] for city in HABITS}
    american, european = plans["american"], plans["european"]
    assert np.mean([p.inner for p in european]) < 0.8 * np.mean([p.inner for p in american])
    assert all(p.drive == 1 for p in european)


def test_nothing_floats_or_sinks(streets: dict[Case, Street]) -> None:
    """Within 0.3 m of the ground, all that touches it; buildings, which stand upright on slopes, at their middle."""
    for case, place in streets.items():
        relief = place.scene.relief
        for placed in place.scene.placed:
            assert -0.01 <= placed.z - relief.at(placed.y) <= KERB + 0.01, (case, labels(placed))
            if labels(placed) != {BUILDING} and not placed.moves:
                touching = feet(placed)
                off = touching[:, 2] - relief.at(touching[:, 1])
                assert np.abs(off).max() <= 0.3, (case, labels(placed), placed.y, np.abs(off).max())


def test_buildings_on_slopes_have_no_gap_below(streets: dict[Case, Street]) -> None:
    sloping = 0
    for case, place in streets.items():
        relief = place.scene.relief
        for placed in place.scene.placed:
            if labels(placed) == {BUILDING} and min(placed.thing.footprint) > 4.0:
                parts = placed.thing.at(placed.x, placed.y, placed.yaw, placed.z, placed.slope)
                vertices = np.concatenate([part.mesh.vertices for part in parts])
                sloping += bool(abs(relief.slope(placed.y)) > 0.03)
                assert vertices[:, 2].min() <= relief.at((vertices[:, 1].min(), vertices[:, 1].max())).min() + 0.15, case
    assert sloping > 10


def test_what_stands_stands_beside_the_road(streets: dict[Case, Street]) -> None:
    """No pole, tree, fence, wall, sign or light has its foot on the road."""
    for case, place in streets.items():
        things = [p for p in place.scene.placed if labels(p) & STANDING and not p.moves and p.y < 110.0 and abs(p.x) < 40.0]
        points = np.concatenate([feet(p)[:1, :2] for p in things])
        on = ground_labels(place.scene, points)
        wrong = [(sorted(labels(p)), p.x, p.y) for p, label in zip(things, on, strict=True) if label == ROAD]
        assert not wrong, (case, wrong)


def test_vehicles_are_on_the_road_and_buildings_off_it(streets: dict[Case, Street]) -> None:
    for case, place in streets.items():
        cars = [p for p in place.scene.placed if p.thing.footprint[1] > 3.2 and labels(p) & VEHICLES]
        on = ground_labels(place.scene, np.array([(p.x, p.y) for p in cars]))
        assert not set(on) & {SIDEWALK, -1}, (case, [(p.x, p.y) for p, label in zip(cars, on, strict=True) if label != ROAD])
        houses = [p for p in place.scene.placed if labels(p) == {BUILDING} and min(p.thing.footprint) > 4.0 and p.y < 120.0]
        walls = [p.thing.at(p.x, p.y, p.yaw, p.z)[0].mesh.vertices[:8, :2] for p in houses]
        under = ground_labels(place.scene, np.concatenate(walls))
        assert not (under == ROAD).any(), case


def test_vehicles_keep_to_the_road_while_views_are_taken(streets: dict[Case, Street]) -> None:
    """After six seconds nothing has driven into the houses at the end of a street."""
    for case, place in streets.items():
        moving = [p for p in place.scene.placed if p.moves and labels(p) & VEHICLES]
        if moving:
            ends = np.array([(p.x + 6.0 * p.velocity[0], p.y + 6.0 * p.velocity[1]) for p in moving])
            inside = (ends[:, 1] > -10.0) & (ends[:, 1] < 150.0)
            on = ground_labels(place.scene, ends[inside])
            assert (on != SIDEWALK).all(), case


def test_still_vehicles_do_not_stand_in_each_other(streets: dict[Case, Street]) -> None:
    """Their middles, and points a third of the way to both ends, lie in no other one."""
    for case, place in streets.items():
        still = [p for p in place.scene.placed if not p.moves and p.thing.footprint[1] > 3.2 and labels(p) & VEHICLES]
        for placed in still:
            ahead = np.array((-np.sin(placed.yaw), np.cos(placed.yaw))) * placed.thing.footprint[1] / 3.0
            for other in still:
                if other is placed:
                    continue
                turn = np.array(((np.cos(other.yaw), np.sin(other.yaw)), (-np.sin(other.yaw), np.cos(other.yaw))))
                for step in (-1.0, 0.0, 1.0):
                    offset = turn @ (np.array((placed.x - other.x, placed.y - other.y)) + step * ahead)
                    assert (np.abs(offset) > np.array(other.thing.footprint) / 2 - 0.15).any(), (case, placed.x, placed.y)


def test_cameras_stand_above_the_ground_and_look_along_it(streets: dict[Case, Street]) -> None:
    for place in streets.values():
        relief = place.scene.relief
        for view in place.views:
            assert 1.1 < view.z - relief.at(view.y) < 1.6
            assert abs(np.tan(view.pitch) - relief.slope(view.y)) < 0.14
