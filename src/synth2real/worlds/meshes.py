"""Triangle meshes with labels, and the primitives that every object of the worlds is made of.

The frame is right-handed: x to the right, y forward (away from a camera at the origin), z up; lengths are metres and
angles radians, positive counter-clockwise seen from above. Triangles are wound counter-clockwise seen from outside.
Primitives are *batched*: one call makes many boxes, tubes or ellipsoids, because building scenes must be cheap.
Texture coordinates are metres along the surface unless a builder says otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Int32
from numpy.typing import NDArray

Visibility = Literal["both", "image", "label"]
Numbers = NDArray[np.number[Any]] | Sequence[Any] | float | int
Colour = Numbers


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles of one material.

    Attributes:
        vertices: positions in metres.
        normals: outward unit vectors.
        colours: linear albedo in [0, 1], multiplied by the texture.
        texture_coordinates: metres along the surface (materials), or the builder's own unit (pictures).
        triangles: vertex indices, counter-clockwise seen from outside.
        texture: name of a material; empty for none.
    """

    vertices: Float32[np.ndarray, "n 3"]
    normals: Float32[np.ndarray, "n 3"]
    colours: Float32[np.ndarray, "n 3"]
    texture_coordinates: Float32[np.ndarray, "n 2"]
    triangles: Int32[np.ndarray, "m 3"]
    texture: str = ""

    def transformed(self, linear: Float[np.ndarray, "3 3"], translation: Numbers = (0.0, 0.0, 0.0)) -> "Mesh":
        """The mesh under v -> linear v + translation; a mirror image keeps its triangles facing outward.

        Raises:
            ValueError: if ``linear`` is singular, for then normals are undefined.
        """
        matrix = np.asarray(linear, np.float64)
        determinant = float(np.linalg.det(matrix))
        if abs(determinant) < 1e-12:
            raise ValueError(f"expected an invertible 3x3 matrix, got determinant {determinant}: scale by non-zero factors")
        vertices = self.vertices @ matrix.T.astype(np.float32) + np.asarray(translation, np.float32)
        normals = self.normals @ np.linalg.inv(matrix).astype(np.float32)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        triangles = self.triangles if determinant > 0 else np.ascontiguousarray(self.triangles[:, ::-1])
        return replace(self, vertices=vertices, normals=normals, triangles=triangles)

    def rotated(self, yaw: float) -> "Mesh":
        """The mesh turned about the z axis by ``yaw`` radians."""
        turn = rotation_z(yaw).T.astype(np.float32)
        return replace(self, vertices=self.vertices @ turn, normals=self.normals @ turn)

    def translated(self, offset: Numbers) -> "Mesh":
        """The mesh moved by ``offset`` metres."""
        return replace(self, vertices=self.vertices + np.asarray(offset, np.float32))

    def coloured(self, colour: Colour) -> "Mesh":
        """The mesh with one albedo, or one for each vertex."""
        colours = _filled(colour, self.vertices.shape)
        return replace(self, colours=colours)

    def only(self, used: Int[np.ndarray, "used"], triangles: Int32[np.ndarray, "m 3"]) -> "Mesh":
        """These triangles, as indices into the used vertices; see :func:`compact`."""
        vertices, normals, colours = self.vertices[used], self.normals[used], self.colours[used]
        return Mesh(vertices, normals, colours, self.texture_coordinates[used], triangles, self.texture)

    def textured(self, texture: str) -> "Mesh":
        """The mesh with another material."""
        return replace(self, texture=texture)


