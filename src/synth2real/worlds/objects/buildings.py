"""Houses, apartment blocks, offices and shop rows, label 11 throughout.

A building faces +y (its street front) with its width along x. Fronts are grids of bays and storeys: every window is a
frame with dark glass a little before the wall and a sill; glass is lighter towards the top, as if it mirrored the sky.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2real.worlds.meshes import Mesh, Part, SceneObject, boxes, quads, scene_object, xyz

BUILDING = 11

PLASTERS = np.array(
    (
        (0.60, 0.57, 0.50),
        (0.66, 0.64, 0.60),
        (0.58, 0.47, 0.30),
        (0.48, 0.33, 0.24),
        (0.42, 0.43, 0.43),
        (0.62, 0.50, 0.42),
        (0.45, 0.48, 0.42),
    )
)
BRICKS = np.array(((0.33, 0.13, 0.085), (0.26, 0.11, 0.08), (0.40, 0.25, 0.16), (0.30, 0.20, 0.15)))
CONCRETES = np.array(((0.38, 0.37, 0.35), (0.46, 0.45, 0.42), (0.28, 0.28, 0.28)))
ROOF_TILES = np.array(((0.20, 0.075, 0.05), (0.055, 0.055, 0.06), (0.12, 0.07, 0.055), (0.09, 0.09, 0.095)))
FRAMES = np.array(((0.66, 0.66, 0.64), (0.66, 0.66, 0.64), (0.07, 0.065, 0.06), (0.18, 0.10, 0.06)))
SHOP_COLOURS = np.array(
    (
        (0.35, 0.03, 0.03),
        (0.03, 0.10, 0.28),
        (0.03, 0.16, 0.08),
        (0.04, 0.04, 0.045),
        (0.55, 0.38, 0.04),
        (0.5, 0.5, 0.48),
        (0.25, 0.06, 0.2),
    )
)
GLASS_LOW, GLASS_HIGH = np.array((0.018, 0.022, 0.026)), np.array((0.13, 0.16, 0.19))


class _Wall(NamedTuple):
    """An upright rectangle: where it starts at the ground, its direction, the outward normal and its width."""

    origin: NDArray[np.float64]
    along: NDArray[np.float64]
    outward: NDArray[np.float64]
    width: float


def house(rng: np.random.Generator) -> SceneObject:
    """A family house of one to three storeys with pitched roof, chimney and door."""
    width, depth, storeys = rng.uniform(7.0, 11.0), rng.uniform(8.0, 11.0), int(rng.choice((1, 2, 3), p=(0.2, 0.6, 0.2)))
    height = 2.8 * storeys + 0.3
    texture, tone = _masonry(rng)
    tiles = ROOF_TILES[rng.integers(4)] * rng.uniform(0.8, 1.3)
    pitch, lengthwise = rng.uniform(0.6, 1.05), bool(rng.random() < 0.6)
    meshes = [_shell(width, depth, height, tone, texture)]
    meshes += _gable_roof(width, depth, height, pitch, tiles, tone, texture, lengthwise)
    frame = FRAMES[rng.integers(4)]
    front, back, left, right = _walls(width, depth)
    bays = max(2, round(width / 2.6))
    door = int(rng.integers(bays))
    for wall, skip in ((front, door), (back, -1)):
        meshes += _windows(wall, bays, storeys, 0.3, 2.8, (1.15, 1.35), 0.85, frame, skip)
    for wall in (left, right):
        meshes += _windows(wall, max(1, round(depth / 4)), storeys, 0.3, 2.8, (1.0, 1.25), 0.9, frame)
    meshes += _door(rng, front, (door + 0.5) * front.width / bays)
    ridge = height + pitch * (depth if lengthwise else width) / 2
    stack = (rng.uniform(-0.3, 0.3) * width, rng.uniform(-0.15, 0.15) * depth, 0.5 * (height + ridge) + 0.6)
    meshes.append(boxes(stack, (0.6, 0.6, ridge - height + 1.0), BRICKS[rng.integers(4)], "brick"))
    return scene_object([Part(BUILDING, 0, mesh) for mesh in meshes])


def apartment_block(rng: np.random.Generator) -> SceneObject:
    """A block of flats of four to seven storeys, plain or with balconies, flat or pitched roof."""
    width, depth, storeys = rng.uniform(12.0, 20.0), rng.uniform(10.0, 14.0), int(rng.integers(4, 8))
    storey, base = rng.uniform(2.8, 3.3), rng.uniform(0.3, 1.0)
    height = base + storey * storeys + 0.3
    texture, tone = _masonry(rng)
    meshes = [_shell(width, depth, height, tone, texture)]
    if rng.random() < 0.5:
        meshes += _gable_roof(width, depth, height, rng.uniform(0.4, 0.7), ROOF_TILES[rng.integers(4)], tone, texture, True)
    else:
        meshes += _flat_roof(rng, width, depth, height, tone)
    frame = FRAMES[rng.integers(4)]
    bays = round(width / rng.uniform(2.6, 3.3))
    front, back, left, right = _walls(width, depth)
    door = bays // 2
    window = (rng.uniform(1.0, 1.4), rng.uniform(1.4, 1.75))
    meshes += _windows(front, bays, storeys, base, storey, window, 0.8, frame, door)
    meshes += _windows(back, max(2, bays // 2), storeys, base, storey, window, 0.8, frame)
    for wall in (left, right):
        meshes += _windows(wall, 2, storeys, base, storey, window, 0.8, frame, sills=False)
    meshes += _door(rng, front, (door + 0.5) * width / bays)
    if rng.random() < 0.45:
        chosen = rng.permutation(bays)[: max(1, bays // 3)]
        spots = [(front, (bay + 0.5) * width / bays, base + level * storey) for bay in chosen for level in range(1, storeys)]
        meshes += _balconies(spots, width / bays * 0.85, tone)
    meshes.append(_band(width, depth, base * 0.5 + 0.15, base + 0.1, tone * 0.55, 0.05))
    meshes.append(_band(width, depth, height - 0.12, 0.25, tone * 0.8, 0.12))
    return scene_object([Part(BUILDING, 0, mesh) for mesh in meshes])


def office(rng: np.random.Generator) -> SceneObject:
    """An office block of four to ten storeys with ribbons or a curtain wall of glass and a flat roof."""
    width, depth, storeys = rng.uniform(14.0, 24.0), rng.uniform(12.0, 16.0), int(rng.integers(4, 11))
    storey = rng.uniform(3.2, 3.7)
    height = storey * storeys + 0.6
    tone = CONCRETES[rng.integers(3)] * rng.uniform(0.8, 1.25)
    curtain = rng.random() < 0.4
    meshes = [_shell(width, depth, height, tone, "concrete"), *_flat_roof(rng, width, depth, height, tone)]
    tint = np.array(((1.0, 1.0, 1.0), (0.7, 1.0, 1.15), (1.1, 0.95, 0.75)))[rng.integers(3)]
    for wall in _walls(width, depth):
        bays = round(wall.width / (1.6 if curtain else 2.8))
        size = (wall.width / bays - (0.12 if curtain else 0.5), storey - 0.3 if curtain else storey * 0.52)
        bays, size = (
            (bays, size)
            if bays * storeys <= 60
            else (max(1, 60 // storeys), (wall.width / max(1, 60 // storeys) - 0.15, size[1]))
        )
        meshes.append(_panes(wall, bays, storeys, 0.1, storey, size, 0.15 if curtain else 0.9, tint))
    front = _walls(width, depth)[0]
    meshes.append(_panel(front, width / 2, 0.0, 4.0, 3.0, (0.03, 0.035, 0.04), 0.08))
    meshes.append(boxes((0, depth / 2 + 0.9, 3.1), (5.0, 1.8, 0.25), tone * 0.6))
    return scene_object([Part(BUILDING, 0, mesh) for mesh in meshes])


def shop_row(rng: np.random.Generator) -> SceneObject:
    """A town house of two to five storeys with shops on its ground floor: display windows, fascias and awnings."""
    width, depth, storeys = rng.uniform(9.0, 18.0), rng.uniform(9.0, 13.0), int(rng.integers(1, 5))
    ground, storey = rng.uniform(3.6, 4.2), rng.uniform(2.9, 3.3)
    height = ground + storey * storeys + 0.3
    texture, tone = _masonry(rng)
    meshes = [_shell(width, depth, height, tone, texture)]
    if rng.random() < 0.6:
        meshes += _gable_roof(width, depth, height, rng.uniform(0.5, 0.9), ROOF_TILES[rng.integers(4)], tone, texture, True)
    else:
        meshes += _flat_roof(rng, width, depth, height, tone)
    frame = FRAMES[rng.integers(4)]
    front, back, left, right = _walls(width, depth)
    bays = round(width / rng.uniform(2.3, 3.0))
    meshes += _windows(front, bays, storeys, ground, storey, (1.15, 1.7), 0.75, frame)
    meshes += _windows(back, max(2, bays // 2), storeys, ground, storey, (1.1, 1.5), 0.8, frame, sills=False)
    for wall in (left, right):
        meshes += _windows(wall, 1, storeys, ground, storey, (1.0, 1.4), 0.8, frame, sills=False)
    shops = max(1, round(width / rng.uniform(4.5, 6.5)))
    for shop in range(shops):
        meshes += _shop(rng, front, shop * width / shops, width / shops, ground)
    meshes.append(_band(width, depth, ground + 0.02, 0.18, tone * 0.75, 0.1))
    meshes.append(_band(width, depth, height - 0.12, 0.25, tone * 0.8, 0.14))
    return scene_object([Part(BUILDING, 0, mesh) for mesh in meshes])


def _masonry(rng: np.random.Generator) -> tuple[str, NDArray[np.float64]]:
    """A facade's material and its tone."""
    texture = ("plaster", "brick", "concrete")[rng.choice(3, p=(0.58, 0.3, 0.12))]
    tones = {"plaster": PLASTERS, "brick": BRICKS, "concrete": CONCRETES}[texture]
    return texture, tones[rng.integers(len(tones))] * rng.uniform(0.8, 1.15)


