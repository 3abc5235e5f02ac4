"""Images of one class come to lie closer than those of different classes, though no label was ever used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.claims.base import Claim, Finding
from foretell.claims.images import simclr
from foretell.claims.lab import Index, Lab
from foretell.objectives.simclr import SimCLR
from foretell.transfer.fractions import subset
from foretell.transfer.images.features import extract, random_encoder

PER_CLASS = 100  # test images


def closeness(x: NDArray[np.float32], codes: NDArray[np.int64]) -> float:
    """The chance, in percent, that of two pairs, one of the same class and one of different ones, the first has the larger
    cosine (the area under the ROC curve); 50 for features that know nothing of the classes.
    """
    from sklearn.metrics import roc_auc_score

    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    above = np.triu_indices(len(x), 1)
    same = codes[above[0]] == codes[above[1]]
    return 100 * float(roc_auc_score(same, (unit @ unit.T)[above]))


class SimCLRCloseness(Claim):
    name = "simclr-closeness"
    statement = "After training, images of one class lie closer to each other than to those of other classes, without a label used."
    source = "Chen et al. 2020 (arXiv 2002.05709), appendix B: classes form clusters of hidden vectors"
    data = "@animals, its test part"
    minutes = 15.0

    def work(self, lab: Lab) -> list[Finding]:
        rows = [self._measure(lab, seed) for seed in self.seeds]
        self.notes.append(
            f"all pairs of {PER_CLASS} test images of each class; h, centred on their mean; the untrained network's batch norm "
            "is measured on training images"
        )
        after, before = ([row[name] for row in rows] for name in ("after", "before"))
        what = "chance that a pair of one class is the closer one"
        return [
            Finding(f"{what}, over one half", "closer", after, [50.0] * len(after)),
            Finding(f"{what}, trained over untrained", "closer", after, before),
        ]

    def _measure(self, lab: Lab, seed: int) -> dict[str, float]:
        key = {"recipe": lab.key(simclr.recipe(seed)), "per_class": PER_CLASS, "untrained": "batch norm measured"}
        return lab.result(self.name, key, lambda: _look(lab, seed))


def chosen(lab: Lab, seed: int) -> Index:
    """Rows of ``PER_CLASS`` test images of each class, drawn by ``seed``."""
    test = lab.split(simclr.SOURCE)[1]
    return test[subset(lab.store(simclr.SOURCE).table.codes("label")[0][test], per_class=PER_CLASS, seed=seed)]


def _look(lab: Lab, seed: int) -> dict[str, float]:
    """``closeness`` "before" and "after" training."""
    objective = lab.trained(simclr.recipe(seed))
    assert isinstance(objective, SimCLR)
    store, views, rows = lab.store(simclr.SOURCE), objective.views, chosen(lab, seed)
    untrained = random_encoder(objective.encoder, seed, store, lab.split(simclr.SOURCE)[0], views)
    found = {}
    for name, encoder in (("before", untrained), ("after", objective.encoder)):
        x = extract(encoder, store, rows, views)
        found[name] = closeness(x - x.mean(0), store.table.codes("label")[0][rows])
    return found
