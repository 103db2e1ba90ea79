"""Renders whole worlds to disk, in the raw layouts of the real data sets that they stand for.

::

    gta         images/00001.png, labels/00001.png               GTA5 (Richter et al., ECCV 2016): palette index = label id
    cityscapes  leftImg8bit/<split>/<city>/*_leftImg8bit.png     Cityscapes (Cordts et al., CVPR 2016)
                gtFine/<split>/<city>/*_gtFine_{labelIds,instanceIds}.png
    veis        images/{multi,single}_class/00001.png            VEIS (Saleh et al., ECCV 2018)
                annotations.json                                 COCO polygons of ten classes
                pixel_labels/{multi,single}_class/00001_trainIds.png   train ids, for some frames
    viper       <split>/{img,cls,inst}/001/001_00001.png         VIPER (Richter et al., ICCV 2017): a game with instances

VIPER has no rider, pole and wall: who rides is written as a person, with a number of his own, and poles and walls, like all else
that VIPER has no class for, are infrastructure. The things of Cityscapes are numbered from 1 in each frame.

One job is one street (or stage): it is built once and looked at from many cameras. Jobs are independent, and each draws from a
seed sequence of its own, so the bytes depend on the settings alone, not on how many processes share the work. A world is written
beside its place and renamed when whole; whoever is killed leaves nothing that could be taken for a data set.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from synth2real.frames import map_frames, write_bytes, write_png, write_text
from synth2real.label_space import (
    INSTANCE_FACTOR,
    LABEL_BY_NAME,
    LABEL_ID_TO_TRAIN_ID,
    LABELS,
    PALETTE,
    VEIS_LABELS,
    VIPER_CLASSES,
    lookup_table,
)
from synth2real.worlds import looks
from synth2real.worlds.rendering import Rendering, renderer
from synth2real.worlds.streets import Street, street
from synth2real.worlds.studios import StageSettings, studio

WorldName = Literal["gta", "cityscapes", "veis", "viper"]

_EGO_VEHICLE: Final = LABEL_BY_NAME["ego vehicle"].label_id
_HOODS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GtaSettings:
    """Size of the ``gta`` world.

    Attributes:
        streets: how many streets, at least 1.
        views: frames of each street, at least 1.
        times_of_day: how often a street is seen by day, at dusk and by night; they sum to 1.
        european: share of the streets that are laid out as in European cities, in [0, 1]; the others are American.
    """

    streets: int
    views: int
    times_of_day: dict[looks.TimeOfDay, float]
    european: float

    def __post_init__(self) -> None:
        _require_positive(streets=self.streets, views=self.views)
        _require_times(self.times_of_day)
        if not 0.0 <= self.european <= 1.0:
            raise ValueError(f"european must be a share in [0, 1], got {self.european}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CityscapesSettings:
    """Size of the ``cityscapes`` world.

    Attributes:
        train_streets: streets of split train, at least 1.
        val_streets: streets of split val, at least 1; none is in both.
        views: frames of each street, at least 1.
    """

    train_streets: int
    val_streets: int
    views: int

    def __post_init__(self) -> None:
        _require_positive(train_streets=self.train_streets, val_streets=self.val_streets, views=self.views)


@dataclass(frozen=True, slots=True, kw_only=True)
class VeisSettings(StageSettings):
    """Size of the ``veis`` world, and the statistics of its objects.

    Attributes:
        multi_class: stages with all ten classes, at least 1.
        single_class: stages with one class each, taking the classes in turn; 0 or more.
        views: frames of each stage, at least 1.
        pixel_labels_every: every how many frames of a stage pixel labels are written, at least 1.
    """

    multi_class: int
    single_class: int
    views: int
    pixel_labels_every: int

    def __post_init__(self) -> None:
        StageSettings.__post_init__(self)
        _require_positive(multi_class=self.multi_class, views=self.views, pixel_labels_every=self.pixel_labels_every)
        if self.single_class < 0:
            raise ValueError(f"single_class must be 0 or more, got {self.single_class}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViperSettings:
    """Size of the ``viper`` world.

    Attributes:
        train_streets: sequences of split train, at least 1.
        val_streets: sequences of split val, at least 1; no street is in both.
        views: frames of each street, at least 1.
        times_of_day: as of ``gta``.
    """

    train_streets: int
    val_streets: int
    views: int
    times_of_day: dict[looks.TimeOfDay, float]

    def __post_init__(self) -> None:
        _require_positive(train_streets=self.train_streets, val_streets=self.val_streets, views=self.views)
        _require_times(self.times_of_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSettings:
    """What decides the bytes of the worlds.

    Attributes:
        seed: of all worlds, 0 or more.
        height: of the frames, pixels, at least 32.
        width: of the frames, pixels, at least 32.
        supersampling: images are rendered this many times as high and wide, then averaged; 1 to 4.
        gta: size of that world.
        cityscapes: size of that world.
        veis: size of that world.
        viper: size of that world.
    """

    seed: int
    height: int
    width: int
    supersampling: int
    gta: GtaSettings
    cityscapes: CityscapesSettings
    veis: VeisSettings
    viper: ViperSettings

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if min(self.height, self.width) < 32:
            raise ValueError(f"height and width must be at least 32, got {self.height} and {self.width}")
        if not 1 <= self.supersampling <= 4:
            raise ValueError(f"supersampling must be 1 to 4, got {self.supersampling}")


def _require_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _require_times(shares: dict[looks.TimeOfDay, float]) -> None:
    times = get_args(looks.TimeOfDay)
    if set(shares) != set(times) or min(shares.values()) < 0.0 or abs(sum(shares.values()) - 1.0) > 1e-6:
        raise ValueError(f"times_of_day must give {', '.join(times)} probabilities that sum to 1, got {shares}")


class _Job(NamedTuple):
    """One street or stage: ``group`` is its split, or multi_class / single_class; ``first`` numbers its first frame, from 1."""

    world: WorldName
    group: str
    place: int
    first: int
    views: int


def render_world(world: WorldName, out: Path, settings: WorldSettings, *, workers: int) -> None:
    """Renders a world; ``out`` is replaced when all is written.

    Args:
        world: which.
        out: folder of the data set.
        settings: what to render.
        workers: processes; 0 or 1 renders in this one. They do not change the bytes.
    """
    partial_out = out.with_name(f".{out.name}.partial")
    old = out.with_name(f".{out.name}.old")
    for left_over in (partial_out, old):
        shutil.rmtree(left_over, ignore_errors=True)
    partial_out.mkdir(parents=True)
    jobs = _jobs(world, settings)
    render_one = partial(_render_job, root=partial_out, settings=settings)
    objects = list(map_frames(render_one, jobs, workers=workers, description=f"render {world}"))
    if world == "veis":
        _write_coco(partial_out, objects, settings)
    if out.exists():
        out.replace(old)  # a half-deleted world must not keep its name either
    partial_out.replace(out)
    shutil.rmtree(old, ignore_errors=True)


def _jobs(world: WorldName, settings: WorldSettings) -> list[_Job]:
    if world == "gta":
        groups = [("train", settings.gta.streets)]
        views = settings.gta.views
    elif world == "cityscapes":
        groups = [("train", settings.cityscapes.train_streets), ("val", settings.cityscapes.val_streets)]
        views = settings.cityscapes.views
    elif world == "viper":
        groups = [("train", settings.viper.train_streets), ("val", settings.viper.val_streets)]
        views = settings.viper.views
    else:
        groups = [("multi_class", settings.veis.multi_class), ("single_class", settings.veis.single_class)]
        views = settings.veis.views
    return [_Job(world, group, index, 1 + index * views, views) for group, count in groups for index in range(count)]


def _render_job(job: _Job, root: Path, settings: WorldSettings) -> list["_Frame"]:
    """Builds, renders and writes one street; gives the frames' objects."""
    code = int.from_bytes(f"{job.world}/{job.group}".encode())
    rng = np.random.default_rng(np.random.SeedSequence((settings.seed, code, job.place)))
    look, place = _place(job, rng, settings)
    engine = renderer(settings.height, settings.width, settings.supersampling)
    engine.load(place.scene, place.views)
    frames = []
    for number, view in enumerate(place.views):
        rendering = engine.render(view)
        if place.headlights:
            rendering = rendering._replace(image=looks.headlit(rendering.image, view, float(place.scene.relief.slope(view.y))))
        if look == "camera":
            rendering = _with_hood(rendering, job.place % _HOODS)
        rendering = rendering._replace(image=looks.finish(rng, look, rendering.image, place.exposure))
        frames.append(_WRITERS[job.world](root, job, number, rendering, settings))
    return frames


