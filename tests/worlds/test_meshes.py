import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from synth2real.worlds.meshes import (
    Mesh,
    Part,
    boxes,
    compact,
    copies,
    ellipsoids,
    extruded,
    flat_shaded,
    grid,
    lathe,
    lofts,
    merge,
    quads,
    rotation_x,
    rotation_y,
    rotation_z,
    scene_object,
    smooth_shaded,
    tubes,
    volume,
    xyz,
)

few = settings(max_examples=20, deadline=None)

GREY = (0.5, 0.5, 0.5)
length = st.floats(0.05, 20.0)
place = st.floats(-50.0, 50.0)


def check(mesh: Mesh) -> None:
    """Finite, in range, unit normals that agree with the winding."""
    count = len(mesh.vertices)
    assert mesh.normals.shape == mesh.colours.shape == (count, 3)
    assert mesh.texture_coordinates.shape == (count, 2)
    for array in (mesh.vertices, mesh.normals, mesh.colours, mesh.texture_coordinates):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert mesh.triangles.dtype == np.int32
    assert mesh.triangles.min() >= 0
    assert mesh.triangles.max() < count
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-4)
    a, b, c = (mesh.vertices[mesh.triangles[:, i]].astype(np.float64) for i in range(3))
    plane = np.cross(b - a, c - a)
    area = np.linalg.norm(plane, axis=1)
    sound = area > 1e-7
    shade = mesh.normals[mesh.triangles].mean(axis=1)
    assert (np.einsum("ij,ij->i", plane[sound] / area[sound, None], shade[sound]) > 0).all()


def is_closed(mesh: Mesh) -> bool:
    """Whether every edge is used once in each direction, after corners at one place are joined."""
    _, joined = np.unique(np.round(mesh.vertices, 4), axis=0, return_inverse=True)
    corners = joined.reshape(-1)[mesh.triangles]
    corners = corners[(corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])]
    edges = np.concatenate((corners[:, :2], corners[:, 1:], corners[:, [2, 0]]))
    forward = sorted(map(tuple, edges.tolist()))
    backward = sorted(map(tuple, edges[:, ::-1].tolist()))
    return forward == backward


def prism_ring(sides: int, radius: float) -> NDArray[np.float64]:
    angle = 2 * np.pi * np.arange(sides) / sides
    return np.stack((radius * np.cos(angle), radius * np.sin(angle), np.zeros(sides)), axis=1)


@few
@given(place, place, length, length, length)
def test_box_volume(x: float, y: float, width: float, depth: float, height: float) -> None:
    mesh = boxes((x, y, 1.0), (width, depth, height), GREY)
    check(mesh)
    assert is_closed(mesh)
    assert volume(boxes((0, 0, 0), (width, depth, height), GREY)) == pytest.approx(width * depth * height, rel=1e-3)
    assert np.allclose(mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0), (width, depth, height), atol=1e-4)


def test_tapered_box_is_a_frustum() -> None:
    mesh = boxes((0, 0, 0), (2.0, 2.0, 3.0), GREY, taper=0.5)
    check(mesh)
    assert volume(mesh) == pytest.approx(3.0 / 3 * (4.0 + 1.0 + 2.0), rel=1e-5)


@few
@given(st.tuples(place, place, place), st.tuples(length, length, length), length, st.integers(3, 24))
def test_tube_volume(start: tuple[float, ...], step: tuple[float, ...], radius: float, sides: int) -> None:
    a = np.array(start)
    mesh = tubes(a, a + step, radius, None, GREY, sides)
    check(mesh)
    area = 0.5 * sides * radius**2 * np.sin(2 * np.pi / sides)
    centred = mesh.translated(-a)
    assert volume(centred) == pytest.approx(area * np.linalg.norm(step), rel=2e-2, abs=1e-3)


def test_tube_and_cone_are_closed_and_meet_their_formulas() -> None:
    mesh = tubes((0, 0, 0), (0, 0, 2), 1.0, 0.5, GREY, 96)
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(np.pi * 2 / 3 * (1 + 0.5 + 0.25), rel=2e-3)
    assert volume(tubes((1, 2, 3), (1, 4, 3), 1.0, 0.0, GREY, 96)) == pytest.approx(np.pi * 2 / 3, rel=2e-3)


def test_batched_tubes_equal_single_ones() -> None:
    rng = np.random.default_rng(0)
    starts, ends, radii = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.uniform(0.1, 1, 5)
    single = merge([tubes(a, b, r, None, GREY) for a, b, r in zip(starts, ends, radii, strict=True)])
    assert np.allclose(tubes(starts, ends, radii, None, GREY).vertices, single.vertices, atol=1e-6)


