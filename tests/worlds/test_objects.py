from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth2real.worlds.meshes import SceneObject
from synth2real.worlds.objects import buildings, carriages, cars, people, street_furniture, trucks, two_wheelers, vegetation
from synth2real.worlds.objects.car_shapes import CAR_KINDS

Builder = Callable[[np.random.Generator], SceneObject]

SIZES = {
    "car": ((1.6, 2.5), (2.7, 5.9), (1.2, 2.8)),
    "truck": ((2.2, 3.3), (5.8, 16.5), (2.4, 4.2)),
    "bus": ((2.0, 3.1), (6.3, 18.6), (2.5, 4.8)),
    "train": ((2.1, 2.9), (8.0, 37.0), (4.0, 6.0)),
    "traffic light": ((0.2, 11.0), (0.2, 1.4), (2.9, 7.0)),
    "traffic sign": ((0.4, 1.4), (0.05, 1.1), (1.9, 4.6)),
    "person": ((0.25, 2.0), (0.2, 3.2), (0.9, 2.5)),
    "bicycle": ((0.3, 1.2), (1.1, 2.8), (0.7, 1.5)),
    "cyclist": ((0.3, 1.3), (1.1, 2.8), (1.0, 2.2)),
    "motorcycle": ((0.45, 1.2), (1.4, 2.6), (0.9, 1.7)),
    "motorcyclist": ((0.45, 1.3), (1.4, 2.6), (1.3, 2.2)),
}
PEOPLE = {24: {1}, 5: {0}}  # a pram or a suitcase on wheels stands on the ground: it is dynamic
SIGN = {20: {1, 2, 3, 4, 5, 6}, 17: {0}}
CYCLIST = {25: {1}, 33: {2}}


def bicycle(kind: two_wheelers.BicycleKind, ridden: bool) -> Builder:
    return lambda rng: two_wheelers.bicycle(rng, ridden, kind=kind)


def light(kind: street_furniture.LightKind) -> Builder:
    return lambda rng: street_furniture.traffic_light(rng, kind=kind)


def sign(shape: street_furniture.SignShape) -> Builder:
    return lambda rng: street_furniture.traffic_sign(rng, shape)


def motorcycle(kind: two_wheelers.MotorcycleKind, ridden: bool) -> Builder:
    return lambda rng: two_wheelers.motorcycle(rng, ridden, kind=kind)


