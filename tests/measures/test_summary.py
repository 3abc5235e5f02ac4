from __future__ import annotations

import math

import pytest

from foretell.measures.metrics import METRICS
from foretell.measures.summary import differences, labels_for, labels_saved, summarise, to_reach
from foretell.measures.verdict import verdict, with_tested


def rows_of(scores: dict[str, dict[int, list[float]]]) -> list[dict]:
    """Rows from arm -> labels a class -> one accuracy a seed (10 classes)."""
    return [
        {
            "arm": arm,
            "per_class": per_class,
            "labels": 10 * per_class,
            "seed": seed,
            **dict.fromkeys(METRICS, value),
            "curve": [],
        }
        for arm, points in scores.items()
        for per_class, values in points.items()
        for seed, value in enumerate(values)
    ]


def said(scores: dict[str, dict[int, list[float]]]) -> str:
    rows = rows_of(scores)
    return verdict(differences(rows), summarise(rows))


WINS, LOSES, TIES = [0.60, 0.62, 0.61], [0.40, 0.41, 0.42], [0.60, 0.63, 0.60]


def test_an_interval_is_cut_to_what_its_metric_can_be() -> None:
    rows = rows_of({"pretrained": {1: WINS}, "scratch": {1: LOSES}})
    for row, brier in zip(rows, (1.30, 1.42, 1.36, 0.0, 0.1, 0.2), strict=True):
        row |= {"brier": brier, "shift_brier": brier, "accuracy": 0.9 + brier / 20}
    (wide, *_) = summarise(rows, ("brier",))
    assert (wide["mean"], wide["low"] < 1.36 < wide["high"] < 2) == (pytest.approx(1.36), True)
    assert summarise(rows, ("shift_brier",))[0]["high"] == wide["high"]
    assert summarise(rows, ("brier",))[1]["low"] == 0
    assert all(row["high"] <= 1 for row in summarise(rows, ("accuracy",)))
    (more,) = differences(rows, ("brier",))
    assert more["difference"] == pytest.approx(1.26)
    assert 1 < more["high"] < 2


def test_summary_has_every_arm_fraction_and_metric() -> None:
    rows = rows_of({"pretrained": {1: WINS, 5: WINS}, "scratch": {1: LOSES}})
    rows[0]["auroc"] = None
    summary = summarise(rows)
    assert len(summary) == 3 * len(METRICS)
    first = next(row for row in summary if row["metric"] == "accuracy")
    assert (first["mean"], first["n"], first["labels"]) == (pytest.approx(0.61), 3, 10)
    assert first["low"] == pytest.approx(0.61 - 4.3027 * 0.01 / math.sqrt(3), abs=1e-4)
    assert next(row for row in summary if row["metric"] == "auroc")["n"] == 2


def test_differences_are_paired_by_seed() -> None:
    rows = rows_of({"pretrained": {1: [0.5, 0.7, 0.9]}, "scratch": {1: [0.45, 0.64, 0.86]}})
    (found,) = [row for row in differences(rows[::-1]) if row["metric"] == "accuracy"]
    assert (found["arm"], found["against"], found["verdict"]) == ("pretrained", "scratch", "better")
    assert found["difference"] == pytest.approx(0.05)


def test_intervals_stay_within_what_a_share_and_a_difference_of_shares_can_be() -> None:
    rows = rows_of({"pretrained": {1: [0.2, 0.9]}, "scratch": {1: [0.6, 0.1]}})
    pretrained = next(row for row in summarise(rows) if row["arm"] == "pretrained")
    assert (pretrained["low"], pretrained["high"]) == (0, 1)
    found = differences(rows)[0]
    assert (found["low"], found["high"], found["verdict"]) == (-1, 1, "undecided")
    alone = summarise(rows_of({"scratch": {1: [0.6]}}))[0]
    assert math.isnan(alone["low"])


def test_labels_saved_are_read_off_the_curve_of_scratch() -> None:
    curve = [(10, 0.2), (100, 0.6), (1000, 0.7)]
    assert labels_for(0.4, curve) == (32, "about")  # half way on the logarithm
    assert labels_for(0.6, curve) == (100, "about")
    assert labels_for(0.1, curve) == (None, "fewer than")
    assert labels_for(0.2, curve) == (10, "about")
    assert labels_for(0.8, curve) == (None, "more than")
    assert labels_for(0.5, [(10, 0.4), (100, 0.3), (1000, 0.6)])[0] == round(10 ** (2 + 0.5))
    rows = rows_of({"pretrained": {1: [0.4] * 3}, "scratch": {1: [0.2] * 3, 10: [0.6] * 3}})
    saved = labels_saved(summarise(rows), "accuracy")
    assert saved is not None
    assert saved["points"][0]["equals_scratch_with"] == 32
    assert labels_saved(summarise(rows[:3]), "accuracy") is None


