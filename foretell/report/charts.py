"""The report's charts: what is drawn from which numbers. How it is drawn is in plots.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from markupsafe import Markup

from foretell.measures.intervals import ALIKE, EQUAL
from foretell.measures.metrics import chance, metric_name
from foretell.report import analysis, words
from foretell.report.bars import Bar, bar_chart
from foretell.report.gather import Gathered, Json
from foretell.report.parts import Cell
from foretell.report.plots import (
    Axis,
    Point,
    Region,
    Rule,
    Series,
    Spot,
    heat_map,
    line_chart,
    scatter,
    style_of,
    word_scatter,
)
from foretell.report.svg import mark
from foretell.transfer.fractions import Amount, in_words

WIDE, NARROW = 820, 390
ROOM = 0.1  # of an axis of shares whose values are all equal
OPEN = 0.08  # of a chart's longest bar: a piece that stands for labels beyond those tried
SHOWN_AT_MOST = 240  # points of a curve: more than pixels would only make the page heavy


def key_of(arm: str) -> str:
    """The arm's colour on the page."""
    return arm if arm in analysis.ARMS else "other"


def named(comparison: Json, arm: str) -> Cell:
    """The table cell that names an arm, in its colour."""
    return Cell(analysis.arm_name(comparison, arm), kind=f"c-{key_of(arm)}")


def on_both(name: str, draw: Callable[[str, float], str]) -> Markup:
    """A chart drawn for a wide and for a narrow screen, of which the style sheet shows one: text keeps its size."""
    wide, narrow = draw(name, WIDE), draw(f"{name}-narrow", NARROW)
    return Markup(f'<div class="on-wide">{wide}</div><div class="on-narrow">{narrow}</div>')


def efficiency(comparison: Json, name: str = "efficiency", key_of: Callable[[str], str] = key_of) -> Markup | None:
    """The label-efficiency curve: the metric over the number of labels (log), every arm with its interval.

    ``name`` is the chart's own in the page, ``key_of`` an arm's colour.
    """
    cells = analysis.summary_of(comparison)
    if not cells:
        return None
    metric = analysis.metric_of(comparison)
    series = [
        Series(
            key_of(arm),
            analysis.arm_name(comparison, arm),
            [Point(cell.labels, cell.mean, cell.low, cell.high, _cell_note(comparison, cell)) for cell in rows],
        )
        for arm, rows in cells.items()
    ]
    per_class = {cell.labels: cell.per_class for rows in cells.values() for cell in rows}
    ticks = sorted(per_class)
    x = Axis(
        "labels (log scale)", log=True, ticks=ticks, format=words.count,
        below=(lambda labels: _below(per_class, int(labels), ticks[0])) if any(per_class.values()) else None,
    )  # fmt: skip
    guessed = chance(metric, len(comparison.get("classes") or []), findings=analysis.of_findings(comparison))
    lowest = min(v for rows in cells.values() for cell in rows for v in (cell.mean, cell.low) if v is not None)
    highest = max(v for rows in cells.values() for cell in rows for v in (cell.mean, cell.high) if v is not None)
    rules = [Rule(guessed, "guessing evenly")] if guessed and lowest - 0.1 < guessed else []
    low, high = max(0.0, min(lowest, *(rule.y for rule in rules), 1.0)), min(1.0, highest)
    low, high = share_span(low, high)
    y = Axis(f"test {metric_name(metric)}", format=words.whole_percent, unit=0.01, low=low, high=high)
    regions = _regions(analysis.advantage(analysis.differences(comparison)).runs, ticks)
    description = f"{analysis.advantage_sentence(analysis.differences(comparison))} " + "; ".join(
        f"{analysis.arm_name(comparison, arm)}: "
        + ", ".join(f"{words.percent(cell.mean)} at {cell.labels}" for cell in rows)
        for arm, rows in cells.items()
    )
    return on_both(
        name,
        lambda name, width: line_chart(
            name, "Test score against the number of labels", description, series, x, y,
            width=width, height=440 if width == WIDE else 360, regions=regions, rules=rules,
        ),
    )  # fmt: skip


