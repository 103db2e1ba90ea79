"""Plans of streets: what lies across one, where others cross it, how it rises and falls; and the habits of cities.

A street runs along +y around a gently bending centre line. Across it lie, from the middle outward: tram tracks or a green median,
lanes, parked cars, kerb, grass, the pavement that people walk on, and the frontage. American streets are wide, with yellow lines,
signals over the road, palms and set-back offices; European ones are narrow, between terraces and shops, with more cyclists.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from synth2real.worlds.objects.vegetation import TreeKind
from synth2real.worlds.rendering import FLAT, Relief

City = Literal["american", "european"]

KERB: Final = 0.12
"""Height of pavements, metres."""
BEHIND: Final = -14.0
"""Where streets begin; cameras stand from 0 on."""
LENGTH: Final = 125.0
"""Where what stands along a street ends, if it does not end earlier in another street."""
SIDE_PAVEMENT: Final = 2.6
"""Width of the pavements along side streets, metres."""
MOMENTS: Final = 6.0
"""Seconds within which views are taken."""
SIDE_REACH: Final = 70.0
"""Length of side streets that is built, metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the streets of a city differ.

    Attributes:
        drives_left: probability, as all that are not said to be something else.
        lanes: probabilities of one, two and three lanes in each direction.
        lane: least and largest width of a lane, metres.
        pavement: least and largest width of a pavement, metres.
        parked: of a row of parked cars on a side.
        angled: of cars that park at an angle, if they park.
        tram: of tram tracks in the middle.
        median: of a green median, where there is more than one lane.
        cycle_lane: of a cycle lane on a side without parked cars.
        cycle_colours: of cycle lanes; none is the road's own.
        bus_lane: of a bus lane's colour on the outermost of several lanes.
        yellow: of yellow lines in the middle.
        hilly: of a street that is not level.
        tee: of a street that ends in another one.
        overhead: of signals that hang over the road.
        street_trees: of a row of trees on a side.
        trees: weights of the kinds of trees.
        grass_strip: of grass between kerb and pavement.
        terraced: of buildings without gaps.
        setback: of buildings behind a front garden.
        buildings: weights of houses, apartment blocks, offices, shop rows and stores.
        skyline: of tall buildings far off.
        park: of a park instead of a building.
        wall: of a walled garden instead of a building.
        railing: of a railing at the kerb.
        people: on each metre of pavement.
        cyclists: mean number on the road.
        asphalt: darkest and lightest albedo.
        zebras: weights of crossings of bars, of two lines, and of both.
    """

    drives_left: float
    lanes: tuple[float, float, float]
    lane: tuple[float, float]
    pavement: tuple[float, float]
    parked: float
    angled: float
    tram: float
    median: float
    cycle_lane: float
    cycle_colours: tuple[tuple[float, float, float] | None, ...]
    bus_lane: float
    yellow: float
    hilly: float
    tee: float
    overhead: float
    street_trees: float
    trees: dict[TreeKind, float]
    grass_strip: float
    terraced: float
    setback: float
    buildings: tuple[float, float, float, float, float]
    skyline: float
    park: float
    wall: float
    railing: float
    people: float
    cyclists: float
    asphalt: tuple[float, float]
    zebras: tuple[float, float, float]


HABITS: Final[dict[City, Habits]] = {
    "american": Habits(
        drives_left=0.15, lanes=(0.4, 0.42, 0.18), lane=(3.1, 3.8), pavement=(2.2, 6.0), parked=0.45, angled=0.15, tram=0.1,
        median=0.3, cycle_lane=0.2, cycle_colours=(None, (0.03, 0.16, 0.07)), bus_lane=0.12, yellow=0.75, hilly=0.6, tee=0.25,
        overhead=0.75, street_trees=0.65,
        trees={"round": 0.22, "oval": 0.16, "spreading": 0.2, "palm": 0.24, "conifer": 0.1, "bare": 0.05, "poplar": 0.03},
        grass_strip=0.3, terraced=0.55, setback=0.35, buildings=(0.2, 0.2, 0.2, 0.26, 0.14), skyline=0.7,
        park=0.18, wall=0.09, railing=0.25, people=0.14, cyclists=1.7, asphalt=(0.06, 0.22), zebras=(0.35, 0.25, 0.4),
    ),
    "european": Habits(
        drives_left=0.0, lanes=(0.76, 0.22, 0.02), lane=(2.75, 3.4), pavement=(1.8, 5.0), parked=0.65, angled=0.12, tram=0.16,
        median=0.3, cycle_lane=0.35, cycle_colours=(None, None, (0.2, 0.055, 0.04)), bus_lane=0.06, yellow=0.03, hilly=0.4,
        tee=0.25, overhead=0.3, street_trees=0.8,
        trees={"round": 0.33, "oval": 0.28, "spreading": 0.16, "bare": 0.17, "poplar": 0.04, "conifer": 0.02},
        grass_strip=0.3, terraced=0.82, setback=0.15, buildings=(0.12, 0.36, 0.07, 0.42, 0.03), skyline=0.35, park=0.2, wall=0.08,
        railing=0.3, people=0.19, cyclists=2.8, asphalt=(0.08, 0.16), zebras=(0.8, 0.17, 0.03),
    ),
}  # fmt: skip


class Crossing(NamedTuple):
    """Another street that opens between ``start`` and ``stop``, metres along.

    Attributes:
        start: where its nearer kerb is.
        stop: where its farther kerb is.
        arms: sides on which it opens, -1 left and 1 right.
        radius: of the rounded kerbs at its corners, metres.
        has_signals: whether traffic lights stand at its corners.
    """

    start: float
    stop: float
    arms: tuple[int, ...]
    radius: float
    has_signals: bool


class Plan(NamedTuple):
    """What lies across a street, and what crosses it. Pairs are (left, right); lengths in metres.

    Attributes:
        habits: of its city.
        drive: side that one drives on, -1 left or 1 right.
        lanes: lanes for each direction.
        lane: width of one.
        median: half the width of the strip between both directions.
        tram: whether trams run on that strip.
        parking: widths of the parked cars' rows, or 0.
        angles: turns of the parked cars against the street's direction.
        cycling: widths of the cycle lanes, or 0.
        strips: widths of the grass between kerb and pavement, or 0.
        pavements: widths of the pavements.
        crossings: by rising ``start``; at the last one the street ends if ``ends_there``.
        ends_there: whether the last crossing is a T: the street goes no further.
        relief: how it rises and falls.
        bend: how far the centre line is off the y axis at 100 m.
    """

    habits: Habits
    drive: int
    lanes: int
    lane: float
    median: float
    tram: bool
    parking: tuple[float, float]
    angles: tuple[float, float]
    cycling: tuple[float, float]
    strips: tuple[float, float]
    pavements: tuple[float, float]
    crossings: tuple[Crossing, ...]
    ends_there: bool
    relief: Relief
    bend: float

    @property
    def inner(self) -> float:
        """Half the width of the driving lanes of both directions and what lies between them."""
        return self.median + self.lanes * self.lane

    @property
    def stop(self) -> float:
        """Where the street ends."""
        return self.crossings[-1].stop if self.ends_there else LENGTH + 30.0

    @property
    def built(self) -> float:
        """Where what stands along the street ends."""
        return min(LENGTH, self.crossings[-1].start - 2.0) if self.ends_there else LENGTH

    def edge(self, side: int) -> float:
        """Distance of a side's kerb from the centre line; -1 is left, 1 is right."""
        return self.inner + self.parking[side > 0] + self.cycling[side > 0]

    def walk(self, side: int) -> float:
        """Distance at which a side's pavement begins."""
        return self.edge(side) + self.strips[side > 0]

    def front(self, side: int) -> float:
        """Distance at which a side's pavement ends."""
        return self.walk(side) + self.pavements[side > 0]

    def stretches(self, start: float, stop: float, side: int = 0, margin: float = 0.0) -> list[tuple[float, float]]:
        """What is left of [start, stop] between the streets that open on a side (0: on any), grown by ``margin``."""
        left, low = [], start
        for crossing in self.crossings:
            if side == 0 or side in crossing.arms:
                left.append((low, min(stop, crossing.start - margin)))
                low = crossing.stop + margin
        left.append((low, stop))
        return [(a, b) for a, b in left if b - a > 0.5]

    def is_closed(self, along: float, margin: float, side: int = 0) -> bool:
        """Whether no street opens, with its rounded kerbs, on a side (0: on any) within ``margin`` of ``along``."""
        return all(
            along < crossing.start - crossing.radius - margin or along > crossing.stop + crossing.radius + margin
            for crossing in self.crossings
            if side == 0 or side in crossing.arms
        )