def test_a_tie_that_rounding_hides_saves_as_many_labels_as_it_took() -> None:
    for ours, others in (([8, 17, 16], [9, 16, 16]), ([17, 16, 8], [10, 14, 17])):  # right of 24: equal in all
        tied, as_good = ([right / 24 for right in own] for own in (ours, others))
        rows = rows_of({"pretrained": {1: tied}, "scratch": {1: [0.1] * 3, 5: as_good}})
        saved = labels_saved(summarise(rows), "accuracy")
        assert saved is not None
        (point,) = saved["points"]
        assert (point["equals_scratch_with"], point["reading"]) == (50, "about")
    for score in (0.6 - 1e-13, 0.6, 0.6 + 1e-13):
        assert labels_for(score, [(10, 0.6)]) == (10, "about")
        assert labels_for(score, [(10, 0.2), (100, 0.6)]) == (100, "about")
        assert labels_for(score, [(10, 0.2), (100, 0.6), (1000, 0.7)]) == (100, "about")


def test_steps_to_reach_scratch() -> None:
    rows = rows_of({"pretrained": {1: [0.5]}, "scratch": {1: [0.5]}})
    assert to_reach(rows, samples=200) is None
    rows[0]["curve"] = [[10, 1.0, 0.3], [20, 2.0, 0.6]]
    rows[1]["curve"] = [[10, 1.5, 0.2], [20, 3.0, 0.5]]
    found = to_reach(rows, samples=200)
    assert found is not None
    assert found["all"][0]["steps"] == {"pretrained": 20, "scratch": 20}
    assert found["all"][0]["seconds"] == {"pretrained": 2.0, "scratch": 3.0}
    rows[1]["curve"][-1][2] = 0.7
    found = to_reach(rows, samples=200)
    assert found is not None
    assert found["all"][0]["steps"]["pretrained"] is None
    assert found["samples"] == 200


def test_steps_to_reach_scratch_say_how_finely_they_are_told() -> None:
    rows = rows_of({"pretrained": {1: [0.5]}, "scratch": {1: [0.5]}})
    rows[0]["curve"] = [[0, 0.1, 0.6], [16, 1.0, 0.6], [25, 1.4, 0.6]]
    rows[1]["curve"] = [[0, 0.0, 0.1], [16, 1.0, 0.2], [32, 2.0, 0.5]]
    found = to_reach(rows, samples=200)
    assert found is not None
    assert found["all"][0]["steps"] == {"pretrained": 0, "scratch": 32}
    assert found["all"][0]["every"] == 16


def test_steps_to_reach_scratch_favour_no_number_of_labels() -> None:
    rows = rows_of({"pretrained": {1: [0.5], 10: [0.5]}, "scratch": {1: [0.5], 10: [0.5]}})
    for row in rows:
        row["curve"] = [[10, 1.0, 0.6 if row["arm"] == "scratch" or row["per_class"] == 1 else 0.5]]
    found = to_reach(rows, samples=200)
    assert found is not None
    assert found.keys() == {"arm", "against", "samples", "all"}
    assert [(entry["per_class"], entry["steps"]["pretrained"]) for entry in found["all"]] == [(1, 10), (10, None)]


