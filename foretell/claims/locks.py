"""One process at a time: a lock on a file, which the system gives free when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from foretell.errors import ForetellError

PAUSE = 0.2  # seconds between two looks


def _refused(path: Path, error: OSError) -> ForetellError:
    return ForetellError(
        f"{path}: cannot be made or locked ({error.strerror or error}); expected a folder that can be written, on a file "
        "system with locks: choose another"
    )


def _opened(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "ab")
    except OSError as error:
        raise _refused(path, error) from error


def _taken(lock: BinaryIO, path: Path) -> bool:
    """Whether the lock was free, and is now held."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system that knows no locks
        raise _refused(path, error) from error
    return True


@contextmanager
def held(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock ``path``, which is made where it is not there, waiting for another that holds it.

    ``waiting`` is called before every pause; what it raises ends the waiting. Raises ForetellError where there can be no lock.
    """
    with _opened(path) as lock:
        while not _taken(lock, path):
            waiting()
            time.sleep(PAUSE)
        yield