# builder, labels with the instances they may have, most triangles, and the ranges of (width, length, height) in metres
OBJECTS: dict[str, tuple[Builder, dict[int, set[int]], int, tuple[tuple[float, float], ...]]] = {
    "car": (cars.car, {26: {1}}, 1500, SIZES["car"]),
    "parked car": (lambda rng: cars.car(rng, parked=True), {26: {1}}, 1500, ((1.6, 4.2), (2.7, 7.4), (1.2, 2.8))),
    "truck": (trucks.truck, {27: {1}}, 1700, SIZES["truck"]),
    "bus": (carriages.bus, {28: {1}}, 2000, SIZES["bus"]),
    "train": (carriages.train, {31: {1}}, 2700, SIZES["train"]),
    **{f"{kind} car": (partial(cars.car, kind=kind), {26: {1}}, 1500, SIZES["car"]) for kind in CAR_KINDS},
    **{f"{kind} truck": (partial(trucks.truck, kind=kind), {27: {1}}, 1700, SIZES["truck"]) for kind in trucks.TRUCK_KINDS},
    **{f"{kind} bus": (partial(carriages.bus, kind=kind), {28: {1}}, 2000, SIZES["bus"]) for kind in carriages.BUS_KINDS},
    **{f"{kind}": (partial(carriages.train, kind=kind), {31: {1}}, 2700, SIZES["train"]) for kind in carriages.TRAIN_KINDS},
    "person": (people.person, PEOPLE, 850, SIZES["person"]),
    "walker": (lambda rng: people.person(rng, walking=True), PEOPLE, 850, SIZES["person"]),
    "bystander": (lambda rng: people.person(rng, walking=False), PEOPLE, 850, SIZES["person"]),
    "group": (lambda rng: people.group(rng, 5), {24: {1, 2, 3, 4, 5}, 5: {0}}, 4000, ((0.5, 6.5), (0.5, 6.5), (1.1, 2.7))),
    "sitting": (people.sitting, {24: {1, 2, 3}, 4: {0}}, 2300, ((1.4, 2.8), (0.7, 2.2), (0.8, 1.6))),
    **{f"{kind} bicycle": (bicycle(kind, False), {33: {1}}, 750, SIZES["bicycle"]) for kind in two_wheelers.BICYCLE_KINDS},
    **{f"{kind} cyclist": (bicycle(kind, True), CYCLIST, 1450, SIZES["cyclist"]) for kind in two_wheelers.BICYCLE_KINDS},
    **{f"{kind}": (motorcycle(kind, False), {32: {1}}, 900, SIZES["motorcycle"]) for kind in two_wheelers.MOTORCYCLE_KINDS},
    **{
        f"{kind} rider": (motorcycle(kind, True), {25: {1, 3}, 32: {2}}, 2300, SIZES["motorcyclist"])
        for kind in two_wheelers.MOTORCYCLE_KINDS
    },
    "bicycles": (lambda rng: two_wheelers.parked_row(rng, 4), {33: {1, 2, 3, 4}}, 3000, ((1.6, 4.0), (0.6, 3.0), (0.6, 1.6))),
    "motorcycles": (
        lambda rng: two_wheelers.parked_row(rng, 3, motorised=True),
        {32: {1, 2, 3}},
        2700,
        ((2.0, 5.0), (0.8, 3.6), (0.8, 1.8)),
    ),
    "tree": (vegetation.tree, {21: {0}}, 1200, ((0.9, 17.0), (0.9, 17.0), (3.2, 14.2))),
    "bush": (vegetation.bush, {21: {0}}, 600, ((0.5, 5.0), (0.5, 5.0), (0.3, 2.5))),
    "hedge": (vegetation.hedge, {21: {0}}, 900, ((0.4, 1.7), (5.8, 6.5), (0.8, 2.4))),
    "lamp_post": (street_furniture.lamp_post, {17: {0}}, 200, ((0.1, 0.7), (0.1, 6.0), (3.5, 9.5))),
    "pole": (street_furniture.pole, {17: {0}}, 200, ((0.1, 0.5), (0.1, 2.0), (5.4, 9.1))),
    "bollard": (street_furniture.bollard, {17: {0}}, 200, ((0.08, 0.3), (0.08, 0.3), (0.8, 1.1))),
    "traffic_light": (street_furniture.traffic_light, {19: {1, 2, 3, 4}, 17: {0}}, 950, SIZES["traffic light"]),
    **{
        f"{kind} light": (light(kind), {19: {1, 2, 3, 4}, 17: {0}}, 950, SIZES["traffic light"])
        for kind in street_furniture.LIGHT_KINDS
    },
    "traffic_sign": (street_furniture.traffic_sign, SIGN, 420, SIZES["traffic sign"]),
    **{f"{shape} sign": (sign(shape), SIGN, 420, SIZES["traffic sign"]) for shape in street_furniture.SIGN_SHAPES},
    "direction_sign": (street_furniture.direction_sign, {20: {1}, 17: {0}}, 200, ((1.3, 2.8), (0.05, 0.4), (2.2, 4.0))),
    "fence": (street_furniture.fence, {13: {0}}, 1200, ((0.03, 0.4), (5.9, 6.2), (0.9, 2.1))),
    "guard_rail": (street_furniture.guard_rail, {14: {0}}, 200, ((0.1, 0.5), (7.9, 8.2), (0.6, 0.9))),
    "wall": (street_furniture.wall, {12: {0}}, 200, ((0.2, 0.6), (5.9, 6.3), (0.8, 2.7))),
    "bus_shelter": (street_furniture.bus_shelter, {11: {0}}, 300, ((3.0, 5.0), (1.3, 2.0), (2.3, 2.8))),
    "bench": (street_furniture.bench, {4: {0}}, 200, ((1.3, 2.1), (0.3, 0.8), (0.7, 1.0))),
    "litter_bin": (street_furniture.litter_bin, {4: {0}}, 200, ((0.3, 0.9), (0.3, 0.9), (0.8, 1.3))),
    "house": (buildings.house, {11: {0}}, 700, ((6.9, 12.0), (7.9, 14.0), (4.0, 17.0))),
    "apartment_block": (buildings.apartment_block, {11: {0}}, 1200, ((11.9, 19.3), (10.0, 18.0), (8.0, 31.0))),
    "office": (buildings.office, {11: {0}}, 600, ((13.9, 24.5), (11.9, 20.0), (12.0, 38.0))),
    "shop_row": (buildings.shop_row, {11: {0}}, 1200, ((8.9, 18.3), (8.9, 17.0), (6.0, 28.0))),
    "store": (buildings.store, {11: {0}}, 300, ((13.9, 24.5), (11.9, 20.0), (4.5, 11.0))),
    "palm": (lambda rng: vegetation.tree(rng, "palm"), {21: {0}}, 600, ((2.0, 6.5), (2.0, 6.5), (4.2, 13.5))),
}
names = st.sampled_from(sorted(OBJECTS))
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=150, deadline=None)
@given(names, seeds)
def test_every_object_is_sound(name: str, seed: int) -> None:
    builder, labels, most, sizes = OBJECTS[name]
    built = builder(np.random.default_rng(seed))
    found: dict[int, set[int]] = {}
    for part in built.parts:
        mesh = part.mesh
        found.setdefault(part.label_id, set()).add(part.instance)
        assert np.isfinite(mesh.vertices).all()
        assert np.isfinite(mesh.texture_coordinates).all()
        assert mesh.colours.min() >= 0.0
        assert mesh.colours.max() <= 1.0
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-3)
        assert mesh.triangles.min() >= 0
        assert mesh.triangles.max() < len(mesh.vertices)
        assert (np.abs(mesh.vertices[:, 0]) <= built.footprint[0] / 2).all()
        assert (np.abs(mesh.vertices[:, 1]) <= built.footprint[1] / 2).all()
    assert next(iter(labels)) in found
    assert set(found) <= set(labels)
    assert all(found.get(label, set()) <= allowed for label, allowed in labels.items())
    assert sum(len(part.mesh.triangles) for part in built.parts) <= most
    low = min(float(part.mesh.vertices[:, 2].min()) for part in built.parts)
    assert -0.01 <= low <= 0.06, "an object stands on the ground, neither in it nor over it"
    for (least, largest), size in zip(sizes, (*built.footprint, built.height), strict=True):
        assert least <= size <= largest