@pytest.mark.parametrize(
    ("scores", "parts"),
    [
        (
            {"pretrained": {1: WINS, 5: WINS, 50: TIES}, "scratch": {1: LOSES, 5: LOSES, 50: [0.61, 0.61, 0.61]}},
            ["was worth it with 10 and 50 labels", "61.0% after pretraining and 41.0% from scratch",
             "ends between 50 and 500 labels", "was not shown to be worth it"],
        ),
        (
            {"pretrained": {1: WINS, 50: LOSES}, "scratch": {1: LOSES, 50: WINS}},
            ["was worth it with 10 labels", "was not worth it with 500 labels", "training from scratch is better",
             "ends between 10 and 500"],
        ),
        (
            {"pretrained": {1: WINS, 5: WINS}, "scratch": {1: LOSES, 5: LOSES}},
            ["had not ended at 50 labels, the most that was tried"],
        ),
        (
            {"pretrained": {1: TIES, 5: WINS}, "scratch": {1: [0.61, 0.61, 0.61], 5: LOSES}},
            ["was worth it with 50 labels", "with 10 labels it is undecided"],
        ),
        (
            {"pretrained": {1: LOSES, 5: TIES}, "scratch": {1: WINS, 5: [0.61, 0.61, 0.61]}},
            ["was not shown to be worth it", "never beat training from scratch", "With 10 labels it was worse",
             "train from scratch there"],
        ),
        (
            {"pretrained": {1: LOSES}, "scratch": {1: [0.50, 0.53, 0.51]}, "probe": {1: WINS}},
            ["was not shown to be worth it", "Frozen, with a linear probe, the same encoder did beat it with 10 labels",
             "fine-tuned it was worse with 10 labels (−10.3 points, 95% interval"],
        ),
        (
            {"pretrained": {1: LOSES}, "scratch": {1: LOSES}, "probe": {1: WINS}, "random": {1: TIES}},
            ["the same encoder did beat it with 10 labels", "without being shown to beat random features."],
        ),
        (
            {"pretrained": {1: TIES}, "scratch": {1: [0.61, 0.61, 0.61]}},
            ["was not shown to be worth it", "in accuracy may be chance: more seeds or longer pretraining"],
        ),
        ({"pretrained": {1: [0.6]}, "scratch": {1: [0.4]}}, ["One seed leaves the spread unknown", "+20.0 points"]),
        ({"probe": {1: WINS}}, ["is not known", "lacks the pretrained arm"]),
    ],
)  # fmt: skip
def test_the_verdict_is_two_sentences_that_say_where_the_advantage_ends(scores, parts) -> None:
    text = said(scores)
    for part in parts:
        assert part in text
    assert text.count(". ") == 1
    assert text.endswith(".")


def test_the_verdict_says_where_random_frozen_features_may_do_as_well() -> None:
    scores = {"pretrained": {1: WINS, 5: WINS}, "scratch": {1: LOSES, 5: LOSES}}
    text = said({**scores, "random": {1: LOSES, 5: [0.60, 0.60, 0.62]}})
    assert text.startswith("Pretraining was worth it with 10 and 50 labels")
    assert text.endswith(
        " It was not shown to beat random frozen features with 50 labels, where they have 60.7% "
        "(+0.3 points, 95% interval −3.5 to +4.1)."
    )
    assert " with 10 and 50 labels: with 10 they have 61.3% " in said(
        {**scores, "random": {1: [0.61, 0.62, 0.61], 5: TIES}}
    )
    assert "random" not in said({**scores, "random": {1: LOSES, 5: LOSES}})


def test_the_verdict_calls_equal_differences_undecided() -> None:
    text = said({"pretrained": {1: [25 / 36, 28 / 36, 22 / 36]}, "scratch": {1: [24 / 36, 27 / 36, 21 / 36]}})
    assert text.startswith("Pretraining was not shown to be worth it")
    assert "+2.8 points, the same in each of 3 seeds, which leaves its spread unknown" in text
    assert "interval" not in text
    assert "is undecided (+2.8 points, the same" in text
    assert text.endswith(" More seeds, more test samples or longer pretraining would have to tell.")


def test_the_verdict_does_not_claim_a_spread_that_is_unknown() -> None:
    behind = said({"pretrained": {1: [0.25] * 3}, "scratch": {1: [0.75] * 3}})
    assert (
        "fine-tuning after it never beat training from scratch (nearest to it at 10 labels: −50.0 points, the same in each of 3 "
        "seeds, which leaves its spread unknown). More seeds" in behind
    )
    scores = {"pretrained": {1: WINS, 5: [0.75] * 3}, "scratch": {1: LOSES, 5: [0.5] * 3}}
    assert "with 50 the difference is undecided (+25.0 points, the same in each of 3 seeds" in said(scores)


def test_the_verdict_on_arms_that_score_the_same_in_every_seed() -> None:
    text = said({"pretrained": {1: TIES, 5: WINS}, "scratch": {1: TIES, 5: WINS}})
    assert text == (
        "Pretraining was not shown to be worth it: with 10 and 50 labels, fine-tuning after it and training from scratch "
        "score the same in every seed. More seeds, more test samples or longer pretraining would have to tell."
    )
    one = said({"pretrained": {1: TIES, 5: [0.5, 0.6, 0.4]}, "scratch": {1: TIES, 5: [0.6, 0.61, 0.5]}})
    assert "(best at 10 labels: the same score in each of 3 seeds)" in one
    assert "0.0 to" not in one


