"""The arms of a pipeline's comparison: named by step, baselines once for each encoder, differences and crossing points."""

from __future__ import annotations

from typing import Any

import pytest

from foretell.transfer.images.shift import drops, gains
from foretell.verbs.pipeline_arms import Compared, differences, merged

SCORES = {"pretrained": 0.8, "probe": 0.7, "scratch": 0.6, "random": 0.5}


def part(name: str, encoder: str = "small", lift: float = 0.0, *, start: bool = False, shift: bool = False) -> Compared:
    rows = [
        {
            "arm": arm, "labels": labels, "per_class": amount, "seed": seed, "seconds": 2.0 * labels, "flops": 1.0,
            "peak_memory_bytes": 8,
            "accuracy": score + 0.01 * seed + 0.001 * labels + (lift * (0.95 + 0.1 * seed) if arm == "pretrained" else 0),
            **({"shift_accuracy": score - 0.2} if shift else {}),
        }
        for arm, score in SCORES.items()
        for amount, labels in ((0.5, 20), (None, 40))
        for seed in (0, 1)
    ]  # fmt: skip
    summary = [{"arm": row["arm"], "labels": row["labels"], "metric": "accuracy", "mean": 0.5} for row in rows[::2]]
    drawn = [
        {
            "arm": arm, "per_class": amount, "metric": "accuracy",
            "values": [score + more + (lift if arm == "pretrained" else 0) for more in (0, 0.1, 0.2)],
        }
        for arm, score in SCORES.items()
        for amount in (0.5, None)
    ]  # fmt: skip
    result: dict[str, Any] = {
        "arms": {arm: {} for arm in SCORES}, "rows": rows, "summary": summary, "redrawn": drawn, "metric": "accuracy",
        "search": [{"arm": arm, "labels": 20, "trials": [], "chosen": {"rate": 0.1}} for arm in SCORES],
        "seeds": [0, 1], "cost": {"evaluations": 16}, **({"shift": {"domain": "domain=B", "samples": 9}} if shift else {}),
    }  # fmt: skip
    return Compared(name, f"the {name}", encoder, result, start)


def test_arms_are_named_by_step_and_baselines_stand_once() -> None:
    found = merged([part("natural", start=True), part("domain"), part("cases", lift=0.05)])
    assert list(found["arms"]) == [
        "scratch", "natural", "domain", "cases", "random", "natural, frozen", "domain, frozen", "cases, frozen",
    ]  # fmt: skip
    assert [entry["arm"] for entry in found["search"]] == [*dict.fromkeys(row["arm"] for row in found["rows"])]
    assert found["arms"]["cases, frozen"] == {
        "title": "the cases, frozen", "encoder": "small", "step": "cases", "frozen": True, "start": False,
    }  # fmt: skip
    assert [arm for arm, about in found["arms"].items() if about["start"]] == ["natural", "natural, frozen"]
    assert len([row for row in found["rows"] if row["arm"] == "scratch"]) == 4
    assert len(found["summary"]) == 8 * 4 / 2 * 1
    assert "shift" not in found
    assert found["fits"] == 48
    assert {row["arm"]: row["seconds"] for row in found["tuning"] if row["labels"] == 40}["cases"] == 80


def test_every_arm_is_measured_against_scratch_and_the_earlier_ones() -> None:
    found = merged([part("natural", start=True), part("domain"), part("cases", lift=0.05)])
    pairs = list(dict.fromkeys((row["arm"], row["against"]) for row in found["paired"]))
    assert pairs == [
        ("natural", "scratch"), ("domain", "scratch"), ("domain", "natural"), ("cases", "scratch"), ("cases", "natural"),
        ("cases", "domain"),
    ]  # fmt: skip
    last = next(
        row for row in found["paired"] if (row["arm"], row["against"], row["per_class"]) == ("cases", "domain", None)
    )
    assert last["difference"] == pytest.approx(0.05)
    assert (last["labels"], last["verdict"]) == (40, "better")
    assert [(row["arm"], row["against"]) for row in found["crossing"]] == pairs
    crossing = next(row for row in found["crossing"] if row["arm"] == "cases")
    assert crossing["at"]["reading"] == crossing["low"]["reading"] == "fewer than"
    assert "group_low" not in crossing  # every draw moves both arms alike


def test_widths_have_baselines_of_their_own_and_stand_beside_each_other() -> None:
    found = merged([part("a"), part("b"), part("a2", "wide"), part("b2", "wide")])
    assert list(found["arms"])[:6] == ["scratch, small", "scratch, wide", "a", "b", "a2", "b2"]
    assert found["arms"]["scratch, wide"]["title"] == "training from scratch, wide"
    assert list(dict.fromkeys((row["arm"], row["against"]) for row in found["paired"])) == [
        ("a", "scratch, small"), ("b", "scratch, small"), ("b", "a"), ("a2", "scratch, wide"), ("a2", "a"),
        ("b2", "scratch, wide"), ("b2", "a2"), ("b2", "b"),
    ]  # fmt: skip


def test_another_domain_is_judged_for_all_arms_at_once() -> None:
    found = merged([part("a", shift=True), part("b", lift=0.05, shift=True)])["shift"]
    assert (found["domain"], found["samples"]) == ("domain=B", 9)
    assert {row["arm"] for row in found["drops"]} == {"scratch", "random", "a", "b", "a, frozen", "b, frozen"}
    gains = {(row["arm"], row["against"]): row for row in found["gains"] if row["labels"] == 40}
    assert set(gains) == {(arm, "scratch") for arm in ("a", "b", "a, frozen", "b, frozen")}
    assert gains["b", "scratch"]["in"]["mean"] == pytest.approx(0.25)
    assert gains["b", "scratch"]["out"]["mean"] == pytest.approx(0.2)


def test_differences_carry_the_interval_over_groups() -> None:
    compared = part("a")
    (row, _) = differences(compared.result["rows"], "pretrained", "scratch", "accuracy", compared.result["redrawn"])
    assert row["group_low"] == pytest.approx(0.2)  # every draw moves both arms alike
    assert row["group_high"] == pytest.approx(0.2)
    (bare, _) = differences(compared.result["rows"], "pretrained", "scratch", "accuracy")
    assert "group_low" not in bare


def test_no_interval_says_what_no_difference_can_be() -> None:
    rows = part("a", shift=True).result["rows"]
    for row in rows:
        row["accuracy"] = float((row["seed"] == 0) == (row["arm"] == "pretrained"))
        row["shift_accuracy"] = 1 - row["accuracy"]
    (row, _) = differences(rows, "pretrained", "scratch", "accuracy")
    assert (row["difference"], row["low"], row["high"]) == (0, -1, 1)
    for found in (drops(rows, "accuracy")[0]["drop"], gains(rows, "accuracy", arms=["pretrained"])[0]["out"]):
        assert (found["mean"], found["low"], found["high"]) == (0, -1, 1)
