"""Bicycles, motorcycles and scooters, parked or ridden, models that a process builds once.

With a rider, the rider is label 25, instance 1, and the machine instance 2; parked, the machine is instance 1. In the
label picture a bicycle's wheels are full discs, as annotators draw them; in the image one looks through the spokes.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import (
    Mesh,
    Numbers,
    Part,
    SceneObject,
    boxes,
    copies,
    lathe,
    lofts,
    merge,
    rotation_y,
    scene_object,
    tubes,
    xyz,
)
from synth2real.worlds.objects.models import code, painted
from synth2real.worlds.objects.people import Build, Joints, Wear, figure, random_build, random_wear, reach
from synth2real.worlds.objects.vehicle_parts import chosen_kind

BicycleKind = Literal["city", "tour", "race", "mountain", "folding", "cargo", "child"]
MotorcycleKind = Literal["motorcycle", "sport", "touring", "cruiser", "scooter", "moped"]

RIDER, MOTORCYCLE, BICYCLE = 25, 32, 33

BICYCLE_KINDS: Final[tuple[BicycleKind, ...]] = get_args(BicycleKind)
MOTORCYCLE_KINDS: Final[tuple[MotorcycleKind, ...]] = get_args(MotorcycleKind)

_Bar = tuple[NDArray[np.float64], NDArray[np.float64], float, Numbers]  # start, end, radius, colour

FRAME_TONES = np.array(
    (
        (0.015, 0.015, 0.016),
        (0.3, 0.3, 0.31),
        (0.4, 0.03, 0.03),
        (0.04, 0.1, 0.3),
        (0.05, 0.17, 0.08),
        (0.6, 0.6, 0.57),
        (0.5, 0.38, 0.05),
    )
)
FRAME_SHARES = (0.4, 0.15, 0.13, 0.12, 0.07, 0.08, 0.05)
RUBBER, STEEL, LEATHER = (0.015, 0.015, 0.016), (0.33, 0.33, 0.34), (0.03, 0.022, 0.018)
LAMP_WHITE, LAMP_RED, PLATE = (0.8, 0.8, 0.76), (0.42, 0.015, 0.012), (0.7, 0.7, 0.66)

_BICYCLE_SHARES: Final = (0.36, 0.22, 0.1, 0.14, 0.06, 0.05, 0.07)
_MOTORCYCLE_SHARES: Final = (0.2, 0.13, 0.12, 0.1, 0.35, 0.1)
_MODELS: Final = 8  # of each kind, ridden and parked
_PAINT: Final = code(8)
_SECOND: Final = code(9)  # of a passenger's clothes, a top case or a child seat
"""Codes of the machine's colours, after those of the rider's clothes."""


class _Bicycle(NamedTuple):
    """A bicycle's shape; metres and radians.

    Attributes:
        radius: of its wheels.
        base: distance of the wheels.
        saddle: its height.
        bars: height of the handlebar over the saddle.
        back: how far the handlebar's ends are behind its middle; negative: before it.
        wide: half the handlebar's width.
        low: whether one steps through the frame.
        tyre: radius of the tyre's tube.
        lean: least and largest angle of the rider's trunk.
        racks: share that have mudguards and a carrier.
    """

    radius: float
    base: float
    saddle: float
    bars: float
    back: float
    wide: float
    low: bool
    tyre: float
    lean: tuple[float, float]
    racks: float


_BICYCLES: Final[dict[BicycleKind, _Bicycle]] = {
    "city": _Bicycle(0.345, 1.06, 0.94, 0.14, 0.16, 0.29, True, 0.022, (0.12, 0.35), 0.95),
    "tour": _Bicycle(0.345, 1.04, 0.97, 0.06, -0.02, 0.29, False, 0.020, (0.4, 0.65), 0.8),
    "race": _Bicycle(0.34, 0.99, 1.00, -0.07, -0.14, 0.21, False, 0.013, (0.75, 1.0), 0.0),
    "mountain": _Bicycle(0.35, 1.10, 0.93, 0.06, -0.02, 0.35, False, 0.034, (0.5, 0.75), 0.1),
    "folding": _Bicycle(0.25, 0.98, 0.93, 0.12, 0.0, 0.26, True, 0.022, (0.2, 0.4), 0.6),
    "cargo": _Bicycle(0.33, 1.85, 0.94, 0.14, 0.12, 0.30, True, 0.024, (0.15, 0.3), 0.6),
    "child": _Bicycle(0.25, 0.78, 0.62, 0.14, 0.02, 0.24, True, 0.022, (0.15, 0.35), 0.3),
}


def bicycle(rng: np.random.Generator, ridden: bool | None = None, *, kind: BicycleKind | None = None) -> SceneObject:
    """A bicycle, label 33, facing +y.

    Args:
        rng: source of the model, its colours and its rider's.
        ridden: whether someone rides it; one in two if not given.
        kind: drawn if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = chosen_kind(rng, "bicycle", kind, BICYCLE_KINDS, _BICYCLE_SHARES)
    return _coloured(rng, _bicycle(chosen, *_drawn_model(rng, ridden)), FRAME_SHARES)


