"""Houses, apartment blocks, offices, shop rows, stores and far-off towers, label 11 throughout.

A building faces +y (its street front) with its width along x. Fronts are grids of bays and storeys; a window is a frame,
shaded at the top as if it were set back, with glass that is lighter towards the top, as if it mirrored the sky, or
curtained. Apartment blocks, offices and shop rows have plain side walls without overhang, so that they can stand in a row.
Builders take ``lit``, the share of windows that shine, as they do after sunset; shops shine then, most of them.
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
WARM = np.array(((0.75, 0.47, 0.2), (0.7, 0.52, 0.3), (0.6, 0.58, 0.5), (0.35, 0.45, 0.6)))  # radiance of lit windows
GLOW = "glow"
"""The material of lit windows."""
SHARES = (0.22, 0.28, 0.1, 0.36, 0.04)
"""How often a building is a house, an apartment block, an office, a shop row or a store."""
SHADE = np.array((1.0, 1.0, 0.55, 0.55))[:, None]  # of what lies under a lintel: its two upper corners are darker


class _Wall(NamedTuple):
    """An upright rectangle: where it starts at the ground, its direction to the right seen from outside, its normal."""

    origin: NDArray[np.float64]
    along: NDArray[np.float64]
    outward: NDArray[np.float64]
    width: float


class _Grid(NamedTuple):
    """Where the windows of a wall are: columns, rows, the height at which the lowest row begins and that of a row, metres."""

    wall: _Wall
    bays: int
    storeys: int
    base: float
    storey: float


class _Faces(NamedTuple):
    """Quadrilaterals of one material: (k, 4, 3) corners and colours."""

    texture: str
    corners: NDArray[np.float64]
    colours: NDArray[np.float64]


def building(
    rng: np.random.Generator, shares: tuple[float, float, float, float, float] = SHARES, lit: float = 0.0
) -> SceneObject:
    """A building of any kind.

    Args:
        rng: source of kind and shape.
        shares: probabilities of houses, apartment blocks, offices, shop rows and stores.
        lit: share of windows that shine.
    """
    makers = (house, apartment_block, office, shop_row, store)
    return makers[int(rng.choice(5, p=shares))](rng, lit)


def founded(thing: SceneObject, depth: float) -> SceneObject:
    """The building with walls that reach ``depth`` metres below the ground, for slopes."""
    ground = np.concatenate([part.mesh.vertices[part.mesh.vertices[:, 2] < 0.01, :2] for part in thing.parts])
    (x0, y0), (x1, y1) = (0.995 * ground.min(axis=0)).tolist(), (0.995 * ground.max(axis=0)).tolist()
    walls = _block(xyz((x0 + x1) / 2, (y0 + y1) / 2, -depth / 2), (x1 - x0, y1 - y0, depth), CONCRETES[2], "concrete")
    base = Part(BUILDING, 0, quads(walls.corners[:4], walls.colours[:4], "concrete"))
    return SceneObject((*thing.parts, base), thing.footprint)


def house(rng: np.random.Generator, lit: float = 0.0) -> SceneObject:
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
        faces += _windows(rng, _Grid(wall, bays, storeys, base, 2.8), (1.15, 1.35), 0.85, frame, skip, lit=lit)
    for wall in (left, right):
        faces += _windows(rng, _Grid(wall, max(1, round(depth / 4)), storeys, base, 2.8), (1.0, 1.25), 0.9, frame, lit=lit)
    faces += _door(rng, front, (door + 0.5) * front.width / bays)
    ridge = height + pitch * (depth if lengthwise else width) / 2
    stack = xyz(rng.uniform(-0.3, 0.3) * width, rng.uniform(-0.15, 0.15) * depth, 0.5 * (height + ridge) + 0.5)
    faces.append(_block(stack, (0.7, 0.6, ridge - height + 1.0), BRICKS[rng.integers(4)], "brick"))
    return _assembled(faces)


def apartment_block(rng: np.random.Generator, lit: float = 0.0) -> SceneObject:
    """A block of flats of three to six storeys, plain or with balconies, flat or pitched roof."""
    width, depth, storeys = rng.uniform(12.0, 19.0), rng.uniform(10.0, 14.0), int(rng.integers(3, 7))
    storey, base = rng.uniform(2.8, 3.3), rng.uniform(0.3, 1.0)
    bays = min(round(width / rng.uniform(2.5, 3.2)), 36 // storeys)
    door = bays // 2
    window = (rng.uniform(1.1, 1.5), rng.uniform(1.45, 1.8))
    faces, tone = _town_house(rng, (width, depth), storeys, base, storey, bays, window, door, pitched=0.5, lit=lit)
    front = _walls(width, depth)[0]
    faces += _door(rng, front, (door + 0.5) * width / bays)
    if rng.random() < 0.45:
        chosen = rng.permutation([bay for bay in range(bays) if bay != door])[: max(1, bays // 4)]
        faces += _balconies(front, (chosen + 0.5) * width / bays, base + storey * np.arange(1, storeys), width / bays * 0.9, rng)
    faces.append(_course(width, depth, 0.0, base, tone * 0.5, 0.05))
    return _assembled(faces)


def office(rng: np.random.Generator, lit: float = 0.0) -> SceneObject:
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
        left, low, pane = _openings(_Grid(wall, bays, storeys, 0.1, storey), size, 0.12 if curtain else 0.85, -1)
        panes = _rectangles(wall, left, low, pane, size[1], 0.05)
        faces += _glazing(rng, panes, GLASS * tint * rng.uniform(0.75, 1.3, (len(left), 1, 1)), lit)
    front = _walls(width, depth)[0]
    faces.append(_plain(_rectangles(front, width / 2 - 2.2, 0.0, 4.4, 2.9, 0.1), xyz(0.05, 0.05, 0.055)))
    faces.append(_glass(_rectangles(front, width / 2 - 2.0 + np.arange(3) * 1.37, 0.1, 1.27, 2.6, 0.13), 1.6))
    faces.append(_block(xyz(0, depth / 2 + 0.8, 3.1), (5.2, 1.6, 0.28), tone * 0.6))
    return _assembled(faces)


def shop_row(rng: np.random.Generator, lit: float = 0.0) -> SceneObject:
    """A town house of two to five storeys over shops with display windows, fascias, awnings and signs that stick out."""
    width, depth, storeys = rng.uniform(9.0, 18.0), rng.uniform(9.0, 13.0), int(rng.integers(1, 5))
    ground, storey = rng.uniform(3.5, 4.2), rng.uniform(2.9, 3.3)
    bays = round(width / rng.uniform(2.3, 3.0))
    faces, tone = _town_house(rng, (width, depth), storeys, ground, storey, bays, (1.2, 1.75), -1, pitched=0.6, lit=lit)
    front = _walls(width, depth)[0]
    shops = max(1, round(width / rng.uniform(4.5, 6.5)))
    for shop in range(shops):
        faces += _shop(rng, front, shop * width / shops, width / shops, ground, lit)
    faces.append(_course(width, depth, ground - 0.05, 0.16, tone * 0.75, 0.08))
    return _assembled(faces)


def store(rng: np.random.Generator, lit: float = 0.0) -> SceneObject:
    """A low store with a flat roof, a wide front of glass between pillars, and a large sign over it."""
    width, depth, height = rng.uniform(14.0, 24.0), rng.uniform(12.0, 17.0), rng.uniform(4.6, 7.0)
    texture, tone = _masonry(rng)
    colour = SHOP_COLOURS[rng.integers(7)] * rng.uniform(0.8, 1.2)
    front = _walls(width, depth)[0]
    panes = int(rng.integers(4, 9))
    pitch = 0.9 * width / panes
    left = 0.05 * width + pitch * np.arange(panes)
    glass = _rectangles(front, left + 0.12, 0.25, pitch - 0.24, 2.9, 0.06)
    sign = front.origin + rng.uniform(0.35, 0.65) * width * front.along + 0.15 * front.outward + xyz(0, 0, height - 0.4)
    return _assembled(
        [
            _shell(width, depth, height, tone, texture),
            *_flat_roof(rng, width, depth, height, tone),
            _plain(_rectangles(front, 0.05 * width, 0.0, 0.9 * width, 3.3, 0.04), tone * 0.5),
            *_glazing(rng, glass, GLASS * rng.uniform(0.5, 1.3, (panes, 1, 1)), min(1.0, 2.4 * lit)),
            _block(front.origin + 0.5 * width * front.along + xyz(0, 0.5, 3.45), (0.94 * width, 1.0, 0.3), colour),
            _block(sign, (0.4 * width, 0.3, 1.3), colour),
            *_lettering(rng, front, rng.uniform(0.35, 0.65) * width, 0.3 * width, height - 0.7, 0.6, colour, 0.32, lit),
        ]
    )


def tower(rng: np.random.Generator, lit: float = 0.0) -> SceneObject:
    """A tall building that is seen from afar only: plain walls with a picture of windows, its foot deep below the ground."""
    width, depth, height = rng.uniform(14.0, 30.0), rng.uniform(14.0, 24.0), rng.uniform(18.0, 52.0)
    tone = CONCRETES[rng.integers(3)] * rng.uniform(0.7, 1.5)
    faces = [_block(xyz(0, 0, (height - 19.5) / 2), (width, depth, height + 19.5), tone, "facade")]
    if rng.random() < 0.4:
        faces.append(_block(xyz(0, 0, height + 3.0), (0.5 * width, 0.5 * depth, 6.0), tone * 0.8, "facade"))
    for wall in _walls(width, depth):
        count = int(90 * lit)
        if count:
            left, low = rng.integers(0, int(wall.width / 3.25), count) * 3.25, rng.integers(0, int(height / 3.25), count) * 3.25
            panes = _rectangles(wall, left + 0.5, low + 0.9, 2.2, 1.7, 0.2)
            faces.append(_Faces(GLOW, panes, _warm(rng, count)))
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
    lit: float,
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
        lit: share of windows that shine.
    """
    width, depth = size
    height = base + storey * storeys + 0.3
    texture, tone = _masonry(rng)
    faces = [_shell(width, depth, height, tone, texture)]
    if rng.random() < pitched:
        tiles = ROOF_TILES[rng.integers(4)] * rng.uniform(0.8, 1.3)
        pitch = rng.uniform(0.4, 0.95)
        faces += _gable_roof(width, depth, height, pitch, tiles, tone, texture, True, verge=0.0)
        faces += _chimneys(rng, width, height + 0.5 * pitch * depth)
    else:
        faces += _flat_roof(rng, width, depth, height, tone)
    frame = FRAMES[rng.integers(4)]
    front, back, left, right = _walls(width, depth)
    street = _Grid(front, bays, storeys, base, storey)
    faces += _windows(rng, street, window, 0.72, frame, door, lit=lit)
    for wall, columns in ((back, max(2, bays // 2)), (left, 1), (right, 1)):
        faces += _windows(rng, street._replace(wall=wall, bays=columns), window, 0.72, frame, cheap=True, lit=lit)
    if rng.random() < 0.25 and storeys > 1:
        faces += _bay_windows(rng, street, tone, texture, lit)
    if rng.random() < 0.35:
        faces += [_course(width, depth, base + storey * level - 0.1, 0.16, tone * 0.8, 0.06) for level in range(1, storeys)]
    if rng.random() < 0.25:  # pilasters
        edges = np.arange(0, bays + 1, max(2, bays // 3)) * width / bays
        faces.append(
            _plain(_rectangles(front, np.clip(edges - 0.2, 0.0, width - 0.4), base, 0.4, height - base, 0.1), tone * 0.85)
        )
    if rng.random() < 0.05:
        faces += _scaffold(front, height)
    if rng.random() < 0.6:
        pipes = _rectangles(front, np.array((0.12, width - 0.22)), 0.0, 0.1, height - 0.25, 0.12)
        faces.append(_plain(pipes, FRAMES[rng.integers(4)] * 0.7))
    faces.append(_course(width, depth, height - 0.25, 0.25, tone * 0.75, 0.15))
    return faces, tone


def _assembled(faces: list[_Faces]) -> SceneObject:
    """The building; glass lies flat before walls, which the label picture need not draw twice."""
    by_texture: dict[str, list[_Faces]] = {}
    for face in (face for face in faces if len(face.corners)):
        by_texture.setdefault(face.texture, []).append(face)
    meshes = [
        quads(np.concatenate([face.corners for face in group]), np.concatenate([face.colours for face in group]), texture)
        for texture, group in by_texture.items()
    ]
    flat = ("glass", GLOW)
    return scene_object([Part(BUILDING, 0, mesh, "image" if mesh.texture in flat else "both") for mesh in meshes])


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


def _warm(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Radiance of lit windows, (k, 4, 3)."""
    tones = WARM[rng.choice(4, count, p=(0.4, 0.3, 0.22, 0.08))] * rng.uniform(0.25, 1.0, (count, 1))
    return np.repeat(tones[:, None], 4, axis=1)


def _glazing(
    rng: np.random.Generator, panes: NDArray[np.float64], shades: NDArray[np.float64], lit: float, each: int = 1
) -> list[_Faces]:
    """Panes of glass, of which a share shines; pane i and those ``len(panes) / each`` further on belong to one window."""
    if lit == 0.0:
        return [_Faces("glass", panes, shades)]
    count = len(panes) // each
    shines, warm = np.tile(rng.random(count) < lit, each), np.tile(_warm(rng, count), (each, 1, 1))
    return [_Faces("glass", panes[~shines], shades[~shines]), _Faces(GLOW, panes[shines], warm[shines])]


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
    grid: _Grid, size: tuple[float, float], sill: float, skip: int
) -> tuple[NDArray[np.floating], NDArray[np.floating], float]:
    """Left and lower edges of the windows of a wall, and their width; the ground-floor bay ``skip`` is left out."""
    wall, bays, storeys, base, storey = grid
    pitch = wall.width / bays
    width = min(size[0], 0.97 * pitch)
    index = np.arange(bays * storeys)
    index = index[index != skip] if skip >= 0 else index
    return (index % bays + 0.5) * pitch - width / 2, base + sill + storey * (index // bays), width


def _windows(
    rng: np.random.Generator,
    grid: _Grid,
    size: tuple[float, float],
    sill: float,
    frame: NDArray[np.float64],
    skip: int = -1,
    cheap: bool = False,
    lit: float = 0.0,
) -> list[_Faces]:
    """Framed windows for each bay and storey: two casements and a sill, or a single pane where ``cheap``."""
    wall = grid.wall
    left, low, width = _openings(grid, size, sill, skip)
    height, count = size[1], len(left)
    curtained = rng.uniform(0, 1, (count, 1, 1)) < 0.22
    shades = np.where(
        curtained, CURTAIN * rng.uniform(0.5, 1.0, (count, 1, 1)) * SHADE, GLASS * rng.uniform(0.6, 1.5, (count, 1, 1))
    )
    frames = _plain(_rectangles(wall, left, low, width, height, 0.03), frame * SHADE)
    if cheap:
        panes = _rectangles(wall, left + 0.07, low + 0.07, width - 0.14, height - 0.14, 0.06)
        return [frames, *_glazing(rng, panes, shades, lit)]
    half = (width - 0.21) / 2
    casements = _rectangles(
        wall, np.concatenate((left + 0.07, left + 0.14 + half)), np.tile(low + 0.07, 2), half, height - 0.14, 0.06
    )
    ledges = _plain(_rectangles(wall, left - 0.08, low - 0.13, width + 0.16, 0.13, 0.08), STONE)
    return [frames, *_glazing(rng, casements, np.concatenate((shades, shades)), lit, each=2), ledges]


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


def _chimneys(rng: np.random.Generator, width: float, ridge: float) -> list[_Faces]:
    """Stacks with pots on the ridge, mostly at the party walls."""
    faces = []
    for share in rng.choice((-0.46, 0.0, 0.46), int(rng.integers(0, 3)), replace=False):
        brick = BRICKS[rng.integers(4)] * rng.uniform(0.8, 1.2)
        faces.append(_block(xyz(share * width, 0.0, ridge - 0.1), (0.7, 1.3, 2.2), brick, "brick"))
        faces += [_block(xyz(share * width, y, ridge + 1.2), (0.26, 0.26, 0.5), brick * 0.8) for y in (-0.35, 0.35)]
    return faces


def _bay_windows(rng: np.random.Generator, grid: _Grid, tone: NDArray[np.float64], texture: str, lit: float) -> list[_Faces]:
    """One or two columns of windows that step out of the front, over the ground floor."""
    wall, bays, storeys, base, storey = grid
    pitch, out = wall.width / bays, 0.6
    faces = []
    for bay in rng.choice(bays, min(bays, int(rng.integers(1, 3))), replace=False):
        centre, low = (bay + 0.5) * pitch, base + 0.2
        tall = storey * (storeys - 0.4)
        middle = wall.origin + centre * wall.along + 0.5 * out * wall.outward + xyz(0, 0, low + tall / 2)
        faces.append(_block(middle, (0.85 * pitch, out, tall), tone * 0.9, texture))
        levels = base + storey * np.arange(storeys) + 0.75
        levels = levels[levels + 1.6 < low + tall + 0.1]
        frames = _rectangles(wall, centre - 0.36 * pitch, levels, 0.72 * pitch, 1.6, out + 0.02)
        panes = _rectangles(wall, centre - 0.33 * pitch, levels + 0.07, 0.66 * pitch, 1.46, out + 0.04)
        faces.append(_plain(frames, xyz(0.6, 0.6, 0.58) * SHADE))
        faces += _glazing(rng, panes, GLASS * rng.uniform(0.6, 1.5, (len(panes), 1, 1)), lit)
    return faces


def _scaffold(wall: _Wall, height: float) -> list[_Faces]:
    """Standards, ledgers and planks before the front."""
    steel, plank = xyz(0.3, 0.31, 0.32), xyz(0.26, 0.18, 0.1)
    count = max(3, round(wall.width / 2.4))
    spots = np.linspace(0.1, wall.width - 0.1, count)
    faces = [
        _block(wall.origin + spot * wall.along + 1.1 * wall.outward + xyz(0, 0, height / 2), (0.07, 0.07, height), steel)
        for spot in spots
    ]
    for level in np.arange(2.2, height, 2.1):
        middle = wall.origin + 0.5 * wall.width * wall.along + 0.7 * wall.outward + xyz(0, 0, level)
        faces.append(_block(middle, (wall.width - 0.1, 0.75, 0.06), plank))
        faces.append(_block(middle + 0.42 * wall.outward + xyz(0, 0, 1.0), (wall.width - 0.1, 0.05, 0.05), steel))
    return faces


def _lettering(
    rng: np.random.Generator,
    wall: _Wall,
    centre: float,
    width: float,
    low: float,
    tall: float,
    ground: NDArray[np.float64],
    out: float,
    lit: float,
) -> list[_Faces]:
    """A word on a board of some colour, in letters of unequal width; after sunset most of them shine."""
    count = int(rng.integers(4, 10))
    edges = centre - width / 2 + width * np.sort(rng.uniform(0.0, 1.0, count))
    wide = width / count * rng.uniform(0.35, 0.7, count)
    shines = lit > 0.0 and rng.random() < 0.7
    ink = xyz(0.7, 0.7, 0.66) if ground.mean() < 0.3 or shines else xyz(0.03, 0.03, 0.03)
    low_edges = low + tall * rng.choice((0.0, 0.0, 0.3), count)
    letters = np.concatenate(
        [_rectangles(wall, a, z, w, tall - (z - low), out) for a, z, w in zip(edges, low_edges, wide, strict=True)]
    )
    return [_plain(letters, ink * (1.3 if shines else 1.0), GLOW if shines else "")]


_SHOP_KINDS = ("boards", "dark", "panes", "arcade", "shutter", "portal")


def _shop(rng: np.random.Generator, wall: _Wall, left: float, width: float, ground: float, lit: float) -> list[_Faces]:
    """One shop front, with what hangs before it."""
    kind = _SHOP_KINDS[int(rng.choice(6, p=(0.3, 0.24, 0.18, 0.1, 0.08, 0.1)))]
    dark = kind in ("dark", "arcade") or rng.random() < 0.3
    colour = xyz(0.03, 0.032, 0.036) * rng.uniform(0.6, 2.0) if dark else SHOP_COLOURS[rng.integers(7)] * rng.uniform(0.8, 1.2)
    top = ground - 0.95
    faces = [_plain(_rectangles(wall, left + 0.15, 0.0, width - 0.3, ground - 0.3, 0.05), colour * 0.6)]
    open_now = lit > 0.0 and rng.random() < 0.75
    if kind == "shutter" and not open_now:
        slats = np.arange(0.05, top, 0.16)
        tone = xyz(0.3, 0.31, 0.32) * rng.uniform(0.5, 1.3)
        faces.append(_plain(_rectangles(wall, left + 0.3, slats, width - 0.6, 0.13, 0.08), tone * SHADE))
    elif kind == "portal":
        faces += _portal(rng, wall, left + width / 2, width, top, lit)
    else:
        faces += _display(rng, wall, left, width, top, kind, colour, open_now)
    if kind == "arcade":
        count = max(2, round(width / 2.2))
        stone = STONE * rng.uniform(0.5, 1.2)
        for spot in np.linspace(left + 0.25, left + width - 0.25, count):
            column = wall.origin + spot * wall.along + 0.45 * wall.outward + xyz(0, 0, ground / 2)
            faces.append(_block(column, (0.42, 0.42, ground), stone, "plaster"))
        beam = wall.origin + (left + width / 2) * wall.along + 0.35 * wall.outward + xyz(0, 0, ground - 0.2)
        faces.append(_block(beam, (width, 0.7, 0.5), stone, "plaster"))
    else:
        middle = wall.origin + (left + width / 2) * wall.along + 0.08 * wall.outward + xyz(0, 0, top + 0.31)
        faces.append(_block(middle, (width - 0.25, 0.2, 0.62), colour))
        faces += _lettering(rng, wall, left + width / 2, 0.6 * width, top + 0.16, 0.3, colour, 0.21, lit)
    return faces + _hangings(rng, wall, left, width, ground, lit)


def _display(
    rng: np.random.Generator,
    wall: _Wall,
    left: float,
    width: float,
    top: float,
    kind: str,
    colour: NDArray[np.float64],
    open_now: bool,
) -> list[_Faces]:
    """Display windows between mullions, goods and posters in them, and a glass door."""
    door_width, at_left = 1.1, rng.random() < 0.5
    door = left + (0.25 if at_left else width - 1.35)
    low = 0.1 if kind in ("dark", "arcade") else rng.uniform(0.4, 0.8)
    start, stop = (door + door_width + 0.12, left + width - 0.25) if at_left else (left + 0.25, door - 0.12)
    span = stop - start
    panes = max(1, round(span / rng.uniform(0.9, 1.3))) if kind == "panes" else max(1, round(span / 2.0))
    day = np.array(((0.10, 0.09, 0.075), (0.22, 0.19, 0.14), (0.04, 0.045, 0.05), (0.015, 0.017, 0.02)))
    glow = day[int(rng.choice(4, p=(0.2, 0.15, 0.25, 0.4)))] if kind != "dark" else day[3]
    lefts = start + span / panes * np.arange(panes)
    glass = _rectangles(wall, lefts, low, span / panes - 0.09, top - low - 0.1, 0.09)
    inside = _warm(rng, panes) * 0.85 if open_now else (glow * SHADE)[None].repeat(panes, 0)
    faces = [
        _Faces(GLOW if open_now else "", glass, inside),
        _glass(_rectangles(wall, door, 0.08, door_width, top - 0.25, 0.09), 1.8 if open_now else rng.uniform(0.5, 1.2)),
    ]
    if kind == "panes":  # a transom, as old shops have
        faces.append(_plain(_rectangles(wall, start, top - 0.75, span, 0.09, 0.12), colour * 1.6))
    count = int(rng.integers(2, 6))
    if rng.random() < 0.75:
        spots = start + span * rng.uniform(0.03, 0.85, count)
        goods = _rectangles(wall, spots, low + 0.06, rng.uniform(0.2, 0.5, count), rng.uniform(0.3, 1.1, count), 0.12)
        faces.append(_Faces("", goods, np.repeat(rng.uniform(0.03, 0.45, (count, 1, 3)), 4, axis=1)))
    if rng.random() < 0.45:
        spots = start + span * rng.uniform(0.05, 0.8, 2)
        posters = _rectangles(wall, spots, low + rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.6), rng.uniform(0.5, 0.85), 0.13)
        faces.append(_Faces("", posters, np.repeat(rng.uniform(0.1, 0.7, (2, 1, 3)), 4, axis=1)))
    return faces


def _portal(rng: np.random.Generator, wall: _Wall, centre: float, width: float, top: float, lit: float) -> list[_Faces]:
    """The entrance of a house, a bank or an office: pilasters, a lintel, steps, double doors and a window on each side."""
    stone = STONE * rng.uniform(0.5, 1.3)
    wood = np.array(((0.12, 0.06, 0.03), (0.03, 0.05, 0.04), (0.03, 0.03, 0.035), (0.2, 0.03, 0.03)))[rng.integers(4)]
    steps = wall.origin + centre * wall.along + 0.3 * wall.outward + xyz(0, 0, 0.12)
    sides = np.array((centre - width / 2 + 0.35, centre + 1.15))
    room = max(0.4, width / 2 - 1.6)
    return [
        _plain(_rectangles(wall, np.array((centre - 1.05, centre + 0.75)), 0.0, 0.3, top, 0.14), stone),
        _plain(_rectangles(wall, centre - 1.15, top - 0.35, 2.3, 0.35, 0.18), stone * 0.9),
        _plain(_rectangles(wall, np.array((centre - 0.72, centre + 0.02)), 0.2, 0.7, top - 0.65, 0.09), wood),
        *_glazing(rng, _rectangles(wall, sides, 0.9, room, top - 1.3, 0.1), np.stack((GLASS, GLASS)), lit),
        _block(steps, (2.2, 0.7, 0.24), stone),
    ]


def _hangings(rng: np.random.Generator, wall: _Wall, left: float, width: float, ground: float, lit: float) -> list[_Faces]:
    """What sticks out over the pavement: a sign between shops, lamps over the board, an awning, a flag."""
    faces = []
    if rng.random() < 0.45:
        tall = rng.uniform(0.5, 1.1)
        board = (
            wall.origin + (left + 0.1) * wall.along + 0.55 * wall.outward + xyz(0, 0, ground + rng.uniform(-0.3, 0.5) + tall / 2)
        )
        colour = SHOP_COLOURS[rng.integers(7)] * rng.uniform(0.8, 1.5)
        shines = lit > 0.0 and rng.random() < 0.6
        texture = GLOW if shines else ""
        faces.append(_block(board, (0.08, rng.uniform(0.5, 0.85), tall), colour * (1.5 if shines else 1.0), texture))
    if rng.random() < 0.3:
        lamps = left + width * np.array((0.2, 0.5, 0.8))
        panes = _rectangles(wall, lamps, ground - 0.28, 0.16, 0.26, 0.4)
        faces.append(_plain(panes, xyz(0.75, 0.72, 0.6), GLOW if lit > 0.0 else ""))
    if rng.random() < 0.3:
        high = ground - 0.9
        outer = _rectangles(wall, left + 0.2, high - 0.65, width - 0.4, 0.2, 1.1)[0]
        inner = _rectangles(wall, left + 0.2, high, width - 0.4, 0.0, 0.2)[0]
        cloth = np.array((outer, (outer[3], outer[2], inner[1], inner[0])))
        faces.append(_plain(np.concatenate((cloth, cloth[:, ::-1])), SHOP_COLOURS[rng.integers(7)]))
    if rng.random() < 0.12:
        spot = wall.origin + (left + width / 2) * wall.along + 0.5 * wall.outward + xyz(0, 0, ground + 1.2)
        faces.append(_block(spot, (0.03, 0.9, 1.4), rng.uniform(0.02, 0.6, 3)))
    return faces
