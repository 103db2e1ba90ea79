"""Articulated people: a figure is skinned over joint positions, which come from joint angles (walking, standing) or reach.

Body proportions are shares of stature after Drillis and Contini (1966), "Body Segment Parameters"; gait angles follow the
sagittal hip and knee curves of Winter (2009), "Biomechanics and Motor Control of Human Movement", to first harmonics.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, NamedTuple

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
    lathe,
    lofts,
    merge,
    rotation_y,
    scene_object,
    tubes,
    xyz,
)
from synth2real.worlds.objects.models import code, painted

Garment = Literal["trousers", "shorts", "skirt", "dress", "jacket", "coat"]
Bag = Literal["none", "backpack", "handbag", "shoulder", "shopping"]
Head = Literal["short", "long", "bun", "bald", "cap", "beanie", "brim", "hood", "scarf", "helmet"]
Carried = Literal["nothing", "umbrella", "stick", "suitcase", "pram"]
Pose = Literal["walking", "running", "standing", "phone", "crossed", "waving", "pointing", "bending", "leaning", "sitting"]

STATIC, DYNAMIC, PERSON = 4, 5, 24
_BODIES: Final = 48  # pedestrians' bodies, clothes and poses of each kind; colours are drawn for each pedestrian
_UPRIGHT: Final[tuple[Pose, ...]] = ("standing", "phone", "crossed", "waving", "pointing", "bending", "leaning")

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
HIGH_VISIBILITY = np.array(((0.62, 0.68, 0.02), (0.80, 0.22, 0.01)))
LIDS = np.array(((0.03, 0.03, 0.03), (0.6, 0.6, 0.58), (0.45, 0.04, 0.04), (0.05, 0.12, 0.4), (0.65, 0.55, 0.05)))
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
        stoop: how far the trunk leans forward of itself, radians (the elderly: up to 0.4).
    """

    stature: float
    girth: float
    head: float
    shoulders: float
    stoop: float


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
    hat: NDArray[np.float64]
    bag_colour: NDArray[np.float64]
    garment: Garment
    head: Head
    bag: Bag
    long_sleeves: bool
    striped: bool  # a vest with reflecting stripes

    @property
    def palette(self) -> Float[np.ndarray, "8 3"]:
        """Its colours, by the numbers that :meth:`coded` uses."""
        return np.array(self[:_COLOURS], np.float32)

    def coded(self) -> "Wear":
        """The same clothes in codes of colours: see :func:`synth2real.worlds.objects.models.painted`."""
        top, bottom, shoes, skin, tights, hair, hat, bag_colour = (code(entry) for entry in range(_COLOURS))
        return self._replace(
            top=top, bottom=bottom, shoes=shoes, skin=skin, tights=tights, hair=hair, hat=hat, bag_colour=bag_colour
        )


_COLOURS: Final = 8


def person(rng: np.random.Generator, child: bool | None = None, walking: bool | None = None) -> SceneObject:
    """A pedestrian facing +y, label 24, instance 1; what stands on the ground beside, such as a pram, is dynamic (5).

    Args:
        rng: source of build, clothes and pose.
        child: 1.1 to 1.5 m tall instead of 1.5 to 1.95 m; one in ten if not given.
        walking: in stride instead of standing; two in three if not given.
    """
    small = bool(rng.random() < 0.1) if child is None else child
    strides = bool(rng.random() < 0.67) if walking is None else walking
    model, vest = _body(small, "walking" if strides else "standing", int(rng.integers(_BODIES)))
    return _clothed(rng, model, vest)


