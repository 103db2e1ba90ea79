"""Trees, hedges and bushes, label 21 throughout.

Crowns are lumpy clumps under sprays of leaves: flat cards with a picture that is cut out along the leaves. The label picture
shows clumps alone, a little larger, because annotators draw crowns as filled areas. Bare trees branch by the pipe model
(Shinozaki et al., 1964): cross-sections add up at a fork.
"""

from dataclasses import replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import (
    Mesh,
    Numbers,
    Part,
    SceneObject,
    cross,
    ellipsoids,
    lathe,
    lofts,
    merge,
    quads,
    scene_object,
    smooth_shaded,
    tubes,
)

TreeKind = Literal["round", "oval", "spreading", "poplar", "conifer", "bare", "palm"]

VEGETATION = 21

TREE_KINDS: tuple[TreeKind, ...] = ("round", "oval", "spreading", "poplar", "conifer", "bare", "palm")

LEAF_TONES = np.array(
    (
        (0.055, 0.105, 0.025),
        (0.075, 0.125, 0.03),
        (0.04, 0.085, 0.03),
        (0.10, 0.13, 0.035),
        (0.15, 0.12, 0.03),
        (0.035, 0.065, 0.022),
    )
)
LEAF_SHARES = (0.3, 0.25, 0.2, 0.12, 0.05, 0.08)
BARK_TONES = np.array(((0.11, 0.085, 0.065), (0.16, 0.14, 0.12), (0.075, 0.06, 0.05)))

SPRAY: Final = "spray"
"""The material of leaves on cards."""
_LABEL_GROWTH: Final = 1.1  # of a clump in the label picture, over its size in the image

# crown's half width and half height over the tree's height, and the clear trunk's share of the height
_CROWNS: dict[TreeKind, tuple[float, float, float]] = {
    "round": (0.31, 0.32, 0.30),
    "oval": (0.24, 0.37, 0.24),
    "spreading": (0.42, 0.27, 0.36),
    "poplar": (0.13, 0.43, 0.12),
}


def tree(rng: np.random.Generator, kind: TreeKind | None = None, height: float | None = None) -> SceneObject:
    """A street tree.

    Args:
        rng: source of shape and colour.
        kind: habit; drawn if not given.
        height: metres, positive; drawn from 5 to 12 if not given.

    Raises:
        ValueError: if the kind is unknown or the height not positive.
    """
    chosen = kind or TREE_KINDS[rng.choice(7, p=(0.29, 0.21, 0.19, 0.07, 0.1, 0.1, 0.04))]
    if chosen not in TREE_KINDS:
        raise ValueError(f"expected a tree kind among {TREE_KINDS}, got {chosen!r}")
    tall = rng.uniform(5.0, 12.0) if height is None else height
    if tall <= 0:
        raise ValueError(f"expected a positive height in metres, got {tall}")
    bark = BARK_TONES[rng.integers(3)] * rng.uniform(0.8, 1.2)
    leaves = LEAF_TONES[rng.choice(6, p=LEAF_SHARES)] * rng.uniform(0.8, 1.25)
    if chosen == "conifer":
        return scene_object(_conifer(rng, tall, bark, leaves * (0.55, 0.7, 0.8)))
    if chosen == "palm":
        return scene_object(_palm(rng, tall, leaves))
    if chosen == "bare":
        return scene_object(_bare(rng, tall, bark))
    return scene_object(_leafy(rng, tall, bark, leaves, *_CROWNS[chosen]))


def bush(rng: np.random.Generator) -> SceneObject:
    """A shrub of 0.6 to 2 m."""
    size = rng.uniform(0.6, 2.0)
    count = 7
    centres = np.clip(rng.normal(0, 0.25, (count, 3)), -0.45, 0.45) * size * (1, 1, 0.3)
    centres[:, 2] += 0.34 * size
    centres[0, 2] = 0.22 * size
    radii = size * rng.uniform(0.28, 0.42, (count, 1)) * (1.0, 1.0, 0.9)
    leaves = LEAF_TONES[rng.choice(6, p=LEAF_SHARES)] * rng.uniform(0.8, 1.25)
    return scene_object(_foliage(rng, centres, radii, leaves, 24, 0.3 * size))


