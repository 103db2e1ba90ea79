"""The ground of a street: road, kerbs, pavements, grass, tracks and medians, also where other streets cross it."""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from synth2real.label_space import LABEL_BY_NAME
from synth2real.worlds.drafts import MARKING, ROAD, SIDEWALK, Draft, Tone
from synth2real.worlds.plans import BEHIND, KERB, SIDE_PAVEMENT, SIDE_REACH, Crossing

_TERRAIN: Final = LABEL_BY_NAME["terrain"].label_id
_RAIL_TRACK: Final = LABEL_BY_NAME["rail track"].label_id
_KERB_STONE: Final = 0.16  # width of a kerb stone, metres


class _Tones(NamedTuple):
    """Materials and albedos of the ground."""

    surface: str
    asphalt: Tone
    paved: str
    paving: Tone
    kerb: float
    grass: Tone


def lay_ground(draft: Draft) -> None:
    """Lays the whole ground."""
    plan = draft.plan
    tones = _tones(draft)
    draft.floor(ROAD, (-plan.edge(-1), plan.edge(1)), (BEHIND, plan.stop), tones.surface, tones.asphalt)
    for crossing in plan.crossings:
        for side in crossing.arms:
            reach = sorted((side * plan.edge(side), side * (plan.edge(side) + SIDE_REACH)))
            draft.floor(ROAD, (reach[0], reach[1]), (crossing.start, crossing.stop), "asphalt", tones.asphalt)
    for side in (-1, 1):
        for start, stop in plan.stretches(BEHIND, plan.stop, side):
            _stretch(draft, side, (start, stop), tones)
    _patches(draft, tones)
    _middle(draft, tones)
    if plan.ends_there:
        _far_side(draft, plan.crossings[-1], tones)


def _tones(draft: Draft) -> _Tones:
    rng = draft.rng
    tone = rng.uniform(*draft.plan.habits.asphalt)
    asphalt = (tone, tone * rng.uniform(0.98, 1.02), tone * rng.uniform(0.96, 1.06))
    red, green, blue = (np.array((0.09, 0.13, 0.04)) * rng.uniform(0.7, 1.5)).tolist()
    light = rng.uniform(0.14, 0.34)
    paving = (light, light * rng.uniform(0.93, 1.0), light * rng.uniform(0.84, 1.0))
    return _Tones(
        "cobble" if rng.random() < 0.08 else "asphalt",
        asphalt,
        str(rng.choice(("paving", "asphalt", "concrete"), p=(0.66, 0.2, 0.14))),
        paving,
        float(rng.uniform(0.18, 0.4)),
        (red, green, blue),
    )


def _stretch(draft: Draft, side: int, span: tuple[float, float], tones: _Tones) -> None:
    """Kerb, grass, pavement and what lies behind it, between two streets that open on a side."""
    plan = draft.plan
    edge, walk, front = plan.edge(side), plan.walk(side), plan.front(side)
    before = next((c for c in plan.crossings if c.stop == span[0] and side in c.arms), None)
    after = next((c for c in plan.crossings if c.start == span[1] and side in c.arms), None)
    radii = tuple(min(c.radius, 0.45 * (span[1] - span[0])) if c else 0.0 for c in (before, after))
    straight = (span[0] + radii[0], span[1] - radii[1])
    draft.kerb(side * edge, straight, -side, tones.kerb)
    for along, radius, crossing, forward in ((span[0], radii[0], before, -1), (span[1], radii[1], after, 1)):
        if crossing is None:
            continue
        corner = (side * edge, along)
        draft.rounded_corner(corner, (side, -forward), radius, tones.paved, tones.paving, tones.kerb)
        low, high = sorted((side * edge, side * (edge + radius)))
        around = sorted((along, along - forward * radius))
        draft.floor(ROAD, (low, high), (around[0], around[1]), "asphalt", tones.asphalt)
        draft.kerb_end((side * (edge + radius), side * (edge + SIDE_REACH)), along, forward, tones.kerb)

    def band(label: int, reach: tuple[float, float], texture: str, colour: Tone) -> None:
        """A strip along the kerb; within a corner's radius of the kerb it ends where the kerb bends away."""
        steps = sorted({reach[0], *(min(max(edge + r, reach[0]), reach[1]) for r in radii), reach[1]})
        for first, last in pairwise(steps):
            ends = [
                along + forward * radius if first < edge + radius - 1e-6 else along
                for along, radius, forward in ((span[0], radii[0], 1), (span[1], radii[1], -1))
            ]
            low, high = sorted((side * first, side * last))
            draft.floor(label, (low, high), (ends[0], ends[1]), texture, colour, KERB)

    stone = edge + _KERB_STONE
    band(SIDEWALK, (edge, stone), "concrete", tones.kerb)
    if walk > stone:
        band(_TERRAIN, (stone, walk), "grass", tones.grass)
    band(SIDEWALK, (max(walk, stone), front), tones.paved, tones.paving)
    inside = (span[0] + (SIDE_PAVEMENT if before else 0.0), span[1] - (SIDE_PAVEMENT if after else 0.0))
    far = sorted((side * front, side * (front + SIDE_REACH - 10.0)))
    draft.floor(_TERRAIN, (far[0], far[1]), inside, "grass", tones.grass, KERB)
    for mouth in ((span[0], inside[0]), (inside[1], span[1])):
        first = max(front, edge + max(radii))
        reach = sorted((side * first, side * (edge + SIDE_REACH)))
        draft.floor(SIDEWALK, (reach[0], reach[1]), mouth, tones.paved, tones.paving, KERB)


