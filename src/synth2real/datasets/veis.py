"""VEIS: renderings of foreground objects with instance masks, made to learn the *shape* of things.

::

    annotations.json                          COCO: images, annotations (polygons or RLE), categories
    images/<file_name>                        RGB; file_name as in the JSON, e.g. multi_class/00001.png
    pixel_labels/<file_name>_trainIds.png     uint8, Cityscapes train ids (0..18, 255); for some frames only, optional

The 10 classes are traffic light, traffic sign, person, rider, car, truck, bus, train, motorcycle and bicycle, found by
their names in ``categories``. The frame id is ``file_name`` without suffix, with ``/`` written as ``_``. There is no
split: all frames are ``train``.

Instance ids are ``label_id * 1000 + n`` for all 10 classes, traffic lights and signs too, n counting the objects of a class
in the order of the file from 0. Larger objects are painted first, so a smaller one in front of or within a larger one stays
visible. COCO's crowds (``iscrowd``) become ``label_id``, as Cityscapes writes groups. Label ids come from the pixel labels
where there are some; elsewhere they are those of the objects, and 0 (unlabeled) outside of all.

Source: Saleh et al., "Effective Use of Synthetic Data for Urban Scene Semantic Segmentation", ECCV 2018.
"""

import json
import warnings
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco_mask

from synth2real.datasets.raw import WHOLE_SET, Annotation, RawFrame, files_by_path, read_indices, require_some, to_label_ids
from synth2real.frames import FrameError, read_bytes
from synth2real.label_space import (
    IGNORE_INDEX,
    INSTANCE_FACTOR,
    LABEL_BY_NAME,
    TRAIN_LABELS,
    UNLABELED_ID,
    VEIS_LABELS,
    lookup_table,
)

ANNOTATIONS_FILE: Final = "annotations.json"
PIXEL_LABEL_ENDING: Final = "_trainIds"
MIN_POLYGON_NUMBERS: Final = 6
"""A polygon needs three points."""
_PIXEL_LABELS_TO_LABEL_ID: Final = lookup_table(
    {**{label.train_id: label.label_id for label in TRAIN_LABELS}, IGNORE_INDEX: UNLABELED_ID}, IGNORE_INDEX
)


class VeisImage(NamedTuple):
    """One entry of COCO's ``images``."""

    bare_name: str
    """``file_name`` without suffix."""
    height: int
    width: int


class VeisObject(NamedTuple):
    """One annotated object of a frame."""

    label_id: int
    segmentation: Any
    """COCO's: a list of polygons ``[x0, y0, x1, y1, ...]``, or an RLE ``{"size": [height, width], "counts": ...}``."""
    is_crowd: bool


def list_veis(root: Path) -> tuple[RawFrame, ...]:
    """Lists the frames; no pixel is decoded.

    Args:
        root: The folder with ``annotations.json`` and ``images/``.

    Raises:
        FrameError: If the JSON is broken or names an unknown class, image or category id; if an image has no entry, an entry no
            image, or a pixel label no image.
    """
    path, images_at, pixel_labels_at = root / ANNOTATIONS_FILE, root / "images", root / "pixel_labels"
    images, objects = _read_annotations(path)
    on_disk = files_by_path(images_at)
    require_some(on_disk, images_at, f"the images that {path} names")
    named = {image.bare_name for image in images.values()}
    for lonely, where in (
        (named - on_disk.keys(), f"no such image, though {path} names it"),
        (on_disk.keys() - named, f"no entry in {path}"),
    ):
        if lonely:
            first = min(lonely)
            raise FrameError(
                f"{on_disk.get(first, images_at / first)}: {where} ({len(lonely)} such files). Complete the download."
            )
    pixel_labels = files_by_path(pixel_labels_at, (".png",), ending=PIXEL_LABEL_ENDING)
    if lonely := pixel_labels.keys() - named:
        raise FrameError(
            f"{pixel_labels[min(lonely)]}: no such image in {images_at} ({len(lonely)} such files). Complete or delete."
        )
    return tuple(
        RawFrame(
            image.bare_name.replace("/", "_"),
            WHOLE_SET,
            on_disk[image.bare_name],
            partial(read_veis, path, image, tuple(objects[image_id]), pixel_labels.get(image.bare_name)),
        )
        for image_id, image in images.items()
    )


