"""Small pieces of SVG: elements, scales, ticks and text that does not overlap.

Colours come from the page's style sheet by class (``c-pretrained`` sets the colour of everything in it), so that a
chart follows the light and the dark page. Everything that comes from data passes through ``element`` or ``text``,
which escape it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

TEXT = 12.0  # height of the charts' text, in the units of the drawing


def element(tag: str, *inside: str, **attributes: object) -> str:
    """``<tag attributes>inside</tag>``: attribute values are escaped, ``inside`` must already be markup.

    ``class_`` becomes class and other underscores hyphens; None leaves an attribute out; floats are rounded to 0.1.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None:
            continue
        shown = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
        parts.append(f'{name.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    body = "".join(inside)
    return f"<{' '.join(parts)}>{body}</{tag}>" if body else f"<{' '.join(parts)}/>"


def text(words: str, x: float, y: float, anchor: str = "start", **attributes: object) -> str:
    """A line of text; ``words`` are escaped."""
    anchor_or_none = None if anchor == "start" else anchor
    return element("text", escape(words), x=x, y=y, text_anchor=anchor_or_none, **attributes)


def hover(words: str) -> str:
    """What a pointer over the element shows."""
    return f"<title>{escape(words)}</title>"


def drawing(name: str, title: str, description: str, width: float, height: float, *inside: str) -> str:
    """The whole picture with its title and description for those who do not see it; ``name`` is unique in the page."""
    return element(
        "svg",
        element("title", escape(title), id=f"{name}-title"),
        element("desc", escape(description), id=f"{name}-desc"),
        *inside,
        id=name,
        class_="chart",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def wide(words: str, size: float = TEXT, *, bold: bool = False) -> float:
    """About how wide ``words`` are drawn in a wide face as DejaVu Sans, which many a Linux has alone; text cannot be measured
    before it is rendered.
    """
    narrow = sum(letter in "il.,:;|'!()[] tfjrI" for letter in words)
    broad = sum(letter in "mwMW%@–—" or ord(letter) > 0x2E80 for letter in words)
    capital = sum(letter.isupper() and letter not in "MWI" for letter in words)
    size *= 1.13 if bold else 1.0
    return size * (0.62 * (len(words) - narrow - broad - capital) + 0.35 * narrow + 0.93 * broad + 0.73 * capital)


def wrapped(words: str, width: float) -> list[str]:
    """``words`` in as many lines as ``width`` asks for; none for ""."""
    lines: list[str] = []
    for word in words.split():
        if lines and wide(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True)
class Scale:
    """Data from ``low`` to ``high`` onto the drawing from ``start`` to ``stop``; ``log`` needs ``low`` > 0."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.stop - self.start)


def nice_ticks(low: float, high: float, about: int = 5, unit: float = 0.0) -> list[float]:
    """Round values (1, 2, 2.5 or 5 times a power of ten apart) that enclose ``low`` to ``high``.

    With a ``unit`` they are whole multiples of it: steps are counted, and a percentage is written without decimals.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high < low:
        return [0.0, 1.0]
    if high == low:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    rough = max((high - low) / about, unit)
    power = 10.0 ** math.floor(math.log10(rough) + 1e-9)
    steps = [factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9)]
    step = next(step for step in steps if not unit or abs(step / unit - round(step / unit)) < 1e-6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten inside ``low`` to ``high``; powers of ten alone over four decades or more."""
    factors = (1.0,) if math.log10(high / low) >= 4 else (1.0, 2.0, 5.0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0**p for p in powers for f in factors if low * 0.999 <= f * 10.0**p <= high * 1.001]


def thinned(places: Sequence[float], widths: Sequence[float], gap: float = 8) -> list[int]:
    """Which labels centred at ascending ``places`` can be written without touching; the first and last always are."""
    if not places:
        return []
    kept = [0]
    for index in range(1, len(places)):
        clear = (widths[index] + widths[kept[-1]]) / 2 + gap
        if places[index] - places[kept[-1]] >= clear:
            kept.append(index)
        elif index == len(places) - 1 and len(kept) > 1:
            kept[-1] = index
    return kept


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """``places`` moved as little as a few sweeps find, so that neighbours are ``gap`` apart inside [low, high]."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [min(max(places[index], low), high) for index in order]
    for _ in range(200):
        worst = 0.0
        for index in range(len(moved) - 1):
            short = gap - (moved[index + 1] - moved[index])
            if short > 1e-6:
                moved[index] -= short / 2
                moved[index + 1] += short / 2
                worst = max(worst, short)
        moved = [min(max(place, low), high) for place in moved]
        if worst < 0.5:
            break
    out = [0.0] * len(places)
    for place, index in zip(moved, order, strict=True):
        out[index] = place
    return out


MARKS = ("circle", "square", "triangle", "diamond", "cross")


def mark(shape: str, x: float, y: float, size: float, *inside: str, **attributes: object) -> str:
    """One of ``MARKS`` of about equal area, centred."""
    if shape == "circle":
        return element("circle", *inside, cx=x, cy=y, r=size, **attributes)
    if shape == "square":
        half = size * 0.9
        return element("rect", *inside, x=x - half, y=y - half, width=2 * half, height=2 * half, **attributes)
    outline = {
        "triangle": [(0, -1.25), (1.15, 0.8), (-1.15, 0.8)],
        "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        "cross": [
            (dx * sx, dy * sy)
            for sx, sy, corners in (
                (1, -1, ((0.4, 1.2), (0.4, 0.4), (1.2, 0.4))),
                (1, 1, ((1.2, 0.4), (0.4, 0.4), (0.4, 1.2))),
                (-1, 1, ((0.4, 1.2), (0.4, 0.4), (1.2, 0.4))),
                (-1, -1, ((1.2, 0.4), (0.4, 0.4), (0.4, 1.2))),
            )
            for dx, dy in corners
        ],
    }[shape]
    corners = " ".join(f"{x + dx * size:.1f},{y + dy * size:.1f}" for dx, dy in outline)
    return element("polygon", *inside, points=corners, **attributes)


def path(points: Sequence[tuple[float, float]]) -> str:
    """The ``d`` of a line through ``points``."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
