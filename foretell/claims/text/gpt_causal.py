"""A decoder's answer at a place does not change with what comes after it."""

from __future__ import annotations

import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.counters import seed_of
from foretell.objectives.text import TextObjective
from foretell.recipe import Recipe
from foretell.transfer.networks import evaluating

ROWS = 32


class GptCausal(Claim):
    name = "gpt-causal"
    statement = "Changing a token changes no answer before it, and changes answers from it on."
    source = f"{runs.GPT}, section 3.1"
    data = runs.DATA
    minutes = 0.1

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [_measured(lab, runs.decoder(seed)) for seed in self.seeds]
        self.notes.append(f"untrained networks, {ROWS} rows of {runs.LENGTH} tokens, one token changed in each")
        return [
            Finding(
                "answers before a changed token that change, less than one",
                "none",
                [1.0] * len(rows),
                [row["before"] for row in rows],
                "answers",
            ),
            Finding(
                "rows in which an answer from the changed token on changes, over 99%",
                "all",
                [row["from it on"] for row in rows],
                [99.0] * len(rows),
            ),
        ]


def changes(objective: TextObjective, seed: int) -> dict[str, float]:
    """How many answers before a token change with it, and the percent of rows in which one from it on does."""
    store, model = objective.store, objective.encoder
    generator = torch.Generator().manual_seed(seed_of(seed, "changed") % (1 << 31))
    ids = torch.from_numpy(store.ids[: ROWS * runs.LENGTH].astype("int64")).reshape(ROWS, runs.LENGTH)
    at = torch.randint(1, runs.LENGTH - 1, (ROWS, 1), generator=generator)
    other = ids.scatter(1, at, (ids.gather(1, at) + 1) % store.vocabulary)
    device = next(model.parameters()).device
    with evaluating(model):
        one, two = (model.logits(model.net(some.to(device))).cpu() for some in (ids, other))
    differs = (one != two).any(2)
    before = torch.arange(runs.LENGTH) < at
    return {
        "before": float((differs & before).sum()),
        "from it on": 100 * float((differs & ~before).any(1).float().mean()),
    }


def _measured(lab: Lab, made: Recipe) -> dict[str, float]:
    def work() -> dict[str, float]:
        objective = lab.build(made)
        assert isinstance(objective, TextObjective)
        return changes(objective, made.training.seed)

    return lab.result("gpt-causal", {"recipe": lab.key(made), "rows": ROWS}, work)