def test_the_verdict_says_first_that_an_arm_learnt_nothing_beyond_guessing() -> None:
    third = [1 / 3] * 3
    summary, pairs = (make(rows_of({"pretrained": {1: third, 5: third}, "scratch": {1: third, 5: third}, "tfidf": {1: [1.0] * 3, 5: WINS}})) for make in (summarise, differences))  # fmt: skip
    text = verdict(pairs, summary, guess=1 / 3, titles={"tfidf": "TF-IDF, linear model"})
    assert text == (
        "With 10 and 50 labels, neither fine-tuning after pretraining nor training from scratch learnt anything beyond "
        "guessing: their accuracy is no higher than the 33.3% of always answering the commonest class. Whether pretraining was "
        "worth it is open: train longer, at another rate or on more labels. TF-IDF, linear model is ahead of both with 10 and "
        "50 labels: with 10 its accuracy is 100.0%, more than that of fine-tuning after pretraining by +66.7 points, the same "
        "in each of 3 seeds, which leaves its spread unknown."
    )
    rows = rows_of({"pretrained": {1: WINS, 5: WINS}, "scratch": {1: third, 5: LOSES}})
    text = verdict(differences(rows), summarise(rows), guess=1 / 3)
    assert text.startswith(
        "No more than guessing was learnt by training from scratch with 10 labels: its accuracy is no higher than the 33.3% of "
        "always answering the commonest class. Pretraining was worth it with 10 and 50 labels"
    )
    assert "guessing" not in verdict(differences(rows), summarise(rows), guess=0.2)


def test_a_plain_alternative_that_is_ahead_of_both_arms_is_named_with_its_lead() -> None:
    scores = {"pretrained": {1: [0.4, 0.42, 0.41]}, "scratch": {1: [0.3, 0.33, 0.31]}}
    ahead = said({**scores, "tfidf": {1: WINS}})
    assert (
        " TF-IDF is ahead of both with 10 labels: with 10 its accuracy is 61.0%, more than that of fine-tuning" in ahead
    )
    assert "by +20.0 points, " in ahead
    assert " A linear probe of the frozen pretrained encoder is ahead of both " in said({**scores, "probe": {1: WINS}})
    assert "ahead" not in said({**scores, "tfidf": {1: [0.40, 0.42, 0.43]}})


def test_thousands_of_labels_are_told_alike_everywhere() -> None:
    rows = [{**row, "labels": 2000} for row in rows_of({"pretrained": {1: WINS}, "scratch": {1: LOSES}})]
    assert "2,000 labels: with 2,000, accuracy" in verdict(differences(rows), summarise(rows))


def test_the_verdict_is_told_with_how_few_test_samples_it_is_on() -> None:
    rows = rows_of({"pretrained": {1: WINS}, "scratch": {1: LOSES}})
    pairs = differences(rows)
    result = {"verdict": "It paid.", "paired": pairs, "metric": "accuracy", "test": {"samples": 24}}
    assert with_tested(result, "image") == (
        "It paid. All of it is on 24 test images: others might say otherwise, which intervals over seeds do not show."
    )
    grouped = [{**row, "group_low": 0.1, "group_high": 0.3} for row in pairs]
    for enough in ({"test": {"samples": 100}}, {"test": None}, {"paired": grouped}, {"paired": []}):
        assert with_tested({**result, **enough}, "image") == "It paid."


def test_what_the_groups_leave_open_is_told_with_their_interval() -> None:
    rows = rows_of({"pretrained": {1: WINS}, "scratch": {1: LOSES}})
    pairs = [{**row, "group_low": -0.1, "group_high": 0.5, "verdict": "undecided"} for row in differences(rows)]
    text = verdict(pairs, summarise(rows))
    assert "beyond the spread of 3 seeds and of the groups tested (best at 10 labels: +20.0 points" in text
    assert ", −10.0 to +50.0 over groups)" in text
    assert (
        "Every difference in accuracy may be chance, of the seeds or of the groups tested: more seeds, more groups or longer"
        in text
    )


def test_of_an_error_the_lower_one_is_the_better() -> None:
    rows = [
        {
            "arm": arm,
            "per_class": 1,
            "labels": 10,
            "seed": seed,
            "accuracy": value * (1 + 0.01 * seed),
            "image_ece": value * (1 + 0.01 * seed),
        }
        for arm, value in (("pretrained", 0.3), ("scratch", 0.2))
        for seed in range(3)
    ]
    found = {row["metric"]: row["verdict"] for row in differences(rows, ("accuracy", "image_ece"))}
    assert found == {"accuracy": "better", "image_ece": "worse"}
