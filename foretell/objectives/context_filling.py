"""Holes of any size and shape in pictures of any size, filled by a trained context encoder.

The network sees squares of one side and learnt holes of one size in them. A hole is therefore cut into pieces, and each
is filled in a square window of its own around it: large enough for the piece to be of the size that was learnt, and
never smaller than the network's side, so that nothing is enlarged before it is seen. What lies beyond the picture is its
mirror image. Pieces are filled one after the other, and later ones see the earlier.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from foretell.encoders.base import Encoder
from foretell.objectives.context_networks import Filler
from foretell.views.masks import MaskConfig, centre_mask

Hole = NDArray[np.bool_]


@dataclass
class Window:
    """A square of ``length`` pixels whose upper left corner is (``top``, ``left``), and the hole's piece to fill in it.

    It may reach beyond the picture. ``piece`` (height, width) bool covers the picture.
    """

    top: int
    left: int
    length: int
    piece: Hole


def _pieces(hole: Hole, side: int, share: float) -> Iterator[tuple[Hole, int]]:
    """(piece, length of its window) for every part of the hole, near parts together."""
    from scipy import ndimage

    near = ndimage.binary_dilation(hole, iterations=max(1, side // 16))
    labels = ndimage.label(near)[0]
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        part = np.zeros_like(hole)
        part[box] = (labels[box] == number) & hole[box]
        down, across = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
        extent = max(down[-1] - down[0], across[-1] - across[0]) + 1
        # a border of seen pixels, so that a part at the picture's edge has its true thickness
        thickness = 2 * float(ndimage.distance_transform_edt(np.pad(part, 1)).max())
        length = max(side, math.ceil(min(extent, 1.5 * thickness) / share))
        core = max(1, math.floor(length * share))
        for rows in np.array_split(np.arange(down[0], down[-1] + 1), math.ceil((down[-1] + 1 - down[0]) / core)):
            for columns in np.array_split(
                np.arange(across[0], across[-1] + 1), math.ceil((across[-1] + 1 - across[0]) / core)
            ):
                piece = np.zeros_like(hole)
                inside = np.ix_(rows, columns)
                piece[inside] = part[inside]
                if piece.any():
                    yield piece, length


def windows(hole: Hole, side: int, mask: MaskConfig) -> Iterator[Window]:
    """The windows in which ``hole`` (height, width) is filled; every pixel of it is in just one piece."""
    inner = float(centre_mask(side, mask.overlap_for(side)).sum()) ** 0.5 / side
    # region and block masks drop about a quarter of the picture: a square of half its side
    share = inner if mask.kind == "centre" else 0.5
    for piece, length in _pieces(hole, side, share):
        start = []
        for axis, size in ((1, hole.shape[0]), (0, hole.shape[1])):
            at = np.flatnonzero(piece.any(axis))
            first = round((at[0] + at[-1] + 1 - length) / 2)
            if mask.kind != "centre":
                low, high = sorted((0, size - length))
                first = min(max(first, low), high)  # true surroundings before mirrored ones
            start.append(int(first))
        yield Window(start[0], start[1], length, piece)


def _mirrored(start: int, length: int, size: int) -> NDArray[np.int64]:
    """The pixels of an axis of ``size`` that ``length`` places from ``start`` show, mirrored at the edges."""
    place = np.arange(start, start + length) % (2 * size)
    return np.where(place < size, place, 2 * size - 1 - place)


@dataclass
class Inpainter:
    """A trained context encoder. ``side``, ``mean`` and ``std`` are those it was trained with."""

    encoder: Encoder
    filler: Filler
    mask: MaskConfig

    @property
    def side(self) -> int:
        return self.filler.side

    def foretell(self, seen: Tensor, hidden: Tensor) -> Tensor:
        """(C, side, side) in [0, 1] from ``seen`` (C, side, side) in [0, 1], where ``hidden`` (side, side) is not 1."""
        mean, std = self.filler.mean, self.filler.std
        context = (seen.to(mean.device)[None] - mean) / std * (1 - hidden.to(mean.device))
        with torch.no_grad():
            foretold = self.filler(self.encoder.map(context))
        picture: Tensor = (foretold * std + mean).clamp(0, 1)[0].cpu()
        return picture

    def fill(self, picture: Tensor, hole: Hole) -> Tensor:
        """``picture`` (C, H, W) in [0, 1] with its ``hole`` (H, W) filled; every other value is as it was."""
        out = picture.clone()
        left = hole.copy()
        for window in windows(hole, self.side, self.mask):
            rows = _mirrored(window.top, window.length, hole.shape[0])
            columns = _mirrored(window.left, window.length, hole.shape[1])
            inside = np.ix_(rows, columns)
            seen, hidden = self._shrunk(out[:, inside[0], inside[1]], torch.from_numpy(~left[inside]).float())
            foretold = self.foretell(seen, hidden)
            enlarged = F.interpolate(foretold[None], (window.length,) * 2, mode="bicubic").clamp(0, 1)[0]
            y, x = np.nonzero(window.piece)
            out[:, y, x] = enlarged[:, y - window.top, x - window.left]
            left[y, x] = False
        return out

    def _shrunk(self, picture: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """(picture, hidden) at the network's side from a window (C, L, L) and its ``known`` pixels (L, L).

        A pixel is hidden that any unknown one would colour; what is seen is a mean of known ones alone.
        """
        both = torch.cat([picture * known, known[None]])[None]
        small = F.interpolate(both, (self.side,) * 2, mode="bilinear", antialias=True)[0]
        weight = small[-1]
        area = F.interpolate(known[None, None], (self.side,) * 2, mode="area")[0, 0]
        hidden = (area < 1 - 1e-4).float()
        if self.mask.kind == "centre":
            # the hole that was learnt, whatever is known of its corners
            square = centre_mask(self.side, self.mask.overlap_for(self.side))[0, 0]
            hidden = torch.maximum(hidden, square)
        return small[:-1] / weight.clamp(min=1e-4), hidden
