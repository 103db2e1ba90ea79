"""Predictions in the form that the Cityscapes benchmark server takes.

One archive of 8-bit PNG files of label ids (not train ids) at 2048x1024, each named by the frame: the server and
cityscapesScripts match ``<city>_<sequence>_<frame>*.png``.
"""

import io
import re
import zipfile
from pathlib import Path
from typing import Final

import cv2

from synth2real.frames import FrameError, map_frames, read_frames, write_bytes
from synth2real.label_space import IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID, LABELS

SERVER_SIZE: Final = (1024, 2048)
"""Height and width of what the server scores."""

_FRAME_ID: Final = re.compile(r"[^_]+_\d{6}_\d{6}")


def export_predictions(predictions: Path, split: str, out: Path) -> None:
    """Writes the predictions of a split as one ZIP archive; equal predictions give equal bytes.

    Predictions of another size are enlarged or shrunk to :data:`SERVER_SIZE` by nearest neighbour.

    Args:
        predictions: Frame set with predicted ``labels/``.
        split: Which of its splits.
        out: The archive, with ``<frame_id>_pred_labelIds.png`` for each frame.

    Raises:
        FrameError: If the split has no frame, a frame is not named as in Cityscapes or not twice as wide as high, or a label map
            is missing, damaged, or holds a class that the server does not score.
    """
    chosen = read_frames(predictions).split(split)
    for frame in chosen.frames:
        if not _FRAME_ID.fullmatch(frame.frame_id):
            raise FrameError(
                f"{predictions}: frame {frame.frame_id!r} has no name of Cityscapes, <city>_<six digits>_<six digits>, by which "
                "the server finds its annotation. Export predictions of Cityscapes' frames."
            )
        if frame.width * SERVER_SIZE[0] != frame.height * SERVER_SIZE[1]:
            raise FrameError(
                f"{chosen.label_path(frame)}: {frame.height}x{frame.width} (height x width) is not of the shape of "
                f"{SERVER_SIZE[0]}x{SERVER_SIZE[1]}. Predict frames that keep Cityscapes' shape."
            )

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:

        def export(frame_number: int) -> None:
            frame = chosen.frames[frame_number]
            label_ids = chosen.label(frame)
            ignored = label_ids[LABEL_ID_TO_TRAIN_ID[label_ids] == IGNORE_INDEX]
            if ignored.size:
                raise FrameError(
                    f"{chosen.label_path(frame)}: predicts {LABELS[ignored[0]].name!r}, none of the server's classes and wrong "
                    "everywhere. Export the predictions of a model, not an annotation."
                )
            large = cv2.resize(label_ids, SERVER_SIZE[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            _, encoded = cv2.imencode(".png", large)
            archive.writestr(zipfile.ZipInfo(f"{frame.frame_id}_pred_labelIds.png"), encoded.tobytes())

        for _ in map_frames(export, range(len(chosen)), workers=0, description="Exporting"):
            pass
    write_bytes(out, buffer.getvalue())