def _far_side(draft: Draft, crossing: Crossing, tones: _Tones) -> None:
    """The other side of the street in which this one ends."""
    reach = 40.0 + max(draft.plan.edge(-1), draft.plan.edge(1))
    draft.kerb_end((-reach, reach), crossing.stop, -1, tones.kerb)
    draft.floor(SIDEWALK, (-reach, reach), (crossing.stop, crossing.stop + 5.0), tones.paved, tones.paving, KERB)
    draft.floor(_TERRAIN, (-reach, reach), (crossing.stop + 5.0, crossing.stop + 30.0), "grass", tones.grass, KERB)


def _middle(draft: Draft, tones: _Tones) -> None:
    """Tram tracks or a green strip between both directions."""
    plan = draft.plan
    stop = plan.crossings[-1].start if plan.ends_there else plan.stop
    if plan.tram:
        for x in (-2.42, -0.98, 0.98, 2.42):
            draft.floor(_RAIL_TRACK, (x - 0.05, x + 0.05), (BEHIND, stop), "metal", 0.2, MARKING)
    elif plan.median > 0.0:
        half = plan.median - 0.2
        for span in plan.stretches(BEHIND, stop, margin=5.0):
            draft.floor(_TERRAIN, (-half, half), span, "grass", tones.grass, KERB)
            draft.kerb_end((-half, half), span[0], -1, tones.kerb)
            draft.kerb_end((-half, half), span[1], 1, tones.kerb)
            for side in (-1, 1):
                draft.kerb(side * half, span, side, tones.kerb)


def _patches(draft: Draft, tones: _Tones) -> None:
    """What years leave on a road: patches, seams of other tone, manholes; and leaves along the kerbs."""
    rng, plan = draft.rng, draft.plan
    asphalt = np.asarray(tones.asphalt)
    count = int(rng.integers(2, 9))
    across = rng.uniform(-plan.inner, plan.inner, count)
    along = rng.uniform(2.0, 90.0, count)
    size = np.stack((rng.uniform(0.6, 2.2, count), rng.uniform(0.8, 7.0, count)), axis=-1)
    across = np.clip(across, -plan.inner + size[:, 0] / 2, plan.inner - size[:, 0] / 2)
    draft.cover(_boxes(across, along, size), (asphalt * rng.uniform(0.6, 1.35, (count, 1))), "asphalt", 0.005)
    if rng.random() < 0.4:  # a trench that was filled along the road
        starts = np.arange(BEHIND, plan.built, 6.0)
        width = np.full((len(starts), 2), (rng.uniform(0.5, 1.1), 6.0))
        trench = _boxes(np.full(len(starts), rng.uniform(-0.8, 0.8) * plan.inner), starts + 3.0, width)
        draft.cover(trench, (asphalt * rng.uniform(0.65, 1.3)), "asphalt", 0.004)
    holes = np.stack((rng.uniform(-0.9, 0.9, 9) * plan.inner, rng.uniform(2.0, 80.0, 9)), axis=-1)[: int(rng.integers(3, 10))]
    draft.cover(_discs(holes, 0.36), 0.11, "", 0.008)
    draft.cover(_discs(holes, 0.3), 0.045, "metal", 0.01)
    if rng.random() < 0.35:
        number = 140
        side = rng.choice((-1, 1), number)
        off = rng.exponential(0.5, number) - 0.4
        edges = np.where(side > 0, plan.edge(1), plan.edge(-1))
        spots = np.stack((side * (edges + np.minimum(off, 0.0) - 0.06), rng.uniform(0.0, 70.0, number)), axis=-1)
        spots = spots[[plan.is_closed(y, 7.0) for y in spots[:, 1]]]
        tones_of_leaves = np.array(((0.28, 0.15, 0.03), (0.2, 0.09, 0.03), (0.3, 0.2, 0.05)))[rng.integers(3, size=len(spots))]
        draft.cover(_discs(spots, 0.09)[::3], tones_of_leaves, "", 0.014)


def _boxes(across: np.ndarray, along: np.ndarray, size: np.ndarray) -> np.ndarray:
    corners = np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)))
    return np.asarray(np.stack((across, along), axis=-1)[:, None] + corners * size[:, None])


def _discs(centres: np.ndarray, radius: float) -> np.ndarray:
    """Octagons, three quadrilaterals each."""
    angle = np.pi / 4 * (np.arange(8) + 0.5)
    corners = radius * np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    faces = corners[np.array(((0, 1, 2, 3), (3, 4, 7, 0), (4, 5, 6, 7)))]
    return np.asarray((centres[:, None, None] + faces).reshape(-1, 4, 2))
