"""The crossing point of an arm's label curve with a baseline that has all labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from foretell.measures.crossing import crossing, crossings, reached, sentence
from foretell.measures.intervals import paired

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
    assert found["low"] is found["high"] is None  # seeds that agree leave no spread
    assert (found["score"], found["of"], found["n"]) == (0.5, 160, 2)
    assert sentence(found, TITLES) == (
        "Tuned needs about 20 labels (12%) for the accuracy that from scratch has with 160 (50.0%); no interval, as the "
        "difference is the same in all 2 seeds"
    )


def test_an_end_of_the_curve_is_read_as_such() -> None:
    made = rows("pretrained", {10: [0.4], 40: [0.6]}) + rows("scratch", {40: [0.3]})
    below = crossing(made, "pretrained", "scratch", "accuracy")
    assert below is not None
    assert below["at"] == {"labels": None, "reading": "fewer than"}
    assert "needs fewer than 10 labels for" in sentence(below, TITLES)
    above = crossing(
        rows("pretrained", {10: [0.4], 40: [0.6]}) + rows("scratch", {40: [0.7]}), "pretrained", "scratch", "accuracy"
    )
    assert above is not None
    assert above["at"] == {"labels": None, "reading": "more than"}
    assert "needs more than 40 labels for" in sentence(above, TITLES)


def test_the_interval_is_of_differences_paired_by_seed() -> None:
    # With seed s both curves are higher by nearly the same: each pair crosses at nearly the same place.
    together = rows("pretrained", {10: [0.2, 0.4], 40: [0.4, 0.6]}) + rows("scratch", {40: [0.3, 0.501]})
    found = crossing(together, "pretrained", "scratch", "accuracy")
    assert found is not None
    assert (found["low"], found["high"]) == ({"labels": 19, "reading": "about"}, {"labels": 21, "reading": "about"})
    apart = rows("pretrained", {10: [0.2, 0.4], 40: [0.4, 0.6]}) + rows("scratch", {40: [0.5, 0.3]})
    wide = crossing(apart, "pretrained", "scratch", "accuracy")
    assert wide is not None
    assert wide["at"] == {"labels": 20, "reading": "about"}
    assert wide["low"] == {"labels": None, "reading": "fewer than"}
    assert wide["high"] == {"labels": None, "reading": "more than"}
    assert sentence(wide, TITLES).endswith(
        "; 95% interval over 2 seeds: fewer than 10, the fewest that were tried, to more than 40, the most that were tried"
    )


def test_its_ends_are_where_the_t_interval_of_the_difference_reaches_zero() -> None:
    rng = np.random.default_rng(0)
    scores = {10: 0.4, 40: 0.6, 160: 0.8}
    noisy = {labels: (score + 0.02 * rng.normal(size=4)).tolist() for labels, score in scores.items()}
    baseline = (0.55 + 0.02 * rng.normal(size=4)).tolist()
    found = crossing(rows("pretrained", noisy) + rows("scratch", {160: baseline}), "pretrained", "scratch", "accuracy")
    assert found is not None
    curve = [
        np.interp(np.log(np.arange(10, 161)), np.log(list(noisy)), own) for own in zip(*noisy.values(), strict=True)
    ]
    bands = [paired(list(at), baseline) for at in zip(*curve, strict=True)]
    low = next(labels for labels, band in enumerate(bands, 10) if band.high >= 0)
    high = next(labels for labels, band in enumerate(bands, 10) if band.low >= 0)
    assert 10 < low < found["at"]["labels"] < high < 160
    assert (found["low"]["labels"], found["high"]["labels"]) == (pytest.approx(low, abs=1), pytest.approx(high, abs=1))


def test_the_interval_over_seeds_holds_the_true_crossing_as_often_as_it_says() -> None:
    scores, truth = {10: 0.40, 20: 0.46, 40: 0.52, 80: 0.58, 160: 0.62}, 0.55  # crosses at 40 * sqrt(2)
    rng, seeds, tried, held = np.random.default_rng(0), 3, 400, 0
    for _ in range(tried):
        split = 0.03 * rng.normal(size=seeds)  # of both arms: the same labels and test part
        noisy = {labels: (score + split + 0.02 * rng.normal(size=seeds)).tolist() for labels, score in scores.items()}
        baseline = (truth + split + 0.02 * rng.normal(size=seeds)).tolist()
        found = crossing(
            rows("pretrained", noisy) + rows("scratch", {160: baseline}), "pretrained", "scratch", "accuracy"
        )
        assert found is not None
        beyond = {"fewer than": 0.0, "more than": math.inf}
        low, high = (beyond.get(end["reading"], end["labels"]) for end in (found["low"], found["high"]))
        held += low <= 40 * math.sqrt(2) <= high
    assert held / tried > 0.93  # 95%, less twice its error over 400


def test_more_labels_are_never_worse_than_fewer() -> None:
    lead = [(10, np.array([-0.1, -0.1])), (20, np.array([-0.3, -0.2])), (80, np.array([0.1, 0.1]))]
    assert reached(lead, np.mean) == pytest.approx(40)  # from -0.1 at 20, where the best before still stands
    assert reached(lead[:2], np.mean) == math.inf
    assert reached(lead[2:], np.mean) == 0
    assert reached([(10, np.array([0.0]))], np.mean) == 10


def drawn(arm: str, per_class: int, values: list[float | None]) -> dict[str, Any]:
    return {"arm": arm, "per_class": per_class, "metric": "accuracy", "values": values}


def test_the_interval_over_test_groups_is_of_the_drawn_test_parts() -> None:
    made = rows("pretrained", {10: [0.4], 40: [0.6]}) + rows("scratch", {10: [0.2], 40: [0.5]})
    shift = np.linspace(-0.2, 0.2, 201).tolist()  # of everything: a drawn test part is hard, or easy
    nearly = [0.5 + by + 0.01 * by * by for by in shift]
    redrawn = [
        drawn("pretrained", 1, [0.4 + by for by in shift]), drawn("pretrained", 4, [0.6 + by for by in shift]),
        drawn("scratch", 1, [0.2] * 201), drawn("scratch", 4, nearly),
    ]  # fmt: skip
    found = crossing(made, "pretrained", "scratch", "accuracy", redrawn)
    assert found is not None
    assert found["low"] is None
    assert found["group_low"] == found["group_high"] == found["at"] == {"labels": 20, "reading": "about"}
    # The baseline alone is harder or easier by up to 0.08: it is equalled from 10 * 4 ** 0.1 to 10 * 4 ** 0.9.
    redrawn[3] = drawn("scratch", 4, [0.5 + 0.4 * by for by in shift])
    redrawn[:2] = drawn("pretrained", 1, [0.4] * 201), drawn("pretrained", 4, [None, *[0.6] * 200])
    wide = crossing(made, "pretrained", "scratch", "accuracy", redrawn)
    assert wide is not None
    assert wide["group_low"]["labels"] == pytest.approx(10 * 4 ** (0.5 - 0.95 * 0.4), abs=0.6)
    assert wide["group_high"]["labels"] == pytest.approx(10 * 4 ** (0.5 + 0.95 * 0.4), abs=0.6)
    assert sentence(wide, TITLES).endswith(
        f"one seed leaves the spread unknown; 95% interval over test groups: {wide['group_low']['labels']} to "
        f"{wide['group_high']['labels']}"
    )
    assert "group_low" not in (crossing(made, "pretrained", "scratch", "accuracy", redrawn[:3]) or {})
    (one,) = crossings(made, "accuracy", redrawn)
    assert one == wide


def test_missing_arms_have_no_crossing() -> None:
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
    assert "has with all 40 (50.0%)" in sentence(found, TITLES)


def test_an_interval_beyond_what_was_tried_is_told_once() -> None:
    low = crossing(
        rows("pretrained", {10: [0.1, 0.2], 40: [0.2, 0.3]}) + rows("scratch", {40: [0.7, 0.81]}),
        "pretrained", "scratch", "accuracy",
    )  # fmt: skip
    assert low is not None
    assert sentence(low, TITLES).endswith("; the whole 95% interval over 2 seeds is more than 40")


def test_a_tie_with_the_fewest_labels_may_lie_anywhere_below() -> None:
    made = rows("pretrained", {10: [1.0, 1.0], 40: [1.0, 1.0]}) + rows("scratch", {10: [0.5, 0.5], 40: [1.0, 1.0]})
    alike = [drawn(arm, amount, [1.0] * 20) for arm in ("pretrained", "scratch") for amount in (1, 4)]
    found = crossing(made, "pretrained", "scratch", "accuracy", alike)
    assert found is not None
    assert found["at"] == {"labels": None, "reading": "at most"}
    assert found["low"] is found["high"] is None
    assert "group_low" not in found  # no drawn test part tells the arms apart
    assert sentence(found, TITLES) == (
        "Tuned needs 10 or fewer labels for the accuracy that from scratch has with 40 (100.0%); no interval, as the "
        "difference is the same in all 2 seeds"
    )
    # Test parts that tell them apart give an interval, which is open where most are ties.
    alike[0] = drawn("pretrained", 1, [*[1.0] * 18, 0.9, 0.9])
    wide = crossing(made, "pretrained", "scratch", "accuracy", alike)
    assert wide is not None
    assert sentence(wide, TITLES).endswith(
        "; 95% interval over test groups: 10 or fewer, the fewest that were tried, to 40"
    )
    alike[0] = drawn("pretrained", 1, [*[1.0] * 19, 1.1])
    below = crossing(made, "pretrained", "scratch", "accuracy", alike)
    assert below is not None
    assert below["group_low"]["reading"] == "fewer than"
    assert sentence(below, TITLES).endswith("; the whole 95% interval over test groups is 10 or fewer")


def test_a_tie_that_rounding_hides_is_a_tie() -> None:
    for ours, others in (([8, 17, 16], [9, 16, 16]), ([17, 16, 8], [10, 14, 17])):  # right of 24: equal in all
        tied, as_good = ([right / 24 for right in own] for own in (ours, others))
        scratch = rows("scratch", {40: as_good})
        found = crossing(rows("pretrained", {10: tied, 40: [1.0] * 3}) + scratch, "pretrained", "scratch", "accuracy")
        assert found is not None
        assert found["at"] == {"labels": None, "reading": "at most"}
        later = crossing(rows("pretrained", {5: [0.1] * 3, 10: tied}) + scratch, "pretrained", "scratch", "accuracy")
        assert later is not None
        assert later["at"] == {"labels": 10, "reading": "about"}
    for rounding in (-1e-13, 0.0, 1e-13):
        assert reached([(10, np.array([rounding]))], np.mean) == 10
        assert reached([(5, np.array([-0.1])), (10, np.array([rounding]))], np.mean) == 10


@pytest.mark.parametrize(("scores", "at"), [([0.6, 0.7], "fewer than 10"), ([0.1, 0.2], "more than 40")])
def test_differences_without_spread_have_no_interval_at_either_end(scores: list[float], at: str) -> None:
    made = rows("pretrained", {10: scores, 40: scores}) + rows("scratch", {40: [0.4, 0.5]})
    found = crossing(made, "pretrained", "scratch", "accuracy")
    assert found is not None
    text = sentence(found, TITLES)
    assert f"needs {at} labels for" in text
    assert text.endswith("; no interval, as the difference is the same in all 2 seeds")
