"""Houses, apartment blocks, offices and shop rows, label 11 throughout.

A building faces +y (its street front) with its width along x. Fronts are grids of bays and storeys; a window is a frame,
shaded at the top as if it were set back, with glass that is lighter towards the top, as if it mirrored the sky, or
curtained. Apartment blocks, offices and shop rows have plain side walls without overhang, so that they can stand in a row.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import Numbers, Part, SceneObject, quads, scene_object, xyz

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
GLASS = np.array(
    ((0.018, 0.022, 0.026), (0.018, 0.022, 0.026), (0.13, 0.16, 0.19), (0.13, 0.16, 0.19))
)  # at each corner of a pane
CURTAIN, STONE = np.array((0.34, 0.33, 0.30)), np.array((0.42, 0.41, 0.39))
SHADE = np.array((1.0, 1.0, 0.55, 0.55))[:, None]  # of what lies under a lintel: its two upper corners are darker


class _Wall(NamedTuple):
    """An upright rectangle: where it starts at the ground, its direction to the right seen from outside, its normal."""

    origin: NDArray[np.float64]
    along: NDArray[np.float64]
    outward: NDArray[np.float64]
    width: float


class _Faces(NamedTuple):
    """Quadrilaterals of one material: (k, 4, 3) corners and colours."""

    texture: str
    corners: NDArray[np.float64]
    colours: NDArray[np.float64]


def house(rng: np.random.Generator) -> SceneObject:
    """A detached family house of one to three storeys with pitched roof, chimney and door."""
    width, depth, storeys = rng.uniform(7.0, 11.0), rng.uniform(8.0, 11.0), int(rng.choice((1, 2, 3), p=(0.2, 0.6, 0.2)))
    base = 0.35
    height = 2.8 * storeys + base
    texture, tone = _masonry(rng)
    tiles = ROOF_TILES[rng.integers(4)] * rng.uniform(0.8, 1.3)
    pitch, lengthwise = rng.uniform(0.6, 1.05), bool(rng.random() < 0.6)
    faces = [_shell(width, depth, height, tone, texture)]
    faces += _gable_roof(width, depth, height, pitch, tiles, tone, texture, lengthwise, verge=0.3)
    frame = FRAMES[rng.integers(4)]
    front, back, left, right = _walls(width, depth)
    bays = max(2, round(width / 2.6))
    door = int(rng.integers(bays))
    for wall, skip in ((front, door), (back, -1)):
        faces += _windows(rng, wall, bays, storeys, base, 2.8, (1.15, 1.35), 0.85, frame, skip)
    for wall in (left, right):
        faces += _windows(rng, wall, max(1, round(depth / 4)), storeys, base, 2.8, (1.0, 1.25), 0.9, frame)
    faces += _door(rng, front, (door + 0.5) * front.width / bays)
    ridge = height + pitch * (depth if lengthwise else width) / 2
    stack = xyz(rng.uniform(-0.3, 0.3) * width, rng.uniform(-0.15, 0.15) * depth, 0.5 * (height + ridge) + 0.5)
    faces.append(_block(stack, (0.7, 0.6, ridge - height + 1.0), BRICKS[rng.integers(4)], "brick"))
    return _assembled(faces)


def apartment_block(rng: np.random.Generator) -> SceneObject:
    """A block of flats of three to six storeys, plain or with balconies, flat or pitched roof."""
    width, depth, storeys = rng.uniform(12.0, 19.0), rng.uniform(10.0, 14.0), int(rng.integers(3, 7))
    storey, base = rng.uniform(2.8, 3.3), rng.uniform(0.3, 1.0)
    bays = min(round(width / rng.uniform(2.5, 3.2)), 36 // storeys)
    door = bays // 2
    window = (rng.uniform(1.1, 1.5), rng.uniform(1.45, 1.8))
    faces, tone = _town_house(rng, (width, depth), storeys, base, storey, bays, window, door, pitched=0.5)
    front = _walls(width, depth)[0]
    faces += _door(rng, front, (door + 0.5) * width / bays)
    if rng.random() < 0.45:
        chosen = rng.permutation([bay for bay in range(bays) if bay != door])[: max(1, bays // 4)]
        faces += _balconies(front, (chosen + 0.5) * width / bays, base + storey * np.arange(1, storeys), width / bays * 0.9, rng)
    faces.append(_course(width, depth, 0.0, base, tone * 0.5, 0.05))
    return _assembled(faces)


def office(rng: np.random.Generator) -> SceneObject:
    """An office block of four to nine storeys with bands or a curtain wall of glass and a flat roof."""
    width, depth, storeys = rng.uniform(14.0, 24.0), rng.uniform(12.0, 16.0), int(rng.integers(4, 10))
    storey = rng.uniform(3.2, 3.7)
    height = storey * storeys + 0.6
    tone = CONCRETES[rng.integers(3)] * rng.uniform(0.8, 1.25)
    curtain = bool(rng.random() < 0.4)
    faces = [_shell(width, depth, height, tone, "concrete"), *_flat_roof(rng, width, depth, height, tone)]
    tint = np.array(((1.0, 1.0, 1.0), (0.7, 1.05, 1.25), (1.15, 0.95, 0.7)))[rng.integers(3)]
    for wall in _walls(width, depth):
        bays = max(1, min(round(wall.width / (1.8 if curtain else 3.0)), 64 // storeys))
        pitch = wall.width / bays
        size = (pitch - (0.12 if curtain else 0.45), storey - 0.25 if curtain else storey * 0.55)
        left, low, pane = _openings(wall, bays, storeys, 0.1, storey, size, 0.12 if curtain else 0.85, -1)
        faces.append(_glass(_rectangles(wall, left, low, pane, size[1], 0.05), tint * rng.uniform(0.75, 1.3, (len(left), 1, 1))))
    front = _walls(width, depth)[0]
    faces.append(_plain(_rectangles(front, width / 2 - 2.2, 0.0, 4.4, 2.9, 0.1), xyz(0.05, 0.05, 0.055)))
    faces.append(_glass(_rectangles(front, width / 2 - 2.0 + np.arange(3) * 1.37, 0.1, 1.27, 2.6, 0.13), 1.6))
    faces.append(_block(xyz(0, depth / 2 + 0.8, 3.1), (5.2, 1.6, 0.28), tone * 0.6))
    return _assembled(faces)


def shop_row(rng: np.random.Generator) -> SceneObject:
    """A town house of two to five storeys over shops with display windows, fascias, awnings and signs that stick out."""
    width, depth, storeys = rng.uniform(9.0, 18.0), rng.uniform(9.0, 13.0), int(rng.integers(1, 5))
    ground, storey = rng.uniform(3.5, 4.2), rng.uniform(2.9, 3.3)
    bays = round(width / rng.uniform(2.3, 3.0))
    faces, tone = _town_house(rng, (width, depth), storeys, ground, storey, bays, (1.2, 1.75), -1, pitched=0.6)
    front = _walls(width, depth)[0]
    shops = max(1, round(width / rng.uniform(4.5, 6.5)))
    for shop in range(shops):
        faces += _shop(rng, front, shop * width / shops, width / shops, ground)
    faces.append(_course(width, depth, ground - 0.05, 0.16, tone * 0.75, 0.08))
    return _assembled(faces)


def _town_house(
    rng: np.random.Generator,
    size: tuple[float, float],
    storeys: int,
    base: float,
    storey: float,
    bays: int,
    window: tuple[float, float],
    door: int,
    pitched: float,
) -> tuple[list[_Faces], NDArray[np.float64]]:
    """Walls, windows above ``base``, roof, cornice and drainpipes of a house that may stand in a row, and its tone.

    Args:
        rng: source of material and colours.
        size: width and depth, metres.
        storeys: rows of windows.
        base: height at which they begin, metres.
        storey: height of one, metres.
        bays: columns of windows in the front.
        window: width and height of one, metres.
        door: bay of the lowest row that has no window; -1 for none.
        pitched: probability of a pitched roof.
    """
    width, depth = size
    height = base + storey * storeys + 0.3
    texture, tone = _masonry(rng)
    faces = [_shell(width, depth, height, tone, texture)]
    if rng.random() < pitched:
        tiles = ROOF_TILES[rng.integers(4)] * rng.uniform(0.8, 1.3)
        faces += _gable_roof(width, depth, height, rng.uniform(0.4, 0.95), tiles, tone, texture, True, verge=0.0)
    else:
        faces += _flat_roof(rng, width, depth, height, tone)
    frame = FRAMES[rng.integers(4)]
    front, back, left, right = _walls(width, depth)
    faces += _windows(rng, front, bays, storeys, base, storey, window, 0.72, frame, door)
    faces += _windows(rng, back, max(2, bays // 2), storeys, base, storey, window, 0.72, frame, cheap=True)
    for wall in (left, right):
        faces += _windows(rng, wall, 1, storeys, base, storey, window, 0.72, frame, cheap=True)
    if rng.random() < 0.6:
        pipes = _rectangles(front, np.array((0.12, width - 0.22)), 0.0, 0.1, height - 0.25, 0.12)
        faces.append(_plain(pipes, FRAMES[rng.integers(4)] * 0.7))
    faces.append(_course(width, depth, height - 0.25, 0.25, tone * 0.75, 0.15))
    return faces, tone


def _assembled(faces: list[_Faces]) -> SceneObject:
    """The building; glass lies flat before walls, which the label picture need not draw twice."""
    by_texture: dict[str, list[_Faces]] = {}
    for face in faces:
        by_texture.setdefault(face.texture, []).append(face)
    meshes = [
        quads(np.concatenate([face.corners for face in group]), np.concatenate([face.colours for face in group]), texture)
        for texture, group in by_texture.items()
    ]
    return scene_object([Part(BUILDING, 0, mesh, "image" if mesh.texture == "glass" else "both") for mesh in meshes])


def _masonry(rng: np.random.Generator) -> tuple[str, NDArray[np.float64]]:
    """A facade's material and its tone."""
    texture = ("plaster", "brick", "concrete")[rng.choice(3, p=(0.58, 0.32, 0.10))]
    tones = {"plaster": PLASTERS, "brick": BRICKS, "concrete": CONCRETES}[texture]
    return texture, tones[rng.integers(len(tones))] * rng.uniform(0.75, 1.15)