class Part(NamedTuple):
    """Triangles with one label, one instance and one material.

    Attributes:
        label_id: Cityscapes label id of these triangles.
        instance: 0 for stuff; from 1 the number of the instance inside its object (a cyclist has rider 1, bicycle 2).
        mesh: the triangles.
        visibility: "both"; "image" for triangles that the label picture must not show; "label" for those that only it
            shows (annotators fill railings and wheels that in the image can be looked through).
    """

    label_id: int
    instance: int
    mesh: Mesh
    visibility: Visibility = "both"


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One thing that is placed as a whole: it stands on z = 0, its centre at x = y = 0, facing +y.

    Attributes:
        parts: its triangles by label, instance and material.
        footprint: (width along x, length along y) in metres of a centred rectangle that holds it.
    """

    parts: tuple[Part, ...]
    footprint: tuple[float, float]

    def at(self, x: float, y: float, yaw: float = 0.0, z: float = 0.0, slope: float = 0.0) -> tuple[Part, ...]:
        """The parts in the world, the object turned by ``yaw`` radians about its centre and moved to (x, y, z).

        On a ``slope`` (rise over run along y) the object is sheared upward, so that what is vertical stays so.
        """
        offset = np.array((x, y, z), np.float32)
        turn = rotation_z(yaw)
        facing = turn.T.astype(np.float32)
        turn[2] += slope * turn[1]
        moving = turn.T.astype(np.float32)
        return tuple(
            part._replace(
                mesh=replace(part.mesh, vertices=part.mesh.vertices @ moving + offset, normals=part.mesh.normals @ facing)
            )
            for part in self.parts
        )

    @property
    def height(self) -> float:
        """Highest z of the object, metres."""
        return float(max(part.mesh.vertices[:, 2].max() for part in self.parts))


def scene_object(pieces: Iterable[Part]) -> SceneObject:
    """The object of these pieces: one part for each (label, instance, texture, visibility), footprint measured.

    Raises:
        ValueError: if there are no pieces.
    """
    groups: dict[tuple[int, int, str, Visibility], list[Mesh]] = {}
    for piece in pieces:
        groups.setdefault((piece.label_id, piece.instance, piece.mesh.texture, piece.visibility), []).append(piece.mesh)
    if not groups:
        raise ValueError("expected at least one part, got none: an object needs triangles")
    parts = tuple(Part(key[0], key[1], merge(meshes), key[3]) for key, meshes in groups.items())
    reach = np.max([np.abs(part.mesh.vertices[:, :2]).max(axis=0) for part in parts], axis=0)
    return SceneObject(parts, (2.0 * float(reach[0]) + 1e-4, 2.0 * float(reach[1]) + 1e-4))


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of all triangles.

    Raises:
        ValueError: if there is none, or if they have more than one texture.
    """
    textures = {mesh.texture for mesh in meshes}
    if len(textures) != 1:
        raise ValueError(f"expected meshes of one texture, got {sorted(textures)}: merge each material by itself")
    return meshes[0] if len(meshes) == 1 else joined(meshes).textured(meshes[0].texture)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """A new mesh of all triangles, whatever their textures: it has none."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.colours for mesh in meshes]),
        np.concatenate([mesh.texture_coordinates for mesh in meshes]),
        np.concatenate([mesh.triangles + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)]),
    )


def compact(triangles: Int32[np.ndarray, "m 3"], count: int) -> tuple[Int[np.ndarray, "used"], Int32[np.ndarray, "m 3"]]:
    """Which of ``count`` vertices the triangles use, and the triangles as indices into these."""
    is_used = np.zeros(count, bool)
    is_used[triangles] = True
    places = np.cumsum(is_used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(is_used), places[triangles]


def xyz(x: float | int, y: float | int, z: float | int) -> Float[np.ndarray, "3"]:
    """The point or vector (x, y, z)."""
    return np.array((x, y, z), np.float64)


def rotation_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation by ``angle`` about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))


def rotation_x(angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation by ``angle`` about x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)))


def rotation_y(angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation by ``angle`` about y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)))


def cross(a: Float[np.ndarray, "... 3"], b: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    """The cross product over the last axis; several times faster than numpy's for small arrays."""
    product = np.empty(np.broadcast(a, b).shape, np.result_type(a, b))
    product[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    product[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    product[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product


def volume(mesh: Mesh) -> float:
    """Signed volume in cubic metres that a closed mesh encloses (divergence theorem); positive if it faces outward."""
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def copies(mesh: Mesh, turns: Float[np.ndarray, "k 3 3"], offsets: Float[np.ndarray, "k 3"]) -> Mesh:
    """One mesh of k copies, each turned by a rotation and then moved by an offset in metres."""
    count, each = len(turns), len(mesh.vertices)
    transposed = np.swapaxes(turns, 1, 2).astype(np.float32)
    return Mesh(
        (mesh.vertices @ transposed + offsets.astype(np.float32)[:, None]).reshape(-1, 3),
        (mesh.normals @ transposed).reshape(-1, 3),
        np.tile(mesh.colours, (count, 1)),
        np.tile(mesh.texture_coordinates, (count, 1)),
        (mesh.triangles + (each * np.arange(count, dtype=np.int32))[:, None, None]).reshape(-1, 3),
        mesh.texture,
    )


def flat_shaded(mesh: Mesh) -> Mesh:
    """The same triangles, none sharing a vertex, each with the normal of its plane."""
    index = mesh.triangles.reshape(-1)
    vertices = mesh.vertices[index]
    normals = np.repeat(_face_normals(vertices.reshape(-1, 3, 3)), 3, axis=0)
    triangles = np.arange(len(index), dtype=np.int32).reshape(-1, 3)
    return Mesh(vertices, normals, mesh.colours[index], mesh.texture_coordinates[index], triangles, mesh.texture)


def smooth_shaded(mesh: Mesh) -> Mesh:
    """The same triangles with area-weighted normals (Gouraud, 1971), averaged over the triangles at each vertex index."""
    corners = mesh.vertices[mesh.triangles]
    weighted = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(mesh.vertices)
    for corner in range(3):
        np.add.at(normals, mesh.triangles[:, corner], weighted)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(lengths > 1e-12, normals / np.maximum(lengths, 1e-12), mesh.normals)
    return replace(mesh, normals=normals.astype(np.float32))


def boxes(centres: Numbers, sizes: Numbers, colours: Colour, texture: str = "", taper: Numbers = 1.0) -> Mesh:
    """Axis-aligned boxes with flat faces.

    Args:
        centres: (k, 3) or (3,) centres.
        sizes: full edge lengths, broadcast against ``centres``.
        colours: one albedo, or one for each box.
        texture: material.
        taper: the top face's x and y size over the bottom's, positive: one, one for each box, or (k, 2) for each axis.
    """
    centre = np.atleast_2d(np.asarray(centres, np.float32))
    size = np.atleast_2d(np.asarray(sizes, np.float32))
    count = max(len(centre), len(size))
    size = _filled(size, (count, 3))
    corners = _CUBE_CORNERS[None] * size[:, None]
    top = np.asarray(taper, np.float32)
    if not (top.ndim == 0 and top == 1.0):
        top = _filled(top[:, None] if top.ndim == 1 else top, (count, 2))
        corners[:, 4:, :2] *= top[:, None]
    corners += centre[:, None]
    faces = corners[:, _CUBE_FACES]
    texels = np.empty((count, 6, 4, 2), np.float32)
    texels[:, :2], texels[:, 2:4], texels[:, 4:] = faces[:, :2, :, :2], faces[:, 2:4, :, ::2], faces[:, 4:, :, 1:]
    colour = np.asarray(colours, np.float32)
    if colour.ndim == 2:
        colour = np.repeat(colour, 6, axis=0)
    return quads(faces.reshape(-1, 4, 3), colour, texture, texels.reshape(-1, 4, 2))


def quads(
    corners: Numbers, colours: Colour, texture: str = "", texture_coordinates: Float[np.ndarray, "k 4 2"] | None = None
) -> Mesh:
    """Flat four-sided faces, each with its own vertices.

    Args:
        corners: (k, 4, 3) corners, counter-clockwise seen from outside.
        colours: one albedo, (k, 3) one for each face, or (k, 4, 3) one for each corner.
        texture: material.
        texture_coordinates: of each corner; by default metres along the first edge and across it.
    """
    corner = np.asarray(corners, np.float32)
    count = len(corner)
    normals = _unit(cross(corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1]))
    if texture_coordinates is None:
        sides = corner[:, [1, 3]] - corner[:, :1]
        extent = np.sqrt(np.einsum("...i,...i->...", sides, sides))
        texels = np.zeros((count, 4, 2), np.float32)
        texels[:, 1:3, 0] = extent[:, :1]
        texels[:, 2:, 1] = extent[:, 1:]
    else:
        texels = np.asarray(texture_coordinates, np.float32)
    colour = np.asarray(colours, np.float32)
    if colour.ndim == 2:
        colour = colour[:, None]
    triangles = (4 * np.arange(count, dtype=np.int32)[:, None, None] + _QUAD_TRIANGLES).reshape(-1, 3)
    return Mesh(
        corner.reshape(-1, 3),
        np.repeat(normals, 4, axis=0),
        _filled(colour, (count, 4, 3)).reshape(-1, 3),
        texels.reshape(-1, 2),
        triangles,
        texture,
    )


def grid(corner: Numbers, u: Numbers, v: Numbers, shape: tuple[int, int], colour: Colour, texture: str = "") -> Mesh:
    """A flat rectangle of ``shape`` = (cells along u, cells along v), facing u x v; texture in metres.

    Raises:
        ValueError: if a count is below 1.
    """
    columns, rows = shape
    if columns < 1 or rows < 1:
        raise ValueError(f"expected at least one cell in each direction, got {shape}: give positive counts")
    across, along = np.asarray(u, np.float32), np.asarray(v, np.float32)
    s, t = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1)))
    vertices = (np.asarray(corner, np.float32) + s[:, None] * across + t[:, None] * along).astype(np.float32)
    texels = np.stack((s * np.linalg.norm(across), t * np.linalg.norm(along)), axis=1).astype(np.float32)
    normal = _unit(np.cross(across, along)[None])
    return Mesh(
        vertices,
        np.repeat(normal, len(vertices), axis=0),
        np.tile(np.asarray(colour, np.float32), (len(vertices), 1)),
        texels,
        _grid_triangles(rows, columns),
        texture,
    )


