"""Intervals: Student's t over seeds, paired differences, and the bootstrap over test samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Verdict = Literal["better", "worse", "undecided"]

EQUAL = 1e-9  # width of an interval below which its values are taken for equal: what is left is rounding


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; ``low`` and ``high`` are NaN where one value alone leaves the spread unknown."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> Verdict:
        """For a difference: whether the interval lies wholly above or below zero.

        Equal differences are undecided: they say nothing of their spread, be it that the scores move in the coarse steps of
        a small test part, or that no seed changes either score.
        """
        if self.high - self.low < EQUAL:
            return "undecided"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"

    def within(self, least: float, most: float) -> Interval:
        """Cut to the values that are possible, ``least`` to ``most``: Student's t knows of no bounds."""
        if math.isnan(self.low):
            return self
        low, high = np.clip([self.low, self.high], least, most)
        return Interval(self.mean, float(low), float(high), self.n)

    def record(self) -> dict[str, Any]:
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of ``values`` with Student's t interval; NaN among them (a metric that is undefined) are left out."""
    kept = np.asarray([value for value in values if not math.isnan(value)], dtype=np.float64)
    n = len(kept)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(kept.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1) * kept.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired(ours: Sequence[float], others: Sequence[float], level: float = 0.95) -> Interval:
    """The t interval of the differences ``ours - others``, one pair a seed. Raises ValueError on unequal lengths."""
    if len(ours) != len(others):
        raise ValueError(f"pairs need equal numbers of values, not {len(ours)} and {len(others)}")
    return t_interval([a - b for a, b in zip(ours, others, strict=True)], level)


def resampled(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    groups: NDArray[np.int64] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> list[float]:
    """``statistic(rows)`` of ``draws`` draws of the ``n`` samples with replacement; the draws depend on the groups alone.

    ``groups`` (n,) draws whole groups (all images of a patient), since samples of one group are not independent.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return [statistic(rng.integers(0, n, n)) for _ in range(draws)]
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    chosen = (rng.integers(0, len(members), len(members)) for _ in range(draws))
    return [statistic(np.concatenate([members[g] for g in drawn])) for drawn in chosen]


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    groups: NDArray[np.int64] | None = None,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The percentile interval of ``statistic(rows)`` over ``resampled`` draws.

    Draws for which the statistic is undefined (NaN) are left out.
    """
    values = resampled(statistic, n, groups=groups, draws=draws, seed=seed)
    kept = np.asarray([value for value in values if not math.isnan(value)])
    mean = statistic(np.arange(n))
    if len(kept) < 2:
        return Interval(mean, math.nan, math.nan, n)
    low, high = np.quantile(kept, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(mean, float(low), float(high), n)
