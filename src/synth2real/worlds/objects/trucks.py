"""Trucks: a cab, and behind it a box, a platform, a skip, a tank, a trailer, a drum or lockers, with their loads.

The builder takes a random generator and gives one object that faces +y; equal generators give equal arrays. Bodies are models
that a process builds once (:mod:`synth2real.worlds.objects.models`); paint is drawn for each truck.
"""

from functools import cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import Mesh, SceneObject, boxes, extruded, lathe, lofts, rotation_x, tubes
from synth2real.worlds.objects.models import code, lid, outline, painted, skin
from synth2real.worlds.objects.vehicle_parts import (
    GLASS_HIGH,
    GLASS_LOW,
    LAMP_AMBER,
    LAMP_BLUE,
    LAMP_WHITE,
    MODELS,
    PAINT,
    PAINTS,
    SECOND,
    STEEL,
    TRIM,
    UNDERSIDE,
    Block,
    assembled,
    chosen_kind,
    drawn_paint,
    joined_blocks,
    rear_lamps,
    wheel_arches,
    wheels,
)

TruckKind = Literal["box", "flatbed", "tipper", "tanker", "articulated", "dustcart", "mixer", "fire engine"]

TRUCK: Final = 27
TRUCK_KINDS: Final[tuple[TruckKind, ...]] = get_args(TruckKind)

_TRUCK_SHARES: Final = (0.4, 0.12, 0.12, 0.06, 0.14, 0.07, 0.05, 0.04)
_WOOD: Final = (0.32, 0.22, 0.12)


def truck(rng: np.random.Generator, kind: TruckKind | None = None) -> SceneObject:
    """A lorry of 6 to 10 m, or an articulated one of up to 16 m; all of it label 27, instance 1.

    Args:
        rng: source of the model, its paint and its load.
        kind: what is behind the cab; drawn if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = chosen_kind(rng, "truck", kind, TRUCK_KINDS, _TRUCK_SHARES)
    paint = np.clip(drawn_paint(rng) * 1.1, 0, 0.8)
    second = PAINTS[0] * rng.uniform(0.85, 1.0) if rng.random() < 0.5 else drawn_paint(rng)
    if chosen == "dustcart":
        paint = np.array(((0.62, 0.3, 0.03), (0.66, 0.66, 0.64), (0.1, 0.25, 0.08)))[rng.integers(3)]
        second = paint * rng.uniform(0.7, 1.0)
    elif chosen == "fire engine":
        paint, second = PAINTS[5] * rng.uniform(1.2, 1.6), PAINTS[0]
    elif chosen == "tipper":
        second = np.array(((0.5, 0.3, 0.05), (0.35, 0.36, 0.37), (0.1, 0.2, 0.12)))[rng.integers(3)]
    return painted(_truck(chosen, int(rng.integers(MODELS))), np.stack((paint, second)))


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
    blocks: list[Block] = [
        ((0, -0.1, 0.78), (0.9, length - 0.7, 0.34), UNDERSIDE),
        *(((s * (half + 0.17), front - 0.16, cab_height - 0.9), (0.2, 0.12, 0.5), TRIM) for s in (-1, 1)),
        *(((s * (half - 0.12), 0.5 * (start + back) + 0.4, 0.74), (0.08, 0.4 * (start - back), 0.42), STEEL) for s in (-1, 1)),
        *rear_lamps(width, back, rng),
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
    meshes += [joined_blocks(blocks), wheels(axles, radius, half)]
    return assembled(TRUCK, meshes, [wheel_arches(axles[:1], radius, half)])


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
    colours[...] = PAINT
    colours[0] = TRIM
    colours[1, 1:3] = LAMP_WHITE
    colours[1, 0] = TRIM
    colours[2, 0] = (TRIM, PAINT, code(0, 0.6))[style]
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
    meshes = [boxes((0, centre, middle), (2 * half + 0.06, long, tall), SECOND)]
    blocks: list[Block] = [
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
        blocks += [((s * (half + 0.03), centre, z), (0.03, long * reach, band), PAINT) for s in (-1, 1)]
    else:
        blocks.append(((0, start + 0.2, top - 0.5), (1.6, 0.45, 0.7), (0.7, 0.7, 0.69)))
    return [*meshes, joined_blocks(blocks)]


def _flatbed_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A platform with low walls, loaded with timber, pipes, crates or nothing."""
    start, back, floor = bed
    long, centre = start - back, 0.5 * (start + back)
    blocks: list[Block] = [
        ((0, centre, floor + 0.05), (2 * half, long, 0.14), SECOND),
        ((0, start - 0.04, floor + 0.6), (2 * half, 0.08, 1.1), SECOND),
        ((0, back + 0.04, floor + 0.3), (2 * half, 0.08, 0.42), SECOND),
        *(((s * half, centre, floor + 0.3), (0.06, long, 0.42), SECOND) for s in (-1, 1)),
    ]
    load = rng.integers(4)
    meshes: list[Mesh] = []
    if load == 0:
        for y in np.arange(back + 0.9, start - 0.7, 1.25):
            if rng.random() < 0.8:
                tall = rng.uniform(0.5, 1.4)
                tone = np.array(_WOOD) * rng.uniform(0.6, 1.5)
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
        blocks.append(((0, centre, floor + 0.12 + tall / 2), (1.9, 0.86 * long, tall), np.array(_WOOD) * rng.uniform(0.7, 1.6)))
    return [*meshes, joined_blocks(blocks)]


