"""Cross-entropy over a vocabulary without ever holding all logits: the linear layer and its loss in one, in chunks.

The logits of a large vocabulary are by far the largest tensor of a language model, and softmax reads and writes them
several times. On a CPU the vocabulary is walked through twice, a few entries at a time: once for the sum of the softmax,
once for the gradient, while the logits are in the processor's cache. They are multiplied out twice, which costs less than
adding up the gradient of the whole table for every few rows; each entry's gradient is one product there. On a GPU, where
products cost little and every reading of the logits much, the rows are walked through once, and the gradient is made in
the same pass (Hsu et al. 2024, arXiv 2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Logits of a chunk: 8 MB in float32 on a CPU, 512 MB on a GPU.
CHUNK = {"cpu": 1 << 21, "cuda": 1 << 27}
_FEWEST = 128  # entries of a chunk, below which products are slow


class _Logits:
    """The logits of (N, D) ``inputs`` over a (V, D) ``table``, a chunk of the vocabulary at a time."""

    def __init__(self, inputs: Tensor, table: Tensor, bias: Tensor | None, kind: torch.dtype) -> None:
        self.inputs, self.table, self.bias, self.kind = inputs, table, bias, kind
        step = max(_FEWEST, CHUNK[inputs.device.type] // max(len(inputs), 1))
        self.chunks = [slice(start, min(start + step, len(table))) for start in range(0, len(table), step)]

    def of(self, entries: slice) -> Tensor:
        """(N, entries) in ``kind``."""
        logits = (self.inputs @ self.table[entries].T).to(self.kind)
        return logits if self.bias is None else logits.add_(self.bias[entries])


def _inside(target: Tensor, entries: slice) -> tuple[Tensor, Tensor]:
    """(N, 1) each: whether a target is one of ``entries``, and its place among them (any place where it is not)."""
    place = target[:, None] - entries.start
    size = entries.stop - entries.start
    return (place >= 0) & (place < size), place.clamp(0, size - 1)


class _ByVocabulary(torch.autograd.Function):
    """A few entries of the vocabulary for all rows at a time, twice."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        part_of: Tensor | None,
        dtype: torch.dtype,
        slopes: bool,
    ) -> tuple[Tensor, Tensor]:
        inputs, table = states.to(dtype), weight.to(dtype)
        logits = _Logits(inputs, table, bias, weight.dtype)
        largest = weight.new_full((len(states), 1), float("-inf"))
        total, picked = torch.zeros_like(largest), torch.zeros_like(largest)
        for entries in logits.chunks:
            part = logits.of(entries)
            inside, place = _inside(target, entries)
            picked = torch.where(inside, part.gather(1, place), picked)
            before, largest = largest, torch.maximum(largest, part.amax(1, keepdim=True))
            total = total * (before - largest).exp() + part.sub_(largest).exp_().sum(1, keepdim=True)
        sums = total.log() + largest
        right = (picked >= largest).to(weight.dtype).mean()
        ctx.save_for_backward(inputs, table, bias, target, part_of, sums)
        ctx.kinds = states.dtype, weight.dtype
        ctx.mark_non_differentiable(right)
        own = sums - picked
        return own.mean() if part_of is None else (own * part_of).sum(), right

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs, table, bias, target, part_of, sums = ctx.saved_tensors
        given_kind, kind = ctx.kinds
        share = grads[0] / len(inputs) if part_of is None else grads[0] * part_of
        logits = _Logits(inputs, table, bias, kind)
        d_states = torch.zeros_like(inputs, dtype=kind)
        d_weight = torch.empty_like(table, dtype=kind)
        d_bias = None if bias is None else torch.empty_like(bias)
        for entries in logits.chunks:
            slope = logits.of(entries).sub_(sums).exp_()
            inside, place = _inside(target, entries)
            slope.scatter_add_(1, place, -inside.to(kind))
            slope.mul_(share)
            if d_bias is not None:
                torch.sum(slope, 0, out=d_bias[entries])
            narrow = slope.to(inputs.dtype)
            d_states += narrow @ table[entries]
            d_weight[entries] = narrow.T @ inputs
        return d_states.to(given_kind), d_weight, d_bias, None, None, None, None


