"""What a masked autoencoder makes of hidden patches: pictures, and its loss beside that of flat patches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.counters import Rng, Rows, seed_of
from foretell.data.store import ImageStore
from foretell.measures.intervals import Interval, paired, t_interval
from foretell.objectives.base import Exhibit
from foretell.objectives.image import counted, learnt_from

if TYPE_CHECKING:
    from foretell.objectives.masked_autoencoder import MaskedAutoencoder

Index = NDArray[np.int64]

IMAGES = 512  # images that are measured, where there are more
AT_ONCE = 64
SHOWN = 8  # pictures in the exhibit


def losses(
    objective: MaskedAutoencoder, store: ImageStore, rows: Index, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) the loss of each undistorted image of ``rows``, its patches hidden by ``seed``; and that of flat patches.

    Flat are the patches of one shade: each one's own mean where the target is normalised, else the mean of the data.
    Either is 0 in the target.
    """
    device = next(objective.parameters()).device
    own, flat = [], []
    for start in range(0, len(rows), AT_ONCE):
        batch = store.read(rows[start : start + AT_ONCE]).to(device)
        rng = Rng(seed_of(seed, "masked"), 0, Rows(start, start + len(batch), len(rows)), device)
        task = objective.undistorted(batch, rng)
        target = task.hidden["patches"].float()
        own.append((objective.evaluated(task) - target).square().mean((1, 2)).double().cpu())
        flat.append(target.square().mean((1, 2)).double().cpu())
    return torch.cat(own).numpy(), torch.cat(flat).numpy()


def exhibit(objective: MaskedAutoencoder, store: ImageStore, rows: Index, seed: int) -> Exhibit:
    """Images of ``rows`` with their hidden patches foretold, the loss, and whether they were learnt from."""
    rows = np.asarray(rows, np.int64)
    if len(rows) > IMAGES:
        rows = np.sort(np.random.default_rng(seed_of(seed, "rebuilt")).permutation(rows)[:IMAGES])
    own, flat = losses(objective, store, rows, seed)
    few = rows[np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(np.int64))]
    device = next(objective.parameters()).device
    task = objective.undistorted(
        store.read(few).to(device), Rng(seed_of(seed, "shown"), 0, Rows.of_rank(len(few)), device)
    )
    panels = objective.panels(task, objective.evaluated(task))
    guess = "each flat, of its own mean" if objective.config.normalise else "all of the mean of the data"
    told = sentence(own, flat, guess)
    return Exhibit(
        "Patches it has foretold",
        f"{told} Measured on {counted(len(rows), learnt_from(store, rows, objective.store))}." + objective.given,
        [(caption, pictures.cpu()) for caption, pictures in panels],
        name="foretold",
        headline=told,
        table=[
            ("hidden patches", "mean squared error (95% interval over images)"),
            ("foretold", _told(t_interval(own.tolist()))),
            (guess, _told(t_interval(flat.tolist()))),
        ],
    )


def sentence(own: NDArray[np.float64], flat: NDArray[np.float64], guess: str) -> str:
    """How far the loss of each image lies below that of flat patches, for a person."""
    gain = paired(flat.tolist(), own.tolist())
    told = f"The mean squared error in the hidden patches is {own.mean():.3f}, against {flat.mean():.3f} for patches {guess}"
    if math.isnan(gain.low):
        return f"{told}."
    told += (
        f": lower by {_told(gain)}"
        if gain.mean > 0
        else f": higher by {_told(Interval(-gain.mean, -gain.high, -gain.low, gain.n))}"
    )
    return f"{told}." if gain.low > 0 else f"{told}, no better than those."


def _told(value: Interval) -> str:
    if math.isnan(value.low):
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})".replace("-", "−")
