"""What every kind of store in the cache shares: built by one process at a time, and removed in words when it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

from foretell.errors import ForetellError, InputError, in_brief

FORGOTTEN = 7 * 24 * 3600.0  # seconds
# what a part that is missing, cut or edited leads to
DAMAGE = (
    *(FileNotFoundError, IsADirectoryError, NotADirectoryError, EOFError, BadZipFile),
    *(ValueError, TypeError, LookupError, InputError),
)


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the file ``lock`` while a store is built, waiting for another process that builds the same one. Others that
    were left half built beside it are removed after a week.

    Raises ForetellError for what the system refuses meanwhile: a cache that cannot be written, or is full.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with open(lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _clear(lock.parent)
            yield
    except OSError as error:
        raise ForetellError(
            f"{lock.parent}: the cache cannot be written ({error.strerror or error}); make room, or set FORETELL_CACHE to "
            "another folder"
        ) from None


def _clear(folder: Path) -> None:
    """Remove what processes that ended left half built in ``folder``, and nobody goes on with: its files have changed."""
    for work in folder.glob("*.building"):
        with contextlib.suppress(OSError):
            if forgotten(work):
                with open(work.with_suffix(".lock"), "w") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(work)


def forgotten(work: Path) -> bool:
    """Whether nothing was begun in the folder ``work`` for so long that nobody will go on with it. Raises OSError."""
    return time.time() - work.stat().st_mtime > FORGOTTEN


@contextlib.contextmanager
def whole(place: Path, what: str) -> Iterator[None]:
    """While a part of the cache is read back: what is not as it was written is removed, with a ForetellError that says so.

    What the system does not let be read just now (too many open files, a disk that is away) is left as it is.
    """
    try:
        yield
    except DAMAGE as error:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # said below
                place.unlink(missing_ok=True)
        done = "cannot be removed; remove it" if place.exists() else "removed"
        raise ForetellError(f"{place}: {what} damaged ({in_brief(error)}) and {done}; run again") from None
    except OSError as error:
        raise ForetellError(f"{place}: cannot be read ({error.strerror or error}); run again when it can") from None
