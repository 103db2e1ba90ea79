"""Cuts objects out of a real and a synthetic set, as silhouettes and as textured crops, equally many of each class."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Int64, UInt8
from rich.progress import track

from synth2real.frames import Frame, FrameError, FrameSet, read_frames, resize_image, write_bytes, write_png
from synth2real.instances.data import instances_of
from synth2real.label_space import VEIS_LABELS
from synth2real.params import read_section, run

STUDY = Path("studies/shape_vs_texture")
SETS = ("real", "synthetic")
SPLITS = ("train", "val")
GREY = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSettings:
    """The section ``crops`` of the study's params.yaml."""

    size: int
    """Side of a crop in pixels."""
    margin: float
    """On each side of the object's square, as a share of it."""
    min_area: int
    """Objects of fewer visible pixels are left out."""
    most: int
    """Objects of each class, set and split."""
    seed: int

    def __post_init__(self) -> None:
        if self.size < 8 or self.min_area < 1 or self.most < 1 or self.margin < 0:
            raise ValueError("size must be at least 8, min_area and most at least 1, margin at least 0")


class Crops(NamedTuple):
    """Objects of one frame, or of many."""

    textures: UInt8[np.ndarray, "crops size size 3"]
    """RGB; all that is not the object is grey."""
    shapes: UInt8[np.ndarray, "crops size size"]
    """255 where the object is, else 0."""
    classes: Int64[np.ndarray, " crops"]
    """0..9: index in ``VEIS_LABELS``."""


def cut(
    image: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "height width"], settings: CropSettings
) -> tuple[UInt8[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size"]]:
    """Texture and silhouette of an object in the middle of a square; what lies outside of the image is no object.

    Args:
        image: The frame.
        mask: The object, at least one pixel.
        settings: Size and margin.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    side = max(1, round(max(width, height) * (1 + 2 * settings.margin)))
    texture, shape = np.full((side, side, 3), GREY, np.uint8), np.zeros((side, side, 3), np.uint8)
    row, column = (side - height) // 2, (side - width) // 2
    inside, outside = np.s_[row : row + height, column : column + width], np.s_[top : top + height, left : left + width]
    texture[inside][mask[outside]] = image[outside][mask[outside]]
    shape[inside][mask[outside]] = 255
    size = (settings.size, settings.size)
    return resize_image(texture, size), np.where(resize_image(shape, size)[..., 0] > GREY, 255, 0).astype(np.uint8)


def crops_of(frame: Frame, images: FrameSet, annotations: FrameSet, settings: CropSettings) -> Crops:
    """All objects of a frame."""
    instances = instances_of(annotations.instances(frame), settings.min_area)
    image = images.image(frame)
    pairs = [cut(image, mask, settings) for mask in instances.masks]
    size = (settings.size, settings.size)
    textures = np.array([texture for texture, _ in pairs], np.uint8).reshape(-1, *size, 3)
    return Crops(textures, np.array([shape for _, shape in pairs], np.uint8).reshape(-1, *size), instances.labels - 1)


def balanced(
    real: Int64[np.ndarray, " objects"], synthetic: Int64[np.ndarray, " objects"], most: int, generator: np.random.Generator
) -> tuple[Int64[np.ndarray, " chosen"], Int64[np.ndarray, " chosen"]]:
    """Which objects to take so that both sets have equally many of each class, drawn at random; their indices, ascending.

    Args:
        real: Class of each object of one set.
        synthetic: Class of each object of the other.
        most: Of each class and set.
        generator: Source of the draws.
    """
    counts = np.minimum(*(np.bincount(classes, minlength=len(VEIS_LABELS)) for classes in (real, synthetic)))
    chosen = []
    for classes in (real, synthetic):
        shuffled = generator.permutation(len(classes))
        ranks = [shuffled[classes[shuffled] == index][: min(count, most)] for index, count in enumerate(counts)]
        chosen.append(np.sort(np.concatenate(ranks)))
    return chosen[0], chosen[1]


def _of_classes(crops: Crops, classes: Int64[np.ndarray, " classes"]) -> Crops:
    return Crops(*(values[np.isin(crops.classes, classes)] for values in crops))


def sheet(chosen: dict[tuple[str, str], Crops]) -> UInt8[np.ndarray, "height width 3"]:
    """Some objects of each class, a row for each class: silhouettes and textures, real and then synthetic."""
    shown = 4
    rows = []
    for index in np.unique(chosen[SETS[0], SPLITS[0]].classes):
        row = []
        for name in SETS:
            crops = chosen[name, SPLITS[0]]
            places = np.flatnonzero(crops.classes == index)[:shown]
            blank = np.full((shown - len(places), *crops.textures.shape[1:]), 255, np.uint8)
            shapes = np.repeat(crops.shapes[places][..., None], 3, axis=-1)
            row += [*shapes, *blank, *crops.textures[places], *blank]
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows)


def main(
    real_images: Path, real_annotations: Path, synthetic_images: Path, synthetic_annotations: Path, out: Path, pictures: Path
) -> None:
    """Writes the crops of both sets and splits in one file.

    Args:
        real_images: Frame set with images.
        real_annotations: Frame set with the instances of the same frames.
        synthetic_images: Frame set with images.
        synthetic_annotations: Frame set with the instances of the same frames.
        out: NPZ file.
        pictures: PNG file with examples.
    """
    settings = read_section("crops", CropSettings, STUDY / "params.yaml")
    found: dict[tuple[str, str], Crops] = {}
    roots = ((real_images, real_annotations), (synthetic_images, synthetic_annotations))
    for name, (images_root, annotations_root) in zip(SETS, roots, strict=True):
        images, annotations = read_frames(images_root), read_frames(annotations_root)
        for split in SPLITS:
            frames = annotations.split(split).frames
            parts = [crops_of(frame, images, annotations, settings) for frame in track(frames, f"Cutting {name} {split}")]
            found[name, split] = Crops(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    generator = np.random.default_rng(settings.seed)
    learnt = np.arange(len(VEIS_LABELS))
    for split in SPLITS:
        pair = [_of_classes(found[name, split], learnt) for name in SETS]
        choice = balanced(pair[0].classes, pair[1].classes, settings.most, generator)
        if not len(choice[0]):
            raise FrameError(f"{real_annotations} and {synthetic_annotations}: no class has objects in both, in split {split}.")
        for name, crops, indices in zip(SETS, pair, choice, strict=True):
            found[name, split] = Crops(*(values[indices] for values in crops))
        learnt = np.unique(found[SETS[0], split].classes)  # no class is tested that was not learnt
    buffer = io.BytesIO()
    arrays = {
        f"{name}/{split}/{field}": values for (name, split), crops in found.items() for field, values in crops._asdict().items()
    }
    np.savez_compressed(buffer, **arrays)
    write_bytes(out, buffer.getvalue())
    write_png(pictures, sheet(found))


if __name__ == "__main__":
    run(main)
