"""VEIS-style scenes: objects with true shape and pose, unreal texture, on a plain stage (Saleh et al., ECCV 2018).

``multi_class`` stages hold many objects of the ten foreground classes at all yaws, crowded and overlapping; ``single_class``
stages hold objects of one class. What matters is their outline: light is even, ground and backdrop vary freely.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from synth2real.label_space import LABEL_BY_NAME, VEIS_LABELS
from synth2real.worlds import looks
from synth2real.worlds.meshes import Part, SceneObject, grid
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
    count = int(rng.integers(26, 44)) if class_name is None else int(rng.integers(6, 16))
    half = rng.uniform(11.0, 20.0)
    placed: list[Placed] = []
    for _ in range(count):
        name = class_name or names[int(rng.choice(10, p=_SHARES))]
        thing = _MAKERS[name](rng)
        for _ in range(8):
            along = float(rng.uniform(7.0 + 0.9 * max(thing.footprint), 20.0 + 2.2 * half))
            candidate = Placed(thing, float(rng.uniform(-0.62, 0.62) * (along + 3.0)), along, float(_yaw(rng, name)))
            if not any(footprints_overlap(candidate, other, 0.15) for other in placed):
                placed.append(candidate)
                break
    far = 30.0 + 2.2 * half
    placed += _backdrop(rng, far)
    scene = Scene(_stage(rng), tuple(placed), looks.light(rng, "studio"), looks.materials("studio"), looks.sky(rng, "studio"))
    return Street(scene, tuple(_view(rng, half) for _ in range(views)), float(rng.uniform(0.85, 1.25)))


def _yaw(rng: np.random.Generator, name: str) -> float:
    # a plate seen from behind or edge-on tells nothing of a sign's shape: most face the cameras
    return rng.normal(0.0, 0.5) if name.startswith("traffic") and rng.random() < 0.85 else rng.uniform(0.0, 2.0 * np.pi)


def _stage(rng: np.random.Generator) -> tuple[Part, ...]:
    texture = str(rng.choice(("asphalt", "paving", "grass", "concrete", "soil", "cobble", "plaster", "wood", "brick")))
    colour = rng.uniform(0.05, 0.5) * rng.uniform(0.5, 1.0, 3)
    label = LABEL_BY_NAME["terrain" if texture in ("grass", "soil") else "road"].label_id
    mesh = grid((-150.0, -30.0, 0.0), (300.0, 0.0, 0.0), (0.0, 300.0, 0.0), (24, 24), colour, texture)
    return (Part(label, 0, mesh),)


def _backdrop(rng: np.random.Generator, far: float) -> list[Placed]:
    kind = rng.random()
    placed = []
    if kind < 0.45:
        across = -far
        while across < far:
            thing = building(rng)
            placed.append(
                Placed(thing, float(across + thing.footprint[0] / 2), float(far + thing.footprint[1] / 2), float(np.pi))
            )
            across += thing.footprint[0]
    elif kind < 0.7:
        for across in rng.uniform(-far, far, 14):
            placed.append(
                Placed(vegetation.tree(rng), float(across), float(far + rng.uniform(-2.0, 8.0)), float(rng.uniform(0, 6.28)))
            )
    return placed


def _view(rng: np.random.Generator, half: float) -> View:
    across, along = float(rng.normal(0.0, 1.6)), float(rng.uniform(-2.0, 0.45 * half))
    return View(
        x=across,
        y=along,
        z=float(rng.uniform(1.0, 2.4)),
        yaw=float(rng.normal(0.02 * across, 0.16)),
        pitch=float(rng.normal(-0.02, 0.03)),
        roll=float(rng.normal(0.0, 0.01)),
        field_of_view=float(np.radians(rng.uniform(42.0, 66.0))),
    )
