"""What shines by night: lamps of vehicles, signals and street lamps, recognised by the colours that their builders give them."""

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from synth2real.label_space import LABEL_BY_NAME
from synth2real.worlds.meshes import Mesh, Part, SceneObject
from synth2real.worlds.objects.vehicle_parts import LAMP_RED, LAMP_WHITE

GLOW: Final = "glow"
"""The material of surfaces that shine."""
_POLE: Final = LABEL_BY_NAME["pole"].label_id
_SIGNAL: Final = LABEL_BY_NAME["traffic light"].label_id
_VEHICLES: Final = frozenset(LABEL_BY_NAME[name].label_id for name in ("car", "truck", "bus", "train", "motorcycle"))
_LIT_SIGNAL: Final = 0.8  # least albedo of a signal's lamp that is on; those that are off stay below 0.2
_PANE: Final = 0.7  # least albedo of a street lamp's pane; metal is darker
_STRENGTH: Final = 1.7  # radiance over albedo


class Lit(NamedTuple):
    """A thing with its lamps on.

    Attributes:
        thing: whose lamps are of material ``glow``.
        head: where a street lamp's light comes from, in the thing's own frame; None for what does not light its surroundings.
    """

    thing: SceneObject
    head: Float32[np.ndarray, "3"] | None


def lit(thing: SceneObject) -> Lit:
    """Switches the lamps of a vehicle, a signal or a street lamp on; other things stay as they are."""
    parts: list[Part] = []
    head = None
    for part in thing.parts:
        mesh = part.mesh
        corners = _lamps(part)[mesh.triangles]
        shining = corners.any(axis=1) if part.label_id == _POLE else corners.all(axis=1)  # lanterns have few vertices
        if not shining.any():
            parts.append(part)
            continue
        own = mesh.triangles[shining]
        if part.label_id == _POLE:
            head = mesh.vertices[own].reshape(-1, 3).mean(axis=0)
        parts.append(part._replace(mesh=replace(mesh, triangles=mesh.triangles[~shining])))
        parts.append(part._replace(mesh=_glowing(mesh, own)))
    return Lit(SceneObject(tuple(part for part in parts if len(part.mesh.triangles)), thing.footprint), head)


def _glowing(mesh: Mesh, triangles: np.ndarray) -> Mesh:
    index = triangles.reshape(-1)
    return Mesh(
        mesh.vertices[index],
        mesh.normals[index],
        mesh.colours[index] * np.float32(_STRENGTH),
        mesh.texture_coordinates[index],
        np.arange(len(index), dtype=np.int32).reshape(-1, 3),
        GLOW,
    )


def _lamps(part: Part) -> Bool[np.ndarray, "n"]:
    """Which vertices belong to lamps."""
    colours = part.mesh.colours
    if part.label_id == _SIGNAL:
        return np.asarray(colours.max(axis=1) >= _LIT_SIGNAL)
    if part.label_id == _POLE:
        return np.asarray(colours.min(axis=1) >= _PANE)
    if part.label_id in _VEHICLES:
        return np.asarray(
            np.isclose(colours, LAMP_WHITE, atol=2e-3).all(axis=1) | np.isclose(colours, LAMP_RED, atol=2e-3).all(axis=1)
        )
    return np.zeros(len(colours), bool)
