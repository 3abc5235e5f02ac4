"""The test part drawn again by group (patient): how far a score depends on who happened to be tested.

The bootstrap (Efron 1979) over whole groups, since the samples of one patient are not independent. The draws depend on the
groups alone, so that every fit of a comparison is judged on the same drawn test parts and differences can be paired. Test
parts of other groups (another domain's patients) are drawn independently: nothing pairs one patient with another.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.measures.intervals import alike, exact_share, recounted, resampled
from foretell.measures.metrics import Scores, confusion, drawn_auroc, from_confusion
from foretell.measures.multilabel import drawn_macro_auroc, headline

Row = dict[str, Any]
Array = NDArray[np.float32]
Index = NDArray[np.int64]
Drawn = Callable[[NDArray[Any], Index], list[float]]  # what was kept of each sample, and its group, to a value a draw

DRAWS = 200
LEVEL = 0.95
KEY = "draws"  # of a row: the headline metric of every drawn test part
DIGITS = 5


def seed_of(groups: Index) -> int:
    """The seed of the draws of a test part: that of another one with the same groups alone."""
    digest = hashlib.blake2b(np.unique(groups).astype("<i8").tobytes(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


class Redrawn:
    """``scores`` with the values of their headline metric on ``DRAWS`` drawn test parts beside them, as ``KEY``.

    ``groups`` (N,) of all samples that will be added, in their order, by numbers that are the groups' own in every test part
    (``labelled.group_codes``): parts of the same groups share their draws (``seed_of``). ``reduce`` turns
    probabilities and truth of a batch into what ``drawn`` needs of each sample (N, ...), so that no more than that is kept.
    """

    def __init__(
        self,
        scores: Scores,
        groups: Index,
        reduce: Callable[[Array, NDArray[Any]], NDArray[Any]],
        drawn: Drawn,
    ) -> None:
        self._scores, self._groups = scores, groups
        self._reduce, self._drawn = reduce, drawn
        self._kept: list[NDArray[Any]] = []

    def add(self, probabilities: Array, truth: NDArray[Any]) -> None:
        self._scores.add(probabilities, truth)
        self._kept.append(self._reduce(probabilities, truth))

    @property
    def matrix(self) -> NDArray[np.int64]:
        return self._scores.matrix

    def result(self) -> dict[str, Any]:
        values = self._drawn(np.concatenate(self._kept), self._groups)
        return {**self._scores.result(), KEY: [round(value, DIGITS) for value in values]}


def _by_rows(statistic: Callable[[NDArray[Any]], float]) -> Drawn:
    """By what was kept of the samples of a draw."""

    def drawn(kept: NDArray[Any], groups: Index) -> list[float]:
        return resampled(
            lambda rows: statistic(kept[rows]), len(kept), groups=groups, draws=DRAWS, seed=seed_of(groups)
        )

    return drawn


def _by_counts(statistic: Callable[[NDArray[Any]], Callable[[NDArray[np.int32]], NDArray[np.float64]]]) -> Drawn:
    """By how often each sample was drawn, many draws at once."""

    def drawn(kept: NDArray[Any], groups: Index) -> list[float]:
        return recounted(statistic(kept), len(kept), groups=groups, draws=DRAWS, seed=seed_of(groups))

    return drawn


def of_classes(scores: Scores, groups: Index, metric: str) -> Redrawn:
    """``Redrawn`` ``metric`` of one class a sample."""
    if metric == "accuracy":
        hits = _by_rows(lambda kept: float(kept.mean()))
        return Redrawn(scores, groups, lambda p, truth: p.argmax(axis=1) == truth, hits)
    if metric == "auroc":
        areas = _by_counts(lambda kept: drawn_auroc(kept[:, :-1], kept[:, -1]))
        return Redrawn(scores, groups, lambda p, truth: np.column_stack([p, truth]), areas)

    def of_confusion(kept: NDArray[np.int64]) -> float:
        return from_confusion(confusion(kept[:, 0], kept[:, 1], int(kept.max()) + 1))[metric]

    return Redrawn(scores, groups, lambda p, truth: np.column_stack([truth, p.argmax(axis=1)]), _by_rows(of_confusion))


def of_findings(scores: Scores, groups: Index, metric: str) -> Redrawn:
    """``Redrawn`` ``metric``, the mean over several findings a sample."""
    if metric == "auroc":
        drawn = _by_counts(lambda kept: drawn_macro_auroc(kept[:, 0], kept[:, 1]))
    else:
        drawn = _by_rows(lambda kept: headline(kept[:, 0], kept[:, 1], metric))
    return Redrawn(scores, groups, lambda p, truth: np.stack([p, truth], axis=1), drawn)


# of a comparison ----------------------------------------------------------------------------------------------------


def _mean(rows: Sequence[Row], key: str) -> list[float | None]:
    """The mean over ``rows`` of each draw, None where it is not defined for all."""
    drawn = np.array([row[key] for row in rows], dtype=np.float64)
    return [None if math.isnan(value) else round(float(value), DIGITS) for value in drawn.mean(axis=0)]


def taken_from(rows: Sequence[Row], metric: str, prefixes: Iterable[str] = ("",)) -> list[Row]:
    """The drawn values of each arm and amount of labels, means over seeds; they are taken out of the ``rows``.

    [{"arm", "per_class", "metric", "values"}]; ``prefixes`` of the metric are those of other test parts.
    """
    found = []
    for prefix in prefixes:
        key = prefix + KEY
        points: dict[tuple[str, Any], list[Row]] = {}
        for row in rows:
            if key in row:
                points.setdefault((row["arm"], row["per_class"]), []).append(row)
        for (arm, per_class), own in points.items():
            values = _mean(own, key)
            found.append({"arm": arm, "per_class": per_class, "metric": prefix + metric, "values": values})
        for row in rows:
            row.pop(key, None)
    return found


def bounds(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The 95% percentile interval; None where fewer than two draws are defined (NaN)."""
    kept = values[~np.isnan(values)]
    if len(kept) < 2:
        return None
    low, high = np.quantile(kept, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return float(low), float(high)


def spread(redrawn: Sequence[Row], per_class: Any, of: tuple[str, str], less: tuple[str, str] | None = None) -> Row:
    """{"group_low", "group_high"} of the mean over seeds of one (arm, metric), ``less`` that of another.

    {} where nothing was drawn.
    """
    values = {
        (row["arm"], row["metric"]): np.asarray(row["values"], dtype=np.float64)
        for row in redrawn
        if row["per_class"] == per_class
    }
    if of not in values or (less is not None and less not in values):
        return {}
    found = bounds(values[of] if less is None else values[of] - values[less])
    return {} if found is None else {"group_low": found[0], "group_high": found[1]}


def with_interval(scores: Row, metric: str, groups: Index | None = None) -> Row:
    """The scores of one fit with "intervals", metric -> [low, high] over test groups, in place of its draws.

    Where every draw is equal, the exact one of a share of the ``groups`` for accuracy, and none for another metric.
    """
    kept = {name: value for name, value in scores.items() if name != KEY}
    found = bounds(np.asarray(scores[KEY], dtype=np.float64)) if KEY in scores else None
    if found is not None and alike(*found):
        found = _exact(found[0], metric, 0 if groups is None else len(np.unique(groups)))
    return kept if found is None else {**kept, "intervals": {metric: list(found)}}


def _exact(value: float, metric: str, groups: int) -> tuple[float, float] | None:
    """``exact_share`` of accuracy; None where there is none, and for another metric."""
    low, high = exact_share(value, groups)
    return None if metric != "accuracy" or math.isnan(low) else (low, high)


def widen_spreads(summary: Sequence[Row], groups: Mapping[str, int]) -> None:
    """Give means of accuracy that every drawn test part shares the exact interval over ``groups``: metric -> how many."""
    for row in summary:
        low, high = row.get("group_low"), row.get("group_high")
        if row["metric"] in groups and low is not None and high is not None and alike(low, high):
            found = _exact(row["mean"], "accuracy", groups[row["metric"]])
            if found is not None:
                row["group_low"], row["group_high"] = found


def settled(row: Row) -> str:
    """The verdict of a difference over seeds; undecided where its interval over test groups holds zero."""
    low, high = row.get("group_low"), row.get("group_high")
    if low is not None and high is not None and low <= 0 <= high:
        return "undecided"
    return str(row["verdict"])


def add_spreads(rows: Sequence[Row], redrawn: Sequence[Row]) -> None:
    """Put ``spread`` into the rows of a summary, or of differences (which have "against" and a "verdict", then ``settled``)."""
    drawn = {row["metric"] for row in redrawn}
    for row in rows:
        if row["metric"] in drawn:
            less = (row["against"], row["metric"]) if "against" in row else None
            row.update(spread(redrawn, row["per_class"], (row["arm"], row["metric"]), less))
            if less is not None:
                row["verdict"] = settled(row)