def plan(rng: np.random.Generator, city: City) -> Plan:
    """A random street's plan."""
    habits = HABITS[city]
    lanes = 1 + int(rng.choice(3, p=habits.lanes))
    tram = bool(rng.random() < habits.tram and lanes < 3)
    parked, grass = rng.random(2) < habits.parked, rng.random(2) < habits.grass_strip
    angles = np.where(rng.random(2) < habits.angled, rng.choice((0.7, 1.0, np.pi / 2), 2), 0.0)
    parking = np.where(angles > 0.0, 4.9, 2.2) * parked
    cycling = rng.uniform(1.4, 2.0, 2) * (rng.random(2) < habits.cycle_lane) * ~parked
    median = 3.4 if tram else (float(rng.uniform(1.0, 3.0)) if lanes > 1 and rng.random() < habits.median else 0.0)
    lane = float(rng.uniform(*habits.lane))
    strips, pavements = rng.uniform(1.0, 2.5, 2) * grass, rng.uniform(*habits.pavement, 2)
    crossings, ends_there = _crossings(rng, habits, 2.0 * lanes * lane + 2.0 * median, float(pavements.min()))
    return Plan(
        habits=habits,
        drive=-1 if rng.random() < habits.drives_left else 1,
        lanes=lanes,
        lane=lane,
        median=median,
        tram=tram,
        parking=_pair(parking),
        angles=_pair(angles),
        cycling=_pair(cycling),
        strips=_pair(strips),
        pavements=_pair(pavements),
        crossings=crossings,
        ends_there=ends_there,
        relief=_relief(rng, 0.035 if tram else 0.08) if rng.random() < habits.hilly else FLAT,
        bend=float(rng.normal(0.0, 6.0)) if rng.random() < 0.5 else 0.0,
    )


