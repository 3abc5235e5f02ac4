"""Retrieval: Recall@k and mean average precision, with a class or a group as identity (re-identification).

Samples of equal similarity have no order among themselves: neither measure depends on that of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from foretell.errors import InputError
from foretell.measures.knn import Features, _top, _unit

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
    """(rows of queries, their cosines with all rows of ``x``) block by block, -inf for what is not searched: the query
    itself, and what shares its number of ``apart``.
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
    block_bytes: int = _BLOCK_BYTES,
) -> dict[int, float]:
    """Recall@k: the share of queries with a sample of the same identity among the k nearest others.

    Every row of ``features`` (N, D) is a query against all others: not itself, and with ``apart`` (N,) int64 none that has its
    number there, as of one patient. ``identity`` (N,) int64, -1 for unknown (stays in the gallery, is never a hit). Queries
    that have nothing to find are left out. Where equal similarities leave open which samples are among the k, it is the
    mean over their orders. Raises InputError when no query is left.
    """
    codes, queries = _identity(identity, apart)
    x = _unit(features)
    codes = codes.to(x.device)
    most = min(max(ks), len(codes) - 1)
    found: dict[int, list[Tensor]] = {k: [] for k in ks}
    for at, similarity in _cosines(x, queries, apart, block_bytes):
        value, index = _top(similarity, most + 1)  # one more tells whether the last is one of several equal ones
        value, order = value.sort(dim=1, descending=True)
        own = codes[at][:, None]
        same = codes == own
        hits = (codes[index.gather(1, order)] == own) & (value > -torch.inf)
        for k in ks:
            found[k].append(_chances(similarity, value, hits, same, min(k, most)))
    return {k: float(torch.cat(chances).mean()) for k, chances in found.items()}


def _chances(similarity: Tensor, value: Tensor, hits: Tensor, same: Tensor, k: int) -> Tensor:
    """(R,) float64: how likely a hit is among the first ``k``, where equal similarities come in any order.

    ``similarity`` and ``same`` (R, N): of all samples; ``value`` and ``hits`` (R, more than k): of the nearest, best first.
    """
    chances = hits[:, :k].any(dim=1).double()
    edge = value[:, k - 1]
    rows = ((value[:, k] == edge) & (edge > -torch.inf)).nonzero()[:, 0]
    if not len(rows):
        return chances
    level = edge[rows, None]
    nearer = value[rows, :k] > level
    equal = similarity[rows] == level
    size, right = equal.sum(dim=1), (equal & same[rows]).sum(dim=1)
    places = k - nearer.sum(dim=1)
    missed = torch.ones_like(chances[rows])  # hypergeometric: none of the right ones among the places
    for place in range(int(places.max())):
        share = (size - right - place).clamp(min=0).double() / (size - place).clamp(min=1)
        missed = torch.where(place < places, missed * share, missed)
    chances[rows] = torch.where((hits[rows, :k] & nearer).any(dim=1), 1.0, 1 - missed)
    return chances


def mean_average_precision(
    features: Features,
    identity: Codes,
    *,
    apart: Codes | None = None,
    block_bytes: int = _BLOCK_BYTES,
) -> float:
    """mAP over the whole ranking of the other samples by cosine; arguments as ``recall_at_k``.

    Samples of equal similarity are found together, as in scikit-learn's ``average_precision_score``.
    """
    codes, queries = _identity(identity, apart)
    x = _unit(features)
    codes = codes.to(x.device)
    place = torch.arange(1, len(x) + 1, device=x.device, dtype=torch.float64)
    total = 0.0
    for at, similarity in _cosines(x, queries, apart, block_bytes):
        value, order = similarity.sort(dim=1, descending=True)
        hits = (codes[order] == codes[at][:, None]) & (value > -torch.inf)  # what is not searched is put last
        found = hits.cumsum(dim=1)
        precision = found / place
        rows = ((value[:, 1:] == value[:, :-1]) & (value[:, 1:] > -torch.inf)).any(dim=1).nonzero()[:, 0]
        if len(rows):
            precision[rows] = precision[rows].gather(1, _ends(value[rows]))
        total += float((precision.masked_fill(~hits, 0.0).sum(dim=1) / found[:, -1]).sum())
    return total / len(queries)


def _ends(value: Tensor) -> Tensor:
    """(R, N) int64: the last column of the equal values that each entry of sorted ``value`` (R, N) is one of."""
    columns = torch.arange(value.shape[1], device=value.device).expand_as(value)
    inside = functional.pad(value[:, 1:] == value[:, :-1], (0, 1))
    return columns.masked_fill(inside, value.shape[1]).flip(1).cummin(dim=1).values.flip(1)
