"""The metrics of several findings of one sample, each there, not there or not known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foretell.measures.calibration import Calibration
from foretell.measures.metrics import area, drawn_area, mean_of_defined, or_even

Array = NDArray[np.float32]

METRICS = ("auroc", "accuracy", "balanced_accuracy", "macro_f1", "brier", "ece")


def of_finding(name: str) -> str:
    """The metric that is the area under the ROC curve of the finding ``name`` alone."""
    return f"auroc {name}"


def macro_auroc(probabilities: Array, targets: Array) -> dict[str, float]:
    """The area under the ROC curve of each finding by its number, as text; NaN where one value alone is known."""
    found = {}
    for at in range(targets.shape[1]):
        known = ~np.isnan(targets[:, at])
        found[str(at)] = area(probabilities[known, at], targets[known, at] == 1)
    return found


def drawn_macro_auroc(probabilities: Array, targets: Array) -> Callable[[NDArray[np.int32]], NDArray[np.float64]]:
    """The mean ``macro_auroc`` of samples drawn again: of (N, D) counts, how often each was drawn, to (D,) values."""
    known = ~np.isnan(targets)
    each = [(rows, drawn_area(probabilities[rows, at], targets[rows, at] == 1)) for at, rows in enumerate(known.T)]

    def of(counts: NDArray[np.int32]) -> NDArray[np.float64]:
        return mean_of_defined([areas(counts[rows]) for rows, areas in each])

    return of


def headline(probabilities: Array, targets: Array, metric: str) -> float:
    """The mean of a metric of ``metrics.METRICS`` over the findings that have one; NaN where none has."""
    if metric == "auroc":
        values = [area for area in macro_auroc(probabilities, targets).values() if not math.isnan(area)]
        return float(np.mean(values)) if values else math.nan
    return at_half(probabilities, targets).get(metric, math.nan)


def validation(probabilities: Array, targets: Array, metric: str) -> tuple[float, float]:
    """(``headline``, 0.5 where there is none; mean binary cross-entropy of the known)."""
    known = ~np.isnan(targets)
    own = np.where(targets == 1, probabilities, 1 - probabilities)[known].astype(np.float64)
    return or_even(headline(probabilities, targets, metric)), float(-np.log(np.maximum(own, 1e-7)).mean())


class FindingsTally:
    """Sums over batches: scores are kept, four bytes for each finding of each sample."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._scores: list[Array] = []
        self._targets: list[Array] = []

    def add(self, probabilities: Array, truth: Array) -> None:
        """(B, L) probabilities and targets, NaN where a finding is not known."""
        self._scores.append(np.asarray(probabilities, dtype=np.float32))
        self._targets.append(truth)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Findings have no confusion matrix: (0, 0)."""
        return np.zeros((0, 0), dtype=np.int64)

    def result(self) -> dict[str, float]:
        """Macro means over findings of AUROC and, at probability 0.5, of accuracy, balanced accuracy and F1; Brier score and
        calibration error over all known values; and "auroc NAME" for each finding.
        """
        p, targets = np.concatenate(self._scores), np.concatenate(self._targets)
        areas = {of_finding(self.names[int(at)]): area for at, area in macro_auroc(p, targets).items()}
        defined = [area for area in areas.values() if not math.isnan(area)]
        means = at_half(p, targets)
        known = ~np.isnan(targets)
        calibration = Calibration()
        calibration.add(np.stack([1 - p[known], p[known]], axis=1), targets[known].astype(np.int64))
        sums = calibration.result()
        return {
            "auroc": float(np.mean(defined)) if defined else math.nan,
            **{name: means.get(name, math.nan) for name in ("accuracy", "balanced_accuracy", "macro_f1")},
            "brier": sums["brier"] / 2,  # of one probability, not of the two that sum to 1
            "ece": sums["ece"],
            **areas,
        }


def at_half(probabilities: Array, targets: Array) -> dict[str, float]:
    """Macro means over findings at probability 0.5 of accuracy, balanced accuracy and F1; {} where no finding has both values."""
    each = [_at_half(probabilities[:, at], targets[:, at]) for at in range(targets.shape[1])]
    known = [values for values in each if values]
    return {name: float(np.mean([one[name] for one in known])) for name in known[0]} if known else {}


def _at_half(p: Array, target: Array) -> dict[str, float]:
    """{} unless both values are known."""
    truth, said = target[~np.isnan(target)] == 1, p[~np.isnan(target)] >= 0.5
    if truth.all() or not truth.any():
        return {}
    hits = truth == said
    f1 = 2 * float((truth & said).sum()) / float(truth.sum() + said.sum())
    return {
        "accuracy": float(hits.mean()),
        "balanced_accuracy": float((hits[truth].mean() + hits[~truth].mean()) / 2),
        "macro_f1": f1,
    }
