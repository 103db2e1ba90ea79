"""Scene grammar: a random street as a value, with the views that a car driving along it has.

A street runs along +y around a gently bending centre line. Across it lie, from the middle outward: tram tracks or a green median,
lanes, parked cars, kerb, furniture, the pavement people walk on, and the frontage (buildings, parks, walls). Side streets open
the frontage now and then. Positions are given as (across, along) and laid on the bending centre line at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from synth2real.label_space import LABEL_BY_NAME
from synth2real.worlds import looks
from synth2real.worlds.meshes import Mesh, Part, SceneObject, grid, quads
from synth2real.worlds.objects import buildings, people, street_furniture, two_wheelers, vegetation, vehicles
from synth2real.worlds.rendering import Placed, Scene, View

ROAD: Final = LABEL_BY_NAME["road"].label_id
SIDEWALK: Final = LABEL_BY_NAME["sidewalk"].label_id
TERRAIN: Final = LABEL_BY_NAME["terrain"].label_id
RAIL_TRACK: Final = LABEL_BY_NAME["rail track"].label_id

_KERB: Final = 0.12  # height of pavements, metres
_LENGTH: Final = 125.0  # metres that are built in front of the first camera position
_BEHIND: Final = -14.0
_DRIVE: Final = 60.0  # metres along which cameras stand
_SIDE_PAVEMENT: Final = 2.2  # width of the pavements along side streets, metres
_KERB_STONE: Final = 0.16  # width of a kerb stone, metres
_TREE_KINDS: Final = 6
_CAR_KINDS: Final = 14
_BUILDING_KINDS: Final = 16
WHITE: Final = (0.62, 0.62, 0.6)
YELLOW: Final = (0.55, 0.4, 0.05)
_LONGEST_OBSTACLE: Final = 24.0  # what is longer and stands still lines the street, metres
_PIECE: Final = 24.0  # length in which the ground is cut, so that what is out of view can be left out, metres
_MARKING: Final = 0.012  # height of paint above the road, metres


Tone = float | tuple[float, float, float]
"""A grey or a linear RGB albedo."""


class Street(NamedTuple):
    """A scene and where to look at it from.

    Attributes:
        scene: what there is.
        views: cameras.
        exposure: brightness of all views.
    """

    scene: Scene
    views: tuple[View, ...]
    exposure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habits:
    """How streets of a look differ: probabilities, and colours of the ground."""

    drives_left: float
    parked: float
    tram: float
    median: float
    street_trees: float
    grass_strip: float
    terraced: float
    park: float
    wall: float
    railing: float
    people: float  # a metre of pavement
    cyclists: float
    asphalt: tuple[float, float]


_HABITS: Final = {
    "game": _Habits(
        drives_left=0.4, parked=0.5, tram=0.15, median=0.15, street_trees=0.8, grass_strip=0.25, terraced=0.75, park=0.2,
        wall=0.08, railing=0.35, people=0.14, cyclists=2.2, asphalt=(0.06, 0.2),
    ),
    "camera": _Habits(
        drives_left=0.0, parked=0.6, tram=0.15, median=0.2, street_trees=0.85, grass_strip=0.3, terraced=0.8, park=0.24,
        wall=0.08, railing=0.3, people=0.17, cyclists=2.6, asphalt=(0.08, 0.16),
    ),
}  # fmt: skip


class _Profile(NamedTuple):
    """What lies across a street, and where side streets open. Pairs are (left, right); lengths in metres.

    Attributes:
        drive: side that one drives on, -1 left or 1 right.
        lanes: lanes for each direction.
        lane: width of one.
        median: half the width of the strip between both directions.
        tram: whether trams run on that strip.
        parking: widths of the parked cars' rows, or 0.
        strips: widths of the grass between kerb and pavement, or 0.
        pavements: widths of the pavements.
        crossings: spans along the street where side streets open.
    """

    drive: int
    lanes: int
    lane: float
    median: float
    tram: bool
    parking: tuple[float, float]
    strips: tuple[float, float]
    pavements: tuple[float, float]
    crossings: tuple[tuple[float, float], ...]

    @property
    def inner(self) -> float:
        """Half the width of the road without parked cars."""
        return self.median + self.lanes * self.lane

    def edge(self, side: int) -> float:
        """Distance of a side's kerb from the centre line; -1 is left, 1 is right."""
        return self.inner + self.parking[side > 0]

    def walk(self, side: int) -> float:
        """Distance at which a side's pavement begins."""
        return self.edge(side) + self.strips[side > 0]

    def front(self, side: int) -> float:
        """Distance at which a side's pavement ends."""
        return self.walk(side) + self.pavements[side > 0]

    def stretches(self, start: float, stop: float, margin: float = 0.0) -> list[tuple[float, float]]:
        """What is left of [start, stop] without the side streets, grown by ``margin``."""
        left, low = [], start
        for a, b in self.crossings:
            left.append((low, a - margin))
            low = b + margin
        left.append((low, stop))
        return [(a, b) for a, b in left if b - a > 0.5]

    def is_closed(self, along: float, margin: float) -> bool:
        """Whether no side street opens within ``margin`` of ``along``."""
        return all(along < a - margin or along > b + margin for a, b in self.crossings)