def _read_annotations(path: Path) -> tuple[dict[int, VeisImage], dict[int, list[VeisObject]]]:
    try:
        content = json.loads(read_bytes(path))
        label_of_category = {int(item["id"]): _label_id(path, str(item["name"])) for item in content["categories"]}
        images = {
            int(item["id"]): VeisImage(_bare(item["file_name"]), int(item["height"]), int(item["width"]))
            for item in content["images"]
        }
        objects: dict[int, list[VeisObject]] = defaultdict(list)
        for item in content["annotations"]:
            image_id, category_id = int(item["image_id"]), int(item["category_id"])
            if image_id not in images or category_id not in label_of_category:
                raise FrameError(
                    f"{path}: annotation {item.get('id')} names image_id {image_id} and category_id {category_id}; "
                    "`images` or `categories` has no such id. Write the file again."
                )
            objects[image_id].append(
                VeisObject(label_of_category[category_id], item["segmentation"], bool(item.get("iscrowd", 0)))
            )
    except FrameError:
        raise
    except (UnicodeDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise FrameError(
            f"{path}: expected COCO's JSON with images, categories and annotations ({type(error).__name__}: {error}). "
            "Download it again."
        ) from None
    return images, objects


def _bare(file_name: str) -> str:
    return PurePosixPath(file_name).with_suffix("").as_posix()


def _label_id(path: Path, name: str) -> int:
    label = LABEL_BY_NAME.get(name)
    if label is None or label not in VEIS_LABELS:
        raise FrameError(f"{path}: unknown category {name!r}; VEIS has {', '.join(label.name for label in VEIS_LABELS)}.")
    return label.label_id


def read_veis(path: Path, image: VeisImage, objects: tuple[VeisObject, ...], pixel_label: Path | None) -> Annotation:
    """Paints the objects of one frame and decodes its pixel label, where there is one.

    Args:
        path: The JSON file, for messages.
        image: Name and size of the frame.
        objects: What is to be painted.
        pixel_label: The map of train ids, if the frame has one.

    Raises:
        FrameError: If a segmentation is malformed, there are more than 1000 objects of a class, or the pixel label is damaged,
            of another size, or holds an unknown train id.
    """
    size = (image.height, image.width)
    instance_ids = np.zeros(size, np.uint16)
    areas, dropped = [], 0
    seen: Counter[int] = Counter()
    for item in objects:
        mask = _mask(path, image, item)
        area = int(coco_mask.area(mask)) if mask is not None else 0
        if mask is None or area == 0:
            dropped += 1
            continue
        value = item.label_id
        if not item.is_crowd:
            if seen[item.label_id] == INSTANCE_FACTOR:
                raise FrameError(
                    f"{path}: {image.bare_name} has more than {INSTANCE_FACTOR} objects of one class; no more can be told apart. "
                    "Leave the smallest out."
                )
            value = value * INSTANCE_FACTOR + seen[item.label_id]
            seen[item.label_id] += 1
        areas.append((area, value, mask))
    for _, value, mask in sorted(areas, key=lambda item: -item[0]):
        instance_ids[_pixels(mask)] = value
    if pixel_label is None:
        label_ids = np.where(instance_ids < INSTANCE_FACTOR, instance_ids, instance_ids // INSTANCE_FACTOR).astype(np.uint8)
    else:
        label_ids = to_label_ids(pixel_label, read_indices(pixel_label), _PIXEL_LABELS_TO_LABEL_ID)
        if label_ids.shape != size:
            raise FrameError(
                f"{pixel_label}: {path} says {size} (height, width), the file has {label_ids.shape}. Write it again."
            )
        instance_ids = np.where(instance_ids > 0, instance_ids, label_ids).astype(np.uint16)
    return Annotation(label_ids, instance_ids, dropped)


def _pixels(mask: dict[str, Any]) -> Bool[np.ndarray, "height width"]:
    with warnings.catch_warnings():  # pycocotools 2.0.11 does not know NumPy 2's copy keyword
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(coco_mask.decode(mask), bool)


def _mask(path: Path, image: VeisImage, item: VeisObject) -> dict[str, Any] | None:
    """The object as compressed RLE; ``None`` if it has no polygon of three points or more."""
    try:
        if isinstance(item.segmentation, dict):
            if tuple(item.segmentation["size"]) != (image.height, image.width):
                raise ValueError(f"RLE of size {item.segmentation['size']}")
            if isinstance(item.segmentation["counts"], list):
                return dict(coco_mask.frPyObjects(item.segmentation, image.height, image.width))
            return item.segmentation
        polygons = [polygon for polygon in item.segmentation if len(polygon) >= MIN_POLYGON_NUMBERS]
        if not polygons:
            return None
        return dict(coco_mask.merge(coco_mask.frPyObjects(polygons, image.height, image.width)))
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError(
            f"{path}: a segmentation of image {image.bare_name} is neither polygons nor RLE of its size "
            f"{image.height}x{image.width} ({error}). Write the file again."
        ) from None
