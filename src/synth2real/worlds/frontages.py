"""What stands behind the pavements: buildings, parks, walled gardens, the houses of side streets, and what closes the view."""

from collections.abc import Callable
from typing import Final

import numpy as np

from synth2real.worlds.drafts import Draft
from synth2real.worlds.meshes import SceneObject
from synth2real.worlds.objects import buildings, street_furniture, vegetation
from synth2real.worlds.plans import BEHIND, KERB, LENGTH, SIDE_PAVEMENT, SIDE_REACH
from synth2real.worlds.rendering import FLAT, Lamp

_LONGEST: Final = 10.0  # length of one piece of fence, wall or hedge: on hills a longer one would leave the ground, metres
_SHOP_LIGHT: Final = (0.3, 0.25, 0.17)  # irradiance before lit shops


def line_street(draft: Draft) -> None:
    """Puts up everything behind the pavements."""
    for side in (-1, 1):
        _frontage(draft, side)
        _side_streets(draft, side)
    _end(draft)
    _skyline(draft)


def _frontage(draft: Draft, side: int) -> None:
    """Buildings, parks and walls along one side."""
    rng, plan = draft.rng, draft.plan
    habits, front = plan.habits, plan.front(side)
    for start, stop in plan.stretches(BEHIND, min(plan.built + 22.0, plan.stop), side, margin=SIDE_PAVEMENT):
        along = start
        while along < stop - 2.0:
            kind = rng.random()
            house = draft.building(stop - along) if kind > habits.park + habits.wall or along == start else None
            if house is not None:
                width, depth = house.footprint
                setback = float(rng.uniform(2.0, 6.0)) if rng.random() < habits.setback else 0.0
                draft.house(house, side * (front + setback + depth / 2), along + width / 2, side * np.pi / 2)
                if setback > 0.0:
                    _front_garden(draft, side, front, along, width)
                elif draft.evening and rng.random() < 0.5:
                    x, y = side * (front - 1.2) + draft.centre(along + width / 2), along + width / 2
                    draft.lamps.append(Lamp(x, y, draft.height(y) + 2.6, 2.6, _SHOP_LIGHT))
                along += width + (0.02 if rng.random() < habits.terraced else float(rng.uniform(1.0, 5.0)))
                continue
            length = min(float(rng.uniform(8.0, 30.0)), stop - along)
            if kind < habits.park and length > 8.0:
                _park(draft, side, front, along, length)
            else:
                _walled_garden(draft, side, front, along, length)
            along += length


def _side_streets(draft: Draft, side: int) -> None:
    """Houses along the streets that open on one side, and trees where they bend away."""
    plan = draft.plan
    front = plan.front(side)
    for crossing in plan.crossings:
        if side not in crossing.arms:
            continue
        faces = [(crossing.start, -1.0)]
        if not (plan.ends_there and crossing is plan.crossings[-1]):
            faces.append((crossing.stop, 1.0))
        for edge, sign in faces:
            across = front + 21.0
            while across < front + 48.0:
                house = draft.building(20.0)
                if house is None:
                    break
                width, depth = house.footprint
                along = edge + sign * (depth / 2 + SIDE_PAVEMENT)
                yaw = (np.pi if sign > 0 else 0.0) - draft.heading(along)  # side streets do not turn with the bend
                draft.house(house, side * (across + width / 2), along, yaw)
                across += width + 0.02
        for across in (SIDE_REACH + 2.0, SIDE_REACH + 7.0):
            middle = (crossing.start + crossing.stop) / 2
            draft.tree(side * (plan.edge(side) + across), middle + draft.rng.uniform(-3.0, 3.0), 0.0)


