"""The SimCLR run that the claims share: the embedded animals, a small encoder, minutes on two cores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.claims.lab import Lab
from foretell.data.images import Images
from foretell.measures.knn import knn
from foretell.measures.metrics import score
from foretell.measures.probe import fit_probe
from foretell.objectives.simclr import SimCLR
from foretell.recipe import Recipe
from foretell.transfer.fractions import subset
from foretell.transfer.networks import device_of, evaluating
from foretell.views import plain_view

SOURCE = "@animals"
PER_CLASS = 10
PENALTY = 0.1  # of the probe on few labels, the same for every arm


def recipe(seed: int, **changes: object) -> Recipe:
    """The packaged recipe ``claims`` with ``training.seed`` and other dotted keys (``__`` for the dot) changed."""
    settings = {"training.seed": seed, **{key.replace("__", "."): value for key, value in changes.items()}}
    return Recipe.load("claims", settings)


def both(objective: SimCLR, images: Images, turn: int = 0) -> tuple[Tensor, Tensor]:
    """(h, z): pooled features (B, dim) and projections (B, head_dim), of the images turned by ``turn`` quarter turns."""
    images = images.to(device_of(objective))
    with evaluating(objective):
        x = plain_view(images, objective.views)
        h = objective.encoder.pooled(torch.rot90(x, turn, (2, 3)).contiguous())
        return h.float(), objective.head(h).float()


def embed(objective: SimCLR, rows: NDArray[np.int64], store: object, turn: int = 0) -> dict[str, NDArray[np.float32]]:
    """{"h": (N, dim), "z": (N, head_dim)} of ``rows`` of ``store``."""
    parts = [both(objective, store.read(some), turn) for some in np.array_split(rows, max(1, len(rows) // 512))]  # type: ignore[attr-defined]
    return {name: torch.cat([part[at] for part in parts]).cpu().numpy() for at, name in enumerate(("h", "z"))}


def judged(lab: Lab, claim: str, recipe: Recipe) -> dict[str, float]:
    """In percent, of the run of ``recipe``: "probe" (h, on ``PER_CLASS`` labels a class), "knn" (k = 20, all labels) and
    "contrastive" (the accuracy of the pretext task).
    """

    def judge() -> dict[str, float]:
        objective = lab.trained(recipe)
        assert isinstance(objective, SimCLR)
        assert recipe.data.source is not None
        store = lab.store(recipe.data.source)
        train, test = lab.split(recipe.data.source)
        codes, classes = store.table.codes("label")
        x, held = (embed(objective, rows, store)["h"] for rows in (train, test))
        few = subset(codes[train], None, per_class=PER_CLASS, seed=recipe.training.seed)
        probe = fit_probe(x[few], codes[train][few], len(classes), PENALTY)
        votes = knn(x, codes[train], held, k=20, classes=len(classes)).cpu().numpy()
        return {
            "probe": 100 * float((probe.logits(held).argmax(axis=1) == codes[test]).mean()),
            "knn": 100 * score(votes, codes[test])["accuracy"],
            "contrastive": 100 * contrastive_accuracy(objective),
        }

    return lab.result(claim, {"recipe": lab.key(recipe), "per_class": PER_CLASS, "penalty": PENALTY}, judge)


def contrastive_accuracy(objective: SimCLR, batches: int = 4, batch: int = 256) -> float:
    """The share of views whose partner is their nearest among a fresh batch's views (batch norm as in training)."""
    from foretell.counters import Rng, Rows

    rows, device = Rows.of_rank(batch), device_of(objective)
    found = []
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    objective.train()
    with torch.no_grad():
        for step in range(batches):
            drawn = objective.draw("image", 977, step, rows).to(device)
            task = objective.hide(drawn, Rng(977, step, rows, device))
            found.append(float(objective.loss(task, "all")["accuracy"]))
    objective.load_state_dict(state)
    objective.eval()
    return float(np.mean(found))
