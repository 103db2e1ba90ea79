"""Lamp posts, traffic lights, signs, railings, walls, shelters and small furniture.

Labels are as Cityscapes annotators draw them: a sign's plate is traffic sign (20) and the light's box traffic light (19),
their posts pole (17); a bus shelter is building (11); bins and benches are static (4). Railings are annotated as filled
areas: the bars are in both pictures, and a panel that only the label picture shows fills the gaps between them.
Long things (fence, guard rail, wall) run along y.
"""

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import Mesh, Numbers, Part, SceneObject, boxes, extruded, lathe, merge, quads, scene_object, tubes

SignShape = Literal["round", "triangle", "rectangle", "octagon", "diamond", "arrow", "name"]
LightKind = Literal["post", "pair", "arm", "horizontal", "pedestrian"]
FenceKind = Literal["bars", "mesh", "wooden"]

STATIC, BUILDING, WALL, FENCE, GUARD_RAIL, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN = 4, 11, 12, 13, 14, 17, 19, 20

SIGN_SHAPES: Final[tuple[SignShape, ...]] = get_args(SignShape)
LIGHT_KINDS: Final[tuple[LightKind, ...]] = get_args(LightKind)
FENCE_KINDS: tuple[FenceKind, ...] = ("bars", "mesh", "wooden")

GALVANISED, DARK_METAL, BLACK = (0.30, 0.31, 0.32), (0.05, 0.055, 0.06), (0.016, 0.016, 0.017)
RED, BLUE, WHITE, YELLOW = (0.48, 0.02, 0.025), (0.02, 0.09, 0.36), (0.72, 0.72, 0.70), (0.70, 0.48, 0.03)
LIGHTS_ON = ((0.95, 0.06, 0.03), (0.95, 0.5, 0.05), (0.08, 0.85, 0.42))
LIGHTS_OFF = ((0.10, 0.012, 0.010), (0.11, 0.055, 0.010), (0.012, 0.07, 0.04))


def lamp_post(rng: np.random.Generator) -> SceneObject:
    """A street lamp of 5 to 9 m with one or two arms over the road (towards +y), or a lantern; label 17."""
    height, colour = rng.uniform(5.0, 9.0), _metal(rng)
    lantern = rng.random() < 0.25
    if lantern:
        height = rng.uniform(3.6, 4.8)
        post = tubes((0, 0, 0), (0, 0, height - 0.5), 0.085, 0.055, colour, 8)
        foot = tubes((0, 0, 0), (0, 0, 0.8), 0.13, 0.1, colour, 8)
        head = lathe(
            ((0, height - 0.5), (0.1, height - 0.48), (0.22, height - 0.05), (0.27, height - 0.03), (0, height + 0.15)),
            np.array((colour, colour, WHITE, colour, colour)),
            8,
        )
        return scene_object([Part(POLE, 0, mesh) for mesh in (post, foot, head)])
    reach = rng.uniform(0.9, 2.2)
    sides = (1, -1) if rng.random() < 0.15 else (1,)
    post = tubes((0, 0, 0), (0, 0, height), 0.09, 0.055, colour, 8)
    foot = tubes((0, 0, 0), (0, 0, 1.1), 0.115, 0.105, colour, 8)
    arms = tubes([(0, 0, height - 0.06)] * len(sides), [(0, s * reach, height + 0.25) for s in sides], 0.045, 0.035, colour, 6)
    heads = boxes([(0, s * (reach + 0.22), height + 0.26) for s in sides], (0.2, 0.62, 0.1), colour, taper=0.7)
    panes = boxes([(0, s * (reach + 0.22), height + 0.2) for s in sides], (0.15, 0.46, 0.03), (0.75, 0.75, 0.7))
    return scene_object([Part(POLE, 0, mesh) for mesh in (post, foot, arms, heads, panes)])


