"""How far a lens has moved the colours of photographs apart, measured on the photographs themselves.

Lateral chromatic aberration magnifies one colour against another about the optical axis, so that the distance between
them says how far from the middle a patch lies (Doersch, Gupta, Efros, arXiv 1505.05192, section 3). The magnification is
found by least squares: where green is moved by (x, y) -> (1 + k)(x, y) + t, a block of the other channel is

    other = a * green + a * (t + k * (x, y)) . gradient(green) + rest

with a contrast ``a`` of its own in every block; blocks in which the two channels show different things have a large rest
and weigh little. Solved from coarse to fine, green being moved back before each solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foretell.data.images import Images
from foretell.data.store import ImageStore
from foretell.errors import InputError
from foretell.measures.intervals import Interval, bootstrap
from foretell.views.aberration import aberrate

SIDE = 256  # pixels of the longer side that are looked at
LEVELS = (4, 4, 2, 2, 1, 1)  # each solution's reduction
BLOCK = 16
SMALLEST = 48  # pixels of the shorter side below which a shift of some per mille cannot be seen
WIDEST = 0.05  # solutions beyond this are no lens: the channels show different things
UNSURE = 0.005  # images whose own standard error is larger say nothing
ENOUGH = 8  # images below which no interval is given


@dataclass
class ColourShift:
    """Green against another channel: ``k`` (share of the radius, as ``aberrate`` takes it) with its 95% interval.

    ``each`` (n,) are the single images' values, ``used`` how many images had texture enough.
    """

    channel: str
    k: Interval
    used: int
    each: NDArray[np.float64] = field(repr=False)

    @property
    def found(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.k.low > 0 or self.k.high < 0

    def record(self) -> dict[str, Any]:
        return {"channel": self.channel, "k_percent": {name: 100 * value if name != "n" else value for name, value in self.k.record().items()}, "images": self.used}  # fmt: skip


def colour_shift(store: ImageStore, rows: NDArray[np.int64] | None = None, *, most: int = 200, seed: int = 0) -> list[ColourShift]:  # fmt: skip
    """The shift of green against red and against blue, over up to ``most`` of ``rows`` (default: all) of ``store``.

    Each is the median over images, its interval a bootstrap over images; the optical axis is taken to be the middle of
    each image. Raises InputError for images without three channels, and when fewer than 8 of them have texture enough.
    """
    if store.channels != 3:
        raise InputError(
            f"{store.source}: images with {store.channels} channels; a shift between colours needs RGB images"
        )
    rows = np.arange(len(store), dtype=np.int64) if rows is None else rows
    rows = rows[store.sizes[rows].min(axis=1) >= SMALLEST]
    chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    solved = [shift_of(store.read([int(row)])) for row in chosen]
    found = []
    for place, channel in enumerate(("red", "blue")):
        each = np.array([one[place][0] for one in solved if one[place][1] < UNSURE])
        if len(each) < ENOUGH:
            raise InputError(
                f"{store.source}: {len(each)} of {len(chosen)} images have texture enough to compare their colours "
                f"({SMALLEST} px a side or more, not grey alone); expected at least {ENOUGH}"
            )
        interval = bootstrap(_median_of(each), len(each), draws=400, seed=seed)
        found.append(ColourShift(channel, interval, len(each), each))
    return found


def _median_of(each: NDArray[np.float64]) -> Callable[[NDArray[np.int64]], float]:
    return lambda rows: float(np.median(each[rows]))


@torch.no_grad()
def shift_of(image: Images) -> list[tuple[float, float]]:
    """(k, standard error) of green against red and against blue, for a batch of one image."""
    height, width = (int(length) for length in image.sizes[0])
    whole = image.float()[:, :, :height, :width]
    factor = SIDE / max(height, width)
    if factor < 1:
        size = (max(BLOCK, round(height * factor)), max(BLOCK, round(width * factor)))
        whole = F.interpolate(whole, size, mode="bilinear", antialias=True, align_corners=False)
    return [_solved(whole, channel) for channel in (0, 2)]


def _solved(whole: Tensor, channel: int) -> tuple[float, float]:
    pair = whole[:, (channel, 1)]
    k, error = 0.0, math.inf
    for level in LEVELS:
        if min(pair.shape[2:]) // level < 2 * BLOCK:
            continue
        small = F.avg_pool2d(pair, level) if level > 1 else pair
        change, error = _step(_moved_back(small, k))
        k = min(max((1 + k) * (1 + change) - 1, -WIDEST), WIDEST)
    return k, error if abs(k) < WIDEST else math.inf


def _moved_back(pair: Tensor, k: float) -> Tensor:
    """(1, 2, H, W) of another channel and green, with green made smaller by 1 + ``k``."""
    if not k:
        return pair
    deep = (pair * 65535).round_().to(torch.int32).to(torch.uint16)
    size, row = torch.tensor([pair.shape[2:]]), torch.zeros(1, dtype=torch.int64)
    return aberrate(Images(deep, size, row, row), 1 / (1 + k) - 1).float()


def _step(pair: Tensor) -> tuple[float, float]:
    """One solution: (k, standard error)."""
    height, width = pair.shape[2:]
    green = pair[:, 1:]
    slope_y, slope_x = torch.gradient(green, dim=(2, 3))
    y = (torch.arange(height, dtype=torch.float32) + 0.5 - height / 2)[:, None]
    x = torch.arange(width, dtype=torch.float32) + 0.5 - width / 2
    planes = torch.cat([pair[:, :1], green, slope_x, slope_y, slope_x * x + slope_y * y], dim=1)
    planes = planes - F.avg_pool2d(planes, 9, 1, 4, count_include_pad=False)
    blocks = _blocks(planes[:, :, 2:-2, 2:-2])  # the border of a moved channel is made up
    other, own, moves = blocks[:, 0], blocks[:, 1], blocks[:, 2:]
    energy = (own * own).sum(1)
    textured = energy > 1e-4 * BLOCK * BLOCK / 4
    other, own, moves, energy = other[textured], own[textured], moves[textured], energy[textured]
    contrast = (other * own).sum(1) / energy
    rest = other - contrast[:, None] * own
    moves = moves - ((moves * own[:, None]).sum(2) / energy[:, None])[:, :, None] * own[:, None]
    moves = contrast[:, None, None] * moves
    noise = (rest * rest).mean(1) + 1e-5
    normal = torch.einsum("bin,bjn,b->ij", moves, moves, 1 / noise).double()
    right = torch.einsum("bin,bn,b->i", moves, rest, 1 / noise).double()
    if len(own) < 4 or float(torch.linalg.cond(normal)) > 1e10:
        return 0.0, math.inf
    inverse = torch.linalg.inv(normal)
    return float((inverse @ right)[2]), float(inverse[2, 2].clamp(min=0).sqrt())


def _blocks(planes: Tensor) -> Tensor:
    """(1, P, H, W) -> (number of blocks, P, BLOCK^2)."""
    _, count, height, width = planes.shape
    down, across = height // BLOCK, width // BLOCK
    cut = planes[0, :, : down * BLOCK, : across * BLOCK].reshape(count, down, BLOCK, across, BLOCK)
    return cut.permute(1, 3, 0, 2, 4).reshape(down * across, count, BLOCK * BLOCK)
