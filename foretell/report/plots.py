"""Charts as pure functions from numbers to SVG: lines with intervals, bars, a scatter and a heat map.

Series are named where they end instead of in a legend; every mark says its values to a pointer; colours and shapes
come by ``key``, which is the same for an arm on the whole page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from foretell.report import words
from foretell.report.svg import (
    MARKS,
    TEXT,
    Scale,
    apart,
    drawing,
    element,
    hover,
    log_ticks,
    mark,
    nice_ticks,
    path,
    text,
    thinned,
    wide,
)

SHAPES = {
    "pretrained": "circle", "scratch": "square", "supervised": "diamond", "probe": "triangle", "random": "cross",
    "step1": "triangle", "step2": "diamond", "step3": "cross",
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A value with its interval (None: no interval)."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Points named ``label`` in the colour of ``key``. ``marks`` draws the points, ``faint`` thins the line."""

    key: str
    label: str
    points: Sequence[Point]
    marks: bool = True
    faint: bool = False


@dataclass(frozen=True)
class Axis:
    """``label`` with its unit; ``ticks`` (default: round values, multiples of ``unit``) are written by ``format``, a second
    line by ``below``."""

    label: str
    log: bool = False
    ticks: Sequence[float] | None = None
    format: words.Format = words.number
    below: words.Format | None = None
    low: float | None = None
    high: float | None = None
    unit: float = 0.0


@dataclass(frozen=True)
class Region:
    """A shaded stretch of x, named above the plot; ``kind`` is better, undecided or worse."""

    start: float
    stop: float
    kind: str
    label: str


@dataclass(frozen=True)
class Rule:
    """A dotted horizontal line at ``y``."""

    y: float
    label: str


def _bounds(series: Sequence[Series], rules: Sequence[Rule], axis: Axis) -> tuple[float, float]:
    values = [rule.y for rule in rules]
    for line in series:
        for point in line.points:
            values += [v for v in (point.y, point.low, point.high) if v is not None and math.isfinite(v)]
    low = min(values, default=0.0) if axis.low is None else axis.low
    high = max(values, default=1.0) if axis.high is None else axis.high
    return low, max(high, low)


def line_chart(
    name: str,
    title: str,
    description: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    *,
    width: float = 820,
    height: float = 420,
    regions: Sequence[Region] = (),
    rules: Sequence[Rule] = (),
) -> str:
    """Lines over ``x``, each named at its right end, with 95% intervals as bands and bars where points have them."""
    series = [line for line in series if line.points]
    low, high = _bounds(series, rules, y)
    y_ticks = list(y.ticks or nice_ticks(low, high, max(3, round(height / 75)), y.unit))
    xs = [point.x for line in series for point in line.points] or [0.0, 1.0]
    x_low = x.low if x.low is not None else min(xs)
    x_high = x.high if x.high is not None else max(xs)
    if x_high == x_low:
        x_low, x_high = (x_low / 2, x_high * 2) if x.log and x_low > 0 else (x_low - 0.5, x_high + 0.5)

    named = [line for line in series if line.label]
    right = max([wide(line.label, bold=True) for line in named], default=0) + (24 if named else 12)
    left = max(wide(y.format(tick)) for tick in y_ticks) + 12
    top = TEXT * (1.9 if y.label else 0.8) + (24 if regions else 0)
    bottom = height - TEXT * (2.0 + (1.4 if x.label else 0) + (1.2 if x.below else 0))
    across = Scale(x_low, x_high, left + (10 if x.log else 0), width - right - (10 if x.log else 0), x.log)
    up = Scale(min(y_ticks[0], low), max(y_ticks[-1], high), bottom, top)

    inside = [_regions(regions, across, left, width - right, top, bottom)]
    if y.label:
        inside.append(text(y.label, 0, TEXT, class_="axis-title"))
    for tick in y_ticks:
        level = up(tick)
        inside.append(element("line", x1=left, x2=width - right, y1=level, y2=level, class_="grid"))
        inside.append(text(y.format(tick), left - 8, level + 4, "end", class_="tick"))
    inside.append(_x_axis(x, across, left, width - right, bottom, height))
    inside += [_line(line, across, up) for line in series]
    for rule in rules:
        level = up(rule.y)
        inside.append(element("line", x1=left, x2=width - right, y1=level, y2=level, class_="rule"))
        inside.append(_rule_name(rule, series, across, up, left, width - right))

    ends = [up(line.points[-1].y) for line in named]
    for line, end, place in zip(named, ends, apart(ends, TEXT * 1.3, top + 4, bottom - 2), strict=True):
        tip = across(line.points[-1].x)
        if abs(place - end) > 3:
            leader = path([(tip + 5, end), (tip + 12, place)])
            inside.append(element("path", d=leader, class_=f"leader c-{line.key}"))
        inside.append(text(line.label, tip + 15, place + 4, class_=f"name c-{line.key}"))
    return drawing(name, title, description, width, height, *inside)


