"""Cars, trucks, buses and trains: bodies as curved skins with windows, lamps and grilles painted into them, wheels, loads.

Every builder takes a random generator and gives one object that faces +y; equal generators give equal arrays. Bodies are models
that a process builds once (:mod:`synth2real.worlds.objects.models`); paint is drawn for each vehicle. Shares and sizes follow
European traffic: most cars are white, grey, black or silver, 2.7 to 5.2 m long and 1.6 to 2.0 m wide.
"""

from functools import cache, lru_cache
from typing import Final, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import (
    Mesh,
    Numbers,
    Part,
    SceneObject,
    boxes,
    copies,
    ellipsoids,
    extruded,
    lathe,
    lofts,
    quads,
    rotation_x,
    rotation_y,
    rotation_z,
    scene_object,
    tubes,
    xyz,
)
from synth2real.worlds.objects.models import code, lid, outline, painted, skin

CarKind = Literal[
    "city",
    "hatchback",
    "saloon",
    "coupe",
    "estate",
    "suv",
    "jeep",
    "mpv",
    "pickup",
    "van",
    "minibus",
    "convertible",
    "taxi",
    "police",
]
TruckKind = Literal["box", "flatbed", "tipper", "tanker", "articulated", "dustcart", "mixer", "fire engine"]
BusKind = Literal["city", "articulated", "coach", "double-decker", "minibus"]
TrainKind = Literal["tram", "old tram", "light rail"]

CAR, TRUCK, BUS, TRAIN = 26, 27, 28, 31

CAR_KINDS: Final[tuple[CarKind, ...]] = get_args(CarKind)
TRUCK_KINDS: Final[tuple[TruckKind, ...]] = get_args(TruckKind)
BUS_KINDS: Final[tuple[BusKind, ...]] = get_args(BusKind)
TRAIN_KINDS: Final[tuple[TrainKind, ...]] = get_args(TrainKind)

_CAR_SHARES: Final = (0.09, 0.22, 0.12, 0.04, 0.12, 0.15, 0.02, 0.06, 0.015, 0.07, 0.025, 0.02, 0.03, 0.02)
_TRUCK_SHARES: Final = (0.4, 0.12, 0.12, 0.06, 0.14, 0.07, 0.05, 0.04)
_BUS_SHARES: Final = (0.45, 0.15, 0.15, 0.17, 0.08)
_TRAIN_SHARES: Final = (0.5, 0.25, 0.25)
_MODELS: Final = 6  # of each kind

PAINTS = np.array(
    (
        (0.74, 0.74, 0.73),  # white
        (0.42, 0.43, 0.44),  # silver
        (0.15, 0.155, 0.165),  # grey
        (0.018, 0.018, 0.02),  # black
        (0.03, 0.07, 0.22),  # blue
        (0.33, 0.025, 0.025),  # red
        (0.035, 0.10, 0.06),  # green
        (0.28, 0.22, 0.15),  # beige
        (0.62, 0.42, 0.04),  # yellow
    )
)
PAINT_SHARES = np.array((0.2, 0.2, 0.18, 0.17, 0.11, 0.08, 0.025, 0.025, 0.01))
_TAXIS: Final = np.array(((0.58, 0.50, 0.33), (0.66, 0.45, 0.03), (0.02, 0.02, 0.022)))
_LIVERIES: Final = np.array(
    ((0.7, 0.7, 0.68), (0.5, 0.03, 0.03), (0.62, 0.45, 0.03), (0.05, 0.12, 0.35), (0.12, 0.3, 0.1), (0.35, 0.36, 0.38))
)

GLASS_LOW, GLASS_HIGH = np.array((0.012, 0.015, 0.018)), np.array((0.10, 0.12, 0.14))
RUBBER, TRIM, UNDERSIDE = (0.02, 0.02, 0.022), (0.03, 0.03, 0.032), (0.012, 0.012, 0.013)
LAMP_WHITE, LAMP_RED, LAMP_AMBER, LAMP_BLUE = (0.74, 0.77, 0.78), (0.45, 0.015, 0.012), (0.75, 0.3, 0.03), (0.03, 0.10, 0.7)
PLATE_WHITE, PLATE_YELLOW = (0.75, 0.75, 0.72), (0.75, 0.55, 0.06)
STEEL, WOOD = (0.32, 0.33, 0.34), (0.32, 0.22, 0.12)
_DRIVER: Final = (0.035, 0.025, 0.02)

_PAINT, _SECOND = code(0), code(1)
"""Codes of a vehicle's main colour and of its stripe, load or trailer."""

_Triple = tuple[float | int, float | int, float | int]
_Block = tuple[_Triple, _Triple, Numbers]  # centre, size, colour


def car(rng: np.random.Generator, kind: CarKind | None = None, *, parked: bool = False) -> SceneObject:
    """A passenger car, pick-up or small van, all of it label 26, instance 1.

    Args:
        rng: source of the model and of its paint.
        kind: body; drawn from the traffic's mix if not given.
        parked: whether it stands, nobody in it: its front wheels may be turned, a door or the boot may be open.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = _chosen(rng, "car", kind, CAR_KINDS, _CAR_SHARES)
    model = _car(chosen, parked, int(rng.integers(_MODELS)))
    paint = _paint(rng)
    second = paint
    if chosen in ("van", "minibus") and rng.random() < 0.5:
        paint = second = PAINTS[0] * rng.uniform(0.9, 1.05)
    elif chosen == "taxi":
        paint = second = _TAXIS[rng.integers(3)] * rng.uniform(0.9, 1.1)
    elif chosen == "police":
        paint, second = PAINTS[rng.integers(2)], (PAINTS[4] * 1.5, PAINTS[6], PAINTS[8])[rng.integers(3)]
    return painted(model, np.stack((paint, second)))


def truck(rng: np.random.Generator, kind: TruckKind | None = None) -> SceneObject:
    """A lorry of 6 to 10 m, or an articulated one of up to 16 m; all of it label 27, instance 1.

    Args:
        rng: source of the model, its paint and its load.
        kind: what is behind the cab; drawn if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = _chosen(rng, "truck", kind, TRUCK_KINDS, _TRUCK_SHARES)
    paint = np.clip(_paint(rng) * 1.1, 0, 0.8)
    second = PAINTS[0] * rng.uniform(0.85, 1.0) if rng.random() < 0.5 else _paint(rng)
    if chosen == "dustcart":
        paint = np.array(((0.62, 0.3, 0.03), (0.66, 0.66, 0.64), (0.1, 0.25, 0.08)))[rng.integers(3)]
        second = paint * rng.uniform(0.7, 1.0)
    elif chosen == "fire engine":
        paint, second = PAINTS[5] * rng.uniform(1.2, 1.6), PAINTS[0]
    elif chosen == "tipper":
        second = np.array(((0.5, 0.3, 0.05), (0.35, 0.36, 0.37), (0.1, 0.2, 0.12)))[rng.integers(3)]
    return painted(_truck(chosen, int(rng.integers(_MODELS))), np.stack((paint, second)))


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
    chosen = _chosen(rng, "bus", kind, BUS_KINDS, _BUS_SHARES)
    livery = _LIVERIES[rng.choice(6, size=2, p=(0.3, 0.25, 0.15, 0.12, 0.08, 0.1))] * rng.uniform(0.85, 1.1)
    return painted(_bus(chosen, int(rng.integers(_MODELS))), livery)


