"""What cars, trucks, buses and trains share: paints, colours of glass, lamps and plates, blocks, wheels and their arches.

Colours that differ from vehicle to vehicle of one model are codes (:mod:`synth2real.worlds.objects.models`).
"""

from functools import lru_cache
from typing import Final, TypeVar

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
    quads,
    rotation_y,
    rotation_z,
    scene_object,
)
from synth2real.worlds.objects.models import code

MODELS: Final = 6  # of each kind

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
LAMP_WHITE, LAMP_RED, LAMP_AMBER, LAMP_BLUE = (0.74, 0.77, 0.78), (0.45, 0.015, 0.012), (0.75, 0.3, 0.03), (0.03, 0.10, 0.7)
PLATE_WHITE, PLATE_YELLOW = (0.75, 0.75, 0.72), (0.75, 0.55, 0.06)
STEEL = (0.32, 0.33, 0.34)

PAINT, SECOND = code(0), code(1)
"""Codes of a vehicle's main colour and of its stripe, load or trailer."""

_Triple = tuple[float | int, float | int, float | int]
Block = tuple[_Triple, _Triple, Numbers]  # centre, size, colour


_Kind = TypeVar("_Kind", bound=str)


def chosen_kind(
    rng: np.random.Generator, what: str, kind: _Kind | None, kinds: tuple[_Kind, ...], shares: tuple[float, ...]
) -> _Kind:
    """The kind that was asked for, or one drawn by the kinds' shares.

    Args:
        rng: source of the draw; not touched if a kind is given.
        what: the vehicle's name, for the error's message.
        kind: the wanted kind, or None.
        kinds: all there are.
        shares: probability of each, sum 1.

    Raises:
        ValueError: if the kind is unknown.
    """
    if kind is None:
        return kinds[int(rng.choice(len(kinds), p=shares))]
    if kind not in kinds:
        raise ValueError(f"expected a {what} kind among {kinds}, got {kind!r}")
    return kind


def drawn_paint(rng: np.random.Generator) -> NDArray[np.float64]:
    """(3,) albedo of a vehicle's paint, drawn from the traffic's mix."""
    paint: NDArray[np.float64] = PAINTS[rng.choice(len(PAINTS), p=PAINT_SHARES)]
    return np.clip(paint * rng.uniform(0.75, 1.2) + rng.uniform(-0.008, 0.008, 3), 0.005, 0.85)


def joined_blocks(blocks: list[Block]) -> Mesh:
    """One mesh of all the blocks."""
    centres, sizes, colours = zip(*blocks, strict=True)
    return boxes(np.array(centres), np.array(sizes), np.array(colours))


def assembled(label_id: int, solid: list[Mesh], flat: list[Mesh]) -> SceneObject:
    """The vehicle; what lies flat on its body need not be drawn twice in the label picture."""
    parts = [Part(label_id, 1, mesh) for mesh in solid]
    return scene_object(parts + [Part(label_id, 1, mesh, "image") for mesh in flat])


def mirrored(faces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Faces of the right flank as they are on the left one."""
    return faces[:, [1, 0, 3, 2]] * (-1, 1, 1)


def rear_lamps(width: float, back: float, rng: np.random.Generator) -> list[Block]:
    """Bumper, lamps and plate at the back of a large vehicle."""
    plate = PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE
    blocks: list[Block] = [((0, back, 0.6), (width * 0.94, 0.12, 0.2), TRIM), ((0, back - 0.07, 0.65), (0.5, 0.02, 0.12), plate)]
    for side in (-1, 1):
        blocks += [
            ((side * 0.41 * width, back, 0.85), (0.2, 0.08, 0.2), LAMP_RED),
            ((side * 0.41 * width, back, 0.65), (0.2, 0.13, 0.12), LAMP_AMBER),
        ]
    return blocks


@lru_cache
def _unit_wheel() -> Mesh:
    """A wheel of radius 1 about the x axis, outer face at x = 0; its rim's spokes are painted on."""
    profile = ((1.0, -0.65), (1.0, -0.015), (0.70, 0.0), (0.68, -0.02), (0.0, 0.01))
    sides = 12
    wheel = lathe(profile, RUBBER, sides)
    colours = wheel.colours.copy().reshape(len(profile), sides + 1, 3)
    colours[3, ::2], colours[3, 1::2], colours[4] = 0.42, 0.04, 0.30
    return wheel.coloured(colours.reshape(-1, 3)).transformed(rotation_y(np.pi / 2))


def wheels(axles: Numbers, radius: float, half_track: float, turned: float = 0.0) -> Mesh:
    """Wheels on both ends of each axle, their outer faces at ``half_track``; those of the first turned by an angle."""
    y = np.asarray(axles, np.float64)
    count = len(y)
    turns = np.repeat(np.stack((np.eye(3), rotation_z(np.pi))), count, axis=0)
    turns[[0, count]] = turns[[0, count]] @ rotation_z(turned)
    offsets = np.zeros((2 * count, 3))
    offsets[:, 0], offsets[:, 1], offsets[:, 2] = np.repeat((1.0, -1.0), count) * (half_track + 0.014), np.tile(y, 2), radius
    return copies(_unit_wheel().transformed(radius * np.eye(3)), turns, offsets)


def wheel_arches(axles: Numbers, radius: float, half_track: float) -> Mesh:
    """Dark arches over the wheels that :func:`wheels` makes of the same numbers."""
    y = np.asarray(axles, np.float64)
    angle = np.linspace(0.0, np.pi, 9)
    rim = 1.17 * radius * np.stack((np.cos(angle), np.sin(angle)), axis=1) + (0, radius)
    arches = np.empty((len(y), 4, 4, 3))
    arches[..., 0] = half_track + 0.004
    for i in range(4):
        corners = np.array(((0.0, radius), rim[2 * i], rim[2 * i + 1], rim[2 * i + 2]))
        arches[:, i, :, 1], arches[:, i, :, 2] = y[:, None] + corners[:, 0], corners[:, 1]
    faces = arches.reshape(-1, 4, 3)
    return quads(np.concatenate((faces, mirrored(faces))), UNDERSIDE)
