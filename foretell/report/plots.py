"""Charts as pure functions from numbers to SVG: lines with intervals, a scatter and a heat map.

Series are named where they end instead of in a legend; every mark says its values to a pointer; colours and shapes
come by ``key``, which is the same for an arm on the whole page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from foretell.report import words
from foretell.report.overlap import coinciding, dash, dodged
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


CLEAR = 8.0  # between the middle of a name and a line, so that the line runs beside it


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
    """``label`` with its unit; ``ticks`` (default: round values, multiples of ``unit``) are written by ``format``
    (default: with as many digits as tell them apart), a second line by ``below``."""

    label: str
    log: bool = False
    ticks: Sequence[float] | None = None
    format: words.Format | None = None
    below: words.Format | None = None
    low: float | None = None
    high: float | None = None
    unit: float = 0.0

    def written(self, ticks: Sequence[float]) -> list[str]:
        """Each of ``ticks``, in words."""
        told = self.format or words.apart(ticks)
        return [told(tick) for tick in ticks]


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
    levels = y.written(y_ticks)
    left = max(map(wide, levels)) + 12
    top = TEXT * (1.9 if y.label else 0.8) + (24 if regions else 0)
    bottom = height - TEXT * (2.0 + (1.4 if x.label else 0) + (1.2 if x.below else 0))
    across = Scale(x_low, x_high, left + (10 if x.log else 0), width - right - (10 if x.log else 0), x.log)
    up = Scale(min(y_ticks[0], low), max(y_ticks[-1], high), bottom, top)

    inside = [_regions(regions, across, left, width - right, top, bottom)]
    if y.label:
        inside.append(text(y.label, 0, TEXT, class_="axis-title"))
    for tick, shown in zip(y_ticks, levels, strict=True):
        level = up(tick)
        inside.append(element("line", x1=left, x2=width - right, y1=level, y2=level, class_="grid"))
        inside.append(text(shown, left - 8, level + 4, "end", class_="tick"))
    inside.append(_x_axis(x, across, left, width - right, bottom, height))
    places = [[(across(point.x), up(point.y)) for point in line.points] for line in series]
    moves = dodged([own if line.marks or len(own) == 1 else [] for line, own in zip(series, places, strict=True)])
    for line, dashes, aside in zip(series, map(dash, coinciding(places)), moves, strict=True):
        inside.append(_line(line, across, up, dashes, aside))
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
    """The rule's name above or below it where no line runs; where one always does, above the plot, behind a piece of the rule."""
    level, size = up(rule.y), wide(rule.label) + 8
    best, room = None, CLEAR
    for share in (1.0, 0.0, 0.75, 0.5, 0.25):
        start = left + share * (right - left - size)
        for centre, base in ((level - 9, level - 5), (level + 10, level + 14)):
            if start >= left and up.stop + 8 < centre < up.start - 8:
                free = min((_distance(line, across, up, start, start + size, centre) for line in series), default=1e9)
                if free > room + 1:
                    best, room = (start + 4, base), free
    if best is not None:
        return text(rule.label, *best, class_="tick on-lines")
    key = element("line", x1=right - size - 20, x2=right - size, y1=TEXT - 4, y2=TEXT - 4, class_="rule")
    return key + text(rule.label, right, TEXT, "end", class_="tick")


def _distance(line: Series, across: Scale, up: Scale, start: float, stop: float, centre: float) -> float:
    """From the height ``centre`` to what is drawn of ``line`` between ``start`` and ``stop``."""
    spans = [
        (across(p.x), up(high), across(p.x), up(low))
        for p in line.points
        for low, high in [(p.y if p.low is None else p.low, p.y if p.high is None else p.high)]
    ]
    spans += [(across(p.x), up(p.y), across(q.x), up(q.y)) for p, q in pairwise(line.points)]
    found = 1e9
    for x1, y1, x2, y2 in spans:
        if x2 < start or x1 > stop:
            continue
        slope = (y2 - y1) / (x2 - x1) if x2 > x1 else 0.0
        ends = [y1 + slope * (x - x1) for x in (max(x1, start), min(x2, stop))] if x2 > x1 else [y1, y2]
        inside = min(ends) <= centre <= max(ends)
        found = min(found, 0.0 if inside else min(abs(end - centre) for end in ends))
    return found