def train(rng: np.random.Generator, cars: int | None = None, *, kind: TrainKind | None = None) -> SceneObject:
    """A tram or light train of coupled cars on bogies; all of it label 31, instance 1.

    Args:
        rng: source of the model and its livery.
        cars: number of cars, at least 1; 2 or 3 (of an old tram 1 or 2) if not given.
        kind: drawn if not given.

    Raises:
        ValueError: if the kind is unknown or ``cars`` < 1.
    """
    chosen = _chosen(rng, "train", kind, TRAIN_KINDS, _TRAIN_SHARES)
    count = int(rng.integers(2, 4)) - (chosen == "old tram") if cars is None else cars
    if count < 1:
        raise ValueError(f"expected at least one car, got {count}")
    livery = _LIVERIES[rng.permutation(5)[:2]] * rng.uniform(0.85, 1.1)
    return painted(_train(chosen, count, int(rng.integers(_MODELS))), livery)


_Kind = TypeVar("_Kind", bound=str)


def _chosen(
    rng: np.random.Generator, what: str, kind: _Kind | None, kinds: tuple[_Kind, ...], shares: tuple[float, ...]
) -> _Kind:
    if kind is None:
        return kinds[int(rng.choice(len(kinds), p=shares))]
    if kind not in kinds:
        raise ValueError(f"expected a {what} kind among {kinds}, got {kind!r}")
    return kind


def _paint(rng: np.random.Generator) -> NDArray[np.float64]:
    paint: NDArray[np.float64] = PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)]
    return np.clip(paint * rng.uniform(0.75, 1.2) + rng.uniform(-0.008, 0.008, 3), 0.005, 0.85)


# --- Cars ----------------------------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    """A car seen from its side and above; positions along y are shares of its length from the nose, heights metres."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    cowl: float  # lower edge of the windscreen
    roof_front: float
    roof_rear: float
    rear: float  # lower edge of the rear window
    belt: float
    nose: float
    tail: float  # height of the deck behind the rear window
    clearance: float
    narrow: float  # the roof's width over the belt's
    bow: float  # how far the nose's corners are behind its middle, metres
    wheel: float  # radius
    axles: tuple[float, float]
    sides: str  # of the three openings behind the windscreen: g glass, p panel


_SHAPES: Final[dict[CarKind, _Shape]] = {
    "city": _Shape(
        (2.7, 3.5), (1.56, 1.66), (1.48, 1.56),
        0.19, 0.36, 0.9, 0.985, 0.94, 0.72, 0.93, 0.17, 0.8, 0.2, 0.28, (0.17, 0.84), "gpp",
    ),
    "hatchback": _Shape(
        (3.75, 4.35), (1.7, 1.82), (1.43, 1.52),
        0.26, 0.43, 0.84, 0.975, 0.93, 0.68, 0.95, 0.17, 0.76, 0.17, 0.31, (0.19, 0.81), "ggp",
    ),
    "saloon": _Shape(
        (4.4, 5.0), (1.74, 1.9), (1.4, 1.48),
        0.28, 0.42, 0.68, 0.83, 0.92, 0.66, 0.97, 0.16, 0.74, 0.17, 0.32, (0.18, 0.79), "ggp",
    ),
    "coupe": _Shape(
        (4.1, 4.6), (1.76, 1.9), (1.24, 1.34),
        0.33, 0.49, 0.66, 0.93, 0.84, 0.58, 0.88, 0.13, 0.7, 0.24, 0.32, (0.18, 0.8), "gpp",
    ),
    "estate": _Shape(
        (4.45, 4.95), (1.74, 1.88), (1.43, 1.52),
        0.27, 0.41, 0.9, 0.985, 0.93, 0.67, 0.95, 0.16, 0.76, 0.17, 0.32, (0.18, 0.79), "ggg",
    ),
    "suv": _Shape(
        (4.2, 4.85), (1.82, 1.96), (1.62, 1.76),
        0.26, 0.4, 0.86, 0.98, 1.08, 0.86, 1.1, 0.25, 0.78, 0.16, 0.37, (0.18, 0.8), "ggg",
    ),
    "jeep": _Shape(
        (3.8, 4.7), (1.74, 1.9), (1.8, 1.98),
        0.33, 0.375, 0.985, 0.99, 1.14, 1.0, 1.14, 0.3, 0.93, 0.04, 0.4, (0.16, 0.8), "ggg",
    ),
    "mpv": _Shape(
        (4.3, 4.85), (1.78, 1.92), (1.62, 1.78),
        0.17, 0.36, 0.92, 0.985, 1.0, 0.72, 1.02, 0.17, 0.78, 0.19, 0.32, (0.19, 0.81), "ggg",
    ),
    "pickup": _Shape(
        (4.9, 5.3), (1.8, 1.94), (1.74, 1.86),
        0.28, 0.39, 0.58, 0.6, 1.1, 0.95, 1.08, 0.28, 0.8, 0.12, 0.38, (0.18, 0.77), "ggp",
    ),
    "van": _Shape(
        (4.6, 5.6), (1.86, 2.02), (1.9, 2.55),
        0.15, 0.27, 0.985, 0.99, 1.16, 0.88, 1.16, 0.2, 0.9, 0.13, 0.34, (0.17, 0.78), "gpp",
    ),
    "minibus": _Shape(
        (4.8, 5.4), (1.9, 2.02), (1.92, 2.1),
        0.13, 0.27, 0.975, 0.985, 1.1, 0.86, 1.12, 0.2, 0.87, 0.13, 0.34, (0.18, 0.78), "ggg",
    ),
    "convertible": _Shape(
        (3.9, 4.4), (1.7, 1.84), (1.26, 1.34),
        0.31, 0.44, 0.66, 0.72, 0.88, 0.62, 0.92, 0.14, 0.76, 0.22, 0.31, (0.18, 0.8), "gpp",
    ),
}  # fmt: skip
_SHAPES["taxi"], _SHAPES["police"] = _SHAPES["saloon"], _SHAPES["estate"]

_LEVELS: Final = 6  # rings of a car's lower body


