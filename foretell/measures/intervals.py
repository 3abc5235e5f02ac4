"""Intervals: Student's t over seeds, paired differences, the bootstrap over test samples, and the exact one of a share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Verdict = Literal["better", "worse", "undecided"]

COUNTS = 1 << 22  # numbers that ``recounted`` holds at a time
EQUAL = 1e-9  # width of an interval below which its values are taken for equal: what is left is rounding
ALIKE = "no spread"  # in place of the ends of an interval whose values are equal


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
    return [statistic(rows) for rows in _drawn(n, groups, draws, seed)]


def recounted(
    statistic: Callable[[NDArray[np.int32]], NDArray[np.float64]],
    n: int,
    *,
    groups: NDArray[np.int64] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> list[float]:
    """``resampled`` for a statistic of many draws at once: of (n, D) counts, how often each sample was drawn, to (D,) values."""
    drawn = _drawn(n, groups, draws, seed)
    found: list[float] = []
    while block := [np.bincount(rows, minlength=n) for rows in islice(drawn, max(1, COUNTS // max(n, 1)))]:
        found += statistic(np.stack(block, axis=1).astype(np.int32)).tolist()
    return found


def _drawn(n: int, groups: NDArray[np.int64] | None, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The rows of each draw."""
    rng = np.random.default_rng(seed)
    if groups is None:
        return (rng.integers(0, n, n) for _ in range(draws))
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    chosen = (rng.integers(0, len(members), len(members)) for _ in range(draws))
    return (np.concatenate([members[g] for g in each]) for each in chosen)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    groups: NDArray[np.int64] | None = None,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The ``percentile`` interval of ``statistic(rows)`` over ``resampled`` draws."""
    values = resampled(statistic, n, groups=groups, draws=draws, seed=seed)
    return percentile(statistic(np.arange(n)), values, n, level)


def percentile(mean: float, values: Sequence[float], n: int, level: float = 0.95) -> Interval:
    """The interval of a statistic of ``n`` samples, ``mean``, by its ``values`` on drawn ones.

    Draws for which the statistic is undefined (NaN) are left out.
    """
    kept = np.asarray([value for value in values if not math.isnan(value)])
    if len(kept) < 2:
        return Interval(mean, math.nan, math.nan, n)
    low, high = np.quantile(kept, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(mean, float(low), float(high), n)


def alike(low: float, high: float) -> bool:
    """Whether an interval has no width: every draw was equal, which says nothing of the spread."""
    return abs(high - low) < EQUAL


def exact_share(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of Clopper and Pearson (1934) of a share of ``n`` answers that are all right (1) or all wrong (0).

    (NaN, NaN) for any other share, and without answers.
    """
    if n < 1 or not (abs(share) < EQUAL or abs(1 - share) < EQUAL):
        return math.nan, math.nan
    bound = float(stats.beta.ppf(0.5 - level / 2, n, 1))  # of n right
    return (bound, 1.0) if share > 0.5 else (0.0, 1 - bound)


def widened(interval: Interval, *, share: bool, groups: NDArray[np.int64] | None = None) -> Interval:
    """``interval`` of ``bootstrap`` as it is where it has width.

    Where every draw was equal: ``exact_share`` of its samples, or of their ``groups``, where the statistic is a ``share``
    of right answers; else none (NaN).
    """
    if math.isnan(interval.low) or not alike(interval.low, interval.high):
        return interval
    n = interval.n if groups is None else len(np.unique(groups))
    low, high = exact_share(interval.mean, n) if share else (math.nan, math.nan)
    return Interval(interval.mean, low, high, interval.n)


def told_interval(low: float | None, high: float | None, *, lead: str = "") -> str:
    """The bounds of a share in words after ``lead``, "76.1% to 82.4%", or that there are none."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "no interval: all draws alike"
    return f"{lead}{low:.1%} to {high:.1%}"
