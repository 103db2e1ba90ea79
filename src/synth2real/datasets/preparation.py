"""Turns a raw data set into a frame set: reads, checks, resizes where asked, writes; over processes."""

import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32
from PIL import ExifTags, Image

from synth2real.datasets.camvid import list_camvid
from synth2real.datasets.cityscapes import list_cityscapes
from synth2real.datasets.diversity import describe_layout, farthest_first
from synth2real.datasets.folder import list_folder
from synth2real.datasets.gta import list_gta
from synth2real.datasets.raw import WHOLE_SET, Annotation, RawFrame
from synth2real.datasets.veis import list_veis
from synth2real.datasets.video import VideoSettings, list_videos, read_moments
from synth2real.datasets.viper import list_viper
from synth2real.frames import (
    Frame,
    FrameError,
    map_frames,
    read_encoded,
    read_image,
    resize_image,
    write_bytes,
    write_frames,
    write_image,
    write_instances,
    write_label,
    write_text,
)

LOG_FILE: Final = "prepare.log"
VALIDATION: Final = "val"
SPLIT_SETS: Final = ("viper", "cityscapes", "camvid")
"""Data sets that come with their own splits."""
MAX_SIDE: Final = 8192
CLIP_LENGTH: Final = 32
"""Moments of a video that one process takes at a time."""
_PNG_BIT_DEPTH_AT: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationSettings:
    """Which frames of which raw data set to take, and in which size."""

    dataset: Literal["gta5", "viper", "cityscapes", "camvid", "veis", "video", "folder"]
    root: str
    """The raw data set's folder (video: the file, or a folder of files)."""
    splits: tuple[str, ...]
    """Which of the data set's splits to take. Sets without splits are all ``train``, less ``validation_fraction``."""
    validation_fraction: float
    """Share of the frames, in [0, 1), that becomes ``val`` in sets without splits: the last part of each folder of images."""
    size: tuple[int, int] | None
    """(height, width) in pixels that all frames are resized to; ``None`` keeps each frame's own size."""
    limit: int | None
    """At most so many frames of each split; ``None`` takes all."""
    sampling: Literal["even", "diverse"]
    """Which frames a limit leaves: evenly spaced ones, or those whose label maps differ most
    (:func:`synth2real.datasets.diversity.farthest_first`)."""
    video: VideoSettings | None
    """Which moments to take, where the data set is ``video``; else ``None``."""

    def __post_init__(self) -> None:
        if not self.splits or len(set(self.splits)) != len(self.splits):
            raise ValueError(f"splits must name at least one split, and none twice; found {list(self.splits)}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), found {self.validation_fraction}")
        if self.validation_fraction and self.dataset in SPLIT_SETS:
            raise ValueError(
                f"{self.dataset} has its own splits: validation_fraction must be 0, found {self.validation_fraction}"
            )
        if self.size is not None and not all(1 <= side <= MAX_SIDE for side in self.size):
            raise ValueError(f"size must be [height, width] within 1..{MAX_SIDE}, found {list(self.size)}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1 or null, found {self.limit}")
        if (self.dataset == "video") != (self.video is not None):
            raise ValueError(
                f"video must hold rate, start, stop, duplicates and scenes for dataset video, and be null for {self.dataset}"
            )


class Prepared(NamedTuple):
    """What became of one raw frame."""

    frame: Frame
    has_labels: bool
    has_instances: bool
    dropped_polygons: int


def list_raw(settings: PreparationSettings) -> tuple[RawFrame, ...]:
    """All frames of the chosen raw data set, before ``validation_fraction`` and ``limit``.

    Raises:
        FrameError: If the folder is missing, or its layout is not that of the data set.
    """
    root = Path(settings.root)
    if not root.exists():
        raise FrameError(f"{root}: no such folder, expected the raw data set {settings.dataset}. Check `root` in params.yaml.")
    match settings.dataset:
        case "gta5":
            return list_gta(root)
        case "cityscapes":
            return list_cityscapes(root, settings.splits)
        case "veis":
            return list_veis(root)
        case "folder":
            return list_folder(root)
        case "viper":
            return list_viper(root, settings.splits)
        case "camvid":
            return list_camvid(root, settings.splits)
        case "video":
            assert settings.video is not None
            return list_videos(root, settings.video)