@settings(max_examples=30, deadline=None)
@given(names, seeds)
def test_same_seed_same_arrays(name: str, seed: int) -> None:
    builder = OBJECTS[name][0]
    first, second = builder(np.random.default_rng(seed)), builder(np.random.default_rng(seed))
    assert first.footprint == second.footprint
    for a, b in zip(first.parts, second.parts, strict=True):
        assert (a.label_id, a.instance, a.visibility, a.mesh.texture) == (b.label_id, b.instance, b.visibility, b.mesh.texture)
        for field in ("vertices", "normals", "colours", "texture_coordinates", "triangles"):
            assert getattr(a.mesh, field).tobytes() == getattr(b.mesh, field).tobytes()


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_different_seeds_differ(name: str) -> None:
    builder = OBJECTS[name][0]
    shapes = {b"".join(part.mesh.vertices.tobytes() for part in builder(np.random.default_rng(seed)).parts) for seed in range(4)}
    assert len(shapes) > 1


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_triangles_face_the_way_their_normals_point(name: str) -> None:
    """Only few triangles may disagree: lumpy or bent surfaces with smooth normals, never whole faces."""
    for seed in range(3):
        for part in OBJECTS[name][0](np.random.default_rng(seed)).parts:
            a, b, c = (part.mesh.vertices[part.mesh.triangles[:, i]].astype(np.float64) for i in range(3))
            plane = np.cross(b - a, c - a)
            area = np.linalg.norm(plane, axis=1)
            shade = part.mesh.normals[part.mesh.triangles].mean(axis=1)
            wrong = np.einsum("ij,ij->i", plane, shade) < -1e-9
            assert area[wrong].sum() <= 0.02 * area.sum()