def tubes(
    starts: Numbers,
    ends: Numbers,
    start_radii: Numbers,
    end_radii: Numbers | None = None,
    colours: Colour = (0.5, 0.5, 0.5),
    sides: int = 6,
    texture: str = "",
    caps: bool = True,
) -> Mesh:
    """Round bars between pairs of points: cylinders, or cones where the two radii differ; sides smooth, caps flat.

    Args:
        starts: (k, 3) or (3,) centres of the first ends.
        ends: centres of the second ends.
        start_radii: radius at the first end, one or one for each tube; zero makes a point.
        end_radii: radius at the second end; by default the first.
        colours: one albedo, or one for each tube.
        sides: corners of the cross-section, at least 3.
        texture: material.
        caps: whether the ends are closed.

    Raises:
        ValueError: if a tube has no length, or ``sides`` < 3.
    """
    if sides < 3:
        raise ValueError(f"expected at least 3 sides, got {sides}")
    a = np.atleast_2d(np.asarray(starts, np.float32))
    b = np.atleast_2d(np.asarray(ends, np.float32))
    a, b = np.broadcast_arrays(a, b)
    count = len(a)
    axis = b - a
    length = np.sqrt(np.einsum("ij,ij->i", axis, axis))
    if not (length > 0).all():
        raise ValueError("expected tubes of positive length, got one whose two ends coincide: drop it")
    axis = axis / length[:, None]
    first = _filled(start_radii, (count,))
    second = first if end_radii is None else _filled(end_radii, (count,))
    across, up = _perpendicular(axis)
    ring = across[:, None] * _circle(sides)[None, :, :1] + up[:, None] * _circle(sides)[None, :, 1:]
    low = a[:, None] + ring * first[:, None, None]
    high = b[:, None] + ring * second[:, None, None]
    slope = ((first - second) / length)[:, None, None]
    normal = _unit(ring + axis[:, None] * slope)
    wound = np.linspace(0, 1, sides, endpoint=False, dtype=np.float32)
    texel_low = np.empty((count, sides, 2), np.float32)
    texel_low[..., 0] = wound * (2 * np.pi * np.maximum(first, second))[:, None]
    texel_low[..., 1] = 0.0
    texel_high = texel_low.copy()
    texel_high[..., 1] = length[:, None]
    layers = [(low, normal, texel_low), (high, normal, texel_high)]
    if caps:
        flat = _filled(axis[:, None], low.shape)
        layers += [(low, -flat, texel_low), (high, flat, texel_high)]
    per_tube = len(layers) * sides
    template = _tube_triangles(sides, caps)
    offsets = per_tube * np.arange(count, dtype=np.int32)[:, None, None]
    colour = _filled(colours, (count, 3))
    return Mesh(
        np.concatenate([layer[0] for layer in layers], axis=1).reshape(-1, 3),
        np.concatenate([layer[1] for layer in layers], axis=1).reshape(-1, 3),
        np.repeat(colour, per_tube, axis=0),
        np.concatenate([layer[2] for layer in layers], axis=1).reshape(-1, 2),
        (template + offsets).reshape(-1, 3),
        texture,
    )