def hedge(rng: np.random.Generator, length: float = 6.0, height: float | None = None) -> SceneObject:
    """A clipped hedge along y.

    Args:
        rng: source of shape and colour.
        length: metres, positive.
        height: metres; drawn from 0.9 to 2 if not given.

    Raises:
        ValueError: if the length is not positive.
    """
    if length <= 0:
        raise ValueError(f"expected a positive length in metres, got {length}")
    tall = rng.uniform(0.9, 2.0) if height is None else height
    depth = rng.uniform(0.5, 0.9)
    leaves = LEAF_TONES[rng.choice(6, p=LEAF_SHARES)] * rng.uniform(0.7, 1.1)
    rows = max(2, round(length / 0.7) + 1)
    outline = np.array(((-0.5, 0), (-0.52, 0.5), (-0.47, 0.9), (-0.25, 1.0), (0.25, 1.0), (0.47, 0.9), (0.52, 0.5), (0.5, 0)))
    rings = np.empty((rows, 8, 3))
    rings[..., 0] = outline[:, 0] * depth + rng.normal(0, 0.035, (rows, 8))
    rings[..., 1] = np.linspace(-length / 2, length / 2, rows)[:, None]
    rings[..., 2] = np.where(outline[:, 1] > 0, outline[:, 1] * tall + rng.normal(0, 0.035, (rows, 8)), 0.0)
    light = np.clip(0.55 + 0.5 * outline[:, 1:], 0, 1) * rng.uniform(0.7, 1.3, (rows, 8, 1))
    body = lofts(rings[None], (leaves * light)[None], "leaves")
    count = int(np.clip(length * 5, 6, 40))
    side = rng.choice((-0.5, 0.5), count)
    level = rng.uniform(0.2, 1.0, count)
    on_top = level > 0.85
    x = np.where(on_top, rng.uniform(-0.5, 0.5, count), side) * depth
    spots = np.column_stack((x, rng.uniform(-0.5, 0.5, count) * max(length - 0.6, 0.1), level * tall))
    outward = np.where(on_top[:, None], (0.0, 0.0, 1.0), np.sign(x)[:, None] * (1.0, 0.0, 0.0))
    tones = leaves * (0.55 + 0.5 * level[:, None]) * rng.uniform(0.8, 1.4, (count, 1))
    fringe = _above_ground(_sprays(rng, spots, outward, 0.2, tones))
    return scene_object([Part(VEGETATION, 0, body), Part(VEGETATION, 0, fringe, "image")])


def _leafy(
    rng: np.random.Generator,
    height: float,
    bark: NDArray[np.float64],
    leaves: NDArray[np.float64],
    wide: float,
    deep: float,
    clear: float,
) -> list[Part]:
    half_width, half_height = wide * height * rng.uniform(0.85, 1.15), deep * height
    middle = height - half_height
    count = 15
    directions = _sphere_points(rng, count)
    shell = rng.uniform(0.5, 0.75, (count, 1))
    centres = directions * shell * (half_width, half_width, half_height) + (0, 0, middle)
    girth = min(half_width, half_height)
    stretch = 0.85 * max(1.0, half_height / half_width) ** 0.6
    radii = girth * rng.uniform(0.3, 0.5, (count, 1)) * (1.0, 1.0, stretch)
    centres = np.concatenate((centres, [(0, 0, middle)]))
    radii = np.concatenate((radii, [(0.62 * half_width, 0.62 * half_width, 0.66 * half_height)]))
    trunk_radius = 0.016 * height + 0.03
    top = max(clear * height, middle - 0.6 * half_height)
    lean = rng.normal(0, 0.02, 2) * height
    fork = np.array((lean[0], lean[1], top))
    tips = centres[rng.choice(count, 3, replace=False)]
    trunk = tubes(
        np.concatenate(([(0, 0, 0)], np.tile(fork, (3, 1)))),
        np.concatenate(([fork], tips)),
        np.array((1.25, 0.6, 0.6, 0.6)) * trunk_radius,
        np.array((0.8, 0.3, 0.3, 0.3)) * trunk_radius,
        bark,
        7,
        "bark",
        caps=False,
    )
    crown = _foliage(rng, centres, radii, leaves, 90, 0.42 * girth)
    return [Part(VEGETATION, 0, _above_ground(trunk)), *crown]


