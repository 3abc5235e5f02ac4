"""Cases of several images as the unit of labels and of scores: a label holds for all images of a case, and what the
images foretell is pooled into one answer a case.

The mean of probabilities is what Azizi et al. (arXiv 2101.05224) name for cases; the maximum suits a finding that shows
in one image of many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.bags import Bags
from foretell.errors import InputError
from foretell.measures.calibration import Calibration
from foretell.measures.metrics import Scores, Tally, commonest, with_intervals
from foretell.measures.multilabel import FindingsTally
from foretell.measures.operating import Operating
from foretell.measures.redrawn import of_classes, of_findings
from foretell.objectives.micle import COLUMNS
from foretell.transfer.fractions import validation_splits
from foretell.transfer.images.labelled import Index, Labelled, labelled

if TYPE_CHECKING:
    from foretell.data.store import ImageStore
    from foretell.transfer.config import TransferConfig

Array = NDArray[np.float32]


def labelled_cases(store: ImageStore, index: Index, column: str = "label") -> Labelled:
    """The rows of ``index`` whose case has a label, with that label, and the number of each row's case in ``cases``.

    Images of one ``case`` of one ``group`` belong together (of one group where there are no cases). Raises InputError
    when the table has neither column or a case has two labels, and as ``labelled`` does.
    """
    table = store.table
    if not any(name in table for name in COLUMNS["case"]):
        raise InputError(
            f"{store.source}: transfer.unit=case needs a column case or group that says which images belong together; "
            "give a manifest with one, or --set transfer.unit=image"
        )
    if column not in table:
        return labelled(store, index, column)
    cases = Bags(table, COLUMNS["case"]).of_row
    own = table.column(column)
    of_case: dict[int, tuple[str, int]] = {}
    for row in index:
        label = own[row]
        if label is None:
            continue
        first, where = of_case.setdefault(int(cases[row]), (label, int(row)))
        if first != label:
            raise InputError(
                f"{store.source}: one case has two labels: '{store.names[where]}' is {first}, '{store.names[row]}' is "
                f"{label}; give all images of a case one label, or --set transfer.unit=image"
            )
    filled = [of_case[case][0] if case in of_case else None for case in cases.tolist()]
    data = labelled(store.with_table(table.with_column(column, filled)), index, column)
    return replace(data, cases=cases[data.index])


def unit_notes(store: ImageStore, rows: Iterable[int], config: TransferConfig, column: str = "label") -> list[str]:
    """What to tell who judges the images ``rows`` where each case of several has one label throughout: one note, or none."""
    table = store.table
    if (
        config.unit == "case"
        or config.findings
        or column not in table
        or not any(name in table for name in COLUMNS["case"])
    ):
        return []
    cases, own = Bags(table, COLUMNS["case"]).of_row, table.column(column)
    labels: dict[int, list[str]] = {}
    for row in rows:
        if (label := own[row]) is not None:
            labels.setdefault(int(cases[row]), []).append(label)
    several = [given for given in labels.values() if len(given) > 1]
    if not several or any(len(set(given)) > 1 for given in several):
        return []
    unit, units = ("case", "cases") if "case" in table else ("group (patient)", "groups")
    return [f"every {unit} has one label: transfer.unit=case judges {units}; now each image is judged by itself"]


def count(data: Labelled) -> int:
    """How many labels ``data`` holds: its cases, or its images where these are labelled one by one."""
    return len(data) if data.cases is None else len(np.unique(data.cases))


def firsts(data: Labelled) -> Index:
    """Positions of one sample of each case, by case number; of every sample where images are labelled one by one."""
    return np.arange(len(data)) if data.cases is None else np.unique(data.cases, return_index=True)[1]


def commonest_of(data: Labelled) -> dict[str, Any] | None:
    """``metrics.commonest`` of the samples, or the cases, of ``data``; None where these have findings."""
    if data.targets is not None:
        return None
    return commonest(np.bincount(data.codes[firsts(data)], minlength=len(data.classes)), data.classes)


def weights(data: Labelled) -> Array | None:
    """(N,) with mean 1, so that every case weighs alike however many images it has; None for images of their own."""
    if data.cases is None:
        return None
    _, of, sizes = np.unique(data.cases, return_inverse=True, return_counts=True)
    shares: Array = (len(data) / len(sizes) / sizes[of]).astype(np.float32)
    return shares


def splits(data: Labelled, config: TransferConfig, seed: int) -> tuple[list[tuple[Index, Index]], str]:
    """``fractions.validation_splits`` with a case as one label: pairs of positions in ``data``, and the rule in words."""
    if data.cases is None:
        return validation_splits(data.codes, data.groups, k=config.folds, share=config.holdout, seed=seed)
    one = firsts(data)
    groups = None if data.groups is None else data.groups[one]
    pairs, how = validation_splits(data.codes[one], groups, k=config.folds, share=config.holdout, seed=seed)
    cases = data.cases[one]
    whole = [
        (np.flatnonzero(np.isin(data.cases, cases[a])), np.flatnonzero(np.isin(data.cases, cases[b]))) for a, b in pairs
    ]
    return whole, f"{how}, each of a case"


class Pool:
    """Probabilities of images, given in order, gathered case by case.

    ``cases`` (N,) numbers the case of every image; "mean" averages, "max" takes the largest of each class, and scales the
    sum to 1 where a case has one class (``exclusive``). With "attention" the logarithms of each image's weights follow, one or
    one for each class (``attention.AttentionProbe``, ``findings.AttentionFindings``); without them, as of neighbours,
    images weigh alike. Memory is that of the cases, not of the images.
    """

    def __init__(self, cases: Index, classes: int, pooling: str, *, exclusive: bool = True) -> None:
        self.numbers, self._of, self._sizes = np.unique(cases, return_inverse=True, return_counts=True)
        self._exclusive = exclusive
        self._at = 0
        self._max = pooling == "max"
        self._sums = np.zeros((len(self.numbers), classes), dtype=np.float64)
        # of the weights of attention: the logarithm of the largest so far, which the sums are relative to
        self._highest = np.full((len(self.numbers), 1), -np.inf)
        self._weights: NDArray[np.float64] | None = None

    def add(self, probabilities: Array) -> None:
        """(B, classes) of the next B images, or (B, classes + weights)."""
        of, classes = self._of[self._at : self._at + len(probabilities)], self._sums.shape[1]
        if probabilities.shape[1] > classes:
            weight = self._weigh(of, probabilities[:, classes:].astype(np.float64))
            np.add.at(self._sums, of, probabilities[:, :classes] * weight)
        else:
            (np.maximum if self._max else np.add).at(self._sums, of, probabilities)
        self._at += len(probabilities)

    def _weigh(self, of: Index, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """exp(``score``) (B, weights) relative to the largest of each case; what was summed before is made relative to it too."""
        if self._weights is None:
            self._weights = np.zeros((len(self.numbers), score.shape[1]))
            self._highest = np.broadcast_to(self._highest, self._weights.shape).copy()
        here = np.unique(of)
        before = self._highest[here]
        np.maximum.at(self._highest, of, score)
        fade = np.exp(before - self._highest[here])  # 0 for a case that nothing was summed of yet
        self._sums[here] *= fade
        self._weights[here] *= fade
        weight: NDArray[np.float64] = np.exp(score - self._highest[of])
        np.add.at(self._weights, of, weight)
        return weight

    def probabilities(self) -> Array:
        """(cases, classes), cases by their number."""
        shares = self._sizes.astype(np.float64)[:, None] if self._weights is None else self._weights
        divisor = np.ones((len(self._sums), 1)) if self._max else shares
        if self._exclusive:
            divisor = np.maximum(self._sums.sum(axis=1, keepdims=True), 1e-12)
        scaled: Array = (self._sums / divisor).astype(np.float32)
        return scaled


def judged(data: Labelled, probabilities: Array, pooling: str) -> tuple[Array, NDArray[Any], Index | None]:
    """(probabilities, truth, groups) of what is judged: cases, or the images themselves.

    ``probabilities`` (N, classes) are those of the images of ``data``, or (N, classes + weights) with those of attention.
    """
    if data.cases is None:
        return probabilities, data.truth, data.groups
    pool = Pool(data.cases, len(data.classes), pooling, exclusive=data.targets is None)
    pool.add(probabilities)
    one = firsts(data)
    return pool.probabilities(), data.truth[one], data.cases[one] if data.groups is None else data.groups[one]


class Whole:
    """Sums over samples: the four metrics, and how far the probabilities can be believed."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._tally, self._calibration = Tally(classes), Calibration()

    def add(self, probabilities: Array, truth: Index) -> None:
        self._tally.add(probabilities, truth)
        self._calibration.add(probabilities, truth)

    @property
    def matrix(self) -> NDArray[np.int64]:
        return self._tally.matrix

    def result(self) -> dict[str, float]:
        return {**self._tally.result(), **self._calibration.result()}


