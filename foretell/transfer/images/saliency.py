"""Which pixels a score depends on, as a picture for a person to check: by its gradient, and by covering parts.

Neither is a proof: a gradient tells of small changes only (Simonyan et al., 1312.6034), a cover of what a grey square in that
place does (Zeiler and Fergus, 1311.2901). Where both point at a marker, a ruler or an edge, look at the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from foretell.counters import seed_of
from foretell.objectives.base import Exhibit
from foretell.transfer.images.features import batch_for
from foretell.transfer.images.finetune import Classifier
from foretell.views import denormalise
from foretell.views.config import ViewConfig

Score = Callable[[Tensor], Tensor]  # (B, C, side, side) normalised -> (B,)
COPIES, NOISE = 25, 0.15
NAME = "saliency"
TITLE = "What the classifier looks at"
CAPTION = (
    "How much the score of the class that is foretold depends on each pixel: by the size of its gradient there, the mean over "
    "noisy copies of the image, and by how far it falls when a square around the place is covered with the mean colour. Bright "
    "is much; each map is scaled to its own largest, and even speckle all over says only that no place stands out. Where a map "
    "is bright on a marker, a ruler, writing or an edge, look at the data: the answer may rest on what is not in question. A map "
    "shows neither why an answer was given nor that it can be trusted: a gradient tells of small changes alone, a square of "
    "losing one place alone, and nothing where another place says the same."
)


def of_class(classifier: Classifier, code: int) -> Score:
    """The logit of the class, or the finding, of number ``code``: its score before softmax or sigmoid.

    Also of a classifier whose encoder was frozen, which its ``forward`` gives no gradient. ``classifier`` must be in
    evaluation mode.
    """
    return lambda x: classifier.head(classifier.encoder.pooled(x))[:, code].float()


def by_gradient(score: Score, x: Tensor, *, copies: int = 1, noise: float = 0.0, seed: int = 0) -> Tensor:
    """(B, side, side) in [0, 1]: the size of the gradient of ``score`` at each pixel, its largest over the channels.

    With ``copies`` it is that of the mean gradient at so many copies of x with normal noise, whose deviation is the share
    ``noise`` of the range of x (SmoothGrad: Smilkov et al., 1706.03825, who take 50 and 0.1 to 0.2): what changes from pixel to
    pixel and from copy to copy cancels out. Scaled to the largest of each image; zero where the score depends on no pixel.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "saliency"))
    given = x.detach()
    deviation = noise * (given.amax((1, 2, 3), keepdim=True) - given.amin((1, 2, 3), keepdim=True))
    total = torch.zeros_like(given)
    for _ in range(copies):
        drawn = torch.randn(given.shape, generator=generator).to(given.device)
        noisy = (given + deviation * drawn).requires_grad_(True)
        with torch.enable_grad():
            total += torch.autograd.grad(score(noisy).sum(), noisy)[0]
    return _scaled(total.abs().amax(1))


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


def exhibit(scores: Sequence[Score], x: Tensor, views: ViewConfig) -> Exhibit:
    """The images (B, C, side, side) beside both maps of the score of each, that of the class foretold; ``report.findings``
    writes it.

    The gradient is smoothed over ``COPIES``, and the covering square, a sixth of the side, moves by half of itself: about 150
    passes of the network an image and 25 more with their way back.
    """
    side = x.shape[-1]
    patch = max(1, side // 6)
    each = [(score, x[at : at + 1]) for at, score in enumerate(scores)]
    covering = [
        by_occlusion(score, one, patch=patch, stride=max(1, patch // 2), chunk=batch_for(side)) for score, one in each
    ]
    return Exhibit(
        TITLE,
        CAPTION,
        [
            ("image", denormalise(x, views.mean, views.std).cpu()),
            (
                "gradient",
                torch.cat([by_gradient(score, one, copies=COPIES, noise=NOISE) for score, one in each])[:, None].cpu(),
            ),
            ("covering", torch.cat(covering)[:, None]),
        ],
        name=NAME,
    )
