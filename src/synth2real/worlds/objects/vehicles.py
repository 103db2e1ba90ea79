"""Cars, trucks, buses and trains: lofted bodies with dark glass, wheels, lamps and number plates.

Every builder takes a random generator and gives one object that faces +y; equal generators give equal arrays. Shares and
sizes follow European traffic: most cars are white, grey, black or silver, 3.6 to 5.1 m long and 1.65 to 2.0 m wide.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

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
    quads,
    rotation_y,
    rotation_z,
    scene_object,
    tubes,
)

CarKind = Literal["hatchback", "saloon", "estate", "suv", "van"]
TruckKind = Literal["box", "flatbed", "tipper"]

CAR, TRUCK, BUS, TRAIN = 26, 27, 28, 31

CAR_KINDS: tuple[CarKind, ...] = ("hatchback", "saloon", "estate", "suv", "van")
TRUCK_KINDS: tuple[TruckKind, ...] = ("box", "flatbed", "tipper")

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

GLASS_LOW, GLASS_HIGH = np.array((0.012, 0.015, 0.018)), np.array((0.10, 0.12, 0.14))
RUBBER, TRIM, UNDERSIDE = (0.02, 0.02, 0.022), (0.03, 0.03, 0.032), (0.012, 0.012, 0.013)
LAMP_WHITE, LAMP_RED, LAMP_AMBER = (0.74, 0.77, 0.78), (0.45, 0.015, 0.012), (0.75, 0.3, 0.03)
PLATE_WHITE, PLATE_YELLOW = (0.75, 0.75, 0.72), (0.75, 0.55, 0.06)


_Triple = tuple[float | int, float | int, float | int]
_Block = tuple[_Triple, _Triple, Numbers]  # centre, size, colour


class _Body(NamedTuple):
    """Side view of a car; lengths along y are shares of its length measured from the nose, heights are metres."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    screen_base: float
    roof_front: float
    roof_rear: float
    rear_base: float
    belt: float
    nose: float
    clearance: float


_BODIES: dict[CarKind, _Body] = {
    "hatchback": _Body((3.6, 4.25), (1.66, 1.80), (1.42, 1.52), 0.27, 0.43, 0.87, 0.975, 0.92, 0.68, 0.17),
    "saloon": _Body((4.35, 5.0), (1.74, 1.90), (1.40, 1.48), 0.29, 0.43, 0.69, 0.84, 0.92, 0.66, 0.16),
    "estate": _Body((4.4, 4.95), (1.74, 1.88), (1.43, 1.52), 0.28, 0.42, 0.91, 0.98, 0.92, 0.67, 0.16),
    "suv": _Body((4.15, 4.8), (1.80, 1.95), (1.60, 1.80), 0.27, 0.41, 0.90, 0.98, 1.08, 0.84, 0.24),
    "van": _Body((4.5, 5.15), (1.82, 1.98), (1.85, 2.15), 0.15, 0.30, 0.975, 0.99, 1.12, 0.86, 0.2),
}


