"""Detects the instances of frames, and writes them at the frames' own resolution."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection.roi_heads import paste_masks_in_image

from synth2real.detections import Detection, detections_path, encode_masks, write_detections
from synth2real.frames import FRAMES_FILE, FrameSet, resize_image, write_frames
from synth2real.hardware import HardwareSettings
from synth2real.instances.calibration import LOWEST_SCORE, Calibration, calibrated
from synth2real.instances.detectron2_network import Detectron2Detector, paste_masks
from synth2real.instances.mask_rcnn import Detector, fitted_size
from synth2real.models import inference_device

_MASK_THRESHOLD: Final = 0.5
"""Probability from which a pixel belongs to an instance (He et al. 2017, section 3.1)."""
_PASTED_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSettings:
    """What of the detector's output is kept."""

    batch_size: int
    calibration: Literal["none", "platt", "isotonic"]
    """What scores become: ``none`` leaves them as the network gives them, the others turn them into the probability of being
    right, see :mod:`synth2real.instances.calibration`."""
    min_score: float
    """Detections below are not written; it holds for the scores that are written."""
    box_overlap: float
    """Of two boxes of a class with a higher intersection over union, the one with the lower score is dropped."""
    max_detections: int
    """A frame's highest scores that are kept."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_detections < 1:
            raise ValueError("batch_size and max_detections must be at least 1")
        for name in ("min_score", "box_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")


class _Images(Dataset[UInt8[Tensor, "3 height width"]]):
    def __init__(self, frames: FrameSet, size: tuple[int, int]) -> None:
        self.frames, self.size = frames, size

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Tensor:
        image = self.frames.image(self.frames.frames[index])
        height, width = fitted_size((image.shape[0], image.shape[1]), self.size)
        return torch.from_numpy(resize_image(image, (height, width))).permute(2, 0, 1)


def detect(
    detector: Detector,
    frames: FrameSet,
    size: tuple[int, int],
    settings: PredictionSettings,
    hardware: HardwareSettings,
    calibration: Calibration | None = None,
) -> Iterator[list[Detection]]:
    """The detections of each frame in turn, in the frame's own pixels; masks without a pixel are left out.

    Args:
        detector: A Mask R-CNN; it is put into evaluation mode and onto the hardware's device.
        frames: A frame set with images.
        size: Height and width into which the frames are fitted for the network.
        settings: What is kept.
        hardware: On what to run.
        calibration: Of the detector's scores; what scores below 0.05 before it is left out, as nothing is known of it. None
            leaves scores as they are.

    Raises:
        FrameError: If an image is missing or damaged.
    """
    device = inference_device(hardware)
    detector.to(device).eval()
    limits = (settings.min_score if calibration is None else LOWEST_SCORE, settings.box_overlap, settings.max_detections)
    if isinstance(detector, Detectron2Detector):
        detector.limit(*limits)
        paste = paste_masks
    else:
        heads = detector.roi_heads
        heads.score_thresh, heads.nms_thresh, heads.detections_per_img = limits
        paste = paste_masks_in_image
    images = _Images(frames, size)
    loader = DataLoader(images, settings.batch_size, collate_fn=list, num_workers=hardware.workers)
    sizes = iter([(frame.height, frame.width) for frame in frames.frames])
    for batch in loader:
        for output, seen in zip(_run(detector, batch, device), batch, strict=True):
            found = _at_frame_size(output, (seen.shape[-2], seen.shape[-1]), next(sizes), paste)
            yield found if calibration is None else calibrated(found, calibration, settings.min_score)


def _run(detector: Detector, batch: Sequence[Tensor], device: torch.device) -> list[dict[str, Tensor]]:
    """The network without its last step, which would paste all masks at once."""
    with torch.inference_mode():
        pixels = [image.to(device) / 255 for image in batch]
        outputs: list[dict[str, Tensor]]
        if isinstance(detector, Detectron2Detector):
            outputs = detector.find(pixels)
        else:
            images, _ = detector.transform(pixels)
            features = detector.backbone(images.tensors)
            proposals, _ = detector.rpn(images, features)
            outputs = detector.roi_heads(features, proposals, images.image_sizes)[0]
    return [{name: value.cpu() for name, value in output.items()} for output in outputs]


def _at_frame_size(
    output: dict[str, Any], seen: tuple[int, int], frame: tuple[int, int], paste: Callable[..., Any]
) -> list[Detection]:
    scale = torch.tensor([frame[1] / seen[1], frame[0] / seen[0]]).repeat(2)
    boxes: Float[Tensor, "instances 4"] = output["boxes"] * scale
    order = torch.argsort(output["scores"], descending=True, stable=True)
    detections = []
    for part in torch.split(order, _PASTED_AT_ONCE):
        masks = paste(output["masks"][part], boxes[part], frame)[:, 0].numpy() > _MASK_THRESHOLD
        left_top, right_bottom = boxes[part, :2], boxes[part, 2:]
        edges = torch.cat((left_top, right_bottom - left_top), 1).tolist()
        labels, scores = output["labels"][part].tolist(), output["scores"][part].tolist()
        items = zip(labels, scores, edges, masks.any((1, 2)), encode_masks(np.asarray(masks)), strict=True)
        detections += [
            Detection(label, score, tuple(edge), frame, counts) for label, score, edge, any_pixel, counts in items if any_pixel
        ]
    return detections


def predict_frames(
    detector: Detector,
    frames: FrameSet,
    out: Path,
    *,
    size: tuple[int, int],
    settings: PredictionSettings,
    hardware: HardwareSettings,
    calibration: Calibration | None = None,
) -> None:
    """Writes the detections of all frames as a frame set, ``frames.csv`` last.

    Args:
        detector: See :func:`detect`.
        frames: A frame set with images.
        out: Folder of the new frame set: see :mod:`synth2real.detections`.
        size: See :func:`detect`.
        settings: What is kept.
        hardware: On what to run.
        calibration: See :func:`detect`.

    Raises:
        FrameError: If an image is missing or damaged.
    """
    (out / FRAMES_FILE).unlink(missing_ok=True)
    results = detect(detector, frames, size, settings, hardware, calibration)
    for frame, detections in zip(frames.frames, track(results, "Detecting", len(frames)), strict=True):
        write_detections(detections_path(out, frame.frame_id), detections)
    write_frames(out, frames.frames)