def _place(job: _Job, rng: np.random.Generator, settings: WorldSettings) -> tuple[looks.LookName, Street]:
    if job.world in ("gta", "viper"):
        times = get_args(looks.TimeOfDay)
        gta, viper = settings.gta, settings.viper
        of_day, european = (gta.times_of_day, gta.european) if job.world == "gta" else (viper.times_of_day, 0.0)
        time = times[int(rng.choice(len(times), p=[of_day[time] for time in times]))]
        is_european = int((job.place + 1) * european) > int(job.place * european)  # evenly spread over the streets
        return "game", street(rng, "game", job.views, time, "european" if is_european else "american")
    if job.world == "cityscapes":
        return "camera", street(rng, "camera", job.views)
    class_name = VEIS_LABELS[job.place % len(VEIS_LABELS)].name if job.group == "single_class" else None
    return "studio", studio(rng, job.views, settings.veis, class_name)


def _with_hood(rendering: Rendering, variant: int) -> Rendering:
    mask, colours = looks.hood(*rendering.label_ids.shape, variant)
    image, label_ids, instance_ids = rendering.image.copy(), rendering.label_ids.copy(), rendering.instance_ids.copy()
    covered = slice(-len(mask), None)
    share = mask[..., None] / np.float32(255.0)
    image[covered] = image[covered] * (1.0 - share) + 255.0 * colours * share
    for ids in (label_ids, instance_ids):
        ids[covered][mask > 127] = _EGO_VEHICLE
    return rendering._replace(image=image, label_ids=label_ids, instance_ids=instance_ids)