def _pair(values: Float[np.ndarray, "2"]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _profile(rng: np.random.Generator, habits: _Habits) -> _Profile:
    lanes = int(rng.choice((1, 2), p=(0.72, 0.28)))
    tram = bool(rng.random() < habits.tram)
    parked, grass = rng.random(2) < habits.parked, rng.random(2) < habits.grass_strip
    median = 3.4 if tram else (float(rng.uniform(1.0, 3.0)) if lanes == 2 and rng.random() < habits.median else 0.0)
    crossings: list[tuple[float, float]] = []
    along = float(rng.uniform(25.0, 70.0))
    while along < 135.0 and len(crossings) < 2:
        if rng.random() < 0.75:
            crossings.append((along, along + float(rng.uniform(6.0, 10.0))))
        along += float(rng.uniform(45.0, 80.0))
    return _Profile(
        drive=-1 if rng.random() < habits.drives_left else 1,
        lanes=lanes,
        lane=float(rng.uniform(2.9, 3.5)),
        median=median,
        tram=tram,
        parking=_pair(2.2 * parked),
        strips=_pair(rng.uniform(1.0, 2.5, 2) * grass),
        pavements=_pair(rng.uniform(2.0, 6.0, 2)),
        crossings=tuple(crossings),
    )


@dataclass(slots=True)
class _Draft:
    """A street under construction."""

    rng: np.random.Generator
    habits: _Habits
    profile: _Profile
    bend: float
    ground: list[Part] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    taken: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    trees: list[SceneObject] = field(default_factory=list)
    cars: list[SceneObject] = field(default_factory=list)
    buildings: list[SceneObject] = field(default_factory=list)

    def centre(self, along: float) -> float:
        """Where the centre line is at ``along``, metres across."""
        return self.bend * (max(along, 0.0) / 100.0) ** 2

    def bent(self, along: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """:meth:`centre` of many."""
        return np.asarray(self.bend * (np.maximum(along, 0.0) / 100.0) ** 2)

    def heading(self, along: float) -> float:
        """Yaw of the centre line at ``along``."""
        return float(-np.arctan(2.0 * self.bend * max(along, 0.0) / 1e4))

    def put(self, thing: SceneObject, across: float, along: float, yaw: float = 0.0, z: float = 0.0, speed: float = 0.0) -> None:
        """Places an object; one with a speed moves the way it faces."""
        heading = self.heading(along) + yaw
        velocity = (-speed * float(np.sin(heading)), speed * float(np.cos(heading)))
        self.placed.append(Placed(thing, float(across) + self.centre(float(along)), float(along), heading, z, velocity))

    def tree(self, across: float, along: float, z: float = _KERB) -> None:
        """Plants one of the street's few kinds of trees, turned at random: what is planted together is alike."""
        if len(self.trees) < _TREE_KINDS:
            self.trees.append(vegetation.tree(self.rng))
        thing = self.trees[int(self.rng.integers(len(self.trees)))]
        self.put(thing, across, along, float(self.rng.uniform(0.0, 2.0 * np.pi)), z)

    def car(self) -> SceneObject:
        """One of the street's cars; some are of one make and colour."""
        if len(self.cars) < _CAR_KINDS:
            self.cars.append(vehicles.car(self.rng))
            return self.cars[-1]
        return self.cars[int(self.rng.integers(_CAR_KINDS))]

    def building(self) -> SceneObject:
        """One of the street's buildings; those that are built last, far off and in side streets, repeat earlier ones."""
        if len(self.buildings) < _BUILDING_KINDS:
            self.buildings.append(building(self.rng))
            return self.buildings[-1]
        return self.buildings[int(self.rng.integers(_BUILDING_KINDS))]

    def claim(self, strip: str, along: float, half: float) -> bool:
        """Whether ``along`` +- ``half`` of a strip was free; it is taken now."""
        spans = self.taken.setdefault(strip, [])
        if any(low < along + half and along - half < high for low, high in spans):
            return False
        spans.append((along - half, along + half))
        return True

    def floor(
        self,
        label: int,
        across: tuple[float, float],
        along: tuple[float, float],
        texture: str,
        colour: Tone,
        z: float = 0.0,
    ) -> None:
        """A horizontal strip of ground that follows the centre line."""
        self._lay(label, (across[0], along[0], z), (across[1] - across[0], 0.0, 0.0), along[1] - along[0], texture, colour)

    def kerb(self, across: float, along: tuple[float, float], facing: int, colour: float) -> None:
        """The vertical face of a kerb; it looks to the right (1) or to the left (-1)."""
        start = (across, along[0], 0.0)
        self._lay(SIDEWALK, start, (0.0, 0.0, -facing * _KERB), along[1] - along[0], "concrete", colour)

    def kerb_ends(self, edge: float, along: tuple[float, float], side: int, colour: float) -> None:
        """The kerbs towards the side streets, before and behind a stretch of pavement that begins at ``edge``."""
        low, high = sorted((side * edge, side * (edge + 60.0)))
        corners = []
        for y, start, stop in ((along[0], low, high), (along[1], high, low)):
            first, last = start + self.centre(y), stop + self.centre(y)
            corners.append(((first, y, 0.0), (last, y, 0.0), (last, y, _KERB), (first, y, _KERB)))
        self.ground.append(Part(SIDEWALK, 0, quads(corners, (colour, colour, colour), "concrete")))

    def _lay(
        self,
        label: int,
        corner: tuple[float, float, float],
        u: tuple[float, float, float],
        length: float,
        texture: str,
        colour: Tone,
    ) -> None:
        if length <= 0.0:
            return
        if u[2] < 0.0:  # start on top so that the face looks to the right
            corner = (corner[0], corner[1], corner[2] - u[2])
        pieces = max(1, round(length / _PIECE))
        rows = 4 if self.bend else 1
        strip = grid(
            corner, u, (0.0, length, 0.0), (1, pieces * rows), np.broadcast_to(np.asarray(colour, np.float32), (3,)), texture
        )
        strip.vertices[:, 0] += self.bent(strip.vertices[:, 1])
        for start in range(0, 2 * pieces * rows, 2 * rows):
            own = slice(start, start + 2 * rows + 2)  # two vertices a row
            mesh = Mesh(
                strip.vertices[own],
                strip.normals[own],
                strip.colours[own],
                strip.texture_coordinates[own],
                strip.triangles[: 2 * rows],
                texture,
            )
            self.ground.append(Part(label, 0, mesh))

    def paint(self, corners: np.ndarray, colour: tuple[float, float, float] = WHITE) -> None:
        """Flat quadrilaterals of road paint, (k, 4, 2) corners as (across, along), counter-clockwise."""
        count = len(corners)
        if not count:
            return
        flat = np.full((count, 4, 3), _MARKING, np.float32)
        flat[..., :2] = corners
        flat[..., 0] += self.bent(flat[..., 1])
        worn = self.rng.uniform(0.6, 1.0)
        mesh = quads(flat, np.array(colour) * worn, "asphalt")
        middle = flat[..., 1].mean(axis=1)
        for chunk in np.unique(middle // 24.0):
            index = np.flatnonzero(middle // 24.0 == chunk)
            rows = (4 * index[:, None] + np.arange(4)).reshape(-1)
            triangles = (4 * np.arange(len(index))[:, None] + np.array((0, 1, 2, 0, 2, 3))).reshape(-1, 3).astype(np.int32)
            piece = Mesh(
                mesh.vertices[rows],
                mesh.normals[rows],
                mesh.colours[rows],
                mesh.texture_coordinates[rows],
                triangles,
                mesh.texture,
            )
            self.ground.append(Part(ROAD, 0, piece))


def _rectangles(across: np.ndarray, along: np.ndarray, width: float, length: float) -> np.ndarray:
    offsets = np.array(((-width, -length), (width, -length), (width, length), (-width, length))) / 2.0
    return np.asarray(np.stack((across, along), axis=-1)[:, None] + offsets)


def street(rng: np.random.Generator, look: looks.LookName, views: int) -> Street:
    """A random street with ``views`` cameras.

    Args:
        rng: source of everything; equal generators give equal streets.
        look: "game" or "camera".
        views: how many cameras, at least 1.
    """
    habits = _HABITS[look]
    profile = _profile(rng, habits)
    bend = float(rng.normal(0.0, 6.0)) if rng.random() < 0.5 else 0.0
    draft = _Draft(rng, habits, profile, bend)
    _lay_ground(draft)
    _paint_road(draft)
    for side in (-1, 1):
        _frontage(draft, side)
        _furnish(draft, side)
        _park_cars(draft, side)
        _people(draft, side)
    _end(draft)
    _traffic(draft)
    _crossing_people(draft)
    ego = profile.drive * (profile.median + profile.lane * (int(rng.integers(profile.lanes)) + 0.5))
    light = looks.light(rng, look)
    scene = Scene(tuple(draft.ground), tuple(draft.placed), light, looks.materials(look), looks.sky(rng, look, light))
    obstacles = _obstacles(draft)
    cameras = tuple(_view(draft, obstacles, ego) for _ in range(views))
    exposure = float(rng.uniform(0.95, 1.4)) if look == "game" else float(rng.uniform(0.75, 1.3))
    return Street(scene, cameras, exposure)


def _lay_ground(draft: _Draft) -> None:
    rng, profile = draft.rng, draft.profile
    tone = rng.uniform(*draft.habits.asphalt)
    asphalt = (tone, tone * rng.uniform(0.98, 1.02), tone * rng.uniform(0.96, 1.06))
    red, green, blue = (np.array((0.09, 0.13, 0.04)) * rng.uniform(0.7, 1.5)).tolist()
    grass = (red, green, blue)
    stop = _LENGTH + 30.0
    surface = "cobble" if rng.random() < 0.08 else "asphalt"
    draft.floor(ROAD, (-profile.edge(-1), profile.edge(1)), (_BEHIND, stop), surface, asphalt)
    for a, b in profile.crossings:
        for side in (-1, 1):
            edge = profile.edge(side)
            reach = sorted((side * edge, side * (edge + 70.0)))
            draft.floor(ROAD, (reach[0], reach[1]), (a, b), "asphalt", asphalt)
    tone = rng.uniform(0.14, 0.34)
    paving = (tone, tone * rng.uniform(0.93, 1.0), tone * rng.uniform(0.84, 1.0))
    texture = str(rng.choice(("paving", "asphalt", "concrete"), p=(0.66, 0.2, 0.14)))
    kerb_tone = float(rng.uniform(0.18, 0.4))
    for side in (-1, 1):
        edge, walk, front = profile.edge(side), profile.walk(side), profile.front(side)
        for span in profile.stretches(_BEHIND, stop):
            draft.kerb(side * edge, span, -side, kerb_tone)
            draft.kerb_ends(edge, span, side, kerb_tone)
            _band(draft, SIDEWALK, side, (edge, edge + _KERB_STONE), span, "concrete", kerb_tone)
            _band(draft, TERRAIN, side, (edge + _KERB_STONE, walk), span, "grass", grass)
            _band(draft, SIDEWALK, side, (max(walk, edge + _KERB_STONE), front), span, texture, paving)
            inside = (span[0] + _SIDE_PAVEMENT, span[1] - _SIDE_PAVEMENT)
            _band(draft, TERRAIN, side, (front, front + 60.0), inside, "grass", grass)
            for mouth in ((span[0], inside[0]), (inside[1], span[1])):
                _band(draft, SIDEWALK, side, (front, front + 60.0), mouth, texture, paving)
    if profile.tram:
        for x in (-2.42, -0.98, 0.98, 2.42):
            draft.floor(RAIL_TRACK, (x - 0.05, x + 0.05), (_BEHIND, stop), "metal", 0.2, _MARKING)
    elif profile.median > 0.0:
        half = profile.median - 0.2
        for span in profile.stretches(_BEHIND, stop, margin=3.0):
            draft.floor(TERRAIN, (-half, half), span, "grass", grass, _KERB)
            for side in (-1, 1):
                draft.kerb(side * half, span, side, kerb_tone)


def _band(
    draft: _Draft, label: int, side: int, reach: tuple[float, float], span: tuple[float, float], texture: str, colour: Tone
) -> None:
    low, high = sorted((side * reach[0], side * reach[1]))
    if high > low:
        draft.floor(label, (low, high), span, texture, colour, _KERB)


def _paint_road(draft: _Draft) -> None:
    rng, profile = draft.rng, draft.profile
    stop = _LENGTH + 30.0
    width = rng.uniform(0.1, 0.16)
    dash, gap = rng.uniform(1.5, 4.0), rng.uniform(2.5, 7.0)
    dashes = np.arange(_BEHIND, stop, dash + gap)
    dashes = dashes[[profile.is_closed(y, 4.0 + dash / 2) for y in dashes]]
    dashed: list[float] = []
    solid: list[float] = []
    if profile.median == 0.0 and rng.random() < 0.85:
        (solid if rng.random() < 0.15 else dashed).append(0.0)
    for number in range(1, profile.lanes):
        across = profile.median + number * profile.lane
        dashed += [across, -across]
    if profile.tram and rng.random() < 0.6:
        solid += [profile.median, -profile.median]
    for side in (-1, 1):
        if profile.parking[side > 0] and rng.random() < 0.6:
            (solid if rng.random() < 0.5 else dashed).append(side * profile.inner)
        elif not profile.parking[side > 0] and rng.random() < 0.5:
            yellow = draft.habits.drives_left > 0.0 and rng.random() < 0.6
            for offset in (0.3, 0.55) if rng.random() < 0.5 else (0.3,):
                _paint_line(draft, side * (profile.edge(side) - offset), 0.09, YELLOW if yellow else WHITE)
    for across in dashed:
        draft.paint(_rectangles(np.full(len(dashes), across), dashes, width, dash))
    for across in solid:
        _paint_line(draft, across, width, WHITE)
    zebras = [a - 3.2 for a, _ in profile.crossings if rng.random() < 0.65]
    if rng.random() < 0.35:
        zebras.append(float(rng.uniform(12.0, 100.0)))
    half = profile.lanes * profile.lane / 2.0
    for along in zebras:
        bars = np.arange(-profile.edge(-1) + 0.6, profile.edge(1) - 0.3, 1.0)
        draft.paint(_rectangles(bars, np.full(len(bars), along), 0.5, 3.0))
        stop_line = np.array([profile.drive * (profile.median + half)]), np.array([along - 3.0])
        draft.paint(_rectangles(*stop_line, 2.0 * half, 0.35))
    for along in rng.uniform(10.0, 120.0, rng.integers(0, 5)).tolist():
        if profile.is_closed(along, 7.0):
            lane = int(rng.integers(profile.lanes)) + 0.5
            draft.paint(_arrow(profile.drive * (profile.median + profile.lane * lane), along))


def _paint_line(draft: _Draft, across: float, width: float, colour: tuple[float, float, float]) -> None:
    for start, stop in draft.profile.stretches(_BEHIND, _LENGTH + 30.0):
        along = np.arange(start, stop - 2.0, 4.0) + 2.0
        draft.paint(_rectangles(np.full(len(along), across), along, width, 4.0), colour)


def _arrow(x: float, y: float) -> np.ndarray:
    shaft = _rectangles(np.array([x]), np.array([y]), 0.16, 2.2)
    tip = np.array(
        [
            [(x - 0.45, y + 1.1), (x, y + 1.1), (x, y + 2.4), (x, y + 2.4)],
            [(x, y + 1.1), (x + 0.45, y + 1.1), (x, y + 2.4), (x, y + 2.4)],
        ]
    )
    return np.concatenate((shaft, tip))


# --- Along the street --------------------------------------------------------------------------------------------------


def _frontage(draft: _Draft, side: int) -> None:
    """Buildings, parks and walls along one side, and along the mouths of the side streets."""
    rng, habits, profile = draft.rng, draft.habits, draft.profile
    front = profile.front(side)
    for start, stop in profile.stretches(_BEHIND, _LENGTH + 22.0):
        along = start
        while along < stop - 4.0:
            kind = rng.random()
            if kind < habits.park:
                length = min(float(rng.uniform(10.0, 30.0)), stop - along)
                _park(draft, side, front, along, length)
                along += length
            elif kind < habits.park + habits.wall:
                length = min(float(rng.uniform(8.0, 20.0)), stop - along)
                _walled_garden(draft, side, front, along, length)
                along += length
            else:
                house = draft.building()
                width, depth = house.footprint
                setback = 0.0 if rng.random() < habits.terraced else float(rng.uniform(2.0, 6.0))
                if along + width > stop + 3.0:
                    _walled_garden(draft, side, front, along, stop - along)
                    break
                draft.put(house, side * (front + setback + depth / 2), along + width / 2, side * np.pi / 2, _KERB)
                if setback > 1.5:
                    _front_garden(draft, side, front, along, width)
                along += width + (0.02 if rng.random() < habits.terraced else float(rng.uniform(1.0, 5.0)))
    for a, b in profile.crossings:
        for edge, facing in ((a, np.pi), (b, 0.0)):
            across = front + 14.0
            while across < front + 34.0:
                house = draft.building()
                width, depth = house.footprint
                sign = 1.0 if facing == 0.0 else -1.0
                draft.put(house, side * (across + width / 2), edge + sign * (depth / 2 + 2.5), np.pi if sign > 0 else 0.0, _KERB)
                across += width
        draft.tree(side * (front + 52.0), (a + b) / 2, 0.0)


def building(rng: np.random.Generator) -> SceneObject:
    """A building of any kind."""
    makers = (buildings.house, buildings.apartment_block, buildings.office, buildings.shop_row)
    return makers[int(rng.choice(4, p=(0.22, 0.3, 0.1, 0.38)))](rng)


def _park(draft: _Draft, side: int, front: float, along: float, length: float) -> None:
    rng = draft.rng
    _barrier(draft, side, front + 0.3, along, length)
    for _ in range(int(rng.integers(2, 3 + int(length / 5)))):
        draft.tree(side * (front + rng.uniform(2.5, 14.0)), along + rng.uniform(1.5, length))
    for _ in range(int(rng.integers(0, 4))):
        across, bush_along = side * (front + rng.uniform(1.2, 8.0)), along + rng.uniform(1.0, length)
        draft.put(vegetation.bush(rng), across, bush_along, rng.uniform(0, 6.28), _KERB)
    draft.put(
        vegetation.hedge(rng, length=length, height=float(rng.uniform(3.0, 7.0))), side * (front + 16.0), along + length / 2
    )


def _walled_garden(draft: _Draft, side: int, front: float, along: float, length: float) -> None:
    rng = draft.rng
    if length < 1.0:
        return
    draft.put(street_furniture.wall(rng, length), side * (front + 0.3), along + length / 2, 0.0, _KERB)
    for _ in range(int(rng.integers(1, 2 + int(length / 5)))):
        draft.tree(side * (front + rng.uniform(3.0, 9.0)), along + rng.uniform(0.0, length))


def _front_garden(draft: _Draft, side: int, front: float, along: float, length: float) -> None:
    _barrier(draft, side, front + 0.25, along, length)
    if draft.rng.random() < 0.5:
        draft.put(vegetation.bush(draft.rng), side * (front + 1.2), along + draft.rng.uniform(1.0, length - 1.0), 0.0, _KERB)


def _barrier(draft: _Draft, side: int, across: float, along: float, length: float) -> None:
    rng = draft.rng
    kind = rng.random()
    if length < 1.5 or kind < 0.2:
        return
    middle = along + length / 2
    maker: Callable[..., SceneObject] = (
        street_furniture.fence if kind < 0.65 else (vegetation.hedge if kind < 0.83 else street_furniture.wall)
    )
    draft.put(maker(rng, length=length), side * across, middle, 0.0, _KERB)
    if maker is street_furniture.fence and rng.random() < 0.65:
        height = float(rng.uniform(0.8, 2.6))
        draft.put(vegetation.hedge(rng, length=length, height=height), side * (across + 0.9), middle, 0.0, _KERB)


def _furnish(draft: _Draft, side: int) -> None:
    """What stands at the kerb: lamps, trees, signs, lights, railings, bollards, parked bicycles, bins, shelters."""
    rng, habits, profile = draft.rng, draft.habits, draft.profile
    edge, strip, drive = profile.edge(side), profile.strips[side > 0], profile.drive
    name = f"kerb{side}"
    kerb = edge + 0.55
    facing = 0.0 if side == drive else np.pi

    def put(thing: SceneObject, along: float, yaw: float, across: float = kerb) -> None:
        if profile.is_closed(along, 0.8) and draft.claim(
            name, along, max(thing.footprint) / 2 if thing.footprint[1] < 4 else 0.6
        ):
            draft.put(thing, side * across, along, yaw, _KERB)

    for a, b in profile.crossings:
        if rng.random() < 0.7:
            put(street_furniture.traffic_light(rng), a - 1.2 if side == drive else b + 1.2, facing)
            if side != drive and rng.random() < 0.7:
                put(street_furniture.traffic_light(rng), b + 2.2, 0.0)
        elif rng.random() < 0.6:
            put(street_furniture.traffic_sign(rng), a - 1.5, 0.0)
    along = _BEHIND + rng.uniform(0.0, 20.0)
    spacing = rng.uniform(18.0, 34.0)
    lamp = street_furniture.lamp_post(rng)
    while along < _LENGTH:
        put(lamp if rng.random() < 0.85 else street_furniture.pole(rng), along, side * np.pi / 2)
        along += spacing
    for along in rng.uniform(5.0, 130.0, rng.poisson(5.0)):
        sign = street_furniture.direction_sign(rng) if rng.random() < 0.12 else street_furniture.traffic_sign(rng)
        put(sign, float(along), facing if rng.random() < 0.85 else facing + np.pi)
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
    if (strip > 0.0 or profile.pavements[side > 0] > 2.2) and rng.random() < habits.street_trees:
        spacing = rng.uniform(7.0, 13.0)
        kinds: tuple[vegetation.TreeKind, ...] = ("round", "oval", "spreading", "bare", "conifer", "poplar")
        kind = kinds[int(rng.choice(6, p=(0.34, 0.27, 0.18, 0.13, 0.03, 0.05)))]
        height = rng.uniform(6.0, 11.5)
        planted = [vegetation.tree(rng, kind=kind, height=float(height * rng.uniform(0.85, 1.15))) for _ in range(3)]
        middle = edge + (strip / 2 if strip > 0.0 else 0.6) + 0.16
        for along in np.arange(_BEHIND, _LENGTH, spacing) + rng.uniform(-1.0, 1.0):
            if rng.random() < 0.9 and profile.is_closed(along, 3.0) and draft.claim(name, float(along), 0.7):
                draft.put(planted[int(rng.integers(3))], side * middle, float(along), rng.uniform(0, 6.28), _KERB)
    for along in rng.uniform(0.0, 120.0, rng.poisson(3.5)):
        put(
            two_wheelers.bicycle(rng, ridden=False),
            float(along),
            np.pi / 2 * rng.integers(0, 2) + rng.normal(0, 0.1),
            edge + 0.95,
        )
    for along in rng.uniform(0.0, 120.0, rng.poisson(0.6)):
        put(two_wheelers.motorcycle(rng, ridden=False), float(along), rng.normal(0.0, 0.3), edge + 0.8)
    if rng.random() < 0.3:
        put(street_furniture.bus_shelter(rng), float(rng.uniform(15.0, 90.0)), side * np.pi / 2, edge + 1.2)


def _park_cars(draft: _Draft, side: int) -> None:
    rng, profile = draft.rng, draft.profile
    width = profile.parking[side > 0]
    if not width:
        return
    along = _BEHIND + rng.uniform(0.0, 6.0)
    density = rng.uniform(0.15, 0.85)
    while along < _LENGTH:
        if rng.random() > density:
            along += 5.5
            continue
        if not profile.is_closed(along + 2.5, 6.0):
            along += 3.0
            continue
        thing = draft.car() if rng.random() < 0.985 else vehicles.truck(rng)
        length = thing.footprint[1]
        facing = 0.0 if side == profile.drive else np.pi
        draft.put(thing, side * (profile.inner + width / 2 + 0.1), along + length / 2, facing + rng.normal(0.0, 0.02))
        along += length + rng.uniform(0.5, 1.4)


def _people(draft: _Draft, side: int) -> None:
    rng, profile = draft.rng, draft.profile
    start, pavement = profile.walk(side), profile.pavements[side > 0]
    density = draft.habits.people * rng.choice((0.4, 1.0, 2.0))
    for along in rng.uniform(0.0, 120.0, rng.poisson(density * 120.0 / 2.2)):
        if not profile.is_closed(along, 1.5):
            continue
        group = int(rng.choice((1, 2, 3, 4, 8), p=(0.6, 0.25, 0.08, 0.04, 0.03)))
        facing = 0.0 if rng.random() < 0.5 else np.pi
        moving = rng.random() < 0.7
        speed = rng.uniform(0.8, 1.6) if moving else 0.0
        for _ in range(group):
            walker = people.person(rng, walking=moving)
            across = start + rng.uniform(0.9, max(1.0, pavement - 0.4))
            yaw = facing + rng.normal(0, 0.12) if moving else rng.uniform(0, 2 * np.pi)
            draft.put(walker, side * across, float(along + rng.uniform(-1.1, 1.1) * max(1.0, group / 4)), yaw, _KERB, speed)


def _crossing_people(draft: _Draft) -> None:
    rng = draft.rng
    edge = max(draft.profile.edge(-1), draft.profile.edge(1))
    places = [a - 3.2 for a, _ in draft.profile.crossings for _ in range(int(rng.poisson(1.0)))]
    places += rng.uniform(12.0, 90.0, rng.poisson(0.8)).tolist()
    for along in places:
        facing = rng.choice((-1.0, 1.0))
        across = -facing * rng.uniform(-0.9, 0.9) * edge
        draft.put(
            people.person(rng, walking=True),
            across,
            along + rng.uniform(-1.0, 1.0),
            -facing * np.pi / 2,
            0.0,
            rng.uniform(0.5, 1.0),
        )


def _end(draft: _Draft) -> None:
    """What closes the view at the far end."""
    rng = draft.rng
    along = _LENGTH + 26.0
    if rng.random() < 0.5:
        across = -45.0
        while across < 45.0:
            house = draft.building()
            width, depth = house.footprint
            draft.put(house, across + width / 2, along + depth / 2, np.pi)
            across += width
    for across in rng.uniform(-30.0, 30.0, rng.integers(4, 11)):
        draft.tree(float(across), along - rng.uniform(-3.0, 2.0), 0.0)


# --- What drives -------------------------------------------------------------------------------------------------------


def _traffic(draft: _Draft) -> None:
    rng, profile = draft.rng, draft.profile
    density = rng.choice((0.25, 0.6, 1.2))
    for direction in (1, -1):
        side = profile.drive * direction
        for number in range(profile.lanes):
            across = side * (profile.median + (number + 0.5) * profile.lane)
            speed = rng.uniform(3.0, 9.0) if rng.random() < 0.75 else 0.01
            along = rng.uniform(4.0, 30.0) if direction > 0 else rng.uniform(-10.0, 25.0)
            while along < _LENGTH:
                thing = _vehicle(draft)
                length = thing.footprint[1]
                yaw = 0.0 if direction > 0 else np.pi
                draft.put(thing, across + rng.normal(0.0, 0.12), along + length / 2, yaw, 0.0, speed)
                along += length + 3.0 + rng.exponential(26.0 / density)
    for _ in range(rng.poisson(draft.habits.cyclists)):
        side = int(rng.choice((-1, 1)))
        across = side * (profile.inner - 0.55)
        rider = two_wheelers.bicycle(rng, ridden=True) if rng.random() < 0.72 else two_wheelers.motorcycle(rng, ridden=True)
        draft.put(rider, across, rng.uniform(5.0, 70.0), 0.0 if side == profile.drive else np.pi, 0.0, rng.uniform(2.5, 6.0))
    if profile.tram:
        for side in (-1, 1):
            if rng.random() < 0.75:
                thing = vehicles.train(rng)
                draft.put(
                    thing,
                    side * 1.7,
                    rng.uniform(15.0, 80.0) + thing.footprint[1] / 2,
                    0.0,
                    0.0,
                    side * profile.drive * rng.uniform(1.0, 5.0),
                )


def _vehicle(draft: _Draft) -> SceneObject:
    rng = draft.rng
    kind = rng.random()
    if kind < 0.9:
        return draft.car()
    if kind < 0.945:
        return vehicles.truck(rng)
    return vehicles.bus(rng)


# --- Where to look from --------------------------------------------------------------------------------------------------


class _Obstacles(NamedTuple):
    """What a camera might stand in, one row each."""

    positions: Float[np.ndarray, "n 2"]
    velocities: Float[np.ndarray, "n 2"]
    half_widths: Float[np.ndarray, "n"]
    half_lengths: Float[np.ndarray, "n"]


def _obstacles(draft: _Draft) -> _Obstacles:
    things = [placed for placed in draft.placed if placed.moves or max(placed.thing.footprint) < _LONGEST_OBSTACLE]
    sizes = np.sort([placed.thing.footprint for placed in things], axis=1) / 2.0
    positions = np.array([(placed.x, placed.y) for placed in things])
    return _Obstacles(positions, np.array([placed.velocity for placed in things]), sizes[:, 0], sizes[:, 1])


def _view(draft: _Draft, obstacles: _Obstacles, ego: float) -> View:
    rng = draft.rng
    for _ in range(24):
        along = float(rng.uniform(0.0, _DRIVE))
        time = float(rng.uniform(0.0, 6.0))
        across = ego + float(rng.normal(0.0, 0.35))
        x, y = across + draft.centre(along), along
        if not _blocked(obstacles, x, y, time):
            break
    yaw = draft.heading(along + 8.0) + float(rng.normal(0.0, 0.07))
    if rng.random() < 0.08:
        yaw += float(rng.uniform(-0.5, 0.5))
    return View(
        x=x,
        y=y,
        z=float(rng.uniform(1.15, 1.55)),
        yaw=yaw,
        pitch=float(rng.normal(-0.03, 0.028)),
        roll=float(rng.normal(0.0, 0.008)),
        field_of_view=float(np.radians(rng.uniform(48.0, 64.0))),
        time=time,
    )


def _blocked(obstacles: _Obstacles, x: float, y: float, time: float) -> bool:
    """Whether something stands in the camera or right before it."""
    dx, dy = (obstacles.positions + time * obstacles.velocities - (x, y)).T
    beside = np.abs(dx) < 1.0 + obstacles.half_widths
    before = (-1.5 - obstacles.half_lengths < dy) & (dy < 5.0 + obstacles.half_lengths)
    return bool((beside & before).any())
