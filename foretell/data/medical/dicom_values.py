"""Stored values of a DICOM image as they are to be seen (PS3.3 C.11): modality, window or table of the viewer, polarity.

Grey values pass pydicom's own functions once for every stored value that occurs, not for every pixel: pixels are then
looked up. What comes out fills the depth of the store: 8 bits for what is stored in 8, else 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.medical.window import Values, Window, share, span
from foretell.data.pixels import Pixels

FAR = 1e12  # beyond every value that a file can hold
WIDEST = 1 << 16  # values in a table that is kept
BLOCK = 1 << 13  # pixels that are looked up at a time: their places in the table stay in the processor's cache


class Tones:
    """How grey frames become pixels that the data set ``head`` says how to see.

    ``ends`` are the values of the modality's units that are black and white, where the window or the data's own values say so.
    """

    def __init__(self, window: Window, head: Any, ends: tuple[float, float]) -> None:
        self.window = window
        self.head = head
        self.ends = ends
        self._low = 0
        self._table: Pixels = np.zeros(0, np.uint16)  # what the stored values from ``_low`` on become

    def pixels(self, stored: Pixels) -> Pixels:
        """(H, W) uint8 or uint16 of one frame as it is to be seen, black lowest."""
        if stored.dtype.kind == "f":
            return self._tones(stored)
        low, high = int(stored.min()), int(stored.max())
        if low < self._low or high >= self._low + len(self._table):
            if high - low >= stored.size:
                return self._tones(stored)
            self._extend(low, high)
        shown = np.empty(stored.shape, self._table.dtype)
        rows = max(1, BLOCK // stored.shape[1])
        for first in range(0, len(stored), rows):
            part = slice(first, first + rows)
            places = np.subtract(stored[part], self._low, dtype=np.intp)
            self._table.take(
                places, out=shown[part], mode="clip"
            )  # nothing is beyond it: clipping is faster than a check
        return shown

    def _extend(self, low: int, high: int) -> None:
        """Look up these values too; those in between, where that is not far."""
        if len(self._table):
            wide = min(low, self._low), max(high, self._low + len(self._table) - 1)
            low, high = wide if wide[1] - wide[0] < WIDEST else (low, high)
        self._low, self._table = low, self._tones(np.arange(low, high + 1))

    def _tones(self, stored: Values) -> Pixels:
        depth = np.uint8 if bits_stored(self.head) <= 8 else np.uint16
        seen = self._share(stored)
        if inverted(self.head):
            seen = 1 - seen
        return np.asarray(np.rint(seen * np.iinfo(depth).max), depth)

    def _share(self, stored: Values) -> NDArray[np.float64]:
        if self.window.kind != "file" or needs_range(self.head):
            return share(modality(stored, self.head), *self.ends)
        if windowed(self.head):
            return _viewed(modality(stored, self.head), self.head)
        return share(stored, 0, 2 ** bits_stored(self.head) - 1)


def ends_of(stored: Sequence[Pixels], heads: Sequence[Any], window: Window) -> tuple[float, float]:
    """(black, white) in the modality's units, of all frames that share a range of values; ``heads`` say how each is read."""
    parts = [_counted(frame, head) for frame, head in zip(stored, heads, strict=True)]
    values = np.concatenate([part for part, _ in parts])
    counts = None if parts[0][1] is None else np.concatenate([np.asarray(count) for _, count in parts])
    return span(values, counts, window)


def bits_stored(head: Any) -> int:
    return int(head.get("BitsStored", None) or head.get("BitsAllocated", 16))


def inverted(head: Any) -> bool:
    """Whether low values are white. MONOCHROME1 and the presentation shape INVERSE say the same: both turn once."""
    turned = str(head.get("PresentationLUTShape", "")).upper() == "INVERSE"
    return turned or str(head.get("PhotometricInterpretation", "")) == "MONOCHROME1"


