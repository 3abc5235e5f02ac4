"""Whether files stayed as they were while they were read: what is kept of them goes by what they were at first."""

from __future__ import annotations

import os
import shutil
from array import array
from pathlib import Path

from foretell.errors import InputError


class Watch:
    """Sizes and times of files as they were first seen."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._states: array[int] = array("q")

    def add(self, path: str | Path) -> os.stat_result:
        """The status of ``path``, from which on it is to stay as it is. Raises OSError where there is no such file."""
        status = os.stat(path)
        self.paths.append(os.fspath(path))
        self._states.extend(_state(status))
        return status

    def states(self) -> list[int]:
        """Size and times of change, in ns, of each file in turn."""
        return self._states.tolist()

    def check(self, made: Path | None = None) -> None:
        """Raises InputError naming the first file that is another now, or gone, after removing ``made``, a folder of it."""
        for number, path in enumerate(self.paths):
            try:
                now: tuple[int, ...] = _state(os.stat(path))
            except OSError:
                now = ()
            if now != tuple(self._states[3 * number : 3 * number + 3]):
                if made is not None:
                    shutil.rmtree(made, ignore_errors=True)
                raise InputError(f"{path}: changed while it was read; run again when it stays as it is")


def _state(status: os.stat_result) -> tuple[int, ...]:
    # the second time is of any change, of the name too: it tells of a file that was put back with its old first one
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
