"""Accuracy, balanced accuracy, macro-F1 and macro one-versus-rest AUROC, from sums that stream over a test set.

A class that has no test sample is left out of the means it has no value for, so that every metric is defined for the
classes that are there; AUROC is NaN when no class has both positives and negatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

from foretell.measures.calibration import cells
from foretell.measures.intervals import percentile, recounted, resampled, widened

MOST_CONFUSION = 64  # classes of which a confusion matrix is kept: larger ones cannot be read
Metric = Literal["accuracy", "balanced_accuracy", "macro_f1", "auroc"]
METRICS: tuple[str, ...] = get_args(Metric)
_EXACT_SCORES = 1 << 25
_BINS = 8192


def confusion(truth: NDArray[np.int64], foretold: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts; rows are the truth, columns what was foretold."""
    return np.bincount(truth * classes + foretold, minlength=classes * classes).reshape(classes, classes)


def from_confusion(matrix: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, balanced accuracy (mean recall of the classes that occur) and macro-F1 (mean over the classes that
    occur or are foretold), as scikit-learn defines them. NaN for an empty matrix.
    """
    total = matrix.sum()
    if total == 0:
        return dict.fromkeys(METRICS[:3], math.nan)
    hits = np.diag(matrix).astype(np.float64)
    truth = matrix.sum(1)
    either = truth + matrix.sum(0)
    seen, named = truth > 0, either > 0
    return {
        "accuracy": float(hits.sum() / total),
        "balanced_accuracy": float((hits[seen] / truth[seen]).mean()),
        "macro_f1": float((2 * hits[named] / either[named]).mean()),
    }


def commonest(counts: Sequence[int] | NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any] | None:
    """What answering the commonest class of a test part always comes to: {"class", "share", "metrics": as ``METRICS``}.

    ``counts`` (C,) of the samples of each of ``classes``; None where nothing was counted. The share is the accuracy.
    """
    found = np.asarray(counts)
    if not found.sum():
        return None
    best = int(found.argmax())
    answers = np.zeros((len(found), len(found)), np.int64)
    answers[:, best] = found
    measured = {**from_confusion(answers), "auroc": 0.5}
    return {"class": classes[best], "share": measured["accuracy"], "metrics": measured}


def of_commonest(found: Mapping[str, Any], metric: str) -> tuple[str, float]:
    """(metric, value) of what ``commonest`` found: of ``metric``, or of accuracy where that one was not kept."""
    measured = found.get("metrics") or {}
    return (metric, measured[metric]) if metric in measured else ("accuracy", found["share"])


def only_answer(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str | None:
    """The class that every answer of a confusion matrix (rows: the truth) names; None where answers differ or are none."""
    if not len(matrix):
        return None
    named = np.flatnonzero(np.asarray(matrix).sum(axis=0))
    return classes[int(named[0])] if len(named) == 1 else None


def area(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """The area under the ROC curve of (N,) scores for the samples that are ``positive`` (N,), ties counted half.

    The Mann-Whitney form; NaN unless there are both.
    """
    n = int(positive.sum())
    rest = len(positive) - n
    if not n or not rest:
        return math.nan
    return (float(rankdata(scores)[positive].sum()) - n * (n + 1) / 2) / (n * rest)


def sides(scores: NDArray[np.float32]) -> NDArray[Any]:
    """What each class is told from the others by, of (N, classes) probabilities: its own, and of two classes the
    log-odds (N, 1) of the second one.

    The two columns then order the samples alike, though a probability near 1 is rounded off and the other, near 0, is not.
    """
    if scores.shape[1] != 2:
        return scores
    with np.errstate(divide="ignore"):
        first, second = np.log(scores.astype(np.float64)).T
    neither = np.isneginf(first) & np.isneginf(second)
    odds: NDArray[np.float64] = np.subtract(second, first, where=~neither, out=np.zeros(len(scores)))
    return odds[:, None]


def _codes(columns: int) -> Sequence[int]:
    """The class that each of the ``columns`` of ``sides`` is of."""
    return [1] if columns == 1 else range(columns)


def auroc(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Macro one-versus-rest ``area`` of (N, classes) probabilities; of two classes the one area that there is, by ``sides``.

    Equals scikit-learn's ``roc_auc_score(..., multi_class="ovr")`` where that is defined.
    """
    columns = sides(scores)
    areas = [area(column, truth == code) for code, column in zip(_codes(columns.shape[1]), columns.T, strict=True)]
    defined = [value for value in areas if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def drawn_area(scores: NDArray[Any], positive: NDArray[np.bool_]) -> Callable[[NDArray[np.int32]], NDArray[np.float64]]:
    """``area`` of samples drawn again: of (N, D) counts, how often each was drawn, to (D,) areas. Sorted once for all draws.

    A positive wins against all that is drawn below it, and by half against its equals; what positives win among
    themselves, half of their square, is taken off.
    """
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    ours = np.flatnonzero(positive)
    below, through = (np.searchsorted(ascending, scores[ours], side=side) for side in ("left", "right"))

    def of(counts: NDArray[np.int32]) -> NDArray[np.float64]:
        passed = np.zeros((len(counts) + 1, counts.shape[1]), dtype=np.int32)
        np.cumsum(counts[order], axis=0, out=passed[1:])
        drawn = counts[ours].astype(np.float64)
        n = drawn.sum(axis=0)
        pairs = n * (passed[-1] - n)
        won = (drawn * (passed[below] + passed[through])).sum(axis=0) / 2 - n * n / 2
        return np.where(pairs > 0, won / np.maximum(pairs, 1), math.nan)

    return of


def mean_of_defined(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over arrays of equal length, place by place, of those that are not NaN there; NaN where all are."""
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    sums = np.where(known, stacked, 0).sum(axis=0)
    return np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), math.nan)


def drawn_auroc(
    scores: NDArray[np.float32], truth: NDArray[np.int64]
) -> Callable[[NDArray[np.int32]], NDArray[np.float64]]:
    """``auroc`` of samples drawn again, as ``drawn_area`` is to ``area``."""
    columns = sides(scores)
    each = [drawn_area(column, truth == code) for code, column in zip(_codes(columns.shape[1]), columns.T, strict=True)]
    return lambda counts: mean_of_defined([of(counts) for of in each])


class Scores(Protocol):
    """What sums over batches of a test set."""

    def add(self, probabilities: NDArray[np.float32], truth: NDArray[Any]) -> None: ...
    def result(self) -> dict[str, Any]: ...
    @property
    def matrix(self) -> NDArray[np.int64]: ...


class Tally:
    """Sums over batches of a test set.

    Memory does not grow with the test set beyond 2**25 scores (128 MiB): from there on AUROC comes from histograms of
    8192 bins a class in the log-odds of the probability, right within 1e-3.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._matrix: NDArray[np.int64] = np.zeros((classes, classes), dtype=np.int64)
        self._scores: list[NDArray[np.float32]] = []
        self._truth: list[NDArray[np.int64]] = []
        self._kept = 0
        self._histogram: NDArray[np.int64] | None = None

    def add(self, probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        """(B, classes) probabilities and (B,) codes in [0, classes)."""
        self._matrix += confusion(truth, probabilities.argmax(1).astype(np.int64), self.classes)
        if self._histogram is not None:
            self._count(probabilities, truth)
            return
        self._scores.append(np.asarray(probabilities, dtype=np.float32))
        self._truth.append(truth)
        self._kept += probabilities.size
        if self._kept > _EXACT_SCORES:
            self._histogram = np.zeros((1 if self.classes == 2 else self.classes, 2, _BINS), dtype=np.int64)
            for scores, codes in zip(self._scores, self._truth, strict=True):
                self._count(scores, codes)
            self._scores, self._truth = [], []

    def _count(self, probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        assert self._histogram is not None
        columns = sides(probabilities)
        bins = cells(expit(columns) if self.classes == 2 else columns, _BINS)
        for counts, column, code in zip(self._histogram, bins.T, _codes(len(bins.T)), strict=True):
            positive = truth == code
            counts[1] += np.bincount(column[positive], minlength=_BINS)
            counts[0] += np.bincount(column[~positive], minlength=_BINS)

    def _auroc(self) -> float:
        if self._histogram is None:
            if not self._scores:
                return math.nan
            return auroc(np.concatenate(self._scores), np.concatenate(self._truth))
        areas = []
        for negative, positive in self._histogram:
            n, rest = int(positive.sum()), int(negative.sum())
            if n and rest:
                below = np.cumsum(negative) - negative
                areas.append(float((positive * (below + 0.5 * negative)).sum()) / n / rest)
        return float(np.mean(areas)) if areas else math.nan

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(classes, classes) counts as ``confusion`` gives."""
        return self._matrix

    def result(self) -> dict[str, float]:
        """The four metrics so far."""
        return {**from_confusion(self._matrix), "auroc": self._auroc()}


def score(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float]:
    """The four metrics of (N, classes) probabilities and (N,) codes."""
    tally = Tally(probabilities.shape[1])
    tally.add(probabilities, truth)
    return tally.result()


_WORDS = {"macro_f1": "macro-F1", "auroc": "AUROC", "image_macro_f1": "image macro-F1", "image_auroc": "image AUROC"}


def metric_name(metric: str) -> str:
    """A metric's name as a person reads it, within a sentence."""
    return _WORDS.get(metric, metric.replace("_", " "))


def chance(metric: str, classes: int, *, findings: bool = False) -> float | None:
    """What guessing evenly comes to; None where that depends on how many there are of each class.

    ``findings``: each of ``classes`` is there or not, whatever the others.
    """
    if metric == "auroc":
        return 0.5
    if findings:
        return 0.5 if metric in ("accuracy", "balanced_accuracy") else None
    return 1 / classes if metric in ("accuracy", "balanced_accuracy") and classes else None


def or_even(value: float) -> float:
    """A validation score to choose by; an AUROC that is not defined, of one class alone, counts as guessing (0.5)."""
    return 0.5 if math.isnan(value) else value


def led_by(metric: str, metrics: Sequence[str]) -> tuple[str, ...]:
    """``metrics`` with ``metric`` first."""
    return (metric, *(name for name in metrics if name != metric))


def with_intervals(
    probabilities: NDArray[np.float32],
    codes: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    *,
    draws: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """The four metrics, and under "intervals" the 95% bootstrap interval of each: metric -> [low, high].

    Where every draw is equal, accuracy has the exact interval of a share and the others none (NaN); see ``widened``.
    """
    classes = probabilities.shape[1]
    foretold = probabilities.argmax(axis=1).astype(np.int64)
    drawing: dict[str, Any] = {"groups": groups, "draws": draws, "seed": seed}

    def drawn(metric: str) -> list[float]:
        if metric == "auroc":
            return recounted(drawn_auroc(probabilities, codes), len(codes), **drawing)
        return resampled(
            lambda rows: from_confusion(confusion(codes[rows], foretold[rows], classes))[metric], len(codes), **drawing
        )

    found: dict[str, Any] = score(probabilities, codes)
    intervals = {}
    for metric in METRICS:
        interval = percentile(found[metric], drawn(metric), len(codes))
        interval = widened(interval, share=metric == "accuracy", groups=groups)
        intervals[metric] = [interval.low, interval.high]
    return {**found, "intervals": intervals}
