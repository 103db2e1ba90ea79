"""What stands and walks between kerb and frontage: lamps, trees, signs, signals, railings, parked vehicles, people."""

from dataclasses import replace

import numpy as np

from synth2real.worlds.drafts import Draft
from synth2real.worlds.meshes import SceneObject
from synth2real.worlds.objects import people, street_furniture, trucks, two_wheelers, vegetation
from synth2real.worlds.plans import BEHIND, KERB, Crossing, Plan

_MIRROR = np.diag((-1.0, 1.0, 1.0))


def furnish(draft: Draft, side: int) -> None:
    """Everything that stands at a side's kerb, parks there or walks on its pavement."""
    _signals(draft, side)
    _furniture(draft, side)
    _park(draft, side)
    _people(draft, side)


def _facing(plan: Plan, side: int) -> float:
    """The yaw of what drives on a side."""
    return 0.0 if side == plan.drive else float(np.pi)


def _signals(draft: Draft, side: int) -> None:
    """Traffic lights at the corners of one side, for all streets that meet there, or a sign where there are none."""
    rng, plan = draft.rng, draft.plan
    kerb, ahead = side * (plan.edge(side) + 0.6), side == plan.drive
    for crossing in plan.crossings:
        before, behind = crossing.start - crossing.radius - 0.9, crossing.stop + crossing.radius + 0.9
        at_tee = plan.ends_there and crossing is plan.crossings[-1]
        if crossing.has_signals:
            overhead = bool(rng.random() < plan.habits.overhead)
            places = [(before, 0.0)] if ahead else ([] if at_tee else [(behind, np.pi)])
            if rng.random() < 0.7 and not at_tee:  # a second one behind the crossing
                places.append((behind, 0.0) if ahead else (before, np.pi))
            for along, yaw in places:
                if draft.claim(f"kerb{side}", along, 0.5):
                    draft.put(_signal(rng, overhead, plan.drive < 0), kerb, along, yaw, KERB)
            if side in crossing.arms:
                _arm_signal(draft, crossing, side)
        elif rng.random() < 0.7 and ahead and draft.claim(f"kerb{side}", before - 0.6, 0.5):
            draft.put(street_furniture.traffic_sign(rng), kerb, before - 0.6, 0.0, KERB)


def _arm_signal(draft: Draft, crossing: Crossing, side: int) -> None:
    """The light for those who come out of a side street."""
    plan = draft.plan
    along = crossing.stop + 0.7 if side == plan.drive else crossing.start - 0.7
    across = plan.edge(side) + crossing.radius + 0.8
    draft.put(_signal(draft.rng, False, False), side * across, along, side * np.pi / 2, KERB)


def _signal(rng: np.random.Generator, overhead: bool, mirrored: bool) -> SceneObject:
    """A traffic light, with an arm over the road or without."""
    thing = street_furniture.traffic_light(rng)
    for _ in range(6):
        if (thing.footprint[0] > 3.0) == overhead:
            break
        thing = street_furniture.traffic_light(rng)
    if mirrored:
        parts = tuple(part._replace(mesh=part.mesh.transformed(_MIRROR)) for part in thing.parts)
        thing = replace(thing, parts=parts)
    return thing


def _furniture(draft: Draft, side: int) -> None:
    """Lamps, trees, signs, railings, bollards, parked bicycles, bins, benches, shelters."""
    rng, plan = draft.rng, draft.plan
    habits, edge, strip = plan.habits, plan.edge(side), plan.strips[side > 0]
    name = f"kerb{side}"
    facing = _facing(plan, side)

    def put(thing: SceneObject, along: float, yaw: float, across: float = edge + 0.55) -> None:
        half = max(thing.footprint) / 2 if thing.footprint[1] < 4 else 0.6
        if plan.is_closed(along, 0.6 + half, side) and along < plan.built and draft.claim(name, along, half):
            draft.put(thing, side * across, along, yaw, KERB)

    along = BEHIND + rng.uniform(0.0, 20.0)
    spacing = rng.uniform(18.0, 34.0)
    lamp = street_furniture.lamp_post(rng)
    while along < plan.built:
        put(lamp if rng.random() < 0.85 else street_furniture.pole(rng), along, side * np.pi / 2)
        along += spacing
    for along in rng.uniform(5.0, 130.0, rng.poisson(5.0)):
        sign = street_furniture.direction_sign(rng) if rng.random() < 0.12 else street_furniture.traffic_sign(rng)
        across = edge + max(0.55, 0.45 * sign.footprint[0])  # no post of a wide sign stands on the road
        put(sign, float(along), facing if rng.random() < 0.85 else facing + np.pi, across)
    if rng.random() < habits.railing:
        start, length = rng.uniform(0.0, 80.0), 2.0
        railing = street_furniture.fence(rng, length=length, kind="mesh" if rng.random() < 0.33 else "bars")
        for along in np.arange(start, start + rng.uniform(10.0, 40.0), length):
            put(railing, float(along), 0.0, edge + 0.3)
    if rng.random() < 0.22:
        start = rng.uniform(0.0, 90.0)
        bollard = street_furniture.bollard(rng)
        for along in np.arange(start, start + rng.uniform(6.0, 30.0), rng.uniform(1.5, 3.0)):
            put(bollard, float(along), 0.0, edge + 0.35)
    if (strip > 0.0 or plan.pavements[side > 0] > 2.2) and rng.random() < habits.street_trees:
        _tree_row(draft, side)
    for along in rng.uniform(0.0, 120.0, rng.poisson(3.5)):
        yaw = np.pi / 2 * rng.integers(0, 2) + rng.normal(0, 0.1)
        put(two_wheelers.bicycle(rng, ridden=False), float(along), yaw, edge + 0.95)
    for along in rng.uniform(0.0, 120.0, rng.poisson(0.6)):
        put(two_wheelers.motorcycle(rng, ridden=False), float(along), rng.normal(0.0, 0.3), edge + 0.8)
    for along in rng.uniform(0.0, 110.0, rng.poisson(1.2)):
        thing = street_furniture.bench(rng) if rng.random() < 0.4 else street_furniture.litter_bin(rng)
        put(thing, float(along), side * np.pi / 2, edge + 0.6)
    if rng.random() < 0.3:
        put(street_furniture.bus_shelter(rng), float(rng.uniform(15.0, 90.0)), side * np.pi / 2, edge + 1.2)


