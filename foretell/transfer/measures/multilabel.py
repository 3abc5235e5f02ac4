"""The metrics of several findings of one sample, each there, not there or not known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foretell.transfer.measures.calibration import Calibration
from foretell.transfer.measures.metrics import auroc

Array = NDArray[np.float32]

METRICS = ("auroc", "accuracy", "balanced_accuracy", "macro_f1", "brier", "ece")


def macro_auroc(probabilities: Array, targets: Array) -> dict[str, float]:
    """The area under the ROC curve of each finding by its number, as text; NaN where one value alone is known."""
    found = {}
    for at in range(targets.shape[1]):
        rows = np.flatnonzero(~np.isnan(targets[:, at]))
        p = probabilities[rows, at]
        truth = targets[rows, at].astype(np.int64)
        found[str(at)] = auroc(np.stack([1 - p, p], axis=1), truth) if len(np.unique(truth)) > 1 else math.nan
    return found


def validation(probabilities: Array, targets: Array) -> tuple[float, float]:
    """(mean AUROC of the findings that have one, else 0.5; mean binary cross-entropy of the known)."""
    areas = [area for area in macro_auroc(probabilities, targets).values() if not math.isnan(area)]
    known = ~np.isnan(targets)
    own = np.where(targets == 1, probabilities, 1 - probabilities)[known].astype(np.float64)
    return (float(np.mean(areas)) if areas else 0.5), float(-np.log(np.maximum(own, 1e-7)).mean())


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
        areas = {f"auroc {self.names[int(at)]}": area for at, area in macro_auroc(p, targets).items()}
        defined = [area for area in areas.values() if not math.isnan(area)]
        single = [_at_half(p[:, at], targets[:, at]) for at in range(len(self.names))]
        single = [values for values in single if values]
        means = {name: float(np.mean([one[name] for one in single])) for name in single[0]} if single else {}
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