def _walls(width: float, depth: float) -> tuple[_Wall, _Wall, _Wall, _Wall]:
    """Front (+y), back, left (-x) and right wall; ``along`` runs to the right as seen from outside."""
    x, y = width / 2, depth / 2
    corners = np.array(((x, y, 0.0), (-x, -y, 0.0), (-x, y, 0.0), (x, -y, 0.0)))
    along = np.array(((-1.0, 0, 0), (1.0, 0, 0), (0, -1.0, 0), (0, 1.0, 0)))
    outward = np.array(((0, 1.0, 0), (0, -1.0, 0), (-1.0, 0, 0), (1.0, 0, 0)))
    front, back, left, right = (_Wall(*row) for row in zip(corners, along, outward, (width, width, depth, depth), strict=True))
    return front, back, left, right


def _rectangles(
    wall: _Wall, left: ArrayLike, low: ArrayLike, width: ArrayLike, height: ArrayLike, out: float
) -> NDArray[np.float64]:
    """(k, 4, 3) corners of upright rectangles ``out`` metres before a wall, from their left and lower edges."""
    s, z, w, h = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (left, low, width, height)))
    across = np.stack((s, s + w, s + w, s), axis=-1)
    up = np.stack((z, z, z + h, z + h), axis=-1)
    rectangles: NDArray[np.float64] = (
        wall.origin + out * wall.outward + across[..., None] * wall.along + up[..., None] * np.array((0, 0, 1.0))
    )
    return rectangles.reshape(-1, 4, 3)


