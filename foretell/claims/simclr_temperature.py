"""The temperature of NT-Xent has a best value in between, and the contrastive task's own accuracy does not find it."""

from __future__ import annotations

from foretell.claims import simclr
from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.objectives.simclr import SimCLR
from foretell.transfer.fractions import subset
from foretell.transfer.knn import knn
from foretell.transfer.metrics import score
from foretell.transfer.probe import fit_probe

PER_CLASS = 10
PENALTY = 0.1  # of the probe, the same for every arm
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
        measured = {arm: [self._measure(lab, arm, seed) for seed in self.seeds] for arm in ARMS}

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
                "7 points",
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

    def _measure(self, lab: Lab, arm: str, seed: int) -> dict[str, float]:
        recipe = simclr.recipe(seed, **ARMS[arm])
        key = {"recipe": lab.key(recipe), "per_class": PER_CLASS, "penalty": PENALTY}
        return lab.result(self.name, key, lambda: self._judge(lab, arm, seed))

    def _judge(self, lab: Lab, arm: str, seed: int) -> dict[str, float]:
        objective = lab.trained(simclr.recipe(seed, **ARMS[arm]))
        assert isinstance(objective, SimCLR)
        store = lab.store(simclr.SOURCE)
        train, test = lab.split(simclr.SOURCE)
        codes, classes = store.table.codes("label")
        x, held = (simclr.embed(objective, rows, store)["h"] for rows in (train, test))
        few = subset(codes[train], None, per_class=PER_CLASS, seed=seed)
        probe = fit_probe(x[few], codes[train][few], len(classes), PENALTY)
        votes = knn(x, codes[train], held, k=20, classes=len(classes)).cpu().numpy()
        return {
            "probe": 100 * float((probe.logits(held).argmax(axis=1) == codes[test]).mean()),
            "knn": 100 * score(votes, codes[test])["accuracy"],
            "contrastive": 100 * simclr.contrastive_accuracy(objective),
        }
