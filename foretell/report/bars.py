"""Horizontal bars from zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from foretell.report import words
from foretell.report.svg import TEXT, Scale, drawing, element, hover, text, wide

WRITING = 0.6  # of the width that names and values may take beside their bars; above the bars where they need more


@dataclass(frozen=True)
class Bar:
    """One row: ``parts`` are (key, value) drawn one after the other; ``shown`` is written behind them."""

    label: str
    parts: Sequence[tuple[str, float]]
    shown: str
    low: float | None = None
    high: float | None = None
    note: str = ""
    names: Sequence[str] = field(default_factory=tuple)


def bar_chart(
    name: str,
    title: str,
    description: str,
    bars: Sequence[Bar],
    *,
    width: float = 420,
    most: float | None = None,
    row: float = 34,
    rule: tuple[float, str] | None = None,
) -> str:
    """Horizontal bars from zero, each named at its left and its value written at its right; where that leaves little room for
    them, both above it.
    """
    labels = [words.shorten(bar.label, 26) for bar in bars]
    left = max((wide(label) for label in labels), default=0) + 10
    right = max((wide(bar.shown, bold=True) for bar in bars), default=0) + 14
    above = left + right > WRITING * width
    lines = [wide(label) + wide(bar.shown, bold=True) + 16 > width for label, bar in zip(labels, bars, strict=True)]
    told = (2 if any(lines) else 1) * TEXT * 1.3 if above else 0.0  # height of what stands above a bar
    if above:
        left, right, row = 1.0, 2.0, told + row * 0.75
    head = 20.0 if rule else 2.0
    height = head + row * len(bars) + 4
    totals = [sum(value for _, value in bar.parts) for bar in bars]
    reach = most or max([*totals, *[bar.high or 0 for bar in bars]], default=1.0) or 1.0
    across = Scale(0.0, reach, left, max(left + 20, width - right))
    inside = []
    for index, (bar, total) in enumerate(zip(bars, totals, strict=True)):
        top = head + index * row + told
        thick = row - told
        if above:
            inside.append(text(labels[index], 0, top - told + TEXT + 2, class_="bar-name"))
            inside.append(text(bar.shown, width, top - 3, "end", class_="value"))
        else:
            inside.append(text(labels[index], left - 10, top + thick / 2 + 4, "end", class_="bar-name"))
        start = 0.0
        for part, (key, value) in enumerate(bar.parts):
            begin, end = across(start), across(start + value)
            shown = bar.names[part] if part < len(bar.names) else bar.note
            inside.append(
                element(
                    "rect", hover(shown) if shown else "", x=begin, y=top + thick * 0.2, width=max(0.0, end - begin),
                    height=thick * 0.6, class_=f"bar c-{key}",
                )
            )  # fmt: skip
            start += value
        tip = across(total)
        if bar.low is not None and bar.high is not None:
            middle = top + thick / 2
            inside.append(
                element("line", x1=across(bar.low), x2=across(bar.high), y1=middle, y2=middle, class_="error")
            )
            tip = max(tip, across(bar.high))
        if not above:
            inside.append(text(bar.shown, tip + 8, top + thick / 2 + 4, class_="value"))
    base = "" if above else element("line", x1=left, x2=left, y1=head, y2=head + row * len(bars), class_="base")
    if rule:
        place = across(rule[0])
        inside.append(element("line", x1=place, x2=place, y1=head - 2, y2=height - 2, class_="rule"))
        inside.append(text(rule[1], place, 12, "middle", class_="tick"))
    return drawing(name, title, description, width, height, *inside, base)
