"""Streets: a random street as a value, with the views that a car driving along it has.

:mod:`.plans` says what lies where, :mod:`.drafts` lays it on the street's bend and hills; :mod:`.surfaces`, :mod:`.markings`,
:mod:`.frontages`, :mod:`.kerbsides` and :mod:`.traffic` fill it.
"""

from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from synth2real.worlds import looks
from synth2real.worlds.drafts import Draft
from synth2real.worlds.frontages import line_street
from synth2real.worlds.kerbsides import furnish
from synth2real.worlds.markings import paint_road
from synth2real.worlds.plans import MOMENTS, City, plan
from synth2real.worlds.rendering import Scene, View
from synth2real.worlds.surfaces import lay_ground
from synth2real.worlds.traffic import fill_road

StreetLook = Literal["game", "camera"]

_DRIVE: Final = 60.0  # metres along which cameras stand
_LONGEST_OBSTACLE: Final = 24.0  # what is longer and stands still lines the street, metres
_LIT_WINDOWS: Final[dict[looks.TimeOfDay, float]] = {"day": 0.0, "dusk": 0.3, "night": 0.38}
_CITIES: Final[dict[StreetLook, City]] = {"game": "american", "camera": "european"}
_LAMP_COLOURS: Final = ((1.0, 0.62, 0.3), (1.0, 0.8, 0.55), (0.85, 0.95, 1.0))  # sodium, warm and cold white


class Street(NamedTuple):
    """A scene and where to look at it from.

    Attributes:
        scene: what there is.
        views: cameras.
        exposure: brightness of all views.
        headlights: whether the car that carries the camera has its headlights on.
    """

    scene: Scene
    views: tuple[View, ...]
    exposure: float
    headlights: bool = False


def street(
    rng: np.random.Generator, look: StreetLook, views: int, time: looks.TimeOfDay = "day", city: City | None = None
) -> Street:
    """A random street with ``views`` cameras.

    Args:
        rng: source of everything; equal generators give equal streets.
        look: "game" or "camera".
        views: how many cameras, at least 1.
        time: of day; at dusk and by night windows, signs, lamps and headlights shine.
        city: whose streets; None takes the look's own, "american" for "game" and "european" for "camera".
    """
    street_plan = plan(rng, city or _CITIES[look])
    colour = np.array(_LAMP_COLOURS[int(rng.integers(3))]) * rng.uniform(0.35, 0.7)
    draft = Draft(rng, street_plan, _LIT_WINDOWS[time], tuple(colour.tolist()))
    lay_ground(draft)
    paint_road(draft)
    line_street(draft)
    for side in (-1, 1):
        furnish(draft, side)
    fill_road(draft)
    ego = street_plan.drive * (street_plan.median + street_plan.lane * (int(rng.integers(street_plan.lanes)) + 0.5))
    light = looks.light(rng, look, time, tuple(draft.lamps))
    sky = looks.sky(rng, look, light, time)
    scene = Scene(tuple(draft.ground), tuple(draft.placed), light, looks.materials(look), sky, street_plan.relief)
    obstacles = _obstacles(draft)
    cameras = tuple(_view(draft, obstacles, ego) for _ in range(views))
    exposure = float(rng.uniform(0.95, 1.4)) if look == "game" else float(rng.uniform(0.75, 1.3))
    return Street(scene, cameras, exposure, time != "day")


class _Obstacles(NamedTuple):
    """What a camera might stand in, one row each."""

    positions: Float[np.ndarray, "n 2"]
    velocities: Float[np.ndarray, "n 2"]
    half_widths: Float[np.ndarray, "n"]
    half_lengths: Float[np.ndarray, "n"]


def _obstacles(draft: Draft) -> _Obstacles:
    things = [placed for placed in draft.placed if placed.moves or max(placed.thing.footprint) < _LONGEST_OBSTACLE]
    sizes = np.sort([placed.thing.footprint for placed in things], axis=1) / 2.0
    sideways = np.array([abs(np.sin(placed.yaw)) > 0.7 for placed in things])
    positions = np.array([(placed.x, placed.y) for placed in things])
    velocities = np.array([placed.velocity for placed in things])
    widths, lengths = (np.where(sideways, sizes[:, i], sizes[:, 1 - i]) for i in (1, 0))
    return _Obstacles(positions, velocities, widths, lengths)


def _view(draft: Draft, obstacles: _Obstacles, ego: float) -> View:
    rng, plan = draft.rng, draft.plan
    for _ in range(24):
        along = float(rng.uniform(0.0, min(_DRIVE, plan.built - 22.0)))
        time = float(rng.uniform(0.0, MOMENTS))
        across = ego + float(rng.normal(0.0, 0.35))
        x, y = across + draft.centre(along), along
        if not _blocked(obstacles, x, y, time):
            break
    yaw = draft.heading(along + 8.0) + float(rng.normal(0.0, 0.07))
    if rng.random() < (0.08 if plan.is_closed(along, 0.0) else 0.35):  # who turns looks around
        yaw += float(rng.uniform(-0.6, 0.6))
    slope = float(plan.relief.slope(along))
    return View(
        x=x,
        y=y,
        z=draft.height(along) + float(rng.uniform(1.15, 1.55)),
        yaw=yaw,
        pitch=float(np.arctan(slope * np.cos(yaw)) + rng.normal(-0.03, 0.028)),
        roll=float(rng.normal(0.0, 0.008) + np.arctan(slope * np.sin(yaw))),
        field_of_view=float(np.radians(rng.uniform(48.0, 64.0))),
        time=time,
    )


def _blocked(obstacles: _Obstacles, x: float, y: float, time: float) -> bool:
    """Whether something stands in the camera or right before it."""
    dx, dy = (obstacles.positions + time * obstacles.velocities - (x, y)).T
    beside = np.abs(dx) < 1.0 + obstacles.half_widths
    before = (-1.5 - obstacles.half_lengths < dy) & (dy < 5.0 + obstacles.half_lengths)
    return bool((beside & before).any())