def _x_axis(x: Axis, across: Scale, left: float, right: float, bottom: float, height: float) -> str:
    if x.ticks is not None:
        ticks = sorted(x.ticks)
    elif x.log:
        ticks = log_ticks(across.low, across.high)
    else:
        about = max(2, min(6, int((right - left) / 80)))
        ticks = [t for t in nice_ticks(across.low, across.high, about, x.unit) if across.low <= t <= across.high]
    drawn = [element("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="base")]
    shown = [[told, x.below(tick) if x.below else ""] for tick, told in zip(ticks, x.written(ticks), strict=True)]
    places = [across(tick) for tick in ticks]
    for index in thinned(places, [max(map(wide, lines)) for lines in shown]):
        place = places[index]
        drawn.append(element("line", x1=place, x2=place, y1=bottom, y2=bottom + 4, class_="base"))
        drawn.append(text(shown[index][0], place, bottom + 17, "middle", class_="tick"))
        if shown[index][1]:
            drawn.append(text(shown[index][1], place, bottom + 31, "middle", class_="tick faint"))
    if x.label:
        middle = max((left + right) / 2, wide(x.label) / 2)
        drawn.append(text(x.label, middle, height - 4, "middle", class_="axis-title"))
    return "".join(drawn)


def _line(line: Series, across: Scale, up: Scale, dashes: tuple[str, str] | None, aside: Mapping[int, float]) -> str:
    """``dashes`` (array, offset) let a line under this one be seen; ``aside``: how far the marks of points are moved."""
    places = [(across(point.x), up(point.y)) for point in line.points]
    inside = []
    bounded = [p for p in line.points if p.low is not None and p.high is not None]
    ends = [tuple(up(min(max(end, up.low), up.high)) for end in (p.low or 0, p.high or 0)) for p in bounded]
    if len(bounded) > 1:
        edge = [(across(p.x), high) for p, (_, high) in zip(bounded, ends, strict=True)]
        edge += [(across(p.x), low) for p, (low, _) in reversed(list(zip(bounded, ends, strict=True)))]
        inside.append(element("path", d=path(edge) + "Z", class_="interval"))
    if len(places) > 1:
        kind = "line faint" if line.faint else "line"
        array, offset = dashes or (None, None)
        kind += " over" if dashes else ""
        inside.append(element("path", d=path(places), class_=kind, stroke_dasharray=array, stroke_dashoffset=offset))
    moved = {id(point): aside.get(at, 0.0) for at, point in enumerate(line.points)}
    for point, (low, high) in zip(bounded, ends, strict=True):
        at = across(point.x) + moved[id(point)]
        inside.append(element("line", x1=at, x2=at, y1=low, y2=high, class_="whisker"))
    if line.marks or len(places) == 1:
        shape = SHAPES.get(line.key, "circle")
        for at, (point, (px, py)) in enumerate(zip(line.points, places, strict=True)):
            note = hover(point.note) if point.note else ""
            inside.append(mark(shape, px + aside.get(at, 0.0), py, 4.0, note, class_="mark"))
    return element("g", *inside, class_=f"series c-{line.key}")


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


def _cell_side(classes: int) -> float:
    return max(13.0, min(52.0, 600.0 / max(classes, 1)))


def numbered(classes: int) -> bool:
    """Whether the cells of a confusion matrix have room for their numbers."""
    return _cell_side(classes) >= 24


def heat_map(name: str, title: str, description: str, matrix: Sequence[Sequence[float]], classes: Sequence[str]) -> str:
    """A confusion matrix: rows are the true class, columns the predicted one, shade is the share of the row."""
    size = len(classes)
    cell = _cell_side(size)
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
            if numbered(size) and value:
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
