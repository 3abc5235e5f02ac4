"""The heads of the four input transformations: similarity has no order, and answers may be permuted."""

from __future__ import annotations

import numpy as np
import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs, tasks
from foretell.counters import seed_of
from foretell.encoders.language import LanguageModel
from foretell.objectives.text import TextObjective
from foretell.recipe import Recipe
from foretell.tasks.base import TextTask
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Similarity
from foretell.tasks.layout import Layout
from foretell.transfer.text.tuning import TextTuner, bare
from foretell.transfer.text_config import TextTuning

EXAMPLES = 60
ANSWERS = (2, 3, 4, 5)


class GptExact(Claim):
    name = "gpt-exact"
    statement = (
        "The probabilities of a similarity are those of the texts swapped, to the bit; permuting the answers of a choice "
        "permutes their probabilities, whatever their number."
    )
    source = f"{runs.GPT}, section 3.3"
    data = runs.DATA
    minutes = 1.0

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [_measured(lab, runs.decoder(seed)) for seed in self.seeds]
        self.notes.append(
            f"{EXAMPLES} examples of each, heads with random weights; choices of {', '.join(map(str, ANSWERS))} answers"
        )
        none = [1.0] * len(rows)
        return [
            Finding(
                "similarities that change when the texts are swapped, less than one",
                "none",
                none,
                [row["swapped"] for row in rows],
                "examples",
            ),
            Finding(
                "choices whose probabilities are not those of the answers permuted, less than one",
                "none",
                none,
                [row["permuted"] for row in rows],
                "examples",
            ),
            Finding(
                "choices that tell their answers apart, over 99%",
                "all",
                [row["told apart"] for row in rows],
                [99.0] * len(rows),
            ),
        ]


def predicted(model: LanguageModel, task: TextTask, seed: int) -> list[np.ndarray]:
    """The probabilities of each example under a head with random weights."""
    tuner = TextTuner(TextTuning(dropout=0.0, inner_dropout=0.0), bare(model), task, None).eval()
    generator = torch.Generator().manual_seed(seed_of(seed, "head") % (1 << 31))
    with torch.no_grad():
        for parameter in tuner.head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return [np.asarray(one) for one in tuner.predictions(task)]


def differing(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """How many examples have other probabilities, by a bit or more."""
    return float(sum(not np.array_equal(a, b) for a, b in zip(one, other, strict=True)))


def compared(model: LanguageModel, layout: Layout, seed: int) -> dict[str, float]:
    """Examples that are not as the statement says, and the percent of choices whose answers get other probabilities."""
    texts = runs.of_part("test")
    rng = np.random.default_rng(seed_of(seed, "exact"))
    pairs = [
        (texts[a].sentences[0], texts[b].sentences[1]) for a, b in rng.integers(len(texts), size=(EXAMPLES, 2)).tolist()
    ]
    none = np.zeros(EXAMPLES, np.int64)
    similar = [
        predicted(model, Similarity.of(layout, some, none, ["no", "yes"]), seed)
        for some in (pairs, [(b, a) for a, b in pairs])
    ]
    choices, turned, orders = [], [], []
    for number in range(EXAMPLES):
        count = ANSWERS[number % len(ANSWERS)]
        chosen = rng.choice(len(texts), count, replace=False).tolist()
        context, *answers = texts[chosen[0]].sentences[0], *(texts[at].sentences[1] for at in chosen)
        order = rng.permutation(count)
        choices.append((context, *answers))
        turned.append((context, *(answers[at] for at in order)))
        orders.append(order)
    found, other = (predicted(model, Choice.of(layout, some, none), seed) for some in (choices, turned))
    return {
        "swapped": differing(*similar),
        "permuted": differing([one[order] for one, order in zip(found, orders, strict=True)], other),
        "told apart": 100 * float(np.mean([len(np.unique(one)) > 1 for one in found])),
    }


def _measured(lab: Lab, made: Recipe) -> dict[str, float]:
    def work() -> dict[str, float]:
        objective = lab.build(made)
        assert isinstance(objective, TextObjective)
        return compared(*tasks.ready(objective), made.training.seed)

    return lab.result("gpt-exact", {"recipe": lab.key(made), "examples": EXAMPLES}, work)