def group(rng: np.random.Generator, count: int, walking: bool | None = None) -> SceneObject:
    """People side by side or in conversation, each an instance of its own: a pair hand in hand, a row, a circle, a clump.

    Args:
        rng: source of the people and their places.
        count: how many, at least 1.
        walking: all in stride, in one direction; one in two if not given.

    Raises:
        ValueError: if ``count`` < 1.
    """
    if count < 1:
        raise ValueError(f"expected at least one person, got {count}")
    strides = bool(rng.random() < 0.5) if walking is None else walking
    if strides or count == 2:
        columns = min(count, 2 + int(rng.integers(3)))
        places = np.array([(0.62 * (i % columns), -0.85 * (i // columns)) for i in range(count)])
        yaws = rng.normal(0.0, 0.08 if strides else 0.5, count)
    elif rng.random() < 0.6:
        angles = 2 * np.pi * np.arange(count) / count + rng.normal(0, 0.15, count)
        radius = max(0.5, 0.75 * count / (2 * np.pi))
        places, yaws = radius * np.stack((np.sin(angles), -np.cos(angles)), axis=1), angles + rng.normal(0, 0.2, count)
    else:
        places, yaws = rng.normal(0.0, 0.3 * np.sqrt(count), (count, 2)), rng.uniform(0, 2 * np.pi, count)
    places = places - places.mean(axis=0) + rng.normal(0, 0.06, (count, 2))
    parts: list[Part] = []
    for number, ((x, y), yaw) in enumerate(zip(places, yaws, strict=True), 1):
        parts += _numbered(person(rng, walking=strides), number, float(x), float(y), float(yaw))
    return scene_object(parts)


def sitting(rng: np.random.Generator) -> SceneObject:
    """One to three people on a bench, facing +y: the bench is label 4."""
    length = float(rng.uniform(1.5, 2.1))
    wood = np.array((0.19, 0.11, 0.06)) * rng.uniform(0.7, 1.4)
    slats = boxes(
        [(0, y, 0.43) for y in (-0.34, -0.2, -0.06)] + [(0, -0.44, z) for z in (0.6, 0.76)],
        [(length, 0.12, 0.035)] * 3 + [(length, 0.035, 0.12)] * 2,
        wood,
    )
    legs = boxes(
        [(s * (length / 2 - 0.15), y, z) for s in (-1, 1) for y, z in ((-0.42, 0.4), (-0.06, 0.21))],
        [(0.06, 0.06, 0.8), (0.06, 0.06, 0.42)] * 2,
        (0.05, 0.055, 0.06),
    )
    parts = [Part(STATIC, 0, slats), Part(STATIC, 0, legs)]
    seats = rng.permutation(3)[: int(rng.choice((1, 2, 3), p=(0.45, 0.4, 0.15)))]
    for number, seat in enumerate(seats, 1):
        model, vest = _body(bool(rng.random() < 0.1), "sitting", int(rng.integers(_BODIES)))
        parts += _numbered(_clothed(rng, model, vest), number, (seat - 1) * length / 3.2, -0.15, float(rng.normal(0, 0.12)))
    return scene_object(parts)


def _numbered(thing: SceneObject, number: int, x: float, y: float, yaw: float) -> list[Part]:
    """The parts of one of several people, placed beside the others."""
    return [part._replace(instance=number) if part.instance else part for part in thing.at(x, y, yaw)]


def _clothed(rng: np.random.Generator, model: SceneObject, vest: bool) -> SceneObject:
    """A model in colours of its own."""
    palette = random_wear(rng).palette
    if vest:
        palette[0] = HIGH_VISIBILITY[rng.integers(2)]
    return painted(model, palette)


@cache
def _body(child: bool, pose: Pose, number: int) -> tuple[SceneObject, bool]:
    """One of the bodies that pedestrians share, made once a process, and whether it wears a vest with stripes.

    "walking" and "standing" stand for all poses of those who move or stay.
    """
    rng = np.random.default_rng((PERSON, child, ("walking", "standing", "sitting").index(pose), number))
    build = random_build(rng, child)
    wear = random_wear(rng).coded()
    carried: Carried = "nothing"
    if pose == "walking":
        if not child:
            carried = ("nothing", "umbrella", "stick", "suitcase", "pram")[rng.choice(5, p=(0.78, 0.07, 0.04, 0.07, 0.04))]
        joints = running_joints(build, rng.uniform(0, 2 * np.pi)) if carried == "nothing" and rng.random() < 0.08 else None
        joints = joints or walking_joints(build, rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.1))
        if build.stoop > 0.12 and carried == "nothing":
            carried = "stick"
    elif pose == "standing":
        stance = _UPRIGHT[rng.choice(7, p=(0.36, 0.2, 0.14, 0.06, 0.06, 0.08, 0.1))]
        joints = posed_joints(rng, build, stance)
        if stance != "standing" and wear.bag in ("handbag", "shopping"):
            wear = wear._replace(bag="none")
        if rng.random() < 0.1 and not child:
            carried = "suitcase" if rng.random() < 0.5 else "umbrella"
    else:
        joints = posed_joints(rng, build, "sitting")
    if pose == "sitting":
        wear = wear._replace(bag="none", garment="trousers" if wear.garment in ("skirt", "dress", "coat") else wear.garment)
    joints, things = _holding(joints, build, carried)
    bodies = [*figure(build, joints, wear), *(mesh for label, mesh in things if label == PERSON)]
    mesh = merge(bodies)
    drop = xyz(0, 0, -float(mesh.vertices[:, 2].min()))
    parts = [Part(PERSON, 1, mesh.translated(drop))]
    parts += [Part(label, 0, thing) for label, thing in things if label != PERSON]
    return scene_object(parts), wear.striped


def random_build(rng: np.random.Generator, child: bool = False) -> Build:
    """A body drawn from the population: adults of either sex, slim to stout, one in eight old; or a child of 4 to 11 years."""
    if child:
        stature = rng.uniform(1.1, 1.48)
        return Build(stature, rng.uniform(0.95, 1.1), 1.30 - 0.45 * (stature - 1.1), 0.098 * stature, 0.0)
    stature = float(np.clip(rng.normal(1.71, 0.09), 1.52, 1.95))
    girth, stoop = float(np.clip(rng.normal(1.02, 0.14), 0.8, 1.45)), 0.0
    if rng.random() < 0.12:
        stature, stoop = max(1.52, 0.96 * stature), float(rng.uniform(0.1, 0.4))
    return Build(stature, girth, 1.0, stature * rng.uniform(0.100, 0.116), stoop)


def random_wear(rng: np.random.Generator, helmet: bool = False) -> Wear:
    """Street clothes, mostly dark."""
    garment: Garment = ("trousers", "shorts", "skirt", "dress", "jacket", "coat")[
        rng.choice(6, p=(0.44, 0.08, 0.07, 0.06, 0.2, 0.15))
    ]
    bag: Bag = ("none", "backpack", "handbag", "shoulder", "shopping")[rng.choice(5, p=(0.46, 0.18, 0.14, 0.14, 0.08))]
    if garment in ("skirt", "dress") and bag == "backpack":
        bag = "handbag"
    heads: tuple[Head, ...] = ("short", "long", "bun", "bald", "cap", "beanie", "brim", "hood", "scarf")
    skin = SKIN_TONES[rng.choice(5, p=SKIN_SHARES)]
    top = TOPS[rng.choice(len(TOPS), p=TOP_SHARES)] * rng.uniform(0.8, 1.2)
    bottom = BOTTOMS[rng.choice(len(BOTTOMS), p=BOTTOM_SHARES)] * rng.uniform(0.8, 1.2)
    if garment == "jacket" and rng.random() < 0.5:  # a suit
        bottom = top = np.minimum(top, 0.12)
    return Wear(
        top=top,
        bottom=bottom,
        shoes=np.array(((0.015, 0.014, 0.014), (0.09, 0.05, 0.03), (0.5, 0.5, 0.48)))[rng.choice(3, p=(0.6, 0.2, 0.2))],
        skin=skin,
        tights=0.3 * skin,
        hair=HAIR_TONES[rng.choice(5, p=HAIR_SHARES)],
        hat=LIDS[rng.integers(5)] if helmet else TOPS[rng.choice(len(TOPS), p=TOP_SHARES)],
        bag_colour=TOPS[rng.choice(len(TOPS), p=TOP_SHARES)],
        garment=garment,
        head="helmet" if helmet else heads[rng.choice(9, p=(0.38, 0.24, 0.06, 0.05, 0.08, 0.06, 0.03, 0.05, 0.05))],
        bag=bag,
        long_sleeves=bool(rng.random() < 0.8),
        striped=bool(rng.random() < 0.06),
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


def running_joints(build: Build, phase: float) -> Joints:
    """A run at one phase of its cycle: long strides, bent elbows, the trunk forward."""
    phases = np.array((phase + np.pi, phase))
    hip = 0.58 * np.sin(phases) + 0.15
    knee = 0.25 + 1.3 * np.clip(np.cos(phases + 0.25), 0, None) ** 1.5
    return _forward(build, 0.2, hip, knee, -0.8 * np.sin(phases), np.full(2, 0.12), np.full(2, 1.5))


def posed_joints(rng: np.random.Generator, build: Build, pose: Pose) -> Joints:
    """Someone who stays where they are: hands at the sides, at a phone, arms crossed, waving, bending down, sitting."""
    hip, knee = rng.uniform(-0.06, 0.1, 2), rng.uniform(0.02, 0.2, 2)
    elbow, swing, out = rng.uniform(0.1, 0.5, 2), rng.uniform(-0.15, 0.2, 2), rng.uniform(0.05, 0.22, 2)
    lean, inward, one = rng.uniform(-0.03, 0.06), 0.0, int(rng.integers(2))
    if pose == "phone":
        elbow[one], swing[one] = rng.choice((1.5, 2.5)), rng.uniform(0.2, 0.5)
    elif pose == "crossed":
        elbow, swing, inward = np.full(2, 1.5), np.array((0.25, 0.4)), 1.1
    elif pose == "waving":
        elbow[one], swing[one], out[one] = rng.uniform(0.2, 0.7), rng.uniform(2.3, 2.9), 0.3
    elif pose == "pointing":
        elbow[one], swing[one] = 0.1, rng.uniform(1.2, 1.6)
    elif pose == "bending":
        lean, knee, hip, swing = rng.uniform(0.7, 1.2), knee + 0.35, hip + 0.3, swing + 0.2
    elif pose == "leaning":
        lean, hip, knee = rng.uniform(-0.22, -0.12), np.array((-0.22, -0.1)), np.array((0.05, 0.5))
        elbow, swing = rng.uniform(0.4, 1.4, 2), rng.uniform(-0.2, 0.2, 2)
    elif pose == "sitting":
        lean, knee = rng.uniform(-0.12, 0.35), rng.uniform(1.35, 1.65, 2)
        hip = 1.5 + rng.normal(0, 0.04, 2)
        elbow, swing, inward = rng.uniform(0.9, 1.6, 2), rng.uniform(0.1, 0.5, 2), 0.3
    return _forward(build, lean, hip, knee, swing, out, elbow, inward)


def _holding(joints: Joints, build: Build, carried: Carried) -> tuple[Joints, list[tuple[int, Mesh]]]:
    """The joints with hands at what someone carries or pushes, and the thing itself with its label."""
    h, wrists = build.stature, joints.wrists.copy()
    dark = (0.03, 0.03, 0.032)
    right = joints.shoulders[1]
    if carried == "umbrella":
        wrists[1] = right + h * xyz(-0.02, 0.14, -0.06)
        top = wrists[1] + xyz(-0.12, -0.02, 0.42 * h)
        canopy = lathe(((0.0, 0.0), (0.56, -0.02), (0.34, 0.13), (0.0, 0.2)), code(7), 8, smooth=False).translated(
            top - xyz(0, 0, 0.2)
        )
        things = [(PERSON, canopy), (PERSON, tubes(wrists[1] - xyz(0, 0, 0.1), top, 0.012, None, dark, 4))]
    elif carried == "stick":
        wrists[1] = right + h * xyz(0.03, 0.13, -0.26)
        foot = wrists[1] * (1.1, 1.0, 0.0) + xyz(0, 0.08, 0.01)
        things = [(PERSON, tubes(foot, wrists[1], 0.014, None, (0.1, 0.06, 0.03), 4))]
    elif carried == "suitcase":
        wrists[1] = right + h * xyz(0.05, -0.12, -0.28)
        case = xyz(wrists[1][0] + 0.05, wrists[1][1] - 0.35, 0.36)
        bar = tubes(case + xyz(0, 0.05, 0.3), wrists[1], 0.015, None, dark, 4)
        wheels = boxes((case + xyz(-0.15, 0.08, -0.33), case + xyz(0.15, 0.08, -0.33)), (0.04, 0.06, 0.06), dark)
        things = [(DYNAMIC, mesh) for mesh in (boxes(case, (0.4, 0.26, 0.6), code(7)), bar, wheels)]
    elif carried == "pram":
        wrists = joints.shoulders + h * np.array(((0.02, 0.24, -0.24), (-0.02, 0.24, -0.24)))
        front = float(wrists[:, 1].mean()) + 0.42
        grip = float(wrists[:, 2].mean())
        axles = [(y, 0.13) for y in (front - 0.22, front + 0.28)]
        wheels = tubes(
            [(s * 0.27 - 0.02, y, z) for s in (-1, 1) for y, z in axles],
            [(s * 0.27 + 0.02, y, z) for s in (-1, 1) for y, z in axles],
            0.13,
            None,
            dark,
            8,
        )
        tub = boxes((0, front + 0.02, 0.58), (0.4, 0.72, 0.26), code(7), taper=1.15)
        hood = lathe(((0.0, -0.2), (0.26, -0.18), (0.3, 0.18), (0.0, 0.2)), code(7), 8).transformed(
            rotation_y(np.pi / 2), (0, front - 0.16, 0.74)
        )
        frame = tubes(
            [(s * 0.22, front - 0.22, 0.14) for s in (-1, 1)] + [(s * 0.22, front + 0.28, 0.14) for s in (-1, 1)],
            [(s * 0.22, front + 0.2, 0.5) for s in (-1, 1)] + [(s * 0.22, front - 0.42, grip) for s in (-1, 1)],
            0.016,
            None,
            dark,
            4,
        )
        things = [(DYNAMIC, merge((wheels, tub, hood, frame)))]
    else:
        return joints, []
    elbows, hands = reach(joints.shoulders, wrists, 0.172 * h, 0.15 * h, (0.0, -0.6, -1.0))
    return joints._replace(elbows=elbows, wrists=hands), things


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
    bare = wear.garment in ("shorts", "skirt", "dress")
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
    hem, flare = {"coat": (-0.17, 1.6), "jacket": (-0.075, 0.5)}.get(wear.garment, (-0.035, 0.0))
    levels = np.array((hem * h, 0.03 * h, 0.4 * trunk_length, 0.72 * trunk_length, 0.94 * trunk_length, 1.04 * trunk_length))
    shoulder = build.shoulders / (0.01 * h * g)
    widths = np.array((9.2 + flare, 9.6, 8.4 + 2 * (g - 1), 10.2, shoulder + 0.6, 3.6)) * unit
    depths = np.array((6.4 + flare, 6.9 + 3 * (g - 1), 6.0 + 7 * (g - 1), 7.0, 5.0, 3.4)) * unit
    if wear.garment in ("skirt", "dress"):
        skirt = _ovals(
            joints.pelvis,
            up,
            across,
            fore,
            np.array((-0.26, -0.1, 0.035)) * h,
            np.array((12.5, 11.0, 9.3)) * unit,
            np.array((9.5, 8.4, 6.8)) * unit,
        )
        skirts = [lofts(skirt, wear.top if wear.garment == "dress" else wear.bottom)]
    else:
        skirts = []
    cloth = np.empty((1, 6, 8, 3))
    cloth[...] = wear.top
    if wear.striped:
        cloth[:, [2, 4]] = (0.55, 0.56, 0.57)
    torso = lofts(_ovals(joints.pelvis, up, across, fore, levels, widths, depths), cloth)
    forward = _unit(fore * (1, 1, 0) + xyz(0, 1e-6, 0))
    neck = tubes(joints.chest - 0.01 * h * up, joints.head - xyz(0, 0, 0.03 * h), 0.032 * h, 0.03 * h, wear.skin, 5, caps=False)
    plain = [neck, *_rounds(build, joints, wear, up, fore), _shoes(joints.ankles, joints.knees, forward, h, wear.shoes)]
    if wear.bag == "shopping":
        hands = joints.wrists - xyz(0, 0, 0.2 * h)
        plain.append(boxes(hands, np.array((0.07, 0.15, 0.21)) * h, wear.bag_colour, taper=0.75))
    elif wear.bag == "handbag":
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
    head = joints.head
    hat = wear.hat if wear.head in ("beanie", "scarf") else wear.top if wear.head == "hood" else wear.hair
    centres, radii, colours = [head], [skull], [wear.skin]
    extra: list[Mesh] = []
    if wear.head == "helmet":
        centres.append(head + xyz(0, -0.006, 0.024) * size)
        radii.append(skull * (1.22, 1.28, 0.86))
        colours.append(wear.hat)
    elif wear.head != "bald":
        covering = {"beanie": (1.13, 1.05, 1.05), "scarf": (1.2, 1.08, 1.1), "hood": (1.28, 1.12, 1.12)}
        centres.append(head + xyz(0, -0.014, 0.012 + 0.012 * (wear.head == "beanie")) * size)
        radii.append(skull * covering.get(wear.head, (1.1, 1.0, 0.99)))
        colours.append(hat)
    if wear.head == "brim":
        brim = ((0.0, 0.0), (0.1, 0.0), (0.056, 0.012), (0.044, 0.04), (0.0, 0.045))
        extra.append(lathe(brim, wear.hat, 8).transformed(size * np.eye(3), head + xyz(0, -0.01, 0.035) * size))
    elif wear.head == "cap":
        extra.append(boxes(head + xyz(0, 0.045, 0.045) * size, np.array((0.075, 0.075, 0.012)) * size, wear.hat))
        crown = lathe(((0.056, 0.0), (0.05, 0.03), (0.0, 0.05)), wear.hat, 8)
        extra.append(crown.transformed(size * np.eye(3), head + xyz(0, -0.008, 0.032) * size))
    if wear.bag == "backpack":
        centres.append(joints.chest - 0.11 * h * up - 0.095 * h * build.girth * fore)
        radii.append(np.array((0.085, 0.06, 0.125)) * h)
        colours.append(wear.bag_colour)
    hands = joints.wrists + 0.035 * h * _unit(joints.wrists - joints.elbows)
    small, small_radii, small_colours = [*hands], [xyz(0.016, 0.02, 0.034) * h] * 2, [wear.skin] * 2
    if wear.head in ("long", "scarf"):
        small.append(head + xyz(0, -0.036, -0.045) * size)
        small_radii.append(skull * (1.05, 0.55, 1.05))
        small_colours.append(hat)
    elif wear.head == "bun":
        small.append(head + xyz(0, -0.06, 0.05) * size)
        small_radii.append(skull * (0.5, 0.42, 0.4))
        small_colours.append(wear.hair)
    return [
        *extra,
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
    inward: float = 0.0,
) -> Joints:
    """Forward kinematics from (left, right) angles, forward positive; the lower foot stands on z = 0.

    ``inward`` turns the forearms towards each other.
    """
    h = build.stature
    side = np.array((-1.0, 1.0))
    hips = np.column_stack((side * 0.052 * h, np.zeros(2), np.zeros(2)))
    knees = hips + 0.245 * h * np.column_stack((np.zeros(2), np.sin(hip), -np.cos(hip)))
    ankles = knees + 0.246 * h * np.column_stack((np.zeros(2), np.sin(hip - knee), -np.cos(hip - knee)))
    bent = lean + build.stoop
    up = np.array((0.0, np.sin(bent), np.cos(bent)))
    chest = 0.288 * h * up
    shoulders = chest + np.column_stack((side * build.shoulders, np.zeros(2), np.full(2, -0.008 * h)))
    upper = np.column_stack((side * np.sin(out), np.sin(swing), -np.cos(swing) * np.cos(out)))
    elbows = shoulders + 0.172 * h * _unit(upper)
    fore = np.column_stack((side * (np.sin(out) * 0.4 - inward), np.sin(swing + elbow), -np.cos(swing + elbow)))
    wrists = elbows + 0.15 * h * _unit(fore)
    nod = 0.8 * bent
    head = chest + h * np.array((0, 0.018 * np.cos(nod) + 0.122 * np.sin(nod), 0.122 * np.cos(nod) - 0.018 * np.sin(nod)))
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
