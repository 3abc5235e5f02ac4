"""Which pixels a score depends on, as a picture for a person to check: by its gradient, and by covering parts.

Neither is a proof: a gradient tells of small changes only (Simonyan et al., 1312.6034), a cover of what a grey square in that
place does (Zeiler and Fergus, 1311.2901). Where both point at a marker, a ruler or an edge, look at the data.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from foretell.encoders.base import Encoder
from foretell.objectives.base import Exhibit
from foretell.views import denormalise
from foretell.views.config import ViewConfig

Score = Callable[[Tensor], Tensor]  # (B, C, side, side) normalised -> (B,)


def likeness(encoder: Encoder, to: Tensor) -> Score:
    """The cosine between an image's embedding and ``to`` (D,): what makes it like a class, a case or its neighbour."""
    goal = torch.nn.functional.normalize(to, dim=0)
    return lambda x: torch.nn.functional.normalize(encoder.pooled(x), dim=1) @ goal


def by_gradient(score: Score, x: Tensor) -> Tensor:
    """(B, side, side) in [0, 1]: the size of the gradient of ``score`` at each pixel, its largest over the channels.

    Scaled to the largest of each image; zero where the score depends on no pixel.
    """
    given = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(score(given).sum(), given)
    return _scaled(slope.abs().amax(1))


def by_occlusion(score: Score, x: Tensor, *, patch: int = 16, stride: int = 8, chunk: int = 64) -> Tensor:
    """(B, side, side) in [0, 1]: how far ``score`` falls when a square of ``patch`` pixels over a pixel turns to 0, the mean.

    A pixel counts the mean over the squares that cover it; a square that raises the score counts 0. Scaled as
    ``by_gradient``.
    """
    side = x.shape[-1]
    starts = sorted({*range(0, max(1, side - patch + 1), stride), max(0, side - patch)})
    places = [(top, left) for top in starts for left in starts]
    drops, covers = torch.zeros(len(x), side, side), torch.zeros(side, side)
    with torch.no_grad():
        whole = score(x)
        for image in range(len(x)):
            for first in range(0, len(places), chunk):
                part = places[first : first + chunk]
                covered = x[image].repeat(len(part), 1, 1, 1)
                for at, (top, left) in enumerate(part):
                    covered[at, :, top : top + patch, left : left + patch] = 0
                for (top, left), fall in zip(part, (whole[image] - score(covered)).clamp(min=0).tolist(), strict=True):
                    drops[image, top : top + patch, left : left + patch] += fall
    for top, left in places:
        covers[top : top + patch, left : left + patch] += 1
    return _scaled(drops / covers.clamp(min=1))


def _scaled(values: Tensor) -> Tensor:
    return values / values.amax((1, 2), keepdim=True).clamp(min=1e-12)


def exhibit(score: Score, x: Tensor, views: ViewConfig, *, patch: int = 16) -> Exhibit:
    """The images beside both maps; ``report.exhibits.picture_grid`` writes it as a picture."""
    return Exhibit(
        "what is used",
        "images, and how much the score depends on each pixel: by its gradient, and by covering a square around it",
        [
            ("image", denormalise(x, views.mean, views.std)),
            ("gradient", by_gradient(score, x)[:, None].cpu()),
            ("covering", by_occlusion(score, x, patch=patch, stride=max(1, patch // 2))[:, None]),
        ],
        name="saliency",
    )
