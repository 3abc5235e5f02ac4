"""Whether draws follow the distribution that they should, and what an interval over splits that share cases is."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from foretell.measures.intervals import Interval

SURE = 0.999  # of the chi-square tests


def chi_square(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """(the statistic of counts (N,) against expected ones (N,), its ``SURE`` bound with N - 1 degrees of freedom)."""
    return chi_squares([(found, expected)])


def chi_squares(tables: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """(the sum of the statistics of independent tables of counts found and expected, its ``SURE`` bound)."""
    value = sum(float(((found - expected) ** 2 / expected).sum()) for found, expected in tables)
    return value, float(stats.chi2.ppf(SURE, sum(len(found) - 1 for found, _ in tables)))


def counting_shared(plain: Interval, ratio: float) -> Interval:
    """``plain``, a t interval over seeds that each split one pool of cases anew, widened since the splits share cases.

    ``ratio``: test to train cases of a split. The half-width grows by sqrt(1 + n ratio), n being the number of splits
    (Nadeau and Bengio 2003, "Inference for the generalization error"). An interval that is NaN stays so.
    """
    wider = math.sqrt(1 + plain.n * ratio)
    return Interval(
        plain.mean,
        plain.mean - wider * (plain.mean - plain.low),
        plain.mean + wider * (plain.high - plain.mean),
        plain.n,
    )
