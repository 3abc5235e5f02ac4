"""A small decoder foretells real text that it has not seen better than the frequencies of words and of pairs of words."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.counters import Rng, Rows
from foretell.objectives.text import TextObjective
from foretell.objectives.text_measures import HeldOut
from foretell.recipe import Recipe
from foretell.views.tokens import NOT_CHOSEN

WEIGHTS = np.linspace(0.05, 0.95, 19)  # of pairs, beside single tokens
Index = NDArray[np.int64]


class GptPerplexity(Claim):
    name = "gpt-perplexity"
    statement = (
        "Trained on the next word, a decoder's perplexity on text it has not seen is below a unigram's and a bigram's."
    )
    source = f"{runs.GPT}, section 4.1 (perplexity 18.4 on held-out books)"
    data = runs.DATA
    minutes = 32.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [measured(lab, runs.decoder(seed)) for seed in self.seeds]
        told = {name: [math.exp(row[name]) for row in rows] for name in ("network", "bigram", "unigram")}
        self.notes.append(f"perplexity of a token on held-out documents: {runs.means(told)}")
        self.notes.append("bigram: mixed with the unigram by a weight chosen on documents for validation")
        ours = [row["network"] for row in rows]
        return [
            Finding(
                f"-log probability of a token, {name} over network", "below", [row[name] for row in rows], ours, "nats"
            )
            for name in ("unigram", "bigram")
        ]


def following(objective: TextObjective) -> tuple[Index, Index]:
    """(token, the token after it) of all that ``objective`` has to foretell of its documents."""
    plan = objective.rows_of(0, 0)
    batch = plan.read(np.arange(len(plan)))
    after = objective.hide(batch, Rng(0, 0, Rows.of_rank(len(plan)))).hidden["words"]
    chosen = after != NOT_CHOSEN
    return batch.ids[chosen].numpy(), after[chosen].numpy()


class Bigram:
    """Frequencies of tokens (one added to each) and of pairs of them, mixed."""

    def __init__(self, before: Index, after: Index, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        counts = np.bincount(after, minlength=vocabulary) + 1.0
        self.single = counts / counts.sum()
        self.pairs, self.times = np.unique(before * vocabulary + after, return_counts=True)
        self.begun = np.maximum(np.bincount(before, minlength=vocabulary), 1)

    def chances(self, before: Index, after: Index) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probability of each token ``after``: by itself, and given the one ``before`` it."""
        wanted = before * self.vocabulary + after
        at = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        times = np.where(self.pairs[at] == wanted, self.times[at], 0)
        return self.single[after], times / self.begun[before]

    def loss(self, before: Index, after: Index, weight: float) -> float:
        """Mean -log probability, pairs weighted by ``weight``."""
        single, paired = self.chances(before, after)
        return float(-np.log((1 - weight) * single + weight * paired).mean())


def measured(lab: Lab, made: Recipe) -> dict[str, float]:
    """Mean -log probability (nats) of a token of the test documents: network, bigram and unigram."""

    def work() -> dict[str, float]:
        objective = runs.trained_on(lab, made)
        bigram = Bigram(*following(objective), objective.store.vocabulary)
        valid = following(runs.held(lab, objective, part="validation"))
        weight = min(WEIGHTS, key=lambda weight: bigram.loss(*valid, float(weight)))
        test = runs.held(lab, objective)
        network = HeldOut(objective, test.store, 1, len(test.rows_of(0, 0))).parts(objective)["words"]
        tokens = following(test)
        return {
            "network": network,
            "bigram": bigram.loss(*tokens, float(weight)),
            "unigram": bigram.loss(*tokens, 0.0),
            "weight": float(weight),
        }

    return lab.result("gpt-perplexity", {"recipe": lab.key(made)}, work)
