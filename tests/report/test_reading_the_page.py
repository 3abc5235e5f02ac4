"""What a reader of the report must be able to see: ticks that differ, lines and marks that coincide, keys, and single values."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_run import ANIMALS, comparison, make, write
from PIL import Image

from foretell.report import analysis, build, charts, words
from foretell.report import pipeline_head as head
from foretell.report.bars import Bar, bar_chart
from foretell.report.curves import pretext, training
from foretell.report.dots import Dot, DotRow, dot_chart
from foretell.report.exhibits import picture_grid
from foretell.report.gather import gather
from foretell.report.overlap import coinciding, dash, dodged
from foretell.report.parts import BETWEEN, blocks
from foretell.report.plots import Axis, Point, Rule, Series, line_chart
from foretell.report.svg import nice_ticks


def by_class(drawn: object, name: str) -> list[ElementTree.Element]:
    return [item for item in ElementTree.fromstring(str(drawn)).iter() if name in item.get("class", "").split()]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([14.3, 14.35, 14.4, 14.45], ["14.30", "14.35", "14.40", "14.45"]),
        ([0.0182, 0.01825, 0.0183], ["0.01820", "0.01825", "0.01830"]),
        ([0, 0.25, 0.5], ["0", "0.25", "0.50"]),
        ([-0.5, 0, 0.5], ["−0.5", "0", "0.5"]),
        ([0, 2e-6, 4e-6], ["0", "2e-06", "4e-06"]),
        ([0, 5000, 10000], ["0", "5,000", "10,000"]),
        ([7], ["7"]),
    ],
)
def test_ticks_have_the_digits_that_tell_them_apart(values: list[float], expected: list[str]) -> None:
    assert [words.apart(values)(value) for value in values] == expected


def test_no_two_ticks_of_a_chart_read_alike() -> None:
    for low, high in ((14.31, 14.44), (0.01821, 0.01829), (0.4, 0.6), (1_000_100, 1_000_160)):
        ticks = Axis("").written(nice_ticks(low, high, 3))
        assert len(set(ticks)) == len(ticks), ticks


def test_lines_that_share_a_stretch_are_dashed_so_that_each_is_seen() -> None:
    line = [(0.0, 10.0), (50.0, 20.0), (100.0, 10.0)]
    other = [(0.0, 80.0), (50.0, 60.0), (100.0, 70.0)]
    assert coinciding([line, other, [(0.0, 10.5), (50.0, 20.0), (100.0, 90.0)], line]) == [
        (0, 3),
        (0, 1),
        (1, 3),
        (2, 3),
    ]
    assert [dash(place) for place in ((0, 1), (0, 3), (1, 3), (2, 3))] == [None, None, ("6 12", "-6"), ("6 12", "-12")]
    points = [Point(10, 0.5), Point(100, 0.7)]
    drawn = line_chart(
        "c", "t", "d", [Series("pretrained", "a", points), Series("scratch", "b", points)], Axis("x"), Axis("y")
    )
    lower, upper = by_class(drawn, "line")
    assert lower.get("stroke-dasharray") is None
    assert upper.get("stroke-dasharray") == "6 6"
    places = [(item.get("cx") or item.get("x"), item.get("cy")) for item in by_class(drawn, "mark")]
    assert len({place for place, _ in places}) == 4, "marks at one place stand beside each other"


def test_marks_that_would_hide_each_other_are_moved_aside() -> None:
    assert dodged([[(10.0, 50.0), (90.0, 20.0)], [(10.0, 52.0), (90.0, 70.0)]]) == [{0: -3.5}, {0: 3.5}]


def test_the_name_of_a_rule_stands_where_no_line_runs() -> None:
    def name(points: list[Point]) -> ElementTree.Element:
        drawn = line_chart(
            "c", "t", "d", [Series("pretrained", "", points)], Axis("x"), Axis("y", low=0.0, high=1.0),
            rules=[Rule(0.5, "guessing evenly")], width=390, height=300,
        )  # fmt: skip
        return next(item for item in ElementTree.fromstring(drawn).iter("text") if item.text == "guessing evenly")

    level = name([Point(0, 0.9), Point(10, 0.9)])
    assert 100 < float(level.get("y", "")) < 200, "beside its line, where that is free"
    zigzag = [Point(at, 0.3 + 0.4 * (at % 2)) for at in range(40)]
    assert float(name(zigzag).get("y", "")) == 12, "above the plot, where lines run everywhere"


def test_bars_whose_names_need_the_room_have_them_above() -> None:
    shown = "more than 2,000 from scratch, undecided"
    bars = [
        Bar("2,000 labels", [("pretrained", 2000.0)], shown),
        Bar("10 labels", [("pretrained", 10.0)], "14 from scratch"),
    ]
    wide, narrow = (by_class(bar_chart("b", "t", "d", bars, width=width), "bar")[0] for width in (820, 390))
    assert float(wide.get("x", "")) > 80
    assert float(narrow.get("x", "")) <= 2
    assert float(narrow.get("width", "")) > 350


def test_the_key_of_saved_labels_names_what_is_drawn() -> None:
    def saving(labels: int, equals: float | None, bound: Any = "") -> analysis.Saving:
        return analysis.Saving(labels, equals, bound, 2000, "undecided", 10)

    def drawn(*savings: analysis.Saving) -> tuple[set[str], str]:
        parts = {name for name in ("saved", "unknown") if f"bar c-{name}" in str(charts.saved(savings))}
        return parts, charts.saved_key(savings)

    assert drawn(saving(10, 10.0)) == (set(), "Blue: the labels with pretraining.")
    parts, key = drawn(saving(2000, None, "above"))
    assert parts == {"unknown"}, "an open end is drawn also where pretraining had as many labels as were tried"
    assert "Pale: it needs more than were tried" in key
    assert "Orange" not in key
    parts, key = drawn(saving(100, 265.0))
    assert parts == {"saved"}
    assert "Orange" in key
    assert "Pale" not in key


def test_dots_of_a_row_stand_below_each_other_and_a_title_stays_inside() -> None:
    row = DotRow("arm", "pretrained", [Dot(0.5), Dot(0.5, hollow=True)], "drop 0.0")
    title = "how many labels equal the baseline with all of its own labels (log scale)"
    drawn = dot_chart("c", "t", "d", [row], Axis(title, format=words.whole_percent), width=390)
    home, there = by_class(drawn, "mark")
    assert home.get("cx") == there.get("cx")
    assert float(there.get("cy", "")) - float(home.get("cy", "")) > 9
    assert " ".join(item.text or "" for item in by_class(drawn, "axis-title")) == title
    assert len(by_class(drawn, "axis-title")) == 2


def test_charts_of_training_have_one_unit_each_and_plain_names(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    step = {"kind": "step", "total": 2.0, "words": 1.4, "sentences": 0.7, "right": 0.4, "right_pairs": 0.6, "fc6": 0.5}
    lines = [{**step, "step": at, "total": 2.0 + at / 10} for at in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    drawn = {one["title"]: str(one["chart"]) for one in training(gather(run))}
    names = {title: re.findall(r'class="name[^>]*>([^<]+)<', chart) for title, chart in drawn.items()}
    assert names["Loss"] == ["in all", "tokens", "pairs of texts"]
    assert names["Foretold rightly (pretext task)"] == ["tokens right", "pairs of texts right"]
    assert "%<" in drawn["Foretold rightly (pretext task)"]
    assert "%<" not in drawn["Loss"]
    assert "Spread of the tower's embeddings (deviation of fc6)" in drawn


def test_a_single_value_is_written_and_not_drawn() -> None:
    written = str(charts.curve("rank", "RankMe", [{"step": 40, "rankme": 1.39}], {"rankme": "RankMe"}))
    assert written == '<p class="alone" id="rank"><b>1.39</b> at step 40</p>'


@pytest.mark.parametrize(
    ("step", "facts", "value", "note"),
    [
        ({"total": 2.2, "accuracy": 0.133}, {"chance_loss": 2.0794415}, "13.3%", "12.5% by guessing"),
        ({"total": 0.02, "error": 0.0971, "copy": 0.1}, {}, "97.1%", "of the error of copying the nearest frame"),
        ({"total": 6.0}, {"chance_loss": 6.24}, "6", "foretelling nothing costs 6.24"),
    ],
)
def test_the_pretext_score_stands_beside_its_guess(
    tmp_path: Path, step: dict[str, float], facts: dict[str, float], value: str, note: str
) -> None:
    run = make(tmp_path / "run", classes=[], exhibits=False)
    kept = json.loads((run / "facts.json").read_text())
    write(run / "facts.json", {**{name: kept[name] for name in kept if name != "chance_loss"}, **facts})
    (run / "metrics.jsonl").write_text(json.dumps({"kind": "step", "step": 1840, **step}) + "\n")
    found = pretext(gather(run))
    assert found is not None
    assert found.value == value
    assert note in found.note
    figures = build(run).read_text().partition('<dl id="figures">')[2].partition("</dl>")[0]
    assert f"<strong>{value}</strong>" in figures


def test_the_confusion_matrix_says_what_numbers_and_shades_are(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    assert "The number in a cell: how many images. Its shade: the share" in build(run).read_text()


def test_a_bound_is_not_broken_between_its_numbers(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False, compared=False)
    found = comparison(ANIMALS)
    for row in found["summary"]:
        row |= {"group_low": 0.398, "group_high": 1.0}
    write(run / "results" / "comparison.json", found)
    assert "<small>groups 39.8\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}100.0</small>" in build(run).read_text()
    assert words.unbroken("no spread") == "no\N{NO-BREAK SPACE}spread"


def test_blocks_of_a_picture_come_apart_for_a_narrow_page(tmp_path: Path) -> None:
    run = make(tmp_path / "run", exhibits=False)
    panels = [(name, torch.full((8, 1, 8, 8), shade)) for name, shade in (("what is seen of it", 0.2), ("image", 0.8))]
    path = run / "exhibits" / "views.png"
    picture_grid(panels, path, scale=6, blocks=2)
    with Image.open(path) as sheet:
        wide = sheet.width
        head = np.asarray(sheet)[:, :, 3]
    found = blocks(gather(run), "views")
    assert [width for _, width in found] == [(wide - BETWEEN) // 2] * 2
    assert build(run).read_text().count("data:image/png;base64,") == 2
    rows = np.flatnonzero((head[:, :48] > 0).all(axis=1))
    assert rows[0] > 2 * 11, "a caption that is wider than its column has lines, and is not cut"


def test_a_pipeline_says_when_what_came_out_and_how_it_was_measured(tmp_path: Path) -> None:
    cells = {"metric": "accuracy", "n": 3, "low": 0.6, "high": 0.9, "group_low": 0.5, "group_high": 1.0}
    arms = {arm: {"title": arm, "step": step, "frozen": False, "start": False} for arm, step in
            (("scratch", None), ("domain", "domain"), ("cases", "cases"))}  # fmt: skip
    means = {"scratch": 0.7, "domain": 0.8, "cases": 0.75}
    found: dict[str, Any] = {
        "metric": "accuracy", "arms": arms, "seeds": [0, 1, 2], "trials": 1, "classes": ["a", "b"],
        "test": {"samples": 9, "images": 18, "groups": 6, "split": "at random"},
        "summary": [
            {**cells, "arm": arm, "mean": mean, "labels": labels, "per_class": amount}
            for arm, mean in means.items()
            for labels, amount in ((4, 2), (18, None))
        ],
    }  # fmt: skip
    shown = [(one.title, one.value) for one in head.key_figures(found, 60.0)]
    assert shown == [
        ("Domain", "80.0%"), ("Scratch", "70.0%"), ("Labels", "18"), ("Patients or cases", "6"), ("Time", "1 min 00 s"),
    ]  # fmt: skip
    told = " ".join(head.method(found))
    assert "the same 9 test cases (at random), never trained on" in told
    assert "the mean over 3 seeds (0, 1 and 2)" in told
    assert "drawn again with replacement" in told
    assert {"Fine-tuning", "95% interval"} <= {word for word, _ in head.explained([found])}
    assert head.when([tmp_path]) == ""
    (tmp_path / "scores.json").write_text("{}")
    assert head.when([tmp_path]).endswith("UTC")