def pole(rng: np.random.Generator) -> SceneObject:
    """A bare pole: a telegraph pole with cross-arm, or a mast; label 17."""
    height = rng.uniform(5.5, 9.0)
    if rng.random() < 0.4:
        wood = np.array((0.13, 0.09, 0.06)) * rng.uniform(0.7, 1.3)
        meshes = [
            tubes((0, 0, 0), (0, 0, height), 0.14, 0.1, wood, 8, "wood"),
            boxes((0, 0, height - 0.5), (0.1, 1.6, 0.12), wood, "wood"),
        ]
        meshes.append(boxes([(0, y, height - 0.38) for y in (-0.7, -0.35, 0.35, 0.7)], (0.06, 0.06, 0.12), WHITE))
    else:
        meshes = [tubes((0, 0, 0), (0, 0, height), 0.1, 0.06, _metal(rng), 8)]
    return scene_object([Part(POLE, 0, mesh) for mesh in meshes])


def bollard(rng: np.random.Generator) -> SceneObject:
    """A post of 0.8 to 1.1 m that keeps cars off the pavement; label 17."""
    height, radius, colour = rng.uniform(0.8, 1.1), rng.uniform(0.05, 0.1), _metal(rng)
    stripe = (RED, WHITE, DARK_METAL)[rng.integers(3)]
    profile = (
        (0, 0),
        (radius, 0),
        (radius, 0.72 * height),
        (radius, 0.73 * height),
        (radius, 0.88 * height),
        (radius, 0.89 * height),
        (0.8 * radius, height),
        (0, height),
    )
    colours = np.array((colour, colour, colour, stripe, stripe, colour, colour, colour))
    return scene_object([Part(POLE, 0, lathe(profile, colours, 8))])


def traffic_light(rng: np.random.Generator, state: int | None = None, *, kind: LightKind | None = None) -> SceneObject:
    """Signals on a post, facing -y (towards the traffic that comes up the road); each box label 19, post 17.

    Args:
        rng: source of sizes, of back boards and of further heads.
        state: lit lamp, 0 red, 1 amber, 2 green; drawn if not given.
        kind: one head on a post, a pair side by side, heads on an arm over the road, upright or horizontal, or for pedestrians
            alone; drawn if not given.

    Raises:
        ValueError: if the state is not 0, 1 or 2, or the kind is unknown.
    """
    lit = int(rng.choice(3, p=(0.45, 0.1, 0.45))) if state is None else state
    if lit not in (0, 1, 2):
        raise ValueError(f"expected a state 0 (red), 1 (amber) or 2 (green), got {state}")
    chosen = kind or LIGHT_KINDS[rng.choice(5, p=(0.42, 0.12, 0.24, 0.1, 0.12))]
    if chosen not in LIGHT_KINDS:
        raise ValueError(f"expected a kind of traffic light among {LIGHT_KINDS}, got {kind!r}")
    colour, framed = _metal(rng), bool(rng.random() < 0.35)
    height = rng.uniform(2.3, 2.8)
    heads: list[list[Mesh]] = []
    parts = []
    if chosen in ("arm", "horizontal"):
        arm, top = rng.uniform(2.2, 5.0), rng.uniform(5.2, 5.8)
        post = tubes((0, 0, 0), (0, 0, top + 0.1), 0.1, 0.075, colour, 8)
        parts.append(Part(POLE, 0, tubes((0, 0, top), (-arm, 0, top + 0.15), 0.06, 0.045, colour, 6)))
        places = [-arm + 0.4] if rng.random() < 0.6 else [-arm + 0.4, -0.45 * arm + 0.3]
        flat = chosen == "horizontal"
        heads += [_signal_head(x, -0.17, top - (0.05 if flat else 0.4), lit, framed, flat=flat) for x in places]
        if rng.random() < 0.7:
            heads.append(_signal_head(0.0, -0.2, height + 0.1, lit, framed))
    else:
        post = tubes((0, 0, 0), (0, 0, height + 0.75), 0.06, 0.055, colour, 8)
        if chosen == "pair":
            heads += [_signal_head(x, -0.02, height + 0.05, lit, False) for x in (-0.26, 0.26)]
        elif chosen == "post":
            heads.append(_signal_head(0.0, -0.17, height + 0.1, lit, framed))
        else:
            heads.append(_signal_head(0.0, -0.17, height, lit, False, lamps=2))
    parts.append(Part(POLE, 0, post))
    if rng.random() < 0.5:  # for those who cross
        crossing = _signal_head(0.0, -0.17, height - 0.75, 2 - lit, False, lamps=2)
        turn = rng.choice((np.pi, 0.5 * np.pi, -0.5 * np.pi))
        heads.append([mesh.rotated(turn) for mesh in crossing])
    for number, meshes in enumerate(heads, start=1):
        parts += [Part(TRAFFIC_LIGHT, number, mesh) for mesh in meshes]
    return scene_object(parts)


