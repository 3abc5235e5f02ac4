"""Which values of a medical image are shown between black and white: the file's own window, a share of them, or a given one.

A window is written as text: ``file`` (the header's window or table; the range of values where there is none), ``range``
(all values of the file), ``percentile`` or ``LOW-HIGH`` (``1-99``: between two percentiles of the file's values), or
``CENTRE/WIDTH`` (``40/400``, in the units of the rescaled values, Hounsfield units for CT).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError

PERCENTILES = (0.5, 99.5)

Values = NDArray[Any]

_NUMBER = r"\d+(?:\.\d+)?"
_SHARES = re.compile(rf"^({_NUMBER})-({_NUMBER})$")
_GIVEN = re.compile(rf"^(-?{_NUMBER})/({_NUMBER})$")


@dataclass(frozen=True)
class Window:
    """``kind`` "given": values from ``low`` to ``high``; "percentile": between these two percentiles in [0, 100]."""

    kind: Literal["file", "range", "percentile", "given"]
    low: float = 0.0
    high: float = 0.0


FILE = Window("file")


def parse(text: str) -> Window:
    """The window that ``text`` names. Raises InputError."""
    if text == "file":
        return FILE
    if text == "range":
        return Window("range")
    if text == "percentile":
        return Window("percentile", *PERCENTILES)
    if found := _SHARES.match(text):
        low, high = float(found[1]), float(found[2])
        if low < high <= 100:
            return Window("percentile", low, high)
    if found := _GIVEN.match(text):
        centre, width = float(found[1]), float(found[2])
        if width > 0:
            return Window("given", centre - width / 2, centre + width / 2)
    raise InputError(
        f"data.medical.window={text}: expected file, range, percentile, two percentiles as 1-99, or CENTRE/WIDTH as 40/400"
    )


def span(values: Values, counts: Values | None, window: Window) -> tuple[float, float]:
    """(low, high) of ``values``, each counted ``counts`` times (None: once): their range, or the percentiles asked for.

    A percentile is the least value that at least that share of all values does not exceed.
    """
    if window.kind != "percentile":
        return float(values.min()), float(values.max())
    if counts is None:
        low, high = np.percentile(values, (window.low, window.high), method="inverted_cdf")
        return float(low), float(high)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    at = np.searchsorted(reached, np.array([window.low, window.high]) / 100 * reached[-1])
    low, high = values[order[at]]
    return float(low), float(high)


def share(values: Values, low: float, high: float) -> NDArray[np.float64]:
    """Where ``values`` lie between ``low`` and ``high``, in [0, 1]; all of one value are 0."""
    return np.clip((np.asarray(values, np.float64) - low) / max(high - low, 1e-12), 0, 1)
