"""Crop, resize, flip and rotation of image batches, as products with one small weight matrix an image and axis.

An antialiased resize is separable and linear: a view is ``rows @ image @ columns.T``, where ``rows`` (side,
height) and ``columns`` (side, width) hold the filter's weights for that image's own crop. A flip reverses them,
pixels beyond the crop (and the padding of a ragged batch) have weight zero, and a blur can be multiplied into
them.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Interpolation = Literal["bilinear", "bicubic"]


def crop_boxes(sizes: Tensor, scale: tuple[float, float], ratio: tuple[float, float], draws: Tensor) -> Tensor:
    """Random boxes inside each image: (B, 4) float64 of whole numbers (top, left, height, width).

    ``sizes`` (B, 2) is (height, width) and ``draws`` (B, 4) is uniform in [0, 1). The area is uniform in
    ``scale`` and the aspect ratio (width / height) log-uniform in that part of ``ratio`` for which a box of
    this area fits the image. Where none fits (an image more elongated than ``ratio``), the box is the largest
    one of the nearest allowed ratio.

    torchvision instead draws area and ratio again, up to ten times, until the box fits, and falls back to the
    central box; that makes large boxes rarer than ``scale`` says. Computed in float64, so that every device
    rounds alike.
    """
    height, width = sizes.to(torch.float64).unbind(1)
    area_draw, ratio_draw, top_draw, left_draw = draws.to(torch.float64).unbind(1)
    share = scale[0] + (scale[1] - scale[0]) * area_draw
    aspect = width / height
    low = (share * aspect).clamp_(min=ratio[0], max=ratio[1]).log_()
    high = (aspect / share).clamp_(min=ratio[0], max=ratio[1]).log_()
    root = (0.5 * (low + (high - low) * ratio_draw)).exp_()
    length = (share * height * width).sqrt_()
    tall, wide = length / root, length * root
    shrink = torch.minimum(height / tall, width / wide).clamp_(max=1.0)
    tall = torch.minimum((tall * shrink).round_().clamp_(min=1.0), height)
    wide = torch.minimum((wide * shrink).round_().clamp_(min=1.0), width)
    top = torch.minimum((top_draw * (height - tall + 1)).floor_(), height - tall)
    left = torch.minimum((left_draw * (width - wide + 1)).floor_(), width - wide)
    return torch.stack([top, left, tall, wide], 1)


def resize_weights(
    centres: Tensor, scale: Tensor, low: Tensor, high: Tensor, length: int, interpolation: Interpolation
) -> Tensor:
    """The weights of an antialiased resize along one axis: (B, side, length) float32, each row summing to 1.

    ``centres`` (B, side): where each output pixel lies, in source pixels, pixel j covering [j, j + 1).
    ``scale`` (B,): source pixels an output pixel covers; above 1 the filter is widened by it. Only pixels in
    [``low``, ``high``) (B,) count. The filters are those of PIL and torchvision: the triangle, and Keys's cubic
    with a = -0.5.
    """
    inverse = 1.0 / scale.clamp(min=1.0).to(torch.float32)[:, None]
    pixel = torch.arange(length, device=centres.device, dtype=torch.float32) + 0.5
    # Offsets from the crop's edge keep float32 exact enough for large images.
    start = low.to(torch.float32)[:, None]
    place = (centres - low[:, None]).to(torch.float32) * inverse
    distance = (((pixel - start) * inverse)[:, None, :] - place[:, :, None]).abs_()
    if interpolation == "bilinear":
        weights = distance.sub_(1.0).clamp_(max=0.0)
    else:
        near = ((1.5 * distance - 2.5) * distance * distance).add_(1.0)
        far = (((2.5 - 0.5 * distance) * distance - 4.0) * distance).add_(2.0)
        weights = torch.where(distance < 1.0, near, far.masked_fill_(distance >= 2.0, 0.0))
    inside = (pixel >= start) & (pixel < high.to(torch.float32)[:, None])
    weights.mul_(inside[:, None, :])
    return weights.div_(weights.sum(2, keepdim=True))


def crop_weights(
    start: Tensor, extent: Tensor, side: int, length: int, flipped: Tensor, interpolation: Interpolation
) -> Tensor:
    """The weights that resize [start, start + extent) (B,) to ``side`` pixels, reversed where ``flipped`` (B,)."""
    scale = extent / side
    index = torch.arange(side, device=start.device, dtype=start.dtype)
    index = torch.where(flipped[:, None], side - 1 - index, index)
    centres = start[:, None] + scale[:, None] * (index + 0.5)
    return resize_weights(centres, scale, start, start + extent, length, interpolation)


def lines(pixels: Tensor) -> Tensor:
    """(B, C, H, W) of any type as (B, H, C, W) float32, where each axis of all channels is resized by one product."""
    return pixels.permute(0, 2, 1, 3).to(torch.float32, memory_format=torch.contiguous_format).contiguous()


def separable(image_lines: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows @ image @ columns.T`` of every channel: ``lines`` (B, H, C, W) to (B, C, out height, out width)."""
    batch, height, channels, width = image_lines.shape
    tall, wide = rows.shape[1], columns.shape[1]
    down = torch.bmm(rows, image_lines.view(batch, height, channels * width))
    across = torch.bmm(down.view(batch, tall * channels, width), columns.transpose(1, 2))
    return across.view(batch, tall, channels, wide).permute(0, 2, 1, 3)


def view_means(image_lines: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The channel means (B, C) of ``separable``'s result, without computing it."""
    batch, height, channels, width = image_lines.shape
    down = torch.bmm(rows.mean(1)[:, None], image_lines.view(batch, height, channels * width))
    return (down.view(batch, channels, width) * columns.mean(1)[:, None]).sum(2)


def margin_for(side: int, degrees: float) -> int:
    """Pixels to add on every edge so that a square of ``side`` turned by up to ``degrees`` stays inside."""
    turn = math.radians(min(degrees, 45.0))
    return math.ceil(side / 2 * (math.cos(turn) + math.sin(turn) - 1)) + 1


def canvas_weights(
    start: Tensor,
    extent: Tensor,
    size: Tensor,
    side: int,
    margin: int,
    length: int,
    flipped: Tensor,
    interpolation: Interpolation,
) -> Tensor:
    """As ``crop_weights``, with ``margin`` more output pixels at either end: (B, side + 2 * margin, length).

    They show what lies beyond the crop and, beyond the image's own ``size`` (B,), its mirror image.
    """
    scale = extent / side
    index = torch.arange(side + 2 * margin, device=start.device, dtype=start.dtype) - margin
    index = torch.where(flipped[:, None], side - 1 - index, index)
    centres = start[:, None] + scale[:, None] * (index + 0.5)
    whole = size.to(start.dtype)[:, None]
    centres = centres.remainder(2 * whole)
    centres = torch.minimum(centres, 2 * whole - centres)
    return resize_weights(centres, scale, torch.zeros_like(start), whole[:, 0], length, interpolation)


def turn(canvas: Tensor, angle: Tensor, side: int) -> Tensor:
    """The central ``side`` x ``side`` of (B, C, S, S), turned counter-clockwise by ``angle`` (B,) radians."""
    batch, channels, whole, _ = canvas.shape
    cosine, sine = angle.cos().to(torch.float32), angle.sin().to(torch.float32)
    zero = torch.zeros_like(cosine)
    affine = torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1) * (
        side / whole
    )
    grid = functional.affine_grid(affine, [batch, channels, side, side], align_corners=False)
    return functional.grid_sample(canvas, grid, "bilinear", "border", align_corners=False)