def _walls(width: float, depth: float) -> tuple[_Wall, _Wall, _Wall, _Wall]:
    """Front (+y), back, left (-x) and right wall."""
    x, y = width / 2, depth / 2
    return (
        _Wall(xyz(x, y, 0), xyz(-1, 0, 0), xyz(0, 1, 0), width),
        _Wall(xyz(-x, -y, 0), xyz(1, 0, 0), xyz(0, -1, 0), width),
        _Wall(xyz(-x, y, 0), xyz(0, -1, 0), xyz(-1, 0, 0), depth),
        _Wall(xyz(x, -y, 0), xyz(0, 1, 0), xyz(1, 0, 0), depth),
    )


def _rectangles(wall: _Wall, left: Numbers, low: Numbers, width: Numbers, height: Numbers, out: float) -> NDArray[np.float64]:
    """(k, 4, 3) corners of upright rectangles ``out`` metres before a wall, from their left and lower edges."""
    s, z = np.atleast_1d(left), np.atleast_1d(low)
    count = max(len(s), len(z))
    across, up = np.empty((count, 4)), np.empty((count, 4))
    across[:, 0] = across[:, 3] = s
    across[:, 1] = across[:, 2] = s + width
    up[:, 0] = up[:, 1] = z
    up[:, 2] = up[:, 3] = z + height
    corners: NDArray[np.float64] = across[..., None] * wall.along + (wall.origin + out * wall.outward)
    corners[..., 2] += up
    return corners


