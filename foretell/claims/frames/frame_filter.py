"""A guess at the next frame that knows of no motion: the nearest frame through the linear filter that is best on average.

Copies are easily beaten in squared error by what fades and blurs, since a copy errs twice where something moved, at the place
it left and at the one it came to. What is learnt of motion is what goes beyond the best filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foretell.data.store import ImageStore
from foretell.objectives.next_frame import NextFrame
from foretell.views import denormalise

WIDTH = 5  # pixels a side of the filter
BATCH = 32


def surroundings(frames: Tensor) -> Tensor:
    """(B, C, H, W) -> (B * C * H * W, WIDTH * WIDTH + 1) float64: what lies around each pixel, borders going on, and 1."""
    padded = F.pad(frames.flatten(0, 1)[:, None], (WIDTH // 2,) * 4, mode="replicate").double()
    found = F.unfold(padded, WIDTH).transpose(1, 2).flatten(0, 1)
    return torch.cat([found, torch.ones_like(found[:, :1])], dim=1)


def fitted(pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """(WIDTH * WIDTH + 1,) float64: the filter and the constant that foretell, by least squares, the second frames of
    ``pairs`` (B, C, H, W) from the first.
    """
    size = WIDTH * WIDTH + 1
    gram, against = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for given, hidden in pairs:
        x = surroundings(given)
        gram += x.T @ x
        against += x.T @ hidden.double().flatten()
    found: Tensor = torch.linalg.pinv(gram, hermitian=True) @ against
    return found


def filtered(weights: Tensor, frames: Tensor) -> Tensor:
    """``frames`` (B, C, H, W) through ``fitted``'s filter, in [0, 1], float64."""
    return (surroundings(frames) @ weights).reshape(frames.shape).clamp(0, 1)


def nearest_and_hidden(objective: NextFrame, store: ImageStore) -> Iterator[tuple[Tensor, Tensor]]:
    """The nearest frame and the hidden one, in [0, 1], of every window of ``store``, a batch at a time."""
    windows = objective.windows_of(store)
    mean, std = objective.views.mean, objective.views.std
    for start in range(0, len(windows), BATCH):
        task = objective.plain(windows.read(store, np.arange(start, min(start + BATCH, len(windows)))))
        yield denormalise(task.visible["frames"][:, -1], mean, std), denormalise(task.hidden["frame"], mean, std)


def error(objective: NextFrame, learnt: ImageStore, held: ImageStore) -> float:
    """Mean squared error in ``held`` of the filter that is best in ``learnt``, pixels in [0, 1]."""
    weights = fitted(nearest_and_hidden(objective, learnt))
    each = [
        (filtered(weights, given) - hidden).square().mean((1, 2, 3))
        for given, hidden in nearest_and_hidden(objective, held)
    ]
    return float(torch.cat(each).mean())