def narrow(head: Any) -> bool:
    """Whether the header's window has a width that the standard does not allow (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    A width is at least 1, and above 0 for the functions LINEAR_EXACT and SIGMOID.
    """
    width = head.get("WindowWidth", None)
    if width in (None, ""):
        return False
    first = float(width if isinstance(width, float | int) else width[0])
    linear = str(head.get("VOILUTFunction", "LINEAR")).upper() == "LINEAR"
    return not (first >= 1 if linear else first > 0)


def windowed(head: Any) -> bool:
    """Whether the header has a window that can be used, or a table of the viewer."""
    complete = head.get("WindowWidth", None) not in (None, "") and head.get("WindowCenter", None) not in (None, "")
    return (complete and not narrow(head)) or bool(head.get("VOILUTSequence", None))


def ranged(head: Any, window: Window) -> bool:
    """Whether black and white depend on all the values that frames hold together."""
    return window.kind in ("range", "percentile") or (window.kind == "file" and needs_range(head))


def needs_range(head: Any) -> bool:
    """Whether only the values themselves say what is black and white: no window, and not plain bytes."""
    if windowed(head):
        return False
    plain = not head.get("ModalityLUTSequence", None) and (_slope(head), _intercept(head)) == (1.0, 0.0)
    unsigned = int(head.get("PixelRepresentation", 0)) == 0
    return not (plain and unsigned and bits_stored(head) <= 8)


def _slope(head: Any) -> float:
    value = head.get("RescaleSlope", None)
    return 1.0 if value in (None, "") else float(value)


def _intercept(head: Any) -> float:
    value = head.get("RescaleIntercept", None)
    return 0.0 if value in (None, "") else float(value)


def modality(stored: Values, head: Any) -> Values:
    """Stored values in the units of the modality: its table, or slope and intercept (PS3.3 C.11.1)."""
    if head.get("ModalityLUTSequence", None):
        seen: Values = import_module("pydicom.pixels").apply_modality_lut(stored, head)
        return seen
    return np.asarray(stored, np.float64) * _slope(head) + _intercept(head)


def _viewed(values: Values, head: Any) -> NDArray[np.float64]:
    """Share in [0, 1] of the output range of the header's table or window (PS3.3 C.11.2)."""
    luts = import_module("pydicom.pixels")
    if head.get("VOILUTSequence", None):
        bits = int(head.VOILUTSequence[0].LUTDescriptor[2])
        return share(luts.apply_voi(np.rint(values).astype(np.int64), head), 0, 2**bits - 1)
    ends = np.array([-FAR, FAR])
    with np.errstate(over="ignore"):  # a sigmoid of what is far below
        low, high = luts.apply_windowing(ends, head)
        return np.asarray(np.clip((luts.apply_windowing(values, head) - low) / (high - low), 0, 1), np.float64)


def _counted(stored: Pixels, head: Any) -> tuple[Values, Values | None]:
    """(values in the modality's units, how often each occurs or None for once), without padding."""
    padded = padding(head)
    if stored.dtype.kind == "f" or stored.dtype.itemsize > 2:
        kept = stored if padded is None else stored[(stored < padded[0]) | (stored > padded[1])]
        return modality(kept if kept.size else stored, head).ravel(), None
    low = int(stored.min())
    counts = np.bincount((stored.astype(np.int64) - low).ravel())
    numbers = np.arange(low, low + len(counts))
    present = counts > 0
    image = present if padded is None else present & ((numbers < padded[0]) | (numbers > padded[1]))
    chosen = image if image.any() else present
    return modality(numbers[chosen], head), counts[chosen]


def padding(head: Any) -> tuple[int, int] | None:
    """(least, greatest) stored value that stands for no image (PS3.3 C.7.5.1.1.2)."""
    value = head.get("PixelPaddingValue", None)
    if not isinstance(value, int):
        return None
    limit = head.get("PixelPaddingRangeLimit", None)
    other = limit if isinstance(limit, int) else value
    return min(value, other), max(value, other)