def traffic_sign(rng: np.random.Generator, shape: SignShape | None = None) -> SceneObject:
    """One to four plates on a post, painted faces towards -y, some seen from behind; plates label 20, post 17.

    Args:
        rng: source of size, colours and signs.
        shape: of the first plate; drawn if not given.

    Raises:
        ValueError: if the shape is unknown.
    """
    chosen = shape or SIGN_SHAPES[rng.choice(7, p=(0.35, 0.2, 0.23, 0.05, 0.07, 0.06, 0.04))]
    if chosen not in SIGN_SHAPES:
        raise ValueError(f"expected a sign shape among {SIGN_SHAPES}, got {chosen!r}")
    size, bottom = rng.uniform(0.3, 0.42), rng.uniform(1.9, 2.4)
    plates: list[Mesh] = []

    def hang(plate_shape: SignShape, half_width: float, low: float, turn: float = 0.0) -> float:
        """Adds a plate and gives the height of its upper edge."""
        plate, half = _plate(rng, plate_shape, half_width)
        plates.append(plate.translated((0, -0.06, low + half)).rotated(turn))
        return low + 2 * half

    top = hang(chosen, size, bottom)
    if rng.random() < 0.2:  # another of its kind above
        top = hang(("round", "triangle", "rectangle", "diamond")[rng.integers(4)], size * rng.uniform(0.85, 1.0), top + 0.04)
    if rng.random() < 0.12:  # street names, crosswise
        hang("name", 0.42, top + 0.05, 0.5 * np.pi)
        top = hang("name", 0.42, top + 0.05 if rng.random() < 0.5 else top + 0.28)
    if rng.random() < 0.35:
        small, half = _plate(rng, "rectangle", size * 0.75)
        plates.append(small.translated((0, -0.06, bottom - half - 0.04)))
    if rng.random() < 0.15:  # one for those who come from the other side
        hang(("round", "rectangle", "octagon")[rng.integers(3)], size, bottom, np.pi)
    parts = [Part(TRAFFIC_SIGN, number, plate) for number, plate in enumerate(plates, 1)]
    parts.append(Part(POLE, 0, tubes((0, 0, 0), (0, 0, top + 0.02), 0.035, None, GALVANISED, 7)))
    return scene_object(parts)