def lathe(profile: Numbers, colours: Colour, sides: int = 8, texture: str = "", smooth: bool = True) -> Mesh:
    """The surface that a profile sweeps about the z axis; closed where the profile starts and ends at radius zero.

    Args:
        profile: (p, 2) rows of (radius, z), upward on the outside: z ascending for a convex solid.
        colours: one albedo, or one for each profile row.
        sides: corners of the cross-section, at least 3.
        texture: material.
        smooth: smooth normals across the surface; otherwise each facet is flat.

    Raises:
        ValueError: if the profile has fewer than two rows or ``sides`` < 3.
    """
    rows = np.asarray(profile, np.float32)
    if rows.ndim != 2 or rows.shape[1] != 2 or len(rows) < 2 or sides < 3:
        raise ValueError(f"expected a profile of shape (p >= 2, 2) and sides >= 3, got {rows.shape} and {sides}")
    circle = _circle(sides)
    circle = np.concatenate((circle, circle[:1]))
    vertices = np.empty((len(rows), sides + 1, 3), np.float32)
    vertices[..., :2] = rows[:, None, :1] * circle[None]
    vertices[..., 2] = rows[:, 1, None]
    steps = np.diff(rows, axis=0)
    along = np.concatenate((steps[:1], steps)) + np.concatenate((steps, steps[-1:]))
    normals = np.empty_like(vertices)
    normals[..., :2] = along[:, None, 1:] * circle[None]
    normals[..., 2] = -along[:, None, 0]
    texels = np.empty((len(rows), sides + 1, 2), np.float32)
    texels[..., 0] = np.linspace(0, 1, sides + 1, dtype=np.float32) * (2 * np.pi * rows[:, 0].max())
    texels[..., 1] = np.concatenate(([0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))))[:, None]
    colour = np.asarray(colours, np.float32)
    colour = _filled(colour if colour.ndim == 1 else colour[:, None], vertices.shape)
    triangles = _grid_triangles(len(rows) - 1, sides)
    ring = triangles // (sides + 1)
    on_axis = np.concatenate((rows[:, 0] == 0.0, [False]))
    degenerate = ((on_axis[ring]) & (ring == ring[:, [1, 2, 0]])).any(axis=1) | (
        (on_axis[ring]) & (ring == ring[:, [2, 0, 1]])
    ).any(axis=1)
    mesh = Mesh(
        vertices.reshape(-1, 3),
        _unit(normals.reshape(-1, 3)),
        colour.reshape(-1, 3),
        texels.reshape(-1, 2),
        triangles[~degenerate],
        texture,
    )
    return mesh if smooth else flat_shaded(mesh)