def _tree_row(draft: Draft, side: int) -> None:
    """Trees of one kind at one distance; close together they make an avenue."""
    rng, plan = draft.rng, draft.plan
    strip, kind = plan.strips[side > 0], draft.tree_kind()
    spacing, height = rng.uniform(6.0, 14.0), rng.uniform(6.0, 11.5)
    planted = [vegetation.tree(rng, kind=kind, height=float(height * rng.uniform(0.85, 1.15))) for _ in range(3)]
    middle = plan.edge(side) + (strip / 2 if strip > 0.0 else 0.6) + 0.16
    for along in np.arange(BEHIND, plan.built, spacing) + rng.uniform(-1.0, 1.0):
        if rng.random() < 0.9 and plan.is_closed(along, 0.8, side) and draft.claim(f"kerb{side}", float(along), 0.7):
            draft.put(planted[int(rng.integers(3))], side * middle, float(along), rng.uniform(0, 6.28), KERB)


def _park(draft: Draft, side: int) -> None:
    """A row of parked cars, with gaps or without, along the kerb or at an angle to it."""
    rng, plan = draft.rng, draft.plan
    width, angle = plan.parking[side > 0], plan.angles[side > 0]
    if not width:
        return
    along = BEHIND + rng.uniform(0.0, 6.0)
    density = float(rng.choice((0.2, 0.5, 0.8, 1.0), p=(0.2, 0.25, 0.25, 0.3)))
    gap = rng.uniform(0.35, 1.4)
    facing = _facing(plan, side)
    turn = side * angle if facing else -side * angle
    while along < plan.built - 4.0:
        thing = draft.car() if angle or rng.random() < 0.985 else trucks.truck(rng)
        length = 2.75 / np.sin(angle) if angle else thing.footprint[1] + gap
        if rng.random() > density:
            along += length
            continue
        if not plan.is_closed(along + length / 2, 0.5 + length / 2, side):
            along += 2.0
            continue
        reverse = np.pi if angle and rng.random() < 0.15 else 0.0
        yaw = facing + turn + reverse + rng.normal(0.0, 0.02)
        draft.put(thing, side * (plan.inner + width / 2 + 0.1), along + length / 2, yaw)
        along += length


def _people(draft: Draft, side: int) -> None:
    """Walkers alone, in groups and crowds, and those who wait at crossings."""
    rng, plan = draft.rng, draft.plan
    start, pavement = plan.walk(side), plan.pavements[side > 0]
    density = plan.habits.people * rng.choice((0.4, 1.0, 2.0, 3.5), p=(0.35, 0.35, 0.2, 0.1))
    places = rng.uniform(0.0, min(plan.built, 120.0), rng.poisson(density * 120.0 / 2.2))
    for along in places[[plan.is_closed(y, 2.0, side) for y in places]]:
        group = int(rng.choice((1, 2, 3, 4, 8), p=(0.58, 0.25, 0.09, 0.04, 0.04)))
        facing = 0.0 if rng.random() < 0.5 else np.pi
        moving = rng.random() < 0.7
        speed = rng.uniform(0.8, 1.6) if moving else 0.0
        for _ in range(group):
            walker = people.person(rng, walking=moving)
            across = start + rng.uniform(0.9, max(1.0, pavement - 0.4))
            yaw = facing + rng.normal(0, 0.12) if moving else rng.uniform(0, 2 * np.pi)
            draft.put(walker, side * across, float(along + rng.uniform(-1.1, 1.1) * max(1.0, group / 4)), yaw, KERB, speed)
    for crossing in plan.crossings:
        if crossing.has_signals and rng.random() < 0.7:
            along = crossing.start - crossing.radius - 2.0
            for _ in range(int(rng.integers(1, 9))):
                across = side * (plan.edge(side) + rng.uniform(0.5, 2.2))
                yaw = side * np.pi / 2 + rng.normal(0.0, 0.4)
                draft.put(people.person(rng, walking=False), across, along + rng.uniform(-1.4, 1.4), yaw, KERB)
