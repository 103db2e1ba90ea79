"""A street under construction: positions are (across, along) and are laid on its bending centre line and its hills."""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from jaxtyping import Float

from synth2real.label_space import LABEL_BY_NAME
from synth2real.worlds.lamps import Lit, lit
from synth2real.worlds.meshes import Colour, Mesh, Part, SceneObject, grid, quads
from synth2real.worlds.objects import buildings, cars, vegetation
from synth2real.worlds.plans import KERB, MOMENTS, Plan
from synth2real.worlds.rendering import FLAT, Lamp, Placed

ROAD: Final = LABEL_BY_NAME["road"].label_id
SIDEWALK: Final = LABEL_BY_NAME["sidewalk"].label_id

MARKING: Final = 0.012
"""Height of paint above the road, metres."""
_PIECE: Final = 24.0  # length in which the ground is cut, so that what is out of view can be left out, metres
_ROW: Final = 4.0  # length of the ground's faces on hills, metres
_TREE_KINDS: Final = 6
_CAR_KINDS: Final = 14
_BUILDING_KINDS: Final = 16
_FOUNDATION: Final = 2.5  # depth to which buildings on hills reach, metres
_ARC: Final = 5  # faces of a rounded kerb

Tone = float | tuple[float, float, float]
"""A grey or a linear RGB albedo."""