def test_ellipsoid_approaches_its_volume_and_normals() -> None:
    mesh = ellipsoids((1.0, -2.0, 0.5), (1.0, 2.0, 0.5), GREY, 3)
    check(mesh)
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi, rel=2e-2)
    gradient = (mesh.vertices - (1.0, -2.0, 0.5)) / np.square((1.0, 2.0, 0.5))
    assert np.allclose(mesh.normals, gradient / np.linalg.norm(gradient, axis=1, keepdims=True), atol=1e-4)


@few
@given(length, length, st.integers(3, 40))
def test_lathe_of_a_rectangle_is_a_cylinder(radius: float, height: float, sides: int) -> None:
    mesh = lathe(((0, 0), (radius, 0), (radius, height), (0, height)), GREY, sides, smooth=False)
    check(mesh)
    area = 0.5 * sides * radius**2 * np.sin(2 * np.pi / sides)
    assert volume(mesh) == pytest.approx(area * height, rel=1e-3, abs=1e-5)


def test_lathe_makes_no_degenerate_triangles_on_the_axis() -> None:
    mesh = lathe(((0, 0), (1, 0.5), (0, 1)), GREY, 8)
    assert len(mesh.triangles) == 16
    assert is_closed(mesh)
    assert volume(mesh) > 0


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_extruded_concave_polygon(axis: str) -> None:
    outline = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (3, 2), (3, 3), (0, 3)]
    mesh = extruded(outline, -1.0, 1.5, GREY, axis=axis)  # type: ignore[arg-type]
    check(mesh)
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(7.0 * 2.5, rel=1e-5)
    extent = mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)
    assert extent["xyz".index(axis)] == pytest.approx(2.5)


@few
@given(st.integers(3, 12), st.randoms(use_true_random=False))
def test_extruded_star_shaped_polygons_fill_their_area(sides: int, random: object) -> None:
    rng = np.random.default_rng(random.randrange(2**32))  # type: ignore[attr-defined]
    angle = 2 * np.pi * (np.arange(sides) + rng.uniform(-0.3, 0.3, sides)) / sides
    outline = (rng.uniform(0.5, 2.0, sides) * np.array((np.cos(angle), np.sin(angle)))).T.astype(np.float32)
    x, y = outline.astype(np.float64).T
    area = 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    assert volume(extruded(outline, 0.0, 2.0, GREY)) == pytest.approx(2.0 * area, rel=1e-3)


@pytest.mark.parametrize("smooth", [True, False])
@few
@given(sides=st.integers(3, 16), radius=length, height=length)
def test_loft_of_equal_sections_is_a_prism(smooth: bool, sides: int, radius: float, height: float) -> None:
    ring = prism_ring(sides, radius)
    mesh = lofts(np.stack((ring, ring + xyz(0, 0, height / 2), ring + xyz(0, 0, height))), GREY, smooth=smooth)
    check(mesh)
    area = 0.5 * sides * radius**2 * np.sin(2 * np.pi / sides)
    assert volume(mesh) == pytest.approx(area * height, rel=1e-3, abs=1e-5)
    assert is_closed(lofts(np.stack((prism_ring(6, 1), prism_ring(6, 1) + xyz(0, 0, 1))), GREY, smooth=smooth))


def test_grid_covers_its_rectangle_and_faces_u_cross_v() -> None:
    mesh = grid((1, 2, 0), (4, 0, 0), (0, 6, 0), (2, 3), GREY)
    check(mesh)
    assert len(mesh.triangles) == 12
    assert np.allclose(mesh.normals, (0, 0, 1))
    assert mesh.texture_coordinates.max(axis=0).tolist() == [4.0, 6.0]


def test_quads_default_texture_is_in_metres() -> None:
    mesh = quads([[(0, 0, 0), (3, 0, 0), (3, 0, 2), (0, 0, 2)]], GREY)
    assert mesh.texture_coordinates.tolist() == [[0, 0], [3, 0], [3, 2], [0, 2]]
    assert np.allclose(mesh.normals, (0, -1, 0))


@few
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(0.2, 5), st.booleans())
def test_transformed_scales_the_volume_and_keeps_triangles_outward(
    a: float, b: float, c: float, scale: float, flip: bool
) -> None:
    linear = rotation_z(a) @ rotation_y(b) @ rotation_x(c) @ np.diag((-scale if flip else scale, 1.0, 2.0))
    mesh = ellipsoids((0, 0, 0), (1, 1, 1), GREY).transformed(linear, (1, 2, 3))
    check(mesh)
    assert volume(mesh) == pytest.approx(2 * scale * volume(ellipsoids((0, 0, 0), (1, 1, 1), GREY)), rel=1e-3)