def car(rng: np.random.Generator, kind: CarKind | None = None) -> SceneObject:
    """A passenger car or small van, all of it label 26, instance 1.

    Args:
        rng: source of proportions, paint and trim.
        kind: body; drawn from the traffic's mix if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = kind or CAR_KINDS[rng.choice(len(CAR_KINDS), p=(0.36, 0.18, 0.15, 0.2, 0.11))]
    if chosen not in _BODIES:
        raise ValueError(f"expected a car kind among {CAR_KINDS}, got {chosen!r}")
    body = _BODIES[chosen]
    length, width, height = (float(rng.uniform(*span)) for span in (body.length, body.width, body.height))
    paint = _paint(rng)
    if chosen == "van" and rng.random() < 0.5:
        paint = PAINTS[0] * rng.uniform(0.9, 1.05)
    half, nose = width / 2, length / 2
    belt = body.belt * height / (0.5 * sum(body.height))

    def at(share: float) -> float:
        return nose - share * length

    screen, roof_front, roof_rear, rear = (
        at(share) for share in (body.screen_base, body.roof_front, body.roof_rear, body.rear_base)
    )
    tail_deck = belt + 0.03 if chosen != "saloon" else belt + 0.02
    stations = np.array(
        # y, half width share, underside, lower edge of the flank, deck height
        (
            (at(1.0), 0.90, body.clearance + 0.12, 0.36, tail_deck - 0.14),
            (at(0.985), 0.95, body.clearance + 0.06, 0.34, tail_deck - 0.04),
            (at(0.93), 0.985, body.clearance, 0.32, tail_deck),
            (at(0.70), 1.0, body.clearance, 0.30, belt),
            (at(0.40), 1.0, body.clearance, 0.30, belt - 0.02),
            (screen, 1.0, body.clearance, 0.30, belt - 0.03),
            (at(0.12), 0.985, body.clearance, 0.32, body.nose + 0.62 * (belt - body.nose)),
            (at(0.03), 0.94, body.clearance + 0.04, 0.34, body.nose + 0.10),
            (at(0.0), 0.84, body.clearance + 0.10, 0.38, body.nose - 0.04),
        )
    )
    flank = 0.55 * belt + 0.18
    section = np.array(
        # x share, and weights of (underside, lower edge, flank, deck) for z
        ((-0.88, 1, 0, 0, 0), (0.88, 1, 0, 0, 0), (0.985, 0, 1, 0, 0), (1.0, 0, 0, 1, 0), (0.93, 0, 0, 0, 1), (-0.93, 0, 0, 0, 1))
    )
    section = np.concatenate((section, ((-1.0, 0, 0, 1, 0), (-0.985, 0, 1, 0, 0))))
    rings = np.empty((len(stations), len(section), 3))
    rings[..., 0] = half * stations[:, 1:2] * section[None, :, 0]
    rings[..., 1] = stations[:, :1]
    levels = np.stack((stations[:, 2], stations[:, 3], np.minimum(flank, stations[:, 4] - 0.06), stations[:, 4] - 0.0), axis=1)
    rings[..., 2] = levels @ section[:, 1:].T
    shell = lofts(rings[:, ::-1], paint, smooth=False)

    low, high = 0.935 * half, (0.76 if chosen != "van" else 0.86) * half
    roof_low = height - (0.05 if chosen != "van" else 0.04)
    cabin_stations = np.array(
        # y, half width at the belt, half width at the roof, belt z, roof edge z, roof crown z
        (
            (rear, low * 0.97, high * 0.96, tail_deck - 0.03, tail_deck + 0.0, tail_deck + 0.01),
            (roof_rear, low, high, belt - 0.02, roof_low - 0.02, height - 0.02),
            ((roof_rear + roof_front) / 2, low, high, belt - 0.03, roof_low, height),
            (roof_front, low, high, belt - 0.05, roof_low - 0.02, height - 0.02),
            (screen + 0.02, low * 0.97, high * 1.04, belt - 0.06, belt - 0.035, belt - 0.03),
        )
    )
    wheel_radius = 0.3 + 0.05 * (chosen in ("suv", "van")) + rng.uniform(-0.01, 0.015)
    axles = (at(0.185 if chosen != "van" else 0.17), at(0.80))
    front, back = at(0.0), at(1.0)
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    mirror, bumper = (paint if rng.random() < 0.6 else TRIM), (paint * 0.9 if rng.random() < 0.6 else TRIM)
    lamp_z = body.nose - 0.06
    lamp_width, lamp_height = (0.2, 0.18) if chosen in ("hatchback", "suv", "saloon") else (0.17, 0.34)
    lamp_back = belt - 0.10 if chosen != "van" else belt + 0.02
    blocks: list[_Block] = [
        ((0, front - 0.03, lamp_z - 0.005), (1.62 * half, 0.09, 0.17), TRIM),
        ((0, front - 0.03, 0.45), (1.66 * half, 0.12, 0.13), bumper),
        ((0, front - 0.05, 0.33), (1.6 * half, 0.12, 0.12), TRIM),
        ((0, front + 0.035, 0.45), (0.5, 0.02, 0.11), plate),
        ((0, back, 0.62 * belt + 0.12), (0.5, 0.03, 0.11), plate),
        ((0, back + 0.02, 0.46), (1.7 * half, 0.12, 0.13), bumper),
        ((0, back + 0.05, 0.35), (1.64 * half, 0.14, 0.12), TRIM),
    ]
    for side in (-1.0, 1.0):
        blocks += [
            ((side * 0.6 * half, front - 0.04, lamp_z), (0.31, 0.13, 0.12), LAMP_WHITE),
            ((side * 0.76 * half, back + 0.03, lamp_back), (lamp_width, 0.10, lamp_height), LAMP_RED),
            ((side * 1.05 * half, screen - 0.32, belt + 0.05), (0.2, 0.1, 0.13), mirror),
            ((side * 0.97 * half, at(0.49), body.clearance + 0.05), (0.06, axles[0] - axles[1] - 2.4 * wheel_radius, 0.1), TRIM),
        ]
    if chosen in ("estate", "suv") and rng.random() < 0.6:
        rail = (0.04, 0.9 * (roof_front - roof_rear), 0.05)
        blocks += [((side * 0.85 * high, (roof_front + roof_rear) / 2, height), rail, TRIM) for side in (-1.0, 1.0)]
    flat = [
        _glass([_cabin_windows(rng, cabin_stations, chosen)]),
        _arches(axles, wheel_radius, half),
        _doors(half, _pillar(cabin_stations), screen, axles[1] + 0.3, body.clearance + 0.12, belt, flank, paint, chosen != "van"),
    ]
    return _assembled(CAR, [shell, _cabin(cabin_stations, paint), _wheels(axles, wheel_radius, half), _blocks(blocks)], flat)


def truck(rng: np.random.Generator, kind: TruckKind | None = None) -> SceneObject:
    """A lorry of 6 to 10 m with a box, a flatbed or a tipper; all of it label 27, instance 1.

    Args:
        rng: source of proportions, paint and load.
        kind: what is behind the cab; drawn if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = kind or TRUCK_KINDS[rng.choice(3, p=(0.6, 0.2, 0.2))]
    if chosen not in TRUCK_KINDS:
        raise ValueError(f"expected a truck kind among {TRUCK_KINDS}, got {chosen!r}")
    length = rng.uniform(6.2, 9.5) if chosen == "box" else rng.uniform(6.0, 8.0)
    width, cab_length, cab_height = rng.uniform(2.25, 2.5), rng.uniform(1.75, 2.2), rng.uniform(2.5, 3.0)
    half, front, back = width / 2, length / 2, -length / 2
    paint = np.clip(_paint(rng) * 1.1, 0, 0.8)
    cab_back, floor = front - cab_length, rng.uniform(0.95, 1.15)
    load_start = cab_back - 0.15
    load_length, centre = load_start - back, (load_start + back) / 2
    meshes: list[Mesh] = [_body_shell(width, cab_back, front, 0.45, cab_height, paint, lean=0.28)]
    blocks: list[_Block] = [
        ((0, -0.1, 0.72), (0.9, length - 0.7, 0.35), UNDERSIDE),
        *(((side * (half - 0.1), centre, 0.72), (0.06, load_length * 0.42, 0.4), (0.2, 0.2, 0.21)) for side in (-1, 1)),
        *(((side * (half + 0.17), front - 0.1, cab_height - 0.75), (0.22, 0.12, 0.5), TRIM) for side in (-1, 1)),
        *_ends(width, front, back, 0.75, 0.55, rng),
    ]
    if chosen == "box":
        top = rng.uniform(3.0, 3.7)
        middle, tall = (floor + top) / 2, top - floor
        box = np.array((0.72, 0.72, 0.70)) if rng.random() < 0.55 else _paint(rng)
        meshes.append(boxes((0, centre, middle), (width + 0.06, load_length, tall), box))
        corners = [(x, centre + y) for x in (-half - 0.03, half + 0.03) for y in (-load_length / 2, load_length / 2)]
        blocks += [((x, y, middle), (0.07, 0.07, tall + 0.02), box * 0.75) for x, y in corners]
        stripe, band_z, band, reach = (
            _paint(rng),
            rng.uniform(floor + 0.5, top - 0.6),
            rng.uniform(0.3, 0.7),
            rng.uniform(0.5, 0.9),
        )
        blocks += [((side * (half + 0.03), centre, band_z), (0.03, load_length * reach, band), stripe) for side in (-1, 1)]
        blocks += [((0, back - 0.01, middle), (0.05, 0.04, tall - 0.1), box * 0.6)]
    else:
        tipper = chosen == "tipper"
        wall = rng.uniform(0.9, 1.2) if tipper else 0.45
        load = np.array(((0.5, 0.3, 0.05), (0.35, 0.36, 0.37), (0.1, 0.2, 0.12)))[rng.integers(3)] if tipper else _paint(rng)
        bed_z = floor + wall / 2
        blocks += [
            ((0, centre, floor + 0.05), (width, load_length, 0.12), load),
            ((0, back + 0.04, bed_z), (width, 0.08, wall), load),
            ((0, load_start - 0.04, bed_z + 0.25), (width, 0.08, wall + 0.5), load),
        ]
        for side in (-1, 1):
            blocks.append(((side * half, centre, bed_z), (0.08, load_length, wall), load))
            ribs = np.linspace(back + 0.3, load_start - 0.3, 5)
            blocks += [((side * (half + 0.05), y, bed_z), (0.06, 0.1, wall), load * 0.7) for y in ribs]
        fill = 0.55 if tipper else rng.uniform(0.5, 1.0)
        heap = (0.18, 0.14, 0.1) if tipper else (0.32, 0.22, 0.12)
        size = (width * 0.88, load_length * 0.9, fill)
        meshes.append(boxes((0, centre, floor + 0.6 * wall + fill / 2), size, heap, taper=0.45 if tipper else 1.0))
    low, high = 0.45 + 0.52 * (cab_height - 0.45), 0.45 + 0.88 * (cab_height - 0.45)
    panes = [
        _front_glass(width, front, cab_height, 0.28, 0.5 * cab_height + 0.2, 0.92 * cab_height),
        _side_glass(half, [(cab_back + 0.5 * cab_length, front - 0.32)], low, high),
    ]
    axles = [front - 0.75, back + 1.2] + ([back + 2.3] if length > 8 else [])
    radius = rng.uniform(0.44, 0.5)
    meshes += [_blocks(blocks), _wheels(axles, radius, half)]
    return _assembled(TRUCK, meshes, [_glass(panes), _arches(axles, radius, half)])


