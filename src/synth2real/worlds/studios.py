"""VEIS-style scenes: objects with true shape and pose, unreal texture, on a plain stage (Saleh et al., ECCV 2018).

``multi_class`` stages hold many objects of the ten foreground classes at all yaws, alone, in crowds and in rows, overlapping in
the picture; ``single_class`` stages hold objects of one class. What matters is their outline: ground and backdrop vary freely,
from a bare stage to a row of facades with road, trees and posts, so that a detector learns what is *not* an object too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from synth2real.label_space import LABEL_BY_NAME, VEIS_LABELS
from synth2real.worlds import looks
from synth2real.worlds.meshes import Part, SceneObject, boxes, grid, quads, scene_object
from synth2real.worlds.objects import buildings, carriages, cars, people, street_furniture, trucks, two_wheelers, vegetation
from synth2real.worlds.rendering import Placed, Scene, View, footprints_overlap
from synth2real.worlds.streets import Street

_Maker = Callable[[np.random.Generator], SceneObject]

_MAKERS: Final[dict[str, _Maker]] = {
    "traffic light": street_furniture.traffic_light,
    "traffic sign": lambda rng: (street_furniture.traffic_sign if rng.random() < 0.85 else street_furniture.direction_sign)(rng),
    "person": lambda rng: people.person(rng) if rng.random() < 0.93 else people.sitting(rng),
    "rider": lambda rng: (two_wheelers.bicycle if rng.random() < 0.6 else two_wheelers.motorcycle)(rng, ridden=True),
    "car": lambda rng: cars.car(rng, parked=bool(rng.random() < 0.4)),
    "truck": trucks.truck,
    "bus": carriages.bus,
    "train": lambda rng: carriages.train(rng, cars=int(rng.integers(1, 3))),
    "motorcycle": lambda rng: two_wheelers.motorcycle(rng, ridden=bool(rng.random() < 0.4)),
    "bicycle": lambda rng: two_wheelers.bicycle(rng, ridden=bool(rng.random() < 0.4)),
}
_NAMES: Final = tuple(label.name for label in VEIS_LABELS)
_TOGETHER: Final = {"person": 9, "rider": 4, "car": 6, "truck": 2, "bus": 2, "motorcycle": 5, "bicycle": 8}
"""How many of a class stand together at most, in a crowd or a row."""

_ROAD: Final = LABEL_BY_NAME["road"].label_id
_WIDE: Final = 100.0  # metres; half the width of a stage without facades along its sides
_FLOORS: Final = ("asphalt", "paving", "grass", "concrete", "soil", "cobble", "plaster", "wood", "brick")
_WALLS: Final = ("brick", "plaster", "concrete", "leaves", "wood", "stone", "windows", "shopfront", "rock", "metal")
_BUILDINGS: Final[tuple[_Maker, ...]] = (buildings.house, buildings.apartment_block, buildings.office, buildings.shop_row)
_CLUTTER: Final[tuple[_Maker, ...]] = (
    street_furniture.pole,
    street_furniture.lamp_post,
    street_furniture.bollard,
    street_furniture.bench,
    street_furniture.litter_bin,
    street_furniture.fence,
    street_furniture.wall,
    vegetation.bush,
    vegetation.hedge,
    vegetation.tree,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """The statistics of a stage's objects.

    Attributes:
        shares: of each of the ten foreground classes among the objects of a ``multi_class`` stage; they sum to 1. What a rider
            sits on is not counted.
        distance: of the objects' near ends from the cameras' mean place, nearest and farthest, metres; even in its logarithm.
        objects: least and largest number of objects on a stage; on a ``single_class`` stage half as many.
        groups: share of the objects that stand in crowds and rows where their class does, 0 to 1.
    """

    shares: Mapping[str, float]
    distance: tuple[float, float]
    objects: tuple[int, int]
    groups: float

    def __post_init__(self) -> None:
        if set(self.shares) != set(_NAMES):
            raise ValueError(f"shares must name the ten classes {', '.join(_NAMES)}, got {', '.join(self.shares)}")
        total = sum(self.shares.values())
        if min(self.shares.values()) < 0 or abs(total - 1.0) > 1e-6:
            raise ValueError(f"shares must be 0 or more and sum to 1, got a sum of {total:g}")
        if not 1.0 <= self.distance[0] < self.distance[1]:
            raise ValueError(f"distance must be [nearest, farthest] with 1 <= nearest < farthest, got {list(self.distance)}")
        if not 1 <= self.objects[0] <= self.objects[1]:
            raise ValueError(f"objects must be [least, largest] with 1 <= least <= largest, got {list(self.objects)}")
        if not 0.0 <= self.groups <= 1.0:
            raise ValueError(f"groups must be between 0 and 1, got {self.groups}")


def studio(rng: np.random.Generator, views: int, settings: StageSettings, class_name: str | None = None) -> Street:
    """A stage with objects and ``views`` cameras before them.

    Args:
        rng: source of everything; equal generators give equal stages.
        views: how many cameras, at least 1.
        settings: which objects, how many and how far.
        class_name: of a ``single_class`` stage, one of the ten foreground classes; ``multi_class`` if not given.

    Raises:
        ValueError: if the class is none of the ten.
    """
    if class_name is not None and class_name not in _MAKERS:
        raise ValueError(f"expected one of {', '.join(_MAKERS)}, got {class_name!r}")
    alley = float(rng.uniform(9.0, 18.0)) if rng.random() < 0.5 else _WIDE
    placed: list[Placed] = []
    for cluster, name in _cast(rng, settings, class_name):
        placed += _spot(rng, cluster, placed, name, settings.distance, alley)
    placed += [thing for thing in _clutter(rng) if not any(_touch(thing, other) for other in placed)]
    placed += _backdrop(rng, alley)
    light = looks.light(rng, "studio")
    scene = Scene(_stage(rng), tuple(placed), light, looks.materials("studio"), looks.sky(rng, "studio", light))
    return Street(scene, tuple(_view(rng) for _ in range(views)), float(rng.uniform(0.85, 1.25)))


def _cast(rng: np.random.Generator, settings: StageSettings, class_name: str | None) -> list[tuple[list[Placed], str]]:
    """What stands on a stage, in no order: single things, crowds and rows, each about the origin and facing +y."""
    count = int(rng.integers(settings.objects[0], settings.objects[1] + 1))
    if class_name is None:
        wanted = rng.multinomial(count, [settings.shares[name] for name in _NAMES])
    else:
        wanted = np.where(np.array(_NAMES) == class_name, max(1, count // 2), 0)
    cast = []
    for name, left in zip(_NAMES, wanted.tolist(), strict=True):
        while left > 0:
            most = min(left, _TOGETHER.get(name, 1))
            together = int(rng.integers(2, most + 1)) if most > 1 and rng.random() < settings.groups else 1
            cast.append((_cluster(rng, name, together), name))
            left -= together
    return [cast[i] for i in rng.permutation(len(cast))]


def _cluster(rng: np.random.Generator, name: str, count: int) -> list[Placed]:
    """Objects of a class that belong together."""
    if count == 1:
        return [Placed(_MAKERS[name](rng), 0.0, 0.0)]
    if name == "person":
        return [Placed(people.group(rng, count), 0.0, 0.0)]
    if name in ("bicycle", "motorcycle"):
        return [Placed(two_wheelers.parked_row(rng, count, motorised=name == "motorcycle"), 0.0, 0.0)]
    things = [cars.car(rng, parked=True) if name == "car" else _MAKERS[name](rng) for _ in range(count)]
    row, side_by_side = [], name == "rider" or (name == "car" and rng.random() < 0.4)
    across = along = 0.0
    for thing in things:
        width, length = thing.footprint
        turned = np.pi if name == "car" and rng.random() < 0.3 else 0.0
        if side_by_side:
            row.append(Placed(thing, across + width / 2, float(rng.normal(0.0, 0.25)), turned))
            across += width + float(rng.uniform(0.3, 0.9))
        else:
            row.append(Placed(thing, float(rng.normal(0.0, 0.08)), along + length / 2, turned))
            along += length + float(rng.uniform(0.4, 1.2))
    return [one._replace(x=one.x - across / 2, y=one.y - along / 2) for one in row]


def _spot(
    rng: np.random.Generator,
    cluster: list[Placed],
    others: list[Placed],
    name: str,
    distance: tuple[float, float],
    alley: float,
) -> list[Placed]:
    """The cluster where none of it stands in another; nothing if no such place is found."""
    longest = 2.0 * max(float(np.hypot(one.x, one.y)) + max(one.thing.footprint) / 2 for one in cluster)
    near, far = np.log(distance)
    for _ in range(10):
        along = float(np.exp(rng.uniform(near, far))) + 0.55 * longest
        reach = max(1.0, min(0.6 * (along + 2.0), alley - 0.5 * longest))
        x, yaw = float(rng.uniform(-reach, reach)), _yaw(rng, name)
        c, s = np.cos(yaw), np.sin(yaw)
        spot = [
            one._replace(x=float(x + c * one.x - s * one.y), y=float(along + s * one.x + c * one.y), yaw=one.yaw + yaw)
            for one in cluster
        ]
        if not any(_touch(one, other) for one in spot for other in others):
            return spot
    return []


def _touch(one: Placed, other: Placed) -> bool:
    """Whether two footprints are less than 0.1 m apart; most pairs are told apart by their circumcircles."""
    reach = 0.5 * (math.hypot(*one.thing.footprint) + math.hypot(*other.thing.footprint)) + 0.1
    return math.hypot(one.x - other.x, one.y - other.y) < reach and footprints_overlap(one, other, 0.1)


def _yaw(rng: np.random.Generator, name: str) -> float:
    if name.startswith("traffic") and rng.random() < 0.85:
        return float(rng.normal(0.0, 0.5))  # from behind or edge-on a plate does not show what it is: most face the cameras
    if rng.random() < 0.35:  # along a road or across it, as most things are in streets
        return float(0.5 * np.pi * rng.choice((0, 0, 1, 2, 2, 3)) + rng.normal(0.0, 0.08))
    return float(rng.uniform(0.0, 2.0 * np.pi))


def _stage(rng: np.random.Generator) -> tuple[Part, ...]:
    """The ground: one material, and on it, half of the times, a road with marks and pavements in the cameras' direction."""
    parts = [_floor(rng, (-150.0, 150.0), 0.0, (24, 24))]
    if rng.random() < 0.5:
        middle, half = rng.normal(0.0, 2.0), rng.uniform(3.0, 7.0)
        parts.append(_floor(rng, (middle - half, middle + half), 0.012, (2, 24), "asphalt"))
        for side in (-1, 1):
            low, high = sorted((middle + side * half, middle + side * (half + rng.uniform(0.15, 4.0))))
            parts.append(_floor(rng, (low, high), 0.024, (1, 24)))
        starts = np.arange(0.0, 90.0, rng.uniform(3.0, 9.0))
        lines = np.zeros((len(starts), 4, 3))
        lines[:, :, 0] = middle + np.array((-0.07, 0.07, 0.07, -0.07))
        lines[:, :, 1] = starts[:, None] + np.array((0.0, 0.0, 2.0, 2.0))
        lines[:, :, 2] = 0.024
        parts.append(Part(_ROAD, 0, quads(lines, rng.uniform(0.3, 0.7, 3))))
    return tuple(parts)