def direction_sign(rng: np.random.Generator) -> SceneObject:
    """A wide sign with lines of lettering on two posts, face towards -y; plate label 20, posts 17."""
    width, height, bottom = rng.uniform(1.4, 2.6), rng.uniform(0.8, 1.5), rng.uniform(1.6, 2.3)
    ground, ink = ((BLUE, WHITE), (YELLOW, BLACK), (WHITE, BLACK), ((0.02, 0.2, 0.09), WHITE))[rng.integers(4)]
    middle = bottom + height / 2
    board = boxes((0, -0.07, middle), (width, 0.04, height), GALVANISED)
    faces = [_panel(width - 0.02, height - 0.02, ink, 0.096), _panel(width - 0.12, height - 0.12, ground, 0.104)]
    lines = int(height / 0.36)
    words = []
    for line in range(lines):
        length = rng.uniform(0.35, 0.6) * width
        z = height / 2 - (line + 0.7) * height / (lines + 0.4)
        words.append(_panel(length, 0.13, ink, 0.114).translated((-0.1 * width, 0, z)))
        words.append(_panel(0.16, 0.16, ink, 0.114).translated((0.38 * width, 0, z)))
    lift = (0, 0, middle)
    posts = tubes(
        [(x, 0, 0) for x in (-0.36 * width, 0.36 * width)],
        [(x, 0, bottom + height) for x in (-0.36 * width, 0.36 * width)],
        0.045,
        None,
        GALVANISED,
        7,
    )
    parts = [Part(TRAFFIC_SIGN, 1, board), *(Part(TRAFFIC_SIGN, 1, mesh.translated(lift)) for mesh in (*faces, *words))]
    return scene_object([*parts, Part(POLE, 0, posts)])


def fence(rng: np.random.Generator, length: float = 6.0, kind: FenceKind | None = None, filled: bool = True) -> SceneObject:
    """A railing, wire fence or wooden fence along y; label 13.

    Args:
        rng: source of height, colour and bar spacing.
        length: metres, positive.
        kind: drawn if not given.
        filled: whether the label picture shows the whole panel, as annotators draw it.

    Raises:
        ValueError: if the kind is unknown or the length not positive.
    """
    chosen = kind or FENCE_KINDS[rng.choice(3, p=(0.55, 0.2, 0.25))]
    if chosen not in FENCE_KINDS or length <= 0:
        raise ValueError(f"expected a fence kind among {FENCE_KINDS} and a positive length, got {chosen!r} and {length}")
    height = rng.uniform(0.95, 1.35) if chosen == "bars" else rng.uniform(1.2, 1.9)
    half = length / 2
    posts = np.linspace(-half + 0.04, half - 0.04, max(2, round(length / 2.2) + 1))
    if chosen == "wooden":
        colour = np.array((0.16, 0.11, 0.07)) * rng.uniform(0.7, 1.8)
        count = min(int(length / 0.16), 60)
        slats = np.linspace(-half + 0.07, half - 0.07, count)
        tones = colour * rng.uniform(0.85, 1.15, (count, 1))
        centres = np.column_stack((np.zeros(count), slats, np.full(count, height / 2 + 0.05)))
        solid = boxes(centres, (0.03, 0.8 * length / count, height - 0.1), tones, "wood")
        rails = boxes([(-0.04, 0, z) for z in (0.3, height - 0.3)], (0.05, length, 0.09), colour * 0.8, "wood")
        uprights = boxes([(-0.06, y, height / 2) for y in posts], (0.09, 0.09, height), colour * 0.8, "wood")
        meshes = [solid, rails, uprights]
    else:
        colour = np.asarray(_metal(rng)) if rng.random() < 0.75 else np.array((0.05, 0.13, 0.07))
        thin = 0.022 if chosen == "bars" else 0.008
        count = int(np.clip(length / (0.16 if chosen == "bars" else 0.14), 4, 80))
        bars = np.linspace(-half + 0.1, half - 0.1, count)
        centres = np.column_stack((np.zeros(count), bars, np.full(count, height / 2 + 0.04)))
        levels = (0.12, height - 0.06) if chosen == "bars" else np.linspace(0.1, height - 0.04, 9)
        rails = boxes([(0, 0, z) for z in levels], (0.03, length, 0.05 if chosen == "bars" else thin), colour)
        uprights = boxes([(0, y, height / 2 + 0.03) for y in posts], (0.06, 0.06, height + 0.06), colour)
        meshes = [boxes(centres, (thin, thin, height - 0.16), colour), rails, uprights]
    parts = [Part(FENCE, 0, mesh) for mesh in meshes]
    if filled:
        panel = boxes((0, 0, height / 2), (0.02, length - 0.04, height - 0.04), (0.5, 0.5, 0.5))
        parts.append(Part(FENCE, 0, panel, "label"))
    return scene_object(parts)