def _plain(corners: NDArray[np.float64], colours: NDArray[np.float64], texture: str = "") -> _Faces:
    """Faces of one colour, of one each (k, 3), or of one for each corner (4, 3) or (k, 4, 3)."""
    painted = np.empty(corners.shape)
    painted[...] = colours[:, None] if colours.ndim == 2 and len(colours) == len(corners) != 4 else colours
    return _Faces(texture, corners, painted)


def _glass(corners: NDArray[np.float64], tint: Numbers = 1.0) -> _Faces:
    painted = np.empty(corners.shape)
    painted[...] = GLASS * np.asarray(tint)
    return _Faces("glass", corners, painted)


def _block(
    centre: NDArray[np.float64], size: tuple[float, float, float], colour: NDArray[np.float64], texture: str = ""
) -> _Faces:
    """An upright box without its underside, darker towards its foot."""
    half = np.array(size) / 2
    low, high = centre - half, centre + half
    (x0, y0, z0), (x1, y1, z1) = low, high
    corners = np.array(
        (
            ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)),
            ((x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)),
            ((x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)),
            ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)),
            ((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)),
        )
    )
    return _plain(corners, colour, texture)


def _shell(width: float, depth: float, height: float, tone: NDArray[np.float64], texture: str) -> _Faces:
    """The four walls and a lid; walls a little darker at the ground, where they are soiled and see less sky."""
    block = _block(xyz(0, 0, height / 2), (width, depth, height), tone, texture)
    block.colours[:4, :2] *= 0.82
    return block


