"""Cars, trucks, buses and trains: lofted bodies with dark glass, wheels, lamps and number plates.

Every builder takes a random generator and gives one object that faces +y; equal generators give equal arrays. Shares and
sizes follow European traffic: most cars are white, grey, black or silver, 3.6 to 5.1 m long and 1.65 to 2.0 m wide.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2real.worlds.meshes import Mesh, Part, SceneObject, boxes, lathe, lofts, merge, quads, rotation_y, scene_object, tubes

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
LAMP_WHITE, LAMP_RED, LAMP_AMBER = (0.82, 0.83, 0.80), (0.45, 0.015, 0.012), (0.75, 0.3, 0.03)
PLATE_WHITE, PLATE_YELLOW = (0.75, 0.75, 0.72), (0.75, 0.55, 0.06)


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
    belt = body.belt * height / np.mean(body.height)

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
    shell = lofts(rings[:, ::-1], paint, "carpaint", smooth=False)

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
    cabin = _cabin(cabin_stations, paint)
    windows = _cabin_windows(rng, cabin_stations, chosen)
    wheel_radius = 0.3 + 0.05 * (chosen in ("suv", "van")) + rng.uniform(-0.01, 0.015)
    axles = (at(0.185 if chosen != "van" else 0.17), at(0.80))
    wheels = _wheels(axles, wheel_radius, half, 0.2, arch=True)

    front, back = at(0.0), at(1.0)
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    lamp_z = body.nose - 0.06
    rear_lamp = (0.13, 0.05, 0.18) if chosen in ("hatchback", "suv", "saloon") else (0.11, 0.05, 0.34)
    rear_lamp_z = belt - 0.10 if chosen != "van" else belt + 0.02
    details = boxes(
        (
            (-0.63 * half, front - 0.05, lamp_z),
            (0.63 * half, front - 0.05, lamp_z),
            (0, front - 0.012, lamp_z - 0.02),
            (0, front - 0.03, 0.36),
            (0, front + 0.008, 0.46),
            (-0.76 * half, back + 0.03, rear_lamp_z),
            (0.76 * half, back + 0.03, rear_lamp_z),
            (0, back + 0.0, 0.62 * belt + 0.12),
            (0, back + 0.03, 0.40),
            (-half * 1.05, screen - 0.32, belt + 0.05),
            (half * 1.05, screen - 0.32, belt + 0.05),
        ),
        (
            (0.34, 0.12, 0.14),
            (0.34, 0.12, 0.14),
            (0.7 * half, 0.05, 0.13),
            (1.66 * half, 0.10, 0.15),
            (0.5, 0.02, 0.11),
            (rear_lamp[0] * 1.6, 0.10, rear_lamp[2]),
            (rear_lamp[0] * 1.6, 0.10, rear_lamp[2]),
            (0.5, 0.03, 0.11),
            (1.7 * half, 0.12, 0.14),
            (0.2, 0.1, 0.13),
            (0.2, 0.1, 0.13),
        ),
        (
            LAMP_WHITE,
            LAMP_WHITE,
            TRIM,
            TRIM,
            plate,
            LAMP_RED,
            LAMP_RED,
            plate,
            TRIM,
            paint if rng.random() < 0.6 else TRIM,
            paint,
        ),
    )
    sills = boxes(
        ((-half * 0.97, at(0.49), body.clearance + 0.05), (half * 0.97, at(0.49), body.clearance + 0.05)),
        (0.06, (axles[0] - axles[1]) - 2.4 * wheel_radius, 0.1),
        TRIM,
    )
    meshes = [shell, cabin, windows, wheels, details, sills]
    return scene_object([Part(CAR, 1, mesh) for mesh in meshes])


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
    cab_back = front - cab_length
    floor = rng.uniform(0.95, 1.15)
    cab = _body_shell(width, cab_back, front, 0.45, cab_height, paint, lean=0.28)
    load_start = cab_back - 0.15
    load_length = load_start - back
    centre = (load_start + back) / 2
    meshes: list[Mesh] = [cab]
    if chosen == "box":
        top = rng.uniform(3.0, 3.7)
        box = np.array((0.72, 0.72, 0.70)) if rng.random() < 0.55 else _paint(rng)
        meshes.append(boxes((0, centre, (floor + top) / 2), (width + 0.06, load_length, top - floor), box, "carpaint"))
        rim = np.minimum(box * 0.75, 1.0)
        corner_x, corner_y = half + 0.03, load_length / 2
        posts = [(x, centre + y, (floor + top) / 2) for x in (-corner_x, corner_x) for y in (-corner_y, corner_y)]
        meshes.append(boxes(posts, (0.07, 0.07, top - floor + 0.02), rim))
        stripe = _paint(rng)
        band_z, band = rng.uniform(floor + 0.5, top - 0.6), rng.uniform(0.3, 0.7)
        flank = [((side * (half + 0.03)), centre, band_z) for side in (-1, 1)]
        meshes.append(boxes(flank, (0.03, load_length * rng.uniform(0.5, 0.9), band), stripe))
        meshes.append(boxes((0, back - 0.005, (floor + top) / 2), (0.04, 0.03, top - floor - 0.1), rim))
    else:
        wall = 0.45 if chosen == "flatbed" else rng.uniform(0.9, 1.2)
        load = (
            _paint(rng)
            if chosen == "flatbed"
            else np.array(((0.5, 0.3, 0.05), (0.35, 0.36, 0.37), (0.1, 0.2, 0.12))[rng.integers(3)])
        )
        bed_z = floor + wall / 2
        meshes.append(
            boxes(
                (
                    (0, centre, floor + 0.05),
                    (-half, centre, bed_z),
                    (half, centre, bed_z),
                    (0, back + 0.04, bed_z),
                    (0, load_start - 0.04, bed_z + 0.25),
                ),
                (
                    (width, load_length, 0.12),
                    (0.08, load_length, wall),
                    (0.08, load_length, wall),
                    (width, 0.08, wall),
                    (width, 0.08, wall + 0.5),
                ),
                load,
            )
        )
        ribs = np.linspace(back + 0.3, load_start - 0.3, 6)
        meshes.append(boxes([(x, y, bed_z) for x in (-half - 0.05, half + 0.05) for y in ribs], (0.06, 0.1, wall), load * 0.7))
        heap = (0.18, 0.14, 0.1) if chosen == "tipper" else (0.32, 0.22, 0.12)
        taper = 0.45 if chosen == "tipper" else 1.0
        fill = 0.55 if chosen == "tipper" else rng.uniform(0.5, 1.0)
        meshes.append(
            boxes((0, centre, floor + 0.6 * wall + fill / 2), (width * 0.88, load_length * 0.9, fill), heap, taper=taper)
        )
    meshes.append(boxes((0, (front + back) / 2 - 0.1, 0.72), (0.9, length - 0.7, 0.35), UNDERSIDE))
    meshes.append(
        boxes([(x, centre, 0.72) for x in (-half + 0.1, half - 0.1)], (0.06, load_length * 0.42, 0.4), (0.2, 0.2, 0.21))
    )
    meshes.append(_front_glass(width, front, 0.45, cab_height, lean=0.28, low=0.50, high=0.92))
    side_y = (cab_back + 0.5 * cab_length, front - 0.32)
    meshes.append(_side_glass(half, [side_y], 0.45 + 0.52 * (cab_height - 0.45), 0.45 + 0.88 * (cab_height - 0.45)))
    meshes.append(_face_details(width, front, back, 0.75, rng, trim_z=0.55))
    meshes.append(boxes([(x, front - 0.1, cab_height - 0.75) for x in (-half - 0.17, half + 0.17)], (0.22, 0.12, 0.5), TRIM))
    axles = [front - 0.75, back + 1.2] + ([back + 2.3] if length > 8 else [])
    meshes.append(_wheels(axles, rng.uniform(0.44, 0.5), half - 0.02, 0.3, arch=True))
    return scene_object([Part(TRUCK, 1, mesh) for mesh in meshes])


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
    meshes = [_body_shell(width, back, front, 0.32, height, paint, lean=0.12)]
    rows = [(1.25, 2.25)] if not two else [(1.2, 1.95), (2.75, 3.6)]
    count = int(length / 1.5)
    edges = np.linspace(back + 0.35, front - 0.55, count + 1)
    spans = [(a + 0.045, b - 0.045) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    meshes += [_side_glass(half, spans, low, high) for low, high in rows]
    meshes.append(
        _front_glass(width, front, 0.32, height, lean=0.12, low=(0.95 if not two else 0.85), high=None, top=rows[0][1] + 0.2)
    )
    if two:
        meshes.append(_front_glass(width, front, 0.32, height, lean=0.12, low=2.7, high=None, top=3.75))
    meshes.append(_rear_glass(width, back, rows[-1][0] + 0.15, rows[-1][1]))
    doors = [(front - 1.25, front - 0.3), (0.2, 1.4)]
    leaves = [(y0, y1) for a, b in doors for y0, y1 in ((a, (a + b) / 2 - 0.03), ((a + b) / 2 + 0.03, b))]
    meshes.append(_side_glass(half, leaves, 0.45, 2.2 if not two else 1.95, sides=(1,), lift=0.03))
    meshes.append(boxes([(x, 0, 1.02) for x in (-half, half)], (0.03, length - 0.6, 0.16), second))
    sign_z = rows[0][1] + 0.36 if not two else 2.4
    meshes.append(boxes((0, front - 0.03, min(sign_z, height - 0.2)), (1.5, 0.1, 0.22), (0.02, 0.02, 0.02)))
    meshes.append(boxes((0, front + 0.02, min(sign_z, height - 0.2)), (0.9, 0.02, 0.11), (0.8, 0.45, 0.05)))
    meshes.append(_face_details(width, front, back, 0.72, rng, trim_z=0.45))
    meshes.append(boxes([(x, front + 0.1, 2.0) for x in (-half - 0.1, half + 0.1)], (0.16, 0.12, 0.4), TRIM))
    meshes.append(_wheels([front - 2.5, back + 2.9], 0.48, half - 0.015, 0.28, arch=True))
    return scene_object([Part(BUS, 1, mesh) for mesh in meshes])


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
    for index in range(count):
        low, high = back + index * each, back + (index + 1) * each
        first, last = index == 0, index == count - 1
        meshes.append(
            _body_shell(
                width,
                low + (0 if first else 0.25),
                high - (0 if last else 0.25),
                0.32,
                height,
                paint,
                lean=0.75 if last else 0.0,
                lean_back=0.75 if first else 0.0,
            )
        )
        a, b = low + (1.1 if first else 0.45), high - (1.1 if last else 0.45)
        edges = np.linspace(a, b, int((b - a) / 1.35) + 1)
        spans = [(p + 0.05, q - 0.05) for p, q in zip(edges[:-1], edges[1:], strict=True)]
        meshes.append(_side_glass(half, spans, 1.35, 2.55))
        meshes.append(_side_glass(half, [spans[1], spans[-2]], 0.45, 2.6, lift=0.03))
        meshes.append(boxes((0, (low + high) / 2, height + 0.12), (1.5, each * 0.45, 0.3), (0.25, 0.25, 0.26)))
        bogies = [(x, y, 0.28) for x in (-half + 0.1, half - 0.1) for y in (low + 0.22 * each, high - 0.22 * each)]
        meshes.append(boxes(bogies, (0.12, 2.0, 0.5), UNDERSIDE))
    joints = [back + i * each for i in range(1, count)]
    if joints:
        meshes.append(boxes([(0, y, height / 2 + 0.1) for y in joints], (width * 0.88, 0.6, height - 0.5), (0.05, 0.05, 0.055)))
    meshes.append(boxes([(x, 0, 0.95) for x in (-half, half)], (0.03, total - 2.4, 0.3), second))
    meshes.append(boxes((0, 0, 0.25), (width * 0.6, total - 1.5, 0.3), UNDERSIDE))
    meshes.append(_front_glass(width, front, 0.32, height, lean=0.75, low=1.2, high=None, top=2.75))
    rear = _front_glass(width, front, 0.32, height, lean=0.75, low=1.2, high=None, top=2.75)
    meshes.append(rear.rotated(np.pi))
    faces = boxes(
        [(x, y * (front - 0.02), z) for y in (-1, 1) for x, z in ((-0.7 * half, 0.85), (0.7 * half, 0.85), (0, 3.0))],
        [(0.35, 0.2, 0.16), (0.35, 0.2, 0.16), (0.01, 0.01, 0.01)] * 2,
        [LAMP_RED, LAMP_RED, TRIM, LAMP_WHITE, LAMP_WHITE, TRIM],
    )
    meshes.append(faces)
    pantograph = height + 0.25
    meshes.append(
        tubes(
            ((0, 1.2, pantograph), (0, -0.2, pantograph + 0.7), (-0.8, 1.0, pantograph + 1.4)),
            ((0, -0.2, pantograph + 0.7), (0, 1.0, pantograph + 1.4), (0.8, 1.0, pantograph + 1.4)),
            0.04,
            None,
            (0.1, 0.1, 0.1),
            4,
        )
    )
    return scene_object([Part(TRAIN, 1, mesh) for mesh in meshes])


def _paint(rng: np.random.Generator) -> NDArray[np.float64]:
    paint: NDArray[np.float64] = PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)]
    return np.clip(paint * rng.uniform(0.75, 1.2) + rng.uniform(-0.008, 0.008, 3), 0.005, 0.85)


def _cabin(stations: NDArray[np.float64], paint: ArrayLike) -> Mesh:
    """The greenhouse: sections of six points from rows (y, low half width, high half width, belt z, edge z, crown z)."""
    y, low, high, belt, edge, crown = stations.T
    rings = np.stack(
        [
            np.stack((x, y, z), axis=1)
            for x, z in ((-low, belt), (-high, edge), (-0.6 * high, crown), (0.6 * high, crown), (high, edge), (low, belt))
        ],
        axis=1,
    )
    return lofts(rings, paint, "carpaint", smooth=False)


def _cabin_windows(rng: np.random.Generator, stations: NDArray[np.float64], kind: CarKind) -> Mesh:
    """Windscreen, rear window and side windows just outside the greenhouse."""
    rear, roof_rear, middle, roof_front, screen = stations
    lift = 0.012

    def across(bottom: NDArray[np.float64], top: NDArray[np.float64], low: float, high: float, out: float) -> list[list[float]]:
        rows = [bottom + (top - bottom) * t for t in (low, high)]
        corners = []
        for row, sign in ((rows[0], 1), (rows[0], -1), (rows[1], -1), (rows[1], 1)):
            corners.append([sign * out * (row[2] * 0.93), row[0] + out * lift, row[4] + lift])
        return corners

    faces = [across(screen, roof_front, 0.06, 0.95, 1.0)]
    if kind != "van" or rng.random() < 0.6:
        faces.append([[x, y, z] for x, y, z in across(rear, roof_rear, 0.12 if kind == "saloon" else 0.3, 0.9, -1.0)])
    belt, edge, low, high = middle[3], middle[4], middle[1], middle[2]
    bottom_z, top_z = belt + 0.10 * (edge - belt), belt + 0.86 * (edge - belt)
    bottom_x, top_x = low + 0.10 * (high - low) + lift, low + 0.86 * (high - low) + lift
    pillar = 0.5 * (roof_front + screen)[0] - 0.42 * (roof_front[0] - roof_rear[0]) - 0.1
    spans = [(pillar + 0.05, pillar + 0.05, roof_front[0] - 0.03, screen[0] - 0.30)]
    if kind == "saloon":
        spans.append((rear[0] + 0.42, roof_rear[0] + 0.02, pillar - 0.05, pillar - 0.05))
    elif kind == "hatchback":
        spans.append((roof_rear[0] + 0.22, roof_rear[0] + 0.3, pillar - 0.05, pillar - 0.05))
    elif kind != "van" or rng.random() < 0.45:
        split = roof_rear[0] + 0.38 * (pillar - roof_rear[0])
        spans.append((split + 0.05, split + 0.05, pillar - 0.05, pillar - 0.05))
        spans.append((roof_rear[0] + 0.02, roof_rear[0] + 0.1, split - 0.05, split - 0.05))
    for back_low, back_high, front_high, front_low in spans:
        right = [
            [bottom_x, back_low, bottom_z],
            [bottom_x, front_low, bottom_z],
            [top_x, front_high, top_z],
            [top_x, back_high, top_z],
        ]
        faces.append(right)
        faces.append([[-x, y, z] for x, y, z in (right[1], right[0], right[3], right[2])])
    return _glass(np.array(faces))


def _glass(faces: NDArray[np.float64]) -> Mesh:
    """Dark panes, a little lighter at the top, as if the sky were mirrored in them; corners 2 and 3 are the upper ones."""
    return quads(faces, np.broadcast_to(np.array((GLASS_LOW, GLASS_LOW, GLASS_HIGH, GLASS_HIGH)), (len(faces), 4, 3)), "glass")


def _wheels(axles: ArrayLike, radius: float, half_track: float, width: float, arch: bool) -> Mesh:
    """Wheels on both ends of each axle, outer face at ``half_track``; with dark arches behind them if wanted."""
    w = width / 2
    profile = (
        (0.5 * radius, -w),
        (radius, -0.8 * w),
        (radius, 0.75 * w),
        (0.92 * radius, w),
        (0.66 * radius, w),
        (0.64 * radius, w - 0.03),
        (0.2 * radius, w - 0.012),
        (0.0, w),
    )
    rim, hub = (0.42, 0.43, 0.45), (0.12, 0.12, 0.13)
    wheel = lathe(profile, (RUBBER, RUBBER, RUBBER, RUBBER, RUBBER, rim, rim, hub), 12)
    right = wheel.transformed(rotation_y(np.pi / 2), (half_track - w + 0.012, 0, radius))
    left = right.rotated(np.pi)
    positions = [mesh.translated((0, y, 0)) for y in np.asarray(axles) for mesh in (right, left)]
    if arch:
        disc = lathe(((1.2 * radius, 0.0), (0.0, 0.002)), UNDERSIDE, 12).transformed(
            rotation_y(np.pi / 2), (half_track + 0.002, 0, radius + 0.02)
        )
        positions += [mesh.translated((0, y, 0)) for y in np.asarray(axles) for mesh in (disc, disc.rotated(np.pi))]
    return merge(positions)


def _body_shell(
    width: float, back: float, front: float, low: float, high: float, paint: ArrayLike, lean: float, lean_back: float = 0.0
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
    return lofts(rings, paint, "carpaint", smooth=False)


def _front_glass(
    width: float,
    front: float,
    low_body: float,
    height: float,
    lean: float,
    low: float,
    high: float | None,
    top: float | None = None,
) -> Mesh:
    """A windscreen; ``low`` and ``high`` are shares of the body's height, or metres where ``top`` is given."""
    z0, z1 = (
        (low, top) if top is not None else (low_body + low * (height - low_body), low_body + (high or 0.9) * (height - low_body))
    )
    x = 0.5 * width * 0.88

    def y(z: float) -> float:
        return front - lean * float(np.clip((z / height - 0.4) / 0.6, 0, 1)) + 0.02

    middle = 0.5 * (z0 + z1)
    bend = [z0, max(middle, 0.41 * height), z1] if z0 < 0.4 * height < z1 else [z0, z1]
    faces = [[[x, y(a), a], [-x, y(a), a], [-x, y(b), b], [x, y(b), b]] for a, b in zip(bend[:-1], bend[1:], strict=True)]
    return _glass(np.array(faces))


