"""Noise on batches of views, drawn anew or an image's own, which is fixed to the pixels of the view."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from foretell.counters import Rng, seed_of

Kind = Literal["gaussian", "salt-and-pepper", "masking"]
Draw = Callable[[str, tuple[int, ...]], Tensor]
"""(name, shape) -> (B, *shape) standard normal float32."""

SALT = 2.0  # deviations of the data from its mean, either way


def fresh(rng: Rng) -> Draw:
    """Draws of one step."""
    return lambda name, shape: rng.normal(name, *shape)


def own(content: Tensor, copy: int = 0) -> Draw:
    """Each image's own draws, the same at every step and seed: a function of what it shows and of ``copy``.

    It does not move with a random view, nor change with the store, or the part of one, that the image is read from.
    ``content`` (B,) int64 as ``Images`` has it; another ``copy`` is another picture of the same thing, with independent noise.
    """

    def draw(name: str, shape: tuple[int, ...]) -> Tensor:
        seeds = [seed_of("own noise", name, copy, shown) for shown in content.tolist()]
        drawn = [np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape, np.float32) for seed in seeds]
        return torch.from_numpy(np.stack(drawn)).to(content.device)

    return draw


def noisy(x: Tensor, kind: Kind, amount: float, draw: Draw, *, grain: float = 0.0) -> Tensor:
    """``x`` (B, C, H, W), normalised to mean 0 and deviation 1, with noise; nothing is clipped.

    "gaussian": ``amount`` is its deviation; with ``grain`` it is correlated over about so many pixels (a Gaussian of
    this deviation, around the image's edges), of unchanged deviation at each pixel. "salt-and-pepper": a share
    ``amount`` of the pixels is two deviations above or below the mean; "masking": is the mean.
    """
    channels, height, width = x.shape[1:]
    if not amount:
        return x
    if kind == "gaussian":
        field = draw("noise", (channels, height, width))
        if grain:
            field = _around(height, grain, x.device) @ field @ _around(width, grain, x.device).T
        return x + amount * field
    # a share of a normal variable's range, so that every kind needs one sort of draw
    threshold = torch.special.ndtri(torch.tensor(amount, dtype=torch.float64)).item()
    hit = draw("where", (1, height, width)) < threshold
    if kind == "masking":
        return x.masked_fill(hit, 0.0)
    grains = torch.where(draw("salt", (1, height, width)) < 0, -SALT, SALT)
    return torch.where(hit, grains, x)


def _around(length: int, grain: float, device: torch.device) -> Tensor:
    """(length, length): a Gaussian about each place of a ring, each row of unit squared sum."""
    place = torch.arange(length, device=device)
    apart = (place[:, None] - place).abs()
    apart = torch.minimum(apart, length - apart).float()
    weights = torch.exp(-0.5 * (apart / grain).square())
    return weights / weights.square().sum(1, keepdim=True).sqrt()


def blind_spots(rng: Rng, name: str, share: float, height: int, width: int) -> Tensor:
    """(B, 1, H, W) bool: ``share`` of the pixels of each image, at least one: the same number in all."""
    count = max(1, math.floor(share * height * width))
    place = rng.uniform(name, height * width)
    level = place.kthvalue(count, dim=1, keepdim=True).values
    return (place <= level).view(-1, 1, height, width)
