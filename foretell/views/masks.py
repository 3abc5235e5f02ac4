"""Masks for inpainting (context encoders, Pathak et al., arXiv 1604.07379), one a sample, drawn from counters.

Every mask is float32 (B, 1, side, side), 1 on the pixels that are dropped and 0 on those that are kept.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from foretell.counters import Rng
from foretell.settings import Settings
from foretell.views.geometry import resize_weights, separable

# random blocks: how many are tried, and their side as a share of the image's
BLOCKS = 8
BLOCK_SIDE = (1 / 8, 1 / 3)


class MaskConfig(Settings):
    """Which pixels are dropped."""

    kind: Literal["centre", "block", "region"] = Field(
        "region",
        description="centre: the middle square, half the side; block: a few squares at random; region: arbitrary shapes",
    )
    overlap: int | None = Field(
        None,
        ge=0,
        description="pixels that are foretold beyond the hole on every side, so that its edge fits; default: side/32 for "
        "the centre (4 of 128), where they are taken from the square, 0 otherwise",
    )
    border_weight: float = Field(10.0, ge=0, description="weight of the squared error in the overlap; 1 in the hole")
    share: float = Field(0.25, gt=0, le=0.9, description="block: the largest share of the image that is dropped")
    area: tuple[float, float] = Field((0.2, 0.3), description="region: smallest and largest share that is dropped")
    resolution: float = Field(
        0.06,
        gt=0,
        le=1,
        description="region: noise cells a pixel; smaller is smoother (0.01 too smooth, 0.1 too rough)",
    )

    @field_validator("area")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not 0 < low <= high < 1:
            raise ValueError(f"area is (smallest, largest) with 0 < smallest <= largest < 1, not ({low:g}, {high:g})")
        return value

    def overlap_for(self, side: int) -> int:
        """Pixels of overlap in an image of ``side``."""
        if self.overlap is not None:
            return self.overlap
        return max(1, side // 32) if self.kind == "centre" else 0


def draw_masks(config: MaskConfig, rng: Rng, name: str, side: int) -> Tensor:
    """(B, 1, side, side): the mask of each of the batch's samples, a function of (rng.seed, rng.step, ``name``).

    Raises ValueError when the settings leave nothing to drop or nothing to see in an image of ``side``.
    """
    if config.kind == "centre":
        mask = centre_mask(side, config.overlap_for(side), rng.device)
        return mask.expand(len(rng.rows), -1, -1, -1).clone()
    if config.kind == "block":
        return block_masks(rng, name, side, config.share)
    return region_masks(rng, name, side, config.area, config.resolution)


def centre_mask(side: int, overlap: int = 0, device: torch.device | None = None) -> Tensor:
    """(1, 1, side, side): the middle square of half the side, less ``overlap`` pixels on each of its edges.

    The whole square is foretold, and the overlap is seen besides. Raises ValueError when no pixel is left to drop.
    """
    inner = side // 2 - 2 * overlap
    if inner < 1:
        raise ValueError(f"an overlap of {overlap} px leaves nothing of the middle square of a {side} px image")
    start = (side - inner) // 2
    mask = torch.zeros(1, 1, side, side, device=device)
    mask[..., start : start + inner, start : start + inner] = 1.0
    return mask


def block_masks(rng: Rng, name: str, side: int, share: float) -> Tensor:
    """Up to ``BLOCKS`` squares that may overlap, together at most ``share`` of the image, and at least one of them.

    Sides are uniform in ``BLOCK_SIDE`` of the image's; a square that would drop more than ``share`` is left out.
    """
    budget = math.floor(share * side * side)
    if budget < 1:
        raise ValueError(f"a share of {share:g} of {side} x {side} px is less than a pixel")
    low, high = (max(1, round(part * side)) for part in BLOCK_SIDE)
    # one square fits in any case
    low, high = (min(length, math.isqrt(budget)) for length in (low, high))
    draws = rng.uniform(f"{name}.blocks", BLOCKS, 3).to(torch.float64)
    length = low + (draws[..., 0] * (high - low + 1)).floor()
    top, left = ((draws[..., axis] * (side - length + 1)).floor() for axis in (1, 2))
    at = torch.arange(side, device=draws.device)
    rows = (at >= top[..., None]) & (at < (top + length)[..., None])
    columns = (at >= left[..., None]) & (at < (left + length)[..., None])
    squares = rows[..., :, None] & columns[..., None, :]
    mask = torch.zeros_like(squares[:, 0])
    for square in squares.unbind(1):
        larger = mask | square
        fits = larger.sum((1, 2)) <= budget
        mask = torch.where(fits[:, None, None], larger, mask)
    return mask[:, None].float()


def region_masks(rng: Rng, name: str, side: int, area: tuple[float, float], resolution: float) -> Tensor:
    """Arbitrary shapes: noise of ``resolution`` cells a pixel, enlarged bicubically, dropped where it is lowest.

    The share that is dropped is uniform in ``area``. The authors' code cuts one window for the whole batch out of a
    large picture of enlarged noise below a fixed threshold, and again until its share is in the bounds; a threshold for
    each sample keeps the bounds at the first try.
    """
    pixels = side * side
    smallest, largest = math.ceil(area[0] * pixels), math.floor(area[1] * pixels)
    if not 1 <= smallest <= largest < pixels:
        raise ValueError(f"no number of pixels of {side} x {side} is between {area[0]:g} and {area[1]:g} of them")
    extent = side * resolution
    # two cells more on either side than the window covers, so that the filter never meets the edge
    cells = math.ceil(extent) + 5
    noise = rng.uniform(f"{name}.noise", cells, 1, cells).to(torch.float64)
    start = 2 + rng.uniform(f"{name}.window", 2).to(torch.float64)
    index = (torch.arange(side, device=noise.device, dtype=torch.float64) + 0.5) * resolution
    scale = torch.full_like(start[:, 0], resolution)
    low, high = torch.zeros_like(scale), torch.full_like(scale, cells)
    rows, columns = (
        resize_weights(start[:, axis, None] + index, scale, low, high, cells, "bicubic").to(torch.float64)
        for axis in (0, 1)
    )
    # in float64, so that equal draws give equal masks whatever the batch they are computed in
    height = separable(noise, rows, columns).flatten(1)
    drawn = rng.uniform(f"{name}.area").to(torch.float64)
    count = smallest + (drawn * (largest - smallest + 1)).floor().long()
    order = height.sort(dim=1).values
    level = order.gather(1, (count - 1)[:, None])
    return (height <= level).float().view(-1, 1, side, side)


def widened(mask: Tensor, pixels: int) -> Tensor:
    """``mask`` (B, 1, H, W) grown by ``pixels`` to every side, corners included."""
    if pixels == 0:
        return mask
    width = 2 * pixels + 1
    tall = functional.max_pool2d(mask, (width, 1), stride=1, padding=(pixels, 0))
    return functional.max_pool2d(tall, (1, width), stride=1, padding=(0, pixels))


def error_weights(mask: Tensor, target: Tensor, border_weight: float) -> Tensor:
    """The weight of each pixel's error (B, 1, H, W): 1 in the hole, ``border_weight`` in its overlap, 0 elsewhere.

    ``target`` is the hole with its overlap, as ``widened`` gives it.
    """
    return mask + border_weight * (target - mask)
