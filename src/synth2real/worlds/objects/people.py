"""Articulated people: a figure is skinned over joint positions, which come from joint angles (walking, standing) or reach.

Body proportions are shares of stature after Drillis and Contini (1966), "Body Segment Parameters"; gait angles follow the
sagittal hip and knee curves of Winter (2009), "Biomechanics and Motor Control of Human Movement", to first harmonics.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from synth2real.worlds.meshes import (
    Mesh,
    Numbers,
    Part,
    SceneObject,
    boxes,
    cross,
    ellipsoids,
    lofts,
    merge,
    scene_object,
    tubes,
    xyz,
)

Garment = Literal["trousers", "shorts", "skirt", "coat"]
Bag = Literal["none", "backpack", "handbag", "shoulder"]

PERSON = 24
_BODIES: Final = 32  # pedestrians' bodies, clothes and poses of each kind; colours are drawn for each pedestrian

SKIN_TONES = np.array(((0.58, 0.38, 0.29), (0.50, 0.30, 0.21), (0.36, 0.20, 0.13), (0.20, 0.105, 0.065), (0.10, 0.052, 0.034)))
SKIN_SHARES = (0.42, 0.28, 0.14, 0.10, 0.06)
HAIR_TONES = np.array(((0.015, 0.012, 0.010), (0.05, 0.028, 0.016), (0.13, 0.075, 0.035), (0.35, 0.24, 0.11), (0.32, 0.31, 0.30)))
HAIR_SHARES = (0.34, 0.30, 0.16, 0.10, 0.10)
TOPS = np.array(
    (
        (0.018, 0.018, 0.021),
        (0.05, 0.05, 0.055),
        (0.02, 0.03, 0.075),
        (0.10, 0.10, 0.105),
        (0.24, 0.23, 0.22),
        (0.62, 0.61, 0.58),
        (0.32, 0.03, 0.035),
        (0.05, 0.11, 0.28),
        (0.05, 0.10, 0.05),
        (0.26, 0.17, 0.09),
        (0.55, 0.36, 0.05),
        (0.38, 0.15, 0.22),
    )
)
TOP_SHARES = (0.24, 0.13, 0.14, 0.10, 0.08, 0.09, 0.06, 0.05, 0.035, 0.035, 0.02, 0.02)
BOTTOMS = np.array(((0.016, 0.016, 0.018), (0.03, 0.045, 0.10), (0.07, 0.10, 0.17), (0.08, 0.08, 0.085), (0.24, 0.19, 0.13)))
BOTTOM_SHARES = (0.33, 0.27, 0.18, 0.14, 0.08)


@dataclass(frozen=True, slots=True)
class Build:
    """Body shape.

    Attributes:
        stature: height in metres, barefoot.
        girth: thickness of trunk and limbs over the average for the stature.
        head: size of the head over an adult's share of the stature (children: up to 1.3).
        shoulders: half the width between the shoulder joints, metres.
    """

    stature: float
    girth: float
    head: float
    shoulders: float


class Joints(NamedTuple):
    """Joint positions in metres; paired joints are rows (left, right), left at negative x."""

    pelvis: Float[np.ndarray, "3"]
    chest: Float[np.ndarray, "3"]
    head: Float[np.ndarray, "3"]
    shoulders: Float[np.ndarray, "2 3"]
    elbows: Float[np.ndarray, "2 3"]
    wrists: Float[np.ndarray, "2 3"]
    hips: Float[np.ndarray, "2 3"]
    knees: Float[np.ndarray, "2 3"]
    ankles: Float[np.ndarray, "2 3"]


class Wear(NamedTuple):
    """What a figure wears, and its colours (linear albedo)."""

    top: NDArray[np.float64]
    bottom: NDArray[np.float64]
    shoes: NDArray[np.float64]
    skin: NDArray[np.float64]
    tights: NDArray[np.float64]
    hair: NDArray[np.float64]
    garment: Garment
    long_sleeves: bool
    long_hair: bool
    helmet: NDArray[np.float64] | None
    bag: Bag
    bag_colour: NDArray[np.float64]


def person(rng: np.random.Generator, child: bool | None = None, walking: bool | None = None) -> SceneObject:
    """A pedestrian facing +y, label 24, instance 1.

    Args:
        rng: source of build, clothes and pose.
        child: 1.1 to 1.5 m tall instead of 1.52 to 1.95 m; one in ten if not given.
        walking: in stride instead of standing; two in three if not given.
    """
    small = bool(rng.random() < 0.1) if child is None else child
    strides = bool(rng.random() < 0.67) if walking is None else walking
    body, footprint = _body(small, strides, int(rng.integers(_BODIES)))
    wear = random_wear(rng, helmet=False)
    palette = np.array([getattr(wear, name) for name in _COLOURED], np.float32)
    clothed = body.coloured(palette[body.colours[:, 0].astype(np.intp)])
    return SceneObject((Part(PERSON, 1, clothed),), footprint)


_COLOURED: Final = ("top", "bottom", "shoes", "skin", "tights", "hair", "bag_colour")
"""The colours that a pedestrian wears."""


@cache
def _body(child: bool, strides: bool, number: int) -> tuple[Mesh, tuple[float, float]]:
    """One of the bodies that pedestrians share, made once a process, and its footprint; colours are indices of _COLOURED."""
    rng = np.random.default_rng((PERSON, child, strides, number))
    build = random_build(rng, child)
    joints = walking_joints(build, rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.1)) if strides else standing_joints(rng, build)
    wear = random_wear(rng, helmet=False)
    indices: dict[str, Any] = {name: np.full(3, float(index)) for index, name in enumerate(_COLOURED)}
    mesh = merge(figure(build, joints, wear._replace(**indices)))
    standing = mesh.translated(xyz(0, 0, -float(mesh.vertices[:, 2].min())))
    return standing, scene_object([Part(PERSON, 1, standing)]).footprint


def random_build(rng: np.random.Generator, child: bool = False) -> Build:
    """A body drawn from the population: adults of either sex, or a child of four to eleven years."""
    if child:
        stature = rng.uniform(1.1, 1.48)
        return Build(stature, rng.uniform(0.95, 1.1), 1.30 - 0.45 * (stature - 1.1), 0.098 * stature)
    stature = float(np.clip(rng.normal(1.71, 0.09), 1.52, 1.95))
    return Build(stature, float(np.clip(rng.normal(1.0, 0.11), 0.82, 1.35)), 1.0, stature * rng.uniform(0.100, 0.116))


def random_wear(rng: np.random.Generator, helmet: bool) -> Wear:
    """Street clothes, mostly dark."""
    garment: Garment = ("trousers", "shorts", "skirt", "coat")[rng.choice(4, p=(0.68, 0.08, 0.09, 0.15))]
    bag: Bag = ("none", "backpack", "handbag", "shoulder")[rng.choice(4, p=(0.5, 0.18, 0.18, 0.14))]
    if garment == "skirt" and bag == "backpack":
        bag = "handbag"
    skin = SKIN_TONES[rng.choice(5, p=SKIN_SHARES)]
    lids = np.array(((0.03, 0.03, 0.03), (0.6, 0.6, 0.58), (0.45, 0.04, 0.04), (0.05, 0.12, 0.4), (0.65, 0.55, 0.05)))
    return Wear(
        top=TOPS[rng.choice(len(TOPS), p=TOP_SHARES)] * rng.uniform(0.8, 1.2),
        bottom=BOTTOMS[rng.choice(len(BOTTOMS), p=BOTTOM_SHARES)] * rng.uniform(0.8, 1.2),
        shoes=np.array(((0.015, 0.014, 0.014), (0.09, 0.05, 0.03), (0.5, 0.5, 0.48)))[rng.choice(3, p=(0.6, 0.2, 0.2))],
        skin=skin,
        tights=0.3 * skin,
        hair=HAIR_TONES[rng.choice(5, p=HAIR_SHARES)],
        garment=garment,
        long_sleeves=bool(rng.random() < 0.8),
        long_hair=bool(rng.random() < 0.4),
        helmet=lids[rng.integers(5)] if helmet else None,
        bag=bag,
        bag_colour=TOPS[rng.choice(len(TOPS), p=TOP_SHARES)],
    )


def walking_joints(build: Build, phase: float, stride: float = 1.0) -> Joints:
    """A gait at one phase of its cycle.

    Args:
        build: the body.
        phase: radians of the gait cycle; the right heel strikes near pi / 2.
        stride: amplitude over that of a usual pace.
    """
    phases = np.array((phase + np.pi, phase))
    hip = stride * 0.42 * np.sin(phases) + 0.06
    knee = 0.10 + stride * 0.5 * np.clip(np.cos(phases + 0.25), 0, None) ** 1.5
    swing = -stride * 0.42 * np.sin(phases)
    return _forward(build, 0.04, hip, knee, swing, np.full(2, 0.08), 0.25 + 0.3 * np.clip(swing, 0, None))


def standing_joints(rng: np.random.Generator, build: Build) -> Joints:
    """Someone who stands, hands at the sides, in the pockets or at a phone."""
    legs = rng.uniform(-0.06, 0.1, 2)
    knees = rng.uniform(0.02, 0.2, 2)
    elbows, swing, out = rng.uniform(0.1, 0.5, 2), rng.uniform(-0.15, 0.2, 2), rng.uniform(0.05, 0.22, 2)
    if rng.random() < 0.3:
        elbows[rng.integers(2)] = rng.uniform(1.6, 2.2)
    return _forward(build, rng.uniform(-0.03, 0.06), legs, knees, swing, out, elbows)


def reach(
    root: Float[np.ndarray, "2 3"], tip: Float[np.ndarray, "2 3"], upper: float, lower: float, bend: Numbers
) -> tuple[Float[np.ndarray, "2 3"], Float[np.ndarray, "2 3"]]:
    """Middle joints and reached tips of two-bone limbs (law of cosines).

    Args:
        root: shoulders or hips.
        tip: wanted wrists or ankles; moved nearer along the limb where out of reach.
        upper: length of the first bone, metres.
        lower: length of the second bone, metres.
        bend: direction in which elbow or knee points.

    Returns:
        (elbows or knees, wrists or ankles).
    """
    line = tip - root
    distance = np.linalg.norm(line, axis=1, keepdims=True)
    along = line / distance
    span = np.clip(distance, abs(upper - lower) + 1e-3, 0.999 * (upper + lower))
    cosine = (upper**2 + span**2 - lower**2) / (2 * upper * span)
    side = np.asarray(bend, np.float64) - (along @ np.asarray(bend, np.float64))[:, None] * along
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    middle = root + upper * (cosine * along + np.sqrt(np.clip(1 - cosine**2, 0, 1)) * side)
    return middle, root + span * along


def figure(build: Build, joints: Joints, wear: Wear) -> list[Mesh]:
    """The clothed body over its joints."""
    h, g = build.stature, build.girth
    unit = 0.01 * h * g
    inward = joints.chest - joints.shoulders
    arms = np.stack((joints.shoulders + 0.22 * inward, joints.elbows, joints.wrists), axis=1)
    legs = np.stack((joints.hips, joints.knees, joints.ankles), axis=1)
    sleeve = np.array((2.5, 3.2, 2.7, 2.5, 2.0)) if wear.long_sleeves else np.array((2.5, 3.3, 2.4, 2.2, 1.6))
    trouser = np.array((4.6, 4.9, 3.7, 3.5, 2.9)) if wear.garment != "shorts" else np.array((4.6, 5.2, 3.2, 3.1, 2.1))
    bare = wear.garment in ("shorts", "skirt")
    arm_colours = np.broadcast_to(wear.top, (2, 5, 6, 3)).copy()
    if not wear.long_sleeves:
        arm_colours[:, 2:] = wear.skin
    leg_colours = np.broadcast_to(wear.bottom, (2, 5, 6, 3)).copy()
    if bare:
        leg_colours[:, 2:] = wear.skin if wear.garment == "shorts" else wear.tights
    limbs = lofts(
        _limb_rings(np.concatenate((arms, legs)), unit * np.array((sleeve, sleeve, trouser, trouser))),
        np.concatenate((arm_colours, leg_colours)),
    )
    up = joints.chest - joints.pelvis
    trunk_length = float(np.linalg.norm(up))
    up = up / trunk_length
    across = joints.shoulders[1] - joints.shoulders[0]
    across = across / np.linalg.norm(across)
    fore = cross(up, across)
    coat = wear.garment == "coat"
    hem = -0.14 if coat else -0.035
    levels = np.array((hem * h, 0.03 * h, 0.4 * trunk_length, 0.72 * trunk_length, 0.94 * trunk_length, 1.04 * trunk_length))
    shoulder = build.shoulders / (0.01 * h * g)
    widths = np.array((10.0 if coat else 9.2, 9.6, 8.4 + 2 * (g - 1), 10.2, shoulder + 0.6, 3.6)) * unit
    depths = np.array((7.4 if coat else 6.4, 6.9 + 3 * (g - 1), 6.0 + 5 * (g - 1), 7.0, 5.0, 3.4)) * unit
    if wear.garment == "skirt":
        skirt = _ovals(
            joints.pelvis,
            up,
            across,
            fore,
            np.array((-0.26, -0.1, 0.035)) * h,
            np.array((12.5, 11.0, 9.3)) * unit,
            np.array((9.5, 8.4, 6.8)) * unit,
        )
        skirts = [lofts(skirt, wear.bottom)]
    else:
        skirts = []
    torso = lofts(_ovals(joints.pelvis, up, across, fore, levels, widths, depths), wear.top)
    forward = _unit(fore * (1, 1, 0) + xyz(0, 1e-6, 0))
    neck = tubes(joints.chest - 0.01 * h * up, joints.head - xyz(0, 0, 0.03 * h), 0.032 * h, 0.03 * h, wear.skin, 5, caps=False)
    plain = [neck, *_rounds(build, joints, wear, up, fore), _shoes(joints.ankles, joints.knees, forward, h, wear.shoes)]
    if wear.bag == "handbag":
        hand = joints.wrists[1] - xyz(0, 0, 0.15 * h)
        plain.append(boxes(hand, np.array((0.05, 0.17, 0.13)) * h, wear.bag_colour, taper=0.8))
    elif wear.bag == "shoulder":
        plain.append(boxes(joints.pelvis + xyz(0.125 * h * g, -0.01, -0.01), np.array((0.06, 0.17, 0.15)) * h, wear.bag_colour))
    return [torso, limbs, *skirts, *plain]


def _rounds(build: Build, joints: Joints, wear: Wear, up: NDArray[np.float64], fore: NDArray[np.float64]) -> list[Mesh]:
    """Head, hair or helmet, hands and backpack: ellipsoids, the large ones finer."""
    h = build.stature
    size = h * build.head
    skull = np.array((0.047, 0.058, 0.068)) * size
    centres, radii, colours = [joints.head], [skull], [wear.skin]
    if wear.helmet is not None:
        centres.append(joints.head + xyz(0, -0.006, 0.024) * size)
        radii.append(skull * (1.22, 1.28, 0.86))
        colours.append(wear.helmet)
    else:
        centres.append(joints.head + xyz(0, -0.014, 0.012) * size)
        radii.append(skull * (1.1, 1.0, 0.99))
        colours.append(wear.hair)
    if wear.bag == "backpack":
        centres.append(joints.chest - 0.11 * h * up - 0.095 * h * build.girth * fore)
        radii.append(np.array((0.085, 0.06, 0.125)) * h)
        colours.append(wear.bag_colour)
    hands = joints.wrists + 0.035 * h * _unit(joints.wrists - joints.elbows)
    small, small_radii, small_colours = [*hands], [xyz(0.016, 0.02, 0.034) * h] * 2, [wear.skin] * 2
    if wear.long_hair:
        small.append(joints.head + xyz(0, -0.036, -0.045) * size)
        small_radii.append(skull * (1.05, 0.55, 1.05))
        small_colours.append(wear.hair)
    return [
        ellipsoids(np.array(centres), np.array(radii), np.array(colours), 1),
        ellipsoids(np.array(small), np.array(small_radii), np.array(small_colours), 0),
    ]


def _forward(
    build: Build,
    lean: float,
    hip: NDArray[np.float64],
    knee: NDArray[np.float64],
    swing: NDArray[np.float64],
    out: NDArray[np.float64],
    elbow: NDArray[np.float64],
) -> Joints:
    """Forward kinematics from (left, right) angles, forward positive; the lower foot stands on z = 0."""
    h = build.stature
    side = np.array((-1.0, 1.0))
    hips = np.column_stack((side * 0.052 * h, np.zeros(2), np.zeros(2)))
    knees = hips + 0.245 * h * np.column_stack((np.zeros(2), np.sin(hip), -np.cos(hip)))
    ankles = knees + 0.246 * h * np.column_stack((np.zeros(2), np.sin(hip - knee), -np.cos(hip - knee)))
    up = np.array((0.0, np.sin(lean), np.cos(lean)))
    chest = 0.288 * h * up
    shoulders = chest + np.column_stack((side * build.shoulders, np.zeros(2), np.full(2, -0.008 * h)))
    upper = np.column_stack((side * np.sin(out), np.sin(swing), -np.cos(swing) * np.cos(out)))
    elbows = shoulders + 0.172 * h * _unit(upper)
    fore = np.column_stack((side * np.sin(out) * 0.4, np.sin(swing + elbow), -np.cos(swing + elbow)))
    wrists = elbows + 0.15 * h * _unit(fore)
    head = chest + np.array((0, 0.018 * h, 0.122 * h))
    ground = ankles[:, 2].min() - 0.045 * h
    lift = np.array((0.0, 0.0, -ground))
    return Joints(
        lift, chest + lift, head + lift, shoulders + lift, elbows + lift, wrists + lift, hips + lift, knees + lift, ankles + lift
    )


def _limb_rings(limbs: Float[np.ndarray, "k 3 3"], radii: Float[np.ndarray, "k 5"]) -> Float[np.ndarray, "k 5 6 3"]:
    """Five sections of six points along limbs of two bones."""
    a, b, c = limbs[:, 0], limbs[:, 1], limbs[:, 2]
    centres = np.stack((a, 0.5 * (a + b), b, 0.6 * b + 0.4 * c, c), axis=1)
    first, second = _unit(b - a), _unit(c - b)
    axis = np.stack((first, first, _unit(first + second), second, second), axis=1)
    across = _unit(np.array((1.0, 0.0, 0.0)) - axis[..., :1] * axis)
    up = cross(axis, across)
    angle = np.arange(6) * np.pi / 3
    ring = across[:, :, None] * np.cos(angle)[:, None] + up[:, :, None] * np.sin(angle)[:, None]
    rings: NDArray[np.float64] = centres[:, :, None] + ring * radii[:, :, None, None]
    return rings


def _ovals(
    origin: NDArray[np.float64],
    up: NDArray[np.float64],
    across: NDArray[np.float64],
    fore: NDArray[np.float64],
    levels: NDArray[np.float64],
    widths: NDArray[np.float64],
    depths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Elliptic sections of eight points, one for each level along ``up``."""
    angle = (np.arange(8) + 0.5) * np.pi / 4
    flat = np.cos(angle)[:, None] * across * widths[:, None, None] + np.sin(angle)[:, None] * fore * depths[:, None, None]
    rings: NDArray[np.float64] = origin + levels[:, None, None] * up + flat
    return rings


def _shoes(
    ankles: NDArray[np.float64], knees: NDArray[np.float64], forward: NDArray[np.float64], h: float, colour: NDArray[np.float64]
) -> Mesh:
    """Shoes that point forward and tip with the shin."""
    shin = _unit(knees - ankles)
    pitch = np.clip(shin @ forward, -0.8, 0.8)[:, None]
    toe = _unit(forward - np.array((0, 0, 1.0)) * np.clip(pitch - 0.15, 0, 1) * 0.9)
    right = cross(toe, xyz(0, 0, 1))
    up = cross(right, toe)
    rings = []
    for along, half, low, high in ((-0.042, 0.022, -0.043, 0.014), (0.03, 0.027, -0.043, 0.008), (0.10, 0.022, -0.043, -0.02)):
        corners = [(half, low), (half, high), (-half, high), (-half, low)]
        rings.append(np.stack([ankles + h * (along * toe + x * right + z * up) for x, z in corners[::-1]], axis=1))
    return lofts(np.stack(rings, axis=1), colour, smooth=False)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    unit: NDArray[np.float64] = vectors / np.maximum(lengths, 1e-9)
    return unit