def _regions(regions: Sequence[Region], across: Scale, left: float, right: float, top: float, bottom: float) -> str:
    drawn = []
    for region in regions:
        start, stop = max(left, across(region.start)), min(right, across(region.stop))
        if stop <= start:
            continue
        drawn.append(
            element(
                "rect", hover(region.label), x=start, y=top, width=stop - start, height=bottom - top,
                class_=f"region {region.kind}",
            )
        )  # fmt: skip
        drawn.append(element("rect", x=start, y=top - 4, width=stop - start, height=4.0, class_=f"band {region.kind}"))
        shown = next((label for label in (region.label, region.kind) if wide(label) < stop - start - 2), "")
        drawn.append(text(shown, (start + stop) / 2, top - 10, "middle", class_=f"region-name {region.kind}"))
    return "".join(drawn)


def _rule_name(rule: Rule, series: Sequence[Series], across: Scale, up: Scale, left: float, right: float) -> str:
    """The rule's name above or below it, at the left or the right: where the lines leave most room."""
    level, size = up(rule.y), wide(rule.label) + 8
    best, room = (right - 4, level - 5, "end"), -1.0
    for start, anchor in ((right - size, "end"), (left, "start")):
        for centre, base in ((level - 9, level - 5), (level + 10, level + 14)):
            free = 1e9
            for line in series:
                places = [(across(point.x), up(point.y)) for point in line.points]
                for (x1, y1), (x2, y2) in pairwise(places):
                    if x2 >= start and x1 <= start + size:
                        inside = min(y1, y2) - 4 <= centre <= max(y1, y2) + 4
                        free = min(free, 0.0 if inside else min(abs(y1 - centre), abs(y2 - centre)))
            if up.stop + 8 < centre < up.start - 8 and free > room + 1:
                best, room = (right - 4 if anchor == "end" else left + 4, base, anchor), free
    return text(rule.label, *best, class_="tick on-lines")