class _ByRows(torch.autograd.Function):
    """A few rows for the whole vocabulary at a time, once; without ``slopes`` no gradient is made."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        part_of: Tensor | None,
        dtype: torch.dtype,
        slopes: bool,
    ) -> tuple[Tensor, Tensor]:
        inputs, table, kind = states.to(dtype), weight.to(dtype), weight.dtype
        narrow_bias = None if bias is None else bias.to(dtype)
        loss, right = weight.new_zeros(()), weight.new_zeros(())
        d_states = torch.empty_like(inputs) if slopes else None
        d_weight = torch.zeros_like(weight) if slopes else None
        d_bias = torch.zeros_like(bias) if slopes and bias is not None else None
        step = max(1, CHUNK[inputs.device.type] // len(table))
        for start in range(0, len(inputs), step):
            rows = slice(start, min(start + step, len(inputs)))
            place = target[rows, None]
            logits = functional.linear(inputs[rows], table, narrow_bias)
            picked = logits.gather(1, place).to(kind)
            largest, likeliest = logits.max(1, keepdim=True)
            share = torch.softmax(logits, 1)
            del logits
            # the sum of the softmax from its largest term, as exact as the products are: no further pass over the logits
            sums = largest.to(kind) - share.gather(1, likeliest).to(kind).log()
            right += (picked >= largest).sum()
            # times the number of rows, by which all is divided in the end
            times = None if part_of is None else part_of[rows] * len(inputs)
            own = sums - picked
            loss += (own if times is None else own * times).sum()
            if d_states is None or d_weight is None:
                continue
            slope = share.scatter_(1, place, ((picked - sums).exp() - 1).to(dtype))
            if times is not None:
                slope *= times.to(dtype)
            if d_bias is not None:
                d_bias += slope.sum(0, dtype=kind)
            torch.mm(slope, table, out=d_states[rows])
            d_weight += slope.T @ inputs[rows]
        ctx.slopes = d_states, d_weight, d_bias
        ctx.kinds = states.dtype, kind, 1 / len(inputs)
        right /= len(inputs)
        ctx.mark_non_differentiable(right)
        return loss / len(inputs), right

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        given_kind, kind, share = ctx.kinds
        d_states, d_weight, d_bias = ctx.slopes
        del ctx.slopes
        scale = grads[0] * share
        d_bias = None if d_bias is None else d_bias.mul_(scale)
        # at full width: the scale rounded to bfloat16 would be up to 0.4% off, for all gradients below alike
        d_states = (d_states.to(kind) * scale).to(given_kind)
        return d_states, d_weight.mul_(scale), d_bias, None, None, None, None


WALKS: dict[str, type[torch.autograd.Function]] = {"cpu": _ByVocabulary, "cuda": _ByRows}


def linear_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, shares: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean of -log softmax(states @ weight.T + bias)[target], and the share of targets that have the largest logit.

    ``states`` (N, D), ``weight`` (V, D) and ``bias`` (V,) float32 or float64, ``target`` (N,) int64, N at least 1.
    ``shares`` (N,) float, of the sum 1: how much of the mean each row is; by default all as much. It has no gradient. Under
    autocast the products are made in its type, sums and the softmax in that of ``weight``. Not differentiable twice; on a
    GPU its gradient is there once, which ``retain_graph`` does not change. The share has no gradient.
    """
    kind = states.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    with torch.autocast(kind, enabled=False):
        part_of = None if shares is None else shares.to(weight.dtype)[:, None]
        loss, right = WALKS[kind].apply(states, weight, bias, target, part_of, dtype, torch.is_grad_enabled())
    return loss, right
