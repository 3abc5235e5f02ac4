"""Numbers as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from foretell.measures.intervals import ALIKE
from foretell.report import words
from foretell.report.measures import measures
from foretell.report.parts import Cell


@pytest.mark.parametrize(
    ("said", "value", "expected"),
    [
        (words.number, 0.0421, "0.0421"),
        (words.number, 4.2, "4.2"),
        (words.number, 421.4, "421"),
        (words.number, 98765, "98,765"),
        (words.number, 1.2e-6, "1.20e-06"),
        (words.number, -3.25, "−3.25"),
        (words.number, 0, "0"),
        (words.count, 9716, "9,716"),
        (words.count, 12_400_000, "12.4 million"),
        (words.count, 3.2e9, "3.2 billion"),
        (words.percent, 0.7954, "79.5%"),
        (words.points, 0.193, "+19.3"),
        (words.points, -0.004, "−0.4"),
        (words.duration, 0.84, "0.84 s"),
        (words.duration, 59.7, "1 min 00 s"),
        (words.duration, 312, "5 min 12 s"),
        (words.duration, 7512, "2 h 05 min"),
        (words.duration, 3599.6, "1 h 00 min"),
        (words.memory, 6.1e8, "610 MB"),
        (words.memory, 999.9, "1 kB"),
        (words.operations, 2.4e13, "24 TFLOP"),
    ],
)
def test_numbers(said: Callable[[float], str], value: float, expected: str) -> None:
    assert said(value) == expected


@pytest.mark.parametrize(
    "said", [words.number, words.count, words.percent, words.points, words.duration, words.memory, words.operations]
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_known_is_a_dash(said: Callable[[float | None], str], value: float | None) -> None:
    assert said(value) == "–"


def test_intervals() -> None:
    assert words.interval(0.761, 0.824) == "76.1 to 82.4"
    assert words.interval(-0.007, 0.014) == "−0.7 to 1.4"
    assert words.interval(-0.007, 0.014, signed=True) == "−0.7 to +1.4"
    assert words.interval(None, 0.5) == ""
    assert words.interval(math.nan, 0.5) == ""
    assert words.interval(0.332, 0.335, share=False) == "0.332 to 0.335"
    assert words.interval(0.332, 0.332 + 1e-16) == words.interval(0.332, 0.332, share=False) == "no spread"
    assert words.group_interval(0.332, 0.332 + 1e-16) == ""


def test_a_score_that_is_no_share_has_no_spread_where_seeds_agree() -> None:
    row = {"arm": "probe", "labels": 9, "per_class": None, "low": 0.332, "high": 0.332, "n": 2}
    rows = [{**row, "metric": metric, "mean": 0.332} for metric in ("accuracy", "brier")]
    found = measures({"summary": rows, "classes": ["a", "b"]}, ["probe"], Cell)
    assert found is not None
    assert [row[1] for row in found["table"].rows] == [Cell("33.2%", "no spread"), Cell("0.332", "no spread")]


def test_plurals_and_lists() -> None:
    assert words.counted(1, "label") == "1 label"
    assert words.counted(2000, "label") == "2,000 labels"
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.listed(list("abcdef"), 4) == "a, b, c, d and 2 more"


def test_long_names_keep_both_ends() -> None:
    name = "a very long class name that goes on and on"
    short = words.shorten(name, 20)
    assert len(short) == 20
    assert short.startswith("a very long")
    assert short.endswith("and on")
    assert words.shorten("short", 20) == "short"


def test_seeds_that_are_all_alike_have_no_interval_to_tell() -> None:
    assert words.interval(0.7, 0.8) == "70.0 to 80.0"
    assert words.interval(-0.01, 0.02, signed=True) == f"{words.points(-0.01)} to {words.points(0.02)}"
    assert words.interval(0.7, 0.7) == words.interval(0.0, 0.0, signed=True) == ALIKE
    assert words.interval(None, None) == ""


def test_groups_that_are_all_alike_have_no_interval() -> None:
    assert words.group_interval(0.7, 0.8) == "groups 70.0 to 80.0"
    assert words.group_interval(1.0, 1.0) == ""
