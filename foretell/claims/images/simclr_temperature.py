"""The temperature of NT-Xent has a best value in between, and the contrastive task's own accuracy does not find it."""

from __future__ import annotations

from foretell.claims.base import Claim, Finding
from foretell.claims.images import simclr
from foretell.claims.images.simclr import PER_CLASS
from foretell.claims.lab import Lab

# name -> changed settings; the published ablation has temperatures 0.05, 0.1, 0.5, 1, and products without norm at 10
ARMS: dict[str, dict[str, object]] = {
    "0.05": {"objective__temperature": 0.05},
    "0.1": {"objective__temperature": 0.1},
    "0.5": {"objective__temperature": 0.5},
    "1": {"objective__temperature": 1.0},
    "unnormalised, 10": {"objective__temperature": 10.0, "objective__normalise": False},
}


class SimCLRTemperature(Claim):
    name = "simclr-temperature"
    statement = (
        "A temperature that is too small or too large hurts the representation, and so does leaving out the normalisation, "
        "although its contrastive accuracy is higher."
    )
    source = "Chen et al. 2020 (arXiv 2002.05709), table 5: linear top-1 59.7, 64.4, 60.7, 58.0 at 0.05, 0.1, 0.5, 1"
    data = "@animals"
    minutes = 13.0

    def work(self, lab: Lab) -> list[Finding]:
        measured = {
            arm: [simclr.judged(lab, self.name, simclr.recipe(seed, **changes)) for seed in self.seeds]
            for arm, changes in ARMS.items()
        }

        def of(arm: str, name: str) -> list[float]:
            return [one[name] for one in measured[arm]]

        for arm, rows in measured.items():
            means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
            self.notes.append(
                f"temperature {arm}: probe on {PER_CLASS} labels a class {means['probe']:.1f}, kNN {means['knn']:.1f}, "
                f"contrastive accuracy {means['contrastive']:.1f}"
            )
        probe = f"probe on {PER_CLASS} labels a class"
        return [
            Finding(f"{probe}, 0.1 over 0.05", "4.7 points", of("0.1", "probe"), of("0.05", "probe")),
            Finding(f"{probe}, 0.1 over 0.5", "3.7 points", of("0.1", "probe"), of("0.5", "probe")),
            Finding(f"{probe}, 0.1 over 1", "6.4 points", of("0.1", "probe"), of("1", "probe")),
            Finding(
                f"{probe}, 0.1 over the unnormalised",
                "7.2 points",
                of("0.1", "probe"),
                of("unnormalised, 10", "probe"),
            ),
            Finding(
                "contrastive accuracy, 0.05 over 1 (the task itself prefers the small one)",
                "31.4 points",
                of("0.05", "contrastive"),
                of("1", "contrastive"),
            ),
            Finding(
                "contrastive accuracy, the unnormalised over 0.1",
                "3.9 points",
                of("unnormalised, 10", "contrastive"),
                of("0.1", "contrastive"),
            ),
        ]