def guard_rail(rng: np.random.Generator, length: float = 8.0) -> SceneObject:
    """A crash barrier of corrugated steel on posts along y; label 14.

    Args:
        rng: source of height and colour.
        length: metres, positive.

    Raises:
        ValueError: if the length is not positive.
    """
    if length <= 0:
        raise ValueError(f"expected a positive length in metres, got {length}")
    top, colour = rng.uniform(0.68, 0.8), np.array(GALVANISED) * rng.uniform(0.8, 1.3)
    profile = np.array(
        ((0.0, -0.155), (0.07, -0.115), (0.07, -0.055), (0.0, -0.02), (0.0, 0.02), (0.07, 0.055), (0.07, 0.115), (0.0, 0.155))
    )
    outline = np.concatenate((profile, profile[::-1] - (0.02, 0.0)))
    outline += np.array((0.06, top - 0.155))
    beam = extruded(outline[::-1, ::-1], -length / 2, length / 2, colour, "metal", axis="y")
    posts = np.linspace(-length / 2 + 0.1, length / 2 - 0.1, max(2, round(length / 2) + 1))
    uprights = boxes([(0, y, top / 2 - 0.03) for y in posts], (0.09, 0.06, top - 0.06), colour * 0.7)
    return scene_object([Part(GUARD_RAIL, 0, beam), Part(GUARD_RAIL, 0, uprights)])


def wall(rng: np.random.Generator, length: float = 6.0, height: float | None = None) -> SceneObject:
    """A free-standing wall along y with coping and piers; label 12.

    Args:
        rng: source of material, height and colour.
        length: metres, positive.
        height: metres; drawn from 0.8 to 2.4 if not given.

    Raises:
        ValueError: if the length is not positive.
    """
    if length <= 0:
        raise ValueError(f"expected a positive length in metres, got {length}")
    tall = rng.uniform(0.8, 2.4) if height is None else height
    texture, colour = (
        ("brick", (0.30, 0.15, 0.10)),
        ("concrete", (0.36, 0.35, 0.33)),
        ("plaster", (0.52, 0.48, 0.42)),
        ("rock", (0.28, 0.26, 0.23)),
    )[rng.integers(4)]
    tone = np.array(colour) * rng.uniform(0.75, 1.25)
    body = boxes((0, 0, tall / 2), (0.26, length, tall), tone, texture)
    coping = boxes((0, 0, tall + 0.04), (0.36, length, 0.08), (0.34, 0.33, 0.31), "concrete")
    piers = np.linspace(-length / 2 + 0.2, length / 2 - 0.2, max(2, round(length / 3.5) + 1))
    columns = boxes([(0, y, tall / 2 + 0.07) for y in piers], (0.38, 0.4, tall + 0.14), tone * 0.92, texture)
    return scene_object([Part(WALL, 0, mesh) for mesh in (body, coping, columns)])


