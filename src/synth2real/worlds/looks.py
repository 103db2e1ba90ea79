"""Looks: light, sky, materials and sensor of each world.

- ``game`` stands for a game engine: saturated colours, hard sun, a clean picture.
- ``camera`` stands for a camera behind a windscreen: mostly overcast, muted materials, and a sensor of its own (blur, vignette,
  tone curve, shot and read noise, compression, the ego-vehicle's hood in every frame).
- ``studio`` stands for objects on a stage: even light, unreal textures, any backdrop.
"""

from collections.abc import Callable
from functools import cache
from typing import Final, Literal

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from synth2real.worlds.rendering import Lamp, Light, Material, View

LookName = Literal["game", "camera", "studio"]
TimeOfDay = Literal["day", "dusk", "night"]
_Maker = Callable[[np.random.Generator, float], Material]

# --- Light ---------------------------------------------------------------------------------------------------------------


def light(rng: np.random.Generator, look: LookName, time: TimeOfDay = "day", lamps: tuple[Lamp, ...] = ()) -> Light:
    """A weather at a time of day.

    Args:
        rng: randomness.
        look: whose.
        time: of day; after sunset there is no sun, and a little light from all of the sky.
        lamps: what shines after sunset.
    """
    azimuth = rng.uniform(0.0, 2.0 * np.pi)
    if time != "day":
        low, high = ((0.09, 0.17), (0.2, 0.34))[time == "dusk"]
        above = np.array((0.72, 0.85, 1.2)) * rng.uniform(low, high)
        ground = tuple((0.4 * above).tolist())
        return Light((0.0, 0.0, 1.0), (0.0, 0.0, 0.0), tuple(above.tolist()), ground, np.inf, lamps)
    covered = rng.random() < {"game": 0.45, "camera": 0.75, "studio": 0.5}[look]
    low_sun = rng.random() < {"game": 0.12, "camera": 0.2, "studio": 0.0}[look]
    if covered:
        elevation, strength, softness = rng.uniform(0.7, 1.3), rng.uniform(0.1, 0.3), np.inf
        above = np.array((0.62, 0.66, 0.7)) * rng.uniform(0.75, 1.1)
    else:
        elevation, strength, softness = rng.uniform(0.35, 1.15), rng.uniform(1.0, 1.7), 0.12
        above = np.array((0.3, 0.36, 0.46)) * rng.uniform(0.8, 1.25)
        if low_sun:
            elevation, strength = rng.uniform(0.14, 0.32), strength * rng.uniform(0.5, 0.8)
    warm = np.clip(1.2 - elevation, 0.0, 1.0)
    sun = strength * np.array((1.0, 0.95 - 0.17 * warm, 0.86 - 0.38 * warm))
    if look == "camera":
        above = above * (0.95, 1.0, 0.97)
    if rng.random() < {"game": 0.0, "camera": 0.03, "studio": 0.1}[look]:  # heavy clouds, a dark stage
        sun, above = sun * rng.uniform(0.1, 0.4), above * rng.uniform(0.2, 0.5)
    ground = 0.45 * above.mean() * np.array((1.0, 0.97, 0.92))
    flat = np.cos(elevation)
    direction = (float(flat * np.sin(azimuth)), float(flat * np.cos(azimuth)), float(np.sin(elevation)))
    return Light(direction, tuple(sun.tolist()), tuple(above.tolist()), tuple(ground.tolist()), softness)


# --- Sky -----------------------------------------------------------------------------------------------------------------

_SKY_SIZE: Final = (128, 512)


def sky(rng: np.random.Generator, look: LookName, light: Light, time: TimeOfDay = "day") -> UInt8[np.ndarray, "h w 3"]:
    """A panorama for that light: clear, with clouds, or covered; see :class:`synth2real.worlds.rendering.Scene`."""
    elevation = np.linspace(1.0, -0.11, _SKY_SIZE[0], dtype=np.float32)[:, None, None]
    if time != "day":
        return _after_sunset(rng, elevation, time)
    deep, pale = np.array((0.2, 0.42, 0.85)), np.array((0.58, 0.74, 0.93))
    depth = rng.uniform(0.0, 1.0) if look == "game" else rng.uniform(0.0, 0.3)
    zenith = (depth * deep + (1.0 - depth) * pale) * rng.uniform(0.85, 1.15)
    horizon = 0.35 * zenith + 0.65 * np.array((0.93, 0.97, 1.0)) * rng.uniform(0.9, 1.15)
    if light.is_covered:
        zenith = horizon = np.array((0.9, 0.93, 0.96)) * rng.uniform(0.75, 1.15)
    blend = np.clip(elevation, 0.0, 1.0) ** 0.55
    clear = horizon * (1.0 - blend) + zenith * blend
    cover = rng.uniform(0.3, 1.3) if light.is_covered else rng.uniform(-0.3, 0.7)
    clouds = np.clip((fractal_noise(rng, _SKY_SIZE, (4, 8), 5) - 0.75 + 0.55 * cover) * 3.0, 0.0, 1.0)[..., None]
    shade = fractal_noise(rng, _SKY_SIZE, (8, 8), 4)[..., None]
    cloud = rng.uniform(0.78, 1.15) * (0.82 + 0.22 * shade) * np.array((0.98, 0.99, 1.0))
    dimmed = min(1.0, 0.45 + 0.9 * max(light.sky))  # the sky fades later than what it lights
    return _to_bytes(dimmed * (clear * (1.0 - clouds) + cloud * clouds))


