"""Images that are not square, of which evaluation sees the central square unless it is told to squeeze them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOLD = 0.05  # share of all pixels outside the central squares from which it is told


def outside(sizes: NDArray[np.int64]) -> str | None:
    """What is outside the central squares of images of ``sizes`` (N, 2), in words; None where it is less than ``TOLD``."""
    if not len(sizes):
        return None
    shares = 1 - sizes.min(axis=1) / sizes.max(axis=1)
    if shares.mean() < TOLD:
        return None
    oblong = shares > 0
    return (
        f"{oblong.sum():,} of {len(sizes):,} images are not square, with {shares[oblong].mean():.0%} of their pixels outside the "
        "central square"
    )
