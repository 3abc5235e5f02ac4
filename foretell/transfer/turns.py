"""Which labelled samples a step sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foretell.counters import Rows, seed_of

Index = NDArray[np.int64]


def _places(step: int, rows: Rows) -> Index:
    """The numbers of a step's rows, counted through all steps."""
    first = step * rows.total + rows.start
    return np.arange(first, first + len(rows))


def _taken(count: int, seed: int, place: Index) -> Index:
    """Which of ``count`` samples each of the growing numbers ``place`` is: one permutation after another."""
    out = np.empty(len(place), dtype=np.int64)
    for epoch in np.unique(place // count):
        order = np.random.default_rng(seed_of(seed, int(epoch), "labelled")).permutation(count)
        here = place // count == epoch
        out[here] = order[place[here] % count]
    return out


def turns(count: int, seed: int, step: int, rows: Rows) -> Index:
    """Positions among ``count`` samples of a step's rows: one permutation after another, each sample once in each, so
    that a batch may be larger than the number of samples."""
    return _taken(count, seed, _places(step, rows))


def members_of(cases: Index) -> list[Index]:
    """The positions of each case's samples, cases by their number; ``cases`` (N,) is the case of every sample."""
    order = np.argsort(cases, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(cases[order])) + 1)


def bag_turns(members: Sequence[Index], size: int, seed: int, step: int, rows: Rows) -> tuple[Index, Index]:
    """(positions among samples of which each case has ``members``, the bag of each row, counted through all steps).

    A bag is ``size`` images of one case. The cases take turns, and the images of each do within it: one that has fewer than
    ``size`` gives some of them twice.
    """
    place = _places(step, rows)
    bag = place // size
    visit = bag // len(members) * size + place % size  # how many images of the case there were before
    out = np.empty(len(rows), dtype=np.int64)
    for at, (case, before) in enumerate(zip(_taken(len(members), seed, bag), visit.tolist(), strict=True)):
        own = members[case]
        shuffled = np.random.default_rng(seed_of(seed, before // len(own), int(case), "images of a labelled case"))
        out[at] = own[shuffled.permutation(len(own))[before % len(own)]]
    return out, bag


def case_turns(members: Sequence[Index], seed: int, step: int, rows: Rows) -> Index:
    """Positions among samples of which each case has ``members``: ``bag_turns`` of one image each."""
    return bag_turns(members, 1, seed, step, rows)[0]
