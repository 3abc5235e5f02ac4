"""Three sentences, of which the first and the last belong together: does next-sentence prediction find them?"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.claims.text.runs import Document
from foretell.counters import seed_of
from foretell.recipe import Recipe
from foretell.tasks.classification import Entailment
from foretell.tasks.layout import Layout
from foretell.transfer.networks import evaluating

STORIES = 500
PAIRS = tuple(permutations(range(3), 2))  # ordered pairs of the sentences 0, 1, 2; sentence 1 is the stranger
COHERENT, TURNED = PAIRS.index((0, 2)), PAIRS.index((2, 0))
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
        "above every pair with the stranger."
    )
    source = "the mission article's example of next-sentence prediction"
    data = f"{runs.DATA}: two sentences of a held-out lead, one of another lead between them"
    minutes = 14.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [measured(lab, runs.recipe(seed, tasks="both")) for seed in self.seeds]
        told = {name: [row[name] for row in rows] for name in ("above all", "above each", "in order")}
        self.notes.append(
            "above all: (1, 3) has the highest score but for (3, 1), 20% at random; above each: the mean over the four pairs "
            f"with the stranger, 50%; in order: (1, 3) above (3, 1), 50%. Here: {runs.means(told)} %"
        )
        scores = np.mean([row["boy"] for row in rows], axis=0)
        listed = ", ".join(f"({a + 1}, {b + 1}) {score:.2f}" for (a, b), score in zip(PAIRS, scores, strict=True))
        self.notes.append(f'probability that the second follows: 1 "{BOY[0]}" 2 "{BOY[1]}" 3 "{BOY[2]}": {listed}')
        return [
            Finding(
                "stories in which (1, 3) scores above all four pairs with the stranger, over one in five",
                "the coherent pair",
                told["above all"],
                [20.0] * len(rows),
            ),
            Finding(
                "pairs with the stranger that (1, 3) scores above, over a half",
                "the coherent pair",
                told["above each"],
                [50.0] * len(rows),
            ),
        ]


def stories(texts: list[Document], seed: int) -> list[Story]:
    """The first two sentences of each document with one of another document between them, ``STORIES`` at most."""
    rng = np.random.default_rng(seed_of("stories", seed))
    found = []
    for at in rng.permutation(len(texts))[:STORIES]:
        own, other = texts[at], texts[(at + 1 + int(rng.integers(len(texts) - 1))) % len(texts)]
        found.append((own.sentences[0], other.sentences[int(rng.integers(len(other.sentences)))], own.sentences[1]))
    return found


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
    """Percent of stories and pairs as the notes name them, and the scores of ``BOY``."""

    def work() -> dict[str, Any]:
        told = stories(runs.of_part("test"), made.training.seed)
        scores = scored(lab, made, [*told, BOY])
        own, strange = scores[:-1, [COHERENT]], scores[:-1, STRANGE]
        return {
            "above all": 100 * float((own > strange).all(axis=1).mean()),
            "above each": 100 * float((own > strange).mean()),
            "in order": 100 * float((own[:, 0] > scores[:-1, TURNED]).mean()),
            "boy": scores[-1].tolist(),
        }

    return lab.result("bert-story", {"recipe": lab.key(made), "stories": STORIES}, work)