def _crossings(rng: np.random.Generator, habits: Habits, width: float, pavement: float) -> tuple[tuple[Crossing, ...], bool]:
    """Crossroads as wide as the street (``width``), and narrower streets that open on both sides or on one."""
    crossings: list[Crossing] = []
    ends_there = bool(rng.random() < habits.tee)
    along, last = float(rng.uniform(14.0, 50.0)), float(rng.uniform(80.0, 118.0)) if ends_there else 135.0
    while along < last - 30.0 and len(crossings) < 2:
        kind = rng.random()
        if kind < 0.8:
            is_large = kind < 0.45
            size = float(max(8.0, width * rng.uniform(0.8, 1.15))) if is_large else float(rng.uniform(6.0, 9.0))
            arms = (-1, 1) if is_large or rng.random() < 0.4 else (int(rng.choice((-1, 1))),)
            radius = min(float(rng.uniform(3.0, 7.0) if is_large else rng.uniform(1.5, 4.0)), pavement + 1.0)
            crossings.append(Crossing(along, along + size, arms, radius, bool(rng.random() < (0.85 if is_large else 0.2))))
            along += size
        along += float(rng.uniform(38.0, 75.0))
    if ends_there:
        size = float(rng.uniform(7.0, 14.0))
        crossings.append(Crossing(last, last + size, (-1, 1), min(4.0, pavement + 1.0), bool(rng.random() < 0.5)))
    return tuple(crossings), ends_there


def _relief(rng: np.random.Generator, steepest: float) -> Relief:
    """A slope, a sag or a crest, or more than one of them; level at y = 0."""
    knots = np.arange(-60.0, 301.0, 45.0)
    rise = np.clip(rng.normal(0.0, 0.45) + rng.normal(0.0, 0.6) * np.linspace(-1.5, 1.5, len(knots)), -1.0, 1.0) * steepest
    along = np.arange(-60.0, 261.0, 2.0)
    slope: Float[np.ndarray, n] = np.interp(along, knots, rise + rng.normal(0.0, 0.1 * steepest, len(knots)))
    height = np.concatenate(([0.0], np.cumsum(slope[1:] + slope[:-1])))
    return Relief(along, height - np.interp(0.0, along, height))


def _pair(values: Float[np.ndarray, "2"]) -> tuple[float, float]:
    return float(values[0]), float(values[1])
