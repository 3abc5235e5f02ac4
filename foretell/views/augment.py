"""Random views of image batches: crop, flip, rotation, colour, blur, solarise and erase, on the images' device.

Everything linear is composed before a pixel is touched. Crop, resize, flip and blur of an image are two weight
matrices (``geometry``, ``blur``) and its colours one affine map (``colour``), so that a view is three small
matrix products, a clip and a normalisation. Blur and the colour map commute; colours are clipped once, after
both, where torchvision clips after every operation.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from foretell.counters import Rng
from foretell.data.images import Images
from foretell.views import geometry
from foretell.views.blur import blur_radius, blurred
from foretell.views.colour import recolour
from foretell.views.config import ViewConfig
from foretell.views.draw import Drawn, draw
from foretell.views.finish import chunks, erase_, normalise_, solarise_


def augment(images: Images, config: ViewConfig, rng: Rng, name: str) -> Tensor:
    """One random view of each image: (B, C, side, side) float32, normalised by the config's mean and std.

    Without mean and std the values are in [0, 1]. The draws are a function of (rng.seed, rng.step, ``name``)
    and of the image's place in the global batch only. Raises ValueError when ``config.side`` is not settled,
    when the batch is not ``rng.rows`` long, or when mean or std have another number of channels than the
    images.
    """
    if len(images) != len(rng.rows):
        raise ValueError(f"{len(images)} images for {len(rng.rows)} rows of the global batch")
    rng = replace(rng, device=images.pixels.device)
    return render(images, draw(images.sizes, config, rng, name), config)


@torch.no_grad()
def render(images: Images, drawn: Drawn, config: ViewConfig) -> Tensor:
    """The view of each image that ``drawn`` describes; see ``augment``."""
    if config.side is None:
        raise ValueError("the side of a view must be settled before views are drawn")
    device = images.pixels.device
    views = torch.empty(len(images), images.channels, config.side, config.side, device=device)
    with torch.autocast(device.type, enabled=False):
        for start, stop in chunks(images):
            _render(images.rows(start, stop), drawn.part(start, stop), config, views[start:stop])
    return views


def _render(images: Images, drawn: Drawn, config: ViewConfig, view: Tensor) -> None:
    """Write the views into ``view`` (B, C, side, side)."""
    resampled, means = _resampled(images, drawn, config, view.shape[-1])
    if drawn.colours is None:
        torch.mul(resampled, 1.0 / images.peak, out=view)
    else:
        recolour(resampled, drawn.colours, means, images.peak, out=view)
    view.clamp_(0.0, 1.0)
    if drawn.solarise is not None:
        solarise_(view, drawn.solarise)
    normalise_(view, config.mean, config.std)
    if drawn.erase is not None:
        erase_(view, drawn.erase, _filling(view, config))


def _resampled(images: Images, drawn: Drawn, config: ViewConfig, side: int) -> tuple[Tensor, Tensor]:
    """The view before its colours change, in [0, peak], and its channel means (B, C) before blur, in [0, 1]."""
    lines = geometry.lines(images.pixels)
    rows, columns = _weights(images, drawn, config, side)
    if drawn.angle is None:
        means = geometry.view_means(lines, rows, columns)
    else:
        turned = geometry.turn(geometry.separable(lines, rows, columns), drawn.angle, side)
        means = turned.mean((2, 3))
        if drawn.sigma is None:
            return turned, means / images.peak
        lines = geometry.lines(turned)
        rows = columns = torch.eye(side, device=turned.device).expand(len(images), side, side)
    if drawn.sigma is not None:
        radius = blur_radius(side, config.blur_kernel)
        rows, columns = blurred(rows, drawn.sigma, radius), blurred(columns, drawn.sigma, radius)
    return geometry.separable(lines, rows, columns), means / images.peak


def _weights(images: Images, drawn: Drawn, config: ViewConfig, side: int) -> tuple[Tensor, Tensor]:
    """The weight matrices along the height and the width; with a margin around a view that is to be turned."""
    height, width = images.pixels.shape[2:]
    top, left, tall, wide = drawn.box.unbind(1)
    kind = config.interpolation
    if drawn.angle is None:
        return (
            geometry.crop_weights(top, tall, side, height, drawn.vertical_flip, kind),
            geometry.crop_weights(left, wide, side, width, drawn.flip, kind),
        )
    margin = geometry.margin_for(side, config.rotation)
    own = images.sizes
    return (
        geometry.canvas_weights(top, tall, own[:, 0], side, margin, height, drawn.vertical_flip, kind),
        geometry.canvas_weights(left, wide, own[:, 1], side, margin, width, drawn.flip, kind),
    )


def _filling(view: Tensor, config: ViewConfig) -> Tensor:
    """The mean, as it is after normalisation; each view's own mean where the data set's is not known."""
    if config.mean is not None:
        return torch.zeros(1, view.shape[1], 1, 1, device=view.device)
    return view.mean((2, 3), keepdim=True)
