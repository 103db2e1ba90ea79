"""GTA5, also called Playing for Data: 24,966 rendered street scenes with semantic labels.

::

    images/00001.png    RGB, 1914x1052 (width x height)
    labels/00001.png    palette PNG; the *index* is the class

Classes are the Cityscapes label ids and 34 (licence plate), which counts as unlabeled. The palette gives car and licence
plate one colour, so labels must be decoded by index. There is no split here: all frames are ``train``.

Source: Richter, Vineet, Roth, Koltun, "Playing for Data: Ground Truth from Computer Games", ECCV 2016.
"""

from functools import partial
from pathlib import Path
from typing import Final

from synth2real.datasets.raw import (
    WHOLE_SET,
    Annotation,
    RawFrame,
    files_by_path,
    read_indices,
    require_pairs,
    require_some,
    to_label_ids,
)
from synth2real.label_space import GTA5_TO_LABEL_ID

EXCLUDED: Final = {
    "15188": "image and label differ in size in the original download",
    "17705": "image and label differ in size in the original download",
}
"""Known-bad frames and what is wrong with them."""


def list_gta(root: Path) -> tuple[RawFrame, ...]:
    """Lists the frames; nothing is decoded.

    Args:
        root: The folder with ``images/`` and ``labels/``.

    Raises:
        FrameError: If a folder is empty, or an image or label has no partner.
    """
    images_at, labels_at = root / "images", root / "labels"
    images, labels = files_by_path(images_at), files_by_path(labels_at, (".png",))
    require_some(images, images_at, "images such as 00001.png")
    require_some(labels, labels_at, "labels such as 00001.png")
    require_pairs(images, labels, images_at, labels_at)
    return tuple(
        RawFrame(frame_id, WHOLE_SET, path, partial(read_gta_label, labels[frame_id]), EXCLUDED.get(frame_id, ""))
        for frame_id, path in images.items()
    )


def read_gta_label(path: Path) -> Annotation:
    """Decodes one label by index.

    Raises:
        FrameError: If the file is damaged, no index map, or holds an unknown class.
    """
    return Annotation(to_label_ids(path, read_indices(path), GTA5_TO_LABEL_ID), None)
