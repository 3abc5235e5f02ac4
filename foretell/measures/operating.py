"""The operating point: sensitivity where the threshold gives a wanted specificity on held-out labels, not on the test set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
METRICS = ("sensitivity", "specificity")


def _each(truth: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """(N, classes) 1, 0 or NaN (not known): every class against the rest, or the findings as they are."""
    if truth.ndim == 2:
        return truth.astype(np.float32)
    found: NDArray[np.float32] = (truth[:, None] == np.arange(classes)).astype(np.float32)
    return found


def thresholds_at(probabilities: Array, truth: NDArray[Any], specificity: float) -> list[float | None]:
    """For each class the least threshold at which ``specificity`` of the samples without it lie at or below it; None where
    no sample is without it.
    """
    found: list[float | None] = []
    for at, target in enumerate(_each(truth, probabilities.shape[1]).T):
        without = np.sort(probabilities[target == 0, at])
        rank = math.ceil(specificity * len(without) - 1e-9) - 1  # 0.55 * 100 is more than 55
        found.append(float(without[max(rank, 0)]) if len(without) else None)
    return found


class Operating:
    """Sums over batches: which samples lie above the thresholds of their classes."""

    def __init__(self, thresholds: Sequence[float | None]) -> None:
        self._limits = np.array([math.nan if one is None else one for one in thresholds], dtype=np.float64)
        self._counts = np.zeros((4, len(self._limits)))  # with, and above; without, and not above

    def add(self, probabilities: Array, truth: NDArray[Any]) -> None:
        target = _each(truth, len(self._limits))
        above = probabilities > self._limits
        rows = (target == 1, (target == 1) & above, target == 0, (target == 0) & ~above)
        self._counts += np.stack([row.sum(axis=0) for row in rows])

    def result(self) -> dict[str, float]:
        """ "sensitivity" and "specificity", the mean over classes that have a threshold and samples of either kind."""
        there, hits, absent, kept = self._counts
        known = ~np.isnan(self._limits) & (there > 0) & (absent > 0)
        if not known.any():
            return dict.fromkeys(METRICS, math.nan)
        pairs = ((hits, there), (kept, absent))
        return {name: float((a[known] / b[known]).mean()) for name, (a, b) in zip(METRICS, pairs, strict=True)}
