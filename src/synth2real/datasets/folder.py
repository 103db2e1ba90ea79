"""A plain folder of pictures, without labels: unpaired input for the translation.

::

    <anything>.png|.jpg    at any depth; RGB, 8 bit

The frame id is the path below the folder without suffix, with ``/`` written as ``_``. All frames are ``train``.
"""

from pathlib import Path
from typing import Final

from synth2real.datasets.raw import WHOLE_SET, RawFrame, files_by_path, require_some
from synth2real.frames import FrameError

OTHER_SUFFIXES: Final = (".bmp", ".gif", ".heic", ".ppm", ".tif", ".tiff", ".webp")
"""Pictures that must be converted first, so that none is left out unseen."""


def list_folder(root: Path) -> tuple[RawFrame, ...]:
    """Lists the pictures, sorted; nothing is decoded.

    Args:
        root: The folder.

    Raises:
        FrameError: If there is none, or two give one frame id, or one is of another format.
    """
    found = files_by_path(root)
    if others := files_by_path(root, OTHER_SUFFIXES):
        raise FrameError(
            f"{next(iter(others.values()))}: expected PNG or JPEG ({len(others)} files are not). Convert or remove them."
        )
    require_some(found, root, "PNG or JPEG pictures")
    return tuple(RawFrame(name.replace("/", "_"), WHOLE_SET, path, None) for name, path in found.items())