def _floor(
    rng: np.random.Generator, across: tuple[float, float], z: float, cells: tuple[int, int], texture: str | None = None
) -> Part:
    material = texture or str(rng.choice(_FLOORS))
    colour = rng.uniform(0.05, 0.5) * rng.uniform(0.5, 1.0, 3)
    label = LABEL_BY_NAME["terrain"].label_id if material in ("grass", "soil") else _ROAD
    corner, width = (across[0], -30.0, z), (across[1] - across[0], 0.0, 0.0)
    return Part(label, 0, grid(corner, width, (0.0, 300.0, 0.0), cells, colour, material))


def _backdrop(rng: np.random.Generator, alley: float) -> list[Placed]:
    """What stands behind the objects."""
    far = float(rng.uniform(46.0, 75.0))
    placed = []
    if alley < _WIDE:
        for side in (-1.0, 1.0):
            along = float(rng.uniform(-4.0, 6.0))
            while along < far:
                house = buildings.building(rng)
                width, depth = house.footprint
                placed.append(Placed(house, side * (alley + depth / 2), along + width / 2, side * np.pi / 2))
                along += width + float(rng.choice((0.02, 3.0)))
    if rng.random() < 0.5:
        across = -0.8 * far
        while across < 0.8 * far:
            house = buildings.building(rng)
            width, depth = house.footprint
            placed.append(Placed(house, across + width / 2, far + depth / 2, np.pi))
            across += width
    if rng.random() < 0.5:
        trees = [vegetation.tree(rng) for _ in range(3)]
        for across in rng.uniform(-0.7 * far, 0.7 * far, int(rng.integers(4, 14))):
            thing = trees[int(rng.integers(3))]
            placed.append(Placed(thing, float(across), far * float(rng.uniform(0.6, 0.98)), float(rng.uniform(0.0, 6.28))))
    if rng.random() < 0.4:
        placed += [_panel(rng, far) for _ in range(int(rng.integers(3, 12)))]
    return placed


