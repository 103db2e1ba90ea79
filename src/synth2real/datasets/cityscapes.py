"""Cityscapes: real street scenes from 50 cities, 2975 train and 500 val frames with fine annotation.

::

    leftImg8bit/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png    RGB, 2048x1024 (width x height); .jpg is read too
    gtFine/<split>/<city>/..._gtFine_labelIds.png                           uint8, label ids
    gtFine/<split>/<city>/..._gtFine_instanceIds.png                        uint16, label_id * 1000 + n, or label_id
    gtFine/<split>/<city>/..._gtFine_polygons.json                          what the two maps are drawn from

Where one of the two maps of ids is absent, the polygons are drawn instead, in the order of the file, as the official scripts do
(json2labelImg, json2instanceImg of cityscapesScripts). The labels of split ``test`` are not public (the download holds
placeholders), so it counts as unlabelled; so does a split without ``gtFine`` folder.

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.
"""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt16
from PIL import Image, ImageDraw

from synth2real.datasets.raw import Annotation, RawFrame, files_by_path, require_pairs, require_some
from synth2real.frames import FrameError, read_bytes, read_instances, read_label
from synth2real.label_space import INSTANCE_FACTOR, LABEL_BY_NAME

IMAGE_ENDING: Final = "_leftImg8bit"
LABEL_ENDING: Final = "_gtFine_labelIds"
INSTANCES_ENDING: Final = "_gtFine_instanceIds"
POLYGONS_ENDING: Final = "_gtFine_polygons"
UNLABELLED_SPLIT: Final = "test"
GROUP_ENDING: Final = "group"
"""``cargroup`` is a group of cars in which the annotators could not tell the single ones apart."""
NOT_DRAWN: Final = ("license plate", "license plategroup")
"""Label id -1: its polygons leave the car below as it is."""


def list_cityscapes(root: Path, splits: tuple[str, ...]) -> tuple[RawFrame, ...]:
    """Lists the frames of the chosen splits; nothing is decoded.

    Args:
        root: The folder with ``leftImg8bit/`` and ``gtFine/``.
        splits: Of ``train``, ``val`` and ``test``.

    Raises:
        FrameError: If a split has no image, or an image or annotation has no partner in a split that is annotated.
    """
    frames: list[RawFrame] = []
    for split in splits:
        images_at, annotations_at = root / "leftImg8bit" / split, root / "gtFine" / split
        images = files_by_path(images_at, ending=IMAGE_ENDING)
        require_some(images, images_at, f"images such as aachen/aachen_000000_000019{IMAGE_ENDING}.png")
        labels = files_by_path(annotations_at, (".png",), ending=LABEL_ENDING)
        instances = files_by_path(annotations_at, (".png",), ending=INSTANCES_ENDING)
        polygons = files_by_path(annotations_at, (".json",), ending=POLYGONS_ENDING)
        if split == UNLABELLED_SPLIT or not (labels or polygons):
            frames.extend(RawFrame(_frame_id(name), split, path, None) for name, path in images.items())
            continue
        require_pairs(images, polygons | labels, images_at, annotations_at)
        for name, path in images.items():
            if name in polygons and not (name in labels and name in instances):
                decode = partial(read_cityscapes_polygons, polygons[name])
            else:
                decode = partial(read_cityscapes_ids, labels[name], instances.get(name))
            frames.append(RawFrame(_frame_id(name), split, path, decode))
    return tuple(frames)


def _frame_id(name: str) -> str:
    """``aachen_000000_000019``: the city's folder is part of the file name already."""
    return name.rpartition("/")[2]


def read_cityscapes_ids(label: Path, instances: Path | None) -> Annotation:
    """Decodes one annotation from its maps of ids.

    Raises:
        FrameError: If a file is damaged or holds an unknown class, or the two differ in size.
    """
    label_ids = read_label(label)
    instance_ids = None if instances is None else read_instances(instances)
    if instance_ids is not None and instance_ids.shape != label_ids.shape:
        raise FrameError(f"{instances}: size {instance_ids.shape}, but {label} has {label_ids.shape}. Download both again.")
    return Annotation(label_ids, instance_ids)


def read_cityscapes_polygons(path: Path) -> Annotation:
    """Draws one annotation from its polygons.

    The n-th polygon of a thing class gets ``label_id * 1000 + n`` (n from 0), groups and stuff get ``label_id``.

    Raises:
        FrameError: If the file is no such JSON, or names an unknown class.
    """
    try:
        content = json.loads(read_bytes(path))
        height, width = int(content["imgHeight"]), int(content["imgWidth"])
        objects = [
            (str(item["label"]), [(x, y) for x, y in item["polygon"]])
            for item in content["objects"]
            if not item.get("deleted", 0)
        ]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise FrameError(
            f"{path}: expected JSON with imgHeight, imgWidth and objects of label and polygon ({type(error).__name__}: {error}). "
            "Download it again."
        ) from None
    instance_ids = _draw(path, height, width, objects)
    label_ids = np.where(instance_ids < INSTANCE_FACTOR, instance_ids, instance_ids // INSTANCE_FACTOR).astype(np.uint8)
    return Annotation(label_ids, instance_ids)


def _draw(path: Path, height: int, width: int, objects: list[tuple[str, list[Any]]]) -> UInt16[np.ndarray, "height width"]:
    canvas = Image.new("I", (width, height), 0)
    drawer = ImageDraw.Draw(canvas)
    seen: Counter[str] = Counter()
    for name, polygon in objects:
        if name in NOT_DRAWN:
            continue
        label = LABEL_BY_NAME.get(name) or LABEL_BY_NAME.get(name.removesuffix(GROUP_ENDING))
        if label is None:
            raise FrameError(f"{path}: unknown class {name!r}; Cityscapes has {', '.join(LABEL_BY_NAME)}.")
        value = label.label_id
        if label.is_thing and name == label.name:
            value = value * INSTANCE_FACTOR + seen[name]
            seen[name] += 1
        try:
            drawer.polygon(polygon, fill=value)
        except (TypeError, ValueError) as error:
            raise FrameError(f"{path}: a polygon of {name!r} with {len(polygon)} points cannot be drawn ({error}).") from None
    return np.array(canvas).astype(np.uint16)