def lofts(sections: Numbers, colours: Colour, texture: str = "", smooth: bool = True, caps: bool = True) -> Mesh:
    """Skins over rows of cross-sections: a limb, a torso, the body of a car.

    Args:
        sections: (k, s, p, 3) or (s, p, 3): for each skin its closed sections, each counter-clockwise seen from the last
            section towards the first.
        colours: one albedo, (k, 3) one for each skin, or (k, s, p, 3) one for each point.
        texture: material.
        smooth: normals from the two tangents at each point; otherwise each face has the normal of its diagonals.
        caps: whether first and last section are closed by a fan about their mean, which suits star-shaped sections.

    Raises:
        ValueError: if there are fewer than two sections or three points in a section.
    """
    rings = np.asarray(sections, np.float32)
    rings = rings[None] if rings.ndim == 3 else rings
    count, rows, points = rings.shape[:3]
    if rows < 2 or points < 3:
        raise ValueError(f"expected at least 2 sections of at least 3 points, got {rows} of {points}")
    side = rows * (points + 1)
    total = side + (2 * (points + 1) if caps else 0)
    vertices, normals, colour = (np.empty((count, total, 3), np.float32) for _ in range(3))
    texels = np.zeros((count, total, 2), np.float32)
    layers = (vertices, normals, colour, texels)
    wrapped, facing, painted, wound = (layer[:, :side].reshape(count, rows, points + 1, -1) for layer in layers)
    wrapped[:, :, :points], wrapped[:, :, points] = rings, rings[:, :, 0]
    edges = wrapped[:, :, 1:] - wrapped[:, :, :-1]
    around = edges + np.concatenate((edges[:, :, -1:], edges[:, :, :-1]), axis=2)
    forward = np.empty_like(rings)
    forward[:, 1:-1] = rings[:, 2:] - rings[:, :-2]
    forward[:, 0], forward[:, -1] = rings[:, 1] - rings[:, 0], rings[:, -1] - rings[:, -2]
    facing[:, :, :points] = _unit(cross(around, forward))
    facing[:, :, points] = facing[:, :, 0]
    np.cumsum(np.sqrt(np.einsum("...i,...i->...", edges, edges)), axis=2, out=wound[:, :, 1:, 0])
    centres = rings.sum(axis=2) / np.float32(points)
    steps = centres[:, 1:] - centres[:, :-1]
    wound[:, 1:, :, 1] = np.cumsum(np.sqrt(np.einsum("...i,...i->...", steps, steps)), axis=1)[..., None]
    given = np.asarray(colours, np.float32)
    if given.ndim == 4:
        painted[:, :, :points], painted[:, :, points] = given, given[:, :, 0]
    else:
        colour[...] = given if given.ndim == 1 else given[:, None]
    if caps:
        ends = rings[:, [0, -1]]
        spokes = ends - centres[:, [0, -1], None]
        outward = _unit(cross(spokes, np.roll(spokes, -1, axis=2)).sum(axis=2))
        outward[:, 0] *= -1
        shape = (count, 2, points + 1, 3)
        disc = vertices[:, side:].reshape(shape)
        disc[:, :, :points], disc[:, :, points] = ends, centres[:, [0, -1]]
        normals[:, side:].reshape(shape)[...] = outward[:, :, None]
        if given.ndim == 4:
            disc_colour = colour[:, side:].reshape(shape)
            disc_colour[:, :, :points] = given[:, [0, -1]]
            disc_colour[:, :, points] = given[:, [0, -1]].mean(axis=2)
    triangles = _loft_triangles(rows, points, caps) + (total * np.arange(count, dtype=np.int32))[:, None, None]
    flat = [layer.reshape(-1, layer.shape[-1]) for layer in layers]
    mesh = Mesh(flat[0], flat[1], flat[2], flat[3], triangles.reshape(-1, 3), texture)
    if smooth:
        return mesh
    faces = _loft_faces(rows, points) + (total * np.arange(count))[:, None, None]
    corners = faces.reshape(-1, 4)
    sides = quads(mesh.vertices[corners], mesh.colours[corners], texture, mesh.texture_coordinates[corners])
    ends = np.ascontiguousarray(triangles[:, 2 * (rows - 1) * points :].reshape(-1, 3))
    return merge((sides, flat_shaded(replace(mesh, triangles=ends)))) if caps else sides