def bus_shelter(rng: np.random.Generator) -> SceneObject:
    """A shelter open towards +y, with a bench and a poster; label 11, as Cityscapes counts bus-stop buildings."""
    length, depth, height, colour = rng.uniform(3.0, 4.5), 1.4, 2.45, _metal(rng)
    half = length / 2
    corners = [(x, y) for x in (-half + 0.05, half - 0.05) for y in (-depth / 2 + 0.05, depth / 2 - 0.05)]
    posts = boxes([(x, y, height / 2) for x, y in corners], (0.08, 0.08, height), colour)
    roof = boxes((0, 0, height + 0.05), (length + 0.2, depth + 0.2, 0.12), colour)
    panes = boxes(
        ((0, -depth / 2 + 0.05, 1.25), (-half + 0.05, 0, 1.25)),
        ((length - 0.2, 0.03, 2.0), (0.03, depth - 0.25, 2.0)),
        (0.10, 0.12, 0.13),
        "glass",
    )
    tone = rng.uniform(0.1, 0.7, 3)
    poster = boxes(
        ((half - 0.05, 0, 1.25), (half - 0.05, 0, 1.45)),
        ((0.08, depth - 0.2, 2.0), (0.1, depth - 0.45, 1.0)),
        (tone, np.roll(tone, 1) * 0.6),
    )
    seat = boxes(
        ((0, -0.35, 0.47), (-half + 0.6, -0.35, 0.23), (half - 0.6, -0.35, 0.23)),
        ((length - 0.6, 0.35, 0.05), (0.05, 0.3, 0.46), (0.05, 0.3, 0.46)),
        (0.2, 0.12, 0.07),
    )
    return scene_object([Part(BUILDING, 0, mesh) for mesh in (posts, roof, panes, poster, seat)])


def bench(rng: np.random.Generator) -> SceneObject:
    """A slatted bench facing +y; label 4."""
    length = rng.uniform(1.4, 2.0)
    wood = np.array((0.19, 0.11, 0.06)) * rng.uniform(0.7, 1.4)
    slats = [(0, y, 0.45) for y in (-0.12, 0.02, 0.16)] + [(0, -0.24, z) for z in (0.62, 0.78)]
    sizes = [(length, 0.12, 0.035)] * 3 + [(length, 0.035, 0.12)] * 2
    x = length / 2 - 0.15
    legs = [(s * x, y, z) for s in (-1, 1) for y, z in ((-0.22, 0.42), (0.18, 0.22))]
    leg_sizes = [(0.06, 0.06, 0.84), (0.06, 0.06, 0.44)] * 2
    return scene_object([Part(STATIC, 0, boxes(slats, sizes, wood, "wood")), Part(STATIC, 0, boxes(legs, leg_sizes, DARK_METAL))])


def litter_bin(rng: np.random.Generator) -> SceneObject:
    """A street bin or a wheeled household bin; label 4."""
    colour = np.array(((0.03, 0.10, 0.05), (0.05, 0.05, 0.055), (0.45, 0.2, 0.03), (0.2, 0.2, 0.21), (0.05, 0.1, 0.25)))[
        rng.integers(5)
    ]
    if rng.random() < 0.5:
        body = lathe(((0, 0), (0.2, 0), (0.24, 0.8), (0.26, 0.82), (0.26, 0.88), (0, 0.96)), colour, 10)
        return scene_object([Part(STATIC, 0, body)])
    body = boxes(
        ((0, 0, 0.5), (0, 0.03, 1.0)),
        ((0.46, 0.56, 0.94), (0.58, 0.74, 0.08)),
        (colour, colour * 0.7),
        taper=np.array((1.22, 0.95)),
    )
    wheels = tubes([(-0.26, -0.22, 0.1), (0.18, -0.22, 0.1)], [(-0.18, -0.22, 0.1), (0.26, -0.22, 0.1)], 0.1, None, BLACK, 8)
    return scene_object([Part(STATIC, 0, body), Part(STATIC, 0, wheels)])


def _metal(rng: np.random.Generator) -> NDArray[np.float64]:
    tones = np.array((GALVANISED, DARK_METAL, (0.16, 0.17, 0.175), (0.04, 0.075, 0.055)))
    metal: NDArray[np.float64] = tones[rng.choice(4, p=(0.45, 0.25, 0.2, 0.1))] * rng.uniform(0.8, 1.2)
    return metal