def choose(raw_frames: Sequence[RawFrame], settings: PreparationSettings, workers: int) -> tuple[RawFrame, ...]:
    """The frames that the settings take, sorted by id, each with its final split; excluded ones are left out.

    Nothing is decoded, but for the label maps of all frames where the settings take the most diverse ones.

    In a set without splits, ``val`` is the last part of each folder of images, at least one frame where there are two: frames
    follow one another in time or in scene, and a random part would show the same scenes to training too.

    Raises:
        FrameError: If a split has no frame, or two frames have one id, or diverse ones are wanted of frames without labels.
    """
    chosen: list[RawFrame] = []
    own_splits = settings.dataset in SPLIT_SETS
    frames = [frame for frame in raw_frames if not frame.excluded]
    if not own_splits and settings.validation_fraction:
        frames = _with_validation_part(frames, settings.validation_fraction)
    for split in settings.splits:
        members = sorted((frame for frame in frames if frame.split == split), key=lambda frame: frame.frame_id)
        if not members:
            remedy = (
                "it has its own splits" if own_splits else f"its frames are {WHOLE_SET}, and {VALIDATION} by validation_fraction"
            )
            raise FrameError(f"{settings.root}: no frame of split {split!r} in {settings.dataset}; {remedy}. Change `splits`.")
        if settings.limit is None or settings.limit >= len(members):
            chosen += members
        elif settings.sampling == "even":
            chosen += (members[index * len(members) // settings.limit] for index in range(settings.limit))
        else:
            _require_annotations(members)
            layouts = map_frames(_layout, members, workers=workers, description="read label maps")
            chosen += (members[index] for index in farthest_first(np.stack(list(layouts)), settings.limit))
    chosen.sort(key=lambda frame: frame.frame_id)
    for first, second in pairwise(chosen):
        if first.frame_id == second.frame_id:
            raise FrameError(f"{first.image} and {second.image} both give frame id {first.frame_id!r}. Rename one of the two.")
    return tuple(chosen)


def _layout(raw: RawFrame) -> Float32[np.ndarray, " features"]:
    assert raw.annotation is not None
    return describe_layout(raw.annotation().label_ids if raw.label_ids is None else raw.label_ids())


def _with_validation_part(frames: Sequence[RawFrame], fraction: float) -> list[RawFrame]:
    folders = defaultdict(list)
    for frame in sorted(frames, key=lambda frame: frame.frame_id):
        folders[frame.image.parent].append(frame)
    chosen: list[RawFrame] = []
    for members in folders.values():
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        start = len(members) - count
        chosen += members[:start] + [frame._replace(split=VALIDATION) for frame in members[start:]]
    return chosen


def prepare(
    settings: PreparationSettings,
    out: Path,
    annotations_out: Path | None,
    *,
    needs: Literal["images", "labels", "instances"],
    workers: int,
) -> None:
    """Writes a frame set, ``frames.csv`` last, with a log of what was taken and left out beside it.

    Args:
        settings: What to take.
        out: The frame set; it must not exist yet, or be empty.
        annotations_out: If given, labels and instances go there, as a frame set without images that lists the labelled frames
            alone, at least one.
        needs: What ``out`` holds, and thus each frame must have. With ``images`` no label is even decoded, but for
            ``annotations_out``.
        workers: Processes.

    Raises:
        FrameError: At the first fault; it names file, expectation, finding and remedy, and leaves ``out`` without ``frames.csv``.
    """
    for folder in (out, annotations_out):
        if folder is not None and folder.exists() and any(folder.iterdir()):
            raise FrameError(f"{folder}: expected an empty or absent folder, found files. Delete it, or choose another.")
    if needs == "images" and settings.sampling != "even":
        raise FrameError(
            f"{settings.root}: sampling is {settings.sampling}, which looks at labels; of these frames only the images may be "
            "used. Set `sampling` to even."
        )
    raw_frames = list_raw(settings)
    chosen = choose(raw_frames, settings, workers)
    if needs != "images":
        _require_annotations(chosen)
    elif annotations_out is None:
        chosen = tuple(raw._replace(annotation=None) for raw in chosen)
    elif all(raw.annotation is None for raw in chosen):
        raise FrameError(f"{settings.root}: no frame of {', '.join(settings.splits)} has labels, so no result could be measured.")
    description = f"prepare {settings.dataset}"
    if settings.dataset == "video":
        write_clip = partial(prepare_clip, images_root=out, size=settings.size)
        clips = map_frames(write_clip, cut_clips(chosen), workers=workers, description=description)
        prepared = tuple(chain.from_iterable(clips))
    else:
        write_frame = partial(prepare_frame, images_root=out, annotations_root=annotations_out or out, size=settings.size)
        prepared = tuple(map_frames(write_frame, chosen, workers=workers, description=description))
    _require_instances(prepared, settings, needed=needs == "instances")
    log = describe(raw_frames, prepared, settings)
    print(log, end="")
    write_text(out / LOG_FILE, log)
    if annotations_out is not None:
        write_frames(annotations_out, (item.frame for item in prepared if item.has_labels))
    write_frames(out, (item.frame for item in prepared))


def _require_annotations(chosen: Sequence[RawFrame]) -> None:
    bare = [raw for raw in chosen if raw.annotation is None]
    if bare:
        raise FrameError(
            f"{bare[0].image}: has no labels ({len(bare)} of {len(chosen)} frames), which training needs. "
            "Take labelled splits only (`splits` in params.yaml)."
        )


def _require_instances(prepared: Sequence[Prepared], settings: PreparationSettings, *, needed: bool) -> None:
    labelled = [item for item in prepared if item.has_labels]
    bare = [item.frame.frame_id for item in labelled if not item.has_instances]
    if bare and (needed or len(bare) < len(labelled)):
        reason = "which the detector needs" if needed else "though the others do"
        raise FrameError(
            f"{settings.root}: frame {bare[0]} of {settings.dataset} has no instance ids ({len(bare)} of {len(labelled)} "
            f"labelled frames have none), {reason}. Complete the raw data, or take another data set."
        )


def describe(raw_frames: Sequence[RawFrame], prepared: Sequence[Prepared], settings: PreparationSettings) -> str:
    """The log: counts by split, excluded frames with their reason, dropped polygons."""
    excluded = sorted((raw for raw in raw_frames if raw.excluded), key=lambda raw: raw.frame_id)
    splits = Counter(item.frame.split for item in prepared)
    lines = [
        f"{settings.dataset}: {len(raw_frames)} frames in the raw data, {len(excluded)} excluded, {len(prepared)} taken "
        f"({', '.join(f'{split} {count}' for split, count in sorted(splits.items()))})",
        f"with labels: {sum(item.has_labels for item in prepared)}, "
        f"with instances: {sum(item.has_instances for item in prepared)}",
        *(f"excluded {raw.frame_id}: {raw.excluded}" for raw in excluded),
    ]
    if dropped := sum(item.dropped_polygons for item in prepared):
        lines.append(f"dropped {dropped} objects that cover no pixel of their image")
    return "\n".join(lines) + "\n"


def prepare_frame(raw: RawFrame, images_root: Path, annotations_root: Path, size: tuple[int, int] | None) -> Prepared:
    """Writes image, labels and instances of one frame.

    Args:
        raw: The frame.
        images_root: The image goes to ``images/`` below.
        annotations_root: Labels and instances go to ``labels/`` and ``instances/`` below.
        size: (height, width) to resize to, or ``None``.

    Raises:
        FrameError: If a file is faulty, or image and annotation differ in size.
    """
    height, width = write_prepared_image(raw.image, images_root / "images" / raw.frame_id, size)
    annotation = None if raw.annotation is None else raw.annotation()
    frame = Frame(raw.frame_id, raw.split, *(size or (height, width)))
    if annotation is None:
        return Prepared(frame, False, False, 0)
    if annotation.label_ids.shape != (height, width):
        raise FrameError(
            f"{raw.image}: {height}x{width} (height x width), but its annotation has "
            f"{annotation.label_ids.shape[0]}x{annotation.label_ids.shape[1]}. Download both again."
        )
    annotation = resize_annotation(annotation, (frame.height, frame.width))
    write_label(annotations_root / "labels" / f"{raw.frame_id}.png", annotation.label_ids)
    if annotation.instance_ids is not None:
        write_instances(annotations_root / "instances" / f"{raw.frame_id}.png", annotation.instance_ids)
    return Prepared(frame, True, annotation.instance_ids is not None, annotation.dropped_polygons)


def cut_clips(chosen: Sequence[RawFrame]) -> list[tuple[RawFrame, ...]]:
    """Groups the moments of each video into short runs in ascending order: a process decodes one run in one go."""
    clips: list[tuple[RawFrame, ...]] = []
    for _, frames in groupby(sorted(chosen, key=lambda raw: (raw.image, raw.moment)), key=lambda raw: raw.image):
        moments = list(frames)
        clips.extend(tuple(moments[first : first + CLIP_LENGTH]) for first in range(0, len(moments), CLIP_LENGTH))
    return clips


def prepare_clip(clip: Sequence[RawFrame], images_root: Path, size: tuple[int, int] | None) -> tuple[Prepared, ...]:
    """Writes the moments of one run of one video as PNG.

    Args:
        clip: The moments, ascending.
        images_root: The images go to ``images/`` below.
        size: (height, width) to resize to, or ``None``.

    Raises:
        FrameError: If the video is damaged or truncated.
    """
    prepared = []
    for raw, picture in zip(clip, read_moments(clip[0].image, [raw.moment for raw in clip]), strict=True):
        pixels = picture if size is None else resize_image(picture, size)
        write_image(images_root / "images" / f"{raw.frame_id}.png", pixels)
        prepared.append(Prepared(Frame(raw.frame_id, raw.split, pixels.shape[0], pixels.shape[1]), False, False, 0))
    return tuple(prepared)


def write_prepared_image(path: Path, bare_out: Path, size: tuple[int, int] | None) -> tuple[int, int]:
    """Writes one image and gives the (height, width) that it had.

    A file of the wanted size that is what a frame set holds (RGB of 8 bits, upright, not animated) is copied byte by byte; all
    else is decoded, resized where asked, and written as PNG.

    Args:
        path: The raw image.
        bare_out: Where to, without suffix.
        size: (height, width) to resize to, or ``None``.

    Raises:
        FrameError: If the file is missing, truncated or damaged.
    """
    content = read_encoded(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            found, is_png = (image.height, image.width), image.format == "PNG"
            plain = image.mode == "RGB" and image.format in ("PNG", "JPEG")
            if is_png:
                plain = (
                    plain
                    and content[_PNG_BIT_DEPTH_AT] == 8
                    and "exif" not in image.info
                    and not getattr(image, "is_animated", False)
                )
                image.verify()
            else:
                plain = plain and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    except (OSError, SyntaxError, ValueError) as error:
        raise FrameError(f"{path}: the file is damaged ({error}). Download or write it again.") from None
    if plain and size in (None, found):
        write_bytes(bare_out.with_name(bare_out.name + (".png" if is_png else ".jpg")), content)
        return found
    pixels = read_image(path)
    found = (pixels.shape[0], pixels.shape[1])
    write_image(bare_out.with_name(bare_out.name + ".png"), resize_image(pixels, size or found))
    return found


def resize_annotation(annotation: Annotation, size: tuple[int, int]) -> Annotation:
    """Takes the nearest pixel, the same one in labels and instances, so that both stay in step."""
    if annotation.label_ids.shape == size:
        return annotation
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.intp) for new, old in zip(size, annotation.label_ids.shape, strict=True)
    )
    nearest = np.ix_(rows, columns)
    instance_ids = annotation.instance_ids
    return annotation._replace(
        label_ids=np.ascontiguousarray(annotation.label_ids[nearest]),
        instance_ids=None if instance_ids is None else np.ascontiguousarray(instance_ids[nearest]),
    )