def bus(rng: np.random.Generator, double_decker: bool | None = None) -> SceneObject:
    """A city bus of 9.5 to 12.5 m with bands of windows, doors on its right; all of it label 28, instance 1.

    Args:
        rng: source of proportions and livery.
        double_decker: whether it has two decks; drawn (one in four) if not given.
    """
    two = bool(rng.random() < 0.25) if double_decker is None else double_decker
    length, width = rng.uniform(9.5, 11.0) if two else rng.uniform(10.0, 12.5), rng.uniform(2.45, 2.55)
    height = rng.uniform(4.15, 4.4) if two else rng.uniform(2.85, 3.15)
    half, front, back = width / 2, length / 2, -length / 2
    liveries = np.array(
        ((0.7, 0.7, 0.68), (0.5, 0.03, 0.03), (0.62, 0.45, 0.03), (0.05, 0.12, 0.35), (0.12, 0.3, 0.1), (0.35, 0.36, 0.38))
    )
    paint, second = liveries[rng.choice(6, size=2, p=(0.3, 0.25, 0.15, 0.12, 0.08, 0.1))]
    rows = [(1.25, 2.25)] if not two else [(1.2, 1.95), (2.75, 3.6)]
    edges = np.linspace(back + 0.35, front - 0.55, int(length / 1.5) + 1)
    spans = [(a + 0.045, b - 0.045) for a, b in pairwise(edges)]
    doors = [(y, y + 0.57) for y in (front - 1.5, front - 0.9, 0.1, 0.7)]
    panes = [_side_glass(half, spans, low, high) for low, high in rows]
    panes.append(_front_glass(width, front, height, 0.12, 0.85 if two else 0.95, rows[0][1] + 0.2))
    if two:
        panes.append(_front_glass(width, front, height, 0.12, 2.7, 3.75))
    panes.append(_rear_glass(width, back, rows[-1][0] + 0.15, rows[-1][1]))
    panes.append(_side_glass(half, doors, 0.45, 1.95 if two else 2.2, sides=(1,), lift=0.035))
    sign_z = 2.4 if two else min(rows[0][1] + 0.36, height - 0.2)
    blocks: list[_Block] = [
        *(((side * half, 0, 1.02), (0.03, length - 0.6, 0.16), second) for side in (-1, 1)),
        *(((side * (half + 0.1), front + 0.1, 2.0), (0.16, 0.12, 0.4), TRIM) for side in (-1, 1)),
        ((0, front - 0.03, sign_z), (1.5, 0.1, 0.22), TRIM),
        ((0, front + 0.03, sign_z), (0.9, 0.02, 0.11), (0.8, 0.45, 0.05)),
        *_ends(width, front, back, 0.72, 0.45, rng),
    ]
    blocks += [
        ((0, back - 0.005, 0.92), (0.62 * width, 0.05, 0.34), TRIM),
        ((0.3 * half, back - 0.01, rows[-1][1] + 0.2), (0.5, 0.05, 0.2), TRIM),
        ((0.3 * half, back - 0.03, rows[-1][1] + 0.2), (0.28, 0.03, 0.11), (0.8, 0.45, 0.05)),
    ]
    if rng.random() < 0.45:  # a skirt in the second colour
        blocks += [((side * half, 0, 0.62), (0.02, length - 0.3, 0.58), second) for side in (-1, 1)]
    if rng.random() < 0.4:  # an advertisement
        poster = np.clip(rng.uniform(-0.1, 0.6, 3), 0.02, 0.6)
        blocks += [((0, back - 0.005, 1.3), (0.7 * width, 0.04, 0.3), poster)]
    if not two and rng.random() < 0.7:
        blocks.append(((0, rng.uniform(-0.2, 0.2) * length, height + 0.1), (1.6, 2.4, 0.22), paint * 0.8))
    wheels = ([front - 2.6, back + 2.9], 0.48, half + 0.01)
    body = _body_shell(width, back, front, 0.32, height, paint, lean=0.12)
    return _assembled(BUS, [body, _blocks(blocks), _wheels(*wheels)], [_glass(panes), _arches(*wheels)])


