"""Buses and trains: long carriages with rows of windows, as curved skins into which glass and doors are painted.

Every builder takes a random generator and gives one object that faces +y; equal generators give equal arrays. Bodies are models
that a process builds once (:mod:`synth2real.worlds.objects.models`); the livery is drawn for each vehicle.
"""

from functools import cache
from typing import Final, Literal, NamedTuple, get_args

import numpy as np

from synth2real.worlds.meshes import Mesh, SceneObject, tubes, xyz
from synth2real.worlds.objects.models import code, lid, outline, painted, skin
from synth2real.worlds.objects.vehicle_parts import (
    GLASS_HIGH,
    GLASS_LOW,
    LAMP_RED,
    LAMP_WHITE,
    MODELS,
    PAINT,
    PLATE_WHITE,
    SECOND,
    TRIM,
    UNDERSIDE,
    Block,
    assembled,
    chosen_kind,
    joined_blocks,
    rear_lamps,
    wheel_arches,
    wheels,
)

BusKind = Literal["city", "articulated", "coach", "double-decker", "minibus"]
TrainKind = Literal["tram", "old tram", "light rail"]

BUS: Final = 28
TRAIN: Final = 31
BUS_KINDS: Final[tuple[BusKind, ...]] = get_args(BusKind)
TRAIN_KINDS: Final[tuple[TrainKind, ...]] = get_args(TrainKind)

_BUS_SHARES: Final = (0.45, 0.15, 0.15, 0.17, 0.08)
_TRAIN_SHARES: Final = (0.5, 0.25, 0.25)
_LIVERIES: Final = np.array(
    ((0.7, 0.7, 0.68), (0.5, 0.03, 0.03), (0.62, 0.45, 0.03), (0.05, 0.12, 0.35), (0.12, 0.3, 0.1), (0.35, 0.36, 0.38))
)


