"""VIPER, also called Playing for Benchmarks: 254,064 rendered video frames with semantic and instance labels.

::

    <split>/img/<sequence>/<sequence>_<frame>.jpg|png    RGB, 1920x1080 (width x height)
    <split>/cls/<sequence>/<sequence>_<frame>.png        the index is the class, 0..31
    <split>/inst/<sequence>/<sequence>_<frame>.png       RGB: R = class, 256 * G + B = instance; optional

Sequences are numbered from 001 in each split, so the frame id begins with the split: ``train_001_00001``. Splits are ``train``,
``val`` and ``test``; a split without ``cls`` folder (the test split's labels are not public) counts as
unlabelled.

Labels become those of Cityscapes (:data:`synth2real.label_space.VIPER_CLASSES`)::

    sky 2, road 3, sidewalk 4, terrain 6, building 9, fence 11, traffic light 13, traffic sign 14, person 20,
    bicycle 22, motorcycle 23, bus 26, truck 27, trailer 28, train 29      the class of the same name
    railtrack 5                                                            rail track
    tree 7, vegetation 8                                                   vegetation
    car 24, van 25                                                         car
    infrastructure 10, billboard 12, fire hydrant 16, trash can 19         static (ignored)
    mobile barrier 15, chair 17, trash 18, animal 21, plane 30, boat 31    dynamic (ignored)
    unlabeled 0, ambiguous 1                                               unlabeled (ignored)

Wall, pole and rider, which VIPER has not, stay without a pixel: poles are infrastructure, who rides is a person. Instance ids
become ``label_id * 1000 + n`` for the things of Cityscapes, n counting the instances of a label in ascending order of (class,
instance) from 0; instance 0 and all else become ``label_id``.

Source: Richter, Hayder, Koltun, "Playing for Benchmarks", ICCV 2017.
"""

from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from synth2real.datasets.raw import Annotation, RawFrame, files_by_path, read_indices, require_pairs, require_some, to_label_ids
from synth2real.frames import FrameError, read_image
from synth2real.label_space import IGNORE_INDEX, INSTANCE_FACTOR, LABELS, VIPER_TO_LABEL_ID, lookup_table

_CODE: Final = 0xFFFFFF
"""The three bytes of a pixel of an instance map: class, then instance."""
_IS_THING: Final = lookup_table({label.label_id: int(label.is_thing) for label in LABELS}, 0).astype(bool)


def list_viper(root: Path, splits: tuple[str, ...]) -> tuple[RawFrame, ...]:
    """Lists the frames of the chosen splits; nothing is decoded.

    Args:
        root: The folder with ``train/``, ``val/`` and ``test/``.
        splits: Of these.

    Raises:
        FrameError: If a split has no image, or an image, label or instance map has no partner.
    """
    frames: list[RawFrame] = []
    for split in splits:
        images_at, labels_at, instances_at = (root / split / kind for kind in ("img", "cls", "inst"))
        images = files_by_path(images_at)
        require_some(images, images_at, "images such as 001/001_00001.jpg")
        labels, instances = files_by_path(labels_at, (".png",)), files_by_path(instances_at, (".png",))
        if labels:
            require_pairs(images, labels, images_at, labels_at)
        if instances:
            require_pairs(images, instances, images_at, instances_at)
        for name, path in images.items():
            decode = partial(read_viper, labels[name], instances.get(name)) if labels else None
            decode_labels = partial(read_viper_labels, labels[name]) if labels else None
            frame_id = f"{split}_{name.rpartition('/')[2]}"
            frames.append(RawFrame(frame_id, split, path, decode, label_ids=decode_labels))
    return tuple(frames)


def read_viper(label: Path, instances: Path | None) -> Annotation:
    """Decodes one label and, where there is one, its instance map.

    Raises:
        FrameError: If a file is damaged, holds an unknown class, or the two differ in size.
    """
    label_ids = read_viper_labels(label)
    if instances is None:
        return Annotation(label_ids, None)
    encoded = read_image(instances)
    if encoded.shape[:2] != label_ids.shape:
        raise FrameError(f"{instances}: size {encoded.shape[:2]}, but {label} has {label_ids.shape}. Download both again.")
    return Annotation(label_ids, _instance_ids(instances, encoded, label_ids))


def read_viper_labels(label: Path) -> UInt8[np.ndarray, "height width"]:
    """Decodes one label alone.

    Raises:
        FrameError: If the file is damaged, or holds an unknown class.
    """
    return to_label_ids(label, read_indices(label), VIPER_TO_LABEL_ID)


def _instance_ids(
    path: Path, encoded: UInt8[np.ndarray, "height width 3"], label_ids: UInt8[np.ndarray, "height width"]
) -> UInt16[np.ndarray, "height width"]:
    """A frame has a hundred codes on two million pixels: what they mean is worked out once each, and looked up."""
    codes = cv2.cvtColor(encoded, cv2.COLOR_RGB2BGRA).view("<u4")[..., 0] & _CODE  # class, instance as one number
    occurs = np.zeros(_CODE + 1, np.bool_)
    occurs[codes] = True
    present = np.flatnonzero(occurs)
    thing_label_ids = VIPER_TO_LABEL_ID[present >> 16]
    if (thing_label_ids == IGNORE_INDEX).any():
        to_label_ids(path, encoded[..., 0], VIPER_TO_LABEL_ID)
    is_single = _IS_THING[thing_label_ids] & ((present & 0xFFFF) > 0)
    present, single_label_ids = present[is_single], thing_label_ids[is_single].astype(np.int64)
    order = np.argsort(single_label_ids, kind="stable")
    ranks = np.empty(len(present), np.int64)
    starts = np.searchsorted(single_label_ids[order], single_label_ids[order])
    ranks[order] = np.arange(len(present)) - starts
    if len(ranks) and ranks.max() >= INSTANCE_FACTOR:
        raise FrameError(f"{path}: {ranks.max() + 1} instances of one class; at most {INSTANCE_FACTOR} can be told apart.")
    meaning = np.zeros(_CODE + 1, np.uint16)
    meaning[present] = single_label_ids * INSTANCE_FACTOR + ranks
    instance_ids = meaning[codes]
    return np.where(instance_ids > 0, instance_ids, label_ids)
