"""Linear models on frozen features, whatever is foretold of whatever unit: classes or findings, of images or of cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.measures.metrics import or_even, score
from foretell.measures.multilabel import validation
from foretell.measures.operating import thresholds_at
from foretell.measures.probe import Probe, class_totals, fit_probe, linear_probe
from foretell.transfer.config import TransferConfig
from foretell.transfer.images import cases
from foretell.transfer.images.attention import fit_attention
from foretell.transfer.images.findings import fit_findings
from foretell.transfer.images.labelled import Index, Labelled

Array = NDArray[np.float32]


def totals(probabilities: Array, truth: NDArray[Any], metric: str) -> tuple[float, float]:
    """(validation score times N, summed cross-entropy) of codes (N,), or of findings (N, L); the score is ``metric``."""
    if truth.ndim == 1:
        hits, loss = class_totals(probabilities, truth)
        return hits if metric == "accuracy" else or_even(score(probabilities, truth)[metric]) * len(truth), loss
    value, loss = validation(probabilities, truth, metric)
    return value * len(truth), loss * len(truth)


def judgement(
    made: Sequence[tuple[Array, NDArray[Any]]], metric: str, specificity: float | None
) -> tuple[float, float, dict[str, Any]]:
    """(``metric``, cross-entropy, {"thresholds"}) of (probabilities, truth) pairs of held-out samples, means over the pairs.

    ``specificity`` None: the samples were learnt from, and no threshold is chosen on them.
    """
    sums = [totals(p, truth, metric) for p, truth in made]
    seen = sum(len(truth) for _, truth in made)
    value, loss = (sum(one[at] for one in sums) / seen for at in range(2))
    if specificity is None:
        return value, loss, {}
    p, truth = (np.concatenate([pair[at] for pair in made]) for at in range(2))
    return value, loss, {"thresholds": thresholds_at(p, truth, specificity)}


def fit_frozen(data: Labelled, x: Array, strength: float, pooling: str, start: Probe | None = None) -> Probe:
    """The linear model of ``data`` with features ``x`` (N, D) and penalty ``strength``; cases weigh alike."""
    weights, attended = cases.weights(data), data.cases if pooling == "attention" else None
    if data.targets is not None:
        return fit_findings(x, data.targets, strength, weights, attended)
    if attended is not None:
        return fit_attention(x, data.codes, attended, len(data.classes), strength, weights)
    return fit_probe(x, data.codes, len(data.classes), strength, start=start, weights=weights)


def probe_of(
    data: Labelled,
    x: Array,
    splits: list[tuple[Index, Index]],
    *,
    config: TransferConfig,
    trials: int,
    fresh: Callable[[], tuple[Array, NDArray[Any]]] | None = None,
) -> tuple[Probe, list[dict[str, Any]]]:
    """``linear_probe`` of ``data`` with features ``x`` (N, D); where cases have the labels they weigh and are judged.

    On ``fresh`` views images are judged, by their class probabilities alone.
    """
    of_classes = len(data.classes)
    return linear_probe(
        x,
        data.truth,
        of_classes,
        splits=splits,
        trials=trials,
        span=config.strengths,
        fresh=fresh,
        fit=lambda rows, strength, start: fit_frozen(data.take(rows), x[rows], strength, config.pooling, start),
        judged=lambda rows, p: cases.judged(data.take(rows), p, config.pooling)[:2],
        judgement=lambda made: judgement(
            [(p[:, :of_classes], truth) for p, truth in made],
            config.headline,
            config.specificity if splits else None,
        ),
    )
