"""Texts longer than the encoder, cut into overlapping windows that answer for every place once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError

Index = NDArray[np.int64]


def windows(length: int, room: int, stride: int) -> Index:
    """(N, 2) int64 start and end of windows over ``length`` places, at most ``room`` each, a new one every ``stride``.

    The last one ends at ``length`` and is as long as the others, so that its first places have context too; a text without
    places has one empty window. Raises InputError for a stride outside [1, room], which would leave places out.
    """
    if not 1 <= stride <= room:
        raise InputError(
            f"transfer.text.stride = {stride}: expected 1 to {room}, the length of a window, so that no token is left out"
        )
    last = max(length - room, 0)
    starts = np.unique(np.minimum(np.arange(0, last + stride, stride, dtype=np.int64), last))
    return np.stack([starts, np.minimum(starts + room, length)], axis=1)


def owners(cut: Index, length: int) -> Index:
    """(length,) the window of ``cut`` in which a place has most context, the first of equals.

    The context of a place is the smaller of what stands before and after it (the "maximal context" of Devlin et al.'s
    question answering).
    """
    place = np.arange(length, dtype=np.int64)
    best = np.zeros(length, dtype=np.int64)
    most = np.full(length, -1, dtype=np.int64)
    for number, (start, end) in enumerate(cut.tolist()):
        here = place[start:end]
        context = np.minimum(here - start, end - 1 - here)
        better = context > most[start:end]
        best[start:end][better] = number
        most[start:end][better] = context[better]
    return best
