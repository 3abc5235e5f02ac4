"""Which tokens are hidden, and behind what: counted on batches of real text."""

from __future__ import annotations

import numpy as np
import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.chance import SURE, chi_square
from foretell.claims.lab import Lab
from foretell.claims.text import runs
from foretell.counters import Rng, Rows
from foretell.objectives.bert import Bert
from foretell.recipe import Recipe
from foretell.views.tokens import NOT_CHOSEN

BATCHES, ROWS = 20, 64
SHOWN = ("[MASK]", "itself", "another token")


class BertMasking(Claim):
    name = "bert-masking"
    statement = (
        "15% of the tokens are chosen, never a special one; of these 80% are shown as [MASK], 10% as they are and 10% as a "
        "random token; the loss is of these alone."
    )
    source = f"{runs.BERT}, section 3.1 and appendix A.1"
    data = runs.DATA
    minutes = 0.1

    def work(self, lab: Lab) -> list[Finding]:
        runs.know(lab)
        rows = [_measured(lab, runs.recipe(seed, tasks="words")) for seed in self.seeds]
        told = {name: [row[name] for row in rows] for name in SHOWN}
        self.notes.append(f"shown as: {runs.means(told, 2)} % of {rows[0]['chosen']:.0f} chosen tokens a seed")

        def of(name: str) -> list[float]:
            return [float(row[name]) for row in rows]

        none = [1.0] * len(rows)
        return [
            Finding(
                "tokens more or fewer than 15% of a text, rounded, less than one", "15%", none, of("off"), "tokens"
            ),
            Finding("special tokens that are chosen, less than one", "none", none, of("special"), "tokens"),
            Finding(
                f"80/10/10: chi-square below its {SURE:.1%} bound",
                "80/10/10",
                of("bound"),
                of("chi-square"),
                "chi-square",
            ),
            Finding("tokens not chosen that are shown otherwise, less than one", "none", none, of("changed"), "tokens"),
            Finding(
                "gradient of the loss at the last states of places not chosen, at most, less than 1e-9",
                "none",
                [1e-9] * len(rows),
                of("loss"),
                "nats",
                rounding=1e-15,
            ),
        ]


def _measured(lab: Lab, made: Recipe) -> dict[str, float]:
    def work() -> dict[str, float]:
        objective = lab.build(made)
        assert isinstance(objective, Bert)
        return counted(objective.eval(), made.training.seed)

    return lab.result("bert-masking", {"recipe": lab.key(made), "batches": [BATCHES, ROWS]}, work)


def counted(objective: Bert, seed: int) -> dict[str, float]:
    """What ``hide`` does on ``BATCHES`` batches, in tokens, percent and nats as the findings name it."""
    config, vocabulary = objective.config.masks, objective.store.vocabulary
    mask = objective.store.specials["mask"]
    shown = np.zeros(len(SHOWN))
    off = special = changed = 0
    own = Rows.of_rank(ROWS)
    for step in range(BATCHES):
        batch = objective.draw("text", seed, step, own)
        task = objective.hide(batch, Rng(seed, step, own))
        ids, chosen = task.visible["ids"], task.hidden["words"] != NOT_CHOSEN
        special += int((chosen & batch.special).sum())
        changed += int((ids != batch.ids)[~chosen].sum())
        masked, same = (ids == mask) & chosen, (ids == batch.ids) & chosen
        shown += [int(masked.sum()), int(same.sum()), int((chosen & ~masked & ~same).sum())]
        for number in range(1, int(batch.example.max()) + 1):
            inside = batch.example == number
            length = inside.sum(1)
            wanted = (length * config.share).round().clamp(min=1)
            off += int((wanted - (chosen & inside).sum(1)).abs()[length > 0].sum())
    # a random token may be the token itself or [MASK]
    random = 1 - config.masked - config.kept
    chance = np.array(
        [config.masked + random / vocabulary, config.kept + random / vocabulary, random * (1 - 2 / vocabulary)]
    )
    statistic, bound = chi_square(shown, shown.sum() * chance)
    return {
        **{name: 100 * value for name, value in zip(SHOWN, shown / shown.sum(), strict=True)},
        "chosen": float(shown.sum()),
        "off": float(off),
        "special": float(special),
        "changed": float(changed),
        "chi-square": statistic,
        "bound": bound,
        "loss": _elsewhere(objective, seed),
    }


def _elsewhere(objective: Bert, seed: int) -> float:
    """How much the gradient of the loss sees of places that are not chosen: the largest value there, of the last states."""
    own = Rows.of_rank(ROWS)
    task = objective.hide(objective.draw("text", seed, 0, own), Rng(seed, 0, own))
    states = objective.states(task.visible).detach().requires_grad_()
    seen = objective.states
    objective.states = lambda visible: states  # type: ignore[method-assign]
    try:
        (gradient,) = torch.autograd.grad(objective.loss(task, "all")["total"], states)
    finally:
        objective.states = seen  # type: ignore[method-assign]
    return float(gradient[task.hidden["words"] == NOT_CHOSEN].abs().max())