def _after_sunset(
    rng: np.random.Generator, elevation: Float32[np.ndarray, "h 1 1"], time: TimeOfDay
) -> UInt8[np.ndarray, "h w 3"]:
    """Dark blue above; towards the horizon what is left of the day, on the side where the sun set, or the city's own light."""
    blend = np.clip(elevation, 0.0, 1.0) ** 0.5
    around = np.linspace(0.0, 2.0 * np.pi, _SKY_SIZE[1], dtype=np.float32)[None, :, None]
    west = (0.5 + 0.5 * np.cos(around - rng.uniform(0.0, 2.0 * np.pi))) ** 2
    if time == "dusk":
        zenith = np.array((0.1, 0.17, 0.36)) * rng.uniform(0.8, 1.5)
        glow = np.array(((0.95, 0.5, 0.25), (0.85, 0.45, 0.45), (0.8, 0.65, 0.45)))[rng.integers(3)] * rng.uniform(0.65, 1.0)
        horizon = (1.0 - west) * np.array((0.34, 0.38, 0.52)) + west * glow
    else:
        zenith = np.array((0.02, 0.03, 0.075)) * rng.uniform(0.7, 2.0)
        horizon = np.array(((0.14, 0.11, 0.1), (0.08, 0.1, 0.17)))[rng.integers(2)] * rng.uniform(0.6, 1.4)
    clear = horizon * (1.0 - blend) + zenith * blend
    clouds = np.clip((fractal_noise(rng, _SKY_SIZE, (4, 8), 5) - rng.uniform(0.35, 0.8)) * 2.5, 0.0, 0.8)[..., None]
    return _to_bytes(clear * (1.0 - clouds) + clouds * (0.4 * horizon + 0.35 * zenith + 0.02))


# --- Materials -----------------------------------------------------------------------------------------------------------


