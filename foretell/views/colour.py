"""Brightness, contrast, saturation, hue and grey as one affine map of the colours of each image.

Let l be the luma weights (ITU-R BT.601, as torchvision's), G = 1 l^T the projection on grey, P = I - G the chroma, and
Q the quarter turn of the chroma in YIQ (from red through yellow to green). On colours before clipping

    brightness f   multiplies by f,
    contrast c     is x -> c x + (1 - c) m 1, where m is the mean luma of the view at that point,
    saturation s   is G + s P,
    hue t          is G + cos(2 pi t) P + sin(2 pi t) Q, which keeps luma,
    grey           is G.

All of them commute, so that in any order, with m the mean luma of the view before all of them, they are

    x -> f c (G + s cos(2 pi t) P + s sin(2 pi t) Q) x + (1 - c) f m 1.

Differences from torchvision, which does one after the other: its hue is a rotation in HSV, which keeps the largest and
the smallest channel instead of luma; and it clips to [0, 1] after every operation, which makes their order matter,
while here colours are clipped once, at the end. Where nothing is clipped, all but hue agree.

Images with one channel, or any other number than three, have brightness and contrast only, the contrast about each
channel's own mean.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
_YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))


def _bases() -> Tensor:
    """G, P and Q: (3, 3, 3)."""
    to_yiq = torch.tensor(_YIQ, dtype=torch.float64)
    grey = torch.tensor(LUMA, dtype=torch.float64).expand(3, 3)
    # The rows of I and Q sum to 0 only to six digits: make grey exactly invariant.
    to_yiq[1:] -= to_yiq[1:].mean(1, keepdim=True)
    quarter = torch.zeros(3, 3, dtype=torch.float64)
    quarter[1, 2], quarter[2, 1] = 1.0, -1.0
    turned = torch.linalg.solve(to_yiq, quarter @ to_yiq)
    return torch.stack([grey, torch.eye(3, dtype=torch.float64) - grey, turned]).to(torch.float32)


BASES = _bases()


def recolour(view: Tensor, factors: Tensor, means: Tensor, peak: float, out: Tensor) -> None:
    """Apply each image's colour map to ``view`` (B, C, H, W), values 0 to ``peak``, scaled to [0, 1], into ``out``.

    ``factors`` (B, 4) are brightness, contrast, saturation (1 leaves the image as it is) and hue (a share of a
    full turn); ``means`` (B, C) are the channel means of the view, in [0, 1].
    """
    brightness, contrast, saturation, hue = factors.unbind(1)
    gain = brightness * contrast
    lift = (1 - contrast) * brightness
    if view.shape[1] != 3:
        torch.mul(view, (gain / peak)[:, None, None, None], out=out)
        out.add_((lift[:, None] * means)[:, :, None, None])
        return
    turn = hue * (2 * math.pi)
    weights = torch.stack([gain, gain * saturation * turn.cos(), gain * saturation * turn.sin()], 1)
    matrix = (weights @ BASES.to(view.device).view(3, 9)).view(-1, 3, 3) / peak
    luma = means @ torch.tensor(LUMA, device=view.device)
    offset = (lift * luma)[:, None, None].expand(-1, 3, 1)
    torch.baddbmm(offset, matrix, view.flatten(2), out=out.view(view.shape[0], 3, -1))
