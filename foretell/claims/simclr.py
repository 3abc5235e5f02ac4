"""The SimCLR run that the claims share: the embedded animals, a small encoder, minutes on two cores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.data.images import Images
from foretell.objectives.simclr import SimCLR
from foretell.recipe import Recipe
from foretell.transfer.features import evaluating
from foretell.views import plain

SOURCE = "@animals"


def recipe(seed: int, **changes: object) -> Recipe:
    """The packaged recipe ``claims`` with ``training.seed`` and other dotted keys (``__`` for the dot) changed."""
    settings = {"training.seed": seed, **{key.replace("__", "."): value for key, value in changes.items()}}
    return Recipe.load("claims", settings)


def both(objective: SimCLR, images: Images, turn: int = 0) -> tuple[Tensor, Tensor]:
    """(h, z): pooled features (B, dim) and projections (B, head_dim), of the images turned by ``turn`` quarter turns."""
    views = objective.views
    with evaluating(objective):
        x = plain(images, objective.side, views.mean, views.std)
        h = objective.encoder.pooled(torch.rot90(x, turn, (2, 3)).contiguous())
        return h.float(), objective.head(h).float()


def embed(objective: SimCLR, rows: NDArray[np.int64], store: object, turn: int = 0) -> dict[str, NDArray[np.float32]]:
    """{"h": (N, dim), "z": (N, head_dim)} of ``rows`` of ``store``."""
    parts = [both(objective, store.read(some), turn) for some in np.array_split(rows, max(1, len(rows) // 512))]  # type: ignore[attr-defined]
    return {name: torch.cat([part[at] for part in parts]).cpu().numpy() for at, name in enumerate(("h", "z"))}


def contrastive_accuracy(objective: SimCLR, batches: int = 4, batch: int = 256) -> float:
    """The share of views whose partner is their nearest among a fresh batch's views (batch norm as in training)."""
    from foretell.counters import Rng, Rows

    rows = Rows.of_rank(batch)
    found = []
    state = {name: value.clone() for name, value in objective.state_dict().items()}
    objective.train()
    with torch.no_grad():
        for step in range(batches):
            task = objective.hide(objective.draw("image", 977, step, rows), Rng(977, step, rows))
            found.append(float(objective.loss(task, "all")["accuracy"]))
    objective.load_state_dict(state)
    objective.eval()
    return float(np.mean(found))
