"""Trees, hedges and bushes, label 21 throughout.

Crowns are closed lumpy clumps with a fringe of leaf clusters, so that their labels read as the filled areas that
annotators draw; bare trees branch by the pipe model (Shinozaki et al., 1964): cross-sections add up at a fork.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synth2real.worlds.meshes import Mesh, Part, SceneObject, ellipsoids, lathe, lofts, merge, scene_object, smooth_shaded, tubes

TreeKind = Literal["round", "oval", "spreading", "poplar", "conifer", "bare"]

VEGETATION = 21

TREE_KINDS: tuple[TreeKind, ...] = ("round", "oval", "spreading", "poplar", "conifer", "bare")

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
    chosen = kind or TREE_KINDS[rng.choice(6, p=(0.3, 0.22, 0.2, 0.07, 0.11, 0.1))]
    if chosen not in TREE_KINDS:
        raise ValueError(f"expected a tree kind among {TREE_KINDS}, got {chosen!r}")
    tall = rng.uniform(5.0, 12.0) if height is None else height
    if tall <= 0:
        raise ValueError(f"expected a positive height in metres, got {tall}")
    bark = BARK_TONES[rng.integers(3)] * rng.uniform(0.8, 1.2)
    leaves = LEAF_TONES[rng.choice(6, p=LEAF_SHARES)] * rng.uniform(0.8, 1.25)
    if chosen == "conifer":
        meshes = _conifer(rng, tall, bark, leaves * (0.55, 0.7, 0.8))
    elif chosen == "bare":
        meshes, crown = _bare(rng, tall, bark)
        return scene_object([*(Part(VEGETATION, 0, mesh) for mesh in meshes), Part(VEGETATION, 0, crown, "label")])
    else:
        meshes = _leafy(rng, tall, bark, leaves, *_CROWNS[chosen])
    return scene_object([Part(VEGETATION, 0, mesh) for mesh in meshes])


def bush(rng: np.random.Generator) -> SceneObject:
    """A shrub of 0.6 to 2 m."""
    size = rng.uniform(0.6, 2.0)
    count = 7
    centres = np.clip(rng.normal(0, 0.25, (count, 3)), -0.45, 0.45) * size * (1, 1, 0.3)
    centres[:, 2] += 0.34 * size
    centres[0, 2] = 0.22 * size
    radii = size * rng.uniform(0.28, 0.42, (count, 1)) * (1.0, 1.0, 0.9)
    leaves = LEAF_TONES[rng.choice(6, p=LEAF_SHARES)] * rng.uniform(0.8, 1.25)
    return scene_object([Part(VEGETATION, 0, mesh) for mesh in _foliage(rng, centres, radii, leaves, 60, 0.11 * size)])


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
    count = int(np.clip(length * 12, 12, 90))
    side = rng.choice((-0.5, 0.5), count)
    level = rng.uniform(0.1, 1.02, count)
    x = np.where(level > 0.94, rng.uniform(-0.5, 0.5, count), side) * depth
    spots = np.column_stack((x, rng.uniform(-0.5, 0.5, count) * (length - 0.3), level * tall))
    tones = leaves * (0.55 + 0.5 * level[:, None]) * rng.uniform(0.7, 1.4, (count, 1))
    fringe = _above_ground(_tufts(rng, spots, np.full((count, 3), 0.09), tones))
    return scene_object([Part(VEGETATION, 0, body), Part(VEGETATION, 0, fringe)])


def _leafy(
    rng: np.random.Generator,
    height: float,
    bark: NDArray[np.float64],
    leaves: NDArray[np.float64],
    wide: float,
    deep: float,
    clear: float,
) -> list[Mesh]:
    half_width, half_height = wide * height * rng.uniform(0.85, 1.15), deep * height
    middle = height - half_height
    count = 26
    directions = _sphere_points(rng, count)
    shell = rng.uniform(0.5, 0.8, (count, 1))
    centres = directions * shell * (half_width, half_width, half_height) + (0, 0, middle)
    girth = min(half_width, half_height)
    stretch = 0.85 * max(1.0, half_height / half_width) ** 0.6
    radii = girth * rng.uniform(0.26, 0.46, (count, 1)) * (1.0, 1.0, stretch)
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
    )
    return [_above_ground(trunk), *_foliage(rng, centres, radii, leaves, 130, 0.03 * height)]


def _foliage(
    rng: np.random.Generator,
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    leaves: NDArray[np.float64],
    clusters: int,
    size: float,
) -> list[Mesh]:
    """Clumps with a fringe of small leaf clusters; lighter towards the top, as crowns shade themselves."""
    low, high = centres[:, 2].min(), centres[:, 2].max() + 1e-6
    light = 0.62 + 0.5 * (centres[:, 2:] - low) / (high - low)
    clumps = ellipsoids(centres, radii, leaves * light * rng.uniform(0.85, 1.15, (len(centres), 1)), 0, "leaves")
    clumps = _mottled(_lumpy(clumps, centres, rng, 0.16), rng)
    host = rng.integers(len(centres), size=clusters)
    directions = _sphere_points(rng, clusters)
    spots = centres[host] + directions * radii[host] * rng.uniform(0.8, 1.12, (clusters, 1))
    sizes = size * rng.uniform(0.7, 1.5, (clusters, 1)) * rng.uniform(0.6, 1.2, (clusters, 3))
    tones = leaves * light[host] * rng.uniform(0.7, 1.45, (clusters, 1))
    return [_above_ground(clumps), _above_ground(_tufts(rng, spots, sizes, tones))]


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


def _tufts(
    rng: np.random.Generator, centres: NDArray[np.float64], sizes: NDArray[np.float64], tones: NDArray[np.float64]
) -> Mesh:
    """Leaf clusters: small closed solids of four faces, each at its own random attitude."""
    count = len(centres)
    base = np.array(((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))) / 3**0.5
    x, y, z, w = _unit(rng.normal(size=(count, 4))).T  # a uniform rotation from a normal quaternion (Shoemake, 1992)
    turns = np.empty((count, 3, 3))
    turns[:, 0] = np.stack((1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)), axis=1)
    turns[:, 1] = np.stack((2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)), axis=1)
    turns[:, 2] = np.stack((2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)), axis=1)
    offsets = (base @ turns.transpose(0, 2, 1)) * sizes[:, None]
    faces = np.array(((0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)), np.int32)
    return Mesh(
        (centres[:, None] + offsets).reshape(-1, 3).astype(np.float32),
        _unit(offsets).reshape(-1, 3).astype(np.float32),
        np.repeat(np.clip(tones, 0, 1), 4, axis=0).astype(np.float32),
        (offsets[..., :2] + centres[:, None, :2]).reshape(-1, 2).astype(np.float32),
        (4 * np.arange(count, dtype=np.int32)[:, None, None] + faces).reshape(-1, 3),
        "leaves",
    )


def _conifer(rng: np.random.Generator, height: float, bark: NDArray[np.float64], needles: NDArray[np.float64]) -> list[Mesh]:
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
    clusters = 110
    level = rng.uniform(0, 0.95, clusters)
    angle = rng.uniform(0, 2 * np.pi, clusters)
    reach = width * (1 - level) ** 0.85 * rng.uniform(0.85, 1.08, clusters)
    spots = np.column_stack((reach * np.cos(angle), reach * np.sin(angle), base + level * (height - base)))
    sizes = 0.028 * height * rng.uniform(0.7, 1.4, (clusters, 1)) * np.array((1.2, 1.2, 0.6))
    tones = needles * (0.6 + 0.6 * level[:, None]) * rng.uniform(0.7, 1.4, (clusters, 1))
    trunk = tubes((0, 0, 0), (0, 0, 0.4 * height), 0.02 * height + 0.02, 0.01 * height, bark, 7, "bark")
    return [trunk, merge(cones), _tufts(rng, spots, sizes, tones)]


def _bare(rng: np.random.Generator, height: float, bark: NDArray[np.float64]) -> tuple[list[Mesh], Mesh]:
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
    return meshes, crown


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
