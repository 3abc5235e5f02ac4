"""One image that is in no store, read as a store reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foretell.data.decode import decode
from foretell.data.medical.window import parse
from foretell.data.pixels import Pixels, Unreadable
from foretell.data.scale import check_scale, silent, usual_scale
from foretell.errors import InputError


def read_outside(path: Path, side: int, window: str, scale: int | None) -> tuple[Pixels, int]:
    """((H, W, C) uint8 or uint16, what a store multiplies its values by), the longest side at most ``side``.

    ``window`` and ``scale`` are those of a store, ``scale`` None where it has none. Raises InputError for a file that is no
    image, and for values beyond ``scale``.
    """
    try:
        pixels = decode(path, side, parse(window))
    except Unreadable as error:
        raise InputError(f"{path}: {error}; expected an image file") from None
    if pixels.dtype != np.uint16 or not silent(path):
        return pixels, 1
    peak = int(pixels.max())
    if scale is None:
        return pixels, usual_scale(peak)
    check_scale(str(path), peak, scale)
    return pixels, scale