@pytest.mark.parametrize("name", sorted(set(OBJECTS) - {"palm"}))  # a frond has two sides and no rim
def test_the_nearest_surface_faces_the_viewer(name: str) -> None:
    """Rays from all sides meet a front face first: nothing is missing, and nothing is inside out. Leaves have one side."""
    rng = np.random.default_rng(7)
    front = hits = 0
    for seed in range(3):
        built = OBJECTS[name][0](np.random.default_rng(seed))
        closed = [p.mesh for p in built.parts if p.visibility != "label" and p.mesh.texture != vegetation.SPRAY]
        corners = np.concatenate([mesh.vertices[mesh.triangles] for mesh in closed]).astype(float)
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        a, edge1, edge2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        for yaw in rng.uniform(0, 2 * np.pi, 4):
            ray = np.array((np.cos(yaw), np.sin(yaw), -rng.uniform(0.02, 0.3)))
            origins = rng.uniform(low, high, (64, 3)) - 100.0 * ray
            # Moeller and Trumbore (1997)
            p = np.cross(ray, edge2)
            determinant = np.einsum("ij,ij->i", edge1, p)
            inverse = 1.0 / np.where(np.abs(determinant) < 1e-12, np.inf, determinant)
            offset = origins[:, None] - a
            u = np.einsum("kij,ij->ki", offset, p) * inverse
            q = np.cross(offset, edge1)
            v = (q @ ray) * inverse
            distance = np.einsum("kij,ij->ki", q, edge2) * inverse
            inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (np.abs(determinant) > 1e-12)
            nearest = np.where(inside, distance, np.inf).min(axis=1)
            met = np.isfinite(nearest)
            seen = inside & (distance <= nearest[:, None] + 1e-3)
            front += int((seen & (determinant > 0))[met].any(axis=1).sum())
            hits += int(met.sum())
    assert hits >= 5
    assert front >= 0.96 * hits


def test_car_kinds_have_their_proportions() -> None:
    sizes = {
        kind: np.array([(car.footprint[1], car.height) for car in (cars.car(np.random.default_rng(s), kind) for s in range(9))])
        for kind in CAR_KINDS
    }
    length, height = ({kind: size[:, axis].mean() for kind, size in sizes.items()} for axis in (0, 1))
    assert length["city"] < length["hatchback"] < length["saloon"] < length["pickup"]
    assert height["coupe"] < height["saloon"] < height["suv"] < height["jeep"] < height["van"]
    assert height["taxi"] > height["saloon"] - 0.1


def test_parked_cars_have_open_doors_and_turned_wheels_at_times_and_driven_ones_never() -> None:
    def widths(parked: bool) -> set[float]:
        built = (cars.car(np.random.default_rng(seed), "suv", parked=parked) for seed in range(30))
        return {round(car.footprint[0], 3) for car in built}

    assert max(widths(False)) < 2.4
    assert max(widths(True)) > max(widths(False))


def test_paint_is_drawn_for_each_vehicle_of_a_model() -> None:
    suvs = [cars.car(np.random.default_rng(seed), "suv") for seed in range(40)]
    colours: dict[bytes, set[bytes]] = {}
    for built in suvs:
        mesh = built.parts[0].mesh
        colours.setdefault(mesh.vertices.tobytes(), set()).add(mesh.colours.tobytes())
    assert 1 < len(colours) < 10
    assert sum(len(paints) for paints in colours.values()) > 30


