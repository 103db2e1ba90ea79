"""Passenger cars, pick-ups and small vans: bodies as curved skins with windows, lamps and grilles painted into them.

The builder takes a random generator and gives one object that faces +y; equal generators give equal arrays. Bodies are models
that a process builds once (:mod:`synth2real.worlds.objects.models`); paint is drawn for each car. Shares and sizes follow
European traffic: most cars are white, grey, black or silver, 2.7 to 5.2 m long and 1.6 to 2.0 m wide.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import Mesh, SceneObject, boxes, ellipsoids, quads, rotation_x, tubes
from synth2real.worlds.objects.car_shapes import CAR_KINDS, CAR_SHAPES, CAR_SHARES, CarKind, CarShape
from synth2real.worlds.objects.models import code, lid, outline, painted, skin
from synth2real.worlds.objects.vehicle_parts import (
    GLASS_HIGH,
    GLASS_LOW,
    LAMP_BLUE,
    LAMP_RED,
    LAMP_WHITE,
    MODELS,
    PAINT,
    PAINTS,
    PLATE_WHITE,
    PLATE_YELLOW,
    SECOND,
    STEEL,
    TRIM,
    UNDERSIDE,
    Block,
    assembled,
    chosen_kind,
    drawn_paint,
    joined_blocks,
    mirrored,
    wheel_arches,
    wheels,
)

CAR: Final = 26

_TAXIS: Final = np.array(((0.58, 0.50, 0.33), (0.66, 0.45, 0.03), (0.02, 0.02, 0.022)))
_DRIVER: Final = (0.035, 0.025, 0.02)
_LEVELS: Final = 6  # rings of a car's lower body


def car(rng: np.random.Generator, kind: CarKind | None = None, *, parked: bool = False) -> SceneObject:
    """A passenger car, pick-up or small van, all of it label 26, instance 1.

    Args:
        rng: source of the model and of its paint.
        kind: body; drawn from the traffic's mix if not given.
        parked: whether it stands, nobody in it: its front wheels may be turned, a door or the boot may be open.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = chosen_kind(rng, "car", kind, CAR_KINDS, CAR_SHARES)
    model = _car(chosen, parked, int(rng.integers(MODELS)))
    paint = drawn_paint(rng)
    second = paint
    if chosen in ("van", "minibus") and rng.random() < 0.5:
        paint = second = PAINTS[0] * rng.uniform(0.9, 1.05)
    elif chosen == "taxi":
        paint = second = _TAXIS[rng.integers(3)] * rng.uniform(0.9, 1.1)
    elif chosen == "police":
        paint, second = PAINTS[rng.integers(2)], (PAINTS[4] * 1.5, PAINTS[6], PAINTS[8])[rng.integers(3)]
    return painted(model, np.stack((paint, second)))


@cache
def _car(kind: CarKind, parked: bool, number: int) -> SceneObject:
    """One of the models that cars share, made once a process."""
    rng = np.random.default_rng((CAR, CAR_KINDS.index(kind), parked, number))
    shape = CAR_SHAPES[kind]
    length, width, height = (float(rng.uniform(*span)) for span in (shape.length, shape.width, shape.height))
    grow = height / (0.5 * sum(shape.height)) if kind not in ("van", "minibus") else 1.0
    belt, nose_z, tail = shape.belt * grow, shape.nose * grow, shape.tail * grow
    half, front, back = width / 2, length / 2, -length / 2
    radius, turned = shape.wheel + rng.uniform(-0.012, 0.018), bool(parked and rng.random() < 0.5)

    def at(share: float) -> float:
        return front - share * length

    cowl, roof_front, roof_rear, rear = at(shape.cowl), at(shape.roof_front), at(shape.roof_rear), at(shape.rear)
    axles = (at(shape.axles[0]), at(shape.axles[1]))
    trim = np.array(TRIM) if kind == "jeep" or rng.random() < 0.3 else PAINT
    body = _lower_body(rng, kind, shape, (half, front, back), (belt, nose_z, tail), (cowl, min(rear, roof_rear)), trim)
    meshes, flat = [*body], [wheel_arches(axles, radius, half)]
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
            lid(rings[-1], 0.03, PAINT),
        ]
        if not parked:
            flat.append(_occupants(rng, rings, passenger=bool(rng.random() < 0.5)))
    meshes.append(wheels(axles, radius, half, turned=rng.uniform(0.25, 0.55) * rng.choice((-1, 1)) if turned else 0.0))
    flat.append(_seams(half, belt, shape.clearance, [cowl - 0.16, *_posts(cowl, roof_front, roof_rear, rear)]))
    meshes.append(
        joined_blocks(_car_details(rng, kind, (half, front, back), (belt, nose_z, height), (cowl, roof_front, roof_rear), shape))
    )
    if parked and kind not in ("jeep", "convertible") and number % 2:
        meshes += _opened(rng, half, belt, height, (cowl, roof_rear, rear, back))
    return assembled(CAR, meshes, flat)


