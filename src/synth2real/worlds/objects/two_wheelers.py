"""Bicycles, motorcycles and scooters, parked or ridden.

With a rider, the rider is label 25, instance 1, and the machine instance 2; parked, the machine is instance 1. In the
label picture a bicycle's wheels are full discs, as annotators draw them; in the image one looks through the spokes.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Literal

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
    lofts,
    merge,
    rotation_y,
    scene_object,
    tubes,
    xyz,
)
from synth2real.worlds.objects.people import Build, Joints, Wear, figure, random_build, random_wear, reach

MotorcycleKind = Literal["motorcycle", "scooter"]

RIDER, MOTORCYCLE, BICYCLE = 25, 32, 33

_Bar = tuple[NDArray[np.float64], NDArray[np.float64], float, Numbers]  # start, end, radius, colour

FRAME_TONES = np.array(
    (
        (0.015, 0.015, 0.016),
        (0.3, 0.3, 0.31),
        (0.4, 0.03, 0.03),
        (0.04, 0.1, 0.3),
        (0.05, 0.17, 0.08),
        (0.6, 0.6, 0.57),
        (0.5, 0.38, 0.05),
    )
)
FRAME_SHARES = (0.4, 0.15, 0.13, 0.12, 0.07, 0.08, 0.05)
RUBBER, STEEL, LEATHER = (0.015, 0.015, 0.016), (0.33, 0.33, 0.34), (0.03, 0.022, 0.018)


def bicycle(rng: np.random.Generator, ridden: bool | None = None) -> SceneObject:
    """A bicycle, label 33, facing +y.

    Args:
        rng: source of frame, colours, rider and pedal position.
        ridden: whether someone rides it; one in two if not given.
    """
    rides = bool(rng.random() < 0.5) if ridden is None else ridden
    build = random_build(rng)
    scale = 0.5 + 0.5 * build.stature / 1.72
    radius = 0.345
    base = 1.04 * scale
    rear, front = np.array((0, -0.48 * base, radius)), np.array((0, 0.52 * base, radius))
    crank = np.array((0, -0.06 * base, 0.28))
    seat = np.array((0, -0.21 * base, 0.93 * scale))
    seat_tube = crank + 0.78 * (seat - crank)
    head_low, head_high = np.array((0, 0.36 * base, 0.64)), np.array((0, 0.29 * base, 0.86 * scale))
    stem = head_high + xyz(0, -0.02, 0.13)
    step_through = rng.random() < 0.4
    paint = FRAME_TONES[rng.choice(7, p=FRAME_SHARES)] * rng.uniform(0.8, 1.2)
    joint = crank + 0.35 * (seat - crank) if step_through else seat_tube - xyz(0, 0, 0.04)
    side = np.array((0.055, 0.0, 0.0))
    phase = rng.uniform(0, 2 * np.pi)
    swing = 0.17 * np.array((0, np.cos(phase), np.sin(phase)))
    pedals = np.array((crank - 1.7 * side - swing, crank + 1.7 * side + swing))
    grip = np.array((0.27, 0.0, 0.0))
    reach_back = np.array((0, -0.12 if step_through else 0.06, 0.02))
    grips = np.array((stem - grip + reach_back, stem + grip + reach_back))
    bars: list[_Bar] = [
        (crank, seat, 0.017, paint),
        (head_low, crank, 0.02, paint),
        (head_high, joint, 0.018, paint),
        (head_low, stem, 0.02, paint),
        (rear - side, crank, 0.011, paint),
        (rear + side, crank, 0.011, paint),
        (rear - side, seat_tube, 0.01, paint),
        (rear + side, seat_tube, 0.01, paint),
        (front - side, head_low, 0.013, paint),
        (front + side, head_low, 0.013, paint),
        (grips[0], stem, 0.014, STEEL),
        (stem, grips[1], 0.014, STEEL),
        (crank, pedals[0] + 0.3 * side, 0.013, STEEL),
        (crank, pedals[1] - 0.3 * side, 0.013, STEEL),
    ]
    solids = boxes(
        (
            seat + xyz(0, -0.02, 0.02),
            pedals[0],
            pedals[1],
            grips[0],
            grips[1],
            stem + xyz(0, 0.08, -0.1),
            seat_tube + xyz(0, -0.05, -0.04),
        ),
        (
            (0.15, 0.27, 0.055),
            (0.09, 0.1, 0.03),
            (0.09, 0.1, 0.03),
            (0.13, 0.045, 0.04),
            (0.13, 0.045, 0.04),
            (0.07, 0.07, 0.08),
            (0.05, 0.03, 0.06),
        ),
        (LEATHER, RUBBER, RUBBER, RUBBER, RUBBER, (0.6, 0.6, 0.55), (0.4, 0.02, 0.02)),
    )
    gear = tubes(crank + 0.5 * side, crank + 0.7 * side, 0.1, None, xyz(0.12, 0.12, 0.12), 8)
    hubs = np.stack((rear, front))
    straight = np.stack((np.eye(3), np.eye(3)))
    machine = [solids, gear, copies(_spoked_wheel(radius), straight, hubs)]
    if rng.random() < 0.6:
        bars += _mudguards(rear, front, radius, paint)
    if rng.random() < 0.35:
        machine.append(boxes(stem + xyz(0, 0.2, -0.08), (0.36, 0.28, 0.24), (0.12, 0.08, 0.045), taper=1.2))
    elif rng.random() < 0.4:
        machine.append(boxes(rear + xyz(0, -0.05, 0.4), (0.12, 0.42, 0.03), (0.05, 0.05, 0.05)))
        bars += [(rear + s * side, rear + xyz(s * 0.05, -0.12, 0.4), 0.008, STEEL) for s in (-1, 1)]
    if not rides:
        bars.append((crank + xyz(-0.02, -0.08, 0.0), crank + xyz(-0.2, -0.12, -0.28), 0.012, STEEL))
    starts, ends, radii, colours = zip(*bars, strict=True)
    machine.append(tubes(np.array(starts), np.array(ends), np.array(radii), None, np.array(colours), 4, caps=False))
    discs = [copies(_disc(radius), straight, hubs)]
    number = 2 if rides else 1
    parts = [Part(BICYCLE, number, mesh) for mesh in machine] + [Part(BICYCLE, number, mesh, "label") for mesh in discs]
    if rides:
        upright = rng.uniform(0.25, 0.45) if step_through else rng.uniform(0.45, 0.75)
        wear = random_wear(rng, helmet=rng.random() < 0.5)
        joints = riding_joints(build, seat + xyz(0, 0.0, 0.03), upright, grips, pedals + xyz(0, -0.06, 0.055))
        parts += [Part(RIDER, 1, mesh) for mesh in figure(build, joints, _fit_for_riding(wear))]
    return scene_object(parts)


def motorcycle(rng: np.random.Generator, ridden: bool | None = None, kind: MotorcycleKind | None = None) -> SceneObject:
    """A motorcycle or scooter, label 32, facing +y.

    Args:
        rng: source of shape, paint and rider.
        ridden: whether someone rides it; one in two if not given.
        kind: drawn, one scooter in two, if not given.

    Raises:
        ValueError: if the kind is unknown.
    """
    chosen = kind or ("motorcycle", "scooter")[int(rng.random() < 0.5)]
    if chosen not in ("motorcycle", "scooter"):
        raise ValueError(f"expected 'motorcycle' or 'scooter', got {chosen!r}")
    rides = bool(rng.random() < 0.5) if ridden is None else ridden
    scooter = chosen == "scooter"
    paint = FRAME_TONES[rng.choice(7, p=(0.25, 0.15, 0.2, 0.15, 0.05, 0.12, 0.08))] * rng.uniform(0.8, 1.2)
    radius, base, wide = (0.235, 1.28, 0.11) if scooter else (0.31, 1.45, 0.15)
    rear, front = np.array((0, -0.5 * base, radius)), np.array((0, 0.5 * base, radius))
    head = front + ((0, -0.22, 0.50 + 0.1 * scooter) if not scooter else (0, -0.2, 0.68))
    stem = head + xyz(0, -0.08, 0.14)
    grips = np.array((stem + xyz(-0.34, -0.08, 0.02), stem + xyz(0.34, -0.08, 0.02)))
    seat = np.array((0, -0.3, 0.78))
    wheels = [copies(_tyre(radius, wide), np.stack((np.eye(3), np.eye(3))), np.stack((rear, front)))]
    fork = [(front + xyz(x, 0, 0), head + xyz(x, 0, 0)) for x in (-0.1, 0.1)]
    shocks = [(rear + xyz(x, 0, 0), xyz(x, -0.42, 0.72)) for x in (-0.13, 0.13)]
    bars = [*fork, *shocks, (grips[0], stem), (grips[1], stem), (head, stem)]
    mirrors = grips * (0.85, 1, 1) + xyz(0, 0.03, 0.2)
    bars += list(zip(grips * (0.75, 1, 1), mirrors, strict=True))
    frame = tubes(
        [b[0] for b in bars], [b[1] for b in bars], (0.03, 0.03, 0.025, 0.025, 0.016, 0.016, 0.03, 0.008, 0.008), None, STEEL, 5
    )
    if scooter:
        body = _profile_loft(
            # y, half width, low z, high z
            (
                (-0.88, 0.07, 0.52, 0.66),
                (-0.62, 0.17, 0.36, 0.76),
                (-0.25, 0.19, 0.28, 0.74),
                (-0.1, 0.19, 0.22, 0.5),
                (0.02, 0.2, 0.2, 0.3),
                (0.26, 0.2, 0.2, 0.3),
                (0.34, 0.22, 0.24, 0.62),
            ),
            paint,
        )
        shield = _profile_loft(((0.34, 0.24, 0.3, 0.92), (0.45, 0.17, 0.34, 1.0), (0.52, 0.08, 0.4, 0.98)), paint)
        guard = _profile_loft(((0.42, 0.06, 0.42, 0.5), (0.62, 0.08, 0.44, 0.52), (0.84, 0.06, 0.34, 0.42)), paint)
        painted = [body, shield, guard]
        cushion = _profile_loft(((-0.86, 0.1, 0.7, 0.78), (-0.6, 0.16, 0.72, 0.84), (-0.2, 0.14, 0.7, 0.8)), LEATHER)
        top_box = rng.random() < 0.4
    else:
        tank = _profile_loft(
            ((-0.12, 0.1, 0.66, 0.84), (0.08, 0.18, 0.66, 0.96), (0.34, 0.14, 0.7, 0.94), (0.44, 0.06, 0.72, 0.86)), paint
        )
        tail = _profile_loft(((-0.92, 0.06, 0.74, 0.86), (-0.6, 0.13, 0.66, 0.8), (-0.12, 0.14, 0.58, 0.74)), paint)
        guard = _profile_loft(((0.5, 0.06, 0.6, 0.66), (0.74, 0.08, 0.64, 0.7), (0.98, 0.06, 0.52, 0.58)), paint)
        painted = [tank, tail, guard]
        cushion = _profile_loft(((-0.9, 0.09, 0.84, 0.9), (-0.55, 0.14, 0.78, 0.86), (-0.1, 0.13, 0.74, 0.82)), LEATHER)
        top_box = rng.random() < 0.2
    dark = boxes(
        ((0, -0.02, 0.46 if not scooter else 0.3), (0, -0.42, 0.33), (0.17, -0.5, 0.33)),
        ((0.28, 0.5, 0.46), (0.1, 0.7, 0.12), (0.09, 0.7, 0.1))
        if not scooter
        else ((0.1, 0.3, 0.1), (0.16, 0.6, 0.16), (0.08, 0.4, 0.1)),
        ((0.09, 0.09, 0.095), (0.05, 0.05, 0.05), STEEL),
    )
    lamp_z = head[2] + (0.06 if not scooter else 0.0)
    details = boxes(
        (head + xyz(0, 0.12, lamp_z - head[2]), (0, -0.93, 0.7), (0, -0.95, 0.56), mirrors[0], mirrors[1]),
        ((0.19, 0.12, 0.17), (0.16, 0.05, 0.08), (0.2, 0.02, 0.15), (0.13, 0.03, 0.09), (0.13, 0.03, 0.09)),
        ((0.8, 0.8, 0.76), (0.42, 0.015, 0.012), (0.7, 0.7, 0.66), RUBBER, RUBBER),
    )
    machine = [*wheels, frame, *painted, cushion, dark, details]
    if top_box:
        machine.append(boxes((0, -0.86, 1.03), (0.42, 0.4, 0.34), paint if rng.random() < 0.4 else RUBBER, taper=0.85))
    if rng.random() < 0.5:
        machine.append(boxes(head + xyz(0, 0.06, 0.34), (0.34, 0.03, 0.34), (0.2, 0.23, 0.25), taper=0.7))
    number = 2 if rides else 1
    parts = [Part(MOTORCYCLE, number, mesh) for mesh in machine]
    if rides:
        build = random_build(rng)
        wear = random_wear(rng, helmet=True)
        pegs = (
            np.array(((-0.17, 0.16, 0.36), (0.17, 0.16, 0.36)))
            if scooter
            else np.array(((-0.2, -0.06, 0.38), (0.2, -0.06, 0.38)))
        )
        joints = riding_joints(
            build, seat + xyz(0, -0.02, 0.08), rng.uniform(0.1, 0.3) if scooter else rng.uniform(0.25, 0.5), grips, pegs
        )
        parts += [Part(RIDER, 1, mesh) for mesh in figure(build, joints, _fit_for_riding(wear))]
    return scene_object(parts)


def riding_joints(
    build: Build, seat: NDArray[np.float64], lean: float, grips: NDArray[np.float64], feet: NDArray[np.float64]
) -> Joints:
    """A seated body whose hands reach the grips and whose ankles reach the pedals.

    Args:
        build: the body.
        seat: top of the saddle, metres.
        lean: angle of the trunk from upright, forward, radians.
        grips: (2, 3) where the hands hold, left first.
        feet: (2, 3) ankles wanted, left first.
    """
    h = build.stature
    pelvis = seat + xyz(0, 0, 0.05 * h)
    up = np.array((0.0, np.sin(lean), np.cos(lean)))
    chest = pelvis + 0.288 * h * up
    head = chest + np.array((0, 0.055 * h, 0.108 * h))
    side = np.array((-1.0, 1.0))[:, None] * np.array((1.0, 0.0, 0.0))
    shoulders = chest + side * build.shoulders - 0.008 * h * up
    hips = pelvis + side * 0.052 * h
    elbows, wrists = reach(shoulders, grips + xyz(0, -0.03, 0.02), 0.172 * h, 0.17 * h, (0.0, -0.4, -1.0))
    knees, ankles = reach(hips, feet, 0.245 * h, 0.246 * h, (0.0, 1.0, 0.3))
    return Joints(pelvis, chest, head, shoulders, elbows, wrists, hips, knees, ankles)


def _fit_for_riding(wear: Wear) -> Wear:
    """No coat tails or skirts through the saddle, no bag in the hand that steers."""
    return wear._replace(
        garment="trousers" if wear.garment in ("coat", "skirt") else wear.garment,
        bag="backpack" if wear.bag == "backpack" else "none",
    )


@lru_cache
def _spoked_wheel(radius: float) -> Mesh:
    """Tyre and thin spokes about the origin in the y-z plane."""
    points = 14
    angle = 2 * np.pi * np.arange(points) / points
    ring = np.column_stack((np.zeros(points), np.cos(angle), np.sin(angle)))
    rim = (radius - 0.018) * ring
    spokes = (radius - 0.03) * ring[::2]
    tyre = tubes(rim, np.roll(rim, -1, axis=0), 0.022, None, RUBBER, 3, caps=False)
    return merge((tyre, tubes(0.01 * ring[::2], spokes, 0.005, None, STEEL, 3, caps=False)))


@lru_cache
def _disc(radius: float) -> Mesh:
    """A closed disc in the y-z plane: what annotators make of a wheel."""
    return lathe(((0.0, -0.02), (radius, 0.0), (0.0, 0.02)), RUBBER, 14).transformed(rotation_y(np.pi / 2))


def _mudguards(rear: NDArray[np.float64], front: NDArray[np.float64], radius: float, paint: NDArray[np.float64]) -> list[_Bar]:
    angles = np.linspace(0.6, 3.0, 4)
    bars: list[_Bar] = []
    for centre, turn in ((rear, angles + 0.2), (front, 0.9 + 0.75 * angles)):
        arc = centre + (radius + 0.025) * np.column_stack((np.zeros(4), np.cos(turn), np.sin(turn)))
        bars += [(a, b, 0.022, paint) for a, b in pairwise(arc)]
    return bars


@lru_cache
def _tyre(radius: float, wide: float) -> Mesh:
    """A motorcycle's wheel about the origin."""
    w = wide / 2
    inner = ((0.0, -0.3 * w), (0.62 * radius, -0.5 * w), (0.68 * radius, -w), (radius, -0.5 * w))
    profile = (*inner, *((r, -z) for r, z in reversed(inner)))
    rim = (0.2, 0.2, 0.21)
    wheel = lathe(profile, (rim, rim, RUBBER, RUBBER, RUBBER, RUBBER, rim, rim), 12)
    return wheel.transformed(rotation_y(np.pi / 2))


def _profile_loft(rows: tuple[tuple[float, float, float, float], ...], colour: object) -> Mesh:
    """A rounded body along y from rows (y, half width, low z, high z)."""
    y, half, low, high = np.array(rows).T[:, :, None]
    angle = (np.arange(8) + 0.5) * np.pi / 4
    x, z = -half * np.cos(angle), 0.5 * (low + high) + 0.5 * (high - low) * np.sin(angle) / np.sin(3 * np.pi / 8)
    return lofts(np.stack(np.broadcast_arrays(x, y, z), axis=-1), np.asarray(colour, np.float64))
