"""How long, with how many images at once and at what rate a contrastive task is trained."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import simclr
from foretell.claims.images.simclr import PER_CLASS
from foretell.claims.lab import Lab

STEPS = 120  # of the shared run, batch 256; every arm but "longer" sees as many images
SMALL = 64
# the rule for the rate is told apart at a small batch, both rules from the same rate at batch 256 (LARS)
AT_256 = 1.2
LARS: dict[str, object] = {
    "training__optimizer": "lars",
    "training__batch": SMALL,
    "training__steps": STEPS * 256 // SMALL,
}
ARMS: dict[str, dict[str, object]] = {
    "batch 256": {},
    "batch 64": {"training__batch": SMALL, "training__steps": STEPS * 256 // SMALL, "training__rate": 1e-3},
    "batch 256, four times as long": {"training__steps": 4 * STEPS},
    "LARS, batch 64, rate by the square root": {**LARS, "training__rate": AT_256 * (SMALL / 256) ** 0.5},
    "LARS, batch 64, rate by the batch": {**LARS, "training__rate": AT_256 * SMALL / 256},
}


class SimCLRTraining(Claim):
    name = "simclr-training"
    statement = (
        "A larger batch and longer training help, and at a small batch and few epochs a rate by the square root of the batch "
        "is better than one by the batch."
    )
    source = (
        "Chen et al. 2020 (arXiv 2002.05709), figure 9 and table B.1: at 100 epochs, batch 256 and 4096, linear 57.5 and "
        "64.6, square root 62.8 and 64.5"
    )
    data = "@animals"
    minutes = 28.0

    def work(self, lab: Lab) -> list[Finding]:
        found: dict[str, list[float]] = {}
        for arm, changes in ARMS.items():
            rows = [simclr.judged(lab, self.name, simclr.recipe(seed, **changes)) for seed in self.seeds]
            found[arm] = [row["probe"] for row in rows]
            nearest = sum(row["knn"] for row in rows) / len(rows)
            self.notes.append(f"{arm}: probe {sum(found[arm]) / len(rows):.1f}, kNN {nearest:.1f}")
        usual, small, longer, root, straight = found.values()
        probe = f"probe on {PER_CLASS} labels a class"
        return [
            Finding(f"{probe}, batch 256 over 64, as many images seen", "better", usual, small),
            Finding(f"{probe}, four times as long", "better", longer, usual),
            Finding(f"{probe}, batch 64, rate by the square root over by the batch", "5.3 points", root, straight),
        ]
