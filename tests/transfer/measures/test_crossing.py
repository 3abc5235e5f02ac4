"""The crossing point of an arm's label curve with a baseline that has all labels."""

from __future__ import annotations

import math
from typing import Any

import pytest

from foretell.transfer.measures.crossing import crossing, crossings, curve_of, labels_to_reach, sentence

TITLES = {"pretrained": "tuned", "scratch": "from scratch"}


def rows(arm: str, scores: dict[int, list[float]]) -> list[dict[str, Any]]:
    """Rows of ``arm``: labels -> a score for each seed."""
    return [
        {"arm": arm, "per_class": labels // 10, "labels": labels, "seed": seed, "accuracy": score}
        for labels, by_seed in scores.items()
        for seed, score in enumerate(by_seed)
    ]


def test_it_is_interpolated_on_the_logarithm_of_the_labels() -> None:
    made = rows("pretrained", {10: [0.4, 0.4], 40: [0.6, 0.6], 160: [0.8, 0.8]})
    made += rows("scratch", {10: [0.2, 0.2], 160: [0.5, 0.5]})
    found = crossing(made, "pretrained", "scratch", "accuracy")
    assert found is not None
    assert found["at"] == {"labels": 20, "reading": "about"}  # half way between 10 and 40
    assert found["low"] == found["high"] == found["at"]  # seeds that agree leave no spread
    assert (found["score"], found["of"], found["n"]) == (0.5, 160, 2)
    assert sentence(found, TITLES) == (
        "tuned equals from scratch with 160 labels (accuracy 50.0%) at 20 (12%); 95% interval 20 to 20, 2 seeds"
    )


def test_an_end_of_the_curve_is_read_as_such() -> None:
    made = rows("pretrained", {10: [0.4], 40: [0.6]}) + rows("scratch", {40: [0.3]})
    below = crossing(made, "pretrained", "scratch", "accuracy")
    assert below is not None
    assert below["at"] == {"labels": None, "reading": "fewer than"}
    assert "at fewer than 10; one seed leaves the spread unknown" in sentence(below, TITLES)
    above = crossing(
        rows("pretrained", {10: [0.4], 40: [0.6]}) + rows("scratch", {40: [0.7]}), "pretrained", "scratch", "accuracy"
    )
    assert above is not None
    assert above["at"] == {"labels": None, "reading": "more than"}
    assert "at more than 40;" in sentence(above, TITLES)


def test_the_interval_draws_the_seeds_of_both_arms_together() -> None:
    # With seed s both curves are higher by the same: each draw crosses at the same place.
    together = rows("pretrained", {10: [0.2, 0.4], 40: [0.4, 0.6]}) + rows("scratch", {40: [0.3, 0.5]})
    found = crossing(together, "pretrained", "scratch", "accuracy")
    assert found is not None
    assert found["low"] == found["high"] == {"labels": 20, "reading": "about"}
    apart = rows("pretrained", {10: [0.2, 0.4], 40: [0.4, 0.6]}) + rows("scratch", {40: [0.5, 0.3]})
    wide = crossing(apart, "pretrained", "scratch", "accuracy")
    assert wide is not None
    assert wide["at"] == {"labels": 20, "reading": "about"}
    assert wide["low"] == {"labels": None, "reading": "fewer than"}
    assert wide["high"] == {"labels": None, "reading": "more than"}


def test_values_for_a_claim_and_missing_arms() -> None:
    curve = curve_of(rows("pretrained", {10: [0.4, 0.2], 40: [0.6, 0.8]}), "pretrained", "accuracy")
    assert labels_to_reach(curve, 0.5, [0]) == 20
    assert labels_to_reach(curve, 0.1, [1]) == 0
    assert math.isinf(labels_to_reach(curve, 0.9, [0, 1]))
    assert crossing(rows("pretrained", {10: [0.4]}), "pretrained", "scratch", "accuracy") is None
    assert crossings([], "accuracy") == []


@pytest.mark.parametrize("order", [1, -1])
def test_all_labels_may_stand_anywhere(order: int) -> None:
    made = rows("pretrained", {10: [0.4], 40: [0.6]}) + rows("scratch", {10: [0.1], 40: [0.5]})
    for row in made:
        if row["labels"] == 40:
            row["per_class"] = None
    found = crossing(made[::order], "pretrained", "scratch", "accuracy")
    assert found is not None
    assert found["of"] == 40
    assert "with all 40 labels" in sentence(found, TITLES)


def test_an_interval_beyond_what_was_tried_is_told_once() -> None:
    low = crossing(
        rows("pretrained", {10: [0.1, 0.2], 40: [0.2, 0.3]}) + rows("scratch", {40: [0.7, 0.8]}),
        "pretrained", "scratch", "accuracy",
    )  # fmt: skip
    assert low is not None
    assert sentence(low, TITLES).endswith("at more than 40; the whole 95% interval is more than 40, 2 seeds")
