"""Attention over the images of a case: a learnt weight for each image, here on frozen features (after Ilse, Tomczak and
Welling, arXiv 1802.04712, with one linear score and over the images' probabilities, so that a case is a weighted mean
of its images).

Where cases have findings each has a score of its own: what shows one of them need not show another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.measures.probe import Probe, fit_probe

Array = NDArray[np.float32]
Index = NDArray[np.int64]
ITERATIONS = 100


@dataclass(frozen=True)
class AttentionProbe(Probe):
    """A linear classifier of images, and ``attention`` (1, D): an image weighs exp(attention @ x) in its case."""

    attention: Array

    def probabilities(self, x: Array) -> Array:
        """(N, classes + 1): class probabilities of each image, and last the logarithm of its weight."""
        return np.concatenate([super().probabilities(x), x @ self.attention.T], axis=1).astype(np.float32)


def weighed(shares: Tensor, scores: Tensor, of: Tensor, count: int) -> Tensor:
    """(count, C) log probabilities of cases: those of their images, averaged with weights exp(score).

    ``shares`` (B, C) log probabilities and ``scores`` (B, 1 or C) of the images, ``of`` (B,) int64 the case of each, in
    [0, count). Worked out in logarithms, so that a case that is surely taken for another class still has a gradient.
    """
    return _log_sums(shares + scores, of, count) - _log_sums(scores, of, count)


def _log_sums(x: Tensor, of: Tensor, count: int) -> Tensor:
    """(count, C): the logarithms of the sums of exp(``x``) (B, C) over the rows of each case."""
    place = of[:, None].expand_as(x)
    none = x.new_full((count, x.shape[1]), -torch.inf)
    highest = none.scatter_reduce(0, place, x.detach(), "amax")
    return highest + torch.zeros_like(none).index_add(0, of, (x - highest[of]).exp()).log()


def fit_attention(
    x: Array, y: Index, cases: Index, classes: int, strength: float, weights: Array | None
) -> AttentionProbe:
    """Minimise the mean cross-entropy of cases + strength / 2 (|W|^2 + |a|^2) over (N, D) standardised features, by L-BFGS.

    It starts from ``fit_probe`` with equal weights, so that attention is learnt only where it helps the training cases. ``y``
    (N,) and ``cases`` (N,) are each image's class and case. Raises InputError as ``fit_probe``.
    """
    start = fit_probe(x, y, classes, strength, weights=weights)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale < 1e-6 * max(float(scale.max()), 1e-12), np.inf, scale)
    z = torch.from_numpy(((x - mean) / scale).astype(np.float32))
    numbers, first, of = np.unique(cases, return_index=True, return_inverse=True)
    place, truth = torch.from_numpy(of), torch.from_numpy(y[first])
    finite = np.where(np.isinf(scale), 0.0, scale)
    weight = torch.from_numpy((start.weight * finite).astype(np.float32)).requires_grad_()
    bias = torch.from_numpy((start.bias + start.weight @ mean).astype(np.float32)).requires_grad_()
    attention = torch.zeros(x.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias, attention], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        shares = (z @ weight.T + bias).log_softmax(dim=1)
        pooled = weighed(shares, (z @ attention)[:, None], place, len(numbers))
        own = pooled[torch.arange(len(numbers)), truth]
        found = -own.mean() + strength / 2 * ((weight**2).sum() + (attention**2).sum())
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    scaled = (weight.detach().numpy() / scale).astype(np.float32)
    intercept = (bias.detach().numpy() - scaled @ mean).astype(np.float32)
    found = (attention.detach().numpy() / scale).astype(np.float32)
    return AttentionProbe(scaled, intercept, strength, found[None])
