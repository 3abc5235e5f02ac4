"""Probabilities of words from CBOW's scores: where scores are at their optimum, they are the truth."""

from __future__ import annotations

import numpy as np

from foretell.objectives.word_filling import Context
from foretell.objectives.word_tables import POWER, huffman

COUNTS = np.array([90, 40, 22, 10, 5, 5], np.int64)
TRUTH = np.array([0.05, 0.6, 0.2, 0.1, 0.03, 0.02])


def test_odds_of_negative_sampling() -> None:
    noise = COUNTS**POWER / (COUNTS**POWER).sum()
    # drawn beside K negatives, each left out where it is the target
    scores = np.log(TRUTH / (1 - TRUTH)) - np.log(7 * noise)
    model = Context(np.ones((6, 1), np.float32), scores[:, None].astype(np.float32), COUNTS, 7, tree=False)
    assert np.allclose(model.chances([0, 3]), TRUTH, atol=1e-6)


def test_turns_of_the_tree() -> None:
    starts, nodes, bits = huffman(COUNTS)
    through, right = np.zeros(5), np.zeros(5)
    for word in range(6):
        for at in range(starts[word], starts[word + 1]):
            through[nodes[at]] += TRUTH[word]
            right[nodes[at]] += TRUTH[word] * (bits[at] == 0)
    scores = np.append(np.log(right / (through - right)), 0.0)
    model = Context(np.ones((6, 1), np.float32), scores[:, None].astype(np.float32), COUNTS, 7, tree=True)
    assert np.allclose(model.chances([2]), TRUTH, atol=1e-6)


def test_the_context_is_a_mean() -> None:
    rng = np.random.default_rng(0)
    inputs, outputs = (rng.normal(size=(6, 3)).astype(np.float32) for _ in range(2))
    model = Context(inputs, outputs, COUNTS, 5, tree=False)
    mean = Context(inputs[[0, 3]].mean(0, keepdims=True), outputs, COUNTS, 5, tree=False)
    assert np.allclose(model.chances([0, 3]), mean.chances([0]))
    assert np.isclose(model.chances([1]).sum(), 1)