def _x_axis(x: Axis, across: Scale, left: float, right: float, bottom: float, height: float) -> str:
    if x.ticks is not None:
        ticks = sorted(x.ticks)
    elif x.log:
        ticks = log_ticks(across.low, across.high)
    else:
        about = max(2, min(6, int((right - left) / 80)))
        ticks = [t for t in nice_ticks(across.low, across.high, about, x.unit) if across.low <= t <= across.high]
    drawn = [element("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="base")]
    shown = [[x.format(tick), x.below(tick) if x.below else ""] for tick in ticks]
    places = [across(tick) for tick in ticks]
    for index in thinned(places, [max(map(wide, lines)) for lines in shown]):
        place = places[index]
        drawn.append(element("line", x1=place, x2=place, y1=bottom, y2=bottom + 4, class_="base"))
        drawn.append(text(shown[index][0], place, bottom + 17, "middle", class_="tick"))
        if shown[index][1]:
            drawn.append(text(shown[index][1], place, bottom + 31, "middle", class_="tick faint"))
    if x.label:
        drawn.append(text(x.label, (left + right) / 2, height - 4, "middle", class_="axis-title"))
    return "".join(drawn)


def _line(line: Series, across: Scale, up: Scale) -> str:
    places = [(across(point.x), up(point.y)) for point in line.points]
    inside = []
    bounded = [p for p in line.points if p.low is not None and p.high is not None]
    ends = [tuple(up(min(max(end, up.low), up.high)) for end in (p.low or 0, p.high or 0)) for p in bounded]
    if len(bounded) > 1:
        edge = [(across(p.x), high) for p, (_, high) in zip(bounded, ends, strict=True)]
        edge += [(across(p.x), low) for p, (low, _) in reversed(list(zip(bounded, ends, strict=True)))]
        inside.append(element("path", d=path(edge) + "Z", class_="interval"))
    if len(places) > 1:
        inside.append(element("path", d=path(places), class_="line faint" if line.faint else "line"))
    for point, (low, high) in zip(bounded, ends, strict=True):
        inside.append(element("line", x1=across(point.x), x2=across(point.x), y1=low, y2=high, class_="whisker"))
    if line.marks or len(places) == 1:
        shape = SHAPES.get(line.key, "circle")
        for point, (px, py) in zip(line.points, places, strict=True):
            note = hover(point.note) if point.note else ""
            inside.append(mark(shape, px, py, 4.0, note, class_="mark"))
    return element("g", *inside, class_=f"series c-{line.key}")


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
    rule: tuple[float, str] | None = None,
) -> str:
    """Horizontal bars from zero, each named at its left and its value written at its right."""
    row = 34
    labels = [words.shorten(bar.label, 26) for bar in bars]
    left = max((wide(label) for label in labels), default=0) + 10
    right = max((wide(bar.shown, bold=True) for bar in bars), default=0) + 14
    head = 20.0 if rule else 2.0
    height = head + row * len(bars) + 4
    totals = [sum(value for _, value in bar.parts) for bar in bars]
    reach = most or max([*totals, *[bar.high or 0 for bar in bars]], default=1.0) or 1.0
    across = Scale(0.0, reach, left, max(left + 20, width - right))
    inside = []
    for index, (bar, total) in enumerate(zip(bars, totals, strict=True)):
        top = head + index * row
        inside.append(text(labels[index], left - 10, top + row / 2 + 4, "end", class_="bar-name"))
        start = 0.0
        for part, (key, value) in enumerate(bar.parts):
            begin, end = across(start), across(start + value)
            shown = bar.names[part] if part < len(bar.names) else bar.note
            inside.append(
                element(
                    "rect", hover(shown) if shown else "", x=begin, y=top + row * 0.2, width=max(0.0, end - begin),
                    height=row * 0.6, class_=f"bar c-{key}",
                )
            )  # fmt: skip
            start += value
        tip = across(total)
        if bar.low is not None and bar.high is not None:
            middle = top + row / 2
            inside.append(
                element("line", x1=across(bar.low), x2=across(bar.high), y1=middle, y2=middle, class_="error")
            )
            tip = max(tip, across(bar.high))
        inside.append(text(bar.shown, tip + 8, top + row / 2 + 4, class_="value"))
    base = element("line", x1=left, x2=left, y1=head, y2=head + row * len(bars), class_="base")
    if rule:
        place = across(rule[0])
        inside.append(element("line", x1=place, x2=place, y1=head - 2, y2=height - 2, class_="rule"))
        inside.append(text(rule[1], place, 12, "middle", class_="tick"))
    return drawing(name, title, description, width, height, *inside, base)


@dataclass(frozen=True)
class Spot:
    """A point of a scatter: ``group`` indexes the groups (-1: none); ``note`` is what a pointer sees."""

    x: float
    y: float
    group: int = -1
    note: str = ""


PALETTE = 10
MOST_NAMES = 14
NARROW_TEXT = 22.0  # the style sheet's size of a map's names on a narrow screen, where the map is drawn at half size


def style_of(group: int) -> tuple[str, str]:
    """Colour class and shape of a group: ten colours, then the next shape (50 groups before they repeat)."""
    if group < 0:
        return "k-none", "circle"
    return f"k{group % PALETTE}", MARKS[group // PALETTE % len(MARKS)]


def scatter(name: str, title: str, description: str, spots: Sequence[Spot], groups: Sequence[str]) -> str:
    """Spots in one picture without axes (a map has no units); up to ``MOST_NAMES`` groups are named in their middle."""
    xs, ys = [spot.x for spot in spots] or [0.0], [spot.y for spot in spots] or [0.0]
    width, highest, pad = 760, 600, 14.0
    unit = min((width - 2 * pad) / ((max(xs) - min(xs)) or 1), (highest - 2 * pad) / ((max(ys) - min(ys)) or 1))
    width_used, height_used = (max(xs) - min(xs)) * unit + 2 * pad, (max(ys) - min(ys)) * unit + 2 * pad
    height = max(200.0, height_used)
    shift = (width - width_used) / 2
    across = Scale(min(xs), min(xs) + 1, pad + shift, pad + shift + unit)
    up = Scale(min(ys), min(ys) + 1, height - pad, height - pad - unit)
    radius = 3.2 if len(spots) > 600 else 4.2
    layers, names = [], []
    for group in sorted({spot.group for spot in spots}):
        members = [spot for spot in spots if spot.group == group]
        colour, shape = style_of(group)
        dots = [mark(shape, across(s.x), up(s.y), radius, hover(s.note) if s.note else "") for s in members]
        layers.append(element("g", *dots, class_=f"spots {colour} g{group}" if group >= 0 else f"spots {colour}"))
        if 0 <= group < len(groups) and len(groups) <= MOST_NAMES:
            place_x, place_y = _middle(members)
            names.append((group, across(place_x), up(place_y)))
    moved = apart([place for _, _, place in names], TEXT * 1.3, TEXT, height - TEXT) if names else []
    written = []
    for (group, x, _), y in zip(names, _only_near(names, moved), strict=True):
        label = words.shorten(groups[group], 20)
        half = min(wide(label, NARROW_TEXT) / 2, width / 2)
        x = min(max(x, half), width - half)
        written.append(text(label, x, y + 4, "middle", class_=f"halo g{group}"))
    return drawing(name, title, description, width, height, *layers, *written)


def _only_near(names: Sequence[tuple[int, float, float]], moved: Sequence[float]) -> list[float]:
    """Names that are far from every other one sideways keep their own place: only near ones are pushed apart."""
    out = []
    for (group, x, y), pushed in zip(names, moved, strict=True):
        near = any(other != group and abs(x - ox) < 90 and abs(y - oy) < TEXT * 1.3 for other, ox, oy in names)
        out.append(pushed if near else y)
    return out


def _middle(members: Sequence[Spot]) -> tuple[float, float]:
    """The member nearest to the component-wise median: always on a spot, unlike a mean between two clusters."""
    middle_x = sorted(spot.x for spot in members)[len(members) // 2]
    middle_y = sorted(spot.y for spot in members)[len(members) // 2]
    nearest = min(members, key=lambda spot: (spot.x - middle_x) ** 2 + (spot.y - middle_y) ** 2)
    return nearest.x, nearest.y


def heat_map(name: str, title: str, description: str, matrix: Sequence[Sequence[float]], classes: Sequence[str]) -> str:
    """A confusion matrix: rows are the true class, columns the predicted one, shade is the share of the row."""
    size = len(classes)
    cell = max(13.0, min(52.0, 600.0 / max(size, 1)))
    limit = 18 if size <= 20 else 14
    labels = [words.shorten(label, limit) for label in classes]
    written = TEXT if cell >= 18 else 9.0
    left = max((wide(label, written) for label in labels), default=0) + 28
    slant = max((wide(label, written) for label in labels), default=0) * 0.71
    tilted = any(wide(label, written) > cell - 4 for label in labels)
    top = slant + 40 if tilted else 44.0
    width, height = left + size * cell + (slant * 0.6 if tilted else 0) + 14, top + size * cell + 6
    inside = [
        text("predicted", left + size * cell / 2, 12, "middle", class_="axis-title"),
        text(
            "true",
            0,
            0,
            "middle",
            class_="axis-title",
            transform=f"translate(12 {top + size * cell / 2:.0f}) rotate(-90)",
        ),
    ]
    for row, counts in enumerate(matrix):
        total = sum(counts) or 1.0
        middle = top + row * cell + cell / 2
        inside.append(text(labels[row], left - 6, middle + 4, "end", class_="tick", font_size=written))
        centre = left + row * cell + cell / 2
        turn = f"rotate(-45 {centre:.1f} {top - 8:.1f})" if tilted else None
        inside.append(
            text(
                labels[row],
                centre,
                top - 8,
                "start" if tilted else "middle",
                class_="tick",
                font_size=written,
                transform=turn,
            )
        )
        for column, value in enumerate(counts):
            share = value / total
            note = f"{classes[row]} taken for {classes[column]}: {words.count(value)} of {words.count(total)}"
            x, y = left + column * cell, top + row * cell
            inside.append(
                element(
                    "rect", hover(note), x=x + 0.5, y=y + 0.5, width=cell - 1, height=cell - 1,
                    class_="cell hit" if row == column else "cell miss",
                    fill_opacity=f"{0.04 + 0.96 * share:.2f}" if value else "0.03",
                )
            )  # fmt: skip
            if cell >= 24 and value:
                strong = "cell-value strong" if share > 0.5 else "cell-value"
                inside.append(text(words.count(value), x + cell / 2, y + cell / 2 + 4, "middle", class_=strong))
    return drawing(name, title, description, width, height, *inside)


def word_scatter(
    name: str, title: str, description: str, spots: Sequence[Spot], rank: Sequence[int], *, width: float = 760
) -> str:
    """Spots, with their notes in place of them where no other writing is in the way, in the order ``rank``."""
    pad, height = 34.0, width * 0.72
    xs, ys = [spot.x for spot in spots], [spot.y for spot in spots]
    across = Scale(min(xs), max(xs), pad, width - pad)
    up = Scale(min(ys), max(ys), height - pad / 2, pad / 2)
    taken: list[tuple[float, float, float, float]] = []
    written: dict[int, str] = {}
    for place in rank:
        spot = spots[place]
        x, y, half = across(spot.x), up(spot.y), wide(spot.note, bold=True) / 2
        x = min(max(x, half), width - half)
        box = (x - half - 2, y - TEXT * 0.62, x + half + 2, y + TEXT * 0.62)
        if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            continue
        taken.append(box)
        written[place] = text(spot.note, x, y + TEXT * 0.34, "middle", class_="name")
    layers = []
    for group in sorted({spot.group for spot in spots}):
        colour, _ = style_of(group)
        inside = [
            written[place]
            if place in written
            else mark("circle", across(s.x), up(s.y), 2.2, hover(s.note), class_="spot")
            for place, s in enumerate(spots)
            if s.group == group
        ]
        layers.append(element("g", *inside, class_=f"words-of {colour}"))
    return drawing(name, title, description, width, height, *layers)
