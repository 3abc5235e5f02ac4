"""What the kernels do, exactly: they follow the gradient, draw the noise and the windows that were published."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from foretell.claims.base import Claim, Finding
from foretell.claims.chance import SURE, chi_square
from foretell.claims.lab import Lab
from foretell.claims.words import runs
from foretell.counters import seed_of
from foretell.data.text.words import END, WordStore
from foretell.objectives.word2vec import Word2Vec
from foretell.objectives.word_tables import POWER

ALLOWED = 1.0  # percent of the gradient that a step in float32 may be off
STEP, NUDGE = 1e-4, 1e-2
TINY = 1e-6  # a rate at which scores stay near 0, so that each output moves by half of it
SENTENCES = 3000
WINDOW = 5
GROUPS = 20


class Word2VecExact(Claim):
    name = "word2vec-exact"
    statement = (
        "A step follows the gradient of its loss, the noise is the count to the power 0.75, and the radius of a window is "
        "uniform."
    )
    source = f"{runs.PAPERS}, section 2.2 of the second and the authors' code"
    data = f"{runs.DATA}: the counts of its {runs.MOST} most frequent words"
    minutes = 0.5

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        store = lab.any_store(runs.FREQUENT)
        assert isinstance(store, WordStore)
        allowed = [ALLOWED] * len(self.seeds)
        findings = []
        losses: tuple[tuple[Literal["negative", "tree"], str], ...] = (
            ("negative", "negative sampling"),
            ("tree", "hierarchical softmax"),
        )
        for loss, called in losses:
            off = [off_gradient(store, loss, seed) for seed in self.seeds]
            self.notes.append(f"{called}: a step is {max(off):.3f} % off the differences of its loss, at most")
            findings.append(Finding(f"{called}: off the gradient, less than {ALLOWED:g} %", "exact", allowed, off, "%"))
        radii = [chi_square(*radii_drawn(store, seed)) for seed in self.seeds]
        noise = [chi_square(*noise_drawn(store, seed)) for seed in self.seeds]
        for what, found in (("radius of a window, uniform", radii), ("noise, count to the power 0.75", noise)):
            findings.append(
                Finding(
                    f"{what}: chi-square below its {SURE:.1%} bound",
                    "exact",
                    [bound for _, bound in found],
                    [value for value, _ in found],
                    "chi-square",
                )
            )
        return findings


def made(store: WordStore, loss: Literal["negative", "tree"], dim: int, negatives: int = 5) -> Word2Vec:
    return Word2Vec(Word2Vec.Config(loss=loss, dim=dim, window=WINDOW, negatives=negatives, sample=0.0), store)


def run(objective: Word2Vec, ids: np.ndarray, rate: float, seed: int) -> float:
    """One pass of the kernel over ``ids``; the sum of its losses."""
    sums = np.zeros(2)
    objective._run(ids.astype(np.int32), 0, len(ids), rate, seed, sums)
    return float(sums[0])


def off_gradient(store: WordStore, loss: Literal["negative", "tree"], seed: int) -> float:
    """Percent by which a step on two words is off the central differences of the loss, over all values of both tables."""
    objective = made(store, loss, 16)
    random = np.random.default_rng(seed_of(seed, "tables"))
    tables = [objective.encoder.weight.detach().numpy(), objective.outputs.detach().numpy()]
    for table in tables:
        table[:] = random.normal(size=table.shape) * 0.4
    start = [table.copy() for table in tables]
    ids, drawn = np.array([*random.permutation(len(store.words))[:2], END]), seed_of(seed, "windows")
    run(objective, ids, STEP, drawn)
    taken = [(table - before) / STEP for table, before in zip(tables, start, strict=True)]
    error = size = 0.0
    for table, before, step in zip(tables, start, taken, strict=True):
        for row in np.flatnonzero(np.abs(step).max(axis=1)):
            for column in range(table.shape[1]):
                around = []
                for sign in (1, -1):
                    for whole, kept in zip(tables, start, strict=True):
                        whole[:] = kept
                    table[row, column] = before[row, column] + sign * NUDGE
                    around.append(run(objective, ids, 0.0, drawn))
                slope = (around[0] - around[1]) / (2 * NUDGE)
                error += (step[row, column] + slope) ** 2
                size += slope**2
    return float(100 * (error / size) ** 0.5)


def radii_drawn(store: WordStore, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(how often each radius was drawn, how often each is expected).

    Inputs are one-hot and outputs start at 0, so that after a tiny step a word's output says which words were in its
    window. It is read of the first word of each sentence, to its right.
    """
    length = WINDOW + 1
    counts = np.ones(len(store.words), np.int64)
    counts[0] = 10**12  # the noise is this word, which no sentence here has
    objective = made(replace(store, counts=counts), "negative", len(store.words), 1)
    inputs, outputs = objective.encoder.weight.detach().numpy(), objective.outputs.detach().numpy()
    inputs[:] = 0
    np.fill_diagonal(inputs, 1)
    sentence = np.array([*range(len(store.words) - length, len(store.words)), END])
    drawn = np.zeros(WINDOW + 1)
    for number in range(SENTENCES):
        outputs[:] = 0
        run(objective, sentence, TINY, seed_of(seed, "radius", number))
        drawn[int((outputs[sentence[0], sentence[1:-1]] > TINY / 4).sum())] += 1
    return drawn[1:], np.full(WINDOW, drawn[1:].sum() / WINDOW)


def noise_drawn(store: WordStore, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(how often words were drawn as negatives, how often they are expected), in ``GROUPS`` of words of like frequency.

    Sentences of the two rarest words, which are left out of the count: a negative moves its output against one of them.
    """
    objective = made(store, "negative", len(store.words))
    inputs, outputs = objective.encoder.weight.detach().numpy(), objective.outputs.detach().numpy()
    inputs[:] = 0
    np.fill_diagonal(inputs, 1)
    outputs[:] = 0
    rarest = np.array([len(store.words) - 2, len(store.words) - 1])
    run(objective, np.tile([*rarest, END], SENTENCES), TINY, seed_of(seed, "noise"))
    drawn = np.rint(-outputs[: rarest[0], rarest].sum(axis=1) / (TINY / 2))
    noise = store.counts[: rarest[0]].astype(np.float64) ** POWER
    groups = min(GROUPS, len(noise))
    found, expected = (
        np.array([part.sum() for part in np.array_split(values, groups)])
        for values in (drawn, drawn.sum() * noise / noise.sum())
    )
    return found, expected
