"""A chart of dots with intervals, one row a thing: two intervals of one value, or the same thing at two places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from foretell.report import words
from foretell.report.plots import SHAPES, Axis
from foretell.report.svg import (
    TEXT,
    Scale,
    drawing,
    element,
    hover,
    log_ticks,
    mark,
    nice_ticks,
    path,
    text,
    wide,
    wrapped,
)

ROOM = 500  # of width, below which a row's name stands above it
SIZE = 4.5
ASIDE = 11.0  # between the dots of a row, which may have the same value


@dataclass(frozen=True)
class Dot:
    """A value with its interval (thick) and a second one (thin); ``hollow``: at the other place. An interval's end beyond the
    axis is drawn as an arrow; ``x`` None draws none but an arrow to the ``side`` beyond which it lies.
    """

    x: float | None
    low: float | None = None
    high: float | None = None
    outer_low: float | None = None
    outer_high: float | None = None
    note: str = ""
    hollow: bool = False
    side: str = "right"


@dataclass(frozen=True)
class DotRow:
    """``dots`` of one colour named ``label``; ``shown`` is written at the right."""

    label: str
    key: str
    dots: Sequence[Dot]
    shown: str


def dot_values(rows: Iterable[DotRow]) -> list[float]:
    """All finite values and ends of intervals."""
    found = []
    for row in rows:
        for dot in row.dots:
            found += [v for v in (dot.x, dot.low, dot.high, dot.outer_low, dot.outer_high) if words.known(v)]
    return [float(value) for value in found if value is not None]


def dot_chart(
    name: str,
    title: str,
    description: str,
    rows: Sequence[DotRow],
    x: Axis,
    *,
    width: float = 820,
    rule: tuple[float, str] | None = None,
) -> str:
    """Rows of dots over one axis, several of a row below each other; ``rule`` is a named vertical line."""
    above = width < ROOM
    more = ASIDE * (max((len(row.dots) for row in rows), default=1) - 1)
    tall, top = (46.0 if above else 30.0) + more, (TEXT * 1.8 if rule else 6.0)
    left = SIZE + 4 if above else max(wide(row.label, bold=True) for row in rows) + 18
    right = width - max(wide(row.shown) for row in rows) - 18
    bottom = top + tall * len(rows)
    values = [*dot_values(rows), *([rule[0]] if rule else [])] or [0.0, 1.0]
    low = min(values) if x.low is None else x.low
    high = max(values) if x.high is None else x.high
    ticks = list(
        x.ticks or (log_ticks(low, high) if x.log else nice_ticks(low, high, max(2, int((right - left) / 70)), x.unit))
    )
    if not x.log and x.ticks is None:
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    across = Scale(low, high, left + 6, right - 6, x.log)
    below = wrapped(x.label, width)
    inside = [_axis(x, ticks, across, top, bottom, below, width)]
    if rule:
        place, half = across(rule[0]), wide(rule[1]) / 2
        inside.append(element("line", x1=place, x2=place, y1=top - 4, y2=bottom, class_="rule"))
        inside.append(text(rule[1], min(max(place, left + half), right - half), 12, "middle", class_="tick"))
    for at, row in enumerate(rows):
        start = top + at * tall
        middle = start + (tall - 14 - more / 2 if above else tall / 2)
        named = (0.0, start + TEXT + 2, "start") if above else (left - 12, middle + 4, "end")
        inside += [
            element("line", x1=left, x2=right, y1=middle, y2=middle, class_="grid"),
            text(row.label, *named, class_=f"name c-{row.key}"),
            element(
                "g",
                *(
                    _dot(dot, row.key, across, middle + ASIDE * (at - (len(row.dots) - 1) / 2))
                    for at, dot in enumerate(row.dots)
                ),
                class_=f"series c-{row.key}",
            ),
            text(row.shown, right + 12, middle + 4, class_="value"),
        ]
    return drawing(name, title, description, width, bottom + (27 + 15 * len(below) if below else 22), *inside)


def _axis(
    x: Axis, ticks: Sequence[float], across: Scale, top: float, bottom: float, title: Sequence[str], width: float
) -> str:
    drawn = []
    free = -1e9
    for tick, shown in zip(ticks, x.written(ticks), strict=True):
        place, half = across(tick), wide(shown) / 2
        drawn.append(element("line", x1=place, x2=place, y1=top, y2=bottom, class_="grid"))
        if place - half > free:
            drawn.append(text(shown, place, bottom + 16, "middle", class_="tick"))
            free = place + half + 6
    for at, line in enumerate(title):
        half = wide(line) / 2
        middle = max(half, min((across.start + across.stop) / 2, width - half))
        drawn.append(text(line, middle, bottom + 34 + 15 * at, "middle", class_="axis-title"))
    return "".join(drawn)


def _dot(dot: Dot, key: str, across: Scale, middle: float) -> str:
    parts = [
        _span(dot.outer_low, dot.outer_high, across, middle, "outer"),
        _span(dot.low, dot.high, across, middle, "span"),
    ]
    if dot.x is None:
        place = across.stop if dot.side == "right" else across.start
        parts.append(_arrow(place, dot.side, middle, dot.note))
        return "".join(parts)
    shape = SHAPES.get(key, "circle")
    kind = "mark hollow" if dot.hollow else "mark"
    return "".join([*parts, mark(shape, across(dot.x), middle, SIZE, hover(dot.note), class_=kind)])


def _span(low: float | None, high: float | None, across: Scale, middle: float, kind: str) -> str:
    """A line from ``low`` to ``high``, cut at the axis' ends; "" where one is not known."""
    if low is None or high is None or low != low or high != high:
        return ""
    ends = [min(max(value, across.low), across.high) for value in (low, high)]
    return element("line", x1=across(ends[0]), x2=across(ends[1]), y1=middle, y2=middle, class_=kind)


def _arrow(place: float, side: str, middle: float, note: str) -> str:
    """A head that points beyond the axis."""
    way = 1 if side == "right" else -1
    head = [(place - way * 5, middle - 5), (place + way * 4, middle), (place - way * 5, middle + 5)]
    return element("path", hover(note), d=path(head), class_="line")
