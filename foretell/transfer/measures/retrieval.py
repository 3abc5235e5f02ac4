"""Retrieval: Recall@k and mean average precision, with a class or a group as identity (re-identification)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.errors import InputError
from foretell.transfer.measures.knn import Features, _unit, nearest


def _identity(identity: Tensor | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    codes = torch.as_tensor(identity).to(torch.int64).cpu()
    known = codes[codes >= 0]
    counts = torch.bincount(known) if len(known) else torch.zeros(1, dtype=torch.int64)
    # Only a query whose identity occurs again can be found.
    able = (codes >= 0) & (counts[codes.clamp(min=0)] > 1)
    return codes, able.nonzero()[:, 0]


def recall_at_k(
    features: Features,
    identity: Tensor | NDArray[np.int64],
    ks: Sequence[int] = (1, 5, 10),
    *,
    device: torch.device | str | None = None,
) -> dict[int, float]:
    """Recall@k: the share of queries with a sample of the same identity among the k nearest others.

    Every row of ``features`` (N, D) is a query against all others (itself excluded). ``identity`` (N,) int64, -1
    for unknown (stays in the gallery, is never a hit). Queries whose identity occurs once are left out. Raises
    InputError when none is left.
    """
    codes, queries = _identity(identity)
    if len(queries) == 0:
        raise InputError("retrieval needs an identity that occurs twice; every identity here occurs once")
    most = min(max(ks), len(codes) - 1)
    x = torch.as_tensor(features)
    index, _ = nearest(x[queries.to(x.device)], x, most, exclude=queries, device=device)
    hits = codes[index.cpu()] == codes[queries][:, None]
    return {k: float(hits[:, : min(k, most)].any(dim=1).double().mean()) for k in ks}


def mean_average_precision(
    features: Features,
    identity: Tensor | NDArray[np.int64],
    *,
    block_bytes: int = 96 << 20,
    device: torch.device | str | None = None,
) -> float:
    """mAP over the whole ranking of the other samples by cosine, itself excluded; arguments as ``recall_at_k``."""
    codes, queries = _identity(identity)
    if len(queries) == 0:
        raise InputError("retrieval needs an identity that occurs twice; every identity here occurs once")
    x = _unit(features, device)
    n = len(x)
    codes = codes.to(x.device)
    # Similarity, its order, ranks and hits: about 24 bytes an entry.
    rows = max(1, block_bytes // (24 * n))
    place = torch.arange(1, n + 1, device=x.device, dtype=torch.float64)
    total = 0.0
    for start in range(0, len(queries), rows):
        own = queries[start : start + rows].to(x.device)
        similarity = x[own] @ x.T
        similarity.scatter_(1, own[:, None], -torch.inf)
        order = similarity.argsort(dim=1, descending=True)
        hits = codes[order] == codes[own][:, None]
        hits[:, -1] = False  # the query itself, put last
        found = hits.cumsum(dim=1)
        precision = (found / place).masked_fill(~hits, 0.0).sum(dim=1) / found[:, -1]
        total += float(precision.sum())
    return total / len(queries)