def _signal_head(x: float, y: float, z: float, lit: int, framed: bool, lamps: int = 3, flat: bool = False) -> list[Mesh]:
    """Housing with visors and round lamps, its lower end at z; ``flat`` lays it on its side, red to the left."""
    step = 0.3
    long = lamps * step + 0.06
    wide, tall = (long, 0.3) if flat else (0.3, long)
    middle = (x, y, z + tall / 2)
    meshes = [boxes(middle, (wide, 0.2, tall), BLACK)]
    if framed:
        meshes.append(boxes((x, y + 0.04, z + tall / 2), (wide + 0.18, 0.03, tall + 0.2), BLACK))
        meshes.append(boxes((x, y + 0.05, z + tall / 2), (wide + 0.24, 0.02, tall + 0.26), WHITE))
    states = (0, 1, 2) if lamps == 3 else (0, 2)
    offsets = [long / 2 - step * (row + 0.5) - 0.03 for row in range(lamps)]
    centres = [(x - offset, z + tall / 2) if flat else (x, z + tall / 2 + offset) for offset in offsets]
    colours = [LIGHTS_ON[s] if s == lit else LIGHTS_OFF[s] for s in states]
    front = y - 0.101
    meshes.append(
        tubes([(a, front, b) for a, b in centres], [(a, front - 0.015, b) for a, b in centres], 0.108, 0.1, colours, 10)
    )
    meshes.append(boxes([(a, front - 0.08, b + 0.125) for a, b in centres], (0.26, 0.18, 0.02), BLACK))
    return meshes


def _plate(rng: np.random.Generator, shape: SignShape, size: float) -> tuple[Mesh, float]:
    """A plate centred on the origin facing -y with a painted face, and half its height; ``size`` is half its width."""
    half_height = size
    if shape == "round":
        scheme = rng.integers(4)
        back, depth = _disc(size, 12, GALVANISED, 0.0, 0.02), 0.026
        if scheme == 0:  # speed limit
            layers = [_disc(size, 12, RED, depth), _disc(0.76 * size, 12, WHITE, depth + 0.008)]
            layers += [_panel(0.3 * size, 0.7 * size, BLACK, depth + 0.016).translated((s * 0.27 * size, 0, 0)) for s in (-1, 1)]
        elif scheme == 1:  # no entry
            layers = [_disc(size, 12, RED, depth), _panel(1.4 * size, 0.36 * size, WHITE, depth + 0.008)]
        elif scheme == 2:  # mandatory direction
            layers = [
                _disc(size, 12, WHITE, depth),
                _disc(0.94 * size, 12, BLUE, depth + 0.008),
                _panel(0.25 * size, 1.1 * size, WHITE, depth + 0.016),
            ]
            layers.append(
                _polygon(((-0.45 * size, 0.2 * size), (0.45 * size, 0.2 * size), (0.0, 0.75 * size)), WHITE, depth + 0.016)
            )
        else:  # no stopping
            bar = ((-0.75, 0.55), (-0.55, 0.75), (0.75, -0.55), (0.55, -0.75))
            layers = [
                _disc(size, 12, RED, depth),
                _disc(0.78 * size, 12, BLUE, depth + 0.008),
                _polygon(np.array(bar)[::-1] * size * 0.92, RED, depth + 0.016),
            ]
    elif shape == "octagon":
        back, depth = _disc(size, 8, GALVANISED, 0.0, 0.02), 0.026
        layers = [
            _disc(size, 8, WHITE, depth),
            _disc(0.93 * size, 8, RED, depth + 0.008),
            _panel(1.3 * size, 0.42 * size, WHITE, depth + 0.016),
        ]
    elif shape == "triangle":
        up = rng.random() < 0.65
        half_height = 0.93 * size
        outline = np.array(((-1.06, -0.93), (1.06, -0.93), (0.0, 0.93))) * size * 1.0
        inner = np.array(((-0.72, -0.72), (0.72, -0.72), (0.0, 0.53))) * size
        if not up:
            outline, inner = -outline, -inner
        back, depth = _polygon(outline, GALVANISED, 0.0, 0.02), 0.026
        layers = [_polygon(outline, RED, depth), _polygon(inner, WHITE, depth + 0.008)]
        if up:
            layers.append(_panel(0.16 * size, 0.7 * size, BLACK, depth + 0.016).translated((0, 0, -0.22 * size)))
    elif shape == "diamond":
        half_height = 1.1 * size
        square = np.array(((0, -1.1), (1.1, 0), (0, 1.1), (-1.1, 0))) * size
        back, depth = _polygon(square, GALVANISED, 0.0, 0.02), 0.026
        layers = [_polygon(square * 0.98, WHITE, depth), _polygon(0.68 * square, YELLOW, depth + 0.008)]
    elif shape == "arrow":
        half_height = 0.45 * size
        ground, ink = ((WHITE, BLACK), (YELLOW, BLACK), (BLUE, WHITE))[rng.integers(3)]
        outline = np.array(((-1.5, -0.45), (1.1, -0.45), (1.6, 0.0), (1.1, 0.45), (-1.5, 0.45))) * size
        if rng.random() < 0.5:
            outline = outline[::-1] * (-1, 1)
        back, depth = _polygon(outline, GALVANISED, 0.0, 0.02), 0.026
        layers = [_polygon(0.97 * outline, ground, depth), _panel(1.6 * size, 0.3 * size, ink, depth + 0.008)]
    elif shape == "name":
        half_height = 0.1
        ground, ink = ((BLUE, WHITE), (WHITE, BLACK))[rng.integers(2)]
        back, depth = boxes((0, -0.01, 0), (2 * size, 0.02, 0.2), GALVANISED), 0.026
        layers = [_panel(2 * size, 0.2, ground, depth), _panel(1.4 * size, 0.08, ink, depth + 0.008)]
    else:
        half_height = size * rng.uniform(0.7, 1.35)
        ground, ink = ((BLUE, WHITE), (BLUE, WHITE), (WHITE, BLACK), (YELLOW, BLACK))[rng.integers(4)]
        width, tall = 2 * size, 2 * half_height
        back, depth = boxes((0, -0.01, 0), (width, 0.02, tall), GALVANISED), 0.026
        layers = [_panel(width, tall, ink, depth), _panel(width - 0.05, tall - 0.05, ground, depth + 0.008)]
        if rng.random() < 0.5:
            layers.append(_panel(0.3 * width, 0.5 * tall, ink, depth + 0.016))
        else:
            layers += [_panel(0.65 * width, 0.14 * tall, ink, depth + 0.016).translated((0, 0, z * tall)) for z in (-0.2, 0.12)]
    return merge([back, *layers]), half_height


