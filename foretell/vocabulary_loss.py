"""Cross-entropy over a vocabulary without ever holding all logits: the linear layer and its loss in one, in chunks.

The logits of a large vocabulary are by far the largest tensor of a language model, and softmax reads and writes them
several times. Here a few rows at a time are multiplied, turned into loss and gradient while they are in the processor's
cache, and dropped (as the fused loss of Liger Kernel, Hsu et al. 2024, arXiv 2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Rows times vocabulary of a chunk: logits in bfloat16 of 8 MB.
CHUNK = 1 << 22


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        count, vocabulary = states.shape[0], weight.shape[0]
        wanted = any(ctx.needs_input_grad[:3])
        inputs, table = states.to(dtype), weight.to(dtype)
        d_states = torch.empty_like(inputs) if wanted else None
        d_weight = torch.zeros_like(weight) if wanted else None
        d_bias = torch.zeros_like(bias) if wanted and bias is not None else None
        losses, right = weight.new_zeros(()), weight.new_zeros(())
        step = max(1, CHUNK // vocabulary)
        for start in range(0, count, step):
            part, wished = inputs[start : start + step], target[start : start + step]
            logits = (part @ table.T).to(weight.dtype)
            if bias is not None:
                logits += bias
            picked = logits.gather(1, wished[:, None])
            largest = logits.amax(1, keepdim=True)
            right += (picked >= largest).sum()
            logits.sub_(largest).exp_()
            total = logits.sum(1, keepdim=True)
            losses += (total.log() + largest - picked).sum()
            if d_states is None or d_weight is None:
                continue
            logits.mul_(1 / (total * count))
            logits.scatter_add_(1, wished[:, None], torch.full_like(picked, -1 / count))
            if d_bias is not None:
                d_bias += logits.sum(0)
            slope = logits.to(dtype)
            d_states[start : start + step] = slope @ table
            if dtype == weight.dtype:
                d_weight.addmm_(slope.T, part)
            else:
                d_weight += slope.T @ part
        ctx.save_for_backward(*(x for x in (d_states, d_weight, d_bias) if x is not None))
        ctx.kind = states.dtype
        ctx.mark_non_differentiable(right)
        return losses / count, right / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        given = grads[0]
        d_states, d_weight, *rest = ctx.saved_tensors
        d_bias = rest[0] * given if rest else None
        return (d_states * given).to(ctx.kind), d_weight * given, d_bias, None, None


def linear_cross_entropy(states: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of -log softmax(states @ weight.T + bias)[target], and the share of targets that have the largest logit.

    ``states`` (N, D), ``weight`` (V, D) and ``bias`` (V,) float32 or float64, ``target`` (N,) int64, N at least 1. Under
    autocast the products are made in its type, sums and the softmax in that of ``weight``. The gradient is worked out
    with the loss, so that it cannot be differentiated twice.
    """
    kind = states.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    with torch.autocast(kind, enabled=False):
        loss, right = _LinearCrossEntropy.apply(states, weight, bias, target, dtype)
    return loss, right