def bus(rng: np.random.Generator, double_decker: bool | None = None, *, kind: BusKind | None = None) -> SceneObject:
    """A bus of 6.5 to 18 m with bands of windows, doors on its right; all of it label 28, instance 1.

    Args:
        rng: source of the model and its livery.
        double_decker: whether it has two decks; drawn if not given.
        kind: drawn from what ``double_decker`` allows if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    if kind is None and double_decker is not None:
        kind = "double-decker" if double_decker else ("city", "articulated", "coach")[rng.choice(3, p=(0.6, 0.2, 0.2))]
    chosen = chosen_kind(rng, "bus", kind, BUS_KINDS, _BUS_SHARES)
    livery = _LIVERIES[rng.choice(6, size=2, p=(0.3, 0.25, 0.15, 0.12, 0.08, 0.1))] * rng.uniform(0.85, 1.1)
    return painted(_bus(chosen, int(rng.integers(MODELS))), livery)


def train(rng: np.random.Generator, cars: int | None = None, *, kind: TrainKind | None = None) -> SceneObject:
    """A tram or light train of coupled cars on bogies; all of it label 31, instance 1.

    Args:
        rng: source of the model and its livery.
        cars: number of cars, at least 1; 2 or 3 (of an old tram 1 or 2) if not given.
        kind: drawn if not given.

    Raises:
        ValueError: if the kind is unknown or ``cars`` < 1.
    """
    chosen = chosen_kind(rng, "train", kind, TRAIN_KINDS, _TRAIN_SHARES)
    count = int(rng.integers(2, 4)) - (chosen == "old tram") if cars is None else cars
    if count < 1:
        raise ValueError(f"expected at least one car, got {count}")
    livery = _LIVERIES[rng.permutation(5)[:2]] * rng.uniform(0.85, 1.1)
    return painted(_train(chosen, count, int(rng.integers(MODELS))), livery)


class _Carriage(NamedTuple):
    """A long body with rows of windows.

    Attributes:
        half: half its width, metres.
        back: y of its rear end.
        front: y of its front end.
        levels: heights of its rings, from the skirt to the roof's edge; the last two are the roof's curve.
        panes: rows between levels that are windows.
        bay: wanted width of a window, metres.
        nose: (rounding in plan, lean of the front face, share of the width that the face keeps), metres and share.
        tail: the same of the rear end.
        doors: bays of the right side that are doors.
        both: whether the left side has them too.
    """

    half: float
    back: float
    front: float
    levels: tuple[float, ...]
    panes: tuple[int, ...]
    bay: float
    nose: tuple[float, float, float]
    tail: tuple[float, float, float]
    doors: tuple[int, ...] = ()
    both: bool = False
    screen: bool = True  # whether the front is glass, too
    rear_glass: bool = True
    band: int = -1  # row in the second colour
    dark: bool = False  # whether the posts between windows are dark, so that they look like one band


def _carriage(given: _Carriage) -> list[Mesh]:
    """Rings of half outlines with a post of two points between windows."""
    half, back, front = given.half, given.back, given.front
    nose, tail = given.nose, given.tail
    start, end = front - nose[0] - 0.12, back + tail[0] + 0.12
    bays = max(1, round((start - end) / given.bay))
    edges = np.linspace(start, end, bays + 1)
    post = 0.05
    sides = np.stack((edges[1:-1] + post, edges[1:-1] - post), axis=1).ravel()
    plan = [
        (0.0, front),
        (0.55 * nose[2], front - 0.12 * nose[0]),
        (0.92 * nose[2], front - 0.6 * nose[0]),
        (1.0, front - nose[0]),
    ]
    plan += [(1.0, start)]
    plan += [(1.0, float(y)) for y in sides]
    plan += [
        (1.0, end),
        (1.0, back + tail[0]),
        (0.92 * tail[2], back + 0.6 * tail[0]),
        (0.55 * tail[2], back + 0.12 * tail[0]),
        (0.0, back),
    ]
    outline_ = np.array(plan)
    levels = np.array(given.levels)
    height = levels[-1]
    wide = np.ones(len(levels))
    wide[0], wide[-2], wide[-1] = 0.975, 0.985, 0.86
    y = outline_[:, 1]
    lean = np.clip((levels / height - 0.3) / 0.7, 0, 1)[:, None]
    rings = np.empty((len(levels), len(outline_), 3))
    rings[..., 0] = half * wide[:, None] * outline_[:, 0]
    rings[..., 1] = y - lean * (nose[1] * np.clip((y - start) / max(front - start, 1e-6), 0, 1))
    rings[..., 1] += lean * (tail[1] * np.clip((end - y) / max(end - back, 1e-6), 0, 1))
    rings[-1, :, 1] -= 0.1 * np.sign(y) * (np.abs(y) > 0.5 * (front - back) - 0.5)
    rings[..., 2] = levels[:, None]
    columns = len(outline_) - 1
    colours = np.empty((len(levels) - 1, 2, columns, 2, 3))  # left and right side apart
    colours[...] = PAINT
    if given.band >= 0:
        colours[given.band] = SECOND
    windows = 4 + 2 * np.arange(bays)
    posts = windows[:-1] + 1
    glass = np.stack((GLASS_LOW, GLASS_HIGH))
    for row in given.panes:
        colours[row][:, windows] = glass
        if given.dark:
            colours[row][:, posts] = TRIM
            colours[row][:, 2] = colours[row][:, -3] = TRIM
        if given.screen:
            colours[row][:, [0, 1]] = glass
        if given.rear_glass:
            colours[row][:, [columns - 1, columns - 2]] = glass
    for bay in given.doors:
        column = windows[bay % bays]
        for side in (0, 1) if given.both else (1,):
            colours[1 : given.panes[0] + 1, side, column] = glass
    colours[0] = TRIM
    closed = np.stack([outline(ring) for ring in rings])
    full = np.concatenate((colours[:, 0], colours[:, 1, ::-1]), axis=1)
    return [skin(closed, full, wrapped=True), lid(closed[-1], 0.05, PAINT)]


@cache
def _bus(kind: BusKind, number: int) -> SceneObject:
    """One of the models that buses share, made once a process."""
    rng = np.random.default_rng((BUS, BUS_KINDS.index(kind), number))
    spans = {
        "city": (10.2, 12.3),
        "articulated": (16.5, 18.2),
        "coach": (11.5, 13.0),
        "double-decker": (9.8, 11.0),
        "minibus": (6.4, 7.4),
    }
    length = float(rng.uniform(*spans[kind]))
    half = float(rng.uniform(1.22, 1.275) if kind != "minibus" else rng.uniform(1.0, 1.1))
    front, back = length / 2, -length / 2
    band = int(rng.choice((-1, 1)))
    nose, tail = (0.22, 0.14, 0.98), (0.14, 0.02, 0.98)
    levels: tuple[float, ...]
    rows: tuple[int, ...]
    doors: tuple[int, ...]
    if kind == "double-decker":
        height = float(rng.uniform(4.15, 4.4))
        levels = (0.3, 0.55, 1.05, 2.0, 2.65, 3.6, height - 0.2, height)
        rows, doors = (2, 4), (0,)
    elif kind == "coach":
        height = float(rng.uniform(3.4, 3.75))
        levels = (0.35, 1.0, 1.75, 2.85, height - 0.2, height)
        rows, doors, nose = (2,), (0,), (0.3, 0.45, 0.96)
    elif kind == "minibus":
        height = float(rng.uniform(2.6, 2.85))
        levels = (0.35, 0.85, 1.3, 2.2, height - 0.18, height)
        rows, doors, nose = (2,), (1,), (0.35, 0.7, 0.92)
    else:
        height = float(rng.uniform(2.9, 3.15))
        levels = (0.3, 0.6, 1.05, 2.3, height - 0.2, height)
        rows, doors = (2,), (0, 3, 7)
    body = _Carriage(half, back, front, levels, rows, 1.5, nose, tail, doors, band=band, dark=bool(rng.random() < 0.7))
    sign_z = levels[-2] - 0.22 if kind != "double-decker" else 2.33
    meshes = []
    blocks: list[Block] = []
    if kind == "articulated":
        joint = back + 0.42 * length
        meshes += _carriage(body._replace(back=joint + 0.55, tail=(0.05, 0.0, 1.0), rear_glass=False, doors=(0, 3)))
        meshes += _carriage(body._replace(front=joint - 0.55, nose=(0.05, 0.0, 1.0), screen=False, doors=(1,)))
        blocks += [
            ((0, joint + y, 0.5 * height + 0.1), (1.84 * half if i % 2 else 1.96 * half, 0.17, height - 0.45), TRIM)
            for i, y in enumerate(np.linspace(-0.55, 0.55, 7))
        ]
    else:
        meshes += _carriage(body)
    blocks += [
        *(((s * (half + 0.14), front - 0.02, 2.1), (0.16, 0.12, 0.42), TRIM) for s in (-1, 1)),
        ((0, front - 0.12, sign_z), (1.6, 0.3, 0.26), TRIM),
        ((0, front + 0.035, sign_z), (1.0, 0.02, 0.13), (0.8, 0.45, 0.05)),
        ((0, front - 0.02, 0.5), (0.5, 0.06, 0.12), PLATE_WHITE),
        *(((s * 0.72 * half, front - 0.08, 0.72), (0.34, 0.14, 0.18), LAMP_WHITE) for s in (-1, 1)),
        *rear_lamps(2 * half, back, rng),
        ((0, back + 0.03, 0.95), (1.1 * half, 0.08, 0.3), TRIM),
    ]
    if kind in ("city", "articulated") and rng.random() < 0.7:
        blocks.append(((0, front - 0.3 * length, height + 0.1), (1.6, 2.4, 0.26), code(0, 0.8)))
    if kind == "city" and rng.random() < 0.4:
        blocks.append(((0, back + 0.02, 1.35), (1.4 * half, 0.08, 0.36), rng.uniform(0.05, 0.6, 3)))
    radius = 0.48 if kind != "minibus" else 0.38
    axles = [front - (2.6 if kind != "minibus" else 1.1), back + (2.9 if kind != "minibus" else 1.5)]
    axles += [back + 4.2] if kind == "coach" else [front - 8.2] if kind == "articulated" else []
    meshes += [joined_blocks(blocks), wheels(axles, radius, half)]
    return assembled(BUS, meshes, [wheel_arches(axles, radius, half)])


@cache
def _train(kind: TrainKind, cars: int, number: int) -> SceneObject:
    """One of the models that trains share, made once a process."""
    rng = np.random.default_rng((TRAIN, TRAIN_KINDS.index(kind), cars, number))
    old, rail = kind == "old tram", kind == "light rail"
    each = float(rng.uniform(8.8, 10.5) if not rail else rng.uniform(9.5, 12.0))
    half, height = float(rng.uniform(1.08, 1.15) if old else rng.uniform(1.18, 1.32)), float(rng.uniform(3.2, 3.5))
    total, gap = cars * each, 0.5 if old else 0.24
    front, back = total / 2, -total / 2
    levels = (0.45 if old else 0.3, 0.75, 1.35, 2.5 if not old else 2.35, height - 0.22, height)
    end = ((0.55, 0.75, 0.85), (0.7, 0.12, 0.72), (0.18, 0.1, 0.97))[TRAIN_KINDS.index(kind)]
    joint = (0.5, 0.0, 0.8) if old else (0.06, 0.0, 1.0)
    meshes: list[Mesh] = []
    blocks: list[Block] = []
    for index in range(cars):
        low, high = back + index * each, back + (index + 1) * each
        first, last = index == 0, index == cars - 1
        car_back, car_front = low + (0 if first else gap), high - (0 if last else gap)
        meshes += _carriage(
            _Carriage(
                half,
                car_back,
                car_front,
                levels,
                (2,),
                1.05 if old else 1.4,
                end if last or old else joint,
                end if first or old else joint,
                (0, -1) if old or rail else (1, -2),
                both=True,
                screen=last or old,
                rear_glass=first or old,
                band=1,
                dark=not old,
            )
        )
        middle = 0.5 * (low + high)
        if old:
            blocks.append(((0, middle, height + 0.14), (1.1, 0.7 * each, 0.3), code(0, 0.8)))  # clerestory
        else:
            blocks.append(((0, middle, height + 0.12), (1.5, each * 0.45, 0.3), (0.25, 0.25, 0.26)))
        for y in (low + 0.24 * each, high - 0.24 * each):
            blocks.append(((0, y, 0.4), (1.7 * half, 1.9, 0.2), UNDERSIDE))
            blocks += [((s * (half - 0.16), y, 0.28), (0.12, 2.0, 0.5), UNDERSIDE) for s in (-1, 1)]
        if not last:
            size = (0.3, 2 * gap + 0.2, 0.2) if old else (1.8 * half, 2 * gap + 0.06, height - 0.6)
            blocks.append(((0, high, 0.55 if old else 0.5 * height + 0.2), size, (0.05, 0.05, 0.055)))
    lamp_y = front - (0.1 if rail or old else 0.22)
    for face, lamp in ((1, LAMP_WHITE), (-1, LAMP_RED)):
        xs = (0.0,) if old else (-0.6 * half, 0.6 * half)
        blocks += [((x, face * lamp_y, 1.0), (0.3, 0.24, 0.2), lamp) for x in xs]
        blocks.append(((0, face * (front - 0.1 - 0.9 * end[1]), height - 0.36), (1.1, 0.3, 0.24), TRIM))
        blocks.append(((0, face * (front - 0.05), 0.55), (1.2 * half, 0.3, 0.2), TRIM))
    z = height + 0.25
    if old:  # a bow collector
        foot, left, right = xyz(0, 0.9, z), xyz(-0.8, -1.0, z + 1.25), xyz(0.8, -1.0, z + 1.25)
        bars = np.array(((foot, left), (left, right), (foot, right)))
    else:  # a pantograph
        foot, knee, top = xyz(0, 1.2, z), xyz(0, -0.2, z + 0.7), xyz(0, 1.0, z + 1.4)
        bars = np.array(((foot, knee), (knee, top), (top - xyz(0.8, 0, 0), top + xyz(0.8, 0, 0))))
    meshes += [joined_blocks(blocks), tubes(bars[:, 0], bars[:, 1], 0.04, None, (0.1, 0.1, 0.1), 4)]
    return assembled(TRAIN, meshes, [])
