"""Convolutions whose weight gradient is a matrix product, for training on a CPU.

The library's own kernel for the gradient of the weights reaches about half of the processor's float32 matrix-product rate,
and a third on small maps with many channels (in bfloat16 a ninth), while its other two kernels reach far more. Gathering a
few images' patches at a time (im2col, Chellapilla et al. 2006) into a buffer that stays in the cache, and multiplying, is
faster: in float32 everywhere, in bfloat16 where the map is small. It is a matter of speed only: results are equal within
rounding, and parameters and their names stay the same.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Module = TypeVar("Module", bound=nn.Module)

BUFFER = {torch.float32: 4 * 2**20, torch.bfloat16: 16 * 2**20}
"""Bytes of gathered patches at a time. Constants, so that rounding does not depend on the machine."""

SMALL_MAP = 64
"""The most places of an output map for which the product is the faster one in bfloat16."""

LEAST_CHANNELS = 32
"""Below this many input channels the gathering costs more than it saves."""


def weight_gradient(x: Tensor, grad: Tensor, kernel: tuple[int, int], stride: int, padding: int) -> Tensor:
    """(O, C, k, l), the gradient of the weights of a convolution.

    ``x`` (B, C, H, W) is its input and ``grad`` (B, O, h, w) the gradient of its output, both float32 or both bfloat16, in
    channels_last memory; groups and dilation are 1. The result is float32.
    """
    batch, channels = x.shape[:2]
    tall, wide = kernel
    out, height, width = grad.shape[1:]
    rows, patch = height * width, tall * wide * channels
    together = max(1, min(batch, BUFFER[x.dtype] // (x.element_size() * rows * patch)))
    images, grads = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1).reshape(-1, out)
    padded = x.new_zeros(together, x.shape[2] + 2 * padding, x.shape[3] + 2 * padding, channels)
    inside = padded[:, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    of_image, of_row, of_column, of_channel = padded.stride()
    windows = padded.as_strided(
        (together, height, width, tall, wide, channels),
        (of_image, of_row * stride, of_column * stride, of_row, of_column, of_channel),
    )
    gathered = x.new_empty(together * rows, patch)
    places = gathered.view(windows.shape)
    total = x.new_zeros(patch, out, dtype=torch.float32)
    for first in range(0, batch, together):
        count = min(together, batch - first)
        inside[:count].copy_(images[first : first + count])
        places[:count].copy_(windows[:count])
        part = grads[first * rows : (first + count) * rows]
        if x.dtype == torch.float32:
            torch.addmm(total, gathered[: count * rows].t(), part, out=total)
        else:
            total += gathered[: count * rows].t() @ part
    return total.view(tall, wide, channels, out).permute(3, 2, 0, 1)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        weight = weight.to(x.dtype)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.bias = stride, padding, bias is not None
        return F.conv2d(x, weight, None if bias is None else bias.to(x.dtype), stride, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        stride, padding = [ctx.stride] * 2, [ctx.padding] * 2
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, stride, padding, [1, 1], False, [0, 0], 1, [True, False, False]
            )[0]
        if ctx.needs_input_grad[1]:
            kernel = (weight.shape[2], weight.shape[3])
            of_weight = weight_gradient(x, grad, kernel, ctx.stride, ctx.padding)
        if ctx.bias and ctx.needs_input_grad[2]:
            of_bias = grad.sum((0, 2, 3), dtype=torch.float32)
        return of_x, of_weight, of_bias, None, None


class GemmConv2d(nn.Conv2d):
    """``nn.Conv2d`` that takes ``weight_gradient`` on a CPU: float32 parameters, channels_last inputs.

    Under bfloat16 autocast only for maps of at most ``SMALL_MAP`` places.
    """

    def forward(self, x: Tensor) -> Tensor:
        suits = (
            x.device.type == "cpu"
            and self.weight.dtype == torch.float32
            and self.weight.requires_grad
            and torch.is_grad_enabled()
            and x.is_contiguous(memory_format=torch.channels_last)
        )
        stride, padding = self.stride[0], int(self.padding[0])
        if suits and torch.is_autocast_enabled("cpu"):
            tall, wide = ((x.shape[2 + i] + 2 * padding - self.kernel_size[i]) // stride + 1 for i in (0, 1))
            suits = torch.get_autocast_dtype("cpu") == torch.bfloat16 and tall * wide <= SMALL_MAP
            x = x.to(torch.bfloat16) if suits else x
        else:
            suits = suits and x.dtype == torch.float32
        if not suits:
            return super().forward(x)
        return _Convolve.apply(x, self.weight, self.bias, stride, padding)  # type: ignore[no-any-return]


def gemm_weight_gradients(module: Module, on: bool = True) -> Module:
    """``module`` with ``GemmConv2d`` wherever it fits (``on``), or with plain convolutions again; in place."""
    child: Any
    for child in module.modules():
        if on and type(child) is nn.Conv2d and _fits(child):
            child.__class__ = GemmConv2d
        elif not on and type(child) is GemmConv2d:
            setattr(child, "__class__", nn.Conv2d)  # noqa: B010 (the type checker has narrowed it)
    return module


def _fits(convolution: nn.Conv2d) -> bool:
    square = len(set(convolution.stride)) == 1 and not isinstance(convolution.padding, str)
    return (
        square
        and len(set(convolution.padding)) == 1
        and set(convolution.dilation) == {1}
        and convolution.groups == 1
        and convolution.in_channels >= LEAST_CHANNELS
        and convolution.padding_mode == "zeros"
    )
