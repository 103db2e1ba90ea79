"""Masks of what is in every frame of a target: the hood of the recording car, and the border that rectification leaves.

A synthesizer that learnt from such frames expects these regions; label maps of a game lack them. Overlaid on its maps, they show
the network what it knows.
"""

from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from rich.progress import track

from synth2real.frames import FrameError, FrameSet
from synth2real.label_space import LABEL_BY_NAME

HoodVariant = Literal["bonnet", "frame", "bottom", "bonnet+frame", "bonnet+bottom", "frame+bottom", "bonnet+frame+bottom"]
"""``bonnet``: the ego vehicle. ``frame``: rectification border and what is out of the region of interest. ``bottom``: the lowest
rows, straight across, that these three ids mostly fill. With ``+``: the union, in which the former wins."""

EGO_VEHICLE: Final = LABEL_BY_NAME["ego vehicle"].label_id
RECTIFICATION_BORDER: Final = LABEL_BY_NAME["rectification border"].label_id
OUT_OF_ROI: Final = LABEL_BY_NAME["out of roi"].label_id
_MOST: Final = 0.5
"""A pixel is in a mask that has it on more than this share of the frames; a row is by this share of its pixels."""


class Hood(NamedTuple):
    """How often each pixel of a target has each of the three ids."""

    shares: dict[int, np.ndarray]
    """By label id: the share of the frames, for each pixel."""

    def mask(self, variant: HoodVariant) -> UInt8[np.ndarray, "height width"]:
        """The label ids to overlay; 0 where the frame is left as it is."""
        masks = {"bonnet": self._bonnet(), "frame": self._frame(), "bottom": self._bottom()}
        union = np.zeros_like(masks["bonnet"])
        for name in variant.split("+"):
            union = np.where(union > 0, union, masks[name])
        return union

    def _bonnet(self) -> UInt8[np.ndarray, "height width"]:
        return np.where(self.shares[EGO_VEHICLE] > _MOST, EGO_VEHICLE, 0).astype(np.uint8)

    def _frame(self) -> UInt8[np.ndarray, "height width"]:
        border, outside = self.shares[RECTIFICATION_BORDER], self.shares[OUT_OF_ROI]
        ids = np.where(border >= outside, RECTIFICATION_BORDER, OUT_OF_ROI)
        return np.where(border + outside > _MOST, ids, 0).astype(np.uint8)

    def _bottom(self) -> UInt8[np.ndarray, "height width"]:
        filled = self._anything().mean(axis=1) > _MOST
        rows = np.logical_and.accumulate(filled[::-1])[::-1]
        return np.repeat(np.where(rows, EGO_VEHICLE, 0).astype(np.uint8)[:, None], self.shares[EGO_VEHICLE].shape[1], axis=1)

    def _anything(self) -> Bool[np.ndarray, "height width"]:
        anything: np.ndarray = np.sum(list(self.shares.values()), axis=0) > _MOST
        return anything


def measure_hood(annotations: FrameSet) -> Hood:
    """Counts the ids 1 to 3 over the annotated frames of a target.

    Args:
        annotations: Frames of one size, with label maps.

    Raises:
        FrameError: If frames differ in size, or none has any of the three ids.
    """
    sizes = {(frame.height, frame.width) for frame in annotations.frames}
    if len(sizes) > 1:
        raise FrameError(f"{annotations.root}: expected frames of one size, to measure the hood from, found {sorted(sizes)}.")
    shares = {label_id: np.zeros(next(iter(sizes))) for label_id in (EGO_VEHICLE, RECTIFICATION_BORDER, OUT_OF_ROI)}
    for frame in track(annotations.frames, "measure the hood"):
        label_ids = annotations.label(frame)
        for label_id, share in shares.items():
            share += label_ids == label_id
    if not any(share.any() for share in shares.values()):
        raise FrameError(
            f"{annotations.root / 'labels'}: no pixel of ego vehicle, rectification border or out of roi (ids 1 to 3), so there "
            "is no hood to measure. Give annotations that have them, or set synthesize.hood to null."
        )
    return Hood({label_id: share / len(annotations) for label_id, share in shares.items()})


def overlay(
    mask: UInt8[np.ndarray, "_ _"],
    label_ids: UInt8[np.ndarray, "height width"],
    instance_ids: UInt16[np.ndarray, "height width"],
) -> tuple[UInt8[np.ndarray, "height width"], UInt16[np.ndarray, "height width"]]:
    """Label and instance map with the mask's ids where it has some; the rest stays.

    Args:
        mask: See :meth:`Hood.mask`; it is stretched to the maps' size.
        label_ids: Cityscapes' ids.
        instance_ids: Cityscapes instance ids.
    """
    if mask.shape != label_ids.shape:
        mask = cv2.resize(mask, label_ids.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.where(mask > 0, mask, label_ids), np.where(mask > 0, mask, instance_ids).astype(np.uint16)
