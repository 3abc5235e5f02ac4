"""MICLe brings the images of a case together: of cases that it has not seen too, and at the price of what changes in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.claims.base import Claim, Finding
from foretell.claims.lab import Lab
from foretell.claims.medical import micle
from foretell.claims.medical.micle import Arm, mean
from foretell.claims.medical.micle_cases import ARMS
from foretell.claims.medical.units import RESPLIT
from foretell.measures.metrics import score
from foretell.measures.probe import linear_probe
from foretell.transfer.fractions import validation_splits
from foretell.transfer.images.features import extract

TRIALS = 4
Features = NDArray[np.float32]


def closeness(h: Features, cases: NDArray[np.int64]) -> tuple[float, float]:
    """(mean cosine of two images of one case, of two images of different cases), every case with two images or more
    weighing alike; ``h`` (N, D) is centred first, so that a direction that all share says nothing.
    """
    z = (h - h.mean(axis=0)).astype(np.float64)
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    sums = np.zeros((int(cases.max()) + 1, z.shape[1]))
    np.add.at(sums, cases, z)
    sizes = np.bincount(cases)
    sums, sizes = sums[sizes > 1], sizes[sizes > 1]
    within = ((sums**2).sum(axis=1) - sizes) / (sizes * (sizes - 1))
    means = sums / sizes[:, None]
    count = len(means)
    between = ((means.sum(axis=0) ** 2).sum() - (means**2).sum()) / (count * (count - 1))
    return float(within.mean()), float(between)


class MICLeInvariance(Claim):
    name = "micle-invariance"
    statement = (
        "After MICLe two images of an unseen case lie closer than after SimCLR, and what changes within a case is read less well "
        "from the representation."
    )
    source = "Azizi et al. 2021 (arXiv 2101.05224), section 3.2: representations that are robust to the viewpoint and other nuisances"
    data = micle.WHERE
    minutes = 14.0
    resplit = RESPLIT

    def work(self, lab: Lab) -> list[Finding]:
        measured = {arm: [self._measure(lab, seed, arm) for seed in self.seeds] for arm in ARMS}

        def of(arm: Arm, name: str) -> list[float]:
            return [one[name] for one in measured[arm]]

        for arm in ARMS:
            self.notes.append(
                f"{arm}: cosine {mean(of(arm, 'within')):.2f} within a test unit, {mean(of(arm, 'between')):.2f} between units; "
                f"pose {mean(of(arm, 'pose')):.1f} balanced accuracy"
            )
        self.notes.append(
            "cosines of centred features before the head; the pose (what the unit does: 6 kinds) by a linear probe on training "
            "units, tested on other units; chance 16.7"
        )
        apart = {arm: [a - b for a, b in zip(of(arm, "within"), of(arm, "between"), strict=True)] for arm in ARMS}
        return [
            Finding("cosine within an unseen case, MICLe over SimCLR", "above", of("micle", "within"), of("simclr", "within"), "cosine"),
            Finding("the same, less that between cases", "above", apart["micle"], apart["simclr"], "cosine"),
            Finding("balanced accuracy of the pose, SimCLR over MICLe", "above", of("simclr", "pose"), of("micle", "pose")),
        ]  # fmt: skip

    def _measure(self, lab: Lab, seed: int, arm: Arm) -> dict[str, float]:
        key = {"recipe": lab.key(micle.recipe(lab, seed, arm, micle.THEN)), "first": micle.FIRST}
        return lab.result(self.name, key, lambda: self._look(lab, seed, arm))

    def _look(self, lab: Lab, seed: int, arm: Arm) -> dict[str, float]:
        objective = micle.pretrained(lab, seed, arm)
        lab.say(f"{self.name}: {arm}, split {seed}")
        name = micle.source_of(lab, seed)
        store = lab.store(name)
        labels = store.table.column("label")
        train, test = (np.array([row for row in part if labels[row] is not None]) for part in lab.split(name))
        learnt, held = (extract(objective.encoder, store, rows, objective.views) for rows in (train, test))
        units = store.table.codes("group")[0]
        within, between = closeness(held, np.unique(units[test], return_inverse=True)[1])
        poses, kinds = store.table.codes("pose")
        splits, _ = validation_splits(poses[train], units[train], k=2, share=0.25, seed=seed)
        probe, _ = linear_probe(learnt, poses[train], len(kinds), splits=splits, trials=TRIALS)
        pose = score(probe.probabilities(held), poses[test])["balanced_accuracy"]
        return {"within": within, "between": between, "pose": 100 * pose}