def extruded(
    polygon: Numbers, low: float | int, high: float | int, colour: Colour, texture: str = "", axis: Literal["x", "y", "z"] = "z"
) -> Mesh:
    """The prism over a simple polygon, between ``low`` and ``high`` on an axis; caps by ear clipping (Meisters, 1975).

    Args:
        polygon: (p, 2) corners, counter-clockwise: (x, y) for axis z, (y, z) for axis x, (z, x) for axis y.
        low: lower coordinate on the axis.
        high: upper coordinate on the axis.
        colour: albedo.
        texture: material.
        axis: direction of the prism.

    Raises:
        ValueError: if ``high`` <= ``low``, or the polygon is clockwise, crosses itself or has fewer than three corners.
    """
    corners = np.asarray(polygon, np.float32)
    if high <= low:
        raise ValueError(f"expected low < high, got {low} and {high}")
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(f"expected a polygon of shape (p >= 3, 2), got {corners.shape}")
    count = len(corners)
    caps = np.array(_ears(corners.tobytes()), np.int32)
    bottom = np.column_stack((corners, np.full(count, low, np.float32)))
    top = np.column_stack((corners, np.full(count, high, np.float32)))
    following = np.roll(np.arange(count), -1)
    walls = quads(np.stack((bottom, bottom[following], top[following], top), axis=1), colour, texture)
    cap_normals = np.zeros((2 * count, 3), np.float32)
    cap_normals[:count, 2], cap_normals[count:, 2] = -1.0, 1.0
    cap = Mesh(
        np.concatenate((bottom, top)),
        cap_normals,
        np.tile(np.asarray(colour, np.float32), (2 * count, 1)),
        np.concatenate((corners, corners)),
        np.concatenate((caps[:, ::-1], caps + np.int32(count))),
        texture,
    )
    prism = merge((walls, cap))
    order = {"x": [2, 0, 1], "y": [1, 2, 0], "z": [0, 1, 2]}[axis]
    return replace(prism, vertices=prism.vertices[:, order], normals=prism.normals[:, order])


