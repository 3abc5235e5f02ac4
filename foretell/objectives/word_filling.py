"""The word that CBOW's vectors put into a gap: a probability for every word of the vocabulary, from those around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.encoders.vectors import Floats
from foretell.objectives.word_tables import POWER, huffman

Chances = NDArray[np.float64]


@dataclass
class Context:
    """CBOW's two tables. ``inputs`` (V, D); ``outputs`` (V, D), of words, or with ``tree`` of the inner nodes.

    ``counts`` (V,) of the words by falling count; ``negatives``: those drawn beside each word, where there is no tree.
    """

    inputs: Floats
    outputs: Floats
    counts: NDArray[np.int64]
    negatives: int
    tree: bool

    def chances(self, around: Sequence[int]) -> Chances:
        """(V,) probabilities, which sum to 1, of the word amid the rows ``around``, in text thinned by sub-sampling.

        Of a tree they are the product of the turns on each word's path. Of negative sampling: where scores s are at their
        optimum, the odds of a word are K q exp(s), q being its share of the noise and K the negatives (Goldberg and Levy
        2014, arXiv 1402.3722, with a negative that is the target left out), and these are brought to the sum 1.
        """
        scores = self.outputs.astype(np.float64) @ self.inputs[list(around)].mean(axis=0, dtype=np.float64)
        found = self._by_turns(scores) if self.tree else self._by_odds(scores)
        whole: Chances = found / found.sum()
        return whole

    def _by_odds(self, scores: Chances) -> Chances:
        noise = self.counts.astype(np.float64) ** POWER
        logits = scores + np.log(self.negatives * noise / noise.sum())
        chances: Chances = np.exp(-np.logaddexp(0.0, -logits))
        return chances

    def _by_turns(self, scores: Chances) -> Chances:
        starts, nodes, bits = huffman(self.counts)
        turns = -np.logaddexp(0.0, np.where(bits == 1, 1.0, -1.0) * scores[nodes])
        chances: Chances = np.exp(np.add.reduceat(turns, starts[:-1]))
        return chances
