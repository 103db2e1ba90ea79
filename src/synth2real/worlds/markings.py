"""Paint on the road: lines, arrows, crossings for pedestrians, stop lines, lanes of another colour, hatched areas."""

from typing import Final

import numpy as np

from synth2real.worlds.drafts import Draft
from synth2real.worlds.plans import BEHIND, Crossing

WHITE: Final = np.array((0.62, 0.62, 0.6))
YELLOW: Final = np.array((0.55, 0.36, 0.04))
_BUS_LANES: Final = ((0.24, 0.05, 0.035), (0.05, 0.15, 0.06))


def rectangles(across: np.ndarray, along: np.ndarray, width: float, length: float) -> np.ndarray:
    """(k, 4, 2) corners of rectangles about these centres, ``width`` across the street and ``length`` along it."""
    offsets = np.array(((-width, -length), (width, -length), (width, length), (-width, length))) / 2.0
    return np.asarray(np.stack((across, along), axis=-1)[:, None] + offsets)


def zebra_places(crossing: Crossing) -> tuple[float, float]:
    """Where people cross the street before and behind a crossing, metres along."""
    return crossing.start - crossing.radius - 2.0, crossing.stop + crossing.radius + 2.0


def paint_road(draft: Draft) -> None:
    """Paints the whole road, as worn as it is."""
    worn = draft.rng.uniform(0.55, 1.0)
    _coloured_lanes(draft)
    _lines(draft, worn)
    _crossings(draft, worn)
    _arrows(draft, worn)


def _lines(draft: Draft, worn: float) -> None:
    rng, plan = draft.rng, draft.plan
    width = rng.uniform(0.1, 0.16)
    dash, gap = rng.uniform(1.5, 4.0), rng.uniform(2.5, 7.0)
    dashes = np.arange(BEHIND, plan.stop - 20.0 if plan.ends_there else plan.stop, dash + gap)
    dashes = dashes[[plan.is_closed(y, 4.5 + dash / 2) for y in dashes]]
    dashed: list[float] = []
    yellow = WHITE
    if rng.random() < plan.habits.yellow:
        yellow = YELLOW
    if plan.median == 0.0 and rng.random() < 0.9:
        if yellow is YELLOW or rng.random() < 0.25:
            for offset in (-0.14, 0.14) if rng.random() < 0.7 else (0.0,):
                _line(draft, offset, width, yellow * worn)
        else:
            dashed.append(0.0)
    for number in range(1, plan.lanes):
        across = plan.median + number * plan.lane
        dashed += [across, -across]
    if plan.median > 0.0 and rng.random() < 0.6:
        for side in (-1, 1):
            _line(draft, side * plan.median, width, yellow * worn)
    for side in (-1, 1):
        if plan.parking[side > 0]:
            _bays(draft, side, worn)
        elif plan.cycling[side > 0]:
            _line(draft, side * plan.inner, 0.14, WHITE * worn)
        elif rng.random() < 0.5:
            double_yellow = plan.drive < 0 and rng.random() < 0.6
            for offset in (0.3, 0.5) if double_yellow else (0.3,):
                _line(draft, side * (plan.edge(side) - offset), 0.09, (YELLOW if double_yellow else WHITE) * worn)
    for across in dashed:
        draft.paint(rectangles(np.full(len(dashes), across), dashes, width, dash), WHITE * worn)


def _line(draft: Draft, across: float, width: float, colour: np.ndarray) -> None:
    for start, stop in draft.plan.stretches(BEHIND, min(draft.plan.built + 20.0, draft.plan.stop), margin=6.0):
        along = np.arange(start, stop - 2.0, 4.0) + 2.0
        draft.paint(rectangles(np.full(len(along), across), along, width, 4.0), colour)


def _bays(draft: Draft, side: int, worn: float) -> None:
    """A line beside parked cars, or one between any two of them."""
    rng, plan = draft.rng, draft.plan
    kind = rng.random()
    if kind < 0.35:
        _line(draft, side * plan.inner, 0.1, WHITE * worn)
    elif kind < 0.75:
        angle, depth = plan.angles[side > 0], plan.parking[side > 0]
        pitch = 5.8 if angle == 0.0 else 2.7 / np.sin(angle)
        along = np.arange(BEHIND, plan.built, pitch)
        along = along[[plan.is_closed(y, 3.0, side) for y in along]]
        lean = 0.0 if angle in (0.0, np.pi / 2) else depth / np.tan(angle)
        middle = np.full(len(along), side * (plan.inner + depth / 2))
        lines = rectangles(middle, along, depth - 0.2, 0.1)
        lines[..., 1] += lean * (side * lines[..., 0] - plan.inner - depth / 2) / depth
        draft.paint(lines, WHITE * worn)


def _coloured_lanes(draft: Draft) -> None:
    rng, plan = draft.rng, draft.plan
    for side in (-1, 1):
        lanes = []
        if plan.cycling[side > 0]:
            colours = plan.habits.cycle_colours
            colour = colours[int(rng.integers(len(colours)))]
            lanes.append((plan.inner + plan.cycling[side > 0] / 2, plan.cycling[side > 0] - 0.1, colour))
        if plan.lanes > 1 and rng.random() < plan.habits.bus_lane:
            lanes.append((plan.inner - plan.lane / 2, plan.lane - 0.2, _BUS_LANES[int(rng.integers(2))]))
        for middle, width, colour in lanes:
            if colour is not None:
                for start, stop in plan.stretches(BEHIND, plan.built, margin=2.0):
                    along = np.arange(start, stop - 2.0, 4.0) + 2.0
                    draft.cover(rectangles(np.full(len(along), side * middle), along, width, 4.0), colour, "asphalt", 0.009)


