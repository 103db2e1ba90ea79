"""Models that a process builds once and paints anew for each object that it places, and the skins that bodies are made of.

A model is an object whose colours may be *codes*: numbers of entries in a palette that :func:`painted` looks up. Geometry is
what costs; a street that places a hundred cars and walkers builds only as many as it has distinct models.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from synth2real.worlds.meshes import Mesh, Numbers, SceneObject, cross, quads


def code(entry: int, shade: float = 1.0) -> Float[np.ndarray, "3"]:
    """A colour that stands for ``shade`` times the palette's ``entry``."""
    return np.array((-1.0 - entry, shade, 0.0))


def painted(model: SceneObject, palette: Float[np.ndarray, "entries 3"]) -> SceneObject:
    """The model with the palette's colours in place of codes; geometry is shared."""
    entries = np.asarray(palette, np.float32)
    parts = []
    for part in model.parts:
        colours = part.mesh.colours
        coded = colours[:, 0] < 0
        albedo = entries[np.where(coded, -1.0 - colours[:, 0], 0.0).astype(np.intp)] * colours[:, 1:2]
        mesh = replace(part.mesh, colours=np.where(coded[:, None], np.clip(albedo, 0.0, 1.0), colours))
        parts.append(part._replace(mesh=mesh))
    return SceneObject(tuple(parts), model.footprint)


def skin(points: Numbers, colours: Numbers, wrapped: bool = False) -> Mesh:
    """A curved surface over a grid of points; each face has a colour of its own and leans towards its neighbours' normals.

    Args:
        points: (rows, columns, 3), rows upward and columns to the right, seen from outside.
        colours: of all, (rows - 1, faces, 3) of each face, or (rows - 1, faces, 2, 3) of each face's lower and upper edge.
        wrapped: whether the last column joins the first.
    """
    grid = np.asarray(points, np.float64)
    rows, columns = grid.shape[:2]
    if wrapped:
        grid = np.concatenate((grid, grid[:, :1]), axis=1)
    across = np.empty_like(grid)
    across[:, 1:-1] = grid[:, 2:] - grid[:, :-2]
    across[:, 0], across[:, -1] = grid[:, 1] - grid[:, 0], grid[:, -1] - grid[:, -2]
    if wrapped:
        across[:, 0] = across[:, -1] = grid[:, 1] - grid[:, -2]
    up = np.gradient(grid, axis=0)
    smooth = _unit(cross(across, up))
    corners = _corners(grid)
    flat = _unit(cross(corners[..., 2, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 1, :]))
    normals = _unit(_corners(smooth) + 0.8 * flat[..., None, :])
    lost = np.einsum("...i,...i->...", normals, normals) < 0.5
    normals[lost] = (0.0, 0.0, 1.0)
    faces = (rows - 1, columns - (not wrapped))
    painted_corners = np.empty((*faces, 4, 3))
    given = np.asarray(colours, np.float64)
    if given.ndim == 4:
        painted_corners[:, :, :2], painted_corners[:, :, 2:] = given[:, :, :1], given[:, :, 1:]
    else:
        painted_corners[...] = given if given.ndim == 1 else given[:, :, None]
    mesh = quads(corners.reshape(-1, 4, 3), painted_corners.reshape(-1, 4, 3))
    return replace(mesh, normals=normals.reshape(-1, 3).astype(np.float32))


def outline(half: Numbers) -> NDArray[np.float64]:
    """Closed ring of 2n points that is the same on both sides, counter-clockwise from above.

    Args:
        half: its n + 1 points (|x|, y) or (|x|, y, z) from the front's middle to the rear's middle.
    """
    left, right = np.array(half, np.float64), np.asarray(half, np.float64)[-2:0:-1]
    left[:, 0] *= -1.0
    return np.concatenate((left, right))


def lid(ring: Float[np.ndarray, "p 3"], crown: float, colours: Numbers) -> Mesh:
    """A roof or bonnet over a ring of :func:`outline`, whose middle rises by ``crown`` metres.

    Args:
        ring: its edge.
        crown: rise of the middle line, metres.
        colours: of all, or (p / 2, 3) one for each strip across, front first.
    """
    count = len(ring) // 2
    left, right = ring[: count + 1], ring[-np.arange(count + 1) % len(ring)]
    share = np.array((0.0, 0.22, 0.5, 0.78, 1.0))[:, None]
    grid = left[:, None] + share * (right - left)[:, None]
    wide = np.abs(left[:, 0])
    grid[..., 2] += crown * (1.0 - (2.0 * share[:, 0] - 1.0) ** 4) * np.minimum(1.0, wide / wide.max())[:, None]
    given = np.asarray(colours, np.float64)
    strips = np.empty((count, 4, 3))
    strips[...] = given if given.ndim == 1 else given[::-1, None]
    return skin(grid[::-1], strips)


def _corners(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows - 1, columns - 1, 4, 3): each face's corners, counter-clockwise from its lower left."""
    return np.stack((grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]), axis=2)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    unit: NDArray[np.float64] = np.where(lengths > 1e-9, vectors / np.maximum(lengths, 1e-9), 0.0)
    return unit