def _lower_body(
    rng: np.random.Generator,
    kind: CarKind,
    shape: CarShape,
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
    colours[...] = PAINT
    colours[0], colours[1, [0, 1, 2, 3, 8, 9, 10]] = TRIM, trim
    for strip in (0, 1):  # grille
        colours[1 + int(rng.random() < 0.4), strip] = TRIM
    grille = rng.integers(3)
    colours[3, 0] = TRIM if grille else PAINT
    colours[3, 1] = TRIM if grille == 2 else PAINT
    colours[3, 2:4] = LAMP_WHITE
    if rng.random() < 0.3:
        colours[3, 1] = LAMP_WHITE
    if kind in ("hatchback", "estate", "suv", "city", "mpv", "van", "minibus"):
        colours[3:, 8] = LAMP_RED
    colours[3, 8:10] = LAMP_RED
    if rng.random() < 0.3:
        colours[3, 10] = LAMP_RED
    if kind == "police":
        colours[2, 4:8] = SECOND
    full = np.concatenate((colours[:, :count], colours[:, count - 1 :: -1]), axis=1)
    closed = np.stack([outline(ring) for ring in rings])
    bed = np.empty((count, 3))
    bed[...] = PAINT
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
    blocks: list[Block] = [
        ((0, middle, tail + 0.03), (1.72 * half, long, 0.02), UNDERSIDE),
        ((0, end, tail + 0.06), (1.8 * half, 0.07, 0.14), PAINT),
        *(((s * 0.9 * half, middle, tail + 0.06), (0.08, long, 0.14), PAINT) for s in (-1, 1)),
    ]
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 4))):
            size = rng.uniform((0.4, 0.3, 0.2), (0.9, 0.7, 0.5))
            x, y = rng.uniform(-0.3, 0.3), middle + rng.uniform(-0.3, 0.3) * long
            blocks.append(((x, y, tail + 0.04 + size[2] / 2), (size[0], size[1], size[2]), rng.uniform(0.05, 0.45, 3)))
    return [joined_blocks(blocks)]


def _greenhouse(
    shape: CarShape, half: float, belt: float, tail: float, height: float, marks: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """Rings of a cabin from the belt to the roof's edge; the columns between its points are panes and pillars in turn."""
    cowl, roof_front, roof_rear, rear = marks
    low, high = 0.93 * half, shape.narrow * half
    b, c = _posts(cowl, roof_front, roof_rear, rear)
    slope = min(0.22, 0.5 * (roof_rear - rear) + 0.05)
    sides = (b + 0.045, b - 0.045)
    base = np.empty((12, 2))
    base[:, 0] = low * np.array((0.0, 0.6, 0.93, 1.0, 1.0, 1.0, 1.0, 1.0, 0.985, 0.93, 0.6, 0.0))
    base[:4, 1] = cowl + np.array((0.13, 0.08, -0.10, -0.24))
    base[4:8, 1] = *sides, c + 0.05 - 0.3 * slope, c - 0.05 - 0.3 * slope
    base[8:, 1] = rear + np.array((0.14, 0.03, -0.01, -0.02))
    top = np.empty_like(base)
    top[:, 0] = high * np.array((0.0, 0.6, 0.92, 1.0, 1.0, 1.0, 1.0, 1.0, 0.99, 0.93, 0.6, 0.0))
    top[:4, 1] = roof_front + np.array((0.05, 0.03, -0.04, -0.13))
    top[4:8, 1] = *sides, c + 0.05, c - 0.05
    top[8:, 1] = roof_rear + np.array((0.10, 0.02, 0.0, 0.0))
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
    half[...] = PAINT
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
    bars = tubes(frame[:-1], frame[1:], 0.03, None, PAINT, 5)
    pane = frame[[3, 0, 1, 2]]
    glass = np.array((GLASS_LOW, GLASS_LOW, GLASS_HIGH, GLASS_HIGH))[None] * 2.0
    sheet = [quads(pane[None] + (0, 0.015, 0), glass), quads(pane[None, ::-1] - (0, 0.015, 0), glass[:, ::-1])]
    leather = (TRIM, (0.25, 0.12, 0.06), (0.4, 0.36, 0.28))[rng.integers(3)]
    seats = 0.45 * (top + rear) - 0.1
    blocks: list[Block] = []
    for side in (-1, 1):
        blocks += [
            ((side * 0.37, seats, belt + 0.08), (0.46, 0.16, 0.36), leather),
            ((side * 0.37, seats, belt + 0.30), (0.24, 0.1, 0.14), leather),
        ]
    blocks.append(((0, rear + 0.12, belt + 0.07), (1.5 * half, 0.4, 0.16), (0.04, 0.04, 0.045)))
    meshes = [bars, *sheet, joined_blocks(blocks)]
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
    shape: CarShape,
) -> list[Block]:
    """Plates, mirrors, sills, and what some cars have on the roof or the tailgate."""
    (half, front, back), (belt, nose, height), (cowl, roof_front, roof_rear) = size, heights, marks
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    mirror = PAINT if rng.random() < 0.6 else TRIM
    blocks: list[Block] = [
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
        panel = boxes((0, -long / 2, 0.5 * (belt + 0.3)), (0.06, long, belt - 0.3), PAINT)
        upper = 0.86 * (height - belt)
        pane = boxes((0, -0.55 * long, belt + 0.5 * upper), (0.03, 0.72 * long, upper), GLASS_HIGH, taper=0.8)
        opened = [mesh.rotated(side * angle).translated((side * 0.985 * half, hinge, 0)) for mesh in (panel, pane)]
        dark = boxes((side * 0.97 * half, hinge - 0.55 * long, 0.5 * (belt + 0.4)), (0.08, 0.9 * long, belt - 0.42), UNDERSIDE)
        return [*opened, dark]
    long = min(1.15, height - 0.55)
    gate = boxes((0, -long / 2, 0), (1.5 * half, long, 0.06), PAINT)
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
    return quads(np.concatenate((right, mirrored(right))), code(0, 0.25))