def train(rng: np.random.Generator, cars: int | None = None) -> SceneObject:
    """A tram or light train of 2 to 3 coupled cars on bogies; all of it label 31, instance 1.

    Args:
        rng: source of proportions and livery.
        cars: number of cars, at least 1; drawn if not given.

    Raises:
        ValueError: if ``cars`` < 1.
    """
    count = int(rng.integers(2, 4)) if cars is None else cars
    if count < 1:
        raise ValueError(f"expected at least one car, got {count}")
    each, width, height = rng.uniform(8.5, 10.5), rng.uniform(2.4, 2.65), rng.uniform(3.3, 3.6)
    half, total = width / 2, count * each
    liveries = np.array(((0.65, 0.65, 0.62), (0.55, 0.04, 0.03), (0.7, 0.5, 0.04), (0.06, 0.15, 0.4), (0.1, 0.3, 0.2)))
    paint, second = liveries[rng.permutation(5)[:2]]
    front, back = total / 2, -total / 2
    meshes: list[Mesh] = []
    panes = [_front_glass(width, front, height, 0.75, 1.2, 2.75)]
    panes.append(panes[0] * (-1, -1, 1))
    blocks: list[_Block] = [((0, 0, 0.25), (width * 0.6, total - 1.5, 0.3), UNDERSIDE)]
    for index in range(count):
        low, high = back + index * each, back + (index + 1) * each
        first, last = index == 0, index == count - 1
        start, end = low + (0 if first else 0.25), high - (0 if last else 0.25)
        meshes.append(_body_shell(width, start, end, 0.32, height, paint, 0.75 * last, 0.75 * first))
        a, b = low + (1.1 if first else 0.45), high - (1.1 if last else 0.45)
        spans = [(p + 0.05, q - 0.05) for p, q in pairwise(np.linspace(a, b, int((b - a) / 1.35) + 1))]
        panes += [_side_glass(half, spans, 1.35, 2.55), _side_glass(half, [spans[1], spans[-2]], 0.45, 2.6, lift=0.035)]
        blocks.append(((0, (low + high) / 2, height + 0.12), (1.5, each * 0.45, 0.3), (0.25, 0.25, 0.26)))
        for side in (-1, 1):
            blocks += [
                ((side * (half - 0.1), y, 0.28), (0.12, 2.0, 0.5), UNDERSIDE) for y in (low + 0.22 * each, high - 0.22 * each)
            ]
        if not last:
            blocks.append(((0, high, height / 2 + 0.1), (width * 0.88, 0.6, height - 0.5), (0.05, 0.05, 0.055)))
    for side in (-1, 1):
        blocks.append(((side * half, 0, 0.95), (0.03, total - 2.4, 0.3), second))
        for end, lamp in ((1, LAMP_WHITE), (-1, LAMP_RED)):
            blocks.append(((side * 0.7 * half, end * (front - 0.02), 0.85), (0.35, 0.2, 0.16), lamp))
    blocks += [((0, end * (front - 0.55), 3.0), (1.2, 0.12, 0.22), TRIM) for end in (-1, 1)]
    z = height + 0.25
    knee, arm = (0, -0.2, z + 0.7), (0, 1.0, z + 1.4)
    pantograph = tubes(
        ((0, 1.2, z), knee, (-0.8, 1.0, z + 1.4)), (knee, arm, (0.8, 1.0, z + 1.4)), 0.04, None, (0.1, 0.1, 0.1), 4
    )
    meshes += [_blocks(blocks), pantograph]
    return _assembled(TRAIN, meshes, [_glass(panes)])