def _crossings(draft: Draft, worn: float) -> None:
    rng, plan = draft.rng, draft.plan
    white = WHITE * worn
    kind = int(rng.choice(3, p=plan.habits.zebras))
    half = plan.lanes * plan.lane
    for crossing in plan.crossings:
        marked = crossing.has_signals or rng.random() < 0.4
        at_tee = plan.ends_there and crossing is plan.crossings[-1]
        for place, forward in zip(zebra_places(crossing), (-1, 1), strict=True):
            if not marked or (at_tee and forward > 0):
                continue
            _zebra(draft, (-plan.edge(-1), plan.edge(1)), place, kind, white)
            lane = -forward * plan.drive * (plan.median + half / 2)
            draft.paint(rectangles(np.array([lane]), np.array([place + 2.4 * forward]), half, 0.4), white)
        for side in crossing.arms:
            _arm(draft, crossing, side, kind if marked else -1, white)
    if rng.random() < 0.3:
        place = float(rng.uniform(12.0, 80.0))
        if plan.is_closed(place, 10.0):
            _zebra(draft, (-plan.edge(-1), plan.edge(1)), place, kind, white)
    if rng.random() < 0.2 and plan.crossings and plan.median > 1.2 and not plan.tram:
        _hatching(draft, plan.crossings[0].start - 5.0, white)


def _zebra(draft: Draft, reach: tuple[float, float], along: float, kind: int, colour: np.ndarray) -> None:
    """A crossing for pedestrians over a street: bars, two lines, or both."""
    if kind != 1:
        bars = np.arange(reach[0] + 0.6, reach[1] - 0.3, 1.0)
        draft.paint(rectangles(bars, np.full(len(bars), along), 0.5, 2.8), colour)
    if kind != 0:
        middle, width = np.full(2, (reach[0] + reach[1]) / 2), reach[1] - reach[0]
        draft.paint(rectangles(middle, along + np.array((-1.55, 1.55)), width - 0.2, 0.3), colour)


def _arm(draft: Draft, crossing: Crossing, side: int, zebra: int, colour: np.ndarray) -> None:
    """A side street's paint: a crossing, if any, a stop line and dashes."""
    plan = draft.plan
    across = plan.edge(side) + crossing.radius + 2.0
    middle, width = (crossing.start + crossing.stop) / 2, crossing.stop - crossing.start
    if zebra >= 0:
        bars = np.arange(crossing.start + 0.6, crossing.stop - 0.3, 1.0)
        if zebra != 1:
            draft.paint(rectangles(np.full(len(bars), side * across), bars, 2.8, 0.5), colour)
        if zebra != 0:
            lines = side * (across + np.array((-1.55, 1.55)))
            draft.paint(rectangles(lines, np.full(2, middle), 0.3, width - 0.2), colour)
    incoming = middle + side * plan.drive * width / 4  # half of the arm on which one drives towards the crossing
    draft.paint(rectangles(np.array([side * (across + 2.3)]), np.array([incoming]), 0.4, width / 2 - 0.2), colour)
    dashes = np.arange(across + 4.5, across + 45.0, 6.0)
    draft.paint(rectangles(side * dashes, np.full(len(dashes), middle), 3.0, 0.12), colour)


def _hatching(draft: Draft, stop: float, colour: np.ndarray) -> None:
    """Slanting bars on the strip between both directions, before a crossing."""
    half = draft.plan.median - 0.35
    along = np.arange(stop - 4.5, stop, 1.2)
    bars = rectangles(np.zeros(len(along)), along, 2 * half, 0.35)
    bars[..., 1] += 0.5 * bars[..., 0]
    draft.paint(bars, colour)


def _arrows(draft: Draft, worn: float) -> None:
    rng, plan = draft.rng, draft.plan
    places = [crossing.start - crossing.radius - 12.0 for crossing in plan.crossings if rng.random() < 0.6]
    places += rng.uniform(10.0, 100.0, rng.integers(0, 3)).tolist()
    for along in places:
        if plan.is_closed(along, 4.0):
            for lane in range(plan.lanes):
                x = plan.drive * (plan.median + plan.lane * (lane + 0.5))
                turn = 0 if plan.lanes == 1 else int(rng.choice((-1, 0, 1)))
                draft.paint(_arrow(x, along, turn), WHITE * worn)


def _arrow(x: float, y: float, turn: int) -> np.ndarray:
    """Ahead (0), or to the left (-1) or right (1)."""
    shaft = rectangles(np.array([x]), np.array([y]), 0.16, 2.2)
    if turn == 0:
        tip = np.array(
            [
                [(x - 0.45, y + 1.1), (x, y + 1.1), (x, y + 2.4), (x, y + 2.4)],
                [(x, y + 1.1), (x + 0.45, y + 1.1), (x, y + 2.4), (x, y + 2.4)],
            ]
        )
        return np.concatenate((shaft, tip))
    arm = rectangles(np.array([x + turn * 0.25]), np.array([y + 1.0]), 0.6, 0.18)
    ends = [(x + turn * 0.5, y + 0.55), (x + turn * 1.05, y + 1.0), (x + turn * 1.05, y + 1.0), (x + turn * 0.5, y + 1.45)]
    return np.concatenate((shaft, arm, np.array([ends if turn > 0 else ends[::-1]])))
