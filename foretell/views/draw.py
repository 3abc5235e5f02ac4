"""The parameters of a random view, one row an image, drawn from counters."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from foretell.counters import Rng
from foretell.views.config import ViewConfig
from foretell.views.geometry import crop_boxes

ERASE_RATIO = (0.3, 3.3)


@dataclass
class Drawn:
    """What ``render`` does to each image; every tensor has one row an image. None: the operation is not in use.

    ``box`` (B, 4) float64 (top, left, height, width) in source pixels; ``flip``, ``vertical_flip`` (B,) bool;
    ``angle`` (B,) radians counter-clockwise; ``colours`` (B, 4): brightness, contrast and saturation factors,
    and hue as a share of a turn; ``sigma`` (B,) pixels of the view, 0 for no blur; ``solarise`` (B,) bool;
    ``erase`` (B, 4) as ``box``, in pixels of the view, of height 0 where nothing is erased.
    """

    box: Tensor
    flip: Tensor
    vertical_flip: Tensor
    angle: Tensor | None = None
    colours: Tensor | None = None
    sigma: Tensor | None = None
    solarise: Tensor | None = None
    erase: Tensor | None = None

    def part(self, start: int, stop: int) -> Drawn:
        """The rows ``start`` to ``stop`` (exclusive)."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Drawn(**{name: full[start:stop] for name, full in given.items() if full is not None})

    def repeated(self, times: int) -> Drawn:
        """The same parameters for ``times`` images in place of each one: the frames of a window get one view."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Drawn(**{name: full.repeat_interleave(times, 0) for name, full in given.items() if full is not None})


def draw(sizes: Tensor, config: ViewConfig, rng: Rng, name: str) -> Drawn:
    """Draw the parameters of one view of each image of ``sizes`` (B, 2), on the device of ``rng``.

    Each kind of parameter has a name of its own below ``name``, so that switching one off leaves the others'
    draws as they were. SimCLR's jitter (arXiv 2002.05709, appendix A) applies all four colour factors or none.
    """
    if config.side is None:
        raise ValueError("the side of a view must be settled before views are drawn")
    sizes = sizes.to(rng.device)
    drawn = Drawn(
        box=crop_boxes(sizes, config.scale, config.ratio, rng.uniform(f"{name}.crop", 4)),
        flip=rng.chance(f"{name}.flip", config.flip),
        vertical_flip=rng.chance(f"{name}.vertical_flip", config.vertical_flip),
    )
    if config.rotation:
        limit = math.radians(config.rotation)
        drawn.angle = rng.uniform(f"{name}.rotation", low=-limit, high=limit)
    drawn.colours = _draw_colours(config, rng, name)
    if config.blur:
        low, high = config.blur_sigma
        sigma = rng.uniform(f"{name}.blur_sigma", low=low, high=high)
        drawn.sigma = sigma * rng.chance(f"{name}.blur", config.blur)
    if config.solarise:
        drawn.solarise = rng.chance(f"{name}.solarise", config.solarise)
    if config.erase:
        square = torch.full_like(sizes, config.side)
        box = crop_boxes(square, config.erase_scale, ERASE_RATIO, rng.uniform(f"{name}.erase_box", 4))
        drawn.erase = box * rng.chance(f"{name}.erase", config.erase)[:, None]
    return drawn


def _draw_colours(config: ViewConfig, rng: Rng, name: str) -> Tensor | None:
    strengths = (config.brightness, config.contrast, config.saturation, config.hue)
    if not config.grey and not (config.jitter and any(strengths)):
        return None
    amount = rng.uniform(f"{name}.jitter_amount", 4, low=-1.0, high=1.0)
    amount = amount * torch.tensor(strengths, device=rng.device)
    amount = amount * rng.chance(f"{name}.jitter", config.jitter)[:, None]
    colours = amount + torch.tensor([1.0, 1.0, 1.0, 0.0], device=rng.device)
    colours[:, 2].masked_fill_(rng.chance(f"{name}.grey", config.grey), 0.0)
    return colours
