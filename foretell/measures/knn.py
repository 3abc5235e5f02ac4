"""Exact nearest neighbours by cosine, in blocks: memory is bounded, and the top k are merged as the blocks go by."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foretell.errors import InputError

Features = Tensor | NDArray[np.float32]

_BLOCK_BYTES = 192 << 20


def _unit(x: Features) -> Tensor:
    x = torch.as_tensor(x)
    if x.ndim != 2:
        raise ValueError(f"features must be (N, D), not {tuple(x.shape)}")
    return F.normalize(x.to(torch.float32), dim=1)


def _top(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row of (R, N), unsorted, with their columns.

    Exact: the k largest lie in the k chunks of columns whose maxima are largest, so that a row is read once for the
    maxima, and only about 2 sqrt(k N) of its entries are sorted.
    """
    rows, n = similarity.shape
    width = round(math.sqrt(n / k) / 16) * 16  # of whole vector registers: others read at half the speed
    chunks = n // width if width else 0
    if chunks <= k:
        value, column = similarity.topk(k, dim=1, sorted=False)
        return value, column
    even = chunks * width
    view = similarity.as_strided((rows, chunks, width), (similarity.stride(0), width, 1))
    best = view.amax(dim=2).topk(k, dim=1, sorted=False).indices
    candidates = view.gather(1, best[:, :, None].expand(rows, k, width)).reshape(rows, k * width)
    if even < n:
        candidates = torch.cat([candidates, similarity[:, even:]], dim=1)
    value, at = candidates.topk(k, dim=1, sorted=False)
    chunk = best.gather(1, (at // width).clamp_(max=k - 1))
    column = torch.where(at < k * width, chunk * width + at % width, at - k * width + even)
    return value, column


def nearest(
    query: Features,
    gallery: Features,
    k: int,
    *,
    exclude: Tensor | None = None,
    block_bytes: int = _BLOCK_BYTES,
) -> tuple[Tensor, Tensor]:
    """The ``k`` gallery rows of largest cosine for each query: (index (Q, k) int64, similarity (Q, k) float32),
    best first.

    ``query`` (Q, D), ``gallery`` (G, D). ``exclude`` (Q,) int64 names one gallery row a query must not find
    (itself; -1 for none). Beside normalised copies of the inputs, the work needs about ``block_bytes``. Raises
    InputError when the gallery has too few rows.
    """
    q, g = _unit(query), _unit(gallery)
    wanted = k if exclude is None else k + 1
    if k < 1 or wanted > len(g):
        raise InputError(
            f"{k} nearest neighbours asked of {len(g)} samples{' besides the query' if exclude is not None else ''}; "
            "give fewer neighbours or more samples"
        )
    columns = min(len(g), max(wanted, 65_536))
    rows = max(1, min(len(q), block_bytes // (4 * columns)))
    index = torch.empty(len(q), k, dtype=torch.int64, device=q.device)
    similarity = torch.empty(len(q), k, dtype=torch.float32, device=q.device)
    buffer = torch.empty(rows * columns, dtype=torch.float32, device=q.device)
    for start in range(0, len(q), rows):
        block = q[start : start + rows]
        value: Tensor | None = None
        for left in range(0, len(g), columns):
            part = g[left : left + columns]
            product = buffer[: len(block) * len(part)].view(len(block), len(part))
            torch.mm(block, part.T, out=product)
            found, column = _top(product, min(wanted, len(part)))
            column = column + left
            if value is None:
                value, at = found, column
            else:
                value = torch.cat([value, found], dim=1)
                at = torch.cat([at, column], dim=1)
                value, pick = value.topk(min(wanted, value.shape[1]), dim=1, sorted=False)
                at = at.gather(1, pick)
        assert value is not None
        if exclude is not None:
            own = exclude[start : start + rows].to(at.device)[:, None]
            value = value.masked_fill(at == own, -math.inf)
        value, pick = value.topk(k, dim=1, sorted=True)
        index[start : start + rows] = at.gather(1, pick)
        similarity[start : start + rows] = value
    return index, similarity


def knn(
    train_x: Features,
    train_y: Tensor | NDArray[np.int64],
    test_x: Features,
    *,
    k: int = 20,
    weighting: Literal["uniform", "softmax"] = "softmax",
    temperature: float = 0.07,
    classes: int | None = None,
) -> Tensor:
    """(Q, classes) float32 votes that sum to one: the share of each class among the ``k`` nearest training samples.

    ``softmax`` weighs a neighbour by exp(cosine / temperature) (Wu et al., arXiv 1805.01978, section 3.4);
    ``uniform`` counts. ``k`` is cut to the number of training samples.
    """
    labels = torch.as_tensor(train_y).to(torch.int64)
    if len(labels) == 0:
        raise InputError("nearest neighbours need at least one labelled sample; give labels")
    index, similarity = nearest(test_x, train_x, min(k, len(labels)))
    labels = labels.to(index.device)
    if weighting == "softmax":
        weight = ((similarity - similarity[:, :1]) / temperature).exp()
    else:
        weight = torch.ones_like(similarity)
    count = int(labels.max()) + 1 if classes is None else classes
    votes = torch.zeros(len(index), count, device=index.device)
    votes.scatter_add_(1, labels[index], weight)
    return votes / votes.sum(dim=1, keepdim=True)
