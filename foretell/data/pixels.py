"""Arrays of pixels on their way into the store: checked, composited, shrunk, turned upright."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foretell.errors import ForetellError

SMALLEST = 4  # pixels on the shorter side
LONGEST = 1 << 20  # pixels on the longer side: beyond it a header is taken for damage
MEMORY = 768 << 20  # bytes of pixels decoded at once

Pixels = NDArray[Any]


class Unreadable(ForetellError):
    """Why a file gave no image, in words that follow its name."""


def check_size(height: int, width: int) -> None:
    """Raises Unreadable for an image too small to learn from, or whose header is beyond belief."""
    if min(height, width) < SMALLEST:
        raise Unreadable(f"is {width} x {height} pixels; expected at least {SMALLEST} x {SMALLEST}")
    if max(height, width) > LONGEST:
        raise Unreadable(f"claims {width} x {height} pixels; expected at most {LONGEST} a side")


def check_finite(values: Pixels, what: str) -> None:
    """Raises Unreadable for floats some of which are NaN or infinite; ``what`` they are, in the plural."""
    if values.dtype.kind != "f":
        return
    unknown = int((~np.isfinite(values)).sum())
    if unknown:
        raise Unreadable(
            f"has {unknown:,} {what} that are NaN or infinite; expected finite numbers: replace them, as by "
            "numpy.nan_to_num, and save it again"
        )


def whole_numbers(array: Pixels) -> Pixels:
    """uint8 as it is; other numbers as uint16: whole ones in 0 to 65535, floats in [0, 1] times 65535.

    Raises Unreadable for values beyond these ranges.
    """
    if array.dtype == np.uint8 or array.dtype == np.uint16:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "iuf":
        raise Unreadable(f"holds values of type {array.dtype}; expected whole numbers or floats")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low + high):
        raise Unreadable("holds values that are not finite (NaN or infinity)")
    if array.dtype.kind == "f":
        if low < 0 or high > 1:
            raise Unreadable(f"holds floats from {low:g} to {high:g}; expected them in [0, 1]")
        return np.asarray(np.rint(array * np.float32(65535)), np.uint16)
    if low < 0 or high > 65535:
        raise Unreadable(f"holds values from {low:g} to {high:g}; expected them in 0 to 65535: {rescaled(low)}")
    return np.asarray(array, np.uint16)


def rescaled(low: float) -> str:
    """What to do with values beyond their range, whose lowest is ``low``."""
    if low >= 0:
        return "divide those of all images by one number"
    return "add one number to those of all images, as 1024 to Hounsfield units, or save volumes as NIfTI, which may be signed"


def over_white(array: Pixels, premultiplied: bool = False) -> Pixels:
    """(H, W, C + 1) uint8 or uint16 whose last channel is alpha, composited over white: (H, W, C)."""
    peak = np.float32(np.iinfo(array.dtype).max)
    alpha = array[:, :, -1:].astype(np.float32) / peak
    colour = array[:, :, :-1].astype(np.float32)
    mixed = (colour if premultiplied else colour * alpha) + (1 - alpha) * peak
    return np.asarray(np.rint(mixed.clip(0, peak)), array.dtype)


def finish(array: Pixels, side: int, orientation: int = 1) -> Pixels:
    """Shrink to ``side``, turn by the EXIF orientation: (H, W, C) contiguous."""
    array = shrink(array, side)
    if orientation != 1:
        array = turn(array, orientation)
    return np.ascontiguousarray(array)


def turn(array: Pixels, orientation: int) -> Pixels:
    """The upright image of an EXIF orientation (1 to 8)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def shrink(array: Pixels, side: int) -> Pixels:
    """Longest side at most ``side``, aspect kept, antialiased; smaller images are returned as they are."""
    height, width, channels = array.shape
    longest = max(height, width)
    if longest <= side:
        return array
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    if array.dtype == np.uint8 and channels in (1, 3):
        image = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if channels == 1 else array))
        small = np.asarray(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))
        return small[:, :, None] if channels == 1 else small
    peak = float(np.iinfo(array.dtype).max)
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(array[:, :, channel], dtype=np.float32)).resize(
                size, Image.Resampling.BICUBIC, reducing_gap=2.0
            )
        )
        for channel in range(channels)
    ]
    return np.asarray(np.rint(np.stack(planes, axis=2).clip(0, peak)), array.dtype)


class Reducer:
    """Area mean of an image that arrives in bands of rows, by a whole factor, in the memory of one band.

    ``push`` takes (h, W, C) bands in order, ``result`` gives (ceil(H / factor), ceil(W / factor), C).
    """

    def __init__(self, factor: int) -> None:
        self.factor = max(1, factor)
        self._held: list[Pixels] = []
        self._rows = 0
        self._done: list[Pixels] = []

    def push(self, band: Pixels) -> None:
        if self.factor == 1:
            self._done.append(band)
            return
        self._held.append(band)
        self._rows += band.shape[0]
        whole = self._rows - self._rows % self.factor
        if whole:
            block = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
            self._done.append(self._mean(block[:whole]))
            self._held = [block[whole:].copy()]
            self._rows -= whole

    def result(self) -> Pixels:
        if self._rows:
            self._done.append(self._mean(np.concatenate(self._held)))
        return self._done[0] if len(self._done) == 1 else np.concatenate(self._done)

    def _mean(self, block: Pixels) -> Pixels:
        wide = np.uint64 if block.dtype == np.uint16 else np.uint32
        height, width, channels = block.shape
        high = min(self.factor, height)  # a last block of fewer rows comes alone
        total = block.reshape(height // high, high, width, channels).sum(axis=1, dtype=wide)
        across = np.arange(0, width, self.factor)
        total = np.add.reduceat(total, across, axis=1)
        count = (np.diff(np.append(across, width)) * high).astype(wide)[None, :, None]
        return np.asarray((total + count // 2) // count, block.dtype)