def _course(width: float, depth: float, z: float, tall: float, tone: NDArray[np.float64], out: float) -> _Faces:
    """A plinth, string course or cornice that steps forward at front and back."""
    return _block(xyz(0, 0, z + tall / 2), (width, depth + 2 * out, tall), tone)


def _openings(
    wall: _Wall, bays: int, storeys: int, base: float, storey: float, size: tuple[float, float], sill: float, skip: int
) -> tuple[NDArray[np.floating], NDArray[np.floating], float]:
    """Left and lower edges of the windows of a wall, and their width; the ground-floor bay ``skip`` is left out."""
    pitch = wall.width / bays
    width = min(size[0], 0.97 * pitch)
    index = np.arange(bays * storeys)
    index = index[index != skip] if skip >= 0 else index
    return (index % bays + 0.5) * pitch - width / 2, base + sill + storey * (index // bays), width


def _windows(
    rng: np.random.Generator,
    wall: _Wall,
    bays: int,
    storeys: int,
    base: float,
    storey: float,
    size: tuple[float, float],
    sill: float,
    frame: NDArray[np.float64],
    skip: int = -1,
    cheap: bool = False,
) -> list[_Faces]:
    """Framed windows for each bay and storey: two casements and a sill, or a single pane where ``cheap``."""
    left, low, width = _openings(wall, bays, storeys, base, storey, size, sill, skip)
    height, count = size[1], len(left)
    curtained = rng.uniform(0, 1, (count, 1, 1)) < 0.22
    shades = np.where(
        curtained, CURTAIN * rng.uniform(0.5, 1.0, (count, 1, 1)) * SHADE, GLASS * rng.uniform(0.6, 1.5, (count, 1, 1))
    )
    frames = _plain(_rectangles(wall, left, low, width, height, 0.03), frame * SHADE)
    if cheap:
        return [frames, _Faces("glass", _rectangles(wall, left + 0.07, low + 0.07, width - 0.14, height - 0.14, 0.06), shades)]
    half = (width - 0.21) / 2
    casements = _rectangles(
        wall, np.concatenate((left + 0.07, left + 0.14 + half)), np.tile(low + 0.07, 2), half, height - 0.14, 0.06
    )
    ledges = _plain(_rectangles(wall, left - 0.08, low - 0.13, width + 0.16, 0.13, 0.08), STONE)
    return [frames, _Faces("glass", casements, np.concatenate((shades, shades))), ledges]


def _door(rng: np.random.Generator, wall: _Wall, centre: float) -> list[_Faces]:
    colours = np.array(((0.16, 0.08, 0.04), (0.04, 0.09, 0.05), (0.25, 0.03, 0.03), (0.03, 0.05, 0.14), (0.5, 0.5, 0.48)))
    step = wall.origin + centre * wall.along + 0.2 * wall.outward + xyz(0, 0, 0.08)
    return [
        _plain(_rectangles(wall, centre - 0.65, 0.0, 1.3, 2.35, 0.06), xyz(0.6, 0.59, 0.56) * SHADE),
        _plain(_rectangles(wall, centre - 0.5, 0.05, 1.0, 2.1, 0.09), colours[rng.integers(5)]),
        _glass(_rectangles(wall, centre - 0.3, 1.35, 0.6, 0.6, 0.12)),
        _block(step, (1.5, 0.5, 0.16), xyz(0.36, 0.35, 0.33)),
    ]


def _gable_roof(
    width: float,
    depth: float,
    height: float,
    pitch: float,
    tiles: NDArray[np.float64],
    tone: NDArray[np.float64],
    texture: str,
    lengthwise: bool,
    verge: float,
) -> list[_Faces]:
    """A pitched roof with its gables.

    Args:
        width: of the building along x, metres.
        depth: of the building along y, metres.
        height: of the walls.
        pitch: rise over run.
        tiles: albedo of the slopes.
        tone: albedo of the gables.
        texture: of the gables.
        lengthwise: whether the ridge runs along x.
        verge: overhang at the gables, metres; at the eaves it is 0.35.
    """
    run, half = (depth / 2, width / 2) if lengthwise else (width / 2, depth / 2)
    eave, thick = 0.35, 0.14
    rise, drop, end = pitch * run, pitch * eave, half + verge
    out = run + eave
    # corners for a ridge along x, seen from outside: (x, y, z)
    front = ((end, out, height - drop), (-end, out, height - drop), (-end, 0.0, height + rise), (end, 0.0, height + rise))
    slopes = np.array((front, [(-x, -y, z) for x, y, z in front])) + xyz(0, 0, thick)
    under = slopes[:, ::-1] - xyz(0, 0, thick)
    fascia = np.stack((slopes[:, 1], slopes[:, 0], slopes[:, 0], slopes[:, 1]), axis=1)[:, [1, 0, 3, 2]]
    fascia[:, :2] -= xyz(0, 0, thick)
    verges = np.concatenate(
        [np.stack((slopes[:, a], slopes[:, b], slopes[:, b], slopes[:, a]), axis=1) for a, b in ((1, 2), (3, 0))]
    )
    verges[:, :2] -= xyz(0, 0, thick)
    gables = np.array(
        [
            (
                (s * half, -s * run, height),
                (s * half, s * run, height),
                (s * half, 0, height + rise),
                (s * half, 0, height + rise),
            )
            for s in (-1, 1)
        ]
    )
    faces = [
        _plain(slopes, tiles, "roof"),
        _plain(under, tiles * 0.5),
        _plain(np.concatenate((fascia, verges)), xyz(0.3, 0.29, 0.27)),
        _plain(gables, tone, texture),
    ]
    if lengthwise:
        return faces
    return [face._replace(corners=face.corners[..., [1, 0, 2]] * (-1, 1, 1)) for face in faces]


def _flat_roof(rng: np.random.Generator, width: float, depth: float, height: float, tone: NDArray[np.float64]) -> list[_Faces]:
    """A parapet and a stair head."""
    parapet = 0.5
    spot = xyz(rng.uniform(-0.25, 0.25) * width, -0.1 * depth, height + 1.2)
    return [
        _block(xyz(0, 0, height + parapet / 2), (width, depth, parapet), tone * 0.85),
        _block(spot, (0.25 * width, 0.3 * depth, 2.4), xyz(0.33, 0.33, 0.32)),
    ]


def _balconies(
    wall: _Wall, centres: NDArray[np.floating], levels: NDArray[np.floating], width: float, rng: np.random.Generator
) -> list[_Faces]:
    """Solid balconies before the front wall at each centre and floor level."""
    panel = np.array(((0.5, 0.5, 0.48), (0.12, 0.13, 0.14), (0.35, 0.2, 0.12), (0.2, 0.28, 0.3)))[rng.integers(4)]
    spots = [wall.origin + centre * wall.along + xyz(0, 0, level) for centre in centres for level in levels]
    return [_block(spot + xyz(0, 0.5, 0.42), (width, 1.0, 1.05), panel) for spot in spots]


def _shop(rng: np.random.Generator, wall: _Wall, left: float, width: float, ground: float) -> list[_Faces]:
    """One shop front: surround, display windows with goods, door, fascia with lettering, and now and then an awning."""
    colour = SHOP_COLOURS[rng.integers(7)] * rng.uniform(0.8, 1.2)
    centre = left + width / 2
    fascia_z, fascia_h = ground - 0.95, 0.62
    middle = wall.origin + centre * wall.along + 0.08 * wall.outward + xyz(0, 0, fascia_z + fascia_h / 2)
    count = int(rng.integers(4, 9))
    letters = centre + np.linspace(-0.3, 0.3, count) * width - 0.1
    ink = xyz(0.7, 0.7, 0.66) if colour.mean() < 0.3 else xyz(0.03, 0.03, 0.03)
    door_width, door_left = 1.1, left + (0.25 if rng.random() < 0.5 else width - 1.35)
    glass_left, glass_right = left + 0.25, left + width - 0.25
    if door_left < centre:
        glass_left = door_left + door_width + 0.12
    else:
        glass_right = door_left - 0.12
    span = glass_right - glass_left
    panes = 2 if span > 2.5 else 1
    glow = np.array(((0.10, 0.09, 0.075), (0.22, 0.19, 0.14), (0.04, 0.045, 0.05)))[rng.integers(3)]
    goods_left = glass_left + span * rng.uniform(0.05, 0.8, 4)
    goods = _rectangles(wall, goods_left, 0.55, rng.uniform(0.2, 0.5, 4), rng.uniform(0.3, 1.1, 4), 0.12)
    faces = [
        _plain(_rectangles(wall, left + 0.15, 0.0, width - 0.3, ground - 0.3, 0.05), colour * 0.6),
        _block(middle, (width - 0.25, 0.2, fascia_h), colour),
        _plain(_rectangles(wall, letters, fascia_z + 0.16, 0.6 * width / count * rng.uniform(0.5, 0.8, count), 0.3, 0.21), ink),
        _plain(
            _rectangles(wall, glass_left + span / panes * np.arange(panes), 0.5, span / panes - 0.1, fascia_z - 0.62, 0.09),
            glow * SHADE,
        ),
        _Faces("", goods, np.repeat(rng.uniform(0.04, 0.5, (4, 1, 3)), 4, axis=1)),
        _glass(_rectangles(wall, door_left, 0.08, door_width, fascia_z - 0.2, 0.09)),
    ]
    if rng.random() < 0.45:  # a sign that sticks out over the pavement, between shops
        tall = rng.uniform(0.5, 1.1)
        board = (
            wall.origin + (left + 0.1) * wall.along + 0.55 * wall.outward + xyz(0, 0, ground + rng.uniform(-0.3, 0.5) + tall / 2)
        )
        faces.append(_block(board, (0.08, rng.uniform(0.5, 0.85), tall), SHOP_COLOURS[rng.integers(7)] * rng.uniform(0.8, 1.5)))
    if rng.random() < 0.3:  # lamps over the fascia
        lamps = centre + np.array((-0.3, 0.0, 0.3)) * width
        faces.append(_plain(_rectangles(wall, lamps, ground - 0.28, 0.16, 0.26, 0.4), xyz(0.75, 0.72, 0.6)))
    if rng.random() < 0.35:
        high = fascia_z + 0.05
        outer = _rectangles(wall, left + 0.2, high - 0.65, width - 0.4, 0.2, 1.1)[0]
        inner = _rectangles(wall, left + 0.2, high, width - 0.4, 0.0, 0.2)[0]
        cloth = np.array((outer, (outer[3], outer[2], inner[1], inner[0])))
        faces.append(_plain(np.concatenate((cloth, cloth[:, ::-1])), SHOP_COLOURS[rng.integers(7)]))
    return faces