def ellipsoids(
    centres: Numbers, radii: Numbers, colours: Colour, detail: int = 1, texture: str = "", rotation: Numbers | None = None
) -> Mesh:
    """Closed ellipsoids from a subdivided icosahedron, smooth normals.

    Args:
        centres: (k, 3) or (3,) centres.
        radii: half axes along x, y, z, broadcast against ``centres``.
        colours: one albedo, or one for each ellipsoid.
        detail: 0 for 20 triangles each, 1 for 80, 2 for 320.
        texture: material.
        rotation: 3x3 rotation of all of them about their centres.
    """
    sphere, template = _icosphere(detail)
    centre = np.atleast_2d(np.asarray(centres, np.float32))
    radius = np.atleast_2d(np.asarray(radii, np.float32))
    count = max(len(centre), len(radius))
    local = sphere[None] * radius[:, None]
    normals = _unit(sphere[None] / radius[:, None])
    if rotation is not None:
        turn = np.asarray(rotation, np.float32).T
        local, normals = local @ turn, normals @ turn
    vertices = _filled(local + centre[:, None], (count, len(sphere), 3))
    normals = _filled(normals, vertices.shape)
    texels = _filled(local[..., :2] + local[..., 2:], (count, len(sphere), 2))
    colour = _filled(colours, (count, 3))
    offsets = len(sphere) * np.arange(count, dtype=np.int32)[:, None, None]
    return Mesh(
        vertices.reshape(-1, 3),
        normals.reshape(-1, 3),
        np.repeat(colour, len(sphere), axis=0),
        texels.reshape(-1, 2),
        (template + offsets).reshape(-1, 3),
        texture,
    )


_CUBE_CORNERS = np.array([(x, y, z) for z in (-0.5, 0.5) for y in (-0.5, 0.5) for x in (-0.5, 0.5)], np.float32)
_CUBE_FACES = np.array(
    ((2, 3, 1, 0), (4, 5, 7, 6), (0, 1, 5, 4), (3, 2, 6, 7), (2, 0, 4, 6), (1, 3, 7, 5)), np.intp
)  # bottom, top, back, front, left, right
_QUAD_CORNERS = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1)), np.float32)
_QUAD_TRIANGLES = np.array(((0, 1, 2), (0, 2, 3)), np.int32)


def _filled(values: Numbers, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The values broadcast into a new array; for small arrays much quicker than numpy's broadcast_to."""
    array = np.empty(shape, np.float32)
    array[...] = values
    return array


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    unit: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32, copy=False)
    return unit


def _face_normals(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    return _unit(cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))


