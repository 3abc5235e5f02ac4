"""The layer before the projection head is the better representation, because the head throws away what views change."""

from __future__ import annotations

import numpy as np

from foretell.claims.base import Claim, Finding
from foretell.claims.images import simclr
from foretell.claims.lab import Lab
from foretell.measures.probe import linear_probe
from foretell.objectives.simclr import SimCLR
from foretell.transfer.fractions import validation_splits

ROTATED = 1500  # images for each part of the rotation probe, each in four turns


class SimCLRHead(Claim):
    name = "simclr-head"
    statement = "The layer before the projection head (h) is a better representation than the one after it (z)."
    source = "Chen et al. 2020 (arXiv 2002.05709), section 4.2 and table 3: over 10 points; rotation 67.6 against 25.6"
    data = "@animals"
    minutes = 8.0
    changed = "3 seeds left the probe of the class undecided (+2.2, -1.2 to +5.6), and 6 followed"

    def work(self, lab: Lab) -> list[Finding]:
        measured = [self._measure(lab, seed) for seed in self.seeds]

        def of(name: str) -> list[float]:
            return [one[name] for one in measured]

        self.notes.append(
            "penalties of the probes chosen on held-out training labels, 4 trials each; chance of the rotation probe is 25%"
        )
        return [
            Finding("linear probe of the class, h over z", "over 10 points", of("class_h"), of("class_z")),
            Finding("linear probe of the rotation, h over z", "42 points", of("rotation_h"), of("rotation_z")),
        ]

    def _measure(self, lab: Lab, seed: int) -> dict[str, float]:
        recipe = simclr.recipe(seed)
        key = {"recipe": lab.key(recipe), "rotated": ROTATED}
        return lab.result(self.name, key, lambda: self._probe(lab, seed))

    def _probe(self, lab: Lab, seed: int) -> dict[str, float]:
        objective = lab.trained(simclr.recipe(seed))
        assert isinstance(objective, SimCLR)
        lab.say(f"{self.name}: probing seed {seed}")
        store = lab.store(simclr.SOURCE)
        train, test = lab.split(simclr.SOURCE)
        codes, classes = store.table.codes("label")
        found: dict[str, float] = {}
        features = {"train": simclr.embed(objective, train, store), "test": simclr.embed(objective, test, store)}
        for layer in ("h", "z"):
            found[f"class_{layer}"] = _score(
                features["train"][layer], codes[train], features["test"][layer], codes[test], len(classes)
            )
        some = {
            part: np.random.default_rng(seed).permutation(rows)[:ROTATED]
            for part, rows in (("train", train), ("test", test))
        }
        turned = {
            part: [simclr.embed(objective, rows, store, turn) for turn in range(4)] for part, rows in some.items()
        }
        turns = {part: np.repeat(np.arange(4), len(rows)) for part, rows in some.items()}
        for layer in ("h", "z"):
            x = {part: np.concatenate([one[layer] for one in parts]) for part, parts in turned.items()}
            found[f"rotation_{layer}"] = _score(x["train"], turns["train"], x["test"], turns["test"], 4)
        return found


def _score(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, classes: int) -> float:
    """Test accuracy in percent of a linear probe whose penalty is chosen on a part of the training rows."""
    splits, _ = validation_splits(train_y, None, k=2, share=0.25, seed=0)
    probe, _ = linear_probe(train_x, train_y, classes, splits=splits, trials=4)
    return 100 * float((probe.logits(test_x).argmax(axis=1) == test_y).mean())
