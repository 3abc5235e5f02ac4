"""Images that are not square as the squares that a network sees one by one, so that every pixel is judged, and once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.data.images import Images


@dataclass(frozen=True)
class Squares:
    """``images``: N squares cut out of a batch; ``of`` (N,) int64 the image of each, in [0, B); ``boxes`` (N, 4) float64 (top,
    left, side, side) in its pixels; ``spans`` (N, 4) float64 (top, left, bottom, right): the part that a square answers for.
    """

    images: Images
    of: NDArray[np.int64]
    boxes: Tensor
    spans: Tensor

    def own(self, side: int) -> Tensor:
        """(N, side, side) bool: the pixels of each square, shown at ``side``, that it answers for."""
        steps = (torch.arange(side, dtype=torch.float64) + 0.5) / side
        rows, columns = (self.boxes[:, at, None] + steps * self.boxes[:, 2, None] for at in range(2))
        top, left, bottom, right = (self.spans[:, at, None] for at in range(4))
        found: Tensor = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
        return found


def starts(length: int, side: int) -> list[int]:
    """Where squares of ``side`` begin along ``length`` pixels: as few as cover them, equally far apart.

    >>> starts(10, 10), starts(11, 10), starts(25, 10)
    ([0], [0, 1], [0, 8, 15])
    """
    return [round(at) for at in np.linspace(0, length - side, math.ceil(length / side))]


def _parts(length: int, side: int) -> list[tuple[int, float, float]]:
    """(start, from, to) of each square: it answers for what is nearer to its centre than to another's."""
    begins = starts(length, side)
    between = [(a + b + side) / 2 for a, b in pairwise(begins)]
    return list(zip(begins, [0.0, *between], [*between, float(length)], strict=True))


def squares(images: Images) -> Squares:
    """Squares of the shorter side of each image; images that are square stay as they are."""
    of, boxes, spans = [], [], []
    for number, (height, width) in enumerate(images.sizes.tolist()):
        side = min(height, width)
        for top, above, below in _parts(height, side):
            for left, before, after in _parts(width, side):
                of.append(number)
                boxes.append((top, left, side, side))
                spans.append((above, before, below, after))
    cut = images if len(of) == len(images) else _cut(images, of, boxes)
    as_floats = (torch.tensor(values, dtype=torch.float64) for values in (boxes, spans))
    return Squares(cut, np.array(of, np.int64), *as_floats)


def _cut(images: Images, of: list[int], boxes: list[tuple[int, int, int, int]]) -> Images:
    largest = max(side for *_, side in boxes)
    pixels = images.pixels.new_zeros(len(of), images.channels, largest, largest)
    for at, (number, (top, left, side, _)) in enumerate(zip(of, boxes, strict=True)):
        pixels[at, :, :side, :side] = images.pixels[number, :, top : top + side, left : left + side]
    sides = torch.tensor([[side, side] for *_, side in boxes])
    rows = torch.tensor(of)
    return Images(pixels, sides, images.index[rows], images.content[rows])
