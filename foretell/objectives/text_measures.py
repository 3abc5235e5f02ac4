"""What a text task foretells on text it has not learnt from, beside guesses that need no network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.counters import Rng, Rows, seed_of
from foretell.data.text.tokens import TokenStore
from foretell.errors import InputError
from foretell.objectives.base import Task
from foretell.objectives.text import TextObjective
from foretell.views.tokens import NOT_CHOSEN

AT_ONCE = 32  # rows
MOST = 512  # rows that are measured on
COUNTED = 100_000  # documents, or rows of a decoder's, that the tokens are counted in

Index = NDArray[np.int64]


class HeldOut:
    """The loss on fixed rows of documents that are not learnt from; the same masks every time.

    ``every`` steps, as a monitor of the loop; lower is better. ``rows`` at most are measured, drawn at random by a fixed
    seed: packing puts the longest texts into the first rows. Raises InputError where the documents give no row.
    """

    name = "held_out_loss"
    higher_is_better = False

    def __init__(self, objective: TextObjective, store: TokenStore, every: int, rows: int = 128) -> None:
        self.every = every
        # the same network over other text; not a part of either
        self.over = type(objective)(objective.config, objective.encoder, store)
        there = len(self.over.rows_of(0, 0))
        if not there:
            raise InputError(f"{store.source}: the documents held out are too short to measure on")
        self.rows = np.sort(np.random.default_rng(seed_of("held out rows")).permutation(there)[:rows])

    @property
    def examples(self) -> Index:
        """Which of the texts or pairs lie in the rows that are measured."""
        return self.over.rows_of(0, 0).examples_of(self.rows)

    def task(self, start: int, stop: int, device: torch.device) -> Task:
        """What is foretold of the rows from ``start`` to ``stop`` of those that are measured."""
        batch = self.over.rows_of(0, 0).read(self.rows[start:stop]).to(device)
        return self.over.hide(batch, Rng(seed_of("held out"), 0, Rows(start, stop, len(self.rows)), device))

    def words(self) -> torch.Tensor:
        """(rows, T) int64: the tokens that are foretold, ``NOT_CHOSEN`` elsewhere."""
        return self.task(0, len(self.rows), torch.device("cpu")).hidden["words"]

    def __call__(self, trainable: Any, step: int) -> float:
        return self.parts(trainable)["total"]

    def parts(self, trainable: Any) -> dict[str, float]:
        """Every part of the loss, a mean over what is foretold."""
        assert trainable.encoder is self.over.encoder
        was = trainable.training
        trainable.eval()
        device = next(trainable.parameters()).device
        sums: dict[str, float] = {}
        weights: dict[str, float] = {}
        with torch.no_grad():
            for start in range(0, len(self.rows), AT_ONCE):
                stop = min(start + AT_ONCE, len(self.rows))
                task = self.task(start, stop, device)
                words = task.hidden.get("words")
                pairs = task.hidden.get("pairs")
                counts = {
                    "words": 0 if words is None else int((words != NOT_CHOSEN).sum()),
                    "sentences": 0 if pairs is None else int((pairs != NOT_CHOSEN).sum()),
                }
                # losses of this batch are then means over it
                task.visible["expected"] = torch.tensor(
                    [[max(counts["words"], 1), max(counts["sentences"], 1)]], device=device
                ).expand(stop - start, 2) / (stop - start)
                for name, value in self.over.loss(task, "all").items():
                    weight = (
                        counts[{"right": "words", "right_pairs": "sentences"}.get(name, name)] if name != "total" else 0
                    )
                    sums[name] = sums.get(name, 0.0) + float(value) * weight
                    weights[name] = weights.get(name, 0.0) + weight
        trainable.train(was)
        found = {name: sums[name] / weights[name] for name in sums if weights[name]}
        found["total"] = sum(found.get(name, 0.0) for name in ("words", "sentences"))
        return found


def word_guesses(learnt: TextObjective, hidden: torch.Tensor) -> dict[str, float]:
    """Perplexity and accuracy, at the places of ``hidden``, of how often each token is foretold in the text of ``learnt``.

    One is added to each token's count; an id that no token has counts for nothing.
    """
    counts = np.zeros(learnt.store.vocabulary)
    counts[learnt.store.used] = 1
    for part in learnt.asked(COUNTED):
        counts += np.bincount(part, minlength=len(counts))
    wanted = hidden[hidden != NOT_CHOSEN].numpy()
    share = counts / counts.sum()
    return {
        "perplexity": math.exp(float(-np.log(share[wanted]).mean())),
        "right": float((wanted == counts.argmax()).mean()),
    }


def pair_guesses(learnt: TextObjective, held: HeldOut, most: int = 4000) -> dict[str, float]:
    """Accuracy, on the very pairs that ``held`` measures the network on, of three guesses that know no order of words.

    ``base``: the more frequent answer. ``topic``: logistic regression on how similar the two texts' words are (cosine of
    TF-IDF, and of its projection onto 64 dimensions), fitted on ``most`` pairs of ``learnt``. ``length``: on the two lengths.
    """
    from sklearn.linear_model import LogisticRegression

    pairs = [objective.rows_of(0, 0).examples for objective in (learnt, held.over)]
    known_pairs = len(pairs[0])
    chosen = [np.linspace(0, known_pairs - 1, min(most, known_pairs)).round().astype(int), held.examples]
    labels = [found.label[rows] for found, rows in zip(pairs, chosen, strict=True)]
    majority = int(labels[0].mean() >= 0.5)
    result = {"base": float((labels[1] == majority).mean())}
    if len(np.unique(labels[0])) < 2:
        return result
    spans = [(found.first[rows], found.second[rows]) for found, rows in zip(pairs, chosen, strict=True)]
    ways = {
        "length": [np.log(np.stack([a[:, 1], b[:, 1]], axis=1)) for a, b in spans],
        "topic": _likeness(learnt, spans),
    }
    for name, (known, asked_of) in ways.items():
        fitted = LogisticRegression(max_iter=1000).fit(known, labels[0])
        result[name] = float((fitted.predict(asked_of) == labels[1]).mean())
    return result


def _likeness(learnt: TextObjective, spans: list[tuple[Any, Any]]) -> list[Any]:
    """(pairs, 2) features of each part's pairs: cosine of TF-IDF and of its first 64 singular directions."""
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize

    def bag(of: Any) -> Any:
        ids = np.concatenate([np.asarray(learnt.store.ids[start : start + length]) for start, length in of])
        ends = np.concatenate([[0], np.cumsum(of[:, 1])])
        return csr_matrix((np.ones(len(ids)), ids.astype(np.int32), ends), shape=(len(of), learnt.store.vocabulary))

    bags = [(bag(first), bag(second)) for first, second in spans]
    weigh = TfidfTransformer(sublinear_tf=True).fit(bags[0][0])
    weighed = [(weigh.transform(first), weigh.transform(second)) for first, second in bags]
    size = min(64, min(weighed[0][0].shape) - 1)
    project = TruncatedSVD(size, random_state=0).fit(weighed[0][0]) if size > 1 else None
    found = []
    for first, second in weighed:
        cosines = [np.asarray(first.multiply(second).sum(axis=1)).ravel()]
        if project is not None:
            a, b = (normalize(project.transform(x)) for x in (first, second))
            cosines.append((a * b).sum(axis=1))
        found.append(np.stack(cosines, axis=1))
    return found
