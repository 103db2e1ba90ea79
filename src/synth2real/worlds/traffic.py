"""What is on the road: vehicles that drive, wait and turn, cyclists, trams, and people who cross."""

import numpy as np

from synth2real.worlds.drafts import Draft
from synth2real.worlds.markings import zebra_places
from synth2real.worlds.meshes import SceneObject
from synth2real.worlds.objects import carriages, people, trucks, two_wheelers
from synth2real.worlds.plans import MOMENTS, Crossing


def fill_road(draft: Draft) -> None:
    """Puts everything on the road."""
    closed = _closed_crossing(draft)
    _lanes(draft, closed)
    _cyclists(draft)
    _trams(draft)
    for crossing in draft.plan.crossings:
        _cross_traffic(draft, crossing, crossing is closed)
    _crossing_people(draft, closed)


def _closed_crossing(draft: Draft) -> Crossing | None:
    """The crossing at which this street's traffic waits while another's passes."""
    first = next((c for c in draft.plan.crossings if c.has_signals and len(c.arms) == 2), None)
    return first if first and not draft.plan.tram and draft.rng.random() < 0.45 else None


def _lanes(draft: Draft, closed: Crossing | None) -> None:
    """Cars, trucks and buses on each lane; all of a lane keep their distance."""
    rng, plan = draft.rng, draft.plan
    density = rng.choice((0.25, 0.6, 1.2))
    for direction in (1, -1):
        side, yaw = plan.drive * direction, 0.0 if direction > 0 else np.pi
        for number in range(plan.lanes):
            across = side * (plan.median + (number + 0.5) * plan.lane)
            speed = 0.0 if rng.random() < 0.2 else rng.uniform(3.0, 9.0)
            along = rng.uniform(4.0, 30.0) if direction > 0 else rng.uniform(-10.0, 25.0)
            stop = plan.built - MOMENTS * speed * (direction > 0) if plan.ends_there else plan.built
            if closed is not None:
                before, behind = zebra_places(closed)
                _queue(draft, across, before - 2.9 if direction > 0 else behind + 2.9, direction)
                if direction > 0:
                    along += behind
                else:
                    stop = before - 8.0
            while along < stop:
                thing = _vehicle(draft)
                length = thing.footprint[1]
                draft.put(thing, across + rng.normal(0.0, 0.12), along + length / 2, yaw, 0.0, speed)
                along += length + 3.0 + rng.exponential(26.0 / density)


def _queue(draft: Draft, across: float, along: float, direction: int) -> None:
    """Vehicles that wait, the first at ``along``; no one comes from behind the end of a street."""
    rng, plan = draft.rng, draft.plan
    if along > plan.built:
        return
    for _ in range(int(rng.integers(0, 6))):
        thing = _vehicle(draft)
        length = thing.footprint[1]
        middle = along - direction * length / 2
        draft.put(thing, across + rng.normal(0.0, 0.12), middle, 0.0 if direction > 0 else np.pi)
        along -= direction * (length + rng.uniform(0.8, 2.5))


def _vehicle(draft: Draft) -> SceneObject:
    rng = draft.rng
    kind = rng.random()
    if kind < 0.85:
        return draft.car()
    return trucks.truck(rng) if kind < 0.92 else carriages.bus(rng)


def _cyclists(draft: Draft) -> None:
    rng, plan = draft.rng, draft.plan
    for _ in range(rng.poisson(plan.habits.cyclists)):
        side = int(rng.choice((-1, 1)))
        across = side * (plan.inner + (plan.cycling[side > 0] / 2 if plan.cycling[side > 0] else -0.55))
        rider = two_wheelers.bicycle(rng, ridden=True) if rng.random() < 0.72 else two_wheelers.motorcycle(rng, ridden=True)
        along, yaw = rng.uniform(5.0, min(70.0, plan.built - 30.0)), 0.0 if side == plan.drive else np.pi
        draft.put(rider, across, along, yaw, 0.0, rng.uniform(2.5, 5.0))


def _trams(draft: Draft) -> None:
    rng, plan = draft.rng, draft.plan
    if not plan.tram:
        return
    for side in (-1, 1):
        if rng.random() < 0.75:
            thing = carriages.train(rng)
            along = rng.uniform(15.0, max(16.0, plan.built - 70.0)) + thing.footprint[1] / 2
            draft.put(thing, side * 1.7, along, 0.0, 0.0, side * plan.drive * rng.uniform(1.0, 5.0))


def _cross_traffic(draft: Draft, crossing: Crossing, passes: bool) -> None:
    """Vehicles in side streets: some wait at the stop line; where this street's traffic waits, they pass or turn."""
    rng, plan = draft.rng, draft.plan
    middle, width = (crossing.start + crossing.stop) / 2, crossing.stop - crossing.start
    for side in crossing.arms:
        if passes or rng.random() > (0.75 if crossing.has_signals else 0.35):
            continue
        across = plan.edge(side) + crossing.radius + 4.6
        for _ in range(int(rng.integers(1, 4))):
            thing = draft.car()
            length = thing.footprint[1]
            along = middle + side * plan.drive * width / 4
            draft.put(thing, side * (across + length / 2), along, side * np.pi / 2 - draft.heading(along) + rng.normal(0.0, 0.03))
            across += length + rng.uniform(0.8, 2.5)
    if not passes:
        return
    if rng.random() < 0.3:
        turn = plan.drive * (plan.edge(plan.drive) - 1.2), crossing.start + 1.0
        draft.put(draft.car(), *turn, -plan.drive * rng.uniform(0.5, 1.0))
        return
    for direction in (-1, 1):
        speed = rng.uniform(3.0, 7.0)
        across = rng.uniform(0.0, 14.0)
        for _ in range(int(rng.integers(1, 4))):
            thing = _vehicle(draft)
            length = thing.footprint[1]
            along = middle - direction * plan.drive * width / 4
            yaw = -direction * np.pi / 2 - draft.heading(along)  # side streets do not turn with the bend
            draft.put(thing, -direction * (across + length / 2), along, yaw, 0.0, speed)
            across += length + rng.uniform(2.0, 10.0)


def _crossing_people(draft: Draft, closed: Crossing | None) -> None:
    rng, plan = draft.rng, draft.plan
    edge = max(plan.edge(-1), plan.edge(1))
    places = rng.uniform(12.0, 90.0, rng.poisson(0.6)).tolist()
    for crossing in plan.crossings:
        before, behind = zebra_places(crossing)
        crowd = 5.0 if crossing is closed else (0.8 if crossing.has_signals else 0.4)
        places += [before] * int(rng.poisson(crowd)) + [behind] * int(rng.poisson(0.5 * crowd))
    for along in places:
        if along > plan.built:
            continue
        facing = rng.choice((-1.0, 1.0))
        across = -facing * rng.uniform(-0.9, 0.9) * edge
        walker = people.person(rng, walking=True)
        draft.put(walker, across, along + rng.uniform(-1.2, 1.2), -facing * np.pi / 2, 0.0, rng.uniform(0.5, 1.0))