# --- Layouts -------------------------------------------------------------------------------------------------------------


class _Frame(NamedTuple):
    """What COCO's index tells of a frame: its file and the (category, polygons, area, box) of its objects."""

    file_name: str
    objects: list[tuple[int, list[list[int]], int, list[int]]]


def _write_image(path: Path, image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Writes a PNG whose pixels are stored as they are: compression halves it at best, but costs a tenth of the rendering."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _STORED)
    write_bytes(path, encoded.tobytes())


_STORED: Final = (cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)


def _write_gta(root: Path, job: _Job, number: int, rendering: Rendering, settings: WorldSettings) -> _Frame:
    name = f"{job.first + number:05d}.png"
    _write_image(root / "images" / name, rendering.image)
    picture = Image.fromarray(rendering.label_ids)
    picture.putpalette(_GTA_PALETTE)
    path = root / "labels" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, compress_level=1)
    return _Frame(name, [])


_GTA_PALETTE: Final = np.concatenate((PALETTE[:34], PALETTE[26:27], PALETTE[35:])).tobytes()


def _write_cityscapes(root: Path, job: _Job, number: int, rendering: Rendering, settings: WorldSettings) -> _Frame:
    city = f"{job.group}stadt"
    name = f"{city}_{job.place:06d}_{number:06d}"
    _write_image(root / "leftImg8bit" / job.group / city / f"{name}_leftImg8bit.png", rendering.image)
    annotation = root / "gtFine" / job.group / city
    write_png(annotation / f"{name}_gtFine_labelIds.png", rendering.label_ids)
    write_png(annotation / f"{name}_gtFine_instanceIds.png", rendering.instance_ids)
    return _Frame(name, [])