class AtThresholds:
    """``scores`` with sensitivity and specificity beside them."""

    def __init__(self, scores: Scores, thresholds: Sequence[float | None]) -> None:
        self._scores, self._operating = scores, Operating(thresholds)

    def add(self, probabilities: Array, truth: NDArray[Any]) -> None:
        self._scores.add(probabilities, truth)
        self._operating.add(probabilities, truth)

    @property
    def matrix(self) -> NDArray[np.int64]:
        return self._scores.matrix

    def result(self) -> dict[str, Any]:
        return {**self._scores.result(), **self._operating.result()}


def _plain_tally(data: Labelled) -> Scores:
    return Whole(len(data.classes)) if data.targets is None else FindingsTally(data.classes)


def _tally(
    data: Labelled, thresholds: Sequence[float | None] | None, groups: Index | None, drawn: str | None
) -> Scores:
    """``thresholds`` of the classes, where they are known; without them sensitivity is NaN. The metric ``drawn`` is told of
    test parts drawn again by ``groups`` of what is judged.
    """
    scores = AtThresholds(_plain_tally(data), thresholds or [None] * len(data.classes))
    if groups is None or drawn is None:
        return scores
    return (of_classes if data.targets is None else of_findings)(scores, groups, drawn)


class CaseTally:
    """Sums over the images of ``data``, given in order: the metrics of its cases, and those of its images beside them."""

    def __init__(
        self, data: Labelled, pooling: str, thresholds: Sequence[float | None] | None, *, drawn: str | None = None
    ) -> None:
        assert data.cases is not None
        self._data, self._thresholds, self._drawn = data, thresholds, drawn
        self._images = _plain_tally(data)
        self._pool = Pool(data.cases, len(data.classes), pooling, exclusive=data.targets is None)

    def add(self, probabilities: Array, truth: NDArray[Any]) -> None:
        self._images.add(probabilities[:, : len(self._data.classes)], truth)
        self._pool.add(probabilities)

    def _cases(self) -> Scores:
        one, groups = firsts(self._data), self._data.groups
        tally = _tally(self._data, self._thresholds, None if groups is None else groups[one], self._drawn)
        tally.add(self._pool.probabilities(), self._data.truth[one])
        return tally

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The confusion of the cases."""
        return self._cases().matrix

    def result(self) -> dict[str, Any]:
        images = {f"image_{name}": value for name, value in self._images.result().items()}
        return {**self._cases().result(), **images}


def tally_of(
    data: Labelled, pooling: str, thresholds: Sequence[float | None] | None = None, *, drawn: str | None = None
) -> Scores:
    """What sums over the samples of ``data``, given in order; ``thresholds`` are those of the cases where there are some.

    ``drawn``: a metric that is also told of test parts drawn again by group, where there are groups (``redrawn.KEY``).
    """
    if data.cases is not None:
        return CaseTally(data, pooling, thresholds, drawn=drawn)
    return _tally(data, thresholds, data.groups, drawn)


def scores(data: Labelled, probabilities: Array, pooling: str) -> dict[str, float]:
    """The metrics of ``probabilities`` (N, classes) of the samples of ``data``."""
    tally = tally_of(data, pooling)
    tally.add(probabilities, data.truth)
    return tally.result()


def scores_with_intervals(data: Labelled, probabilities: Array, pooling: str) -> dict[str, Any]:
    """``scores`` of classes, and under "intervals" those of ``with_intervals``: over test samples, or their groups."""
    spread = with_intervals(*judged(data, probabilities, pooling))["intervals"]
    return {**scores(data, probabilities, pooling), "intervals": spread}