def _tipper_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A skip with ribs, full of earth or empty."""
    start, back, floor = bed
    long, centre, wall = start - back, 0.5 * (start + back), float(rng.uniform(0.9, 1.3))
    z = floor + wall / 2
    blocks: list[Block] = [
        ((0, centre, floor + 0.06), (2 * half, long, 0.14), SECOND),
        ((0, back + 0.04, z), (2 * half, 0.08, wall), SECOND),
        ((0, start - 0.04, z + 0.25), (2 * half, 0.08, wall + 0.5), SECOND),
        ((0, start + 0.4, floor + wall + 0.46), (2 * half, 0.9, 0.06), SECOND),
    ]
    for side in (-1, 1):
        blocks.append(((side * half, centre, z), (0.08, long, wall), SECOND))
        blocks += [
            ((side * (half + 0.05), y, z), (0.06, 0.1, wall), code(1, 0.7)) for y in np.linspace(back + 0.3, start - 0.3, 5)
        ]
    fill = float(rng.uniform(0.3, 0.8))
    heap = np.array(((0.18, 0.14, 0.1), (0.3, 0.29, 0.27), (0.33, 0.26, 0.15)))[rng.integers(3)]
    pile = boxes((0, centre, floor + 0.55 * wall + fill / 2), (1.84 * half, 0.94 * long, fill), heap, taper=0.35)
    return [joined_blocks(blocks), pile]


def _tanker_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A tank with domed ends, hatches, a catwalk and a skirt."""
    start, back, floor = bed
    long, radius = start - back - 0.2, float(rng.uniform(0.95, 1.15))
    profile = ((0, 0), (0.7 * radius, 0.05), (radius, 0.3), (radius, long - 0.3), (0.7 * radius, long - 0.05), (0, long))
    tank = lathe(profile, SECOND, 14).transformed(rotation_x(-np.pi / 2), (0, back + 0.1, floor + 0.9))
    tank = tank.transformed(np.diag((half / radius * 0.98, 1.0, 1.0)))
    top = floor + 0.9 + radius
    blocks: list[Block] = [((0, y, top), (0.5, 0.5, 0.12), STEEL) for y in np.linspace(back + 1.0, start - 1.0, 4)]
    blocks += [
        ((0.35, 0.5 * (start + back), top - 0.02), (0.06, 0.8 * long, 0.06), STEEL),
        *(((s * 0.8 * half, 0.5 * (start + back), floor + 0.02), (0.3, long, 0.14), TRIM) for s in (-1, 1)),
        ((0, back + 0.2, floor + 0.1), (1.2, 0.4, 0.5), TRIM),
        ((0, start - 0.4, floor + 0.1), (1.2, 0.6, 0.5), TRIM),
    ]
    return [tank, joined_blocks(blocks)]