def _perpendicular(axis: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two unit vectors that make a right-handed frame (across, up, axis)."""
    helper = np.where(np.abs(axis[:, 2:]) < 0.9, np.array((0, 0, 1), np.float32), np.array((0, 1, 0), np.float32))
    across = _unit(cross(helper, axis))
    return across, cross(axis, across)


@lru_cache
def _circle(sides: int) -> NDArray[np.float32]:
    angles = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    return np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)


@lru_cache
def _tube_triangles(sides: int, caps: bool) -> NDArray[np.int32]:
    i = np.arange(sides, dtype=np.int32)
    j = (i + 1) % sides
    faces = [np.stack((i, j, sides + j), axis=1), np.stack((i, sides + j, sides + i), axis=1)]
    if caps:
        fan = np.stack((np.zeros(sides - 2, np.int32), i[1:-1], i[2:]), axis=1)
        faces += [2 * sides + fan[:, ::-1], 3 * sides + fan]
    return np.concatenate(faces).astype(np.int32)


@lru_cache
def _grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    start = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    quad = np.stack((start, start + 1, start + columns + 2, start + columns + 1), axis=1)
    return np.ascontiguousarray(quad[:, _QUAD_TRIANGLES].reshape(-1, 3)).astype(np.int32)


@lru_cache
def _loft_faces(rows: int, points: int) -> NDArray[np.intp]:
    """The four corners of each face between two sections."""
    start = (np.arange(rows - 1)[:, None] * (points + 1) + np.arange(points)).ravel()
    return np.stack((start, start + 1, start + points + 2, start + points + 1), axis=1)


@lru_cache
def _loft_triangles(rows: int, points: int, caps: bool) -> NDArray[np.int32]:
    faces = [_grid_triangles(rows - 1, points)]
    if caps:
        i = np.arange(points)
        fan = np.stack((np.full(points, points), i, (i + 1) % points), axis=1)
        start = rows * (points + 1)
        faces += [(start + fan[:, ::-1]).astype(np.int32), (start + points + 1 + fan).astype(np.int32)]
    return np.concatenate(faces)


@lru_cache
def _icosphere(detail: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    golden = (1 + 5**0.5) / 2
    points: list[tuple[float, float, float]] = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0)]
    points += [(z, x, y) for x, y, z in points] + [(y, z, x) for x, y, z in points]
    vertices = np.array(points, np.float64)
    distance = np.linalg.norm(vertices[:, None] - vertices[None], axis=2)
    near = np.isclose(distance, 2.0)
    faces = [
        (i, j, k) if np.linalg.det(vertices[[i, j, k]]) > 0 else (i, k, j)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    for _ in range(detail):
        middles: dict[tuple[int, int], int] = {}
        corners = list(map(tuple, vertices))
        finer = []
        for a, b, c in faces:
            ab, bc, ca = (_middle(corners, middles, *pair) for pair in ((a, b), (b, c), (c, a)))
            finer += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        vertices, faces = np.array(corners), finer
    return _unit(vertices), np.array(faces, np.int32)


def _middle(corners: list[tuple[float, ...]], middles: dict[tuple[int, int], int], a: int, b: int) -> int:
    key = (min(a, b), max(a, b))
    if key not in middles:
        radius = np.linalg.norm(corners[a])
        middle = np.add(corners[a], corners[b])
        middles[key] = len(corners)
        corners.append(tuple(middle * radius / np.linalg.norm(middle)))
    return middles[key]


@lru_cache(maxsize=256)
def _ears(polygon: bytes) -> tuple[tuple[int, int, int], ...]:
    """Triangles of a counter-clockwise simple polygon by ear clipping."""
    points = np.frombuffer(polygon, np.float32).reshape(-1, 2).astype(float).tolist()

    def turn(a: int, b: int, c: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = points[a], points[b], points[c]
        return float((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))

    left = list(range(len(points)))
    triangles: list[tuple[int, int, int]] = []
    while len(left) > 3:
        for position, b in enumerate(left):
            a, c = left[position - 1], left[(position + 1) % len(left)]
            if turn(a, b, c) <= 0:
                continue
            if any(turn(a, b, p) >= 0 and turn(b, c, p) >= 0 and turn(c, a, p) >= 0 for p in left if p not in (a, b, c)):
                continue
            triangles.append((a, b, c))
            left.pop(position)
            break
        else:
            raise ValueError("expected a simple counter-clockwise polygon without repeated corners: reverse or repair it")
    if turn(*left) <= 0:
        raise ValueError("expected a simple counter-clockwise polygon without repeated corners: reverse or repair it")
    return (*triangles, (left[0], left[1], left[2]))