def _paint(rng: np.random.Generator) -> NDArray[np.float64]:
    paint: NDArray[np.float64] = PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)]
    return np.clip(paint * rng.uniform(0.75, 1.2) + rng.uniform(-0.008, 0.008, 3), 0.005, 0.85)


def _cabin(stations: NDArray[np.float64], paint: Numbers) -> Mesh:
    """The greenhouse: sections of six points from rows (y, low half width, high half width, belt z, edge z, crown z)."""
    y, low, high, belt, edge, crown = stations.T
    rings = np.stack(
        [
            np.stack((x, y, z), axis=1)
            for x, z in ((-low, belt), (-high, edge), (-0.6 * high, crown), (0.6 * high, crown), (high, edge), (low, belt))
        ],
        axis=1,
    )
    return lofts(rings, paint, smooth=False)


def _cabin_windows(rng: np.random.Generator, stations: NDArray[np.float64], kind: CarKind) -> NDArray[np.float64]:
    """(k, 4, 3) windscreen, rear window and side windows just outside the greenhouse."""
    rear, roof_rear, middle, roof_front, screen = stations
    lift = 0.012

    def across(
        base: NDArray[np.float64], roof: NDArray[np.float64], low: float, high: float, out: float
    ) -> list[NDArray[np.float64]]:
        """Three panes that follow the roof's crown; seen from outside, from left to right."""
        rows = []
        for row in (base + (roof - base) * low, base + (roof - base) * high):
            x = out * row[2] * np.array((0.93, 0.6, -0.6, -0.93))
            z = np.array((row[4], row[5], row[5], row[4])) + lift
            rows.append(np.stack((x, np.full(4, row[0] + out * lift), z), axis=1))
        bottom, top = rows
        return [np.stack((bottom[i], bottom[i + 1], top[i + 1], top[i])) for i in range(3)]

    faces = across(screen, roof_front, 0.06, 0.95, 1.0)
    if kind != "van" or rng.random() < 0.6:
        faces += across(rear, roof_rear, 0.12 if kind == "saloon" else 0.3, 0.9, -1.0)
    belt, edge, low, high = middle[3], middle[4], middle[1], middle[2]
    bottom_z, top_z = belt + 0.10 * (edge - belt), belt + 0.86 * (edge - belt)
    bottom_x, top_x = low + 0.10 * (high - low) + lift, low + 0.86 * (high - low) + lift
    pillar = _pillar(stations)
    spans = [(pillar + 0.05, pillar + 0.05, roof_front[0] - 0.03, screen[0] - 0.30)]
    if kind == "saloon":
        spans.append((rear[0] + 0.42, roof_rear[0] + 0.02, pillar - 0.05, pillar - 0.05))
    elif kind == "hatchback":
        spans.append((roof_rear[0] + 0.22, roof_rear[0] + 0.3, pillar - 0.05, pillar - 0.05))
    elif kind != "van" or rng.random() < 0.45:
        split = roof_rear[0] + 0.38 * (pillar - roof_rear[0])
        spans.append((split + 0.05, split + 0.05, pillar - 0.05, pillar - 0.05))
        spans.append((roof_rear[0] + 0.02, roof_rear[0] + 0.1, split - 0.05, split - 0.05))
    back_low, back_high, front_high, front_low = np.array(spans).T
    y = np.stack((back_low, front_low, front_high, back_high), axis=1)
    right = np.empty((len(spans), 4, 3))
    right[..., 0], right[..., 1], right[..., 2] = (bottom_x, bottom_x, top_x, top_x), y, (bottom_z, bottom_z, top_z, top_z)
    return np.concatenate((np.array(faces), right, _mirrored(right)))


