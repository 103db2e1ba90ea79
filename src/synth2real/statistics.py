"""Checks the prepared frame sets, each by itself and against each other, and counts what is in them."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt16

from synth2real.frames import (
    FRAMES_FILE,
    Frame,
    FrameError,
    FrameSet,
    map_frames,
    read_frames,
    resize_image,
    write_image,
    write_text,
)
from synth2real.label_space import (
    IGNORE_INDEX,
    INSTANCE_FACTOR,
    LABEL_ID_TO_TRAIN_ID,
    LABELS,
    NUM_LABEL_IDS,
    PALETTE,
    TRAIN_LABELS,
    UNLABELED_ID,
)

_DIGITS = 4
_MAX_INSTANCE_ID = NUM_LABEL_IDS * INSTANCE_FACTOR
_SMALL = 32**2  # pixels; COCO's limit
_SHOWN, _IN_A_ROW, _SHOWN_HEIGHT, _GAP = 12, 2, 256, 4  # frames of the contact sheet; their height and the gap in pixels


class FrameCount(NamedTuple):
    """What one frame holds."""

    image_hash: str
    """Of the decoded pixels and their size; empty if the set has no images."""
    pixels: Int64[np.ndarray, "34"] | None
    """Pixels of each label id; ``None`` if the set has no labels."""
    instance_label_ids: Int64[np.ndarray, "instances"]
    instance_areas: Int64[np.ndarray, "instances"]
    """In pixels; empty, like all of the instances, if the set has no instance ids."""
    instance_heights: Int64[np.ndarray, "instances"]
    """Of their boxes, in pixels."""
    instance_truncated: Bool[np.ndarray, "instances"]
    """Whether they touch the frame's border."""
    agreement: tuple[int, int]
    """Pixels of single instances whose class is also the label's, and all of them that have a label."""


def check_data(
    source: Path, target: Path, target_annotations: Path, instances: Path, out: Path, pictures: Path, *, workers: int
) -> None:
    """Checks the four frame sets of the experiment, writes their statistics as JSON and a contact sheet of the instances.

    Args:
        source: Needs images and labels.
        target: Needs images.
        target_annotations: Needs labels; each frame must be one of ``target``, in the same size and split.
        instances: Needs images, labels and instance ids.
        out: The JSON file; see :func:`summarise`.
        pictures: The contact sheet; see :func:`contact_sheet`.
        workers: Processes.

    Raises:
        FrameError: At the first file that is damaged, holds an unknown value or is of the wrong size; if a frame id occurs twice;
            if an image occurs in two splits of a set, or a target image in a labelled set; if an annotation has no target image.
    """
    sets = {
        "source": (read_frames(source), ("images", "labels")),
        "target": (read_frames(target), ("images",)),
        "target_annotations": (read_frames(target_annotations), ("labels",)),
        "instances": (read_frames(instances), ("images", "labels", "instances")),
    }
    _require_target_images(sets["target"][0], sets["target_annotations"][0])
    hashes: dict[str, dict[str, Frame]] = {}
    summary: dict[str, Any] = {}
    for name, (frame_set, contents) in sets.items():
        _require_unique_ids(frame_set)
        has_instances = "instances" in contents or (frame_set.root / "instances").is_dir()
        count = partial(count_frame, frame_set, "images" in contents, "labels" in contents, has_instances)
        counts = tuple(map_frames(count, frame_set.frames, workers=workers, description=f"check {name}"))
        hashes[name] = _require_disjoint_splits(frame_set, counts)
        summary[name] = summarise(frame_set.frames, counts)
    for name in ("source", "instances"):
        _require_unseen(sets["target"][0], hashes["target"], sets[name][0], hashes[name])
    write_image(pictures, contact_sheet(sets["instances"][0]))
    write_text(out, json.dumps(summary, indent=2) + "\n")


def contact_sheet(frame_set: FrameSet) -> UInt8[np.ndarray, "height width 3"]:
    """Twelve frames of a set, evenly spread: each image beside the same with its instances in their classes' colours.

    Args:
        frame_set: Has images and instance ids.
    """
    chosen = np.unique(np.linspace(0, len(frame_set.frames) - 1, _SHOWN).round().astype(int))
    height = min(_SHOWN_HEIGHT, min(frame_set.frames[index].height for index in chosen))
    cells = []
    for index in chosen:
        frame = frame_set.frames[index]
        image = frame_set.image(frame)
        size = (height, round(frame.width * height / frame.height))
        pair = [resize_image(picture, size) for picture in (image, tinted(image, frame_set.instances(frame)))]
        cells.append(
            np.concatenate([np.pad(picture, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for picture in pair], axis=1)
        )
    widest = max(cell.shape[1] for cell in cells)
    cells = [np.pad(cell, ((0, 0), (0, widest - cell.shape[1]), (0, 0)), constant_values=255) for cell in cells]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % _IN_A_ROW)
    rows = [np.concatenate(cells[start : start + _IN_A_ROW], axis=1) for start in range(0, len(cells), _IN_A_ROW)]
    return np.concatenate(rows)