@cache
def materials(look: LookName) -> dict[str, Material]:
    """Materials by name, made once a process; each look has its own."""
    seed = {"game": 11, "camera": 23, "studio": 37}[look]
    contrast = {"game": 1.0, "camera": 0.8, "studio": 1.6}[look]
    return {name: maker(np.random.default_rng((seed, index)), contrast) for index, (name, maker) in enumerate(_MAKERS.items())}


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int
) -> Float32[np.ndarray, "h w"]:
    """Tileable value noise summed over octaves of halving amplitude (Perlin, 1985), in [0, 1].

    Args:
        rng: randomness.
        shape: of the result.
        cells: lattice cells of the first octave along both sides; powers of two, as the shape is.
        octaves: how many.
    """
    total = np.zeros(shape, np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        rows, columns = min(cells[0] << octave, shape[0]), min(cells[1] << octave, shape[1])
        lattice = rng.random((rows, columns), np.float32)
        padded = np.pad(lattice, 2, mode="wrap")
        step = (shape[0] // rows, shape[1] // columns)
        fine = cv2.resize(padded, None, fx=step[1], fy=step[0], interpolation=cv2.INTER_LINEAR)
        total += weight * fine[2 * step[0] : 2 * step[0] + shape[0], 2 * step[1] : 2 * step[1] + shape[1]]
        weights += weight
        weight *= 0.5
    return total / np.float32(weights)


def _to_bytes(values: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    pixels: UInt8[np.ndarray, "h w 3"] = (255.0 * np.clip(values, 0.0, 1.0) + 0.5).astype(np.uint8)
    return pixels


def _rough(
    rng: np.random.Generator, contrast: float, cells: int = 8, amount: float = 0.25, grain: float = 0.1, size: int = 256
) -> Float32[np.ndarray, "h w"]:
    noise = fractal_noise(rng, (size, size), (cells, cells), 5) - 0.5
    speckle = rng.normal(0.0, 1.0, (size, size)).astype(np.float32)
    return 0.88 + contrast * (amount * noise + grain * 0.5 * speckle)


def _noise_material(tile: float, cells: int, amount: float, grain: float) -> "_Maker":
    def make(rng: np.random.Generator, contrast: float) -> Material:
        return Material(_to_bytes(_rough(rng, contrast, cells, amount, grain)), tile)

    return make


def _blocks(tile: float, rows: int, columns: int, joint: float, spread: float, bond: bool, joint_value: float = 0.62) -> "_Maker":
    def make(rng: np.random.Generator, contrast: float) -> Material:
        size = 256
        y, x = np.mgrid[0:size, 0:size] / size
        row = np.floor(y * rows).astype(int) % rows
        shifted = x * columns + 0.5 * (row % 2) * bond
        column = np.floor(shifted).astype(int) % columns
        value = 0.9 + contrast * spread * (rng.random((rows, columns)) - 0.5)[row, column]
        tint = 1.0 + contrast * 0.5 * spread * (rng.random((rows, columns, 3)) - 0.5)[row, column]
        inside = (np.abs(y * rows % 1 - 0.5) < 0.5 - joint) & (np.abs(shifted % 1 - 0.5) < 0.5 - joint * columns / rows)
        surface = np.where(inside, value, joint_value)[..., None] * np.where(inside[..., None], tint, 1.0)
        return Material(_to_bytes(surface * (0.12 + _rough(rng, contrast, 16, 0.15, 0.06)[..., None])), tile)

    return make


def _asphalt(rng: np.random.Generator, contrast: float) -> Material:
    size = 512
    surface = _rough(rng, contrast, 4, 0.22, 0.16, size)
    for _ in range(3):  # patches of repair
        x, y = rng.integers(0, size - 140, 2)
        w, h = rng.integers(40, 140, 2)
        surface[y : y + h, x : x + w] *= rng.uniform(0.86, 1.1)
    cracks = np.zeros((size, size), np.uint8)
    for _ in range(5):
        steps = rng.normal(0, 7, (24, 2)) + rng.normal(0, 6, 2)
        cv2.polylines(cracks, [(rng.uniform(0, size, 2) + np.cumsum(steps, 0)).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    return Material(_to_bytes(surface - 0.22 * cracks / 255.0), 9.0)


def _leaves(rng: np.random.Generator, contrast: float) -> Material:
    size = 256
    picture = np.full((size, size), 0.5, np.float32)
    for _ in range(900):
        x, y = (int(value) for value in rng.integers(0, size, 2))
        axes = (int(rng.integers(4, 9)), int(rng.integers(2, 5)))
        angle, value = rng.uniform(0, 360), float(0.62 + 0.38 * rng.random() ** (1 / contrast))
        for dx in (-size, 0, size):
            for dy in (-size, 0, size):
                if -12 < x + dx < size + 12 and -12 < y + dy < size + 12:
                    cv2.ellipse(picture, (x + dx, y + dy), axes, angle, 0, 360, value, -1)
    return Material(_to_bytes(picture[..., None] * np.array((1.0, 1.0, 0.92))), 1.6)


def _spray(rng: np.random.Generator, contrast: float) -> Material:
    """Leaves around the middle, cut out; what lies between them is seen through."""
    size = 128
    picture = np.full((size, size, 4), (150, 150, 140, 0), np.uint8)
    for number in range(230):
        x, y = (int(value) for value in np.clip(rng.normal(size / 2, size / 5.2, 2), 8, size - 8))
        axes = (int(rng.integers(5, 10)), int(rng.integers(3, 6)))
        value = 255.0 * np.clip(0.55 + 0.4 * number / 230 + 0.12 * contrast * rng.normal(), 0.2, 1.0)
        cv2.ellipse(picture, (x, y), axes, rng.uniform(0, 360), 0, 360, (value, value, 0.92 * value, 255), -1)
    return Material(picture, 1.0)


def _windows(rng: np.random.Generator, contrast: float) -> Material:
    size = 256
    picture = np.full((size, size, 3), (0.3, 0.34, 0.4), np.float32)
    picture += (fractal_noise(rng, (size, size), (4, 4), 4)[..., None] - 0.5) * 0.5 * contrast
    picture[:, : size // 16] = picture[: size // 16] = 0.85
    picture[:, size // 2 - 6 : size // 2 + 6] = 0.85
    return Material(_to_bytes(picture), 1.0)


def _shopfront(rng: np.random.Generator, contrast: float) -> Material:
    size = 256
    picture = np.full((size, size, 3), (0.35, 0.36, 0.38), np.float32)
    for _ in range(40):
        x, y = rng.integers(0, size, 2)
        w, h = rng.integers(8, 40, 2)
        picture[y : y + h, x : x + w] = rng.uniform(0.2, 0.9, 3)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.0))
    picture[:, ::64] = picture[:, 1::64] = picture[:, 2::64] = 0.8
    return Material(_to_bytes(picture), 1.0)


def _facade(rng: np.random.Generator, contrast: float) -> Material:
    """Four by four windows of a building far off."""
    size = 128
    picture = np.full((size, size, 3), 0.9, np.float32)
    step = size // 4
    for row in range(4):
        for column in range(4):
            pane = np.array((0.3, 0.34, 0.4)) * rng.uniform(1.0 - 0.4 * contrast, 1.0 + 0.4 * contrast)
            picture[row * step + 9 : row * step + 26, column * step + 5 : column * step + 27] = pane
    return Material(_to_bytes(picture), 13.0)


def _glow(rng: np.random.Generator, contrast: float) -> Material:
    return Material(np.full((8, 8, 3), 255, np.uint8), 1.0, shines=True)


def _stripes(rng: np.random.Generator, contrast: float) -> Material:
    size = 256
    x = np.arange(size) / size
    value = 0.85 + 0.1 * contrast * np.sign(np.sin(2 * np.pi * 16 * x))
    return Material(_to_bytes(np.tile(value, (size, 1)) * _rough(rng, contrast, 8, 0.15, 0.05) / 0.88), 2.0)


_MAKERS: Final[dict[str, _Maker]] = {
    "asphalt": _asphalt,
    "brick": _blocks(1.8, 24, 8, 0.08, 0.35, True),
    "paving": _blocks(2.4, 6, 4, 0.03, 0.16, True, 0.66),
    "cobble": _blocks(1.6, 12, 12, 0.1, 0.4, True, 0.5),
    "plaster": _noise_material(5.0, 4, 0.22, 0.05),
    "concrete": _noise_material(6.0, 4, 0.3, 0.08),
    "grass": _noise_material(2.2, 32, 0.7, 0.3),
    "soil": _noise_material(3.0, 8, 0.6, 0.2),
    "bark": _noise_material(0.9, 8, 0.7, 0.2),
    "leaves": _leaves,
    "spray": _spray,
    "metal": _noise_material(3.0, 4, 0.12, 0.03),
    "glass": _noise_material(4.0, 2, 0.35, 0.01),
    "wood": _stripes,
    "roof": _blocks(2.0, 16, 8, 0.06, 0.3, True, 0.55),
    "tiles": _blocks(2.0, 16, 8, 0.06, 0.3, True, 0.55),
    "rock": _noise_material(2.5, 8, 0.8, 0.15),
    "stone": _blocks(2.4, 8, 4, 0.04, 0.3, True, 0.55),
    "windows": _windows,
    "shopfront": _shopfront,
    "facade": _facade,
    "glow": _glow,
}


# --- Headlights ------------------------------------------------------------------------------------------------------------


_BEAMS: Final = 5.0  # irradiance from the beams over that from the street, where they are brightest


def headlit(image: UInt8[np.ndarray, "h w 3"], view: View, slope: float) -> UInt8[np.ndarray, "h w 3"]:
    """What the low beams of the camera's own car add after sunset: a pool of light on the road and on what stands in it.

    Nothing is lit above the horizon, where low beams are cut off; below it, light fades towards both the far end of the road
    and the car. Brightness on display goes with the square root of irradiance (see :mod:`synth2real.worlds.rendering`).

    Args:
        image: of the street without them.
        view: the camera.
        slope: of the road that the car stands on, rise over run.
    """
    height, width = image.shape[:2]
    focal = width / 2.0 / np.tan(view.field_of_view / 2.0)
    below = np.arctan((np.arange(height) + 0.5 - height / 2.0) / focal) - view.pitch + np.arctan(slope)
    beside = np.arctan((np.arange(width) + 0.5 - width / 2.0) / focal)
    cut_off = np.clip(below / 0.012, 0.0, 1.0)
    near = np.exp(-np.maximum(below - 0.07, 0.0) / 0.16)
    lobes = np.exp(-((np.abs(beside) - 0.07) ** 2) / 0.05)
    share = (cut_off * near * np.clip(0.25 + below / 0.06, 0.0, 1.0))[:, None] * lobes[None]
    gain = np.sqrt(1.0 + _BEAMS * share).astype(np.float32)
    lit: UInt8[np.ndarray, "h w 3"] = np.asarray(cv2.multiply(image, cv2.merge((gain, gain, 0.96 * gain)), dtype=cv2.CV_8U))
    return lit


# --- Sensor --------------------------------------------------------------------------------------------------------------


def finish(
    rng: np.random.Generator, look: LookName, image: UInt8[np.ndarray, "h w 3"], exposure: float
) -> UInt8[np.ndarray, "h w 3"]:
    """What the look's sensor makes of a rendered image.

    Args:
        rng: randomness of this frame.
        look: whose sensor.
        image: as rendered.
        exposure: brightness of this scene's frames; 1 leaves them alone.
    """
    tone = np.arange(256, dtype=np.float32) / 255.0 * exposure
    if look != "camera":
        tone = np.clip(tone, 0.0, 1.0)
        curve = tone + (0.16 if look == "game" else 0.05) * np.sin(2.0 * np.pi * (tone - 0.5)) / (2.0 * np.pi) * -1.0
        graded = cv2.LUT(image, (255.0 * np.clip(curve, 0.0, 1.0) + 0.5).astype(np.uint8))
        if look == "game":
            grey = cv2.cvtColor(cv2.cvtColor(graded, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            graded = cv2.addWeighted(graded, 1.25, grey, -0.25, 0.0)
        return graded
    height, width = image.shape[:2]
    blurred = cv2.GaussianBlur(image, (5, 5), rng.uniform(0.35, 0.7))
    exposed = cv2.multiply(cv2.transform(blurred, _CAMERA_COLOURS), _vignette(height, width), scale=exposure, dtype=cv2.CV_8U)
    top, left = (int(offset) for offset in rng.integers(0, 64, 2))
    noise = _noise(height, width)[top : top + height, left : left + width]
    disturbed = cv2.multiply(noise, cv2.LUT(exposed, _CAMERA_DEVIATION))
    levels = cv2.add(disturbed, cv2.LUT(exposed, _CAMERA_TONES), dtype=cv2.CV_8U)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 92))]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), quality)[1]
    return np.asarray(cv2.cvtColor(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB))


_CAMERA_COLOURS: Final = np.array(((0.811, 0.07, 0.07), (0.075, 0.87, 0.075), (0.072, 0.072, 0.836)), np.float32)
"""Colour matrix of the camera: a little paler than the scene, and greenish."""
_CAMERA_TONES: Final = 255.0 * (0.025 + 0.95 * np.linspace(0.0, 1.0, 256, dtype=np.float32) ** 1.25)
"""The camera's tone curve, from and to [0, 255]: dark tones sink, but black is lifted as through a windscreen."""
_CAMERA_DEVIATION: Final = np.sqrt((255.0 * 0.006) ** 2 + 255.0 * 0.012**2 * _CAMERA_TONES)
"""Standard deviation of the noise at each level: read noise, and shot noise that grows with the light."""


@cache
def _noise(height: int, width: int) -> Float32[np.ndarray, "h w 3"]:
    """Normal noise; each frame cuts its own part out of it."""
    return np.random.default_rng(5).standard_normal((height + 64, width + 64, 3), np.float32)


@cache
def _vignette(height: int, width: int) -> Float32[np.ndarray, "h w 3"]:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    share = np.asarray(1.0 - 0.22 * (x**2 + 0.4 * y**2) ** 1.2, np.float32)
    return np.repeat(share[..., None], 3, axis=2)


@cache
def hood(height: int, width: int, variant: int) -> tuple[UInt8[np.ndarray, "rows w"], Float32[np.ndarray, "rows w 3"]]:
    """The ego-vehicle's hood: its mask (255 inside) and its colours in [0, 1], in the lowest rows of the frame."""
    rng = np.random.default_rng((97, variant))
    x = np.linspace(-1.0, 1.0, width)
    top = height * (1.0 - rng.uniform(0.015, 0.04) - rng.uniform(0.02, 0.04) * np.clip(1.0 - x**2 * 1.05, 0.0, 1.0) ** 0.6)
    rows = np.arange(int(top.min()), height)[:, None]
    mask = (np.clip(rows - top[None], 0.0, 1.0) * 255).astype(np.uint8)
    depth = np.clip((rows - top[None]) / (0.1 * height), 0.0, 1.0)[..., None]
    tint = rng.uniform(0.05, 0.35) * np.array((1.0, 1.02, 1.06))
    shine = np.exp(-((depth - 0.1) ** 2) / 0.01) * 0.25 + 0.1 * (1 - depth)
    return mask, np.clip(tint + shine * (1.0 - 0.4 * np.abs(x))[None, :, None], 0.0, 1.0).astype(np.float32)
