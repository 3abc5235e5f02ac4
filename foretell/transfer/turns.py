"""Which labelled samples a step sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.counters import Rows, seed_of

Index = NDArray[np.int64]


def turns(count: int, seed: int, step: int, rows: Rows) -> Index:
    """Positions among ``count`` samples of a step's rows: one permutation after another, each sample once in each, so
    that a batch may be larger than the number of samples."""
    first = step * rows.total + rows.start
    place = np.arange(first, first + len(rows))
    out = np.empty(len(rows), dtype=np.int64)
    for epoch in np.unique(place // count):
        order = np.random.default_rng(seed_of(seed, int(epoch), "labelled")).permutation(count)
        here = place // count == epoch
        out[here] = order[place[here] % count]
    return out


def case_turns(cases: Index, seed: int, step: int, rows: Rows) -> Index:
    """Positions among samples whose cases are ``cases`` (N,): the cases take turns, and the images of each do within
    it."""
    order = np.argsort(cases, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(cases[order])) + 1)
    first = step * rows.total + rows.start
    visits = np.arange(first, first + len(rows)) // len(members)
    out = np.empty(len(rows), dtype=np.int64)
    for at, (case, visit) in enumerate(zip(turns(len(members), seed, step, rows), visits.tolist(), strict=True)):
        own = members[case]
        shuffled = np.random.default_rng(seed_of(seed, visit // len(own), int(case), "images of a labelled case"))
        out[at] = own[shuffled.permutation(len(own))[visit % len(own)]]
    return out
