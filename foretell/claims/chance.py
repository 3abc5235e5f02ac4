"""Whether draws follow the distribution that they should."""

from __future__ import annotations

import numpy as np
from scipy import stats

SURE = 0.999  # of the chi-square tests


def chi_square(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """(the statistic of counts (N,) against expected ones (N,), its ``SURE`` bound with N - 1 degrees of freedom)."""
    return chi_squares([(found, expected)])


def chi_squares(tables: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """(the sum of the statistics of independent tables of counts found and expected, its ``SURE`` bound)."""
    value = sum(float(((found - expected) ** 2 / expected).sum()) for found, expected in tables)
    return value, float(stats.chi2.ppf(SURE, sum(len(found) - 1 for found, _ in tables)))
