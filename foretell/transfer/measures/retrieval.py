"""Retrieval: Recall@k and mean average precision, with a class or a group as identity (re-identification)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.errors import InputError
from foretell.transfer.measures.knn import Features, _unit, nearest

Codes = Tensor | NDArray[np.int64]

_BLOCK_BYTES = 96 << 20


def _identity(identity: Codes, apart: Codes | None) -> tuple[Tensor, Tensor]:
    """(identities, rows of the queries): those whose identity occurs again where it may be found."""
    codes = torch.as_tensor(identity).to(torch.int64).cpu()
    own = torch.arange(len(codes)) if apart is None else torch.as_tensor(apart).to(torch.int64).cpu()
    both = torch.stack([codes, own], dim=1).numpy()
    _, of, sizes = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    together = torch.from_numpy(sizes[of.ravel()])
    known = codes[codes >= 0]
    counts = torch.bincount(known) if len(known) else torch.zeros(1, dtype=torch.int64)
    able = (codes >= 0) & (counts[codes.clamp(min=0)] > together)
    if not able.any():
        twice, once = ("twice", "once") if apart is None else ("in two groups", "in one")
        raise InputError(f"retrieval needs an identity that occurs {twice}; every identity here occurs {once}")
    return codes, able.nonzero()[:, 0]


def _cosines(x: Tensor, queries: Tensor, apart: Codes | None, block_bytes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows of queries, their cosines with all rows of ``x``) block by block, -inf for what is not searched: the query itself, and
    what shares its number of ``apart``.
    """
    own = None if apart is None else torch.as_tensor(apart).to(x.device)
    # Similarity, its order, ranks and hits: about 24 bytes an entry.
    rows = max(1, block_bytes // (24 * len(x)))
    for start in range(0, len(queries), rows):
        at = queries[start : start + rows].to(x.device)
        similarity = x[at] @ x.T
        similarity.scatter_(1, at[:, None], -torch.inf)
        if own is not None:
            similarity.masked_fill_(own[at][:, None] == own, -torch.inf)
        yield at, similarity


def recall_at_k(
    features: Features,
    identity: Codes,
    ks: Sequence[int] = (1, 5, 10),
    *,
    apart: Codes | None = None,
    device: torch.device | str | None = None,
) -> dict[int, float]:
    """Recall@k: the share of queries with a sample of the same identity among the k nearest others.

    Every row of ``features`` (N, D) is a query against all others: not itself, and with ``apart`` (N,) int64 none that has its
    number there, as of one patient. ``identity`` (N,) int64, -1 for unknown (stays in the gallery, is never a hit). Queries
    that have nothing to find are left out. Raises InputError when none is left.
    """
    codes, queries = _identity(identity, apart)
    most = min(max(ks), len(codes) - 1)
    if apart is None:
        x = torch.as_tensor(features)
        index, _ = nearest(x[queries.to(x.device)], x, most, exclude=queries, device=device)
        hits = codes[index.cpu()] == codes[queries][:, None]
    else:
        found = []
        for at, similarity in _cosines(_unit(features, device), queries, apart, _BLOCK_BYTES):
            value, index = similarity.topk(most, dim=1)
            found.append((codes[index.cpu()] == codes[at.cpu()][:, None]) & (value > -torch.inf).cpu())
        hits = torch.cat(found)
    return {k: float(hits[:, : min(k, most)].any(dim=1).double().mean()) for k in ks}


def mean_average_precision(
    features: Features,
    identity: Codes,
    *,
    apart: Codes | None = None,
    block_bytes: int = _BLOCK_BYTES,
    device: torch.device | str | None = None,
) -> float:
    """mAP over the whole ranking of the other samples by cosine; arguments as ``recall_at_k``."""
    codes, queries = _identity(identity, apart)
    x = _unit(features, device)
    codes = codes.to(x.device)
    place = torch.arange(1, len(x) + 1, device=x.device, dtype=torch.float64)
    total = 0.0
    for at, similarity in _cosines(x, queries, apart, block_bytes):
        value, order = similarity.sort(dim=1, descending=True)
        hits = (codes[order] == codes[at][:, None]) & (value > -torch.inf)  # what is not searched is put last
        found = hits.cumsum(dim=1)
        precision = (found / place).masked_fill(~hits, 0.0).sum(dim=1) / found[:, -1]
        total += float(precision.sum())
    return total / len(queries)
