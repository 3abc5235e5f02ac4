"""The figures of a pipeline's comparison: what is drawn, in which colour, and what is said where there is nothing to draw."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from foretell.measures.redrawn import settled
from foretell.report import pipeline_figures as figures
from foretell.report import words
from foretell.report.dots import Dot, DotRow, dot_chart
from foretell.report.measures import measures, named, of_each_finding
from foretell.report.pipeline import _classifier, _lead
from foretell.report.plots import Axis


def comparison() -> dict[str, Any]:
    """Three arms at two amounts, judged on another domain too."""
    means = {"scratch": 0.6, "natural": 0.65, "domain": 0.7, "cases": 0.75, "random": 0.5, "cases, frozen": 0.66}
    arms = {
        arm: {
            "title": {"cases": "SimCLR <then> MICLe"}.get(arm, arm), "encoder": "small", "frozen": arm in ("random", "cases, frozen"),
            "step": None if arm in ("scratch", "random") else arm.removesuffix(", frozen"), "start": arm == "natural",
        }
        for arm in means
    }  # fmt: skip
    summary = [
        {
            "arm": arm, "per_class": amount, "labels": labels, "metric": metric, "mean": mean + labels / 1000 - away, "n": 3,
            "low": mean - 0.05, "high": mean + 0.05, "group_low": mean - 0.1, "group_high": mean + 0.1,
        }
        for arm, mean in means.items()
        for amount, labels in ((0.1, 10), (None, 100))
        for metric, away in (("accuracy", 0.0), ("shift_accuracy", 0.2))
    ]  # fmt: skip
    spread = {"mean": 0.2, "low": 0.1, "high": 0.3, "n": 3, "group_low": 0.05, "group_high": 0.35}
    drops = [
        {"arm": arm, "per_class": None, "labels": 100, "metric": "accuracy", "in": 0.8, "out": 0.6, "drop": spread}
        for arm in arms
    ]
    gains = [{"arm": "cases", "against": "scratch", "labels": 100, "in": spread, "out": spread, "more": spread}]
    paired = [
        {"arm": "cases", "against": "scratch", "labels": 100, "per_class": None, "metric": "accuracy", "difference": 0.15,
         "low": 0.1, "high": 0.2, "n": 3, "verdict": "better", "group_low": -0.02, "group_high": 0.3},
    ]  # fmt: skip
    about, beyond = {"labels": 30, "reading": "about"}, {"labels": None, "reading": "more than"}
    crossing = {"metric": "accuracy", "score": 0.6, "of": 100, "fewest": 10, "most": 100, "n": 3}
    return {
        "name": "comparison", "metric": "accuracy", "classes": ["a", "b"], "seeds": [0, 1, 2], "arms": arms, "summary": summary,
        "paired": paired, "all_labels": True, "domains": ["vendor"],
        "crossing": [
            {**crossing, "arm": "cases", "against": "scratch", "at": about, "low": about, "high": beyond,
             "group_low": {"labels": 20, "reading": "about"}, "group_high": beyond},
            {**crossing, "arm": "domain", "against": "natural", "at": beyond, "low": about, "high": beyond},
            {**crossing, "arm": "cases", "against": "domain", "at": about, "low": about, "high": beyond},
        ],
        "shift": {"domain": "domain=B", "samples": 9, "drops": drops, "gains": gains},
    }  # fmt: skip


def test_every_arm_has_a_colour_and_a_frozen_one_that_of_its_step() -> None:
    key = figures.keys_of(comparison())
    colours = {arm: key(arm) for arm in comparison()["arms"]}
    assert colours == {
        "scratch": "scratch", "natural": "supervised", "domain": "step0", "cases": "step1", "random": "random",
        "cases, frozen": "step1",
    }  # fmt: skip


def test_figures_show_tuned_arms_and_escape_what_data_says() -> None:
    drawn = {
        "main": figures.main(comparison()), "shift": figures.shift(comparison()), "fractions": figures.fractions(comparison()),
        "crossing": figures.crossings(comparison()),
    }  # fmt: skip
    for name, markup in drawn.items():
        assert markup is not None
        assert f'id="comparison-{name}"' in markup
        assert "SimCLR &lt;then&gt; MICLe" in markup
        assert "frozen" not in markup
    assert "drop 20.0" in drawn["shift"]
    assert str(drawn["shift"]).count('class="mark hollow"') == 8  # four arms, wide and narrow
    assert "30 (30%)" in drawn["crossing"]
    assert "more than 100" in drawn["crossing"]
    assert str(drawn["crossing"]).count('class="outer"') == 2  # over groups, of the one that has it, wide and narrow
    assert figures.sentences(comparison())[0].endswith(
        "95% interval over 3 seeds: 30 to more than 100, the most that were tried; 95% interval over test groups: 20 to more "
        "than 100, the most that were tried"
    )
    assert "cases = domain" not in drawn["crossing"]  # an arm that is no baseline


@pytest.mark.parametrize(("share", "ticks"), [(1.0, (90, 100)), (0.0, (0, 10))])
def test_the_axis_of_shares_that_are_all_equal_stays_within_the_possible(share: float, ticks: tuple[int, int]) -> None:
    equal = comparison()
    ends = dict.fromkeys(("mean", "low", "high", "group_low", "group_high"), share)
    equal["summary"] = [{**row, **ends} for row in equal["summary"]]
    equal["classes"] = []  # no line of guessing evenly
    for drawn in (figures.main(equal), figures.fractions(equal), figures.shift(equal)):
        shown = [int(found) for found in re.findall(r'class="tick">(-?\d+)%<', str(drawn))]
        assert (min(shown), max(shown)) == ticks


def test_a_baseline_that_guesses_is_said_to_be_easily_equalled() -> None:
    assert not any("guessing" in sentence for sentence in figures.sentences(comparison()))
    low = comparison()
    low["crossing"] = [{**row, "score": 0.5} for row in low["crossing"]]
    assert (
        figures.sentences(low)[-1] == "A baseline no better than guessing evenly (50.0%) is equalled by nearly anything"
    )


def test_tables_have_a_row_an_arm_and_both_intervals() -> None:
    table = figures.scores(comparison(), figures.tuned(comparison()))
    assert [row[0].main for row in table.rows] == ["scratch", "natural", "domain", "SimCLR <then> MICLe"]  # type: ignore[union-attr]
    assert [cell.main + " " + cell.sub for cell in table.head[1:]] == ["10 10%", "100 all"]  # type: ignore[union-attr]
    cell = table.rows[0][2]
    assert (cell.main, cell.sub, cell.more) == ("70.0%", "55.0 to 65.0", "groups 50.0 to 70.0")  # type: ignore[union-attr]
    ((name, few, most),) = figures.pairs(comparison()).rows
    assert (name.main, few) == ("SimCLR <then> MICLe − scratch", "–")  # type: ignore[union-attr]
    assert (most.main, most.more, most.kind) == ("+15.0", "groups −2.0 to +30.0", "word undecided")  # type: ignore[union-attr]
    (row,) = comparison()["paired"]
    assert settled(row) == "undecided"  # better over seeds, but not over groups
    assert settled({**row, "group_low": 0.02}) == "better"
    assert settled({key: value for key, value in row.items() if key != "group_low"}) == "better"
    assert len(figures.losses(comparison()).rows) == 4


def measured(metrics: dict[str, float | None], classes: str, *, arms_down: bool = True) -> Any:
    """``measures`` of a comparison that has ``metrics`` of two arms at two amounts, fewer being a tenth lower."""
    made = {**comparison(), "classes": list(classes)}
    made["summary"] = [
        {"arm": arm, "per_class": amount, "labels": labels, "metric": metric, "n": 3, "low": None if mean is None else mean - 0.05,
         "mean": None if mean is None else mean - less, "high": None if mean is None else mean + 0.05}
        for arm in ("scratch", "cases")
        for amount, labels, less in ((0.1, 10, 0.1), (None, 100, 0.0))
        for metric, mean in metrics.items()
    ]  # fmt: skip
    return measures(made, ["scratch", "cases"], lambda arm: figures.named(made, arm), arms_down=arms_down)


def test_every_measure_stands_beside_the_headline() -> None:
    found = measured(
        {"accuracy": 0.9, "balanced_accuracy": 0.5, "auroc": 0.7, "top3_accuracy": 0.95, "sensitivity": 0.3, "brier": 0.2,
         "image_accuracy": 0.8, "specificity": None}, "abcd",
    )  # fmt: skip
    assert [cell.main for cell in found["table"].head[1:]] == [
        "AUROC", "balanced accuracy", "accuracy", "top-3 accuracy", "sensitivity", "Brier score",
    ]  # fmt: skip
    assert [cell.more for cell in found["table"].head[1:4]] == ["", "", "the headline"]
    (scratch, _) = found["table"].rows
    assert [cell.main for cell in scratch] == ["scratch", "70.0%", "50.0%", "90.0%", "95.0%", "30.0%", "0.200"]
    assert (scratch[2].sub, scratch[-1].sub) == ("45.0 to 55.0", "0.150 to 0.250")
    assert (found["labels"], found["metric"]) == ("100 labels", "accuracy")
    few = measured({"accuracy": 0.9, "top3_accuracy": 1.0, "ece": 0.1}, "abc")  # three of three are always right
    assert [cell.main for cell in few["table"].head[1:]] == ["accuracy", "ECE"]
    assert measured({"accuracy": 0.9}, "ab") is None


def test_the_measures_of_few_arms_stand_below_each_other() -> None:
    found = measured({"accuracy": 0.9, "auroc": 0.7}, "abcd", arms_down=False)["table"]
    assert [found.head[0], *(cell.main for cell in found.head[1:])] == ["Measure", "scratch", "SimCLR <then> MICLe"]
    assert [[cell.main for cell in row] for row in found.rows] == [
        ["AUROC", "70.0%", "70.0%"],
        ["accuracy", "90.0%", "90.0%"],
    ]


def test_accuracy_of_findings_is_no_top_1() -> None:
    told = [named("accuracy", findings=findings).sub for findings in (False, True)]
    assert told == ["top-1", ""]
    made = {**comparison(), "classes": ["mass", "rib"], "findings": True}
    made["summary"] = [{**row, "metric": metric} for row in made["summary"] for metric in ("accuracy", "auroc")]
    found = measures(made, ["scratch"], lambda arm: figures.named(made, arm), arms_down=True)
    assert found is not None
    assert [(cell.main, cell.sub) for cell in found["table"].head[1:]] == [("AUROC", "macro"), ("accuracy", "")]


def test_what_is_missing_is_said_with_what_to_give() -> None:
    assert figures.missing(comparison()) == {}
    bare = comparison()
    bare |= {
        "shift": None,
        "all_labels": False,
        "seeds": [0],
        "summary": [row for row in bare["summary"] if row["labels"] == 10],
    }
    bare["arms"]["natural"]["start"] = False
    found = figures.missing(bare)
    assert set(found) == {"shift", "crossing", "seeds", "fractions", "start"}
    assert "--shift COLUMN=VALUE, as domain=B. Columns that have several values: vendor." in found["shift"]
    assert "--weights FILE" in found["start"]
    assert "over two seeds is 12.7 standard errors" in figures.missing({**comparison(), "seeds": [0, 1]})["seeds"]


def parsed(rows: list[DotRow], width: float = 820, **axis: Any) -> ElementTree.Element:
    return ElementTree.fromstring(dot_chart("d", "t", "x", rows, Axis("labels", **axis), width=width))


def test_dots_lie_on_their_axis_and_arrows_beyond_it() -> None:
    rows = [
        DotRow("one", "step0", [Dot(10, 5, 20, 1, 400)], "10"), DotRow("none", "step1", [Dot(None, side="right")], "more"),
    ]  # fmt: skip
    root = parsed(rows, log=True, low=1, high=100)
    (dot,) = (item for item in root.iter() if item.get("class") == "mark")
    lines = {item.get("class"): item for item in root.iter() if item.get("class") in ("span", "outer")}
    ticks = [item for item in root.iter() if item.get("class") == "tick"]
    across = {item.text: float(item.get("x", 0)) for item in ticks}
    assert abs(float(dot.get("cx", 0)) - across["10"]) < 0.2
    assert float(lines["outer"].get("x2", 0)) == across["100"]  # cut where the axis ends
    assert float(lines["span"].get("x1", 0)) == across["5"]
    assert len([item for item in root.iter() if item.get("class") == "line"]) == 1
    narrow = parsed(rows, 390, log=True, low=1, high=100)
    assert float(narrow.get("height", 0)) > float(root.get("height", 0))


def test_the_area_of_each_finding_stands_beside_every_arm() -> None:
    found = comparison()
    assert of_each_finding(found, ["cases"], lambda arm: figures.named(found, arm)) is None
    found["classes"] = ["mass", "rib"]
    found["summary"] += [
        {
            "arm": arm,
            "per_class": None,
            "labels": 100,
            "metric": "auroc mass",
            "mean": mean,
            "n": 3,
            "low": 0.6,
            "high": 0.9,
        }
        for arm, mean in (("cases", 0.8), ("scratch", 0.7))
    ]
    table = of_each_finding(found, ["cases", "scratch"], lambda arm: figures.named(found, arm))
    assert table is not None
    assert [row[0].main for row in table.rows] == ["mass", "rib"]
    assert [cell.main for cell in table.rows[0][1:]] == ["80.0%", "70.0%"]
    assert table.rows[0][1].sub == "60.0 to 90.0"
    assert set(table.rows[1][1:]) == {words.MISSING}
    down = of_each_finding(found, ["cases"], lambda arm: figures.named(found, arm), arms_down=True)
    assert [cell.main for cell in down.head[1:]] == ["mass", "rib"]


def test_a_tooltip_of_another_domain_names_the_metric_alone() -> None:
    drawn = str(figures.shift(comparison() | {"metric": "accuracy"}))
    assert "(accuracy)" in drawn
    assert "shift" not in re.sub(r'comparison-shift[^"]*', "", drawn)


def test_the_headline_tells_every_decided_difference() -> None:
    one = comparison()
    assert _lead(one) == ["Nothing is decided: every difference between the arms may be chance."]
    spread = {"metric": "accuracy", "n": 3, "low": -0.6, "high": -0.1}
    one["paired"] += [
        {**spread, "arm": arm, "against": against, "labels": labels, "per_class": None, "difference": gap, "verdict": "worse"}
        for arm, against, labels, gap in (("cases", "domain", 10, -0.3), ("domain", "scratch", 10, -0.2), ("domain", "scratch", 2000, -0.4))
    ]  # fmt: skip
    assert _lead(one) == [
        "Domain is behind scratch with 10 and 2,000 labels, by 40.0 points of accuracy with 2,000 (95% interval over 3 seeds −60.0 "
        "to −10.0).",
        "SimCLR <then> MICLe is behind domain with 10 labels, by 30.0 points of accuracy (95% interval over 3 seeds −60.0 to −10.0).",
        "Every other difference is undecided.",
    ]


def test_a_classifier_is_told_in_per_cent_as_all_else() -> None:
    scores = {"samples": 6, "accuracy": 1.0, "brier": 0.0123, "intervals": {"accuracy": [0.541, 1.0]}}
    shown = _classifier({"name": "classifier", "title": "classifier", "after": "cases", "classes": 2, "scores": scores})
    assert shown["title"] == "Classifier"
    assert [(row[1].main, row[1].sub) for row in shown["table"].rows] == [
        ("100.0%", "groups 54.1 to 100.0"),
        ("0.012", ""),
    ]
