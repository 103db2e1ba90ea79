"""CamVid: 701 real frames from four driving videos around Cambridge, in three layouts.

The 11-class edition, 480x360 (width x height)::

    {train,val,test}/<id>.png|.jpg     RGB
    {train,val,test}annot/<id>.png     the index is the class: 0..10, 11 = void

The original download, 960x720, 32 classes by colour::

    701_StillsRaw_full/<id>.png        RGB
    LabeledApproved_full/<id>_L.png    RGB, the colour is the class

and the original divided into splits::

    {train,val,test}/<id>.png          RGB
    {train,val,test}_labels/<id>_L.png RGB, the colour is the class

The undivided download is split as the 11-class edition is: 367 train, 101 val, 233 test, by sequence and frame number.

Sources: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009; the 11 classes and the
split: Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI 2017.
"""

import re
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from synth2real.datasets.raw import Annotation, RawFrame, files_by_path, read_indices, require_pairs, require_some, to_label_ids
from synth2real.frames import FrameError, read_image
from synth2real.label_space import CAMVID11_TO_LABEL_ID, CAMVID32_TO_LABEL_ID, IGNORE_INDEX

ORIGINAL_IMAGES: Final = "701_StillsRaw_full"
ORIGINAL_LABELS: Final = "LabeledApproved_full"
COLOUR_ENDING: Final = "_L"
LAST_TRAIN_FRAME_0001TP: Final = 8520
VAL_FRAMES_0016E5: Final = range(7959, 8160)
_QUANTUM: Final = 64
"""All 32 colours are made of 0, 64, 128 and 192."""


def _colour_code(red: int, green: int, blue: int) -> int:
    return (red // _QUANTUM) << 4 | (green // _QUANTUM) << 2 | blue // _QUANTUM


_LABEL_ID_BY_CODE: Final = np.full(_QUANTUM, IGNORE_INDEX, np.uint8)
for _colour, (_name, _label_id) in CAMVID32_TO_LABEL_ID.items():
    _LABEL_ID_BY_CODE[_colour_code(*_colour)] = _label_id


def list_camvid(root: Path, splits: tuple[str, ...]) -> tuple[RawFrame, ...]:
    """Lists the frames of the chosen splits; nothing is decoded.

    Args:
        root: The folder of any of the three layouts.
        splits: Of ``train``, ``val`` and ``test``.

    Raises:
        FrameError: If a split has no image, or an image or label has no partner in a split that is labelled.
    """
    if (root / ORIGINAL_IMAGES).is_dir():
        frames = _pair(root / ORIGINAL_IMAGES, root / ORIGINAL_LABELS, COLOUR_ENDING, "")
        return tuple(frame._replace(split=original_split(frame.frame_id)) for frame in frames)
    listed: list[RawFrame] = []
    for split in splits:
        if (root / f"{split}_labels").is_dir():
            listed.extend(_pair(root / split, root / f"{split}_labels", COLOUR_ENDING, split))
        else:
            listed.extend(_pair(root / split, root / f"{split}annot", "", split))
    return tuple(listed)


def _pair(images_at: Path, labels_at: Path, ending: str, split: str) -> list[RawFrame]:
    images = files_by_path(images_at)
    require_some(images, images_at, "images such as 0001TP_006690.png")
    if not labels_at.is_dir():
        return [RawFrame(frame_id, split, path, None) for frame_id, path in images.items()]
    labels = files_by_path(labels_at, (".png",), ending=ending)
    require_some(labels, labels_at, f"labels such as 0001TP_006690{ending}.png")
    require_pairs(images, labels, images_at, labels_at)
    decode = read_camvid_colours if ending else read_camvid_indices
    return [RawFrame(frame_id, split, path, partial(decode, labels[frame_id])) for frame_id, path in images.items()]


def original_split(frame_id: str) -> str:
    """The split of a frame of the undivided download: ``train``, ``val`` or ``test``.

    Raises:
        FrameError: If the id is none of CamVid's.
    """
    match = re.fullmatch(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d{5,6})", frame_id)
    if match is None:
        raise FrameError(f"{frame_id}: no frame of CamVid; expected a name such as 0001TP_006690 in {ORIGINAL_IMAGES}.")
    sequence, number = match[1], int(match[2])
    if sequence == "Seq05VD" or (sequence == "0001TP" and number > LAST_TRAIN_FRAME_0001TP):
        return "test"
    return "val" if sequence == "0016E5" and number in VAL_FRAMES_0016E5 else "train"


def read_camvid_indices(path: Path) -> Annotation:
    """Decodes one label of the 11-class edition.

    Raises:
        FrameError: If the file is damaged, no index map, or holds an unknown class.
    """
    return Annotation(to_label_ids(path, read_indices(path), CAMVID11_TO_LABEL_ID), None)


def read_camvid_colours(path: Path) -> Annotation:
    """Decodes one label of the 32-colour original.

    Raises:
        FrameError: If the file is damaged or holds an unknown colour; it names the colours and their pixel counts.
    """
    colours = read_image(path)
    quanta = colours // _QUANTUM
    label_ids = _LABEL_ID_BY_CODE[quanta[..., 0] << 4 | quanta[..., 1] << 2 | quanta[..., 2]]
    unknown = (label_ids == IGNORE_INDEX) | (colours % _QUANTUM).any(axis=-1)
    if unknown.any():
        found, counts = np.unique(colours[unknown], axis=0, return_counts=True)
        listed = ", ".join(f"{tuple(map(int, found[index]))} ({counts[index]} pixels)" for index in np.argsort(-counts)[:3])
        raise FrameError(
            f"{path}: {len(found)} unknown colours, {listed}{', ...' if len(found) > 3 else ''}; CamVid has 32. "
            "Labels must be the original PNG files, neither resized nor compressed as JPEG."
        )
    return Annotation(label_ids, None)
