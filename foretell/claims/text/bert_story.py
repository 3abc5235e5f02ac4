"""Three sentences, of which the first and the last belong together: does next-sentence prediction find them?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.claims.base import Claim, Finding, signed
from foretell.claims.lab import Lab
from foretell.claims.text import runs, second_alone
from foretell.claims.text.runs import Document
from foretell.counters import seed_of
from foretell.recipe import Recipe
from foretell.tasks.classification import Entailment
from foretell.tasks.layout import Layout
from foretell.transfer.networks import evaluating

STORIES = 500
PAIRS = tuple(permutations(range(3), 2))  # ordered pairs of the sentences 0, 1, 2; sentence 1 is the stranger
COHERENT, TURNED, STRANGE_FIRST = PAIRS.index((0, 2)), PAIRS.index((2, 0)), PAIRS.index((1, 2))
STRANGE = [at for at, pair in enumerate(PAIRS) if 1 in pair]
BOY = (
    "A boy goes home after school.",
    "Fifty years later the moon mission starts.",
    "Once home, he relaxes.",
)

Story = tuple[str, str, str]


class BertStory(Claim):
    name = "bert-story"
    statement = (
        "Of three sentences with a stranger in the middle, next-sentence prediction scores the pair that belongs together "
        "above the pairs with the stranger more often than the second sentence by itself would tell."
    )
    source = "the mission article's example of next-sentence prediction"
    data = f"{runs.DATA}: the first two sentences of a held-out lead, the second of another between them"
    minutes = 14.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [measured(lab, runs.recipe(seed, tasks="both")) for seed in self.seeds]
        told = {
            by: {name: [row[by][name] for row in rows] for name in ("above all", "above each", "in order")}
            for by in ("network", "second alone")
        }
        self.notes.append(
            "above all: (1, 3) has the highest score but for (3, 1); above each: the mean over the four pairs with the "
            "stranger; in order: (1, 3) above (3, 1); equal scores are in either order as often. "
            + "; ".join(f"{by}: {runs.means(found)} %" for by, found in told.items())
        )
        self.notes.append(
            "second alone: logistic regression on the words of the second sentence, fitted on the leads that are learnt from, "
            "which does not see the first one and so cannot tell (1, 3) from (2, 3)"
        )
        self.notes.append(of_boy([row["boy"] for row in rows]))
        return [
            Finding(
                "stories in which (1, 3) scores above all four pairs with the stranger, over the second sentence alone",
                "the coherent pair",
                told["network"]["above all"],
                told["second alone"]["above all"],
            ),
            Finding(
                "pairs with the stranger that (1, 3) scores above, over the second sentence alone",
                "the coherent pair",
                told["network"]["above each"],
                told["second alone"]["above each"],
            ),
        ]


def of_boy(rows: Sequence[Sequence[float]]) -> str:
    """What the scores of ``BOY``, a row a seed, come to: of one story, and so no finding of the claim."""
    scores = 100 * np.array(rows)
    listed = ", ".join(f"({a + 1}, {b + 1}) {score:.0f}" for (a, b), score in zip(PAIRS, scores.mean(0), strict=True))
    found = Finding("", "", scores[:, COHERENT].tolist(), scores[:, STRANGE_FIRST].tolist())
    mean, low, high = (
        signed(value, found.unit) for value in (found.difference.mean, found.difference.low, found.difference.high)
    )
    return (
        f'the article\'s own story, 1 "{BOY[0]}" 2 "{BOY[1]}" 3 "{BOY[2]}": that (1, 3) scores above (2, 3) '
        f"{found.outcome} ({mean} points, {low} to {high}); probability in % that the second follows: {listed}"
    )


def stories(texts: Sequence[Document], seed: int) -> list[Story]:
    """The first two sentences of each document, the second of another between them; ``STORIES`` at most.

    The stranger follows a sentence in its own document, so that it does not show by itself that it follows none here.
    """
    rng = np.random.default_rng(seed_of("stories", seed))
    found = []
    for at in rng.permutation(len(texts))[:STORIES]:
        own, other = texts[at], second_alone.another(texts, int(at), rng)
        found.append((own.sentences[0], other.sentences[1], own.sentences[1]))
    return found


def shares(scores: NDArray[np.float64]) -> dict[str, float]:
    """Percent of stories and pairs as the notes name them, of (stories, ``PAIRS``) scores; equal ones are told by chance."""
    own, strange, turned = scores[:, [COHERENT]], scores[:, STRANGE], scores[:, [TURNED]]

    def above(other: NDArray[np.float64]) -> float:
        return 100 * float(((own > other) + 0.5 * (own == other)).mean())

    first = (own >= strange).all(axis=1) / (1 + (own == strange).sum(axis=1))
    return {"above all": 100 * float(first.mean()), "above each": above(strange), "in order": above(turned)}


def scored(lab: Lab, made: Recipe, told: list[Story]) -> np.ndarray:
    """(stories, ``PAIRS``) probability that the second sentence of each ordered pair follows the first."""
    objective = runs.trained_on(lab, made)
    model = objective.encoder
    assert model.pair is not None
    layout = Layout.of(model, objective.store.tokenizer, runs.LENGTH)
    pairs = [(story[a], story[b]) for story in told for a, b in PAIRS]
    none = np.zeros(len(pairs), np.int64)
    task = Entailment.of(layout, pairs, none, ["follows"])
    found = np.empty(len(pairs))
    device = next(model.parameters()).device
    for at in np.array_split(np.arange(len(pairs)), -(-len(pairs) // 256)):
        with evaluating(model):
            inputs = task.inputs(at).to(device)
            logits = model.pair(inputs.summaries(inputs.states(model)))
            found[at] = torch.softmax(logits.float(), 1)[:, 0].cpu().numpy()
    return found.reshape(len(told), len(PAIRS))


def measured(lab: Lab, made: Recipe) -> dict[str, Any]:
    """``shares`` of the network and of the second sentence alone, and the network's scores of ``BOY``."""

    def work() -> dict[str, Any]:
        seed = made.training.seed
        told = stories(runs.of_part("test"), seed)
        scores = scored(lab, made, [*told, BOY])
        alone = second_alone.fitted(runs.of_part("train"), runs.of_part("validation"), seed)
        by_sentence = alone([sentence for story in told for sentence in story]).reshape(len(told), 3)
        return {
            "network": shares(scores[:-1]),
            "second alone": shares(by_sentence[:, [second for _, second in PAIRS]]),
            "boy": scores[-1].tolist(),
        }

    key = {"recipe": lab.key(made), "stories": STORIES, "stranger": "a second sentence", "beside": "second alone"}
    return lab.result("bert-story", key, work)