@cache
def _car(kind: CarKind, parked: bool, number: int) -> SceneObject:
    """One of the models that cars share, made once a process."""
    rng = np.random.default_rng((CAR, CAR_KINDS.index(kind), parked, number))
    shape = _SHAPES[kind]
    length, width, height = (float(rng.uniform(*span)) for span in (shape.length, shape.width, shape.height))
    grow = height / (0.5 * sum(shape.height)) if kind not in ("van", "minibus") else 1.0
    belt, nose_z, tail = shape.belt * grow, shape.nose * grow, shape.tail * grow
    half, front, back = width / 2, length / 2, -length / 2
    radius, turned = shape.wheel + rng.uniform(-0.012, 0.018), bool(parked and rng.random() < 0.5)

    def at(share: float) -> float:
        return front - share * length

    cowl, roof_front, roof_rear, rear = at(shape.cowl), at(shape.roof_front), at(shape.roof_rear), at(shape.rear)
    axles = (at(shape.axles[0]), at(shape.axles[1]))
    trim = np.array(TRIM) if kind == "jeep" or rng.random() < 0.3 else _PAINT
    body = _lower_body(rng, kind, shape, (half, front, back), (belt, nose_z, tail), (cowl, min(rear, roof_rear)), trim)
    meshes, flat = [*body], [_arches(axles, radius, half)]
    if kind == "convertible":
        meshes += _open_top(rng, half, belt, height, cowl, roof_front, rear, driven=not parked)
    else:
        rings = _greenhouse(shape, half, belt, tail, height, (cowl, roof_front, roof_rear, rear))
        sides = "gpp" if kind == "hatchback" and number % 3 == 0 else shape.sides
        if kind == "van" and number % 3 == 0:
            sides = "ggp"
        back_glass = kind != "van" or number % 2 == 0
        meshes += [
            skin(rings, _greenhouse_colours(sides, back_glass), wrapped=True),
            lid(rings[-1], 0.03, _PAINT),
        ]
        if not parked:
            flat.append(_occupants(rng, rings, passenger=bool(rng.random() < 0.5)))
    meshes.append(_wheels(axles, radius, half, turned=rng.uniform(0.25, 0.55) * rng.choice((-1, 1)) if turned else 0.0))
    flat.append(_seams(half, belt, shape.clearance, [cowl - 0.16, *_posts(cowl, roof_front, roof_rear, rear)]))
    meshes.append(
        _blocks(_car_details(rng, kind, (half, front, back), (belt, nose_z, height), (cowl, roof_front, roof_rear), shape))
    )
    if parked and kind not in ("jeep", "convertible") and number % 2:
        meshes += _opened(rng, half, belt, height, (cowl, roof_rear, rear, back))
    return _assembled(CAR, meshes, flat)


def _lower_body(
    rng: np.random.Generator,
    kind: CarKind,
    shape: _Shape,
    size: tuple[float, float, float],
    heights: tuple[float, float, float],
    cabin: tuple[float, float],
    trim: NDArray[np.float64],
) -> list[Mesh]:
    """Flanks, ends, bonnet and boot: rings at six levels from the sills to the deck, lamps and grille painted into them."""
    (half, front, back), (belt, nose, tail), (cowl, rear) = size, heights, cabin
    bow, tail_bow = shape.bow, 0.4 * shape.bow
    plan = np.array(
        (
            (0.0, front),
            (0.42, front - 0.1 * bow),
            (0.76, front - 0.42 * bow),
            (0.94, front - bow - 0.06),
            (1.0, front - bow - 0.34),
            (1.0, cowl),
            (1.0, 0.5 * (cowl + rear)),
            (1.0, max(rear, back + 0.45)),
            (0.975, back + tail_bow + 0.14),
            (0.86, back + 0.5 * tail_bow),
            (0.45, back + 0.1 * tail_bow),
            (0.0, back),
        )
    )
    y = plan[:, 1]
    deck = np.interp(
        y, (back, back + 0.25, rear, cowl, front - bow - 0.3, front), (tail - 0.05, tail, belt, belt, nose + 0.06, nose)
    )
    lamp = 0.14 if kind in ("coupe", "convertible") else 0.17 + 0.05 * (belt > 1.0)
    end = np.interp(np.abs(y), (front - 0.6, front), (0.0, 1.0))  # 1 at nose and tail, 0 along the flanks
    low = shape.clearance + 0.07 * end
    levels = np.stack(
        (low, low + 0.12, np.minimum(0.52 + 0.3 * (nose - 0.68), deck - 2.2 * lamp), deck - 1.25 * lamp, deck - 0.3 * lamp, deck)
    )
    levels[2] = np.maximum(levels[2], low + 0.16)
    wide = np.array((0.955, 0.985, 1.0, 0.995, 0.975, 0.935))
    inset = np.array((0.10, 0.02, 0.0, 0.045, 0.09, 0.16))  # of nose and tail
    if kind in ("van", "minibus", "mpv", "jeep"):
        inset *= (1, 1, 1, 0.6, 0.6, 0.6)
    rings = np.empty((_LEVELS, len(plan), 3))
    rings[..., 0] = half * wide[:, None] * plan[:, 0]
    rings[..., 1] = y - np.sign(y) * end * inset[:, None] * np.where(y > 0, 1.0, 0.6)
    rings[..., 2] = levels
    count = len(plan) - 1
    colours = np.empty((_LEVELS - 1, 2 * count, 3))
    colours[...] = _PAINT
    colours[0], colours[1, [0, 1, 2, 3, 8, 9, 10]] = TRIM, trim
    for strip in (0, 1):  # grille
        colours[1 + int(rng.random() < 0.4), strip] = TRIM
    grille = rng.integers(3)
    colours[3, 0] = TRIM if grille else _PAINT
    colours[3, 1] = TRIM if grille == 2 else _PAINT
    colours[3, 2:4] = LAMP_WHITE
    if rng.random() < 0.3:
        colours[3, 1] = LAMP_WHITE
    if kind in ("hatchback", "estate", "suv", "city", "mpv", "van", "minibus"):
        colours[3:, 8] = LAMP_RED
    colours[3, 8:10] = LAMP_RED
    if rng.random() < 0.3:
        colours[3, 10] = LAMP_RED
    if kind == "police":
        colours[2, 4:8] = _SECOND
    full = np.concatenate((colours[:, :count], colours[:, count - 1 :: -1]), axis=1)
    closed = np.stack([outline(ring) for ring in rings])
    bed = np.empty((count, 3))
    bed[...] = _PAINT
    meshes = [skin(closed, full, wrapped=True)]
    if kind == "pickup":
        meshes += _pickup_bed(rng, half, rear, back, tail)
    if kind == "convertible":
        bed[5:7] = UNDERSIDE
    meshes.append(lid(closed[-1], 0.02 if kind == "pickup" else 0.045, bed))
    return meshes


def _pickup_bed(rng: np.random.Generator, half: float, rear: float, back: float, tail: float) -> list[Mesh]:
    """Side walls, tailgate and dark floor of a loading bed, sometimes loaded."""
    start, end = rear - 0.08, back + 0.12
    middle, long = 0.5 * (start + end), start - end
    blocks: list[_Block] = [
        ((0, middle, tail + 0.03), (1.72 * half, long, 0.02), UNDERSIDE),
        ((0, end, tail + 0.06), (1.8 * half, 0.07, 0.14), _PAINT),
        *(((s * 0.9 * half, middle, tail + 0.06), (0.08, long, 0.14), _PAINT) for s in (-1, 1)),
    ]
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 4))):
            size = rng.uniform((0.4, 0.3, 0.2), (0.9, 0.7, 0.5))
            x, y = rng.uniform(-0.3, 0.3), middle + rng.uniform(-0.3, 0.3) * long
            blocks.append(((x, y, tail + 0.04 + size[2] / 2), (size[0], size[1], size[2]), rng.uniform(0.05, 0.45, 3)))
    return [_blocks(blocks)]


