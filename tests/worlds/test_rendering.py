from dataclasses import replace

import numpy as np
import pytest

from synth2real.label_space import LABEL_BY_NAME
from synth2real.worlds.meshes import Part, SceneObject, boxes, grid, quads
from synth2real.worlds.rendering import (
    Lamp,
    Light,
    Material,
    Placed,
    Relief,
    Renderer,
    Scene,
    View,
    footprints_overlap,
    renderer,
)

HEIGHT, WIDTH = 64, 128
CAR, PERSON, ROAD, SKY, BUILDING, FENCE = (
    LABEL_BY_NAME[name].label_id for name in ("car", "person", "road", "sky", "building", "fence")
)
LIGHT = Light((0.0, -0.6, 0.8), (0.8, 0.8, 0.8), (0.3, 0.3, 0.3), (0.1, 0.1, 0.1), 0.1)
BLUE_SKY = np.full((8, 8, 3), (80, 120, 250), np.uint8)


def box(label: int, size: tuple[float, float, float], instance: int = 1, visibility: str = "both") -> SceneObject:
    part = Part(label, instance, boxes((0, 0, size[2] / 2), size, (0.5, 0.1, 0.1)), visibility)  # type: ignore[arg-type]
    return SceneObject((part,), (size[0], size[1]))


def scene(*placed: Placed, ground: bool = False, light: Light = LIGHT) -> Scene:
    floor = (Part(ROAD, 0, grid((-30, -20, 0), (60, 0, 0), (0, 120, 0), (6, 12), (0.3, 0.3, 0.3))),) if ground else ()
    return Scene(floor, placed, light, {}, BLUE_SKY)


@pytest.fixture
def engine() -> Renderer:
    return renderer(HEIGHT, WIDTH, 2)


def test_a_box_lands_where_pinhole_geometry_puts_it(engine: Renderer) -> None:
    field_of_view = 1.0
    engine.load(scene(Placed(box(CAR, (2.0, 1.0, 1.5)), 3.0, 20.5)))
    labels = engine.render(View(0.0, 0.0, 1.0, field_of_view=field_of_view)).label_ids
    focal = WIDTH / 2 / np.tan(field_of_view / 2)
    near_face, far_face = 20.0, 21.0
    left, right = WIDTH / 2 + focal * 2.0 / far_face, WIDTH / 2 + focal * 4.0 / near_face
    top, bottom = HEIGHT / 2 - focal * 0.5 / near_face, HEIGHT / 2 + focal * 1.0 / near_face
    rows, columns = np.nonzero(labels == CAR)
    assert abs(columns.min() - left) <= 1.0
    assert abs(columns.max() + 1 - right) <= 1.0
    assert abs(rows.min() - top) <= 1.0
    assert abs(rows.max() + 1 - bottom) <= 1.0
    assert set(np.unique(labels)) == {SKY, CAR}


def test_yaw_and_pitch_turn_the_camera(engine: Renderer) -> None:
    engine.load(scene(Placed(box(CAR, (1.0, 1.0, 1.0)), 0.0, 20.0)))
    left = np.nonzero(engine.render(View(0.0, 0.0, 0.5, yaw=-0.2)).label_ids == CAR)
    up = np.nonzero(engine.render(View(0.0, 0.0, 0.5, pitch=0.1)).label_ids == CAR)
    assert left[1].mean() < WIDTH / 2 - 5  # looking right moves things to the left
    assert up[0].mean() > HEIGHT / 2 + 3  # looking up moves things down


def test_every_object_number_survives_the_id_pass() -> None:
    """The whole 8-bit range of the two lower channels, so that no rounding on the way goes unseen."""
    side = 24
    rng = np.random.default_rng(0)
    engine = renderer(192, 192, 1)
    depths = rng.uniform(8.0, 12.0, side * side)
    placed = []
    for index in range(side * side):
        column, row = index % side - (side - 1) / 2, index // side - (side - 1) / 2
        depth = depths[index]
        unit = np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)))
        corners = np.insert((unit + np.array((column, row))) * depth / side, 1, depth, axis=1)
        tile = SceneObject((Part(PERSON, 1, quads(corners[None], (1.0, 0.5, 0.2))),), (1.0, 1.0))
        placed.append(Placed(tile, 0.0, 0.0))
    engine.load(scene(*placed))
    instances = engine.render(View(0.0, 0.0, 0.0, field_of_view=2 * np.arctan(0.5))).instance_ids
    centres = instances[4::8, 4::8][::-1].ravel()
    assert len(np.unique(centres)) == side * side
    np.testing.assert_array_equal(centres, 1000 * PERSON + np.arange(side * side))