def _park(draft: Draft, side: int, front: float, along: float, length: float) -> None:
    rng = draft.rng
    _barrier(draft, side, front + 0.3, along, length)
    for _ in range(int(rng.integers(2, 3 + int(length / 5)))):
        draft.tree(side * (front + rng.uniform(2.5, 14.0)), along + rng.uniform(1.5, length))
    for _ in range(int(rng.integers(0, 4))):
        across, bush_along = side * (front + rng.uniform(1.2, 8.0)), along + rng.uniform(1.0, length)
        draft.put(vegetation.bush(rng), across, bush_along, rng.uniform(0, 6.28), KERB)
    _row(draft, lambda piece: vegetation.hedge(rng, piece, float(rng.uniform(3.0, 7.0))), side * (front + 16.0), along, length)


def _walled_garden(draft: Draft, side: int, front: float, along: float, length: float) -> None:
    rng = draft.rng
    if length < 1.0:
        return
    _row(draft, lambda piece: street_furniture.wall(rng, piece), side * (front + 0.3), along, length)
    for _ in range(int(rng.integers(1, 2 + int(length / 5)))):
        draft.tree(side * (front + rng.uniform(3.0, 9.0)), along + rng.uniform(0.0, length))


def _front_garden(draft: Draft, side: int, front: float, along: float, length: float) -> None:
    _barrier(draft, side, front + 0.25, along, length)
    if draft.rng.random() < 0.5:
        bush = vegetation.bush(draft.rng)
        draft.put(bush, side * (front + 1.3), along + draft.rng.uniform(1.0, length - 1.0), 0.0, KERB)


def _barrier(draft: Draft, side: int, across: float, along: float, length: float) -> None:
    """A fence, often before a hedge, or a hedge, or a wall; now and then nothing."""
    rng = draft.rng
    kind = rng.random()
    if length < 1.5 or kind < 0.15:
        return
    makers: tuple[Callable[..., SceneObject], ...] = (street_furniture.fence, vegetation.hedge, street_furniture.wall)
    maker = makers[0 if kind < 0.65 else (1 if kind < 0.83 else 2)]
    _row(draft, lambda piece: maker(rng, piece), side * across, along, length)
    if maker is street_furniture.fence and rng.random() < 0.7:
        height = float(rng.uniform(0.8, 2.6))
        _row(draft, lambda piece: vegetation.hedge(rng, piece, height), side * (across + 0.9), along, length)


def _row(draft: Draft, maker: Callable[[float], SceneObject], across: float, along: float, length: float) -> None:
    """Equal pieces of something long, end to end; on level streets a single one."""
    count = 1 if draft.plan.relief is FLAT else max(1, int(np.ceil(length / _LONGEST)))
    thing = maker(length / count)
    for number in range(count):
        draft.put(thing, across, along + (number + 0.5) * length / count, 0.0, KERB)


def _end(draft: Draft) -> None:
    """What closes the view: the far side of the street in which this one ends, or houses and trees at its bend."""
    rng, plan = draft.rng, draft.plan
    along = plan.stop + 5.2 if plan.ends_there else LENGTH + 27.0
    if plan.ends_there or rng.random() < 0.6:
        across, reach = -48.0, 48.0
        while across < reach:
            house = draft.building(24.0)
            if house is None:
                break
            width, depth = house.footprint
            draft.house(house, across + width / 2, along + depth / 2, np.pi)
            across += width + 0.02
    if not plan.ends_there:
        for across in rng.uniform(-30.0, 30.0, rng.integers(5, 12)):
            draft.tree(float(across), along - 1.0 - rng.uniform(0.0, 4.0), 0.0)


def _skyline(draft: Draft) -> None:
    """Tall buildings far off, over the roofs."""
    rng = draft.rng
    if rng.random() > draft.plan.habits.skyline:
        return
    towers = [buildings.tower(rng, 0.6 * draft.evening) for _ in range(3)]
    for _ in range(int(rng.integers(1, 7))):
        across, along = float(rng.uniform(-130.0, 130.0)), float(rng.uniform(draft.plan.stop + 60.0, 360.0))
        draft.house(towers[int(rng.integers(3))], across, along, float(rng.choice((0.0, np.pi / 2))))