def _greenhouse(
    shape: _Shape, half: float, belt: float, tail: float, height: float, marks: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """Rings of a cabin from the belt to the roof's edge; the columns between its points are panes and pillars in turn."""
    cowl, roof_front, roof_rear, rear = marks
    low, high = 0.93 * half, shape.narrow * half
    b, c = _posts(cowl, roof_front, roof_rear, rear)
    slope = min(0.22, 0.5 * (roof_rear - rear) + 0.05)
    base = np.array(
        (
            (0.0, cowl + 0.13),
            (0.6 * low, cowl + 0.08),
            (0.93 * low, cowl - 0.10),
            (low, cowl - 0.24),
            (low, b + 0.045),
            (low, b - 0.045),
            (low, c + 0.05 - 0.3 * slope),
            (low, c - 0.05 - 0.3 * slope),
            (0.985 * low, rear + 0.14),
            (0.93 * low, rear + 0.03),
            (0.6 * low, rear - 0.01),
            (0.0, rear - 0.02),
        )
    )
    top = np.array(
        (
            (0.0, roof_front + 0.05),
            (0.6 * high, roof_front + 0.03),
            (0.92 * high, roof_front - 0.04),
            (high, roof_front - 0.13),
            (high, b + 0.045),
            (high, b - 0.045),
            (high, c + 0.05),
            (high, c - 0.05),
            (0.99 * high, roof_rear + 0.10),
            (0.93 * high, roof_rear + 0.02),
            (0.6 * high, roof_rear),
            (0.0, roof_rear),
        )
    )
    edge = height - 0.075
    foot = np.interp(base[:, 1], (rear, rear + 0.3, cowl), (tail - 0.03, belt - 0.02, belt - 0.03))
    rings = []
    for share, pull in ((0.0, 0.0), (0.09, 0.0), (0.5, 0.028), (0.9, 0.014), (1.0, 0.0)):
        ring = np.empty((len(base), 3))
        ring[:, :2] = base + share * (top - base)
        ring[:, 0] *= 1.0 + pull
        ring[:, 2] = foot + share * (edge - foot)
        rings.append(ring)
    roof = rings[-1].copy()
    roof[:, 0] *= 0.93
    roof[:, 1] += np.where(roof[:, 1] > 0.5 * (roof_front + roof_rear), -0.08, 0.06)
    roof[:, 2] = height - 0.03
    return np.stack([outline(ring) for ring in (*rings, roof)])


def _posts(cowl: float, roof_front: float, roof_rear: float, rear: float) -> tuple[float, float]:
    """Where along y the pillars behind the front and the rear doors stand."""
    start, end = 0.5 * (cowl + roof_front), 0.5 * (roof_rear + rear)
    first = start - max(0.95, 0.40 * (start - end))
    first = max(first, end + 0.35)
    return first, max(first - max(0.78, 0.36 * (start - end)), end + 0.16)


def _greenhouse_colours(sides: str, back_glass: bool) -> NDArray[np.float64]:
    """(5, 22, 2, 3) colours of a cabin's faces: lower and upper edge of each."""
    half = np.empty((5, 11, 2, 3))
    half[...] = _PAINT
    middle = 0.5 * (GLASS_LOW + GLASS_HIGH)
    panes = [0, 1, 3] + [column for column, kind in zip((5, 7), sides[1:], strict=True) if kind == "g"]
    panes += [9, 10] if back_glass else []
    half[1, panes], half[2, panes] = (GLASS_LOW, middle), (middle, GLASS_HIGH)
    if sides[1] == "g":
        half[1:3, 4] = TRIM  # the pillar between two panes is dark
    half[0, [0, 1, 2]] = TRIM  # wipers
    return np.concatenate((half, half[:, ::-1]), axis=1)


def _occupants(rng: np.random.Generator, rings: NDArray[np.float64], passenger: bool) -> Mesh:
    """Silhouettes of driver and passenger, painted on windscreen and front door panes.

    They are polygons of (metres across, share of the pane's height).
    """
    head = ((-0.09, 0.50), (0.09, 0.50), (0.10, 0.72), (-0.10, 0.72)), ((-0.10, 0.72), (0.10, 0.72), (0.06, 0.84), (-0.06, 0.84))
    shoulders = ((-0.21, 0.12), (0.21, 0.12), (0.17, 0.42), (-0.17, 0.42))
    drop = float(rng.uniform(-0.06, 0.03))
    low, high, half = rings[0, 0], rings[4, 0], rings[2, 3, 0]

    def on_screen(x: float, share: float) -> tuple[float, float, float]:
        _, y, z = low + share * (high - low)
        return x, y + 0.03 - 0.0585 * min(1.0, (x / (0.55 * half)) ** 2), z + 0.01  # the screen bends back to its sides

    faces = [
        [on_screen(x + across, share + drop) for across, share in reversed(polygon)]  # from before, x runs to the left
        for x in ((-0.36, 0.36) if passenger else (-0.36,))
        for polygon in (*head, shoulders)
    ]
    for side in (-1, 1) if passenger else (-1,):
        foot, edge = rings[[0, 4]][:, [3, 4] if side < 0 else [-3, -4]].mean(axis=1)
        for polygon in (*head, shoulders):
            face = [
                (1.06 * (foot[0] + share * (edge[0] - foot[0])), foot[1] - 0.12 + along, foot[2] + share * (edge[2] - foot[2]))
                for along, share in polygon
            ]
            faces.append(face if side > 0 else face[::-1])
    return quads(np.array(faces), _DRIVER)


def _open_top(
    rng: np.random.Generator, half: float, belt: float, height: float, cowl: float, roof_front: float, rear: float, driven: bool
) -> list[Mesh]:
    """Windscreen, seats and folded top of a convertible, and who drives it."""
    low, high, top = 0.86 * half, 0.72 * half, 0.5 * (roof_front + cowl)
    frame = np.array(((-low, cowl - 0.1, belt), (-high, top, height), (high, top, height), (low, cowl - 0.1, belt)))
    bars = tubes(frame[:-1], frame[1:], 0.03, None, _PAINT, 5)
    pane = frame[[3, 0, 1, 2]]
    glass = np.array((GLASS_LOW, GLASS_LOW, GLASS_HIGH, GLASS_HIGH))[None] * 2.0
    sheet = [quads(pane[None] + (0, 0.015, 0), glass), quads(pane[None, ::-1] - (0, 0.015, 0), glass[:, ::-1])]
    leather = (TRIM, (0.25, 0.12, 0.06), (0.4, 0.36, 0.28))[rng.integers(3)]
    seats = 0.45 * (top + rear) - 0.1
    blocks: list[_Block] = []
    for side in (-1, 1):
        blocks += [
            ((side * 0.37, seats, belt + 0.08), (0.46, 0.16, 0.36), leather),
            ((side * 0.37, seats, belt + 0.30), (0.24, 0.1, 0.14), leather),
        ]
    blocks.append(((0, rear + 0.12, belt + 0.07), (1.5 * half, 0.4, 0.16), (0.04, 0.04, 0.045)))
    meshes = [bars, *sheet, _blocks(blocks)]
    if driven:
        shirt, skin_tone = rng.uniform(0.05, 0.5, 3), (0.45, 0.28, 0.2)
        y = seats + 0.2
        meshes.append(
            ellipsoids(
                ((-0.37, y, belt + 0.12), (-0.37, y + 0.03, belt + 0.42), (-0.37, y, belt + 0.46)),
                ((0.22, 0.14, 0.26), (0.085, 0.10, 0.125), (0.095, 0.10, 0.11)),
                np.array((shirt, skin_tone, (0.04, 0.03, 0.02))),
                1,
            )
        )
    return meshes


def _car_details(
    rng: np.random.Generator,
    kind: CarKind,
    size: tuple[float, float, float],
    heights: tuple[float, float, float],
    marks: tuple[float, float, float],
    shape: _Shape,
) -> list[_Block]:
    """Plates, mirrors, sills, and what some cars have on the roof or the tailgate."""
    (half, front, back), (belt, nose, height), (cowl, roof_front, roof_rear) = size, heights, marks
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    mirror = _PAINT if rng.random() < 0.6 else TRIM
    blocks: list[_Block] = [
        ((0, front - 0.005, 0.47 + 0.2 * (nose - 0.68)), (0.5, 0.03, 0.11), plate),
        ((0, back + 0.01, 0.5 if rng.random() < 0.4 else 0.72), (0.5, 0.06, 0.11), plate),
    ]
    for side in (-1.0, 1.0):
        blocks.append(((side * 1.06 * half, cowl - 0.30, belt + 0.06), (0.2, 0.1, 0.14), mirror))
    roof, centre, long = shape.narrow * half, 0.5 * (roof_front + roof_rear), roof_front - roof_rear
    if kind in ("estate", "suv") and rng.random() < 0.6:
        blocks += [((side * 0.92 * roof, centre, height - 0.01), (0.04, 0.86 * long, 0.05), TRIM) for side in (-1.0, 1.0)]
    if kind in ("estate", "suv", "hatchback", "saloon", "mpv") and rng.random() < 0.14:  # roof box
        blocks.append(((0.1, centre - 0.05, height + 0.18), (0.75, min(1.8, long), 0.26), TRIM if rng.random() < 0.6 else STEEL))
        blocks += [((0, centre + s * 0.35 * long, height + 0.03), (1.9 * roof, 0.05, 0.06), TRIM) for s in (-1, 1)]
    elif kind in ("van", "jeep") and rng.random() < 0.5:  # rack with a ladder
        blocks += [((0, centre + s * long, height + 0.06), (1.8 * roof, 0.05, 0.12), STEEL) for s in (-0.35, 0.0, 0.35)]
        blocks += [((x, centre, height + 0.14), (0.05, 0.85 * long, 0.05), STEEL) for x in (-0.15, 0.3)]
    if kind == "jeep":
        blocks.append(((0, back + 0.0, belt + 0.62 * (height - belt) - 0.35), (0.3, 0.08, 0.3), STEEL))
        blocks += [
            ((side * 0.97 * half, y, 0.86), (0.16, 1.0, 0.06), TRIM) for side in (-1, 1) for y in (front - 0.68, back + 0.85)
        ]
    if kind == "taxi":
        blocks.append(((0, centre + 0.25, height + 0.08), (0.5, 0.16, 0.16), (0.8, 0.62, 0.05)))
    if kind == "police":
        blocks += [
            ((0, centre + 0.25, height + 0.04), (1.15, 0.24, 0.05), TRIM),
            *(((s * 0.38, centre + 0.25, height + 0.11), (0.38, 0.22, 0.12), LAMP_BLUE) for s in (-1, 1)),
        ]
    return blocks


def _opened(
    rng: np.random.Generator, half: float, belt: float, height: float, marks: tuple[float, float, float, float]
) -> list[Mesh]:
    """An open front door, or a tailgate that is up."""
    cowl, roof_rear, rear, back = marks
    if rng.random() < 0.6 or height > 2.2:
        hinge, long, angle = cowl - 0.22, 1.05, rng.uniform(0.7, 1.1)
        side = float(rng.choice((-1, 1)))
        panel = boxes((0, -long / 2, 0.5 * (belt + 0.3)), (0.06, long, belt - 0.3), _PAINT)
        upper = 0.86 * (height - belt)
        pane = boxes((0, -0.55 * long, belt + 0.5 * upper), (0.03, 0.72 * long, upper), GLASS_HIGH, taper=0.8)
        opened = [mesh.rotated(side * angle).translated((side * 0.985 * half, hinge, 0)) for mesh in (panel, pane)]
        dark = boxes((side * 0.97 * half, hinge - 0.55 * long, 0.5 * (belt + 0.4)), (0.08, 0.9 * long, belt - 0.42), UNDERSIDE)
        return [*opened, dark]
    long = min(1.15, height - 0.55)
    gate = boxes((0, -long / 2, 0), (1.5 * half, long, 0.06), _PAINT)
    pane = boxes((0, -0.3 * long, 0.005), (1.25 * half, 0.42 * long, 0.07), GLASS_HIGH)
    turn = rotation_x(rng.uniform(-0.15, 0.25))
    edge = (0.0, roof_rear + 0.05 if height > 1.35 else rear, height - 0.03)
    dark = boxes((0, back + 0.02, 0.5 * (0.55 + belt)), (1.45 * half, 0.08, belt - 0.5), UNDERSIDE)
    return [gate.transformed(turn, edge), pane.transformed(turn, edge), dark]


def _seams(half: float, belt: float, clearance: float, ys: list[float]) -> Mesh:
    """Door seams and handles on both flanks."""
    x, wide = half + 0.004, 0.009
    faces = []
    for y in ys:
        for z0, z1, x1 in ((clearance + 0.14, 0.72 * belt, x), (0.72 * belt, belt - 0.02, 0.962 * half)):
            faces.append(((x, y - wide, z0), (x, y + wide, z0), (x1, y + wide, z1), (x1, y - wide, z1)))
    for y in ys[1:]:
        z = 0.80 * belt
        faces.append(((x, y + 0.05, z), (x, y + 0.24, z), (x, y + 0.24, z + 0.035), (x, y + 0.05, z + 0.035)))
    right = np.array(faces)
    return quads(np.concatenate((right, _mirrored(right))), code(0, 0.25))


# --- Trucks --------------------------------------------------------------------------------------------------------------


@cache
def _truck(kind: TruckKind, number: int) -> SceneObject:
    """One of the models that trucks share, made once a process."""
    rng = np.random.default_rng((TRUCK, TRUCK_KINDS.index(kind), number))
    spans = {"box": (6.2, 9.5), "articulated": (12.5, 16.0), "tanker": (8.0, 9.8), "mixer": (8.2, 9.2), "fire engine": (7.2, 8.6)}
    length = float(rng.uniform(*spans.get(kind, (6.4, 8.4))))
    width, radius = float(rng.uniform(2.3, 2.5)), float(rng.uniform(0.46, 0.52))
    high_cab = kind == "articulated"
    cab_height = float(rng.uniform(3.2, 3.7) if high_cab else rng.uniform(2.6, 3.0))
    cab_length = float(rng.uniform(2.1, 2.4) if high_cab else 2.6 if kind == "fire engine" else rng.uniform(1.8, 2.1))
    half, front, back = width / 2, length / 2, -length / 2
    cab_back = front - cab_length
    start, floor = cab_back - (0.9 if kind == "articulated" else 0.14), float(rng.uniform(1.0, 1.15))
    meshes = [*_cab(half, cab_back, front, cab_height, crew=kind == "fire engine", style=int(rng.integers(3)))]
    bed = (start, back, floor)
    blocks: list[_Block] = [
        ((0, -0.1, 0.78), (0.9, length - 0.7, 0.34), UNDERSIDE),
        *(((s * (half + 0.17), front - 0.16, cab_height - 0.9), (0.2, 0.12, 0.5), TRIM) for s in (-1, 1)),
        *(((s * (half - 0.12), 0.5 * (start + back) + 0.4, 0.74), (0.08, 0.4 * (start - back), 0.42), STEEL) for s in (-1, 1)),
        *_rear_lamps(width, back, rng),
    ]
    meshes += _LOADS[kind](rng, half, bed)
    axles = [front - 0.95 - 0.25 * (kind != "fire engine"), back + 1.25]
    if kind in ("articulated", "tanker", "mixer") or length > 8.0:
        axles.append(back + 2.4)
    if kind == "articulated":
        axles += [back + 3.55, cab_back - 0.5]
        blocks.append(((0, cab_back - 0.45, 1.0), (1.1, 1.5, 0.25), UNDERSIDE))
    if kind == "fire engine":
        blocks += [((s * 0.6, front - 0.5, cab_height + 0.1), (0.6, 0.3, 0.18), LAMP_BLUE) for s in (-1, 1)]
    elif kind == "dustcart" or (kind == "tipper" and number % 2):
        blocks += [((s * 0.7, front - 0.6, cab_height + 0.09), (0.2, 0.2, 0.18), LAMP_AMBER) for s in (-1, 1)]
    meshes += [_blocks(blocks), _wheels(axles, radius, half)]
    return _assembled(TRUCK, meshes, [_arches(axles[:1], radius, half)])


def _cab(half: float, back: float, front: float, height: float, crew: bool, style: int) -> list[Mesh]:
    """A forward-control cab: windscreen, door windows, grille and lamps painted into rings at eight levels."""
    door = back + (0.55 if crew else 0.35) * (front - back)
    plan = np.array(
        (
            (0.0, front),
            (0.55, front - 0.02),
            (0.9, front - 0.09),
            (1.0, front - 0.26),
            (1.0, front - 0.38),
            (1.0, door + 0.05),
            (1.0, door - 0.05),
            (1.0, back + 0.12),
            (0.98, back),
            (0.5, back),
            (0.0, back),
        )
    )
    window = 0.52 * height + 0.15
    levels = np.array((0.42, 0.6, 0.95, window, window + 0.06, height - 0.5, height - 0.38, height - 0.1, height))
    lean = np.array((0.0, -0.05, 0.0, 0.02, 0.03, 0.16, 0.2, 0.3, 0.5))
    wide = np.array((0.97, 1.0, 1.0, 1.0, 1.0, 0.975, 0.97, 0.95, 0.84))
    rings = np.empty((len(levels), len(plan), 3))
    rings[..., 0] = half * wide[:, None] * plan[:, 0]
    near = np.clip((plan[:, 1] - door) / (front - door), 0, 1)
    rings[..., 1] = plan[:, 1] - lean[:, None] * near
    rings[-1, -3:, 1] += 0.1
    rings[..., 2] = levels[:, None]
    colours = np.empty((len(levels) - 1, 10, 2, 3))
    colours[...] = _PAINT
    colours[0] = TRIM
    colours[1, 1:3] = LAMP_WHITE
    colours[1, 0] = TRIM
    colours[2, 0] = (TRIM, _PAINT, code(0, 0.6))[style]
    panes = [0, 1, 4] + ([6] if crew else [])
    colours[4, panes] = GLASS_LOW, GLASS_HIGH
    return _closed(rings, colours)


def _closed(rings: NDArray[np.float64], half_colours: NDArray[np.float64], crown: float = 0.04) -> list[Mesh]:
    """A body of rings of half outlines, whose sides are alike, and its roof."""
    closed = np.stack([outline(ring) for ring in rings])
    colours = np.concatenate((half_colours, half_colours[:, ::-1]), axis=1)
    return [skin(closed, colours, wrapped=True), lid(closed[-1], crown, half_colours[-1, 3, 0])]


_Bed = tuple[float, float, float]  # its front and back along y, and its floor's height


def _box_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A box body with posts, sometimes with a refrigerator over the cab or a curtain's straps."""
    start, back, floor = bed
    long, centre, top = start - back, 0.5 * (start + back), float(rng.uniform(3.1, 3.8))
    middle, tall = 0.5 * (floor + top), top - floor
    meshes = [boxes((0, centre, middle), (2 * half + 0.06, long, tall), _SECOND)]
    blocks: list[_Block] = [
        ((x, y, middle), (0.08, 0.08, tall + 0.03), code(1, 0.7))
        for x in (-half - 0.03, half + 0.03)
        for y in (back + 0.02, start - 0.02)
    ]
    blocks += [((0, back - 0.01, middle), (0.05, 0.04, tall - 0.1), code(1, 0.6))]
    style = rng.integers(3)
    if style == 0:
        for side in (-1, 1):
            blocks += [
                ((side * (half + 0.035), y, middle), (0.02, 0.05, tall), code(1, 0.6)) for y in np.linspace(back, start, 7)[1:-1]
            ]
    elif style == 1:
        band, reach = rng.uniform(0.3, 0.8), rng.uniform(0.5, 0.95)
        z = rng.uniform(floor + 0.6, top - 0.7)
        blocks += [((s * (half + 0.03), centre, z), (0.03, long * reach, band), _PAINT) for s in (-1, 1)]
    else:
        blocks.append(((0, start + 0.2, top - 0.5), (1.6, 0.45, 0.7), (0.7, 0.7, 0.69)))
    return [*meshes, _blocks(blocks)]


def _flatbed_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A platform with low walls, loaded with timber, pipes, crates or nothing."""
    start, back, floor = bed
    long, centre = start - back, 0.5 * (start + back)
    blocks: list[_Block] = [
        ((0, centre, floor + 0.05), (2 * half, long, 0.14), _SECOND),
        ((0, start - 0.04, floor + 0.6), (2 * half, 0.08, 1.1), _SECOND),
        ((0, back + 0.04, floor + 0.3), (2 * half, 0.08, 0.42), _SECOND),
        *(((s * half, centre, floor + 0.3), (0.06, long, 0.42), _SECOND) for s in (-1, 1)),
    ]
    load = rng.integers(4)
    meshes: list[Mesh] = []
    if load == 0:
        for y in np.arange(back + 0.9, start - 0.7, 1.25):
            if rng.random() < 0.8:
                tall = rng.uniform(0.5, 1.4)
                tone = np.array(WOOD) * rng.uniform(0.6, 1.5)
                blocks.append(((rng.uniform(-0.2, 0.2), y, floor + 0.12 + tall / 2), (1.7, 1.05, tall), tone))
    elif load == 1:
        ends = [(x, z) for x, z in ((-0.7, 0.3), (0.0, 0.3), (0.7, 0.3), (-0.35, 0.85), (0.35, 0.85))]
        meshes.append(
            tubes(
                [(x, back + 0.3, floor + 0.12 + z) for x, z in ends],
                [(x, start - 0.3, floor + 0.12 + z) for x, z in ends],
                0.33,
                None,
                np.array((0.36, 0.35, 0.33)) * rng.uniform(0.5, 1.4),
                8,
            )
        )
    elif load == 2:
        tall = rng.uniform(0.4, 1.1)
        blocks.append(((0, centre, floor + 0.12 + tall / 2), (1.9, 0.86 * long, tall), np.array(WOOD) * rng.uniform(0.7, 1.6)))
    return [*meshes, _blocks(blocks)]


def _tipper_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A skip with ribs, full of earth or empty."""
    start, back, floor = bed
    long, centre, wall = start - back, 0.5 * (start + back), float(rng.uniform(0.9, 1.3))
    z = floor + wall / 2
    blocks: list[_Block] = [
        ((0, centre, floor + 0.06), (2 * half, long, 0.14), _SECOND),
        ((0, back + 0.04, z), (2 * half, 0.08, wall), _SECOND),
        ((0, start - 0.04, z + 0.25), (2 * half, 0.08, wall + 0.5), _SECOND),
        ((0, start + 0.4, floor + wall + 0.46), (2 * half, 0.9, 0.06), _SECOND),
    ]
    for side in (-1, 1):
        blocks.append(((side * half, centre, z), (0.08, long, wall), _SECOND))
        blocks += [
            ((side * (half + 0.05), y, z), (0.06, 0.1, wall), code(1, 0.7)) for y in np.linspace(back + 0.3, start - 0.3, 5)
        ]
    fill = float(rng.uniform(0.3, 0.8))
    heap = np.array(((0.18, 0.14, 0.1), (0.3, 0.29, 0.27), (0.33, 0.26, 0.15)))[rng.integers(3)]
    pile = boxes((0, centre, floor + 0.55 * wall + fill / 2), (1.84 * half, 0.94 * long, fill), heap, taper=0.35)
    return [_blocks(blocks), pile]


def _tanker_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A tank with domed ends, hatches, a catwalk and a skirt."""
    start, back, floor = bed
    long, radius = start - back - 0.2, float(rng.uniform(0.95, 1.15))
    profile = ((0, 0), (0.7 * radius, 0.05), (radius, 0.3), (radius, long - 0.3), (0.7 * radius, long - 0.05), (0, long))
    tank = lathe(profile, _SECOND, 14).transformed(rotation_x(-np.pi / 2), (0, back + 0.1, floor + 0.9))
    tank = tank.transformed(np.diag((half / radius * 0.98, 1.0, 1.0)))
    top = floor + 0.9 + radius
    blocks: list[_Block] = [((0, y, top), (0.5, 0.5, 0.12), STEEL) for y in np.linspace(back + 1.0, start - 1.0, 4)]
    blocks += [
        ((0.35, 0.5 * (start + back), top - 0.02), (0.06, 0.8 * long, 0.06), STEEL),
        *(((s * 0.8 * half, 0.5 * (start + back), floor + 0.02), (0.3, long, 0.14), TRIM) for s in (-1, 1)),
        ((0, back + 0.2, floor + 0.1), (1.2, 0.4, 0.5), TRIM),
        ((0, start - 0.4, floor + 0.1), (1.2, 0.6, 0.5), TRIM),
    ]
    return [tank, _blocks(blocks)]


def _trailer(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """An articulated lorry's trailer: a box, a curtain-sider, a tank or a loaded flatbed."""
    start, back, floor = bed
    wider = (start + 0.75, back, floor + 0.15)  # it reaches over the tractor
    body = (_box_load, _box_load, _tanker_load, _flatbed_load)[rng.integers(4)](rng, half, wider)
    legs: list[_Block] = [((s * 0.6, start - 1.4, 0.55), (0.12, 0.12, 0.9), TRIM) for s in (-1, 1)]
    return [*body, _blocks(legs)]


def _dustcart_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A rounded refuse body with a hopper at its back."""
    start, back, floor = bed
    top, joint = float(rng.uniform(3.0, 3.3)), back + 1.5
    x = half * np.array((-0.95, -1.0, -0.98, -0.75, 0.75, 0.98, 1.0, 0.95))
    z = np.array((floor, floor + 0.3, top - 0.35, top, top, top - 0.35, floor + 0.3, floor))
    sections = np.stack([np.stack((x, np.full(8, y), z), axis=1) for y in (joint, start)])
    body = lofts(sections, _SECOND, smooth=False)
    hopper = np.array(
        ((joint, floor - 0.2), (joint, top + 0.1), (back + 0.55, top + 0.1), (back, floor + 1.15), (back + 0.1, floor - 0.35))
    )
    rear = extruded(hopper, -0.97 * half, 0.97 * half, _PAINT, axis="x")
    ys = np.linspace(joint + 0.4, start - 0.3, 4)
    blocks: list[_Block] = [
        ((s * half, y, 0.5 * (floor + top)), (0.05, 0.1, top - floor - 0.5), code(1, 0.7)) for s in (-1, 1) for y in ys
    ]
    blocks += [
        ((0, back + 0.04, floor + 0.5), (1.5 * half, 0.1, 0.8), UNDERSIDE),
        *(((s * 0.75 * half, back - 0.05, floor + 0.1), (0.1, 0.2, 0.7), LAMP_AMBER) for s in (-1, 1)),
    ]
    return [body, rear, _blocks(blocks)]


def _mixer_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A tilted drum with a stripe, a funnel and a chute."""
    start, back, floor = bed
    long, wide = start - back - 0.7, 0.98 * half
    profile = np.array(((0.0, 0.0), (0.5, 0.02), (0.78, 0.3), (1.0, 0.42), (1.0, 0.58), (0.62, 0.85), (0.42, 1.0), (0.0, 1.0)))
    colours = np.array([_SECOND] * 3 + [_PAINT] * 2 + [_SECOND] * 3)
    drum = lathe(profile * (wide, long), colours, 12).transformed(rotation_x(np.pi / 2 - 0.2), (0, start - 0.15, floor + 0.95))
    blocks: list[_Block] = [
        ((0, 0.5 * (start + back), floor + 0.05), (0.9, start - back, 0.2), TRIM),
        ((0, back + 0.55, floor + 1.0), (0.9, 0.2, 1.9), _PAINT),
        ((0, back + 0.35, floor + 2.35), (0.8, 0.7, 0.45), _PAINT),
        ((0, back + 0.15, floor + 0.75), (0.4, 0.3, 0.9), STEEL),
        ((0, start - 0.1, floor + 0.5), (1.0, 0.2, 1.0), TRIM),
    ]
    return [drum, _blocks(blocks)]


def _fire_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """Lockers with shutters, a band, and a ladder on the roof."""
    start, back, _ = bed
    long, centre, top = start - back + 0.1, 0.5 * (start + back) + 0.05, float(rng.uniform(2.8, 3.0))
    blocks: list[_Block] = [
        ((0, centre, 0.5 * (0.75 + top)), (2 * half, long, top - 0.75), _PAINT),
        *(((s * half, centre, 1.25), (0.03, long, 0.22), _SECOND) for s in (-1, 1)),
        *(((s * 0.3, centre + 0.4, top + 0.25), (0.06, long + 1.6, 0.08), STEEL) for s in (-1, 1)),
        *(((0, centre + y * long, top + 0.25), (0.6, 0.05, 0.05), STEEL) for y in np.linspace(-0.45, 0.55, 7)),
        *(((0.0, centre + y * long, top + 0.1), (0.7, 0.1, 0.24), TRIM) for y in (-0.35, 0.35)),
    ]
    for side in (-1, 1):
        for y in np.linspace(back + 0.75, start - 0.6, 3):
            blocks.append(((side * half, y, 0.5 * (1.4 + top) - 0.05), (0.04, 0.28 * long, top - 1.6), STEEL))
    return [_blocks(blocks)]


_LOADS: Final = {
    "box": _box_load,
    "flatbed": _flatbed_load,
    "tipper": _tipper_load,
    "tanker": _tanker_load,
    "articulated": _trailer,
    "dustcart": _dustcart_load,
    "mixer": _mixer_load,
    "fire engine": _fire_load,
}


def _rear_lamps(width: float, back: float, rng: np.random.Generator) -> list[_Block]:
    """Bumper, lamps and plate at the back of a large vehicle."""
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    blocks: list[_Block] = [((0, back, 0.6), (width * 0.94, 0.12, 0.2), TRIM), ((0, back - 0.07, 0.65), (0.5, 0.02, 0.12), plate)]
    for side in (-1, 1):
        blocks += [
            ((side * 0.41 * width, back, 0.85), (0.2, 0.08, 0.2), LAMP_RED),
            ((side * 0.41 * width, back, 0.65), (0.2, 0.13, 0.12), LAMP_AMBER),
        ]
    return blocks


# --- Buses and trains ----------------------------------------------------------------------------------------------------


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
    colours[...] = _PAINT
    if given.band >= 0:
        colours[given.band] = _SECOND
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
    return [skin(closed, full, wrapped=True), lid(closed[-1], 0.05, _PAINT)]


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
    blocks: list[_Block] = []
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
        *_rear_lamps(2 * half, back, rng),
        ((0, back + 0.03, 0.95), (1.1 * half, 0.08, 0.3), TRIM),
    ]
    if kind in ("city", "articulated") and rng.random() < 0.7:
        blocks.append(((0, front - 0.3 * length, height + 0.1), (1.6, 2.4, 0.26), code(0, 0.8)))
    if kind == "city" and rng.random() < 0.4:
        blocks.append(((0, back + 0.02, 1.35), (1.4 * half, 0.08, 0.36), rng.uniform(0.05, 0.6, 3)))
    radius = 0.48 if kind != "minibus" else 0.38
    axles = [front - (2.6 if kind != "minibus" else 1.1), back + (2.9 if kind != "minibus" else 1.5)]
    axles += [back + 4.2] if kind == "coach" else [front - 8.2] if kind == "articulated" else []
    meshes += [_blocks(blocks), _wheels(axles, radius, half)]
    return _assembled(BUS, meshes, [_arches(axles, radius, half)])


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
    blocks: list[_Block] = []
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
    meshes += [_blocks(blocks), tubes(bars[:, 0], bars[:, 1], 0.04, None, (0.1, 0.1, 0.1), 4)]
    return _assembled(TRAIN, meshes, [])


