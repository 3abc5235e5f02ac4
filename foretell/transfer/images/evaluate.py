"""What frozen features are worth: nearest neighbours, the linear probe and retrieval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.measures.knn import knn
from foretell.measures.retrieval import mean_average_precision, recall_at_k
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import subset
from foretell.transfer.images import cases
from foretell.transfer.images.frozen import probe_of
from foretell.transfer.images.labelled import Index, Labelled

Array = NDArray[np.float32]

RETRIEVAL_SAMPLES = 10_000


def at_most(data: Labelled, most: int | None, seed: int = 0) -> Labelled:
    """``data``, or about ``most`` of it with the same shares of the classes, no case cut in two."""
    if most is None or len(data) <= most:
        return data
    if data.cases is not None:
        return data.take(subset(data.codes, data.cases, share=most / len(data), seed=seed, unit="group"))
    return data.take(subset(data.codes, share=most / len(data), seed=seed))


def judge_frozen(
    train_x: Array,
    train: Labelled,
    test_x: Array,
    *,
    config: TransferConfig,
    trials: int,
    seed: int = 0,
) -> dict[str, Array]:
    """(N, classes) probabilities of the test samples by kNN ("knn") and by the linear probe ("linear_probe"), whose
    penalty is chosen on labels out of ``train``."""
    classes = len(train.classes)
    splits, _ = cases.splits(train, config, seed)
    probe, _ = probe_of(train, train_x, splits, config=config, trials=trials)
    votes = knn(train_x, train.codes, test_x, k=config.neighbours, classes=classes)
    return {"knn": votes.cpu().numpy(), "linear_probe": probe.probabilities(test_x)}


def retrieval(
    features: Array, identity: Index, apart: Index | None = None, most: int = RETRIEVAL_SAMPLES
) -> dict[str, Any] | None:
    """Recall at 1, 5 and 10 and mAP of the samples among themselves; None where no query has anything to find.

    With ``apart`` (N,) none is found that shares its number there with the query, which "apart" of the result says. At most
    ``most`` samples, drawn at random, take part.
    """
    if len(features) > most:
        rows = np.sort(np.random.default_rng(0).permutation(len(features))[:most])
        features, identity = features[rows], identity[rows]
        apart = None if apart is None else apart[rows]
    try:
        recall = recall_at_k(features, identity, apart=apart)
    except InputError:  # every identity occurs once
        return None
    return {
        "samples": len(features),
        "apart": apart is not None,
        "recall": {str(k): value for k, value in recall.items()},
        "map": mean_average_precision(features, identity, apart=apart),
    }


def retrievals(features: Array, data: Labelled) -> dict[str, Any]:
    """``retrieval`` of the images of ``data`` by "class" and by "group", None where there are no groups.

    An image of the query's own group (or its case where it has none) is not found by class: it is near for more reasons
    than the class, and most often has the query's own label. By group it is what is looked for.
    """
    apart = data.cases if data.groups is None else data.groups
    group = None if data.groups is None else retrieval(features, data.groups)
    return {"class": retrieval(features, data.codes, apart), "group": group}
