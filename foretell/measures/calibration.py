"""Whether probabilities can be believed: expected calibration error and Brier score; and top-3 accuracy. From sums that
stream over a test set.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

EXTRA = ("top3_accuracy", "brier", "ece")
BINS = (
    15  # of the calibration error (Guo et al., arXiv 1706.04599), and fewer where a bin would have less than ``FILLED``
)
FILLED = 10  # samples; the distance within a bin of one sample is large however well a model is calibrated
_CELLS = 8192
_SPAN = 42.0  # log-odds of 1e-9 to 1 - 1e-9


def cells(probabilities: NDArray[np.float32], count: int = _CELLS) -> NDArray[np.int64]:
    """The cell in [0, count) of each probability, of equal width in log-odds."""
    p = np.clip(probabilities.astype(np.float64), 1e-9, 1 - 1e-9)
    found: NDArray[np.int64] = ((np.log(p / (1 - p)) / _SPAN + 0.5) * count).astype(np.int64).clip(0, count - 1)
    return found


class Calibration:
    """Sums over batches; memory does not grow with the test set.

    ``result``: "top3_accuracy" (of the classes there are, where they are fewer; of tied ones the share that has a
    place), "brier" in [0, 2], the mean over samples of the squared distance of the probabilities from the truth (Brier,
    1950), and "ece", the mean distance of confidence and accuracy over up to ``BINS`` bins of as many samples each
    (Nixon et al., arXiv 1904.01685), in [0, 1]: bins of equal width are nearly empty where a model is sure. Samples
    within one of 8192 cells of confidence stay in one bin. It is NaN below two bins of ``FILLED`` samples.
    """

    def __init__(self) -> None:
        self._count = 0
        self._top3 = 0.0
        self._brier = 0.0
        self._sums = np.zeros((3, _CELLS))  # samples, hits and summed confidence of each cell

    def add(self, probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        """(B, classes) probabilities and (B,) codes in [0, classes)."""
        p = probabilities.astype(np.float64)
        own = p[np.arange(len(p)), truth]
        self._count += len(p)
        above, tied = (p > own[:, None]).sum(axis=1), (p == own[:, None]).sum(axis=1)
        self._top3 += float(np.clip((3 - above) / tied, 0, 1).sum())
        self._brier += float((p**2).sum() + (1 - 2 * own).sum())
        confidence = p.max(axis=1)
        at = cells(confidence.astype(np.float32))
        hits = p.argmax(axis=1) == truth
        for row, weight in enumerate((None, hits, confidence)):
            self._sums[row] += np.bincount(at, weight, minlength=_CELLS)

    def _ece(self) -> float:
        samples, hits, confidence = self._sums
        count = min(BINS, self._count // FILLED)
        if count < 2:
            return math.nan
        before = np.cumsum(samples) - samples
        bins = np.minimum((before + samples / 2) / self._count * count, count - 1).astype(np.int64)
        gap = np.bincount(bins, hits - confidence, minlength=count)
        return float(np.abs(gap).sum() / self._count)

    def result(self) -> dict[str, float]:
        if not self._count:
            return dict.fromkeys(EXTRA, math.nan)
        values = (self._top3 / self._count, self._brier / self._count, self._ece())
        return dict(zip(EXTRA, values, strict=True))
