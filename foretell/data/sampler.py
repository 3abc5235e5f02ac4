"""Which rows of a store a step sees: a pure function of (seed, step, rows)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from foretell.counters import Rows, seed_of
from foretell.errors import InputError


@lru_cache(maxsize=4)
def _permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    order = np.random.default_rng(seed_of("sampler", seed, epoch)).permutation(n)
    order.setflags(write=False)
    return order


class Sampler:
    """Every epoch visits ``n`` samples once, in its own random order; the incomplete last batch is left out."""

    def __init__(self, n: int, seed: int, what: str = "images") -> None:
        self.n = n
        self.seed = seed
        self.what = what

    def steps(self, batch: int) -> int:
        """Steps of an epoch at a global ``batch``. Raises InputError when there are fewer samples than that."""
        if batch < 1:
            raise InputError(f"a batch of {batch} is not possible; expected at least 1")
        if self.n < batch:
            raise InputError(
                f"{self.n} {self.what} are fewer than a batch of {batch}; "
                f"set training.batch to {self.n} or less, or give more {self.what}"
            )
        return self.n // batch

    def index(self, step: int, rows: Rows) -> NDArray[np.int64]:
        """(len(rows),) int64: this process's rows of the global batch of ``step`` (from 0)."""
        epoch, place = divmod(step, self.steps(rows.total))
        order = _permutation(self.n, self.seed, epoch)
        first = place * rows.total
        return order[first + rows.start : first + rows.stop]
