"""Freed memory kept for the next step, instead of given back to the system and asked for again.

A training step asks for the same large buffers over and over. The C library maps each of those from the system and unmaps
it when it is freed, so that every step pays for millions of pages that the system hands over one by one, filled with zeros.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

# Names and numbers of mallopt(3); only glibc has it.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: 64 * 2**20}
# What glibc arrives at by itself in a process that has freed large buffers.
USUAL = {M_MMAP_MAX: 65_536, M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 64 * 2**20, M_TOP_PAD: 128 * 2**10}

_inside = 0


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within the block freed memory stays with the process; after the outermost one it is given back.

    It holds for the heap of the main thread; without glibc nothing changes.
    """
    global _inside
    _inside += 1
    if _inside == 1:
        _set(KEPT)
    try:
        yield
    finally:
        _inside -= 1
        if _inside == 0:
            _set(USUAL)
            give_back()


def give_back() -> None:
    """Have the C library return freed memory to the system: it keeps it, so that all later work seems to need it, too."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # malloc_trim is glibc's
        ctypes.CDLL(None).malloc_trim(0)


def _set(values: dict[int, int]) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # mallopt is glibc's
        library = ctypes.CDLL(None)
        for name, value in values.items():
            library.mallopt(name, value)
