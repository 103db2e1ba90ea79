"""Where the state of unfinished work is kept, outside of a stage's outputs, which DVC deletes before each run.

The folder's name holds a fingerprint of parameters, code and data, so work whose parameters changed starts afresh.
"""

import configparser
import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def dvc_folder() -> Path:
    """The repository's ``.dvc`` folder; in the temporary clone of a DVC queue, that of the main repository.

    The clone's ``.dvc/config.local`` names the main repository by its cache.
    """
    root = Path(os.environ.get("DVC_ROOT", "."))
    config = configparser.ConfigParser()
    config.read(root / ".dvc" / "config.local")
    cache = Path(config.get("cache", "dir", fallback=""))
    return cache.parent if cache.is_absolute() and cache.parent.name == ".dvc" else root / ".dvc"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(settings: object, data: Sequence[Path]) -> str:
    """Sixteen hexadecimal digits that change with the settings, the loaded project code, and every byte of the data.

    Args:
        settings: Anything whose ``repr`` holds all values, such as a dataclass of settings.
        data: Files, and folders taken with all files below them.
    """
    code = {
        Path(file).resolve()
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and "site-packages" not in file
    }
    own = [path for path in code if path.is_relative_to(PROJECT / "src") or path.is_relative_to(PROJECT / "stages")]
    files = [path for root in data for path in (sorted(root.rglob("*")) if root.is_dir() else [root]) if path.is_file()]
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_sha256, [*sorted(own), *files]))
    names = [str(path.relative_to(PROJECT)) for path in sorted(own)] + [str(path) for path in files]
    return hashlib.sha256(repr((settings, list(zip(names, digests, strict=True)))).encode()).hexdigest()[:16]


def resume_folder(name: str, settings: object, data: Sequence[Path]) -> Path:
    """Where an unfinished training keeps its state: ``.dvc/tmp/resume/<name>-<fingerprint>``.

    A DVC queue works in a temporary clone; there the folder is that of the main repository (see :func:`dvc_folder`).
    """
    return dvc_folder() / "tmp" / "resume" / f"{name}-{fingerprint(settings, data)}"
