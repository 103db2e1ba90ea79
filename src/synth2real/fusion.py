"""Fusion of a semantic prediction with detected instances: objects by shape, everything else by texture.

Saleh et al., "Effective Use of Synthetic Data for Urban Scene Semantic Segmentation", ECCV 2018, section 3 (prediction on real
images): the instances are pasted one after the other by descending score; where one overlaps an earlier one, the earlier keeps
its pixels; what no instance covers (the *holes*) is filled by the semantic network. The paper applies no threshold on the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt16

from synth2real.detections import Detection, decode_mask, detections_path, read_detections
from synth2real.frames import Frame, FrameError, FrameSet, map_frames, read_frames, write_frames, write_instances, write_label
from synth2real.label_space import INSTANCE_FACTOR, VEIS_LABELS


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionSettings:
    """The section ``fusion`` of params.yaml."""

    score_threshold: float
    """Instances with a lower score are not pasted; 0 pastes all, as in the paper."""

    def __post_init__(self) -> None:
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f"score_threshold must be in [0, 1], found {self.score_threshold}")


class Fused(NamedTuple):
    """A fused prediction."""

    label_ids: UInt8[np.ndarray, "height width"]
    """Class of each pixel."""
    instance_ids: UInt16[np.ndarray, "height width"]
    """``label_id * 1000 + n`` where the n-th instance of a class was pasted (by descending score, from 0); ``label_id`` in the
    holes, whatever the class there."""


def fuse(semantic: UInt8[np.ndarray, "height width"], detections: Sequence[Detection], settings: FusionSettings) -> Fused:
    """Pastes the instances over the semantic prediction by descending score, without overlap.

    Args:
        semantic: Label ids predicted for each pixel.
        detections: Instances of the same frame, in any order; of equal scores the earlier wins. None leaves ``semantic`` as is.
        settings: What to paste.

    Raises:
        ValueError: If a mask is of another size than ``semantic``, is damaged, or a class has more than 1000 instances.
    """
    pasted = [item for item in detections if item.score >= settings.score_threshold]
    pasted.sort(key=lambda item: -item.score)
    numbers = dict.fromkeys(range(1, len(VEIS_LABELS) + 1), 0)
    instance_ids = np.asfortranarray(semantic.astype(np.uint16))
    identifiers = []
    for item in pasted:
        if item.size != semantic.shape:
            raise ValueError(
                f"the masks are {item.size[0]}x{item.size[1]} (height x width), the semantic prediction is "
                f"{semantic.shape[0]}x{semantic.shape[1]}; both must be at the target's own resolution"
            )
        if numbers[item.category_id] == INSTANCE_FACTOR:
            raise ValueError(f"more than {INSTANCE_FACTOR} instances of {VEIS_LABELS[item.category_id - 1].name}")
        identifiers.append(VEIS_LABELS[item.category_id - 1].label_id * INSTANCE_FACTOR + numbers[item.category_id])
        numbers[item.category_id] += 1
    # Painted from the lowest score to the highest: each pixel ends with the highest-scored instance that covers it.
    for item, identifier in zip(reversed(pasted), reversed(identifiers), strict=True):
        np.copyto(instance_ids, np.uint16(identifier), where=decode_mask(item))
    instance_ids = np.ascontiguousarray(instance_ids)
    is_hole = instance_ids < INSTANCE_FACTOR
    return Fused(np.where(is_hole, instance_ids, instance_ids // INSTANCE_FACTOR).astype(np.uint8), instance_ids)


def fuse_frames(semantics: Path, instances: Path, out: Path, settings: FusionSettings, *, workers: int) -> None:
    """Fuses every frame of a semantic prediction with its detections.

    Args:
        semantics: Frame set with ``labels/``.
        instances: Frame set with ``detections/``; it may hold more frames than ``semantics``.
        out: Where the frame set with ``labels/`` and ``instances/`` (see :class:`Fused`) is written.
        settings: What to paste.
        workers: Processes.

    Raises:
        FrameError: If a frame has no detections, or a file is damaged or of another size than its counterpart.
    """
    predictions = read_frames(semantics)
    detected = {frame.frame_id: frame for frame in read_frames(instances).frames}
    missing = [frame.frame_id for frame in predictions.frames if frame.frame_id not in detected]
    if missing:
        raise FrameError(
            f"{instances}: no detections for {len(missing)} of the {len(predictions)} frames of {semantics}, such as "
            f"{missing[0]!r}. Predict instances on the same frames."
        )
    for frame in predictions.frames:
        other = detected[frame.frame_id]
        if (other.height, other.width) != (frame.height, frame.width):
            raise FrameError(
                f"{detections_path(instances, frame.frame_id)} is of a frame of {other.height}x{other.width} (height x width), "
                f"{predictions.label_path(frame)} of {frame.height}x{frame.width}. Predict both on the same frames."
            )
    work = partial(_fuse_frame, predictions=predictions, instances=instances, out=out, settings=settings)
    for _ in map_frames(work, predictions.frames, workers=workers, description="Fusing"):
        pass
    write_frames(out, predictions.frames)


def _fuse_frame(frame: Frame, predictions: FrameSet, instances: Path, out: Path, settings: FusionSettings) -> None:
    path = detections_path(instances, frame.frame_id)
    semantic, detections = predictions.label(frame), read_detections(path)
    try:
        fused = fuse(semantic, detections, settings)
    except ValueError as error:
        raise FrameError(f"{path}: {error} (with {predictions.label_path(frame)}). Predict again.") from None
    result = FrameSet(out, (frame,))
    write_label(result.label_path(frame), fused.label_ids)
    write_instances(result.instances_path(frame), fused.instance_ids)
