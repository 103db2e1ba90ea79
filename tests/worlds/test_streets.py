from typing import NamedTuple

import numpy as np
import pytest

from synth2real.label_space import LABEL_BY_NAME, LABEL_ID_TO_TRAIN_ID, NUM_CLASSES
from synth2real.worlds import looks
from synth2real.worlds.rendering import Placed, Scene, View, renderer
from synth2real.worlds.streets import StreetLook, street

STREETS_OF_A_LOOK, VIEWS = 7, 5


class Shares(NamedTuple):
    pixels: np.ndarray
    frames: np.ndarray


@pytest.fixture(scope="module")
def shares() -> Shares:
    engine = renderer(96, 192, 1)
    counts = []
    looks_of_streets: list[StreetLook] = ["game", "camera"] * STREETS_OF_A_LOOK
    for seed, look in enumerate(looks_of_streets):
        place = street(np.random.default_rng((5, seed)), look, VIEWS)
        engine.load(place.scene)
        for view in place.views:
            train_ids = LABEL_ID_TO_TRAIN_ID[engine.render(view).label_ids]
            counts.append(np.bincount(train_ids.ravel(), minlength=256)[:NUM_CLASSES])
    total = np.array(counts)
    return Shares(total.sum(0) / total.sum(), (total > 0).mean(0))


def share_of(shares: Shares, name: str) -> float:
    return float(shares.pixels[LABEL_BY_NAME[name].train_id])


def test_all_classes_occur(shares: Shares) -> None:
    assert (shares.frames > 0).all(), np.flatnonzero(shares.frames == 0)


def test_frequencies_are_those_of_streets(shares: Shares) -> None:
    """Loose bounds around Cityscapes' own shares (road 33%, building 20%, vegetation 14%, car 6%, sidewalk 5%, sky 4%)."""
    bounds = {"road": (0.2, 0.48), "building": (0.1, 0.36), "vegetation": (0.04, 0.28), "car": (0.03, 0.2)}
    bounds |= {"sidewalk": (0.012, 0.14), "sky": (0.02, 0.16), "person": (0.001, 0.03), "pole": (0.003, 0.03)}
    for name, (low, high) in bounds.items():
        assert low < share_of(shares, name) < high, f"{name}: {share_of(shares, name):.3f}"
    rare = ("wall", "fence", "traffic light", "traffic sign", "terrain", "rider", "truck", "bus", "bicycle")
    for name in rare:
        assert shares.frames[LABEL_BY_NAME[name].train_id] >= 0.05, name


def flat(scene: Scene) -> list[np.ndarray]:
    arrays: list[np.ndarray] = [scene.sky]
    for part in scene.ground:
        arrays += [part.mesh.vertices, part.mesh.colours]
    for placed in scene.placed:
        arrays.append(np.array((placed.x, placed.y, placed.yaw, *placed.velocity)))
        arrays += [part.mesh.vertices for part in placed.thing.parts]
    return arrays


