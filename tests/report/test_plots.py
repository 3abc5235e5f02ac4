"""Charts: where marks are placed, what is written, what is escaped."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from foretell.report import words
from foretell.report.bars import Bar, bar_chart
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
)
from foretell.report.svg import MARKS, Scale, apart, element, log_ticks, mark, nice_ticks, text, thinned, wide

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)


def by_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [item for item in root.iter() if name in item.get("class", "").split()]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.31, 0.94, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3.3, -1.6, [-3.5, -3.0, -2.5, -2.0, -1.5]),
        (0, 9716, [0, 2000, 4000, 6000, 8000, 10000]),
        (5, 5, [2, 3, 4, 5, 6, 7, 8]),
        (0, 0, [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]),
    ],
)
def test_ticks_are_round_and_enclose_the_data(low: float, high: float, expected: list[float]) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    if low < high:
        assert ticks == pytest.approx(expected)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1


@pytest.mark.parametrize(
    ("low", "high", "unit", "expected"),
    [
        (0, 1, 1, [0, 1]),
        (0, 3, 1, [0, 1, 2, 3]),
        (0, 12, 1, [0, 5, 10, 15]),
        (0.88, 0.96, 0.01, [0.85, 0.9, 0.95, 1.0]),
    ],
)
def test_ticks_of_what_is_counted_are_whole(low: float, high: float, unit: float, expected: list[float]) -> None:
    assert nice_ticks(low, high, 3, unit) == pytest.approx(expected)


def test_log_ticks() -> None:
    assert log_ticks(8, 600) == pytest.approx([10, 20, 50, 100, 200, 500])
    assert log_ticks(1, 1e5) == pytest.approx([1, 10, 100, 1000, 1e4, 1e5])


def test_scales_map_ends_and_middle() -> None:
    linear = Scale(0, 10, 100, 300)
    assert [linear(0), linear(5), linear(10)] == [100, 200, 300]
    log = Scale(10, 1000, 0, 200, log=True)
    assert log(100) == pytest.approx(100)
    up = Scale(0, 1, 300, 100)
    assert up(1) < up(0)


def test_labels_are_pushed_apart_inside_their_bounds() -> None:
    moved = apart([50, 50, 51, 200], 16, 0, 210)
    ordered = sorted(moved)
    assert all(b - a > 15 for a, b in itertools.pairwise(ordered))
    assert min(moved) >= 0
    assert max(moved) <= 210
    assert moved[3] == 200
    assert apart([1, 2], 16, 0, 100)[0] < apart([1, 2], 16, 0, 100)[1]


def test_tick_labels_are_thinned_but_keep_the_ends() -> None:
    assert thinned([0, 10, 20, 100], [12, 12, 12, 12]) == [0, 2, 3]
    assert thinned([0, 90, 100], [30, 30, 30]) == [0, 2]
    assert thinned([], []) == []


def test_elements_escape_what_they_are_given() -> None:
    assert element("g", class_="a", stroke_width=1.25, href=None) == '<g class="a" stroke-width="1.2"/>'
    assert text('<b>"x"</b>', 1, 2) == '<text x="1" y="2">&lt;b&gt;&quot;x&quot;&lt;/b&gt;</text>'
    assert element("g", class_='"><script>') == '<g class="&quot;&gt;&lt;script&gt;"/>'


@pytest.mark.parametrize("shape", MARKS)
def test_marks_are_centred(shape: str) -> None:
    drawn = parsed(mark(shape, 50, 60, 5))
    if drawn.tag == "circle":
        assert (drawn.get("cx"), drawn.get("cy")) == ("50", "60")
    elif drawn.tag == "rect":
        assert float(drawn.get("x", "")) + float(drawn.get("width", "")) / 2 == pytest.approx(50, abs=0.1)
    else:
        xs = [float(pair.split(",")[0]) for pair in drawn.get("points", "").split()]
        assert (min(xs) + max(xs)) / 2 == pytest.approx(50, abs=0.1)


def efficiency() -> str:
    return line_chart(
        "chart",
        "Title <1>",
        "Description",
        [
            Series("pretrained", "pretrained", [Point(10, 0.7, 0.68, 0.72, "at 10"), Point(100, 0.8, 0.79, 0.81)]),
            Series("scratch", "from scratch", [Point(10, 0.4, 0.3, 0.5), Point(100, 0.8, 0.78, 0.82)]),
        ],
        Axis("labels", log=True, ticks=[10, 100], format=words.count),
        Axis("accuracy", format=lambda v: words.percent(v, 0)),
        regions=[Region(1, 40, "better", "pretraining ahead"), Region(40, 1000, "undecided", "undecided")],
        rules=[Rule(0.1, "guessing")],
    )


def test_a_line_chart_places_points_bands_and_names() -> None:
    root = parsed(efficiency())
    assert root.get("role") == "img"
    assert root.find("title").text == "Title <1>"  # type: ignore[union-attr]
    assert root.get("aria-labelledby") == "chart-title chart-desc"
    assert [item.text for item in by_class(root, "name")] == ["pretrained", "from scratch"]
    first, second = (float(item.get("y", "")) for item in by_class(root, "name"))
    assert abs(first - second) >= 15, "names of lines that end together are pushed apart"
    assert len(by_class(root, "interval")) == 2
    assert len(by_class(root, "whisker")) == 4
    circles = [item for item in by_class(root, "mark") if item.tag == "circle"]
    assert len(circles) == 2
    assert float(circles[0].get("cy", "")) > float(circles[1].get("cy", "")), "0.7 is drawn below 0.8"
    assert circles[0].find("title").text == "at 10"  # type: ignore[union-attr]
    shades = by_class(root, "region")
    assert [item.get("class") for item in shades] == ["region better", "region undecided"]
    border = float(shades[0].get("x", "")) + float(shades[0].get("width", ""))
    assert float(circles[0].get("cx", "")) < border < float(circles[1].get("cx", ""))
    assert any(item.text == "guessing" for item in root.iter("text"))


def test_an_interval_beyond_the_axis_stays_inside_the_plot() -> None:
    points = [Point(10, 0.5, -3.0, 4.0), Point(100, 0.6, 0.1, 2.5)]
    root = parsed(line_chart("c", "t", "d", [Series("scratch", "", points)], Axis("x"), Axis("y", low=0.0, high=1.0)))
    grid = [float(item.get("y1", "")) for item in by_class(root, "grid")]
    ends = [float(item.get(end, "")) for item in by_class(root, "whisker") for end in ("y1", "y2")]
    outline = [float(pair.split()[1]) for pair in by_class(root, "interval")[0].get("d", "").strip("MZ").split("L")]
    assert min(grid) <= min([*ends, *outline])
    assert max([*ends, *outline]) <= max(grid)


def test_nothing_of_a_chart_is_a_number_that_is_none() -> None:
    drawn = line_chart(
        "n", "t", "d", [Series("ink", "", [Point(3, 0.5)])], Axis("", log=True), Axis(""), width=390, height=200
    )
    assert not re.search(r"\b(nan|inf|None)\b", drawn)
    assert len(by_class(parsed(drawn), "mark")) == 1, "a single point is a mark, not an invisible line"
    empty = line_chart("n", "t", "d", [], Axis("x"), Axis("y"))
    assert not re.search(r"\b(nan|inf|None)\b", empty)


def test_bars_grow_with_their_value_and_stack() -> None:
    drawn = bar_chart(
        "b", "t", "d",
        [Bar("a", [("pretrained", 1.0)], "1"), Bar("b", [("before", 1.0), ("pretrained", 1.0)], "2"), Bar("c", [("random", 0.0)], "0")],
        rule=(0.5, "guessing"),
    )  # fmt: skip
    bars = by_class(parsed(drawn), "bar")
    one, before, after, none = (float(bar.get("width", "")) for bar in bars)
    assert one == pytest.approx(before, abs=0.11)
    assert after == pytest.approx(one, abs=0.11)
    assert none == 0
    assert float(bars[2].get("x", "")) == pytest.approx(float(bars[1].get("x", "")) + before, abs=0.11)


def test_a_scatter_keeps_the_shape_of_the_data_and_names_groups_on_a_spot() -> None:
    spots = [Spot(0, 0, 0, "a"), Spot(4, 0, 0), Spot(0, 2, 1), Spot(4, 2, -1)]
    root = parsed(scatter("s", "t", "d", spots, ["left & right", "other"]))
    dots = list(root.iter("circle"))
    assert len(dots) == 4
    xs = sorted({float(dot.get("cx", "")) for dot in dots})
    ys = sorted({float(dot.get("cy", "")) for dot in dots})
    assert (xs[1] - xs[0]) / (ys[1] - ys[0]) == pytest.approx(2, rel=0.01)
    assert [item.text for item in by_class(root, "halo")] == ["left & right", "other"]
    assert by_class(root, "k-none")


def test_fifty_groups_have_fifty_looks() -> None:
    assert len({style_of(group) for group in range(50)}) == 50
    assert style_of(-1)[0] == "k-none"


def test_a_heat_map_shades_by_the_share_of_the_row() -> None:
    root = parsed(heat_map("h", "t", "d", [[9, 1], [0, 0]], ["cat", "<dog>"]))
    cells = by_class(root, "cell")
    assert [cell.get("class") for cell in cells] == ["cell hit", "cell miss", "cell miss", "cell hit"]
    shades = [float(cell.get("fill-opacity", "")) for cell in cells]
    assert shades[0] > 0.85 > 0.2 > shades[1] > shades[2]
    assert cells[1].find("title").text == "cat taken for <dog>: 1 of 10"  # type: ignore[union-attr]


def test_text_is_measured_about_right() -> None:
    assert wide("from scratch") == pytest.approx(76, abs=3)  # 12 px in DejaVu Sans, the widest of the usual faces
    assert wide("from scratch", bold=True) == pytest.approx(86, abs=3)
    assert wide("iiii") < wide("mmmm")
    assert math.isclose(wide("abc", 24), 2 * wide("abc", 12))