def share_span(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis of shares from ``low`` to ``high``: where they are equal, with ``ROOM`` below them, or above 0."""
    if high - low > EQUAL:
        return low, high
    return (high - ROOM, high) if high >= ROOM else (low, low + ROOM)


def _cell_note(comparison: Json, cell: analysis.Cell) -> str:
    bounds = words.interval(cell.low, cell.high)
    return (
        f"{analysis.arm_name(comparison, cell.arm)}, {analysis.labels_phrase(cell.labels, cell.per_class)}: "
        f"{words.percent(cell.mean)}" + (f", {'' if bounds == ALIKE else '95% interval '}{bounds}" if bounds else "")
    )


def _below(per_class: dict[int, Amount], labels: int, first: int) -> str:
    amount = per_class.get(labels)
    if amount is None:
        return "all" if labels == max(per_class) else ""
    return in_words(amount) if labels == first or amount < 1 else words.count(amount)


REGION_WORDS = {"better": "pretraining ahead", "undecided": "undecided", "worse": "from scratch ahead"}


def _regions(runs: Sequence[tuple[int, int, analysis.Verdict]], ticks: Sequence[int]) -> list[Region]:
    """Stretches of one verdict, meeting half-way (on the log axis) between the numbers of labels measured."""
    out = []
    for index, (start, stop, verdict) in enumerate(runs):
        left = math.sqrt(runs[index - 1][1] * start) if index else min(ticks) / 10
        right = math.sqrt(stop * runs[index + 1][0]) if index + 1 < len(runs) else max(ticks) * 10
        out.append(Region(left, right, verdict, REGION_WORDS[verdict]))
    return out


def saved(savings: Sequence[analysis.Saving]) -> Markup | None:
    """Labels with pretraining beside the labels training from scratch needs for as much."""
    if not savings:
        return None
    bars = []
    stub = OPEN * max(max(saving.labels, saving.most, saving.equals or 0) for saving in savings)
    for saving in savings:
        shown = _equals(saving)
        doubt = ", undecided" if saving.verdict == "undecided" else ""
        note = f"{words.counted(saving.labels, 'label')} with pretraining do as well as {shown} from scratch{doubt}"
        parts = [("pretrained", float(saving.labels))]
        if (more := labels_more(saving)) > 0:
            parts.append(("saved", more))
        if saving.bound == "above":
            parts.append(("unknown", stub))
        bars.append(
            Bar(
                words.counted(saving.labels, "label"), parts, f"{shown} from scratch{doubt}", names=(note,) * len(parts)
            )
        )
    draw = lambda name, width: bar_chart(
        name, "Labels from scratch that equal those with pretraining", "; ".join(bar.names[0] for bar in bars), bars,
        width=width,
    )  # fmt: skip
    return on_both("saved", draw)


def labels_more(saving: analysis.Saving) -> float:
    """How many labels more than with pretraining training from scratch is known to need; 0 where it needs none."""
    return max(0.0, (saving.most if saving.bound == "above" else saving.equals or 0.0) - saving.labels)


def saved_key(savings: Sequence[analysis.Saving]) -> str:
    """What the colours that are drawn in ``saved`` mean."""
    told = ["Blue: the labels with pretraining."]
    if any(labels_more(saving) for saving in savings):
        told.append("Orange: how many more training from scratch needs for the same score.")
    if any(saving.bound == "above" for saving in savings):
        told.append("Pale: it needs more than were tried; how many is not known.")
    return " ".join(told)


def _equals(saving: analysis.Saving) -> str:
    """How many labels from scratch do as well: "117", "more than 500", "fewer than 10"."""
    if saving.bound == "above":
        return f"more than {words.count(saving.most)}"
    return f"fewer than {words.count(saving.fewest)}" if saving.bound == "below" else words.count(saving.equals)


def reached_at(comparison: Json) -> Json | None:
    """The entry of "to_reach_scratch" whose curves are drawn: the number of labels of the key figures where it has curves, else
    the fewest."""
    entries = (comparison.get("to_reach_scratch") or {}).get("all") or []
    few = analysis.few_labels(comparison)
    return next((entry for entry in entries if few and entry["labels"] == few[0]), entries[0] if entries else None)


def reaching(comparison: Json) -> Markup | None:
    """The score while fine-tuning, and the scratch arm's final score that the others are measured against."""
    reached = reached_at(comparison)
    if reached is None:
        return None
    curves = analysis.curves_at(comparison, int(reached["labels"]))
    curves = {arm: curve for arm, curve in curves.items() if arm in reached["steps"]}
    if not curves:
        return None
    series = [
        Series(
            key_of(arm), analysis.arm_name(comparison, arm),
            [Point(step, score) for step, score in curve], marks=False,
        )
        for arm, curve in curves.items()
    ]  # fmt: skip
    metric = metric_name(analysis.metric_of(comparison))
    rules = [Rule(reached["score"], "final score from scratch")] if words.known(reached.get("score")) else []
    scores = [*(score for curve in curves.values() for _, score in curve), *(rule.y for rule in rules)]
    low, high = share_span(min(scores), max(scores))
    steps = ", ".join(
        f"{analysis.arm_name(comparison, arm)} {words.count(value)}" for arm, value in reached["steps"].items()
    )
    return on_both(
        "reaching",
        lambda name, width: line_chart(
            name, "Test score while fine-tuning", f"Steps to the scratch arm's final score: {steps}", series,
            Axis("fine-tuning steps", format=words.count, low=0, unit=1),
            Axis(f"test {metric}", format=words.whole_percent, unit=0.01, low=low, high=high),
            width=width, height=300, rules=rules,
        ),
    )  # fmt: skip


def curve(
    name: str,
    title: str,
    lines: Sequence[Json],
    parts: Mapping[str, str],
    *,
    labels: bool = False,
    zero: bool = False,
    share: bool = False,
    until: float | None = None,
) -> Markup | None:
    """One small chart of ``parts`` (key of metrics.jsonl -> name) over steps, thinned by averaging; None when there are
    no values.

    The steps go from zero to ``until``, so that all charts of a run share them. ``share``: the values are shares, written as
    percentages. Where there is one step alone its values are written, since a single mark shows no course.
    """
    series = []
    for index, (part, called) in enumerate(parts.items()):
        points = _thinned(
            [(line["step"], line[part]) for line in lines if words.known(line.get(part)) and "step" in line],
            words.percent if share else words.number,
        )
        if points:
            key = "ink" if index == 0 else f"part{(index - 1) % 4}"
            marked = len(points) <= 12
            series.append(Series(key, called if labels else "", points, marks=marked))
    if not series:
        return None
    first, last = series[0].points[0], series[0].points[-1]
    told: words.Format = words.percent if share else words.number
    if all(len(line.points) == 1 for line in series):
        values = [f"{line.label} {told(line.points[0].y)}".strip() for line in series]
        return Markup('<p class="alone" id="{}"><b>{}</b> at step {}</p>').format(
            name, ", ".join(values), words.count(last.x)
        )
    description = f"from {told(first.y)} at step {first.x:.0f} to {told(last.y)} at step {last.x:.0f}"
    x = Axis("step", format=_compact, low=0.0, high=until, unit=1)
    y = _shares(series, zero) if share else Axis("", low=0.0 if zero else None)
    drawn = line_chart(name, title, description, series, x, y, width=NARROW, height=200)
    return Markup(drawn)


def _shares(series: Sequence[Series], zero: bool) -> Axis:
    """The axis of shares: a per cent of room beside the values, within the possible."""
    values = [point.y for line in series for point in line.points]
    low, high = max(0.0, min(values) - 0.01), min(1.0, max(values) + 0.01)
    return Axis("", format=words.whole_percent, low=0.0 if zero else low, high=high, unit=0.01)


def _compact(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else words.count(value)


def _thinned(values: Sequence[tuple[float, float]], told: words.Format) -> list[Point]:
    stride = max(1, math.ceil(len(values) / SHOWN_AT_MOST))
    chunks = [values[start : start + stride] for start in range(0, len(values), stride)]
    out = []
    for chunk in chunks:
        value = mean(v for _, v in chunk)
        out.append(Point(mean(s for s, _ in chunk), value, note=f"step {chunk[-1][0]}: {told(value)}"))
    return out


def neighbours_score(knn: Json, chance: float | None) -> Markup | None:
    """kNN accuracy of the learnt features beside random ones and raw pixels."""
    bars = []
    for arm in ("pretrained", "random", "pixels"):
        found = knn.get(arm) or {}
        if words.known(found.get("accuracy")):
            low, high = (found.get("intervals") or {}).get("accuracy") or (None, None)
            bars.append(
                Bar(analysis.ARMS[arm], [(arm, found["accuracy"])], words.percent(found["accuracy"]), low, high)
            )
    if not bars:
        return None
    description = "; ".join(f"{bar.label} {bar.shown}" for bar in bars)
    rule = (chance, "guessing") if chance else None
    return Markup(
        bar_chart("knn", "Accuracy of the nearest neighbours", description, bars, width=460, most=1.0, rule=rule)
    )


def spent(costs: Sequence[analysis.Cost]) -> Markup | None:
    """Seconds of every arm at few labels, pretraining stacked before the arms that use it."""
    before = next((cost.seconds for cost in costs if cost.key == "pretraining"), None) or 0.0
    bars = []
    for cost in costs:
        if cost.key in ("pretraining", "comparison") or cost.seconds is None:
            continue
        own = f"its own training: {words.duration(cost.seconds)}"
        parts, names = [(key_of(cost.key), cost.seconds)], [own]
        if cost.key in ("pretrained", "probe") and before:
            parts.insert(0, ("before", before))
            names.insert(0, f"pretraining, once for all labels: {words.duration(before)}")
        total = sum(value for _, value in parts)
        quality = f", {words.percent(cost.quality)}" if cost.quality is not None else ""
        name = analysis.ARMS.get(cost.key, cost.title)
        bars.append(Bar(name, parts, f"{words.duration(total)}{quality}", names=names))
    if not bars:
        return None
    description = "; ".join(f"{bar.label}: {bar.shown}" for bar in bars)
    draw = lambda name, width: bar_chart(name, "Time of every arm beside its score", description, bars, width=width)
    return on_both("spent", draw)


def confusion(run: Gathered) -> Markup | None:
    matrix = (run.comparison.get("confusion") or {}).get("matrix")
    if not matrix or any(len(row) != len(matrix) for row in matrix):
        return None
    classes = run.classes if len(run.classes) == len(matrix) else [str(i) for i in range(len(matrix))]
    right = sum(row[i] for i, row in enumerate(matrix))
    total = sum(map(sum, matrix))
    description = f"{words.count(right)} of {words.count(total)} right. " + "; ".join(
        f"{true} taken for {taken} {words.count(value)} times"
        for true, taken, value, _ in analysis.most_confused(matrix, classes)
    )
    return Markup(heat_map("confusion", "Confusion matrix", description, matrix, classes))


def embedding_map(result: Json) -> Markup | None:
    """The two-dimensional map, coloured by class."""
    xs, ys = result.get("x") or [], result.get("y") or []
    if len(xs) != len(ys) or not xs:
        return None
    classes = [str(name) for name in result.get("classes") or []]
    labels = result.get("label") or [-1] * len(xs)
    rows, names = result.get("index") or range(len(xs)), result.get("names") or []
    spots = []
    for place, (x, y, label) in enumerate(zip(xs, ys, labels, strict=True)):
        label = -1 if label is None or not 0 <= label < len(classes) else label
        which = names[place] if place < len(names) else f"row {rows[place]}"
        spots.append(Spot(x, y, label, f"{classes[label]}, {which}" if label >= 0 else str(which)))
    description = f"{words.counted(len(xs), 'embedding')} placed by {result.get('method', 'an unknown method')}"
    return Markup(scatter("map", "Map of the embeddings", description, spots, classes))


def legend_mark(code: int) -> Markup:
    """The shape of a class on the map; its colour comes from the class around it."""
    return Markup(mark(style_of(code)[1], 0, 0, 4.2))


def beside(name: str, title: str, values: Sequence[tuple[str, float]], shown: words.Format) -> Markup:
    """Bars: the first is the model's, the others its baselines'."""
    bars = [
        Bar(label, [("pretrained" if not place else "random", value)], shown(value))
        for place, (label, value) in enumerate(values)
    ]
    description = "; ".join(f"{bar.label} {bar.shown}" for bar in bars)
    return Markup(bar_chart(name, title, description, bars, width=NARROW))


def word_map(result: Json) -> Markup | None:
    """A map whose spots are words, coloured by class; those that have room are written, the first before the others."""
    names = [str(name) for name in result.get("names") or []]
    xs, ys = result.get("x") or [], result.get("y") or []
    if not names or len(xs) != len(names) or len(ys) != len(names):
        return None
    spots = [Spot(x, y, code, name) for name, x, y, code in zip(names, xs, ys, result.get("label") or [], strict=False)]
    order = [int(row) for row in result.get("index") or range(len(names))]
    description = f"{words.counted(len(spots), 'word')} placed by {result.get('method', 'an unknown method')}"
    rank = sorted(range(len(spots)), key=lambda place: order[place])
    return on_both(
        "words-map",
        lambda name, width: word_scatter(name, "Map of words", description, spots, rank, width=width),
    )
