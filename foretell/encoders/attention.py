"""Attention over a batch of token rows: the fused kernel, masks of packed rows, and keys and values kept while generating."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from foretell.encoders.short_attention import short_attention, suits


@dataclass
class Cache:
    """Keys and values of the tokens seen so far, one pair a layer, each (B, heads, room, width / heads).

    ``length`` tokens of ``room`` are filled. Layers write where ``length`` says; the transformer moves it on after the
    last layer.
    """

    room: int
    length: int = 0
    pairs: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def put(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keep ``k`` and ``v`` (B, heads, t, d) of ``layer``; all kept so far, (B, heads, length + t, d) each."""
        if layer not in self.pairs:
            batch, heads, _, width = k.shape
            self.pairs[layer] = (
                k.new_empty(batch, heads, self.room, width),
                v.new_empty(batch, heads, self.room, width),
            )
        keys, values = self.pairs[layer]
        stop = self.length + k.shape[2]
        keys[:, :, self.length : stop], values[:, :, self.length : stop] = k, v
        return keys[:, :, :stop], values[:, :, :stop]


class FixedCache(Cache):
    """The same over tensors that keep their size: ``put`` writes at ``at`` (t,) int64 and gives all the room back.

    What is not filled must be masked. A step whose shapes never change can be replayed as a graph on a GPU.
    """

    def __init__(self, before: Cache, at: Tensor) -> None:
        """Go on with what ``before`` holds, in its tensors."""
        super().__init__(before.room, before.length, before.pairs)
        self.at = at
        for keys, values in self.pairs.values():
            keys[:, :, self.length :], values[:, :, self.length :] = 0, 0  # a weight of 0 times NaN would be NaN

    def put(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = self.pairs[layer]
        keys.index_copy_(2, self.at, k)
        values.index_copy_(2, self.at, v)
        return keys, values


def packed_mask(example: Tensor, causal: bool) -> Tensor | None:
    """(B, 1, T, T) bool, true where a token may be attended to: those of the same example, with ``causal`` not later ones.

    ``example`` (B, T) numbers the examples packed in a row; 0 is padding, which sees only padding, so that no row of the
    mask is empty. None where every row on a CPU is one whole example: the kernel is faster without a mask.
    """
    if example.device.type == "cpu" and bool((example == example[:, :1]).all()):
        return None
    mask = example[:, :, None] == example[:, None, :]
    if causal:
        length = example.shape[1]
        mask = mask & torch.ones(length, length, dtype=torch.bool, device=example.device).tril()
    return mask[:, None]


class Attention(nn.Module):
    """(B, T, width) -> the same: multi-head attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2).

    One linear layer makes queries, keys and values. With ``crossed`` keys and values come from another sequence.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, crossed: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        if crossed:
            self.query = nn.Linear(width, width)
            self.pair = nn.Linear(width, 2 * width)
        else:
            self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def _heads(self, projected: Tensor, count: int) -> tuple[Tensor, ...]:
        """(B, T, count * width) -> ``count`` of (B, heads, T, width / heads)."""
        batch, length, _ = projected.shape
        return projected.view(batch, length, count, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def _attended(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if not dropout and suits(q, k):
            return short_attention(q, k, v, mask, causal)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        causal: bool = False,
        *,
        memory: Tensor | None = None,
        cache: Cache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """``mask`` as ``packed_mask`` gives; ``causal`` without one; ``memory`` (B, S, width) of the other sequence."""
        if memory is None:
            q, k, v = self._heads(self.qkv(x), 3)
        else:
            (q,), (k, v) = self._heads(self.query(x), 1), self._heads(self.pair(memory), 2)
        if cache is not None:
            before = cache.length
            k, v = cache.put(layer, k, v)
            if before and q.shape[2] > 1:
                # several new tokens after some old ones: each sees the old and the new up to itself
                mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=x.device).tril(before)
            causal = causal and q.shape[2] == k.shape[2]
        attended = self._attended(q, k, v, mask, causal and mask is None)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out
