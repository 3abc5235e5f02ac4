"""Negative sampling factorises pointwise mutual information up to a shift, and finds the neighbours that a full softmax finds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text.runs import means
from foretell.claims.words import runs
from foretell.counters import seed_of
from foretell.data.text.words import END, WordStore
from foretell.objectives.word_tables import POWER
from foretell.recipe import Recipe

OFTEN = 20.0  # times that a pair stands together, at least, where its information is compared
NEAREST = 10
STEPS, RATE = 500, 0.05  # of the full softmax

Table = NDArray[np.float64]


class Word2VecPmi(Claim):
    name = "word2vec-pmi"
    statement = (
        "The products of skip-gram's two tables follow the pairs' mutual information, and its neighbours are those of a full "
        "softmax."
    )
    source = "Levy and Goldberg 2014 (NIPS 27), section 3.1, on " + runs.PAPERS
    data = f"{runs.DATA}; its {runs.MOST} most frequent words"
    minutes = 3.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [_measured(lab, runs.recipe(seed, runs.FREQUENT, sample=0.0)) for seed in self.seeds]
        told = {name: [row[name] for row in rows] for name in rows[0]}
        self.notes.append(
            "explained: squared correlation of the products with the information, %, which a shift by log K leaves as it is; "
            f"shared, with softmax: of {NEAREST} nearest words, %: {means(told)}"
        )
        return [
            Finding(
                f"variance of the products that the information explains (pairs of {OFTEN:.0f} times or more), over a half",
                "factorises it",
                told["explained"],
                [50.0] * len(rows),
            ),
            Finding(
                f"{NEAREST} nearest words that negative sampling and full softmax share, over chance",
                "the same ranking",
                told["shared"],
                told["chance"],
            ),
        ]


def together(store: WordStore, window: int) -> Table:
    """(V, V) how often each word is expected in the other's window, whose radius is uniform on 1 to ``window``."""
    ids, size = np.asarray(store.ids, np.int64), len(store.words)
    sentence = np.cumsum(ids == END)
    found = np.zeros(size * size)
    for distance in range(1, window + 1):
        a, b = ids[:-distance], ids[distance:]
        inside = (sentence[:-distance] == sentence[distance:]) & (a != END) & (b != END)
        chance = (window + 1 - distance) / window
        found += chance * np.bincount(a[inside] * size + b[inside], minlength=size * size)
    table: Table = found.reshape(size, size)
    both: Table = table + table.T
    return both


def shifted(pairs: Table, counts: NDArray[np.int64], negatives: int) -> Table:
    """(V, V) log of p(w, c) / (p(w) q(c)), less log K, where q is the noise; -inf for pairs that never stand together."""
    noise = counts.astype(np.float64) ** POWER
    with np.errstate(divide="ignore"):
        found: Table = np.log(pairs / (pairs.sum(axis=1, keepdims=True) * negatives * noise / noise.sum()))
    return found


def softmax_vectors(pairs: Table, dim: int, seed: int) -> Table:
    """(V, dim) input vectors of skip-gram with the full softmax, by Adam on all pairs at once."""
    generator = torch.Generator().manual_seed(seed_of(seed, "softmax") % (1 << 31))
    size = len(pairs)
    tables = [torch.randn(size, dim, generator=generator).mul_(0.1).requires_grad_() for _ in range(2)]
    wanted = torch.from_numpy(pairs / pairs.sum()).float()
    optimizer = torch.optim.Adam(tables, RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = -(wanted * (tables[0] @ tables[1].T).log_softmax(1)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found: Table = tables[0].detach().double().numpy()
    return found


def nearest(vectors: Table) -> NDArray[np.int64]:
    """(V, ``NEAREST``) rows with the highest cosines to each of ``vectors`` (V, D)."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    found: NDArray[np.int64] = np.argsort(-similarity, axis=1, kind="stable")[:, :NEAREST]
    return found


def shared(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Percent of the columns of each row of ``a`` that the row of ``b`` has too."""
    return 100 * float(np.mean([len(np.intersect1d(x, y)) / len(x) for x, y in zip(a, b, strict=True)]))


def _measured(lab: Lab, made: Recipe) -> dict[str, float]:
    def work() -> dict[str, float]:
        objective = runs.trained(lab, made)
        store, config = objective.store, objective.config
        pairs = together(store, config.window)
        inputs = objective.encoder.table.astype(np.float64)
        outputs = objective.outputs.detach().numpy()[:, : config.dim].astype(np.float64)
        often = pairs >= OFTEN
        information = shifted(pairs, store.counts, config.negatives)[often]
        correlation = float(np.corrcoef((inputs @ outputs.T)[often], information)[0, 1])
        full = softmax_vectors(pairs, config.dim, made.training.seed)
        return {
            "explained": 100 * correlation**2,
            "shared": shared(nearest(inputs), nearest(full)),
            "chance": 100 * NEAREST / (len(store.words) - 1),
        }

    return lab.result("word2vec-pmi", {"recipe": lab.key(made), "often": OFTEN}, work)
