"""Which pieces of text share a row: packing by lengths, so that padding is rare.

Longest first into the fullest row that has room (best-fit decreasing), done on the histogram of lengths (Krell et al.
2021, arXiv 2107.02027), so that its cost does not depend on how many pieces there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


def compositions(counts: Index, room: int) -> list[tuple[tuple[int, ...], int]]:
    """(lengths of the pieces in a row, how many such rows), for ``counts[n]`` pieces of length n, none above ``room``."""
    free: dict[int, list[tuple[tuple[int, ...], int]]] = {}
    for length in range(len(counts) - 1, 0, -1):
        left = int(counts[length])
        while left:
            fitting = min((space for space, rows in free.items() if space >= length and rows), default=None)
            if fitting is None:
                each = room // length
                whole, rest = divmod(left, each)
                for pieces, rows in ((each, whole), (rest, 1 if rest else 0)):
                    if rows:
                        free.setdefault(room - pieces * length, []).append(((length,) * pieces, rows))
                break
            held, rows = free[fitting].pop()
            taken = min(left, rows)
            if rows > taken:
                free[fitting].append((held, rows - taken))
            free.setdefault(fitting - length, []).append(((*held, length), taken))
            left -= taken
    return [composition for rows in free.values() for composition in rows]


def pack(lengths: Index, room: int, seed: int) -> tuple[Index, Index]:
    """Rows of pieces: (order, ends). Row r holds the pieces ``order[ends[r - 1]:ends[r]]``, together at most ``room`` long.

    ``lengths`` (N,) in 1 to ``room``. Which of the pieces of one length goes where is drawn from ``seed``.
    """
    shuffled = np.random.default_rng(seed).permutation(len(lengths))
    queue = shuffled[np.argsort(lengths[shuffled], kind="stable")]
    counts = np.bincount(lengths, minlength=room + 1)
    place = np.cumsum(counts) - counts
    orders, sizes = [], []
    for composition, rows in compositions(counts, room):
        columns = []
        for length in composition:
            columns.append(queue[place[length] : place[length] + rows])
            place[length] += rows
        orders.append(np.stack(columns, axis=1).ravel())
        sizes.append(np.full(rows, len(composition)))
    if not orders:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(orders), np.cumsum(np.concatenate(sizes))