def tinted(
    image: UInt8[np.ndarray, "height width 3"], instance_ids: UInt16[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The image with its instances in their classes' colours, of several shades, and with white outlines."""
    shades = np.array((1.0, 0.7, 1.3, 0.85, 1.15))[instance_ids % INSTANCE_FACTOR % 5]
    colours = np.clip(PALETTE[instance_ids // INSTANCE_FACTOR] * shades[..., None], 0, 255)
    single = instance_ids >= INSTANCE_FACTOR
    drawn = np.where(single[..., None], 0.4 * image + 0.6 * colours, image).astype(np.uint8)
    edge = np.zeros(instance_ids.shape, bool)
    edge[1:] |= instance_ids[1:] != instance_ids[:-1]
    edge[:-1] |= instance_ids[1:] != instance_ids[:-1]
    edge[:, 1:] |= instance_ids[:, 1:] != instance_ids[:, :-1]
    edge[:, :-1] |= instance_ids[:, 1:] != instance_ids[:, :-1]
    drawn[edge & single] = 255
    return drawn


def count_frame(frame_set: FrameSet, has_images: bool, has_labels: bool, has_instances: bool, frame: Frame) -> FrameCount:
    """Decodes all files of one frame, so that each is known to be whole and of the right size, and counts.

    Args:
        frame_set: Where the frame is.
        has_images: Whether there must be an image.
        has_labels: Whether there must be labels.
        has_instances: Whether the set has instance ids; a frame without them in such a set is a fault.
        frame: The frame.

    Raises:
        FrameError: See :class:`synth2real.frames.FrameSet`.
    """
    image_hash, pixels, agreement = "", None, (0, 0)
    nothing = np.zeros(0, np.int64)
    measured = _Measured(nothing, nothing, nothing, nothing.astype(bool))
    if has_images:
        image = frame_set.image(frame)
        image_hash = hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()
    if has_labels:
        label_ids = frame_set.label(frame)
        pixels = np.bincount(label_ids.ravel(), minlength=NUM_LABEL_IDS)
        if has_instances:
            instance_ids = frame_set.instances(frame)
            measured = _measured(instance_ids)
            known = (instance_ids >= INSTANCE_FACTOR) & (label_ids != UNLABELED_ID)
            agreement = (int((instance_ids[known] // INSTANCE_FACTOR == label_ids[known]).sum()), int(known.sum()))
    return FrameCount(image_hash, pixels, *measured, agreement)


class _Measured(NamedTuple):
    """Label ids, areas and box heights in pixels of instances, and whether they touch the frame's border."""

    label_ids: Int64[np.ndarray, "instances"]
    areas: Int64[np.ndarray, "instances"]
    heights: Int64[np.ndarray, "instances"]
    truncated: Bool[np.ndarray, "instances"]


def _measured(instance_ids: UInt16[np.ndarray, "height width"]) -> _Measured:
    areas = np.bincount(instance_ids.ravel(), minlength=_MAX_INSTANCE_ID)
    single = INSTANCE_FACTOR + np.flatnonzero(areas[INSTANCE_FACTOR:])
    rows, columns = np.nonzero(instance_ids >= INSTANCE_FACTOR)
    found = instance_ids[rows, columns]
    top, bottom = np.full(len(areas), len(instance_ids)), np.full(len(areas), -1)
    top[found[::-1]] = rows[::-1]  # the last value that is assigned stays; rows ascend
    bottom[found] = rows
    at_border = np.zeros(len(areas), bool)
    for line in (instance_ids[0], instance_ids[-1], instance_ids[:, 0], instance_ids[:, -1]):
        at_border[line] = True
    return _Measured(single // INSTANCE_FACTOR, areas[single], bottom[single] - top[single] + 1, at_border[single])


def summarise(frames: Sequence[Frame], counts: Sequence[FrameCount]) -> dict[str, Any]:
    """The statistics of one set, readable and small.

    Args:
        frames: Its frames.
        counts: What each of them holds, in the same order.

    Returns:
        ``frames``: number by split. ``sizes``: number by ``height x width``. ``equal_images``: frames whose image occurred
        before, in the same split. With labels: ``pixel_share`` of each of the 19 classes and of ``ignored`` among all pixels, and
        ``frame_share``, the share of frames that hold the class. With instance ids: by class the ``count`` of instances, their
        ``median_area`` in pixels, the 10th, 50th and 90th percentile of their boxes' ``height`` in pixels, which falls with their
        distance, the share of ``small`` ones (below 32 x 32 pixels) and of ``truncated`` ones, which touch the frame's border;
        and ``instance_agreement``, the share of their labelled pixels whose label is their class.
    """
    summary: dict[str, Any] = {
        "frames": dict(sorted(Counter(frame.split for frame in frames).items())),
        "sizes": dict(sorted(Counter(f"{frame.height}x{frame.width}" for frame in frames).items())),
    }
    hashes = [count.image_hash for count in counts if count.image_hash]
    if hashes:
        summary["equal_images"] = len(hashes) - len(set(hashes))
    labelled = [count.pixels for count in counts if count.pixels is not None]
    if labelled:
        pixels = np.stack(labelled)
        by_class = {label.name: pixels[:, label.label_id] for label in TRAIN_LABELS}
        by_class["ignored"] = pixels[:, LABEL_ID_TO_TRAIN_ID[:NUM_LABEL_IDS] == IGNORE_INDEX].sum(axis=1)
        total = pixels.sum()
        summary["pixel_share"] = {name: _rounded(values.sum() / total) for name, values in by_class.items()}
        summary["frame_share"] = {name: _rounded((values > 0).mean()) for name, values in by_class.items()}
    label_ids = np.concatenate([count.instance_label_ids for count in counts])
    areas = np.concatenate([count.instance_areas for count in counts])
    heights = np.concatenate([count.instance_heights for count in counts])
    truncated = np.concatenate([count.instance_truncated for count in counts])
    if len(areas):
        summary["instances"] = {}
        for label_id in np.unique(label_ids):
            members = label_ids == label_id
            low, middle, high = np.percentile(heights[members], (10, 50, 90))
            summary["instances"][LABELS[label_id].name] = {
                "count": int(members.sum()),
                "median_area": _rounded(np.median(areas[members])),
                "height": {"p10": _rounded(low), "p50": _rounded(middle), "p90": _rounded(high)},
                "small": _rounded((areas[members] < _SMALL).mean()),
                "truncated": _rounded(truncated[members].mean()),
            }
        agreeing, known = np.array([count.agreement for count in counts]).sum(axis=0)
        summary["instance_agreement"] = _rounded(agreeing / known) if known else None
    return summary


def _rounded(value: float) -> float:
    return float(f"{float(value):.{_DIGITS}g}")


def _require_unique_ids(frame_set: FrameSet) -> None:
    for frame_id, number in Counter(frame.frame_id for frame in frame_set.frames).items():
        if number > 1:
            raise FrameError(
                f"{frame_set.root / FRAMES_FILE}: frame id {frame_id!r} occurs {number} times. Prepare the set again."
            )


def _require_target_images(target: FrameSet, annotations: FrameSet) -> None:
    images = {frame.frame_id: frame for frame in target.frames}
    for frame in annotations.frames:
        image = images.get(frame.frame_id)
        if image != frame:
            found = "no such frame" if image is None else f"{image.height}x{image.width} of split {image.split}"
            raise FrameError(
                f"{annotations.root}: {frame.frame_id} is {frame.height}x{frame.width} of split {frame.split}, "
                f"but {target.root} has {found}. Prepare both in one go (stage prepare@target)."
            )


def _require_disjoint_splits(frame_set: FrameSet, counts: Sequence[FrameCount]) -> dict[str, Frame]:
    seen: dict[str, dict[str, Frame]] = defaultdict(dict)
    for frame, count in zip(frame_set.frames, counts, strict=True):
        if count.image_hash:
            seen[count.image_hash].setdefault(frame.split, frame)
    for by_split in seen.values():
        if len(by_split) > 1:
            first, second = sorted(by_split.values())[:2]
            raise FrameError(
                f"{frame_set.root}: {first.frame_id} of split {first.split} and {second.frame_id} of split {second.split} are "
                "the same image, so a result on one split would be known from the other. Take one of them out of the raw data."
            )
    return {image_hash: next(iter(by_split.values())) for image_hash, by_split in seen.items()}


def _require_unseen(
    target: FrameSet, target_hashes: Mapping[str, Frame], labelled: FrameSet, labelled_hashes: Mapping[str, Frame]
) -> None:
    for image_hash in sorted(target_hashes.keys() & labelled_hashes.keys()):
        first, second = labelled_hashes[image_hash].frame_id, target_hashes[image_hash].frame_id
        raise FrameError(
            f"{labelled.root}: {first} is the same image as {second} of {target.root}, "
            "so target labels would reach training. Source and target must be different data."
        )