def _clutter(rng: np.random.Generator) -> list[Placed]:
    """What stands between the objects and is none of them."""
    placed = []
    for _ in range(int(rng.integers(0, 12))):
        along = float(rng.uniform(8.0, 45.0))
        thing = _CLUTTER[int(rng.integers(len(_CLUTTER)))](rng)
        placed.append(Placed(thing, float(rng.uniform(-0.6, 0.6) * along), along, float(rng.uniform(0.0, 6.28))))
    return placed


def _panel(rng: np.random.Generator, far: float) -> Placed:
    """An upright slab of any material and colour."""
    size = (float(rng.uniform(1.0, 12.0)), 0.2, float(rng.uniform(1.0, 7.0)))
    slab = boxes((0.0, 0.0, size[2] / 2), size, rng.uniform(0.02, 0.7, 3), str(rng.choice(_WALLS)))
    thing = scene_object([Part(LABEL_BY_NAME["wall"].label_id, 0, slab)])
    along = float(rng.uniform(0.45, 0.95)) * far
    return Placed(thing, float(rng.uniform(-0.6, 0.6)) * along, along, float(rng.normal(0.0, 0.5)))


def _view(rng: np.random.Generator) -> View:
    across, along = float(rng.normal(0.0, 1.4)), float(rng.uniform(-2.5, 3.5))
    return View(
        x=across,
        y=along,
        z=float(rng.uniform(1.0, 2.2)),
        yaw=float(rng.normal(0.03 * across, 0.14)),
        pitch=float(rng.normal(-0.025, 0.03)),
        roll=float(rng.normal(0.0, 0.01)),
        field_of_view=float(np.radians(rng.uniform(42.0, 66.0))),
    )
