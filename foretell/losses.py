"""Losses as pure functions of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from foretell.distributed import gather, rank


def _similarities(first: Tensor, second: Tensor, temperature: float, normalise: bool) -> tuple[Tensor, Tensor]:
    """(2B, 2N) similarities of this process's views to every process's, -inf to itself, and the positives' columns (2B,)."""
    size = first.shape[0]
    own = torch.stack([first, second])
    if normalise:
        own = F.normalize(own, dim=-1)
    # (2, B, D) -> (2N, D), the first views of all processes and then the second
    others = torch.cat([gather(own[0]), gather(own[1])])
    total = others.shape[0] // 2
    if total < 2:
        raise ValueError("NT-Xent needs at least two samples: a batch of one has no negatives")
    similarity = own.reshape(2 * size, -1) @ others.T / temperature
    row = torch.arange(size, device=own.device) + rank() * size
    self_column = torch.cat([row, row + total])
    positive = torch.cat([row + total, row])
    return similarity.scatter(1, self_column[:, None], float("-inf")), positive


def nt_xent(first: Tensor, second: Tensor, temperature: float, *, normalise: bool = True) -> tuple[Tensor, Tensor]:
    """Normalised temperature-scaled cross-entropy (SimCLR, arXiv 2002.05709, equation 1) over every process's views.

    ``first`` and ``second`` (B, D): row i of one is the positive of row i of the other; all other 2N - 2 views of the
    global batch of N = B x processes are negatives. With ``normalise`` the similarity is the cosine, else the plain
    product. Returns (loss, accuracy): the mean over this process's 2B anchors (both orders of each pair, as the paper;
    the authors' code returns twice that), and the share of anchors whose positive is their nearest view.

    All rows identical gives ln(2N - 1). Raises ValueError for a global batch of one, which has no negative.
    """
    with torch.autocast(
        first.device.type, enabled=False
    ):  # cosines near one need float32: a step's autocast would round them
        similarity, positive = _similarities(first.float(), second.float(), temperature, normalise)
    loss = F.cross_entropy(similarity, positive)
    accuracy = (similarity.detach().argmax(1) == positive).float().mean()
    return loss, accuracy


def mean_squared(foretold: Tensor, target: Tensor) -> Tensor:
    """Mean over all elements of the squared difference of two tensors of one shape."""
    return (foretold.float() - target.float()).square().mean()


def hole_error(foretold: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """The reconstruction loss of context encoders (arXiv 1604.07379, equation 1), normalised by what is foretold.

    Squared error of ``foretold`` and ``truth`` (B, C, H, W) times ``weights`` (B, 1, H, W): the mean over a sample's
    values whose weight is not zero, then over samples, so that it is the same in parts of a batch. Its gradient is
    exactly zero where the weight is zero.
    """
    squared = weights * (foretold.float() - truth.float()).square()
    count = foretold.shape[1] * (weights > 0).sum((1, 2, 3)).clamp(min=1)
    return (squared.sum((1, 2, 3)) / count).mean()
