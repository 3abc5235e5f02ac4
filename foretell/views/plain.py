"""The view for evaluation: the whole image or its centre, without randomness, and the way back to pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from foretell.data.images import Images
from foretell.views.config import SQUASH, Crop, ViewConfig
from foretell.views.finish import normalise_, per_channel
from foretell.views.geometry import Interpolation, lines, resize_weights, separable


@torch.no_grad()
def plain(
    images: Images,
    side: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    *,
    crop: Crop = 1.0,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Resize the shorter side to ``side / crop`` pixels and cut the central square: (B, C, side, side) float32.

    ``crop`` in (0, 1] is the share of the shorter side that is kept (0.875 in SimCLR's evaluation). Equal to
    torchvision's ``Resize(int(side / crop), antialias=True)`` and ``CenterCrop(side)``; "squash" keeps the whole image and
    makes it square, as ``Resize((side, side), antialias=True)``. Values are in [0, 1] before they are normalised.
    """
    if crop != SQUASH if isinstance(crop, str) else not 0 < crop <= 1:
        raise ValueError(f"crop must be in (0, 1] or 'squash', not {crop}")
    sizes = images.sizes.to(torch.float64)
    if isinstance(crop, str):
        resized = torch.full_like(sizes, side)
    else:
        # A whole number of pixels on the longer side, rounded down and cut as torchvision does.
        resized = (int(side / crop) * sizes / sizes.amin(1, keepdim=True) + 1e-9).floor_()
    offset = ((resized - side) / 2).round_()
    index = torch.arange(side, device=sizes.device) + 0.5
    scale = sizes / resized
    rows, columns = (
        resize_weights(
            (index + offset[:, axis, None]) * scale[:, axis, None],
            scale[:, axis],
            torch.zeros_like(scale[:, axis]),
            sizes[:, axis],
            images.pixels.shape[2 + axis],
            interpolation,
        )
        for axis in (0, 1)
    )
    with torch.autocast(images.pixels.device.type, enabled=False):
        view = separable(lines(images.pixels), rows, columns).contiguous()
    return normalise_(view.mul_(1.0 / images.peak).clamp_(0.0, 1.0), mean, std)


def plain_view(images: Images, views: ViewConfig, *, crop: Crop = 1.0) -> Tensor:
    """``plain`` as ``views`` says: its side, mean, deviation and interpolation, which an encoder learns and is judged by.

    The side must be settled; without mean and deviation values stay in [0, 1].
    """
    assert views.side is not None
    return plain(images, views.side, views.mean, views.std, crop=crop, interpolation=views.interpolation)


def denormalise(x: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None) -> Tensor:
    """(B, C, H, W) normalised by ``mean`` and ``std`` back to pictures in [0, 1], clipped."""
    picture = x.detach().to(torch.float32)
    if std is not None:
        picture = picture * per_channel(std, picture, "std")
    if mean is not None:
        picture = picture + per_channel(mean, picture, "mean")
    return picture.clamp(0.0, 1.0)
