"""The linear probe: L2-penalised multinomial logistic regression on standardised frozen features, by L-BFGS."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from foretell.errors import InputError

Array = NDArray[np.float32]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Probe:
    """A linear classifier on raw features: logits = x @ weight.T + bias, ``weight`` (classes, D), ``bias``
    (classes,).

    The standardisation is folded in. A class without a training sample has a bias of -1e4: it is never foretold.
    """

    weight: Array
    bias: Array
    strength: float

    def logits(self, x: Array) -> Array:
        return (x @ self.weight.T + self.bias).astype(np.float32)

    def probabilities(self, x: Array) -> Array:
        """(N, classes)."""
        return torch.from_numpy(self.logits(x)).softmax(dim=1).numpy()


def fit_probe(
    x: Array,
    y: Codes,
    classes: int,
    strength: float = 1e-2,
    *,
    iterations: int = 300,
    start: Probe | None = None,
    weights: Array | None = None,
) -> Probe:
    """Minimise mean cross-entropy + strength / 2 |W|^2 over (N, D) features standardised on themselves.

    ``weights`` (N,) with mean 1 weigh the samples in the cross-entropy.

    Raises InputError when ``y`` (N,) names fewer than two classes.
    """
    found = np.unique(y)
    if len(found) < 2:
        raise InputError("a classifier needs labels of at least two classes; these name one")
    x64 = x.astype(np.float64) if len(x) <= 20_000 else x
    mean = x64.mean(axis=0)
    scale = x64.std(axis=0)
    # A feature that is constant on the labelled samples says nothing: it gets no weight instead of a huge scale.
    dead = scale < 1e-6 * max(float(scale.max()), 1e-12)
    scale = np.where(dead, 1.0, scale)
    z = np.where(dead, 0.0, (x64 - mean) / scale)
    # With two classes scikit-learn fits w alone, where W = (-w / 2, w / 2) and |W|^2 = |w|^2 / 2.
    inverse = (2.0 if len(found) == 2 else 1.0) / (strength * len(x))
    model = LogisticRegression(C=inverse, max_iter=iterations, warm_start=start is not None)
    if start is not None and len(found) > 2:
        model.classes_ = found
        model.coef_ = start.weight[found].astype(z.dtype) * scale
        model.intercept_ = (start.bias[found] + start.weight[found] @ mean).astype(z.dtype)
    with quiet_fit():
        model.fit(z, y, sample_weight=weights)
    coef, intercept = model.coef_, model.intercept_
    if len(found) == 2:
        coef = np.concatenate([-coef, coef]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    weight = np.zeros((classes, x.shape[1]), dtype=np.float32)
    bias = np.full(classes, -1e4, dtype=np.float32)
    weight[found] = np.where(dead, 0.0, coef / scale)
    bias[found] = intercept - weight[found].astype(np.float64) @ mean
    return Probe(weight, bias, strength)


@contextmanager
def quiet_fit() -> Iterator[None]:
    """Without the warnings of scikit-learn that say nothing to a user of few labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weakly penalised separable data: near enough is enough
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # one or two labels a class
        yield


def strengths(low: float, high: float, trials: int) -> list[float]:
    """``trials`` penalties, log-spaced from strong to weak, from end to end of the range.

    One is the middle of it; two are a quarter and three quarters of the way, as what is best lies between the ends.
    """
    if trials <= 2:
        return [float(value) for value in np.geomspace(high, low, 2 * trials + 1)[1::2]]
    return [float(value) for value in np.geomspace(high, low, trials)]


def cross_entropy(probabilities: Array, y: Codes) -> float:
    """Mean of -log p of the true class, p floored at 1e-7."""
    own = probabilities[np.arange(len(y)), y].astype(np.float64)
    return float(-np.log(np.maximum(own, 1e-7)).mean())


def class_totals(probabilities: Array, y: Codes) -> tuple[float, float]:
    """(hits, summed cross-entropy)."""
    return float((probabilities.argmax(axis=1) == y).sum()), cross_entropy(probabilities, y) * len(y)


def class_judgement(made: list[tuple[Array, Codes]]) -> tuple[float, float, dict[str, Any]]:
    sums = [class_totals(p, y) for p, y in made]
    seen = sum(len(y) for _, y in made)
    return sum(hits for hits, _ in sums) / seen, sum(loss for _, loss in sums) / seen, {}


def linear_probe(
    train_x: Array,
    train_y: NDArray[Any],
    classes: int,
    *,
    splits: list[tuple[Codes, Codes]],
    trials: int = 8,
    span: tuple[float, float] = (1e-5, 1e1),
    fresh: Callable[[], tuple[Array, NDArray[Any]]] | None = None,
    fit: Callable[[Codes, float, Probe | None], Probe] | None = None,
    judged: Callable[[Codes, Array], tuple[Array, NDArray[Any]]] | None = None,
    judgement: Callable[[list[tuple[Array, NDArray[Any]]]], tuple[float, float, dict[str, Any]]] = class_judgement,
) -> tuple[Probe, list[dict[str, Any]]]:
    """The probe of all training rows with the penalty that did best on ``splits`` of them, and every trial.

    ``splits`` are (training rows, validation rows) of the same labels (``fractions.validation_splits``); where
    there is none, ``fresh`` gives features and codes of fresh views of the training images. A trial is judged by
    validation accuracy, then by cross-entropy. For other tasks ``fit`` makes a model of training rows, a penalty and the
    model of the last penalty, ``judged`` makes of rows and their probabilities the probabilities and truth of what is
    judged, and ``judgement`` makes of these the validation score, the loss and what else is kept of a trial.
    """

    def fit_classes(rows: Codes, strength: float, start: Probe | None) -> Probe:
        return fit_probe(train_x[rows], train_y[rows], classes, strength, start=start)

    fit_rows = fit or fit_classes
    grid = strengths(*span, trials)
    records: list[dict[str, Any]] = []
    if trials > 1 and (splits or fresh is not None):
        parts = [(a, train_x[b], train_y[b]) for a, b in splits]
        if not parts and fresh is not None:
            parts = [(np.arange(len(train_y)), *fresh())]
        last: list[Probe | None] = [None] * len(parts)
        for strength in grid:
            made = []
            for at, (rows, held_x, held_y) in enumerate(parts):
                fitted = last[at] = fit_rows(rows, strength, last[at])
                p = fitted.probabilities(held_x)
                if splits and judged is not None:
                    p, held_y = judged(splits[at][1], p)
                made.append((p, held_y))
            validation, loss, more = judgement(made)
            records.append({"strength": strength, "validation": validation, "validation_loss": loss, **more})
        best = max(records, key=lambda record: (record["validation"], -record["validation_loss"]))
        chosen = best["strength"]
    else:
        chosen = grid[len(grid) // 2]
    return fit_rows(np.arange(len(train_y)), chosen, None), records
