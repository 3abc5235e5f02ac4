"""Which labelled samples a step sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.counters import Rows, seed_of

Index = NDArray[np.int64]


def turns(count: int, seed: int, step: int, rows: Rows) -> Index:
    """Positions among ``count`` samples of a step's rows: one permutation after another, each sample once in each, so that
    a batch may be larger than the number of samples."""
    first = step * rows.total + rows.start
    place = np.arange(first, first + len(rows))
    out = np.empty(len(rows), dtype=np.int64)
    for epoch in np.unique(place // count):
        order = np.random.default_rng(seed_of(seed, int(epoch), "labelled")).permutation(count)
        here = place // count == epoch
        out[here] = order[place[here] % count]
    return out