def _rear_glass(width: float, back: float, low: float, high: float) -> Mesh:
    x, y = 0.5 * width * 0.78, back - 0.015
    return _glass(np.array([[[-x, y, low], [x, y, low], [x, y, high], [-x, y, high]]]))


def _side_glass(
    half: float, spans: list[tuple[float, float]], low: float, high: float, sides: tuple[int, ...] = (-1, 1), lift: float = 0.015
) -> Mesh:
    """Upright panes along the flanks, one for each (rear y, front y)."""
    x = half + lift
    right = [[[x, a, low], [x, b, low], [x, b, high], [x, a, high]] for a, b in spans]
    left = [[[-x, b, low], [-x, a, low], [-x, a, high], [-x, b, high]] for a, b in spans]
    return _glass(np.array((right if 1 in sides else []) + (left if -1 in sides else [])))


def _face_details(width: float, front: float, back: float, lamp_z: float, rng: np.random.Generator, trim_z: float) -> Mesh:
    """Bumpers, lamps and plates at both ends of a large vehicle."""
    half = width / 2
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    centres = [
        (-0.75 * half, front, lamp_z), (0.75 * half, front, lamp_z), (0, front, trim_z), (0, front + 0.06, trim_z), (0, front - 0.01, lamp_z + 0.1),
        (-0.82 * half, back, lamp_z + 0.25), (0.82 * half, back, lamp_z + 0.25), (0, back, trim_z), (0, back - 0.06, trim_z + 0.05),
        (-0.82 * half, back, lamp_z + 0.02), (0.82 * half, back, lamp_z + 0.02),
    ]  # fmt: skip
    sizes = [
        (0.36, 0.08, 0.18), (0.36, 0.08, 0.18), (width * 0.96, 0.12, 0.24), (0.5, 0.02, 0.12), (0.9, 0.06, 0.2),
        (0.2, 0.08, 0.22), (0.2, 0.08, 0.22), (width * 0.94, 0.12, 0.2), (0.5, 0.02, 0.12), (0.2, 0.08, 0.14), (0.2, 0.08, 0.14),
    ]  # fmt: skip
    colours = [LAMP_WHITE, LAMP_WHITE, TRIM, plate, TRIM, LAMP_RED, LAMP_RED, TRIM, plate, LAMP_AMBER, LAMP_AMBER]
    return boxes(centres, sizes, colours)