def _trailer(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """An articulated lorry's trailer: a box, a curtain-sider, a tank or a loaded flatbed."""
    start, back, floor = bed
    wider = (start + 0.75, back, floor + 0.15)  # it reaches over the tractor
    body = (_box_load, _box_load, _tanker_load, _flatbed_load)[rng.integers(4)](rng, half, wider)
    legs: list[Block] = [((s * 0.6, start - 1.4, 0.55), (0.12, 0.12, 0.9), TRIM) for s in (-1, 1)]
    return [*body, joined_blocks(legs)]


def _dustcart_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A rounded refuse body with a hopper at its back."""
    start, back, floor = bed
    top, joint = float(rng.uniform(3.0, 3.3)), back + 1.5
    x = half * np.array((-0.95, -1.0, -0.98, -0.75, 0.75, 0.98, 1.0, 0.95))
    z = np.array((floor, floor + 0.3, top - 0.35, top, top, top - 0.35, floor + 0.3, floor))
    sections = np.stack([np.stack((x, np.full(8, y), z), axis=1) for y in (joint, start)])
    body = lofts(sections, SECOND, smooth=False)
    hopper = np.array(
        ((joint, floor - 0.2), (joint, top + 0.1), (back + 0.55, top + 0.1), (back, floor + 1.15), (back + 0.1, floor - 0.35))
    )
    rear = extruded(hopper, -0.97 * half, 0.97 * half, PAINT, axis="x")
    ys = np.linspace(joint + 0.4, start - 0.3, 4)
    blocks: list[Block] = [
        ((s * half, y, 0.5 * (floor + top)), (0.05, 0.1, top - floor - 0.5), code(1, 0.7)) for s in (-1, 1) for y in ys
    ]
    blocks += [
        ((0, back + 0.04, floor + 0.5), (1.5 * half, 0.1, 0.8), UNDERSIDE),
        *(((s * 0.75 * half, back - 0.05, floor + 0.1), (0.1, 0.2, 0.7), LAMP_AMBER) for s in (-1, 1)),
    ]
    return [body, rear, joined_blocks(blocks)]


def _mixer_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """A tilted drum with a stripe, a funnel and a chute."""
    start, back, floor = bed
    long, wide = start - back - 0.7, 0.98 * half
    profile = np.array(((0.0, 0.0), (0.5, 0.02), (0.78, 0.3), (1.0, 0.42), (1.0, 0.58), (0.62, 0.85), (0.42, 1.0), (0.0, 1.0)))
    colours = np.array([SECOND] * 3 + [PAINT] * 2 + [SECOND] * 3)
    drum = lathe(profile * (wide, long), colours, 12).transformed(rotation_x(np.pi / 2 - 0.2), (0, start - 0.15, floor + 0.95))
    blocks: list[Block] = [
        ((0, 0.5 * (start + back), floor + 0.05), (0.9, start - back, 0.2), TRIM),
        ((0, back + 0.55, floor + 1.0), (0.9, 0.2, 1.9), PAINT),
        ((0, back + 0.35, floor + 2.35), (0.8, 0.7, 0.45), PAINT),
        ((0, back + 0.15, floor + 0.75), (0.4, 0.3, 0.9), STEEL),
        ((0, start - 0.1, floor + 0.5), (1.0, 0.2, 1.0), TRIM),
    ]
    return [drum, joined_blocks(blocks)]


def _fire_load(rng: np.random.Generator, half: float, bed: _Bed) -> list[Mesh]:
    """Lockers with shutters, a band, and a ladder on the roof."""
    start, back, _ = bed
    long, centre, top = start - back + 0.1, 0.5 * (start + back) + 0.05, float(rng.uniform(2.8, 3.0))
    blocks: list[Block] = [
        ((0, centre, 0.5 * (0.75 + top)), (2 * half, long, top - 0.75), PAINT),
        *(((s * half, centre, 1.25), (0.03, long, 0.22), SECOND) for s in (-1, 1)),
        *(((s * 0.3, centre + 0.4, top + 0.25), (0.06, long + 1.6, 0.08), STEEL) for s in (-1, 1)),
        *(((0, centre + y * long, top + 0.25), (0.6, 0.05, 0.05), STEEL) for y in np.linspace(-0.45, 0.55, 7)),
        *(((0.0, centre + y * long, top + 0.1), (0.7, 0.1, 0.24), TRIM) for y in (-0.35, 0.35)),
    ]
    for side in (-1, 1):
        for y in np.linspace(back + 0.75, start - 0.6, 3):
            blocks.append(((side * half, y, 0.5 * (1.4 + top) - 0.05), (0.04, 0.28 * long, top - 1.6), STEEL))
    return [joined_blocks(blocks)]


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
