"""The five PNG row filters undone, compiled (PNG specification, section 9)."""

from __future__ import annotations

import numba
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)  # type: ignore[misc, untyped-decorator, unused-ignore]
def unfilter(rows: NDArray, kinds: NDArray, before: NDArray, unit: int) -> None:  # type: ignore[type-arg]
    """Undo in place the filter ``kinds`` (h,) of each of ``rows`` (h, stride) uint8.

    ``before`` (stride,) is the row above the first; ``unit`` the bytes of a pixel, at least 1.
    """
    height, stride = rows.shape
    for y in range(height):
        kind = kinds[y]
        above = before if y == 0 else rows[y - 1]
        row = rows[y]
        if kind == 1:
            for x in range(unit, stride):
                row[x] += row[x - unit]
        elif kind == 2:
            for x in range(stride):
                row[x] += above[x]
        elif kind == 3:
            for x in range(stride):
                left = int(row[x - unit]) if x >= unit else 0
                row[x] += (left + int(above[x])) >> 1
        elif kind == 4:
            for x in range(stride):
                left = int(row[x - unit]) if x >= unit else 0
                corner = int(above[x - unit]) if x >= unit else 0
                up = int(above[x])
                guess = left + up - corner
                far_left, far_up, far_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
                if far_left <= far_up and far_left <= far_corner:
                    row[x] += left
                elif far_up <= far_corner:
                    row[x] += up
                else:
                    row[x] += corner
