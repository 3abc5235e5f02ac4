"""Batch norm over the batches of all processes, on any device and backend (torch's synchronised form needs a GPU).

Statistics are combined from each process's mean and variance (Chan et al. 1979), so that nothing is lost to
cancellation, and the backward pass sums over processes what batch norm sums over samples (Ioffe and Szegedy,
arXiv 1502.03167).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from foretell.distributed import world

Module = TypeVar("Module", bound=nn.Module)


def _wide(x: Tensor) -> Tensor:
    """``x`` in float32 at least: sums over a batch are too long for half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias with mean and var over all processes' rows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        rows = x.numel() // x.shape[1]
        own = x.new_empty(2 * x.shape[1] + 1, dtype=_wide(x).dtype)
        if rows:
            variance, mean = torch.var_mean(_wide(x), axes, correction=0)
            torch.cat([mean, variance, mean.new_full((1,), rows)], out=own)
        else:
            own.zero_()
        parts = [torch.empty_like(own) for _ in range(world())]
        dist.all_gather(parts, own)
        together = torch.stack(parts)
        means, variances, counts = together[:, : x.shape[1]], together[:, x.shape[1] : -1], together[:, -1:]
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        variance = ((variances + (means - mean).square()) * counts).sum(0) / total
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.total, ctx.eps = float(total), eps
        kind = x.dtype if weight is None else weight.dtype  # torch wants statistics of the parameters' type
        out = F.batch_norm(x, mean.to(kind), variance.to(kind), weight, bias, False, 0.0, eps)
        ctx.mark_non_differentiable(mean, variance, total)
        return out, mean, variance, total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        kept, weight, mean, variance = ctx.saved_tensors
        grad, x = _wide(grads[0]), _wide(kept)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        scale = torch.rsqrt(variance + ctx.eps)
        of_bias = grad.sum(axes)
        of_weight = ((grad * (x - mean.view(shape))).sum(axes)) * scale
        sums = torch.cat([of_bias, of_weight])
        dist.all_reduce(sums)
        bias_sum, weight_sum = (sums / ctx.total).chunk(2)
        # dL/dx = weight/sd (g - mean(g) - xhat mean(g xhat)), as one multiply-add for x and one for the gradient
        gain = scale if weight is None else scale * _wide(weight)
        slope = -gain * scale * weight_sum
        offset = -gain * bias_sum - slope * mean
        result = torch.addcmul(offset.view(shape), x, slope.view(shape))
        result = torch.addcmul(result, grad, gain.view(shape)).to(kept.dtype)
        if weight is None:
            return result, None, None, None
        # SimCLR's last norm has a weight and no bias
        return result, of_weight.to(weight.dtype), of_bias.to(weight.dtype) if ctx.needs_input_grad[2] else None, None


class _CrossProcess(_BatchNorm):
    """Equal to torch's batch norm in one process, in evaluation, and while it stands ``apart`` from other processes."""

    apart = False

    def forward(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        if world() == 1 or self.apart or not (self.training or self.running_mean is None):
            return super().forward(x)
        out, mean, variance, total = _Normalise.apply(x, self.weight, self.bias, self.eps)
        if self.training and self.track_running_stats and self.running_mean is not None:
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                rate = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
                unbiased = variance * (total / (total - 1))
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate)
        return out  # type: ignore[no-any-return]


class CrossProcessBatchNorm1d(_CrossProcess):
    """``nn.BatchNorm1d`` whose batch is that of all processes: (B, C) or (B, C, L)."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 3):
            raise ValueError(f"expected 2 or 3 dimensions, got {input.ndim}")


class CrossProcessBatchNorm2d(_CrossProcess):
    """``nn.BatchNorm2d`` whose batch is that of all processes: (B, C, H, W)."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 4:
            raise ValueError(f"expected 4 dimensions, got {input.ndim}")


class CrossProcessBatchNormAct2d(CrossProcessBatchNorm2d):
    """timm's batch norm with its drop and activation, over all processes."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))  # type: ignore[no-any-return]


_KINDS: dict[type[nn.Module], type[_CrossProcess]] = {
    nn.BatchNorm1d: CrossProcessBatchNorm1d,
    nn.BatchNorm2d: CrossProcessBatchNorm2d,
    BatchNormAct2d: CrossProcessBatchNormAct2d,
}


def convert_batchnorm(module: Module) -> Module:
    """``module`` with every batch norm working over all processes, in place; parameters and their names stay the same.

    Returns the module (another one where it is itself a batch norm). Raises TypeError for a kind of batch norm it does
    not know.
    """
    for child_name, child in module.named_children():
        setattr(module, child_name, convert_batchnorm(child))
    if not isinstance(module, _BatchNorm) or isinstance(module, _CrossProcess):
        return module
    kind = _KINDS.get(type(module))
    if kind is None:
        raise TypeError(f"{type(module).__name__} cannot work over several processes")
    new: Any = kind(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
    for name in ("weight", "bias"):
        setattr(new, name, getattr(module, name))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        setattr(new, name, getattr(module, name))
    if isinstance(new, CrossProcessBatchNormAct2d):
        source: Any = module
        new.drop, new.act = source.drop, source.act
    new.train(module.training)
    return new  # type: ignore[no-any-return]


def calibrate(module: nn.Module, forward: Callable[[Tensor], object], batches: Iterator[Tensor]) -> None:
    """Set batch norm's mean and variance to the average over this process's ``batches`` (nothing else changes)."""
    norms = [part for part in module.modules() if getattr(part, "running_mean", None) is not None]
    if not norms:
        return
    momenta = [part.momentum for part in norms]
    apart = [part for part in norms if isinstance(part, _CrossProcess)]
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    for part in norms:
        part.reset_running_stats()  # type: ignore[operator]
        part.momentum = None  # type: ignore[assignment]
        part.train()
    for each in apart:
        each.apart = True
    try:
        with torch.no_grad():
            for x in batches:
                forward(x)
    finally:
        for part, momentum in zip(norms, momenta, strict=True):
            part.momentum = momentum
        for each in apart:
            each.apart = False
        for part, mode in modes:
            part.training = mode
