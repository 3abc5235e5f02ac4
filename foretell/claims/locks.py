"""One process at a time: a lock on a file, which the system gives free when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.2  # seconds between two looks


@contextmanager
def held(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock ``path``, which is made where it is not there, waiting for another that holds it.

    ``waiting`` is called before every pause; what it raises ends the waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(PAUSE)
        yield
