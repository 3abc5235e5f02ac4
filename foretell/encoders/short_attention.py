"""Attention of short texts in bfloat16 on a CPU, with a backward pass of our own.

torch's fused kernel works its backward pass out in bfloat16 at a small part of the speed of matrix products, and below
about 256 tokens slower than in float32. Here the weights are worked out again, a few texts at a time so that they stay
in the processor's cache, and every step is a batched matrix product (Dao et al. 2022, arXiv 2205.14135, appendix B.2,
without the tiling over the length).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LONGEST = 256  # tokens; the fused kernel is as fast from about 512 on
_WEIGHTS = 1 << 19  # attention weights at a time: 2 MB in float32


def suits(q: Tensor, k: Tensor) -> bool:
    """Whether ``short_attention`` is the faster way for these queries and keys, and a gradient is wanted."""
    return (
        q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and torch.is_grad_enabled()
        and max(q.shape[2], k.shape[2]) <= LONGEST
    )


class _ShortAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        ctx.save_for_backward(q, k, v, out, mask)
        ctx.causal = causal
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, mask = ctx.saved_tensors
        batch, heads, length, width = q.shape
        other = k.shape[2]
        if ctx.causal:
            mask = torch.ones(length, other, dtype=torch.bool).tril()[None, None]
        bias = None if mask is None else torch.zeros(mask.shape, dtype=q.dtype).masked_fill_(~mask, float("-inf"))
        scale = width**-0.5
        given = grads[0]
        mean = (given * out).sum(-1, keepdim=True, dtype=torch.float32)
        flat = (batch * heads, -1, width)
        q, k, v, given = (x.reshape(flat) for x in (q * scale, k, v, given))
        d_q, d_k, d_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        texts = max(1, _WEIGHTS // (heads * length * other))
        for first in range(0, batch, texts):
            last = min(first + texts, batch)
            at = slice(first * heads, last * heads)
            scores = torch.bmm(q[at], k[at].transpose(1, 2))
            if bias is not None:
                scores.view(-1, heads, length, other).add_(bias[first:last] if len(bias) > 1 else bias)
            weights = torch.softmax(scores, -1, dtype=torch.float32)
            torch.bmm(weights.to(q.dtype).transpose(1, 2), given[at], out=d_v[at])
            slope = torch.bmm(given[at], v[at].transpose(1, 2))
            slope = (slope - mean.view(-1, length, 1)[at]).mul_(weights).to(q.dtype)
            torch.bmm(slope, k[at], out=d_q[at])
            torch.bmm(slope.transpose(1, 2), q[at], out=d_k[at])
        shaped = (batch, heads, -1, width)
        return d_q.mul_(scale).view(shaped), d_k.view(shaped), d_v.view(shaped), None, None


def short_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, (B, heads, T, d), as ``scaled_dot_product_attention`` gives it.

    ``q`` (B, heads, T, d), ``k`` and ``v`` (B, heads, S, d); ``mask`` (B or 1, 1, T, S) bool, true where a key may be
    seen, with no row empty; ``causal`` only without it. Not differentiable twice.
    """
    out: Tensor = _ShortAttention.apply(q, k, v, mask, causal)
    return out
