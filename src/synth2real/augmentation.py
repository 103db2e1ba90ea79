"""Random views of an image and its labels: scale, crop and flip of both, then colour, blur and noise of the image alone.

Strong colour augmentation is the plainest form of domain randomisation (Tobin et al., IROS 2017): what varies at random in
training cannot be relied on. All draws come from the generator given, so a view is a pure function of its state.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationSettings:
    """The sections ``segmentation.augmentation`` and ``instances.augmentation`` of params.yaml."""

    scale: tuple[float, float]
    """Smallest and largest magnification, drawn log-uniformly."""
    flip: float
    """Probability of a left-right flip."""
    brightness: float
    """Factor drawn from [1 - b, 1 + b]."""
    contrast: float
    """Factor about mid-grey, drawn from [1 - c, 1 + c]."""
    saturation: float
    """Factor drawn from [1 - s, 1 + s]."""
    hue: float
    """Largest turn of the hue, as a share of the colour circle, in [0, 0.5]."""
    tint: float
    """Factor of each channel, drawn from [1 - t, 1 + t]."""
    gamma: float
    """Exponent drawn log-uniformly from [1 / g, g]; 1 for none."""
    grey: float
    """Probability of no colour at all."""
    blur: float
    """Largest standard deviation of a Gaussian blur, in pixels."""
    noise: float
    """Largest standard deviation of Gaussian noise, in grey levels of 0..255."""

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high:
            raise ValueError(f"scale must be two ascending positive numbers, got {self.scale}")
        for name in ("flip", "grey", "brightness", "contrast", "saturation", "tint"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue must lie in [0, 0.5], got {self.hue}")
        if self.gamma < 1:
            raise ValueError(f"gamma must be at least 1, got {self.gamma}")
        if self.blur < 0 or self.noise < 0:
            raise ValueError("blur and noise must not be negative")


def augment(
    image: UInt8[np.ndarray, "height width 3"],
    labels: Shaped[np.ndarray, "height width"],
    settings: AugmentationSettings,
    crop: tuple[int, int],
    generator: np.random.Generator,
    *,
    outside: int,
) -> tuple[UInt8[np.ndarray, "crop_height crop_width 3"], Shaped[np.ndarray, "crop_height crop_width"]]:
    """One random view of the image and its labels (8 or 16 bit), of the size ``crop``; ``outside`` labels what lies beyond it."""
    image, labels = move(image, labels, random_view(labels.shape, crop, settings, generator), crop, outside=outside)
    return recolour(image, settings, generator), labels


def random_view(
    size: tuple[int, ...], crop: tuple[int, int], settings: AugmentationSettings, generator: np.random.Generator
) -> Float[np.ndarray, "2 3"]:
    """The affine map from pixels of a random view to pixels of the image: a magnification, an offset and perhaps a flip.

    Args:
        size: (height, width) of the image.
        crop: (height, width) of the view. Where the magnified image is larger, the view lies wholly inside of it; where it is
            smaller, the image lies wholly inside of the view.
        settings: Ranges of magnification, probability of the flip.
        generator: Source of the draws.
    """
    scale = np.exp(generator.uniform(*np.log(settings.scale)))
    spare = scale * np.array(size[::-1]) - np.array(crop[::-1])
    offset = spare * generator.random(2)
    shift = (offset + 0.5) / scale - 0.5  # pixel centres lie at whole numbers
    view = np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]])
    if generator.random() < settings.flip:
        view[0] = [-view[0, 0], 0, size[1] - 1 - view[0, 2]]
    return view


def move(
    image: UInt8[np.ndarray, "height width 3"],
    labels: Shaped[np.ndarray, "height width"],
    view: Float[np.ndarray, "2 3"],
    crop: tuple[int, int],
    *,
    outside: int,
) -> tuple[UInt8[np.ndarray, "crop_height crop_width 3"], Shaped[np.ndarray, "crop_height crop_width"]]:
    """Image (bilinear) and labels (nearest) seen through ``view``; beyond the image, mid-grey and the label ``outside``."""
    grey, flags = (128, 128, 128), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, view, crop[::-1], flags=flags, borderValue=grey), move_labels(
        labels, view, crop, outside=outside
    )


def move_labels(
    labels: Shaped[np.ndarray, "height width"], view: Float[np.ndarray, "2 3"], crop: tuple[int, int], *, outside: int
) -> Shaped[np.ndarray, "crop_height crop_width"]:
    """The labels alone, as in :func:`move`."""
    return cv2.warpAffine(labels, view, crop[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=(outside,))


class Colours(NamedTuple):
    """How an image's colours, sharpness and noise are changed; in this order."""

    matrix: Float[np.ndarray, "3 4"]
    """From red, green, blue and 1 to red, green and blue, in grey levels."""
    exponent: float
    """Of the values as shares of 255."""
    blur: float
    """Standard deviation of a Gaussian, in pixels."""
    noise: float
    """Standard deviation of Gaussian noise, in grey levels."""


def random_colours(settings: AugmentationSettings, generator: np.random.Generator) -> Colours:
    """Draws other light, another lens, another sensor."""

    def factor(spread: float, count: int = 1) -> np.ndarray:
        return generator.uniform(1 - spread, 1 + spread, count)

    saturation = factor(settings.saturation) * (generator.random() >= settings.grey)
    colour = _hue_saturation(2 * np.pi * generator.uniform(-settings.hue, settings.hue), float(saturation[0]))
    contrast = factor(settings.contrast)
    colour = (contrast * factor(settings.brightness) * factor(settings.tint, 3))[:, None] * colour
    exponent = np.exp(generator.uniform(-1, 1) * np.log(settings.gamma))
    sigma, noise = generator.random(2) * (settings.blur, settings.noise)
    return Colours(np.column_stack([colour, np.repeat(128 * (1 - contrast), 3)]), float(exponent), float(sigma), float(noise))


def recolour(
    image: UInt8[np.ndarray, "height width 3"], settings: AugmentationSettings, generator: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """The image in other light, through another lens, with another sensor's noise."""
    colours = random_colours(settings, generator)
    image = cv2.transform(image, colours.matrix)
    image = cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** colours.exponent).astype(np.uint8))
    if colours.blur > 0.25:  # below, the kernel is a single pixel
        image = cv2.GaussianBlur(image, (0, 0), colours.blur)
    if colours.noise > 0:
        grains = generator.standard_normal(image.shape, np.float32) * np.float32(colours.noise)
        image = cv2.add(image, grains, dtype=cv2.CV_8U)
    return image


def _hue_saturation(angle: float, saturation: float) -> Float[np.ndarray, "3 3"]:
    """The linear map of RGB that keeps luma's grey, turns colours about the grey axis and multiplies their distance from it."""
    to_grey = np.outer(np.ones(3), _LUMA)
    axis = np.ones(3) / np.sqrt(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues' formula
    mixed: np.ndarray = to_grey + saturation * turn @ (np.eye(3) - to_grey)
    return mixed