def _pillar(stations: NDArray[np.float64]) -> float:
    """Where along y the pillar between front and rear doors stands."""
    _, roof_rear, _, roof_front, screen = stations[:, 0]
    return float(0.5 * (roof_front + screen) - 0.42 * (roof_front - roof_rear) - 0.1)


def _mirrored(faces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Faces of the right flank as they are on the left one."""
    return faces[:, [1, 0, 3, 2]] * (-1, 1, 1)


def _doors(
    half: float,
    pillar: float,
    front: float,
    back: float,
    low: float,
    belt: float,
    flank: float,
    paint: NDArray[np.float64],
    rear_door: bool,
) -> Mesh:
    """Door seams and handles on both flanks."""
    x, seam, shade = half + 0.006, 0.018, paint * 0.25
    ys = [front - 0.12, pillar] + ([back] if rear_door else [])
    faces = []
    for y in ys:
        for z0, z1, x0, x1 in ((low, flank, x, x + 0.002), (flank, belt - 0.04, x + 0.002, 0.945 * half + 0.006)):
            faces.append([[x0, y - seam, z0], [x0, y + seam, z0], [x1, y + seam, z1], [x1, y - seam, z1]])
    for y in ys[1:]:
        z = belt - 0.16
        faces.append([[x, y + 0.06, z], [x, y + 0.24, z], [x - 0.004, y + 0.24, z + 0.035], [x - 0.004, y + 0.06, z + 0.035]])
    right = np.array(faces)
    return quads(np.concatenate((right, _mirrored(right))), shade)


def _blocks(blocks: list[_Block]) -> Mesh:
    centres, sizes, colours = zip(*blocks, strict=True)
    return boxes(np.array(centres), np.array(sizes), np.array(colours))


def _glass(panes: list[NDArray[np.float64]]) -> Mesh:
    """Dark panes, a little lighter at the top, as if the sky were mirrored in them; corners 2 and 3 are the upper ones."""
    corners = np.concatenate(panes)
    colours = np.empty(corners.shape)
    colours[...] = np.array((GLASS_LOW, GLASS_LOW, GLASS_HIGH, GLASS_HIGH))
    return quads(corners, colours)


def _assembled(label_id: int, solid: list[Mesh], flat: list[Mesh]) -> SceneObject:
    """The vehicle; what lies flat on its body need not be drawn twice in the label picture."""
    parts = [Part(label_id, 1, mesh) for mesh in solid]
    return scene_object(parts + [Part(label_id, 1, mesh, "image") for mesh in flat])


@lru_cache
def _unit_wheel() -> Mesh:
    """A wheel of radius 1 about the x axis, outer face at x = 0; its rim's spokes are painted on."""
    profile = ((1.0, -0.65), (1.0, -0.015), (0.70, 0.0), (0.68, -0.02), (0.0, 0.01))
    sides = 10
    wheel = lathe(profile, RUBBER, sides)
    colours = wheel.colours.copy().reshape(len(profile), sides + 1, 3)
    colours[3, ::2], colours[3, 1::2], colours[4] = 0.42, 0.04, 0.30
    return wheel.coloured(colours.reshape(-1, 3)).transformed(rotation_y(np.pi / 2))


def _wheels(axles: Numbers, radius: float, half_track: float) -> Mesh:
    """Wheels on both ends of each axle, their outer faces at ``half_track``."""
    y = np.asarray(axles, np.float64)
    count = len(y)
    turns = np.repeat(np.stack((np.eye(3), rotation_z(np.pi))), count, axis=0)
    offsets = np.zeros((2 * count, 3))
    offsets[:, 0], offsets[:, 1], offsets[:, 2] = np.repeat((1.0, -1.0), count) * (half_track + 0.014), np.tile(y, 2), radius
    return copies(_unit_wheel().transformed(radius * np.eye(3)), turns, offsets)


def _arches(axles: Numbers, radius: float, half_track: float) -> Mesh:
    """Dark arches over the wheels that :func:`_wheels` makes of the same numbers."""
    y = np.asarray(axles, np.float64)
    angle = np.linspace(0.0, np.pi, 9)
    rim = 1.17 * radius * np.stack((np.cos(angle), np.sin(angle)), axis=1) + (0, radius)
    arches = np.empty((len(y), 4, 4, 3))
    arches[..., 0] = half_track + 0.003
    for i in range(4):
        corners = np.array(((0.0, radius), rim[2 * i], rim[2 * i + 1], rim[2 * i + 2]))
        arches[:, i, :, 1], arches[:, i, :, 2] = y[:, None] + corners[:, 0], corners[:, 1]
    faces = arches.reshape(-1, 4, 3)
    return quads(np.concatenate((faces, _mirrored(faces))), UNDERSIDE)


def _body_shell(
    width: float, back: float, front: float, low: float, high: float, paint: Numbers, lean: float, lean_back: float = 0.0
) -> Mesh:
    """A box body with chamfered roof edges, whose front and back lean by so many metres towards the roof."""
    half = width / 2
    section = np.array(
        (
            (-1.0, low),
            (-1.0, 0.45 * high),
            (-0.985, high - 0.22),
            (-0.86, high),
            (0.86, high),
            (0.985, high - 0.22),
            (1.0, 0.45 * high),
            (1.0, low),
        )
    )
    share = np.clip((section[:, 1] / high - 0.4) / 0.6, 0, 1)
    rings = np.empty((4, len(section), 3))
    rings[..., 0] = half * section[:, 0]
    rings[[0, 3], :, 0] *= 0.95
    rings[..., 2] = section[:, 1]
    inset = min(0.25, 0.2 * (front - back))
    rings[0, :, 1] = back + lean_back * share
    rings[1, :, 1] = back + inset + lean_back * share
    rings[2, :, 1] = front - inset - lean * share
    rings[3, :, 1] = front - lean * share
    return lofts(rings, paint, smooth=False)


def _front_glass(width: float, front: float, height: float, lean: float, low: float, high: float) -> NDArray[np.float64]:
    """A windscreen from z = ``low`` to ``high`` before a face that leans as :func:`_body_shell`'s does."""
    x = 0.5 * width * 0.88

    def y(z: float) -> float:
        return front - lean * float(np.clip((z / height - 0.4) / 0.6, 0, 1)) + 0.025

    bend = 0.45 * height
    levels = (low, bend, high) if low < bend < high else (low, high)
    return np.array([[[x, y(a), a], [-x, y(a), a], [-x, y(b), b], [x, y(b), b]] for a, b in pairwise(levels)])


def _rear_glass(width: float, back: float, low: float, high: float) -> NDArray[np.float64]:
    x, y = 0.5 * width * 0.78, back - 0.015
    return np.array([[[-x, y, low], [x, y, low], [x, y, high], [-x, y, high]]])


def _side_glass(
    half: float, spans: list[tuple[float, float]], low: float, high: float, sides: tuple[int, ...] = (-1, 1), lift: float = 0.015
) -> NDArray[np.float64]:
    """Upright panes along the flanks, one for each (rear y, front y)."""
    x = half + lift
    right = np.array([[[x, a, low], [x, b, low], [x, b, high], [x, a, high]] for a, b in spans])
    return np.concatenate([right if side == 1 else _mirrored(right) for side in sides])


def _ends(width: float, front: float, back: float, lamp_z: float, trim_z: float, rng: np.random.Generator) -> list[_Block]:
    """Bumpers, lamps and plates at both ends of a large vehicle."""
    half = width / 2
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    blocks: list[_Block] = [
        ((0, front, trim_z), (width * 0.96, 0.12, 0.24), TRIM),
        ((0, front + 0.07, trim_z), (0.5, 0.02, 0.12), plate),
        ((0, front - 0.01, lamp_z + 0.1), (0.9, 0.06, 0.2), TRIM),
        ((0, back, trim_z), (width * 0.94, 0.12, 0.2), TRIM),
        ((0, back - 0.07, trim_z + 0.05), (0.5, 0.02, 0.12), plate),
    ]
    for side in (-1, 1):
        blocks += [
            ((side * 0.75 * half, front, lamp_z), (0.36, 0.08, 0.18), LAMP_WHITE),
            ((side * 0.82 * half, back, lamp_z + 0.25), (0.2, 0.08, 0.22), LAMP_RED),
            ((side * 0.82 * half, back, lamp_z + 0.02), (0.2, 0.08, 0.14), LAMP_AMBER),
        ]
    return blocks