def _panel(width: float, height: float, colour: Numbers, depth: float) -> Mesh:
    """A flat rectangle in the plane y = -depth facing -y."""
    x, z = width / 2, height / 2
    return quads([[(-x, -depth, -z), (x, -depth, -z), (x, -depth, z), (-x, -depth, z)]], colour)


def _disc(radius: float, sides: int, colour: Numbers, depth: float, thickness: float = 0.0) -> Mesh:
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    return _polygon(radius * np.column_stack((np.cos(angle), np.sin(angle))), colour, depth, thickness)


def _polygon(corners: Numbers, colour: Numbers, depth: float, thickness: float = 0.0) -> Mesh:
    """A convex (x, z) polygon facing -y in the plane y = -depth, or a plate of some thickness before that plane."""
    outline = np.asarray(corners, np.float64)
    if thickness > 0:
        return extruded(outline[:, ::-1][::-1], -depth - thickness, -depth, colour, axis="y")
    count = len(outline)
    vertices = np.column_stack((outline[:, 0], np.full(count, -depth), outline[:, 1])).astype(np.float32)
    index = np.arange(1, count - 1, dtype=np.int32)
    triangles = np.stack((np.zeros_like(index), index, index + 1), axis=1)
    return Mesh(
        vertices,
        np.tile(np.array((0, -1, 0), np.float32), (count, 1)),
        np.tile(np.asarray(colour, np.float32), (count, 1)),
        outline.astype(np.float32),
        triangles,
    )
