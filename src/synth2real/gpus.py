"""Which GPUs a process takes on a machine with several, so that the workers of a DVC queue do not crowd onto the first.

A process locks one file for each GPU that it takes. The system gives the locks back when the process ends, however it ends.
"""

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO

LOCKS = Path(tempfile.gettempdir()) / f"synth2real-gpus-{os.getuid()}"
VISIBLE = "CUDA_VISIBLE_DEVICES"

_taken: list[IO[bytes]] = []  # open, and so locked, for the life of this process


def take_gpus(wanted: int, present: int, locks: Path = LOCKS) -> None:
    """Sets ``CUDA_VISIBLE_DEVICES`` to the first GPUs that no other process took, and waits while there are too few.

    Leaves the variable alone where it is set, so a choice of the user's stays and a second call changes nothing, and where there
    are not more GPUs than wanted. To be called before the process first uses CUDA.

    Args:
        wanted: How many this process uses; at least 1.
        present: How many the machine has.
        locks: Folder of the lock files, one for all repositories of a user.
    """
    if VISIBLE in os.environ or present <= wanted:
        return
    locks.mkdir(parents=True, exist_ok=True)
    waiting = False
    while len(free := _lock(wanted, present, locks)) < wanted:
        if not waiting:
            print(f"All but {len(free)} of {present} GPUs are taken, {wanted} wanted: waiting.", flush=True)
            waiting = True
        time.sleep(1)
    os.environ[VISIBLE] = ",".join(map(str, free))


def _lock(wanted: int, present: int, locks: Path) -> list[int]:
    """Numbers of the GPUs that are locked now; if they are fewer than wanted, none of them stays locked."""
    files: dict[int, IO[bytes]] = {}
    for number in range(present):
        if len(files) < wanted:
            file: IO[bytes] = (locks / f"{number}.lock").open("wb")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                files[number] = file
            except BlockingIOError:
                file.close()
    if len(files) == wanted:
        _taken.extend(files.values())
    else:
        for file in files.values():
            file.close()
    return list(files)