def test_singular_transforms_are_refused() -> None:
    with pytest.raises(ValueError, match="invertible"):
        boxes((0, 0, 0), (1, 1, 1), GREY).transformed(np.diag((1.0, 1.0, 0.0)))


def test_rotations_are_right_handed() -> None:
    quarter = np.pi / 2
    assert np.allclose(rotation_z(quarter) @ xyz(1, 0, 0), (0, 1, 0))
    assert np.allclose(rotation_x(quarter) @ xyz(0, 1, 0), (0, 0, 1))
    assert np.allclose(rotation_y(quarter) @ xyz(0, 0, 1), (1, 0, 0))


def test_copies_equal_transformed_meshes() -> None:
    mesh = boxes((1, 0, 0), (1, 2, 3), GREY)
    turns = np.stack((rotation_z(0.3), rotation_x(1.0)))
    offsets = np.array(((1.0, 2, 3), (4.0, 5, 6)))
    expected = merge([mesh.transformed(turn, offset) for turn, offset in zip(turns, offsets, strict=True)])
    got = copies(mesh, turns, offsets)
    check(got)
    assert np.allclose(got.vertices, expected.vertices, atol=1e-5)
    assert np.array_equal(got.triangles, expected.triangles)


def test_shading_keeps_geometry() -> None:
    mesh = ellipsoids((0, 0, 0), (1, 1, 1), GREY, 2)
    flat = flat_shaded(mesh)
    check(flat)
    assert volume(flat) == pytest.approx(volume(mesh), rel=1e-5)
    assert np.allclose(smooth_shaded(mesh).normals, mesh.normals, atol=0.05)


def test_merge_refuses_mixed_textures() -> None:
    with pytest.raises(ValueError, match="one texture"):
        merge((boxes((0, 0, 0), (1, 1, 1), GREY), boxes((0, 0, 0), (1, 1, 1), GREY, "brick")))


def test_scene_object_groups_parts_and_measures_its_footprint() -> None:
    a, b = boxes((2, 0, 1), (1, 1, 2), GREY), boxes((0, -3, 1), (1, 1, 2), GREY, "brick")
    built = scene_object([Part(11, 0, a), Part(11, 0, a), Part(11, 0, b), Part(11, 0, a, "label")])
    assert [(part.mesh.texture, part.visibility) for part in built.parts] == [("", "both"), ("brick", "both"), ("", "label")]
    assert built.footprint == pytest.approx((5.0, 7.0), abs=1e-3)
    assert built.height == 2.0
    with pytest.raises(ValueError, match="at least one part"):
        scene_object([])


def test_placed_objects_turn_counter_clockwise_then_move() -> None:
    built = scene_object([Part(11, 0, boxes((0, 1, 0.5), (0.2, 0.2, 1), GREY))])
    (part,) = built.at(10.0, 20.0, np.pi / 2, 0.25)
    assert np.allclose(part.mesh.vertices.mean(axis=0), (9.0, 20.0, 0.75), atol=1e-5)
    check(part.mesh)


@pytest.mark.parametrize(
    "build",
    [
        lambda: tubes((0, 0, 0), (0, 0, 0), 1.0),
        lambda: tubes((0, 0, 0), (0, 0, 1), 1.0, sides=2),
        lambda: lathe(((0, 0),), GREY),
        lambda: lofts(np.zeros((1, 4, 3)), GREY),
        lambda: extruded([(0, 0), (0, 1), (1, 1)], 0, 1, GREY),
        lambda: extruded([(0, 0), (1, 1), (1, 0), (0, 1)], 0, 1, GREY),
        lambda: extruded([(0, 0), (1, 0), (1, 1)], 1, 1, GREY),
        lambda: grid((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1), GREY),
    ],
)
def test_impossible_shapes_are_refused(build: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        build()  # type: ignore[operator]


def test_some_triangles_of_a_mesh_keep_their_corners() -> None:
    cube = boxes((1.0, 2.0, 3.0), (1.0, 2.0, 3.0), (0.1, 0.2, 0.3), "brick")
    chosen = np.arange(len(cube.triangles)) % 3 == 0
    used, triangles = compact(cube.triangles[chosen], len(cube.vertices))
    part = cube.only(used, triangles)
    np.testing.assert_array_equal(part.vertices[part.triangles], cube.vertices[cube.triangles[chosen]])
    np.testing.assert_array_equal(part.normals[part.triangles], cube.normals[cube.triangles[chosen]])
    assert sorted(np.unique(part.triangles)) == list(range(len(part.vertices)))
    assert part.texture == "brick"
