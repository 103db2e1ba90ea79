"""VEIS-style scenes: objects with true shape and pose, unreal texture, on a plain stage (Saleh et al., ECCV 2018).

``multi_class`` stages hold many objects of the ten foreground classes at all yaws, crowded and overlapping; ``single_class``
stages hold objects of one class. What matters is their outline: ground and backdrop vary freely, from a bare stage to a row of
facades with road, trees and posts, so that a detector learns what is *not* an object too.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from synth2real.label_space import LABEL_BY_NAME, VEIS_LABELS
from synth2real.worlds import looks
from synth2real.worlds.meshes import Part, SceneObject, boxes, grid, quads, scene_object
from synth2real.worlds.objects import people, street_furniture, two_wheelers, vegetation, vehicles
from synth2real.worlds.rendering import Placed, Scene, View, footprints_overlap
from synth2real.worlds.streets import Street, building

_MAKERS: Final[dict[str, Callable[[np.random.Generator], SceneObject]]] = {
    "traffic light": street_furniture.traffic_light,
    "traffic sign": street_furniture.traffic_sign,
    "person": people.person,
    "rider": lambda rng: (two_wheelers.bicycle if rng.random() < 0.6 else two_wheelers.motorcycle)(rng, ridden=True),
    "car": vehicles.car,
    "truck": vehicles.truck,
    "bus": vehicles.bus,
    "train": lambda rng: vehicles.train(rng, cars=int(rng.integers(1, 3))),
    "motorcycle": lambda rng: two_wheelers.motorcycle(rng, ridden=bool(rng.random() < 0.4)),
    "bicycle": lambda rng: two_wheelers.bicycle(rng, ridden=bool(rng.random() < 0.4)),
}
_SHARES: Final = np.array((0.11, 0.12, 0.22, 0.1, 0.17, 0.05, 0.04, 0.03, 0.08, 0.08))

_ROAD: Final = LABEL_BY_NAME["road"].label_id
_WIDE: Final = 100.0  # metres; half the width of a stage without facades along its sides
_FLOORS: Final = ("asphalt", "paving", "grass", "concrete", "soil", "cobble", "plaster", "wood", "brick")
_WALLS: Final = ("brick", "plaster", "concrete", "leaves", "wood", "stone", "windows", "shopfront", "rock", "metal")
_CLUTTER: Final[tuple[Callable[[np.random.Generator], SceneObject], ...]] = (
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


def studio(rng: np.random.Generator, views: int, class_name: str | None = None) -> Street:
    """A stage with objects and ``views`` cameras around them.

    Args:
        rng: source of everything; equal generators give equal stages.
        views: how many cameras, at least 1.
        class_name: of a ``single_class`` stage, one of the ten foreground classes; ``multi_class`` if not given.

    Raises:
        ValueError: if the class is none of the ten.
    """
    if class_name is not None and class_name not in _MAKERS:
        raise ValueError(f"expected one of {', '.join(_MAKERS)}, got {class_name!r}")
    names = [label.name for label in VEIS_LABELS]
    count = int(rng.integers(12, 27)) if class_name is None else int(rng.integers(5, 14))
    alley = float(rng.uniform(9.0, 18.0)) if rng.random() < 0.5 else _WIDE
    placed: list[Placed] = []
    for _ in range(count):
        name = class_name or names[int(rng.choice(10, p=_SHARES))]
        thing = _MAKERS[name](rng)
        longest = max(thing.footprint)
        for _ in range(8):
            along = float(np.exp(rng.uniform(np.log(5.5), np.log(42.0)))) + 0.6 * longest
            reach = max(1.0, min(0.55 * (along + 2.0), alley - 0.5 * longest))
            candidate = Placed(thing, float(rng.uniform(-reach, reach)), along, float(_yaw(rng, name)))
            if not any(footprints_overlap(candidate, other, 0.1) for other in placed):
                placed.append(candidate)
                break
    placed += [thing for thing in _clutter(rng) if not any(footprints_overlap(thing, other) for other in placed)]
    placed += _backdrop(rng, alley)
    light = looks.light(rng, "studio")
    scene = Scene(_stage(rng), tuple(placed), light, looks.materials("studio"), looks.sky(rng, "studio", light))
    return Street(scene, tuple(_view(rng) for _ in range(views)), float(rng.uniform(0.85, 1.25)))


def _yaw(rng: np.random.Generator, name: str) -> float:
    # a plate seen from behind or edge-on tells nothing of a sign's shape: most face the cameras
    return rng.normal(0.0, 0.5) if name.startswith("traffic") and rng.random() < 0.85 else rng.uniform(0.0, 2.0 * np.pi)


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
                house = building(rng)
                width, depth = house.footprint
                placed.append(Placed(house, side * (alley + depth / 2), along + width / 2, side * np.pi / 2))
                along += width + float(rng.choice((0.02, 3.0)))
    if rng.random() < 0.5:
        across = -0.8 * far
        while across < 0.8 * far:
            house = building(rng)
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