def _foliage(
    rng: np.random.Generator,
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    leaves: NDArray[np.float64],
    cards: int,
    size: float,
) -> list[Part]:
    """Clumps under sprays of leaves; lighter towards the top, as crowns shade themselves."""
    low, high = centres[:, 2].min(), centres[:, 2].max() + 1e-6
    light = 0.55 + 0.6 * (centres[:, 2:] - low) / (high - low)
    clumps = ellipsoids(centres, radii, leaves * 0.8 * light * rng.uniform(0.8, 1.2, (len(centres), 1)), 0, "leaves")
    clumps = _lumpy(clumps, centres, rng, 0.16)
    origin = np.repeat(centres, len(clumps.vertices) // len(centres), axis=0).astype(np.float32)
    grown = replace(clumps, vertices=origin + (clumps.vertices - origin) * np.float32(_LABEL_GROWTH))
    host = rng.integers(len(centres), size=cards)
    directions = _sphere_points(rng, cards)
    spots = centres[host] + directions * radii[host] * rng.uniform(0.75, 1.1, (cards, 1))
    tones = leaves * light[host] * rng.uniform(0.7, 1.5, (cards, 1))
    outward = _unit(spots - centres.mean(axis=0))
    sprays = _sprays(rng, spots, outward, size * rng.uniform(0.7, 1.2, cards), tones)
    return [
        Part(VEGETATION, 0, _above_ground(_mottled(clumps, rng)), "image"),
        Part(VEGETATION, 0, _above_ground(grown), "label"),
        Part(VEGETATION, 0, _above_ground(sprays), "image"),
    ]


def _lumpy(mesh: Mesh, centres: NDArray[np.float64], rng: np.random.Generator, amount: float) -> Mesh:
    """Each shape's vertices moved in or out along its radius by up to ``amount`` of it."""
    each = len(mesh.vertices) // len(centres)
    origin = np.repeat(centres, each, axis=0).astype(np.float32)
    scale = rng.uniform(1 - amount, 1 + amount, (len(origin), 1)).astype(np.float32)
    vertices = origin + (mesh.vertices - origin) * scale
    return smooth_shaded(replace(mesh, vertices=vertices))


def _mottled(mesh: Mesh, rng: np.random.Generator) -> Mesh:
    """The mesh with light and dark spots, one tone for each vertex."""
    return mesh.coloured(np.clip(mesh.colours * rng.uniform(0.6, 1.4, (len(mesh.vertices), 1)), 0, 1))


def _sprays(
    rng: np.random.Generator,
    centres: NDArray[np.float64],
    outward: NDArray[np.float64],
    sizes: Numbers,
    tones: NDArray[np.float64],
) -> Mesh:
    """Square cards of leaves, half a side ``sizes`` long, that face outward more or less and are lit as the crown is."""
    count = len(centres)
    facing = _unit(outward + rng.normal(0.0, 0.55, (count, 3)))
    across = _unit(cross(facing, rng.normal(size=(count, 3))))
    half = np.reshape(np.asarray(sizes), (-1, 1))
    u, v = across * half, cross(facing, across) * half
    corners = centres[:, None] + np.stack((-u - v, u - v, u + v, v - u), axis=1)
    pictures = np.tile(np.array(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), np.float32), (count, 1, 1))
    cards = quads(corners, np.clip(tones, 0, 1), SPRAY, pictures)
    return replace(cards, normals=np.repeat(_unit(facing + outward), 4, axis=0).astype(np.float32))


