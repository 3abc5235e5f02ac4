"""Random views of image batches: crop, flip, rotation, colour, blur, solarise and erase, on the images' device.

Everything linear is composed before a pixel is touched. Crop, resize, flip and blur of an image are two weight
matrices (``geometry``, ``blur``) and its colours one affine map (``colour``), so that a view is three small
matrix products, a clip and a normalisation. Blur and the colour map commute; colours are clipped once, after
both, where torchvision clips after every operation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from foretell.counters import Rng
from foretell.data.images import Images
from foretell.views import geometry
from foretell.views.blur import blur_matrices, blur_radius, gaussian_kernels
from foretell.views.colour import recolour
from foretell.views.config import ViewConfig
from foretell.views.draw import Drawn, draw
from foretell.views.finish import erase, normalise_, solarise


def augment(images: Images, config: ViewConfig, rng: Rng, name: str) -> Tensor:
    """One random view of each image: (B, C, side, side) float32, normalised by the config's mean and std.

    Without mean and std the values are in [0, 1]. The draws are a function of (rng.seed, rng.step, ``name``)
    and of the image's place in the global batch only. Raises ValueError when ``config.side`` is not settled,
    when the batch is not ``rng.rows`` long, or when mean or std have another number of channels than the
    images.
    """
    if len(images) != len(rng.rows):
        raise ValueError(f"{len(images)} images for {len(rng.rows)} rows of the global batch")
    return render(images, draw(images.sizes, config, rng, name), config)


@torch.no_grad()
def render(images: Images, drawn: Drawn, config: ViewConfig) -> Tensor:
    """The view of each image that ``drawn`` describes; see ``augment``."""
    if config.side is None:
        raise ValueError("the side of a view must be settled before views are drawn")
    with torch.autocast(images.pixels.device.type, enabled=False):
        view, means = _resampled(images, drawn, config, config.side)
        if drawn.colours is None:
            view = view.mul_(1.0 / images.peak)
        else:
            view = recolour(view, drawn.colours, means, images.peak)
        view.clamp_(0.0, 1.0)
        if drawn.solarise is not None:
            view = solarise(view, drawn.solarise)
        view = normalise_(view, config.mean, config.std)
        if drawn.erase is not None:
            view = erase(view, drawn.erase, _filling(view, config))
        return view


def _resampled(images: Images, drawn: Drawn, config: ViewConfig, side: int) -> tuple[Tensor, Tensor]:
    """The view before its colours change, in [0, peak], and its channel means (B, C) before blur, in [0, 1]."""
    pixels = images.pixels.to(torch.float32)
    rows, columns = _weights(images, drawn, config, side)
    if drawn.angle is None:
        means = geometry.view_means(pixels, rows, columns)
    else:
        pixels = geometry.turn(geometry.separable(pixels, rows, columns), drawn.angle, side)
        means = pixels.mean((2, 3))
        if drawn.sigma is None:
            return pixels, means / images.peak
        rows = columns = torch.eye(side, device=pixels.device).expand(len(images), side, side)
    if drawn.sigma is not None:
        kernels = gaussian_kernels(drawn.sigma, blur_radius(side, config.blur_kernel))
        blur = blur_matrices(kernels, side)
        rows, columns = torch.bmm(blur, rows), torch.bmm(blur, columns)
    return geometry.separable(pixels, rows, columns), means / images.peak


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