def test_pedestrians_who_share_a_body_wear_their_own_colours() -> None:
    meshes = [people.person(np.random.default_rng(seed), False, True).parts[0].mesh for seed in range(80)]
    colours: dict[bytes, set[bytes]] = {}
    for mesh in meshes:
        colours.setdefault(mesh.vertices.tobytes(), set()).add(mesh.colours.tobytes())
    assert 10 < len(colours) < len(meshes)
    assert sum(len(worn) for worn in colours.values()) > 0.9 * len(meshes)


def test_children_are_smaller_than_adults() -> None:
    builds = {child: [people.random_build(np.random.default_rng(seed), child) for seed in range(40)] for child in (True, False)}
    assert max(build.stature for build in builds[True]) < 1.5
    assert min(build.stature for build in builds[False]) > 1.5
    assert min(build.head for build in builds[True]) > max(build.head for build in builds[False])


def test_people_of_a_group_are_instances_of_their_own_and_apart() -> None:
    for seed in range(10):
        members = people.group(np.random.default_rng(seed), 4).parts
        centres = {
            number: np.concatenate([part.mesh.vertices for part in members if part.instance == number]).mean(axis=0)
            for number in (1, 2, 3, 4)
        }
        apart = [float(np.linalg.norm(centres[a][:2] - centres[b][:2])) for a in centres for b in centres if a < b]
        assert np.median(apart) > 0.4


def test_what_stands_beside_people_is_dynamic() -> None:
    labels = [{part.label_id for part in people.person(np.random.default_rng(seed), False, True).parts} for seed in range(120)]
    assert 0.02 < np.mean([people.DYNAMIC in found for found in labels]) < 0.4


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 6.283), st.floats(0.5, 1.1), seeds)
def test_walking_keeps_bone_lengths_and_a_foot_on_the_ground(phase: float, stride: float, seed: int) -> None:
    build = people.random_build(np.random.default_rng(seed))
    joints = people.walking_joints(build, phase, stride)
    for a, b, share in (
        (joints.hips, joints.knees, 0.245),
        (joints.knees, joints.ankles, 0.246),
        (joints.shoulders, joints.elbows, 0.172),
        (joints.elbows, joints.wrists, 0.15),
    ):
        assert np.allclose(np.linalg.norm(a - b, axis=1), share * build.stature, rtol=1e-6)
    assert joints.ankles[:, 2].min() == pytest.approx(0.045 * build.stature)
    assert joints.head[2] > joints.chest[2] > joints.pelvis[2]


def test_gait_is_periodic_and_mirrors_after_half_a_cycle() -> None:
    build = people.random_build(np.random.default_rng(0))
    now, later, half = (people.walking_joints(build, 0.7 + turn) for turn in (0.0, 2 * np.pi, np.pi))
    assert np.allclose(now.knees, later.knees)
    assert np.allclose(now.knees * (-1, 1, 1), half.knees[::-1])


@settings(max_examples=20, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.05, 1.2))
def test_reach_keeps_bone_lengths_and_arrives_where_it_can(x: float, y: float, distance: float) -> None:
    root = np.zeros((2, 3))
    direction = np.array((x, y, -1.0)) / np.linalg.norm((x, y, -1.0))
    tip = np.stack((direction, direction)) * distance
    middle, end = people.reach(root, tip, 0.4, 0.45, (0.3, 1.0, 0.2))
    assert np.allclose(np.linalg.norm(middle, axis=1), 0.4, rtol=1e-6)
    assert np.allclose(np.linalg.norm(end - middle, axis=1), 0.45, rtol=1e-6)
    if 0.06 < distance < 0.84:
        assert np.allclose(end, tip, atol=1e-9)


