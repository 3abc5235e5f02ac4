"""Lateral chromatic aberration, simulated: one colour magnified about the image's centre against the others.

A lens bends green less or more than red and blue, so that the colours of one picture differ in scale by up to a few
per cent. How far they are apart at a place tells where in the picture it lies, whatever is shown there (Doersch, Gupta,
Efros, arXiv 1505.05192, section 3): a shortcut for every pretext task in which the place matters.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from foretell.data.images import Images
from foretell.views.geometry import lines, resize_weights, separable

LARGEST = 0.25


@torch.no_grad()
def aberrate(images: Images, k: float | Tensor, *, channel: int = 1) -> Images:
    """``images`` with one channel (default: green) magnified by 1 + ``k`` about each image's own centre.

    ``k`` is one number or (B,), in [-0.25, 0.25]: a point r pixels from the centre moves outwards by k * r pixels.
    Bicubic and antialiased; where the channel would be looked up beyond the image, its border is continued. 0 leaves
    every pixel as it is. Raises ValueError for a larger ``k`` and for images without that channel.
    """
    if not 0 <= channel < images.channels:
        raise ValueError(f"channel {channel} of images with {images.channels}")
    device = images.pixels.device
    factor = torch.as_tensor(k, dtype=torch.float64, device=device).expand(len(images)) + 1
    if bool(((factor - 1).abs() > LARGEST).any()):
        raise ValueError(f"an aberration beyond {LARGEST:g} is no lens; expected k in [-{LARGEST:g}, {LARGEST:g}]")
    height, width = images.pixels.shape[2:]
    inside = torch.ones(len(images), 1, height, width, dtype=torch.bool, device=device)
    weights = []
    for axis, length in enumerate((height, width)):
        own = images.sizes[:, axis].to(torch.float64)[:, None]
        place = torch.arange(length, device=device, dtype=torch.float64)[None] + 0.5
        centres = (own / 2 + (place - own / 2) / factor[:, None]).clamp(min=0.5).minimum(own - 0.5)
        low, high = torch.zeros_like(own[:, 0]), own[:, 0]
        weights.append(resize_weights(centres, 1 / factor, low, high, length, "bicubic"))
        within = place < own
        inside &= within[:, None, :, None] if axis == 0 else within[:, None, None, :]
    moved = separable(lines(images.pixels[:, channel : channel + 1]), *weights)
    moved = moved.round_().clamp_(0, images.peak) * inside
    pixels = images.pixels.clone()
    pixels[:, channel : channel + 1] = moved.to(pixels.dtype)
    return replace(images, pixels=pixels)