def test_equal_seeds_give_equal_streets_and_others_do_not() -> None:
    first, second, other = (street(np.random.default_rng(seed), "camera", 3) for seed in (3, 3, 4))
    assert first.views == second.views
    assert first.scene.light == second.scene.light
    for a, b in zip(flat(first.scene), flat(second.scene), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.views != other.views


def test_nothing_stands_in_the_camera() -> None:
    for seed in range(2):
        place = street(np.random.default_rng(seed), "game", 12)
        clear = [not any(_covers(placed, view.x, view.y, view.time) for placed in place.scene.placed) for view in place.views]
        assert np.mean(clear) > 0.9


def _covers(placed: Placed, x: float, y: float, time: float) -> bool:
    dx, dy = x - placed.x - placed.velocity[0] * time, y - placed.y - placed.velocity[1] * time
    width, length = placed.thing.footprint
    c, s = np.cos(placed.yaw), np.sin(placed.yaw)
    return bool(abs(c * dx + s * dy) < width / 2 and abs(-s * dx + c * dy) < length / 2 and placed.thing.height < 12.0)


def test_parked_and_driving_cars_do_not_stand_in_each_other() -> None:
    place = street(np.random.default_rng(2), "camera", 1)
    cars = [p for p in place.scene.placed if any(part.label_id == LABEL_BY_NAME["car"].label_id for part in p.thing.parts)]
    still = [p for p in cars if not p.moves]
    overlapping = [(a, b) for i, a in enumerate(still) for b in still[:i] if _covers(a, b.x, b.y, 0.0)]
    assert not overlapping


def test_looks_differ_and_keep_within_bytes() -> None:
    image = np.linspace(0, 255, 32 * 64 * 3).reshape(32, 64, 3).astype(np.uint8)
    finished = {look: looks.finish(np.random.default_rng(1), look, image, 1.0) for look in ("game", "camera", "studio")}
    assert all(picture.shape == image.shape and picture.dtype == np.uint8 for picture in finished.values())
    assert np.abs(finished["game"].astype(int) - finished["camera"]).mean() > 4
    again = looks.finish(np.random.default_rng(1), "camera", image, 1.0)
    np.testing.assert_array_equal(again, finished["camera"])


def test_the_game_is_more_saturated_than_the_camera() -> None:
    grey_blue = np.full((32, 64, 3), (90, 110, 150), np.uint8)
    spread = {
        look: np.ptp(looks.finish(np.random.default_rng(0), look, grey_blue, 1.0).mean((0, 1))) for look in ("game", "camera")
    }
    assert spread["game"] > 1.3 * spread["camera"]


@pytest.mark.parametrize(("level", "exposure"), [(40, 1.0), (128, 0.8), (200, 1.25)])
def test_the_camera_follows_its_tone_curve(level: int, exposure: float) -> None:
    """Grey at the middle of the frame, where there is no vignette, against the formula in real numbers."""
    picture = looks.finish(np.random.default_rng(3), "camera", np.full((128, 256, 3), level, np.uint8), exposure)
    grey = np.minimum(level / 255 * exposure * np.array((0.951, 1.02, 0.98)), 1.0)
    np.testing.assert_allclose(picture[48:80, 96:160].mean((0, 1)), 255 * (0.025 + 0.95 * grey**1.25), atol=2.0)


def test_headlights_light_the_road_below_the_horizon_only() -> None:
    grey = np.full((96, 192, 3), 60, np.uint8)
    for pitch, slope in ((0.0, 0.0), (0.08, 0.08), (-0.1, 0.0)):
        view = View(0.0, 0.0, 1.4, pitch=pitch, field_of_view=1.0)
        horizon = round(48 + 96 / np.tan(0.5) * (np.tan(pitch) - slope))
        lit = looks.headlit(grey, view, slope)[..., 0]
        np.testing.assert_array_equal(lit[: horizon - 1], 60)
        assert lit[horizon + 12, 96] > 90
        assert lit[horizon + 12, 96] > lit[horizon + 12, 4]
        assert lit[-1, 96] < lit[horizon + 12, 96] or horizon > 70


def test_nights_are_darker_than_days_and_lamps_are_on_after_sunset_only() -> None:
    engine = renderer(96, 192, 1)
    levels: dict[looks.TimeOfDay, float] = {}
    times: tuple[looks.TimeOfDay, ...] = ("day", "dusk", "night")
    for time in times:
        images = []
        for seed in range(3):
            place = street(np.random.default_rng(seed), "game", 2, time)
            assert bool(place.scene.light.lamps) == place.headlights == (time != "day")
            engine.load(place.scene)
            images += [engine.render(view).image for view in place.views]
        levels[time] = float(np.mean(images))
    assert levels["night"] < 0.8 * levels["dusk"] < 0.8 * levels["day"]
    assert levels["night"] > 20


def test_materials_tile_without_a_seam() -> None:
    noise = looks.fractal_noise(np.random.default_rng(0), (64, 64), (4, 4), 3)
    inner = np.abs(np.diff(noise, axis=1)).max()
    assert np.abs(noise[:, 0] - noise[:, -1]).max() <= inner + 1e-6
    assert np.abs(noise[0] - noise[-1]).max() <= np.abs(np.diff(noise, axis=0)).max() + 1e-6


def test_the_hood_covers_the_bottom_only() -> None:
    mask, colours = looks.hood(128, 256, 0)
    assert (mask[-1] == 255).all()
    assert len(mask) <= 0.15 * 128
    assert colours.shape == (*mask.shape, 3)
    assert colours.min() >= 0.0
    assert colours.max() <= 1.0