def test_riders_hold_the_bars_and_sit_above_the_wheels() -> None:
    for seed in range(10):
        built = two_wheelers.bicycle(np.random.default_rng(seed), ridden=True, kind="tour")
        rider = np.concatenate([part.mesh.vertices for part in built.parts if part.label_id == two_wheelers.RIDER])
        machine = np.concatenate([part.mesh.vertices for part in built.parts if part.label_id == two_wheelers.BICYCLE])
        assert rider[:, 2].max() > machine[:, 2].max() + 0.3
        front = rider[rider[:, 1] > 0.05]
        grips = machine[np.abs(machine[:, 0]) > 0.2]
        assert np.linalg.norm(front[:, None] - grips[None], axis=2).min() < 0.08


def test_wheels_and_railings_are_filled_in_the_label_picture_only() -> None:
    rng = np.random.default_rng(0)
    for built, label in (
        (two_wheelers.bicycle(rng, False), 33),
        (street_furniture.fence(rng, kind="bars"), 13),
        (vegetation.tree(rng, "bare"), 21),
    ):
        (filling,) = [part for part in built.parts if part.visibility == "label"]
        assert filling.label_id == label
    assert all(part.visibility == "both" for part in street_furniture.fence(rng, kind="bars", filled=False).parts)


@pytest.mark.parametrize("state", [0, 1, 2])
def test_one_lamp_of_a_signal_is_lit(state: int) -> None:
    built = street_furniture.traffic_light(np.random.default_rng(1), state, kind="post")
    colours = np.concatenate([part.mesh.colours for part in built.parts if part.label_id == 19 and part.instance == 1])
    lit = np.unique(colours[colours.max(axis=1) > 0.8], axis=0)
    assert np.allclose(lit, street_furniture.LIGHTS_ON[state])


@pytest.mark.parametrize("length", [1.0, 3.5, 12.0])
def test_long_things_have_the_wanted_length(length: float) -> None:
    rng = np.random.default_rng(0)
    for build in (street_furniture.fence, street_furniture.guard_rail, street_furniture.wall, vegetation.hedge):
        assert build(rng, length).footprint[1] == pytest.approx(length, abs=0.35)


@pytest.mark.parametrize(
    "build",
    [
        lambda rng: cars.car(rng, "tractor"),  # type: ignore[arg-type]
        lambda rng: trucks.truck(rng, "tractor"),  # type: ignore[arg-type]
        lambda rng: carriages.bus(rng, kind="tractor"),  # type: ignore[arg-type]
        lambda rng: carriages.train(rng, kind="tractor"),  # type: ignore[arg-type]
        lambda rng: carriages.train(rng, 0),
        lambda rng: people.group(rng, 0),
        lambda rng: two_wheelers.parked_row(rng, 0),
        lambda rng: two_wheelers.bicycle(rng, kind="tandem"),  # type: ignore[arg-type]
        lambda rng: two_wheelers.motorcycle(rng, kind="tandem"),  # type: ignore[arg-type]
        lambda rng: vegetation.tree(rng, "cactus"),  # type: ignore[arg-type]
        lambda rng: vegetation.tree(rng, height=0.0),
        lambda rng: vegetation.hedge(rng, 0.0),
        lambda rng: street_furniture.traffic_light(rng, 3),
        lambda rng: street_furniture.traffic_light(rng, kind="lantern"),  # type: ignore[arg-type]
        lambda rng: street_furniture.traffic_sign(rng, "hexagon"),  # type: ignore[arg-type]
        lambda rng: street_furniture.fence(rng, -1.0),
        lambda rng: street_furniture.guard_rail(rng, 0.0),
        lambda rng: street_furniture.wall(rng, 0.0),
    ],
)
def test_unknown_kinds_and_lengths_are_refused(build: Builder) -> None:
    with pytest.raises((ValueError, TypeError), match=r"[Ee]xpected"):
        build(np.random.default_rng(0))
