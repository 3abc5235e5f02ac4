"""Linear models of a text task on features, dense or sparse: one vector a unit, an example or an answer of a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from foretell.measures.metrics import or_even
from foretell.measures.probe import Probe, cross_entropy, fit_probe, quiet_fit, strengths
from foretell.tasks.base import TextTask
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Classification
from foretell.tasks.inputs import Index

Array = NDArray[np.float32]


class Linear(Protocol):
    """A fitted linear model."""

    def predictions(self, x: Any, task: TextTask) -> Any:
        """What ``task.predictions`` would be, of all its examples, from the features ``x`` of its units."""


class Features(Protocol):
    """A kind of features. ``fitted(task)`` may read the texts of the training examples and gives what makes
    features."""

    def fitted(self, task: TextTask) -> Callable[[TextTask], Any]: ...


# classes ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassProbe:
    """Logistic regression on dense features."""

    probe: Probe

    def predictions(self, x: Any, task: TextTask) -> Array:
        return self.probe.probabilities(x)


@dataclass(frozen=True)
class SparseClasses:
    """A linear support vector machine on sparse features; probabilities are the softmax of its decisions.

    A class without a training example is never foretold.
    """

    model: Any
    classes: int

    def predictions(self, x: Any, task: TextTask) -> Array:
        decisions = self.model.decision_function(x)
        if decisions.ndim == 1:
            decisions = np.stack([-decisions, decisions], axis=1)
        full = np.full((len(decisions), self.classes), -1e4, np.float32)
        full[:, self.model.classes_] = decisions
        return torch.from_numpy(full).softmax(1).numpy()


# choices ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChoiceModel:
    """One number an answer, ``x @ weight``; softmax over the answers of an example."""

    weight: Array
    mean: Array | None = None

    def predictions(self, x: Any, task: TextTask) -> list[Array]:
        assert isinstance(task, Choice)
        values = np.asarray((x if self.mean is None else x - self.mean) @ self.weight, np.float32)
        padded, there = _padded(torch.from_numpy(values), task)
        scores = padded.masked_fill(~there, float("-inf")).softmax(1).numpy()
        return task.ordered(scores, np.arange(len(task)))


def _padded(values: Tensor, task: TextTask) -> tuple[Tensor, Tensor]:
    """(N, most answers) from one value a sequence, and which of them there are."""
    counts = torch.from_numpy(np.diff(task.first))
    there = torch.arange(int(counts.max()))[None, :] < counts[:, None]
    padded = values.new_zeros(there.shape)
    return padded.masked_scatter(there, values), there


def fit_choice(x: Array, task: Choice, strength: float, iterations: int = 200) -> ChoiceModel:
    """Conditional logistic regression (McFadden 1974): mean cross-entropy over the answers + strength / 2 |w|^2, on
    standardised features (S, D), by L-BFGS in float64."""
    mean, scale = x.mean(0), x.std(0)
    dead = scale < 1e-6 * max(float(scale.max()), 1e-12)
    z = torch.from_numpy(np.where(dead, 0.0, (x - mean) / np.where(dead, 1.0, scale))).double()
    right = task.targets(np.arange(len(task)))["right"]
    w = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        padded, there = _padded(z @ w, task)
        loss = functional.cross_entropy(padded.masked_fill(~there, float("-inf")), right)
        loss = loss + strength / 2 * (w @ w)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    weight = np.where(dead, 0.0, w.detach().numpy() / np.where(dead, 1.0, scale))
    return ChoiceModel(weight.astype(np.float32), mean.astype(np.float32))


def fit_dense(x: Array, task: TextTask, strength: float) -> Linear:
    """The linear model of ``task`` on dense features of its units."""
    if isinstance(task, Choice):
        return fit_choice(x, task, strength)
    assert isinstance(task, Classification)
    return ClassProbe(fit_probe(x, task.codes, len(task.classes), strength))


def fit_sparse(x: Any, task: TextTask, strength: float) -> Linear:
    """The linear model of ``task`` on sparse features of its units; ``strength`` is the penalty, 1 / C."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if isinstance(task, Choice):
        counts = np.diff(task.first)
        right = task.targets(np.arange(len(task)))["right"].numpy() + np.cumsum(counts) - counts
        wanted = np.zeros(len(task.sequences), np.int64)
        wanted[right] = 1
        with quiet_fit():
            model = LogisticRegression(C=1 / strength, max_iter=300).fit(x, wanted)
        return ChoiceModel(model.coef_[0].astype(np.float32))
    with quiet_fit():
        fitted = LinearSVC(C=1 / strength, random_state=0).fit(x, task.codes)
    return SparseClasses(fitted, len(task.classes))


# the search ------------------------------------------------------------------------------------------------------------


Fit = Callable[[Any, TextTask, float], Linear]


def loss_of(predictions: Any, task: TextTask) -> float:
    """Mean -log of the probability of what is right."""
    if isinstance(task, Choice):
        own = [float(found[answer]) for found, answer in zip(predictions, task.answer, strict=True)]
        return float(-np.log(np.maximum(own, 1e-7)).mean())
    return cross_entropy(predictions, task.codes)


def search_linear(
    kinds: Mapping[str, Features],
    fit: Fit,
    task: TextTask,
    splits: Sequence[tuple[Index, Index]],
    trials: int,
    span: tuple[float, float],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The kind of features and the strength that validate best on ``splits`` of ``task``, and every trial.

    ``trials`` are shared out among the kinds: equal ``trials`` search an arm with several kinds no harder than one with
    one. A trial is judged by the task's metric, then by loss. Without splits or with one trial per arm the last kind is
    taken, with the middle of ``span``.
    """
    names = list(kinds)
    each = [trials // len(names) + (at < trials % len(names)) for at in range(len(names))]
    records: list[dict[str, Any]] = []
    if trials > 1 and splits:
        for name, count in zip(names, each, strict=True):
            if not count:
                continue
            parts = []
            for train, valid in splits:
                a, b = task.take(train), task.take(valid)
                make = kinds[name].fitted(a)
                parts.append((make(a), a, make(b), b))
            for strength in strengths(*span, count):
                records.append({"features": name, "strength": strength, **_validated(fit, parts, strength)})
        best = max(records, key=lambda record: (record["validation"], -record["validation_loss"]))
        return {"features": best["features"], "strength": best["strength"]}, records
    return {"features": names[-1], "strength": strengths(*span, 1)[0]}, records


def _validated(fit: Fit, parts: Sequence[tuple[Any, TextTask, Any, TextTask]], strength: float) -> dict[str, float]:
    score, loss, seen = parts[0][1].score(), 0.0, 0
    for x, train, held_x, held in parts:
        found = fit(x, train, strength).predictions(held_x, held)
        score.add(found, held, np.arange(len(held)))
        loss += loss_of(found, held) * len(held)
        seen += len(held)
    return {"validation": or_even(score.result()[parts[0][1].metric]), "validation_loss": loss / seen}
