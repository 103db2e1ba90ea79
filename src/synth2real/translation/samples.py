"""Sheets of pictures that show what a translator does."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from synth2real.frames import FrameSet, resize_image, write_image
from synth2real.translation.generators import Generators
from synth2real.translation.translate import translate_images

_CELL_WIDTH = 256
_GAP = 4


def sheet(rows: Sequence[Sequence[UInt8[np.ndarray, "_ _ 3"]]], columns: Sequence[str]) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in rows under column titles, each 256 pixels wide.

    Args:
        rows: Pictures of one row are of one size.
        columns: A title for each column.
    """
    lines = [np.full((24, (_CELL_WIDTH + _GAP) * len(columns) - _GAP, 3), 255, np.uint8)]
    for index, title in enumerate(columns):
        place = (index * (_CELL_WIDTH + _GAP) + 4, 17)
        cv2.putText(lines[0], title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    for row in rows:
        height = round(row[0].shape[0] * _CELL_WIDTH / row[0].shape[1])
        gap = np.full((height, _GAP, 3), 255, np.uint8)
        cells = [cell for picture in row for cell in (resize_image(picture, (height, _CELL_WIDTH)), gap)]
        lines += [np.concatenate(cells[:-1], axis=1), np.full((_GAP, lines[0].shape[1], 3), 255, np.uint8)]
    return np.concatenate(lines)


def write_samples(
    path: Path,
    source: FrameSet,
    target: FrameSet,
    generators: Generators,
    device: torch.device,
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Writes a sheet with each frame's real, translated and reconstructed image and its identity image.

    Args:
        path: JPEG or PNG file.
        source: Frames of the source to show.
        target: Frames of the target to show.
        generators: Both directions.
        device: Where they are.
        size: (height, width) at which they are translated; None takes their own.
    """
    rows = []
    to_target, to_source = generators
    for frames, forth, back in ((source, to_target, to_source), (target, to_source, to_target)):
        for frame in frames.frames:
            image = frames.image(frame)
            real = resize_image(image, size or image.shape[:2])[None]
            translated = translate_images(forth, real, device)
            reconstructed = translate_images(back, translated, device)
            rows.append([image[0] for image in (real, translated, reconstructed, translate_images(back, real, device))])
    write_image(path, sheet(rows, ("real", "translated", "reconstructed", "identity")))