def test_instances_agree_with_labels_and_stuff_has_none(engine: Renderer) -> None:
    things = [Placed(box(CAR, (1.5, 3.0, 1.4)), -3.0, 12.0), Placed(box(CAR, (1.5, 3.0, 1.4)), 3.0, 12.0)]
    engine.load(scene(*things, Placed(box(BUILDING, (30.0, 5.0, 9.0), instance=0), 0.0, 40.0), ground=True))
    result = engine.render(View(0.0, 0.0, 1.4))
    is_thing = result.instance_ids >= 1000
    np.testing.assert_array_equal(result.instance_ids[is_thing] // 1000, result.label_ids[is_thing])
    np.testing.assert_array_equal(result.instance_ids[~is_thing], result.label_ids[~is_thing])
    assert set(np.unique(result.instance_ids)) == {ROAD, BUILDING, SKY, 1000 * CAR, 1000 * CAR + 1}
    np.testing.assert_array_equal(result.foreground_ids > 0, result.label_ids == CAR)


def test_label_only_parts_fill_labels_and_image_only_parts_do_not(engine: Renderer) -> None:
    empty = scene(ground=True)
    engine.load(empty)
    background = engine.render(View(0.0, 0.0, 1.4))
    engine.load(scene(Placed(box(FENCE, (4.0, 0.2, 1.0), 0, "label"), 0.0, 10.0), ground=True, light=LIGHT))
    filled = engine.render(View(0.0, 0.0, 1.4))
    assert (filled.label_ids == FENCE).sum() > 50
    np.testing.assert_array_equal(filled.image[: HEIGHT // 2], background.image[: HEIGHT // 2])
    engine.load(scene(Placed(box(FENCE, (4.0, 0.2, 1.0), 0, "image"), 0.0, 10.0), ground=True))
    painted = engine.render(View(0.0, 0.0, 1.4))
    np.testing.assert_array_equal(painted.label_ids, background.label_ids)
    assert (painted.image != background.image).any()


def test_what_moves_is_where_its_velocity_brings_it(engine: Renderer) -> None:
    engine.load(scene(Placed(box(CAR, (1.0, 1.0, 1.0)), -4.0, 20.0, velocity=(2.0, 0.0)), ground=True))
    columns = [np.nonzero(engine.render(View(0.0, 0.0, 1.4, time=time)).label_ids == CAR)[1].mean() for time in (0.0, 2.0, 4.0)]
    np.testing.assert_allclose(columns[1], WIDTH / 2 - 0.5, atol=0.6)
    np.testing.assert_allclose(columns[0] + columns[2], WIDTH - 1, atol=1.0)


def test_the_sun_darkens_the_ground_behind_a_wall(engine: Renderer) -> None:
    """The sun stands at the camera's back, 53 degrees up: a 4 m wall at 10 m throws 3 m of shadow behind it."""
    high = View(0.0, -10.0, 14.0, pitch=-0.55)
    engine.load(scene(Placed(box(BUILDING, (20.0, 0.3, 4.0), 0), 0.0, 10.0), ground=True))
    shaded = engine.render(high)
    engine.load(scene(ground=True))
    lit = engine.render(high)
    both_road = (shaded.label_ids == ROAD) & (lit.label_ids == ROAD)
    darker = both_road & (shaded.image.astype(int).sum(-1) < 0.8 * lit.image.astype(int).sum(-1))
    assert 0.01 < darker.sum() / both_road.sum() < 0.5


def test_under_a_covered_sky_the_ground_is_dark_only_near_what_stands_on_it(engine: Renderer) -> None:
    covered = Light(LIGHT.direction, LIGHT.sun, LIGHT.sky, LIGHT.ground, np.inf)
    high = View(0.0, 0.0, 6.0, pitch=-0.4)
    engine.load(scene(ground=True, light=covered))
    empty = engine.render(high)
    engine.load(scene(Placed(box(CAR, (2.0, 4.0, 1.5)), 0.0, 14.0), ground=True, light=covered))
    full = engine.render(high)
    road = full.label_ids == ROAD
    darker = road & (full.image.astype(int).sum(-1) < empty.image.astype(int).sum(-1) - 6)
    assert darker.any()
    columns = np.nonzero(darker)[1]
    car = np.nonzero(full.label_ids == CAR)[1]
    assert car.min() - 12 < columns.min() <= columns.max() < car.max() + 12


NIGHT = Light((0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.02, 0.02, 0.04), (0.01, 0.01, 0.01), np.inf)


def test_a_lamp_makes_a_pool_of_light_around_its_foot(engine: Renderer) -> None:
    """Brightest below it, and it fades on all sides; without lamps the ground is even."""
    lamp = Lamp(0.0, 16.0, 5.0, 5.0, (0.5, 0.4, 0.2))
    high = View(0.0, 0.0, 8.0, pitch=-0.45)
    engine.load(scene(ground=True, light=NIGHT))
    dark = engine.render(high).image.astype(int)
    engine.load(scene(ground=True, light=replace(NIGHT, lamps=(lamp,))))
    lit = engine.render(high)
    row = round(HEIGHT / 2 + WIDTH / 2 / np.tan(0.45) * np.tan(np.arctan(8.0 / 16.0) - 0.45))
    line = lit.image[row, :, 0].astype(int)
    assert (lit.label_ids[row] == ROAD).all()
    assert abs(int(line.argmax()) - WIDTH // 2) < 8
    assert line.max() > dark[row, :, 0].max() + 40
    assert line[: WIDTH // 8].max() < line.max() - 20
    assert lit.image[row, WIDTH // 2, 0] > lit.image[row, WIDTH // 2, 2] + 10  # the lamp's colour


def test_a_lamp_lights_what_stands_near_it_on_the_side_that_faces_it(engine: Renderer) -> None:
    block = Placed(box(BUILDING, (6.0, 0.5, 6.0), 0), 0.0, 14.0)
    levels = []
    for along in (9.0, 19.0):  # before the wall, and behind it
        engine.load(scene(block, light=replace(NIGHT, lamps=(Lamp(0.0, along, 4.0, 4.0, (0.6, 0.6, 0.6)),))))
        result = engine.render(View(0.0, 0.0, 2.0))
        levels.append(result.image[result.label_ids == BUILDING].mean())
    assert levels[0] > levels[1] + 20


def test_a_part_that_no_view_sees_needs_no_light(engine: Renderer) -> None:
    """All of its faces look away from the camera and are left out before lamps are asked what they throw on them."""
    away = quads([[(3, 1, 0), (-3, 1, 0), (-3, 1, 4), (3, 1, 4)]], (0.5, 0.5, 0.5))
    hidden = Placed(SceneObject((Part(FENCE, 0, away),), (6.0, 2.0)), 0.0, 60.0)
    engine.load(scene(hidden, light=replace(NIGHT, lamps=(Lamp(0.0, 58.0, 4.0, 4.0, (0.6, 0.6, 0.6)),))), [View(0.0, 0.0, 1.4)])
    assert (engine.render(View(0.0, 0.0, 1.4)).label_ids == SKY).all()


def test_what_shines_is_bright_in_the_dark(engine: Renderer) -> None:
    thing = SceneObject((Part(BUILDING, 0, boxes((0, 0, 1), (8, 1, 6), (0.8, 0.8, 0.8), "glow")),), (8.0, 1.0))
    for shines, low, high in ((True, 200, 255), (False, 0, 90)):
        material = Material(np.full((8, 8, 3), 255, np.uint8), 1.0, shines)
        engine.load(Scene((), (Placed(thing, 0.0, 8.0),), NIGHT, {"glow": material}, BLUE_SKY))
        assert low < engine.render(View(0.0, 0.0, 1.0)).image[HEIGHT // 2, WIDTH // 2, 0] <= high


def test_what_moves_follows_the_hills(engine: Renderer) -> None:
    """One metre up at 20 m, where the box is after two seconds: seen from there it stands as high as it did on level ground."""
    relief = Relief(np.array((0.0, 10.0, 20.0, 40.0)), np.array((0.0, 0.0, 1.0, 1.0)))
    moving = Placed(box(CAR, (1.0, 1.0, 1.0)), 0.0, 24.0, velocity=(0.0, -1.0))
    tops = []
    for hills in (relief, Relief(np.zeros(1), np.zeros(1))):
        placed = moving._replace(z=float(hills.at(24.0)))
        engine.load(Scene((), (placed,), LIGHT, {}, BLUE_SKY, hills))
        view = View(0.0, 10.0, 1.4 + float(hills.at(22.0)), time=2.0)
        tops.append(np.nonzero(engine.render(view).label_ids == CAR)[0].min())
    assert tops[0] == tops[1]
    engine.load(Scene((), (moving._replace(z=1.0),), LIGHT, {}, BLUE_SKY, relief))
    rows = [np.nonzero(engine.render(View(0.0, 0.0, 1.4, time=time)).label_ids == CAR)[0].max() for time in (2.0, 13.0)]
    focal = WIDTH / 2 / np.tan(0.45)
    for row, distance, height in zip(rows, (21.5, 10.5), (1.0, 0.1), strict=True):
        assert abs(row + 1 - (HEIGHT / 2 + focal * (1.4 - height) / distance)) <= 2.0


def test_relief_is_linear_between_points_and_flat_beyond() -> None:
    relief = Relief(np.array((0.0, 10.0, 30.0)), np.array((0.0, 1.0, -1.0)))
    np.testing.assert_allclose(relief.at(np.array((-5.0, 5.0, 20.0, 99.0))), (0.0, 0.5, 0.0, -1.0))
    np.testing.assert_allclose((relief.slope(5.0), relief.slope(20.0), relief.slope(50.0)), (0.1, -0.1, 0.0), atol=1e-12)


def test_rendering_twice_gives_the_same_bytes(engine: Renderer) -> None:
    """Loading another scene in between leaves no trace."""
    first = scene(Placed(box(CAR, (1.0, 2.0, 1.0)), 1.0, 9.0), ground=True)
    view = View(0.2, 0.0, 1.3, yaw=0.05)
    engine.load(first)
    before = engine.render(view)
    engine.load(scene(Placed(box(PERSON, (1.0, 2.0, 3.0)), -1.0, 6.0)))
    engine.render(view)
    engine.load(first)
    after = engine.render(view)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_faces_away_from_all_views_is_left_out_and_no_view_shows_it(engine: Renderer) -> None:
    views = [View(x, y, 1.4, yaw=0.1 * x, pitch=-0.02) for x in (-1.0, 0.5) for y in (-3.0, 2.0)]
    things = [Placed(box(CAR, (1.5, 3.0, 1.4)), x, 12.0, yaw) for x, yaw in ((-3.0, 0.4), (2.5, -0.8))]
    street = scene(*things, Placed(box(BUILDING, (30.0, 5.0, 9.0), instance=0), 0.0, 40.0), ground=True)
    engine.load(street)
    whole = [engine.render(view) for view in views]
    behind = View(0.0, 24.0, 1.4, yaw=np.pi)
    assert (engine.render(behind).label_ids == CAR).any()
    engine.load(street, views)
    for view, expected in zip(views, whole, strict=True):
        for found, wanted in zip(engine.render(view), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert (engine.render(behind).label_ids == CAR).sum() == 0


def test_what_moves_is_whole_from_every_side_that_it_comes_to_show(engine: Renderer) -> None:
    """It drives past the camera, which looks back: its rear face, turned away from all views at first, must still be there."""
    car = box(CAR, (1.5, 3.0, 1.4))
    street = scene(Placed(car, -2.0, 14.0, velocity=(0.0, -6.0)), Placed(car, 3.0, 12.0), ground=True)
    views = [View(0.0, 0.0, 1.4), View(0.0, 0.0, 1.4, yaw=np.pi, time=4.0)]
    engine.load(street, views)
    passed = [engine.render(view) for view in views]
    assert (passed[1].label_ids == CAR).sum() > 50
    engine.load(street)
    for view, found in zip(views, passed, strict=True):
        for one, wanted in zip(found, engine.render(view), strict=True):
            np.testing.assert_array_equal(one, wanted)


def test_textures_multiply_colours(engine: Renderer) -> None:
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, :8] = 255
    thing = SceneObject((Part(BUILDING, 0, boxes((0, 0, 1), (8, 1, 6), (1, 1, 1), "stripes")),), (8.0, 1.0))
    engine.load(Scene((), (Placed(thing, 0.0, 8.0),), LIGHT, {"stripes": Material(stripes, 2.0)}, BLUE_SKY))
    row = engine.render(View(0.0, 0.0, 1.0)).image[HEIGHT // 2, :, 0].astype(int)
    changes = (np.abs(np.diff(row)) > 60).sum()
    assert 6 <= changes <= 16  # four periods of two metres, two edges each


def test_an_unknown_material_is_named(engine: Renderer) -> None:
    thing = SceneObject((Part(BUILDING, 0, boxes((0, 0, 1), (1, 1, 1), (1, 1, 1), "marble")),), (1.0, 1.0))
    with pytest.raises(ValueError, match="no material 'marble'"):
        engine.load(scene(Placed(thing, 0.0, 5.0)))


def test_rendering_without_a_scene_is_refused() -> None:
    with pytest.raises(RuntimeError, match="load"):
        Renderer(32, 32, 1).render(View(0.0, 0.0, 1.0))


def test_footprints() -> None:
    thing = box(CAR, (2.0, 4.0, 1.0))
    assert footprints_overlap(Placed(thing, 0, 0), Placed(thing, 1.9, 0))
    assert not footprints_overlap(Placed(thing, 0, 0), Placed(thing, 2.1, 0))
    assert footprints_overlap(Placed(thing, 0, 0), Placed(thing, 2.1, 0), gap=0.2)
    assert footprints_overlap(Placed(thing, 0, 0), Placed(thing, 2.1, 0, np.pi / 2))