def _write_veis(root: Path, job: _Job, number: int, rendering: Rendering, settings: WorldSettings) -> _Frame:
    name = f"{job.group}/{job.first + number:05d}"
    _write_image(root / "images" / f"{name}.png", rendering.image)
    if number % settings.veis.pixel_labels_every == 0:
        train_ids = LABEL_ID_TO_TRAIN_ID[rendering.label_ids]
        write_png(root / "pixel_labels" / f"{name}_trainIds.png", train_ids)
    objects = []
    foreground = rendering.foreground_ids
    for value in np.flatnonzero(np.bincount(foreground.ravel())[1:]) + 1:
        mask = (foreground == value).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        cut = mask[top : top + height, left : left + width]
        category = _CATEGORIES[int(value) // INSTANCE_FACTOR]
        objects.append((category, outlines(cut, left, top), cv2.countNonZero(cut), [left, top, width, height]))
    return _Frame(f"{name}.png", objects)


def _write_viper(root: Path, job: _Job, number: int, rendering: Rendering, settings: WorldSettings) -> _Frame:
    name = f"{job.place + 1:03d}/{job.place + 1:03d}_{number + 1:05d}.png"
    _write_image(root / job.group / "img" / name, rendering.image)
    classes = _VIPER_CLASSES[rendering.label_ids]
    write_png(root / job.group / "cls" / name, classes)
    present = np.flatnonzero(np.bincount(rendering.instance_ids.ravel()))
    numbers = np.zeros(present[-1] + 1, np.uint16)
    things = present[present >= INSTANCE_FACTOR]
    numbers[things] = np.arange(1, len(things) + 1)
    numbered = numbers[rendering.instance_ids]
    encoded = cv2.merge((classes, (numbered >> 8).astype(np.uint8), numbered.astype(np.uint8)))
    write_png(root / job.group / "inst" / name, np.asarray(encoded))
    return _Frame(name, [])


_VIPER_IDS: Final = {item.name: item.viper_id for item in VIPER_CLASSES}
_VIPER_NAMES: Final = {"rider": "person", "rail track": "railtrack"}
_VIPER_CLASSES: Final = lookup_table(
    {label.label_id: _VIPER_IDS.get(_VIPER_NAMES.get(label.name, label.name), _VIPER_IDS["infrastructure"]) for label in LABELS},
    _VIPER_IDS["unlabeled"],
)
"""VIPER's class of each label id."""
_CATEGORIES: Final = {label.label_id: index for index, label in enumerate(VEIS_LABELS, 1)}
_WRITERS: Final = {"gta": _write_gta, "cityscapes": _write_cityscapes, "veis": _write_veis, "viper": _write_viper}


def outlines(mask: UInt8[np.ndarray, "h w"], left: int, top: int) -> list[list[int]]:
    """COCO polygons of a mask, one for each connected part, exactly along the pixels' outer edges; holes are filled.

    Args:
        mask: the object, above 0, cut out of its frame; not empty.
        left: column of the mask's first pixel in the frame.
        top: row of the mask's first pixel in the frame.

    Returns:
        Lists x1, y1, x2, y2, ... in pixels, the first pixel's outer corner being (0, 0).
    """
    doubled = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corner = np.array((left, top))  # the halves of pixel i have the numbers 2i and 2i + 1; its edges lie at i and i + 1
    return [((contour[:, 0] + 1) // 2 + corner).ravel().tolist() for contour in contours]


def _write_coco(root: Path, jobs: Sequence[list[_Frame]], settings: WorldSettings) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for frame in (frame for frames in jobs for frame in frames):
        images.append({"id": len(images) + 1, "file_name": frame.file_name, "height": settings.height, "width": settings.width})
        for category, polygons, area, box in frame.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": category,
                    "segmentation": polygons,
                    "area": area,
                    "bbox": box,
                    "iscrowd": 0,
                }
            )
    categories = [
        {"id": index, "name": label.name, "supercategory": label.category} for index, label in enumerate(VEIS_LABELS, 1)
    ]
    write_text(root / "annotations.json", json.dumps({"images": images, "annotations": annotations, "categories": categories}))
