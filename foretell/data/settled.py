"""Whether a folder's files have reached the disk, for which who writes them need not wait.

What a program has written outlives the program, but not a power cut, until the system has put it on disk. A folder is therefore
marked with the machine's present run until that is so: one that still has the mark of an earlier run may hold holes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

MARK = "unsettled"
THREAD = "settle"
RUN = Path("/proc/sys/kernel/random/boot_id")  # of Linux: another one each time the machine starts


def _run() -> str:
    """The machine's present run, "" where the system does not name it."""
    try:
        return RUN.read_text().strip()
    except OSError:
        return ""


def mark(folder: Path) -> None:
    """Say that the files of ``folder`` are not on disk yet."""
    with open(folder / MARK, "w") as stream:
        stream.write(_run())
        stream.flush()
        os.fsync(stream.fileno())


def torn(folder: Path) -> bool:
    """Whether the machine has stopped before the files of ``folder`` were on disk."""
    try:
        return (folder / MARK).read_text() != _run()
    except FileNotFoundError:
        return False


def settle(folder: Path) -> None:
    """Put the files of a marked folder on disk while the program goes on, which does not end before; then take the mark away."""
    if not (folder / MARK).exists():
        return
    if _run():
        threading.Thread(target=_settle, args=(folder,), name=THREAD).start()
    else:
        _settle(folder)


def _settle(folder: Path) -> None:
    with contextlib.suppress(OSError):  # removed meanwhile, or a cache that may only be read: the mark stays
        for path in folder.iterdir():
            with open(path, "rb") as stream:
                os.fsync(stream.fileno())
        (folder / MARK).unlink()


def wait() -> None:
    """Until all that ``settle`` has begun in this process is on disk."""
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join()