def _panel(
    wall: _Wall, centre: float, low: float, width: float, height: float, colour: ArrayLike, out: float, texture: str = ""
) -> Mesh:
    return quads(_rectangles(wall, centre - width / 2, low, width, height, out), colour, texture)


def _shell(width: float, depth: float, height: float, tone: ArrayLike, texture: str) -> Mesh:
    return boxes((0, 0, height / 2), (width, depth, height), tone, texture)


def _grid_of(
    wall: _Wall, bays: int, storeys: int, base: float, storey: float, size: tuple[float, float], sill: float, skip: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Left and lower edges of the windows of a wall, and their width; the ground-floor bay ``skip`` is left out."""
    pitch = wall.width / bays
    width = min(size[0], 0.8 * pitch) if size[0] < 0.9 * pitch else size[0]
    left, low = np.meshgrid((np.arange(bays) + 0.5) * pitch - width / 2, base + sill + storey * np.arange(storeys))
    keep = np.ones(left.shape, bool)
    if skip >= 0:
        keep[0, skip] = False
    return left[keep], low[keep], width


def _panes(
    wall: _Wall,
    bays: int,
    storeys: int,
    base: float,
    storey: float,
    size: tuple[float, float],
    sill: float,
    tint: ArrayLike = 1.0,
    skip: int = -1,
    inset: float = 0.0,
    out: float = 0.05,
) -> Mesh:
    """Glass alone: one pane for each bay and storey."""
    left, low, width = _grid_of(wall, bays, storeys, base, storey, size, sill, skip)
    corners = _rectangles(wall, left + inset, low + inset, width - 2 * inset, size[1] - 2 * inset, out)
    return _glass(corners, tint)


def _glass(corners: NDArray[np.float64], tint: ArrayLike = 1.0) -> Mesh:
    shades = np.stack((GLASS_LOW, GLASS_LOW, GLASS_HIGH, GLASS_HIGH)) * np.asarray(tint)
    return quads(corners, np.broadcast_to(shades, (len(corners), 4, 3)), "glass")


def _windows(
    wall: _Wall,
    bays: int,
    storeys: int,
    base: float,
    storey: float,
    size: tuple[float, float],
    sill: float,
    frame: ArrayLike,
    skip: int = -1,
    sills: bool = True,
) -> list[Mesh]:
    """Framed windows with a mullion and a sill for each bay and storey."""
    left, low, width = _grid_of(wall, bays, storeys, base, storey, size, sill, skip)
    if len(left) == 0:
        return []
    height = size[1]
    frames = quads(_rectangles(wall, left, low, width, height, 0.03), frame)
    half = (width - 0.21) / 2
    panes = np.concatenate(
        [_rectangles(wall, left + offset, low + 0.07, half, height - 0.14, 0.06) for offset in (0.07, 0.14 + half)]
    )
    meshes = [frames, _glass(panes)]
    if sills:
        ledge = _rectangles(wall, left - 0.08, low - 0.12, width + 0.16, 0.12, 0.12)
        top = ledge.copy()
        top[:, 0], top[:, 1] = ledge[:, 3], ledge[:, 2]
        top[:, 2:] -= 0.12 * wall.outward
        top[:, 2], top[:, 3] = ledge[:, 2] - 0.12 * wall.outward, ledge[:, 3] - 0.12 * wall.outward
        meshes.append(quads(np.concatenate((ledge, top)), (0.42, 0.41, 0.39)))
    return meshes


def _door(rng: np.random.Generator, wall: _Wall, centre: float) -> list[Mesh]:
    colours = np.array(((0.16, 0.08, 0.04), (0.04, 0.09, 0.05), (0.25, 0.03, 0.03), (0.03, 0.05, 0.14), (0.5, 0.5, 0.48)))
    surround = _panel(wall, centre, 0.0, 1.3, 2.35, (0.6, 0.59, 0.56), 0.03)
    leaf = _panel(wall, centre, 0.05, 1.0, 2.1, colours[rng.integers(5)], 0.06)
    light = _glass(_rectangles(wall, centre - 0.3, 1.35, 0.6, 0.6, 0.08))
    step = wall.origin + centre * wall.along + 0.2 * wall.outward + np.array((0, 0, 0.08))
    return [
        surround,
        leaf,
        light,
        boxes(step, np.abs(wall.along) * 1.5 + np.abs(wall.outward) * 0.4 + np.array((0, 0, 0.16)), (0.36, 0.35, 0.33)),
    ]


def _gable_roof(
    width: float, depth: float, height: float, pitch: float, tiles: ArrayLike, tone: ArrayLike, texture: str, lengthwise: bool
) -> list[Mesh]:
    """A pitched roof with eaves and its two gables; ``pitch`` is rise over run."""
    x, y = width / 2, depth / 2
    eave = 0.35
    run, half = (y, x) if lengthwise else (x, y)
    rise = pitch * run
    drop = pitch * eave

    def place(across: float, along: float, z: float) -> tuple[float, float, float]:
        return (along, across, z) if lengthwise else (-across, along, z)

    slopes = []
    for side in (-1.0, 1.0):
        corners = [
            place(side * (run + eave), -side * -1 * (half + eave) * 1.0, height - drop),
            place(side * (run + eave), side * -1 * (half + eave), height - drop),
            place(0.0, side * -1 * (half + eave), height + rise),
            place(0.0, side * (half + eave), height + rise),
        ]
        slopes.append(corners)
    top = np.array(slopes) + xyz(0, 0, 0.06)
    under = top[:, ::-1] - xyz(0, 0, 0.16)
    gables = [
        [
            place(-s * run, -s * half, height),
            place(s * run, -s * half, height),
            place(0.0, -s * half, height + rise),
            place(0.0, -s * half, height + rise),
        ]
        for s in (-1.0, 1.0)
    ]
    verge = []
    for s in (-1.0, 1.0):
        for slope in top:
            a, b = (slope[1], slope[2]) if (slope[1] @ (1, 1, 0) - slope[0] @ (1, 1, 0)) * s > 0 else (slope[3], slope[0])
            verge.append([a, b, b - xyz(0, 0, 0.16), a - xyz(0, 0, 0.16)])
    meshes = [
        quads(top, tiles, "roof"),
        quads(under, np.asarray(tiles) * 0.6),
        quads(np.array(gables)[:, [1, 0, 3, 2]], tone, texture),
    ]
    edges = np.array(verge)
    meshes.append(quads(np.concatenate((edges, edges[:, ::-1])), (0.4, 0.39, 0.36)))
    eaves = top[:, [1, 0]]
    fascia = np.stack((eaves[:, 1], eaves[:, 0], eaves[:, 0], eaves[:, 1]), axis=1)
    fascia[:, :2] -= (0, 0, 0.16)
    meshes.append(quads(np.concatenate((fascia, fascia[:, ::-1])), (0.4, 0.39, 0.36)))
    return meshes


def _flat_roof(rng: np.random.Generator, width: float, depth: float, height: float, tone: ArrayLike) -> list[Mesh]:
    """A parapet and a plant room or stair head."""
    parapet = 0.5
    rails = boxes(
        (
            (0, depth / 2 - 0.12, height + parapet / 2),
            (0, -depth / 2 + 0.12, height + parapet / 2),
            (width / 2 - 0.12, 0, height + parapet / 2),
            (-width / 2 + 0.12, 0, height + parapet / 2),
        ),
        ((width, 0.24, parapet), (width, 0.24, parapet), (0.24, depth, parapet), (0.24, depth, parapet)),
        np.asarray(tone) * 0.9,
    )
    room = boxes(
        (rng.uniform(-0.25, 0.25) * width, -0.15 * depth, height + 1.2), (0.25 * width, 0.3 * depth, 2.4), (0.33, 0.33, 0.32)
    )
    return [rails, room]


def _band(width: float, depth: float, z: float, tall: float, tone: ArrayLike, out: float) -> Mesh:
    """A course around the building: plinth, cornice or string."""
    return boxes((0, 0, z), (width + 2 * out, depth + 2 * out, tall), tone)


def _balconies(spots: list[tuple[_Wall, float, float]], width: float, tone: ArrayLike) -> list[Mesh]:
    """Slabs with solid parapets before the wall, from (wall, centre, floor level)."""
    floors = np.array(
        [wall.origin + centre * wall.along + 0.6 * wall.outward + np.array((0, 0, level)) for wall, centre, level in spots]
    )
    slab = boxes(floors, (width, 1.2, 0.15), np.asarray(tone) * 0.8)
    front = boxes(floors + xyz(0, 0.56, 0.55), (width, 0.08, 0.95), np.asarray(tone) * 0.95 + 0.02)
    return [slab, front]


def _shop(rng: np.random.Generator, wall: _Wall, left: float, width: float, ground: float) -> list[Mesh]:
    """One shop front: stall riser, lit display windows, door, fascia with lettering, and now and then an awning."""
    colour = SHOP_COLOURS[rng.integers(7)] * rng.uniform(0.8, 1.2)
    centre = left + width / 2
    surround = _panel(wall, centre, 0.0, width - 0.3, ground - 0.25, colour * 0.6, 0.04)
    fascia_z, fascia_h = ground - 0.95, 0.62
    fascia = boxes(
        wall.origin + centre * wall.along + 0.08 * wall.outward + np.array((0, 0, fascia_z + fascia_h / 2)),
        np.abs(wall.along) * (width - 0.25) + np.abs(wall.outward) * 0.16 + np.array((0, 0, fascia_h)),
        colour,
    )
    count = int(rng.integers(4, 9))
    letters = np.linspace(-0.3, 0.3, count) * width
    ink = (0.7, 0.7, 0.66) if colour.mean() < 0.3 else (0.03, 0.03, 0.03)
    lettering = quads(
        _rectangles(wall, centre + letters - 0.1, fascia_z + 0.16, 0.6 * width / count * rng.uniform(0.5, 0.8, count), 0.3, 0.17),
        ink,
    )
    door_width = 1.1
    door_left = left + (0.25 if rng.random() < 0.5 else width - 0.25 - door_width)
    glass_left, glass_right = left + 0.25, left + width - 0.25
    if door_left < centre:
        glass_left = door_left + door_width + 0.12
    else:
        glass_right = door_left - 0.12
    panes = 2 if glass_right - glass_left > 2.5 else 1
    span = (glass_right - glass_left) / panes
    shows = _rectangles(wall, glass_left + span * np.arange(panes), 0.5, span - 0.1, fascia_z - 0.62, 0.07)
    glow = np.array(((0.10, 0.09, 0.075), (0.22, 0.19, 0.14), (0.04, 0.045, 0.05)))[rng.integers(3)]
    shades = np.stack((glow * 0.6, glow * 0.6, glow * 1.5 + 0.04, glow * 1.5 + 0.04))
    display = quads(shows, np.broadcast_to(shades, (panes, 4, 3)), "shopfront")
    goods = quads(
        _rectangles(
            wall,
            glass_left + (glass_right - glass_left) * rng.uniform(0.05, 0.8, 4),
            0.55,
            rng.uniform(0.2, 0.5, 4),
            rng.uniform(0.3, 1.1, 4),
            0.08,
        ),
        rng.uniform(0.04, 0.5, (4, 3)),
    )
    door = _glass(_rectangles(wall, door_left, 0.08, door_width, fascia_z - 0.2, 0.07))
    meshes = [surround, fascia, lettering, display, goods, door]
    if rng.random() < 0.35:
        reach, z = 1.1, fascia_z + 0.05
        edge = _rectangles(wall, left + 0.2, z - 0.45, width - 0.4, 0.0, reach)[0]
        back = _rectangles(wall, left + 0.2, z, width - 0.4, 0.0, 0.17)[0]
        canopy = np.array([[edge[0], edge[1], back[1], back[0]]])
        front = np.array([[edge[0] - xyz(0, 0, 0.2), edge[1] - xyz(0, 0, 0.2), edge[1], edge[0]]])
        faces = np.concatenate((canopy, front))
        meshes.append(quads(np.concatenate((faces, faces[:, ::-1])), SHOP_COLOURS[rng.integers(7)]))
    return meshes
