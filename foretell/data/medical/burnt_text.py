"""A plain cue of text burnt into an image: short bright strokes close together on a ground of one shade."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foretell.data.pixels import Pixels

STROKE = 6  # pixels that a stroke is narrower than
ROWS, WIDE = 12, 48  # pixels of a place that holds a few letters
STROKES = 32  # beginnings of strokes in such a place
GROUND = 0.6  # share of a place that has the shade of its ground
SHADES = 16  # shades told apart
CONTRAST = 0.2  # of the image's range, between ground and strokes


def looks_written(image: Pixels) -> bool:
    """Whether (H, W, C) uint8 or uint16 pixels hold what looks like text. A cue, no proof: a ruler looks like it too."""
    grey = image.max(axis=2).astype(np.float32)
    reach = float(grey.max() - grey.min())
    if reach == 0:
        return False
    grey = (grey - grey.min()) / reach
    return any(_written(_places(grey[down:])) for down in (0, ROWS // 2))  # a line may lie across two places


def _places(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, ROWS, WIDE) places that cover an (H, W) image; what is left over at the edges is left out."""
    high, wide = grey.shape[0] // ROWS, grey.shape[1] // WIDE
    cut = grey[: high * ROWS, : wide * WIDE].reshape(high, ROWS, wide, WIDE)
    return cut.transpose(0, 2, 1, 3).reshape(-1, ROWS, WIDE)


def _written(places: NDArray[np.float32]) -> bool:
    """Whether any place holds strokes on a ground."""
    if not len(places):
        return False
    shades = np.minimum((places * SHADES).astype(np.int64), SHADES - 1)
    counts = np.stack([(shades == shade).sum(axis=(1, 2)) for shade in range(SHADES)], axis=1)
    ground = (counts.argmax(axis=1) + 0.5) / SHADES
    top = places.max(axis=(1, 2))
    apart = (counts.max(axis=1) >= GROUND * ROWS * WIDE) & (top - ground >= CONTRAST)
    chosen, middle = places[apart], ((ground + top) / 2)[apart]
    bright = chosen > middle[:, None, None]
    strokes = bright & ~_runs(bright)
    starts = strokes[:, :, 1:] & ~strokes[:, :, :-1]
    return bool((starts.sum(axis=(1, 2)) >= STROKES).any())


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of (n, h, w) that lie in a run of at least ``STROKE`` across a row (an opening)."""
    whole = np.lib.stride_tricks.sliding_window_view(mask, STROKE, axis=2).all(axis=3)
    kept = np.zeros_like(mask)
    for step in range(STROKE):
        kept[:, :, step : step + whole.shape[2]] |= whole
    return kept