def motorcycle(rng: np.random.Generator, ridden: bool | None = None, kind: MotorcycleKind | None = None) -> SceneObject:
    """A motorcycle or scooter, label 32, facing +y.

    Args:
        rng: source of the model, its paint and its riders.
        ridden: whether someone rides it; one in two if not given.
        kind: drawn if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = chosen_kind(rng, "motorcycle", kind, MOTORCYCLE_KINDS, _MOTORCYCLE_SHARES)
    return _coloured(rng, _motorcycle(chosen, *_drawn_model(rng, ridden)), (0.25, 0.15, 0.2, 0.15, 0.05, 0.12, 0.08))


def parked_row(rng: np.random.Generator, count: int, motorised: bool = False) -> SceneObject:
    """Parked two-wheelers side by side, 0.4 to 0.6 m (motorised: 0.9 m) apart, each an instance; most of them face +y.

    Args:
        rng: source of the machines.
        count: how many, at least 1.
        motorised: motorcycles and scooters instead of bicycles.

    Raises:
        ValueError: if ``count`` < 1.
    """
    if count < 1:
        raise ValueError(f"expected at least one, got {count}")
    step = 0.9 if motorised else float(rng.uniform(0.42, 0.62))
    slant = float(rng.choice((0.0, 0.5, -0.5), p=(0.6, 0.2, 0.2)))
    parts: list[Part] = []
    for number in range(count):
        machine = motorcycle(rng, ridden=False) if motorised else bicycle(rng, ridden=False)
        yaw = slant + rng.normal(0, 0.05) + np.pi * (rng.random() < 0.25)
        x, y = (number - (count - 1) / 2) * step + rng.normal(0, 0.03), rng.normal(0, 0.07)
        parts += [part._replace(instance=number + 1) for part in machine.at(float(x), float(y), float(yaw))]
    return scene_object(parts)


def _drawn_model(rng: np.random.Generator, ridden: bool | None) -> tuple[bool, int]:
    """Whether a two-wheeler is ridden, one in two where it is not said, and the number of its model."""
    rides = bool(rng.random() < 0.5) if ridden is None else ridden
    return rides, int(rng.integers(_MODELS))


def _coloured(rng: np.random.Generator, model: SceneObject, shares: Sequence[float]) -> SceneObject:
    """A model in colours of its own."""
    paint = FRAME_TONES[rng.choice(7, p=shares)] * rng.uniform(0.8, 1.2)
    second = FRAME_TONES[rng.choice(7, p=shares)]
    return painted(model, np.concatenate((random_wear(rng, helmet=True).palette, (paint, second))))


# --- Bicycles ------------------------------------------------------------------------------------------------------------


@cache
def _bicycle(kind: BicycleKind, rides: bool, number: int) -> SceneObject:
    """One of the models that bicycles share, made once a process."""
    rng = np.random.default_rng((BICYCLE, BICYCLE_KINDS.index(kind), rides, number))
    shape = _BICYCLES[kind]
    build = random_build(rng, child=kind == "child")
    scale = 0.5 + 0.5 * build.stature / (1.72 if kind != "child" else 1.3)
    radius, base = shape.radius, shape.base * (0.6 + 0.4 * scale)
    rear_y = -0.48 * base if kind != "cargo" else -0.95
    rear, front = xyz(0, rear_y, radius), xyz(0, rear_y + base, radius)
    crank = xyz(0, rear_y + 0.43, 0.28 if kind != "child" else 0.21)
    seat = xyz(0, crank[1] - 0.16, shape.saddle * scale)
    seat_tube = crank + 0.76 * (seat - crank)
    steer = front[1] - (0.15 if kind != "cargo" else 0.95)  # a cargo bicycle is steered from behind its box
    head_low = xyz(0, steer - 0.005, 0.64 if radius > 0.3 else 0.52)
    head_high = xyz(0, steer - 0.07, seat[2] - 0.07)
    stem = xyz(0, steer - 0.09, seat[2] + shape.bars)
    joint = crank + 0.35 * (seat - crank) if shape.low else seat_tube - xyz(0, 0, 0.04)
    side = xyz(0.055, 0, 0)
    stopped = rides and number % 4 == 0  # one foot on the ground, as at a light
    phase = rng.uniform(0, 2 * np.pi) if not stopped else 0.5
    swing = 0.17 * (1.0 if kind != "child" else 0.7) * np.array((0, np.cos(phase), np.sin(phase)))
    pedals = np.array((crank - 1.7 * side - swing, crank + 1.7 * side + swing))
    grips = np.array([stem + xyz(s * shape.wide, -shape.back, 0.02 - 0.05 * (kind == "race")) for s in (-1, 1)])
    bars: list[_Bar] = [
        (crank, seat, 0.017, _PAINT),
        (head_low, crank, 0.02, _PAINT),
        (head_high, joint, 0.018, _PAINT),
        (head_low, stem, 0.02, _PAINT),
        (rear - side, crank, 0.011, _PAINT),
        (rear + side, crank, 0.011, _PAINT),
        (rear - side, seat_tube, 0.01, _PAINT),
        (rear + side, seat_tube, 0.01, _PAINT),
        (grips[0], stem, 0.014, STEEL),
        (stem, grips[1], 0.014, STEEL),
        (crank, pedals[0] + 0.3 * side, 0.013, STEEL),
        (crank, pedals[1] - 0.3 * side, 0.013, STEEL),
    ]
    fork = head_low if kind != "cargo" else front + xyz(0, -0.12, 0.22)
    bars += [(front - side, fork, 0.013, _PAINT), (front + side, fork, 0.013, _PAINT)]
    if shape.low and kind == "city":  # the second tube of a frame that one steps through
        bars.append((head_low + xyz(0, 0, 0.1), crank + 0.15 * (seat - crank), 0.014, _PAINT))
    solids = boxes(
        (seat + xyz(0, -0.02, 0.02), pedals[0], pedals[1], grips[0], grips[1], stem + xyz(0, 0.08, -0.1)),
        (
            (0.15 if kind != "race" else 0.1, 0.27, 0.055),
            (0.09, 0.1, 0.03),
            (0.09, 0.1, 0.03),
            (0.13, 0.045, 0.04),
            (0.13, 0.045, 0.04),
            (0.07, 0.07, 0.08),
        ),
        (LEATHER, RUBBER, RUBBER, RUBBER, RUBBER, (0.6, 0.6, 0.55)),
    )
    hubs, straight = np.stack((rear, front)), np.stack((np.eye(3), np.eye(3)))
    machine = [
        solids,
        tubes(crank + 0.5 * side, crank + 0.7 * side, 0.1, None, xyz(0.12, 0.12, 0.12), 8),
        copies(_spoked_wheel(radius, shape.tyre), straight, hubs),
    ]
    carrier = rear + xyz(0, -0.05, radius + 0.06)
    if rng.random() < shape.racks:
        bars += _mudguards(rear, front, radius, _PAINT)
        machine.append(boxes(carrier, (0.12, 0.42, 0.03), (0.05, 0.05, 0.05)))
        bars += [(rear + s * side, carrier + xyz(s * 0.05, -0.07, 0.0), 0.008, STEEL) for s in (-1, 1)]
        load = rng.random()
        if load < 0.18:  # panniers
            machine.append(boxes([carrier + xyz(s * 0.13, -0.02, -0.19) for s in (-1, 1)], (0.12, 0.32, 0.32), _SECOND))
        elif load < 0.3 and kind != "child":  # a child seat
            back = boxes(
                (carrier + xyz(0, -0.16, 0.34), carrier + xyz(0, 0.0, 0.1)), ((0.3, 0.08, 0.5), (0.3, 0.28, 0.12)), _SECOND
            )
            machine.append(back)
        elif load < 0.42:  # a crate
            machine.append(boxes(carrier + xyz(0, -0.04, 0.15), (0.32, 0.38, 0.26), (0.12, 0.08, 0.045), taper=1.1))
    if kind in ("city", "folding") and rng.random() < 0.4:
        machine.append(boxes(stem + xyz(0, 0.2, -0.08), (0.36, 0.28, 0.24), (0.12, 0.08, 0.045), taper=1.2))
    if kind == "cargo":
        middle = 0.5 * (steer + front[1]) - 0.02
        machine.append(boxes((0, middle, 0.55), (0.56, 0.66, 0.5), np.array((0.33, 0.22, 0.12)), taper=1.12))
        bars.append((head_low, xyz(0, middle, 0.3), 0.024, _PAINT))
    if not rides:
        bars.append((crank + xyz(-0.02, -0.08, 0.0), crank + xyz(-0.2, -0.12, -0.27 + 0.07 * (kind == "child")), 0.012, STEEL))
    machine.append(_bars(bars))
    number_of = 2 if rides else 1
    discs = copies(_disc(radius), straight, hubs)
    parts = [Part(BICYCLE, number_of, mesh) for mesh in machine] + [Part(BICYCLE, number_of, discs, "label")]
    lean_over = 0.0 if rides else float(rng.choice((0.0, 0.1)))  # a stand leans it to the left
    if rides:
        wear = random_wear(rng, helmet=rng.random() < (0.9 if kind in ("race", "child") else 0.45)).coded()
        feet = pedals + xyz(0, -0.06, 0.055)
        if stopped:
            feet[0] = xyz(-0.3, seat[1] + 0.12, 0.05 * build.stature)
        joints = riding_joints(build, seat + xyz(0, 0.0, 0.03), float(rng.uniform(*shape.lean)), grips, feet)
        parts += [Part(RIDER, 1, mesh) for mesh in figure(build, joints, _fit_for_riding(wear))]
    return _standing([_leant(part, lean_over) for part in parts])


# --- Motorcycles ---------------------------------------------------------------------------------------------------------


class _Motorcycle(NamedTuple):
    """A motorcycle's shape: wheels (radius, width), their distance, the head's and the handlebar's place, the seat and the pegs.

    Bodies are rows (y, half width, low z, high z) of a loft along y.
    """

    radius: float
    wide: float
    base: float
    rake: float  # how far the steering head is behind the front hub
    head: float  # its height
    bars: tuple[float, float]  # the grips behind and over the head
    seat: tuple[float, float]  # y and z
    pegs: tuple[float, float, float]  # half width, y, z
    lean: tuple[float, float]
    bodies: tuple[tuple[tuple[float, float, float, float], ...], ...]
    cushion: tuple[tuple[float, float, float, float], ...]
    engine: bool
    shield: float  # share that have a windshield
    box: float  # share that have a top case


_TANK: Final = ((-0.12, 0.1, 0.66, 0.84), (0.08, 0.18, 0.66, 0.96), (0.34, 0.14, 0.7, 0.94), (0.44, 0.06, 0.72, 0.86))
_TAIL: Final = ((-0.92, 0.06, 0.74, 0.86), (-0.6, 0.13, 0.66, 0.8), (-0.12, 0.14, 0.58, 0.74))
_GUARD: Final = ((0.5, 0.06, 0.6, 0.66), (0.74, 0.08, 0.64, 0.7), (0.98, 0.06, 0.52, 0.58))
_BENCH: Final = ((-0.9, 0.09, 0.84, 0.9), (-0.55, 0.14, 0.78, 0.86), (-0.1, 0.13, 0.74, 0.82))
_SCOOTER: Final = (
    (
        (-0.88, 0.07, 0.52, 0.66),
        (-0.62, 0.17, 0.36, 0.76),
        (-0.25, 0.19, 0.28, 0.74),
        (-0.1, 0.19, 0.22, 0.5),
        (0.02, 0.2, 0.2, 0.3),
        (0.26, 0.2, 0.2, 0.3),
        (0.34, 0.22, 0.24, 0.62),
    ),
    ((0.34, 0.24, 0.3, 0.92), (0.45, 0.17, 0.34, 1.0), (0.52, 0.08, 0.4, 0.98)),
    ((0.42, 0.06, 0.42, 0.5), (0.62, 0.08, 0.44, 0.52), (0.84, 0.06, 0.34, 0.42)),
)

_MOTORCYCLES: Final[dict[MotorcycleKind, _Motorcycle]] = {
    "motorcycle": _Motorcycle(
        0.31, 0.15, 1.45, 0.22, 0.81, (0.16, 0.16), (-0.3, 0.78), (0.2, -0.06, 0.38), (0.25, 0.45),
        (_TANK, _TAIL, _GUARD), _BENCH, True, 0.3, 0.15,
    ),
    "sport": _Motorcycle(
        0.31, 0.18, 1.40, 0.22, 0.80, (0.10, 0.06), (-0.34, 0.80), (0.2, -0.3, 0.44), (0.7, 0.95),
        (
            _TANK,
            ((-0.98, 0.05, 0.92, 1.0), (-0.6, 0.12, 0.74, 0.9), (-0.12, 0.13, 0.58, 0.76)),
            (
                (-0.25, 0.14, 0.26, 0.5), (0.1, 0.2, 0.22, 0.72), (0.5, 0.22, 0.4, 1.02),
                (0.74, 0.14, 0.62, 0.98), (0.88, 0.05, 0.7, 0.84),
            ),
            _GUARD,
        ),
        ((-0.9, 0.08, 0.96, 1.02), (-0.55, 0.13, 0.84, 0.9), (-0.1, 0.13, 0.74, 0.82)), True, 0.8, 0.0,
    ),
    "touring": _Motorcycle(
        0.31, 0.18, 1.55, 0.26, 0.86, (0.26, 0.22), (-0.32, 0.80), (0.22, 0.0, 0.36), (0.05, 0.2),
        (
            _TANK,
            _TAIL,
            ((0.2, 0.25, 0.5, 0.9), (0.45, 0.28, 0.55, 1.12), (0.66, 0.18, 0.66, 1.1), (0.76, 0.06, 0.74, 0.96)),
            ((-0.98, 0.34, 0.46, 0.78), (-0.7, 0.38, 0.4, 0.8), (-0.42, 0.32, 0.44, 0.74)),
            _GUARD,
        ),
        _BENCH, True, 1.0, 0.8,
    ),
    "cruiser": _Motorcycle(
        0.31, 0.2, 1.66, 0.42, 0.84, (0.34, 0.26), (-0.36, 0.68), (0.24, 0.36, 0.34), (-0.1, 0.08),
        (
            ((-0.1, 0.1, 0.62, 0.76), (0.1, 0.18, 0.62, 0.86), (0.36, 0.14, 0.66, 0.86), (0.46, 0.06, 0.7, 0.8)),
            ((-1.12, 0.08, 0.4, 0.5), (-0.95, 0.11, 0.6, 0.68), (-0.6, 0.12, 0.58, 0.7), (-0.2, 0.1, 0.5, 0.62)),
            ((0.6, 0.07, 0.6, 0.66), (0.86, 0.09, 0.64, 0.7), (1.1, 0.07, 0.5, 0.56)),
        ),
        ((-0.8, 0.1, 0.72, 0.78), (-0.5, 0.16, 0.66, 0.76), (-0.14, 0.12, 0.62, 0.7)), True, 0.3, 0.0,
    ),
    "scooter": _Motorcycle(
        0.235, 0.11, 1.28, 0.20, 0.92, (0.16, 0.16), (-0.3, 0.78), (0.17, 0.16, 0.36), (0.08, 0.25),
        _SCOOTER, ((-0.86, 0.1, 0.7, 0.78), (-0.6, 0.16, 0.72, 0.84), (-0.2, 0.14, 0.7, 0.8)), False, 0.4, 0.4,
    ),
    "moped": _Motorcycle(
        0.28, 0.08, 1.18, 0.18, 0.84, (0.2, 0.2), (-0.28, 0.80), (0.16, 0.08, 0.33), (0.05, 0.2),
        (
            ((-0.3, 0.06, 0.4, 0.52), (0.0, 0.08, 0.34, 0.48), (0.25, 0.07, 0.42, 0.6), (0.4, 0.05, 0.62, 0.82)),
            ((-0.82, 0.05, 0.5, 0.58), (-0.58, 0.07, 0.58, 0.66), (-0.3, 0.06, 0.52, 0.62)),
            ((0.4, 0.04, 0.5, 0.56), (0.6, 0.05, 0.56, 0.62), (0.78, 0.04, 0.44, 0.5)),
        ),
        ((-0.44, 0.1, 0.74, 0.82), (-0.28, 0.12, 0.74, 0.84), (-0.12, 0.06, 0.74, 0.8)), False, 0.1, 0.3,
    ),
}  # fmt: skip


@cache
def _motorcycle(kind: MotorcycleKind, rides: bool, number: int) -> SceneObject:
    """One of the models that motorcycles share, made once a process."""
    rng = np.random.default_rng((MOTORCYCLE, MOTORCYCLE_KINDS.index(kind), rides, number))
    shape = _MOTORCYCLES[kind]
    radius, base = shape.radius, shape.base * float(rng.uniform(0.97, 1.04))
    rear, front = xyz(0, -0.5 * base, radius), xyz(0, 0.5 * base, radius)
    head = xyz(0, front[1] - shape.rake, shape.head)
    stem = head + xyz(0, -0.5 * shape.bars[0], 0.8 * shape.bars[1])
    half = 0.26 if kind == "sport" else 0.34
    grips = np.array([head + xyz(s * half, -shape.bars[0], shape.bars[1]) for s in (-1, 1)])
    tail = xyz(0, -0.42, 0.66 if kind != "scooter" else 0.72)
    mirrors = grips * (0.85, 1, 1) + xyz(0, 0.03, 0.2)
    bars: list[_Bar] = [
        *((front + xyz(x, 0, 0), head + xyz(x, 0, 0), 0.03, STEEL) for x in (-0.1, 0.1)),
        *((rear + xyz(x, 0, 0), tail + xyz(x, 0, 0), 0.025, STEEL) for x in (-0.13, 0.13)),
        *((grip, stem, 0.016, STEEL) for grip in grips),
        (head - xyz(0, 0, 0.02), stem, 0.03, STEEL),
        *((grip * (0.75, 1, 1), mirror, 0.008, STEEL) for grip, mirror in zip(grips, mirrors, strict=True)),
    ]
    if not shape.engine:
        bars.append((rear, xyz(0, 0.1, 0.34), 0.05, STEEL))
    machine = [
        copies(_tyre(radius, shape.wide), np.stack((np.eye(3), np.eye(3))), np.stack((rear, front))),
        _bars(bars, 5),
        *(_profile_loft(rows, _PAINT) for rows in shape.bodies),
        _profile_loft(shape.cushion, LEATHER),
    ]
    if shape.engine:
        low = 0.12 if kind == "cruiser" else 0.0
        dark = boxes(
            ((0, -0.02, 0.46 - 0.5 * low), (0, -0.42, 0.33), (0.17, -0.5, 0.33)),
            ((0.28 + low, 0.5 + low, 0.46), (0.1, 0.7, 0.12), (0.09, 0.7 + 2 * low, 0.1)),
            ((0.09, 0.09, 0.095), (0.05, 0.05, 0.05), STEEL),
        )
    else:
        dark = boxes(((0, -0.42, 0.33), (0.12, -0.5, 0.33)), ((0.16, 0.6, 0.16), (0.08, 0.4, 0.1)), ((0.05, 0.05, 0.05), STEEL))
    lamp = head + xyz(0, 0.12, 0.06) if kind not in ("sport", "touring") else head + xyz(0, 0.3, 0.0)
    end = -0.93 if kind not in ("moped", "cruiser") else -0.8 if kind == "moped" else -1.0
    machine += [
        dark,
        boxes(
            (lamp, (0, end, 0.7), (0, end - 0.02, 0.56), mirrors[0], mirrors[1]),
            ((0.19, 0.12, 0.17), (0.16, 0.05, 0.08), (0.2, 0.02, 0.15), (0.13, 0.03, 0.09), (0.13, 0.03, 0.09)),
            (LAMP_WHITE, LAMP_RED, PLATE, RUBBER, RUBBER),
        ),
    ]
    if rng.random() < shape.box:
        case = _PAINT if rng.random() < 0.4 else RUBBER
        place = (0, -0.9, 1.01) if kind != "moped" else (0, -0.66, 0.84)
        machine.append(boxes(place, (0.42, 0.4, 0.34), case, taper=0.85))
    if rng.random() < shape.shield:
        machine.append(boxes(head + xyz(0, 0.06, 0.34), (0.34, 0.03, 0.34), (0.2, 0.23, 0.25), taper=0.7))
    number_of = 2 if rides else 1
    parts = [Part(MOTORCYCLE, number_of, mesh) for mesh in machine]
    lean_over = 0.0
    if rides:
        build = random_build(rng)
        wear = _fit_for_riding(random_wear(rng, helmet=True).coded())
        x, y, z = shape.pegs
        feet = np.array(((-x, y, z), (x, y, z)))
        if number % 4 == 0:  # waiting at a light
            feet[0] = xyz(-0.36, shape.seat[0] + 0.18, 0.05 * build.stature)
        seat = xyz(0, shape.seat[0], shape.seat[1] + 0.06)
        joints = riding_joints(build, seat, float(rng.uniform(*shape.lean)), grips, feet)
        parts += [Part(RIDER, 1, mesh) for mesh in figure(build, joints, wear)]
        if number % 8 == 3 and kind not in ("moped", "sport"):  # a passenger, a rider too
            other = random_build(rng)
            behind = seat + xyz(0, -0.38, 0.06)
            hold = np.array([joints.pelvis + xyz(s * 0.2, 0.0, 0.08) for s in (-1, 1)])
            pegs = np.array(((-x - 0.03, -0.3, 0.42), (x + 0.03, -0.3, 0.42)))
            wear = wear._replace(top=_SECOND, bag="none")
            parts += [Part(RIDER, 3, mesh) for mesh in figure(other, riding_joints(other, behind, 0.15, hold, pegs), wear)]
    elif rng.random() < 0.6:
        bars = [(xyz(-0.1, -0.1, 0.3), xyz(-0.3, -0.06, 0.0), 0.016, STEEL)]
        parts.append(Part(MOTORCYCLE, number_of, _bars(bars)))
        lean_over = 0.16
    return _standing([_leant(part, lean_over) for part in parts])


# --- What both have ------------------------------------------------------------------------------------------------------


def riding_joints(
    build: Build, seat: NDArray[np.float64], lean: float, grips: NDArray[np.float64], feet: NDArray[np.float64]
) -> Joints:
    """A seated body whose hands reach the grips and whose ankles reach the pedals.

    Args:
        build: the body.
        seat: top of the saddle, metres.
        lean: angle of the trunk from upright, forward, radians.
        grips: (2, 3) where the hands hold, left first.
        feet: (2, 3) ankles wanted, left first.
    """
    h = build.stature
    pelvis = seat + xyz(0, 0, 0.05 * h)
    up = np.array((0.0, np.sin(lean), np.cos(lean)))
    chest = pelvis + 0.288 * h * up
    head = chest + np.array((0, (0.03 + 0.05 * lean) * h, (0.118 - 0.03 * lean) * h))
    side = np.array((-1.0, 1.0))[:, None] * np.array((1.0, 0.0, 0.0))
    shoulders = chest + side * build.shoulders - 0.008 * h * up
    hips = pelvis + side * 0.052 * h
    elbows, wrists = reach(shoulders, grips + xyz(0, -0.03, 0.02), 0.172 * h, 0.17 * h, (0.0, -0.4, -1.0))
    knees, ankles = reach(hips, feet, 0.245 * h, 0.246 * h, (0.0, 1.0, 0.3))
    return Joints(pelvis, chest, head, shoulders, elbows, wrists, hips, knees, ankles)


def _fit_for_riding(wear: Wear) -> Wear:
    """No coat tails or skirts through the saddle, no bag in the hand that steers."""
    return wear._replace(
        garment="trousers" if wear.garment in ("coat", "jacket", "skirt", "dress") else wear.garment,
        bag="backpack" if wear.bag == "backpack" else "none",
    )


def _leant(part: Part, angle: float) -> Part:
    """A part leant to the left about the ground line between the wheels, radians."""
    return part._replace(mesh=part.mesh.transformed(rotation_y(-angle))) if angle else part


def _standing(parts: list[Part]) -> SceneObject:
    """The object of these parts, put down onto the ground."""
    low = min(float(part.mesh.vertices[:, 2].min()) for part in parts)
    return scene_object([part._replace(mesh=part.mesh.translated((0, 0, -low))) for part in parts])


def _bars(bars: list[_Bar], sides: int = 4) -> Mesh:
    starts, ends, radii, colours = zip(*bars, strict=True)
    return tubes(np.array(starts), np.array(ends), np.array(radii), None, np.array(colours), sides, caps=False)


@lru_cache
def _spoked_wheel(radius: float, tube: float) -> Mesh:
    """Tyre and thin spokes about the origin in the y-z plane."""
    points = 14
    angle = 2 * np.pi * np.arange(points) / points
    ring = np.column_stack((np.zeros(points), np.cos(angle), np.sin(angle)))
    rim = (radius - 0.8 * tube) * ring
    spokes = (radius - 0.03) * ring[::2]
    tyre = tubes(rim, np.roll(rim, -1, axis=0), tube, None, RUBBER, 3, caps=False)
    return merge((tyre, tubes(0.01 * ring[::2], spokes, 0.005, None, STEEL, 3, caps=False)))


@lru_cache
def _disc(radius: float) -> Mesh:
    """A closed disc in the y-z plane: what annotators make of a wheel."""
    return lathe(((0.0, -0.02), (radius, 0.0), (0.0, 0.02)), RUBBER, 14).transformed(rotation_y(np.pi / 2))


def _mudguards(rear: NDArray[np.float64], front: NDArray[np.float64], radius: float, paint: NDArray[np.float64]) -> list[_Bar]:
    angles = np.linspace(0.6, 3.0, 4)
    bars: list[_Bar] = []
    for centre, turn in ((rear, angles + 0.2), (front, 0.9 + 0.75 * angles)):
        arc = centre + (radius + 0.025) * np.column_stack((np.zeros(4), np.cos(turn), np.sin(turn)))
        bars += [(a, b, 0.022, paint) for a, b in pairwise(arc)]
    return bars


@lru_cache
def _tyre(radius: float, wide: float) -> Mesh:
    """A motorcycle's wheel about the origin."""
    w = wide / 2
    inner = ((0.0, -0.3 * w), (0.62 * radius, -0.5 * w), (0.68 * radius, -w), (radius, -0.5 * w))
    profile = (*inner, *((r, -z) for r, z in reversed(inner)))
    rim = (0.2, 0.2, 0.21)
    wheel = lathe(profile, (rim, rim, RUBBER, RUBBER, RUBBER, RUBBER, rim, rim), 12)
    return wheel.transformed(rotation_y(np.pi / 2))


def _profile_loft(rows: tuple[tuple[float, float, float, float], ...], colour: object) -> Mesh:
    """A rounded body along y from rows (y, half width, low z, high z)."""
    y, half, low, high = np.array(rows).T[:, :, None]
    angle = (np.arange(8) + 0.5) * np.pi / 4
    x, z = -half * np.cos(angle), 0.5 * (low + high) + 0.5 * (high - low) * np.sin(angle) / np.sin(3 * np.pi / 8)
    return lofts(np.stack(np.broadcast_arrays(x, y, z), axis=-1), np.asarray(colour, np.float64))