def _conifer(rng: np.random.Generator, height: float, bark: NDArray[np.float64], needles: NDArray[np.float64]) -> list[Part]:
    tiers, sides = 7, 9
    base = 0.12 * height
    width = rng.uniform(0.18, 0.26) * height
    cones = []
    for tier in range(tiers):
        share = tier / tiers
        low, high = base + share * (height - base), base + min(1.0, share + 2.0 / tiers) * (height - base)
        radius = width * (1 - share) ** 0.85 * rng.uniform(0.9, 1.1)
        light = 0.6 + 0.6 * share
        profile = ((0.0, low + 0.04 * height), (radius, low), (0.0, high))
        cone = lathe(profile, np.stack((needles * 0.4 * light, needles * light, needles * light * 1.1)), sides, "leaves").rotated(
            rng.uniform(0, 6)
        )
        cones.append(cone)
    count = 60
    level = rng.uniform(0, 0.92, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    reach = width * (1 - level) ** 0.85 * rng.uniform(0.75, 1.0, count)
    spots = np.column_stack((reach * np.cos(angle), reach * np.sin(angle), base + level * (height - base)))
    outward = np.column_stack((np.cos(angle), np.sin(angle), np.full(count, 0.4)))
    tones = needles * (0.6 + 0.6 * level[:, None]) * rng.uniform(0.7, 1.4, (count, 1))
    sprays = _sprays(rng, spots, outward, 0.06 * height * (1.1 - level), tones)
    trunk = tubes((0, 0, 0), (0, 0, 0.4 * height), 0.02 * height + 0.02, 0.01 * height, bark, 7, "bark")
    return [
        Part(VEGETATION, 0, trunk),
        Part(VEGETATION, 0, merge(cones)),
        Part(VEGETATION, 0, _above_ground(sprays), "image"),
    ]


def _palm(rng: np.random.Generator, height: float, leaves: NDArray[np.float64]) -> list[Part]:
    """A slender stem with a crown of arching fronds, and the ball that annotators draw around them."""
    count, steps = 13, 5
    stem = np.array((0.0, 0.0, 0.0)), np.array((*rng.normal(0, 0.03, 2) * height, 0.86 * height))
    bark = BARK_TONES[1] * rng.uniform(0.8, 1.3)
    trunk = _above_ground(tubes(stem[0], stem[1], 0.2, 0.13, bark, 7, "bark", caps=False))
    reach = rng.uniform(1.5, 2.4)
    angle = 2 * np.pi * np.arange(count) / count + rng.uniform(0, 0.4, count)
    rise = rng.uniform(-0.1, 0.9, count)
    share = np.linspace(0.0, 1.0, steps)
    radius = reach * share
    spine = np.empty((count, steps, 3))
    spine[..., 0], spine[..., 1] = radius * np.cos(angle)[:, None], radius * np.sin(angle)[:, None]
    spine[..., 2] = rise[:, None] * reach * share - (0.55 + 0.4 * rise[:, None]) * reach * share**2
    spine += stem[1]
    wide = (0.28 * np.sqrt(np.sin(np.pi * np.clip(share, 0.08, 0.97))))[:, None]
    across = np.stack((-np.sin(angle), np.cos(angle), np.zeros(count)), axis=-1)[:, None] * wide
    left, right = spine - across - (0, 0, 0.1), spine + across - (0, 0, 0.1)
    halves = [
        np.stack((a[:, :-1], b[:, :-1], b[:, 1:], a[:, 1:]), axis=2).reshape(-1, 4, 3) for a, b in ((spine, left), (right, spine))
    ]
    faces = np.concatenate(halves)
    tones = np.repeat(leaves * rng.uniform(0.8, 1.5, (2 * count * (steps - 1), 1)), 4, axis=0).reshape(-1, 4, 3)
    fronds = quads(np.concatenate((faces, faces[:, ::-1] - (0, 0, 0.004))), np.concatenate((tones, 0.6 * tones)), "leaves")
    ball = ellipsoids(stem[1] - (0, 0, 0.1 * reach), (0.8 * reach, 0.8 * reach, 0.5 * reach), leaves, 1)
    return [Part(VEGETATION, 0, trunk), Part(VEGETATION, 0, fronds), Part(VEGETATION, 0, ball, "label")]


def _bare(rng: np.random.Generator, height: float, bark: NDArray[np.float64]) -> list[Part]:
    """Four generations of limbs, each parent forking in three or four, and the crown that annotators draw around them."""
    starts, ends = np.zeros((1, 3)), np.array(((0.0, 0.0, 0.32 * height),))
    ends[0, :2] = rng.normal(0, 0.015, 2) * height
    radii = np.array((0.018 * height + 0.02,))
    layers = [(starts, ends, radii * 1.2, radii * 0.85)]
    length = 0.27 * height
    for forks, spread in ((4, 0.55), (3, 0.65), (5, 0.75)):
        axis = _unit(ends - starts)
        direction = _unit(1.15 * axis[:, None] + rng.normal(0, spread, (len(ends), forks, 3)) + (0, 0, 0.35))
        origin = starts[:, None] + rng.uniform(0.7, 1.0, (len(ends), forks, 1)) * (ends - starts)[:, None]
        reach = length * rng.uniform(0.65, 1.15, (len(ends), forks, 1))
        starts, ends = origin.reshape(-1, 3), (origin + direction * reach).reshape(-1, 3)
        ends[:, 2] = np.maximum(ends[:, 2], 0.2 * height)
        radii = np.repeat(radii * 0.85 / np.sqrt(forks), forks)
        layers.append((starts, ends, radii, radii * 0.6))
        length *= 0.7
    meshes = [
        _above_ground(tubes(a, b, np.maximum(r0, 0.014), np.maximum(r1, 0.008), bark, sides, "bark", caps=False))
        for (a, b, r0, r1), sides in zip(layers, (8, 5, 4, 3), strict=True)
    ]
    twigs = np.concatenate((starts.reshape(12, 5, 3), ends.reshape(12, 5, 3)), axis=1)
    middle = twigs.mean(axis=1)
    crown = ellipsoids(middle, 0.85 * np.abs(twigs - middle[:, None]).max(axis=1) + 0.1, bark, 0)
    return [*(Part(VEGETATION, 0, mesh) for mesh in meshes), Part(VEGETATION, 0, crown, "label")]


def _sphere_points(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Directions spread evenly by a Fibonacci lattice, turned and jittered."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    angle = index * np.pi * (1 + 5**0.5) + rng.uniform(0, 2 * np.pi)
    flat = np.sqrt(1 - z * z)
    return _unit(np.column_stack((flat * np.cos(angle), flat * np.sin(angle), z)) + rng.normal(0, 0.25, (count, 3)))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _above_ground(mesh: Mesh) -> Mesh:
    """The mesh with what lies below the ground pressed flat onto it."""
    vertices = mesh.vertices.copy()
    np.maximum(vertices[:, 2], 0.0, out=vertices[:, 2])
    return replace(mesh, vertices=vertices)
