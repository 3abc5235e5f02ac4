"""Swapping the patches of a pair turns its label l into 7 - l, and a trained network agrees with itself about it."""

from __future__ import annotations

import torch

from foretell.claims.base import Claim, Finding
from foretell.claims.images import patch_localization as shared
from foretell.claims.lab import Lab
from foretell.counters import others
from foretell.views.patches import pairs

SOURCE = "@emoji"


class PatchSwap(Claim):
    name = "patch-swap"
    statement = (
        "The label of (P2, P1) is 7 minus that of (P1, P2), and the network, which is not told so, answers accordingly."
    )
    source = "the numbering of Doersch et al.'s released code (arXiv 1505.05192)"
    data = SOURCE
    minutes = 0.5

    def work(self, lab: Lab) -> list[Finding]:
        rows = [self._measure(lab, seed) for seed in self.seeds]

        def of(name: str) -> list[float]:
            return [row[name] for row in rows]

        self.notes.append(
            "its runs are those of patch-layout; the share by chance is that of answers to unrelated pairs"
        )
        return [
            Finding(
                "pairs whose swapped label is 7 - l, over all but one in a thousand",
                "all",
                of("labels"),
                [99.9] * len(rows),
            ),
            Finding(
                "answers to swapped pairs that are 7 minus the answer, over chance",
                "not published",
                of("answers"),
                of("chance"),
            ),
        ]

    def _measure(self, lab: Lab, seed: int) -> dict[str, float]:
        made = shared.emoji(seed)
        return lab.result(self.name, {"recipe": lab.key(made)}, lambda: self._swap(lab, seed))

    def _swap(self, lab: Lab, seed: int) -> dict[str, float]:
        made = shared.emoji(seed)
        objective = shared.trained(lab, made)
        places, labels, _ = pairs(objective.grid)
        where = {(int(a), int(b)): number for number, (a, b) in enumerate(places)}
        swapped = torch.tensor([where[int(b), int(a)] for a, b in places])
        answer = shared.logits_on(objective, shared.test_part(lab, made), draws=2).argmax(-1)
        other = answer[:, swapped]
        unrelated = other[others(len(other), seed)]  # the same pair of another picture
        shuffled = unrelated[:, torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
        return {
            "labels": 100 * float((labels[swapped] == 7 - labels).float().mean()),
            "answers": 100 * float((other == 7 - answer).float().mean()),
            "chance": 100 * float((shuffled == 7 - answer).float().mean()),
        }
