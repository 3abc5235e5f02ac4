"""Gaussian blur with one kernel an image, as a banded matrix along each axis."""

from __future__ import annotations

import torch
from torch import Tensor


def blur_radius(side: int, share: float) -> int:
    """Pixels to either side of the centre: a kernel of ``share`` of the side, odd and at least 3 (SimCLR's rule)."""
    return max(1, int(side * share / 2))


def gaussian_kernels(sigma: Tensor, radius: int) -> Tensor:
    """Gaussian weights at -radius ... radius: (B, 2 * radius + 1), sum 1. ``sigma`` (B,) in pixels; 0 is no blur."""
    offset = torch.arange(-radius, radius + 1, device=sigma.device, dtype=torch.float32)
    # The smallest sigma's neighbours weigh exp(-1250) = 0, so it is exactly the identity.
    return torch.softmax(-0.5 * (offset / sigma.clamp(min=0.02)[:, None]).square(), 1)


def blur_matrices(kernels: Tensor, side: int) -> Tensor:
    """The matrix of each kernel along an axis of ``side`` pixels, mirrored at the ends: (B, side, side)."""
    taps = kernels.shape[1]
    radius = taps // 2
    place = torch.arange(side, device=kernels.device)
    source = place[:, None] + torch.arange(-radius, radius + 1, device=kernels.device)
    source = (side - 1) - ((side - 1) - source.abs()).abs()
    pattern = torch.zeros(taps, side, side, device=kernels.device)
    pattern[torch.arange(taps, device=kernels.device), place[:, None], source] = 1.0
    return (kernels @ pattern.view(taps, side * side)).view(-1, side, side)


def blurred(weights: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Follow ``weights`` (B, side, length) along an axis by a blur of ``sigma`` (B,) pixels: (B, side, length)."""
    side = weights.shape[1]
    if sigma.device.type != "cpu":
        return torch.bmm(blur_matrices(gaussian_kernels(sigma, radius), side), weights)
    # Where looking at sigma costs no wait, leave out the images that are not blurred.
    chosen = sigma.nonzero()[:, 0]
    blur = blur_matrices(gaussian_kernels(sigma[chosen], radius), side)
    return weights.index_copy(0, chosen, torch.bmm(blur, weights[chosen]))
