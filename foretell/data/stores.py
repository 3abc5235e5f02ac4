"""What every kind of store in the cache shares: built by one process at a time, and removed in words when it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

from foretell.errors import ForetellError, InputError


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the file ``lock`` while a store is built, waiting for another process that builds the same one.

    Raises ForetellError for what the system refuses meanwhile: a cache that cannot be written, or is full.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with open(lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise ForetellError(
            f"{lock.parent}: the cache cannot be written ({error.strerror or error}); make room, or set FORETELL_CACHE to "
            "another folder"
        ) from None


@contextlib.contextmanager
def whole(place: Path, what: str) -> Iterator[None]:
    """While a part of the cache is read back: what is not as it was written is removed, with a ForetellError that says so."""
    try:
        yield
    except (OSError, EOFError, ValueError, TypeError, LookupError, BadZipFile, InputError) as error:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)
        raise ForetellError(f"{place}: {what} damaged ({error}) and removed; run again") from None