@dataclass(slots=True)
class Draft:
    """A street under construction.

    Attributes:
        rng: source of everything random.
        plan: what lies where.
        evening: share of the windows that are lit; 0 by day, when lamps are off.
        lamp_colour: irradiance under street lamps.
        ground: flat surfaces so far.
        placed: objects so far.
        lamps: what shines on its surroundings.
    """

    rng: np.random.Generator
    plan: Plan
    evening: float
    lamp_colour: tuple[float, float, float]
    ground: list[Part] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)
    _taken: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _trees: list[SceneObject] = field(default_factory=list)
    _cars: list[SceneObject] = field(default_factory=list)
    _buildings: list[SceneObject] = field(default_factory=list)
    _lit: dict[int, tuple[SceneObject, Lit]] = field(default_factory=dict)

    def centre(self, along: float) -> float:
        """Where the centre line is at ``along``, metres across."""
        return self.plan.bend * (max(along, 0.0) / 100.0) ** 2

    def heading(self, along: float) -> float:
        """Yaw of the centre line at ``along``."""
        return float(-np.arctan(2.0 * self.plan.bend * max(along, 0.0) / 1e4))

    def height(self, along: float) -> float:
        """Height of the road at ``along``."""
        return float(self.plan.relief.at(along))

    def laid(self, points: Float[np.ndarray, "*n 2"], z: float) -> Float[np.ndarray, "*n 3"]:
        """Points (across, along), ``z`` above the road, in the world."""
        along = points[..., 1]
        across = points[..., 0] + self.plan.bend * (np.maximum(along, 0.0) / 100.0) ** 2
        return np.stack((across, along, z + self.plan.relief.at(along)), axis=-1)

    # --- Objects -------------------------------------------------------------------------------------------------------

    def put(self, thing: SceneObject, across: float, along: float, yaw: float = 0.0, z: float = 0.0, speed: float = 0.0) -> None:
        """Places an object, ``z`` above the road and leaning as the street does; one with a speed moves the way it faces.

        What moves heads as the street does halfway: it goes straight, and so ends in its lane.
        """
        heading = self.heading(along + 0.5 * MOMENTS * speed * float(np.cos(yaw))) + yaw
        velocity = (-speed * float(np.sin(heading)), speed * float(np.cos(heading)))
        slope = float(self.plan.relief.slope(along)) if speed == 0.0 else 0.0  # what moves is turned as it goes
        self._place(thing, across, along, heading, z, velocity, slope)

    def house(self, thing: SceneObject, across: float, along: float, yaw: float) -> None:
        """Places a building, upright also on a slope."""
        self._place(thing, across, along, self.heading(along) + yaw, KERB, (0.0, 0.0), 0.0)

    def _place(
        self, thing: SceneObject, across: float, along: float, yaw: float, z: float, velocity: tuple[float, float], slope: float
    ) -> None:
        x, y, height = float(across) + self.centre(float(along)), float(along), z + self.height(float(along))
        if self.evening:
            if id(thing) not in self._lit:
                self._lit[id(thing)] = (thing, lit(thing))
            thing, head = self._lit[id(thing)][1]
            if head is not None:
                s, c = np.sin(yaw), np.cos(yaw)
                east, north, up = head.tolist()
                self.lamps.append(Lamp(x + c * east - s * north, y + s * east + c * north, height + up, up + z, self.lamp_colour))
        self.placed.append(Placed(thing, x, y, float(yaw), height, velocity, slope))

    def tree(self, across: float, along: float, z: float = KERB) -> None:
        """Plants one of the street's few kinds of trees, turned at random: what is planted together is alike."""
        if len(self._trees) < _TREE_KINDS:
            self._trees.append(vegetation.tree(self.rng, kind=self.tree_kind()))
        thing = self._trees[int(self.rng.integers(len(self._trees)))]
        self.put(thing, across, along, float(self.rng.uniform(0.0, 2.0 * np.pi)), z)

    def tree_kind(self) -> vegetation.TreeKind:
        """A kind that the look's streets have."""
        weights = self.plan.habits.trees
        return list(weights)[int(self.rng.choice(len(weights), p=tuple(weights.values())))]

    def car(self) -> SceneObject:
        """One of the street's cars; some are of one make and colour."""
        if len(self._cars) < _CAR_KINDS:
            self._cars.append(cars.car(self.rng))
            return self._cars[-1]
        return self._cars[int(self.rng.integers(_CAR_KINDS))]

    def building(self, widest: float) -> SceneObject | None:
        """One of the street's buildings that is no wider; those built last, far off, repeat earlier ones. None: none fits."""
        if len(self._buildings) < _BUILDING_KINDS and widest > 7.0:
            thing = buildings.building(self.rng, self.plan.habits.buildings, self.evening)
            self._buildings.append(thing if self.plan.relief is FLAT else buildings.founded(thing, _FOUNDATION))
            if thing.footprint[0] <= widest:
                return self._buildings[-1]
        fitting = [thing for thing in self._buildings if thing.footprint[0] <= widest]
        return fitting[int(self.rng.integers(len(fitting)))] if fitting else None

    def claim(self, strip: str, along: float, half: float) -> bool:
        """Whether ``along`` +- ``half`` of a strip was free; it is taken now."""
        spans = self._taken.setdefault(strip, [])
        if any(low < along + half and along - half < high for low, high in spans):
            return False
        spans.append((along - half, along + half))
        return True

    # --- Ground --------------------------------------------------------------------------------------------------------

    def floor(
        self,
        label: int,
        across: tuple[float, float],
        along: tuple[float, float],
        texture: str,
        colour: Tone,
        z: float = 0.0,
    ) -> None:
        """A strip of ground that follows the centre line and the hills."""
        self._lay(label, (across[0], along[0], z), (across[1] - across[0], 0.0, 0.0), along[1] - along[0], texture, colour)

    def kerb(self, across: float, along: tuple[float, float], facing: int, colour: float) -> None:
        """The vertical face of a kerb; it looks to the right (1) or to the left (-1)."""
        start = (across, along[0], KERB if facing > 0 else 0.0)
        self._lay(SIDEWALK, start, (0.0, 0.0, -facing * KERB), along[1] - along[0], "concrete", colour)

    def rounded_corner(
        self, corner: tuple[float, float], inward: tuple[int, int], radius: float, texture: str, paving: Tone, kerb: float
    ) -> None:
        """Pavement inside the arc that rounds a kerb's corner off, its kerb, and road outside of it.

        Args:
            corner: (across, along) of the corner that is rounded off.
            inward: signs of the directions from it, across and along, in which the pavement lies.
            radius: of the arc, metres.
            texture: of the pavement.
            paving: albedo of the pavement.
            kerb: albedo of the kerb.
        """
        across, along = inward
        angle = np.linspace(0.0, np.pi / 2, _ARC + 1)
        middle = np.array(corner) + np.array(inward) * radius
        arc = middle - radius * np.stack((across * np.cos(angle), along * np.sin(angle)), axis=-1)
        arc = arc if across * along < 0 else arc[::-1]  # clockwise about the middle
        inner = np.broadcast_to(middle, arc[1:].shape)
        fan = self.laid(np.stack((inner, arc[1:], arc[:-1], inner), axis=1), KERB)
        low, high = self.laid(arc, 0.0), self.laid(arc, KERB)
        face = np.stack((low[1:], low[:-1], high[:-1], high[1:]), axis=1)
        self.ground.append(Part(SIDEWALK, 0, quads(fan, paving, texture, fan[..., :2])))
        self.ground.append(Part(SIDEWALK, 0, quads(face, (kerb, kerb, kerb), "concrete")))

    def kerb_end(self, reach: tuple[float, float], along: float, facing: int, colour: float) -> None:
        """A kerb across the street between two distances; it looks forward (1) or back (-1)."""
        first, last = (max(reach), min(reach)) if facing > 0 else (min(reach), max(reach))
        low, high = (self.laid(np.array(((first, along), (last, along))), z) for z in (0.0, KERB))
        self.ground.append(Part(SIDEWALK, 0, quads([(low[0], low[1], high[1], high[0])], (colour, colour, colour), "concrete")))

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
        pieces = max(1, round(length / _PIECE))
        rows = 1
        if self.plan.bend or self.plan.relief is not FLAT:
            rows = max(1, round(length / pieces / _ROW))
        albedo = np.broadcast_to(np.asarray(colour, np.float32), (3,))
        strip = grid(corner, u, (0.0, length, 0.0), (1, pieces * rows), albedo, texture)
        strip.vertices[:] = self.laid(strip.vertices[:, :2].astype(np.float64), 0.0) + strip.vertices[:, 2:] * (0.0, 0.0, 1.0)
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

    def paint(self, corners: Float[np.ndarray, "k 4 2"], colour: Colour, texture: str = "asphalt") -> None:
        """Flat quadrilaterals on the road that the labels need not show, corners (across, along), counter-clockwise."""
        self.cover(corners, colour, texture, MARKING)

    def cover(self, corners: Float[np.ndarray, "k 4 2"], colour: Colour, texture: str, z: float) -> None:
        """:meth:`paint` at any height above the road, metres."""
        if not len(corners):
            return
        flat = self.laid(np.asarray(corners, np.float64), z)
        mesh = quads(flat, np.broadcast_to(colour, (3,)) if np.ndim(colour) == 0 else colour, texture)
        chunks = flat[..., 1].mean(axis=1) // _PIECE
        for chunk in np.unique(chunks):
            index = np.flatnonzero(chunks == chunk)
            rows = (4 * index[:, None] + np.arange(4)).reshape(-1)
            piece = replace(
                mesh,
                vertices=mesh.vertices[rows],
                normals=mesh.normals[rows],
                colours=mesh.colours[rows],
                texture_coordinates=mesh.texture_coordinates[rows],
                triangles=mesh.triangles[: 2 * len(index)],
            )
            self.ground.append(Part(ROAD, 0, piece, "image"))