# --- What all have -------------------------------------------------------------------------------------------------------


def _mirrored(faces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Faces of the right flank as they are on the left one."""
    return faces[:, [1, 0, 3, 2]] * (-1, 1, 1)


def _blocks(blocks: list[_Block]) -> Mesh:
    centres, sizes, colours = zip(*blocks, strict=True)
    return boxes(np.array(centres), np.array(sizes), np.array(colours))


def _assembled(label_id: int, solid: list[Mesh], flat: list[Mesh]) -> SceneObject:
    """The vehicle; what lies flat on its body need not be drawn twice in the label picture."""
    parts = [Part(label_id, 1, mesh) for mesh in solid]
    return scene_object(parts + [Part(label_id, 1, mesh, "image") for mesh in flat])


@lru_cache
def _unit_wheel() -> Mesh:
    """A wheel of radius 1 about the x axis, outer face at x = 0; its rim's spokes are painted on."""
    profile = ((1.0, -0.65), (1.0, -0.015), (0.70, 0.0), (0.68, -0.02), (0.0, 0.01))
    sides = 12
    wheel = lathe(profile, RUBBER, sides)
    colours = wheel.colours.copy().reshape(len(profile), sides + 1, 3)
    colours[3, ::2], colours[3, 1::2], colours[4] = 0.42, 0.04, 0.30
    return wheel.coloured(colours.reshape(-1, 3)).transformed(rotation_y(np.pi / 2))


def _wheels(axles: Numbers, radius: float, half_track: float, turned: float = 0.0) -> Mesh:
    """Wheels on both ends of each axle, their outer faces at ``half_track``; those of the first turned by an angle."""
    y = np.asarray(axles, np.float64)
    count = len(y)
    turns = np.repeat(np.stack((np.eye(3), rotation_z(np.pi))), count, axis=0)
    turns[[0, count]] = turns[[0, count]] @ rotation_z(turned)
    offsets = np.zeros((2 * count, 3))
    offsets[:, 0], offsets[:, 1], offsets[:, 2] = np.repeat((1.0, -1.0), count) * (half_track + 0.014), np.tile(y, 2), radius
    return copies(_unit_wheel().transformed(radius * np.eye(3)), turns, offsets)


def _arches(axles: Numbers, radius: float, half_track: float) -> Mesh:
    """Dark arches over the wheels that :func:`_wheels` makes of the same numbers."""
    y = np.asarray(axles, np.float64)
    angle = np.linspace(0.0, np.pi, 9)
    rim = 1.17 * radius * np.stack((np.cos(angle), np.sin(angle)), axis=1) + (0, radius)
    arches = np.empty((len(y), 4, 4, 3))
    arches[..., 0] = half_track + 0.004
    for i in range(4):
        corners = np.array(((0.0, radius), rim[2 * i], rim[2 * i + 1], rim[2 * i + 2]))
        arches[:, i, :, 1], arches[:, i, :, 2] = y[:, None] + corners[:, 0], corners[:, 1]
    faces = arches.reshape(-1, 4, 3)
    return quads(np.concatenate((faces, _mirrored(faces))), UNDERSIDE)
