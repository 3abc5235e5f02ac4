"""The test part drawn again by group: the same draws for every fit, wider than single samples, paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.measures import intervals, redrawn
from foretell.measures.intervals import bootstrap, recounted, resampled
from foretell.measures.metrics import METRICS, auroc, drawn_auroc, score
from foretell.measures.multilabel import FindingsTally, drawn_macro_auroc, headline
from foretell.transfer.images.cases import tally_of
from foretell.transfer.images.labelled import Labelled


def part(hits: np.ndarray, groups: np.ndarray | None, cases: np.ndarray | None = None) -> tuple[Labelled, np.ndarray]:
    """Samples of class 0, foretold rightly where ``hits``, and their probabilities."""
    n = len(hits)
    data = Labelled(None, np.arange(n), np.zeros(n, np.int64), ["a", "b"], groups, cases)  # type: ignore[arg-type]
    return data, np.where(hits[:, None], [[0.9, 0.1]], [[0.1, 0.9]]).astype(np.float32)


def drawn_of(hits: np.ndarray, groups: np.ndarray | None, cases: np.ndarray | None = None) -> dict:
    data, p = part(hits, groups, cases)
    tally = tally_of(data, "mean", drawn="accuracy")
    for at in range(0, len(hits), 7):
        tally.add(p[at : at + 7], data.codes[at : at + 7])
    return tally.result()


def test_draws_are_those_of_whole_groups() -> None:
    groups = np.repeat(np.arange(20), 5)
    hits = np.repeat(np.arange(20) % 2 == 0, 5)  # a patient is right in all images or in none
    found = drawn_of(hits, groups)
    assert found["accuracy"] == 0.5
    expected = bootstrap(lambda rows: float(hits[rows].mean()), 100, groups=groups, seed=redrawn.seed_of(groups))
    assert redrawn.bounds(np.array(found["draws"])) == pytest.approx((expected.low, expected.high), abs=1e-4)
    single = bootstrap(lambda rows: float(hits[rows].mean()), 100)
    assert expected.high - expected.low > 1.8 * (single.high - single.low)


def test_nothing_is_drawn_without_groups_or_unasked() -> None:
    hits = np.arange(20) % 3 == 0
    assert "draws" not in drawn_of(hits, None)
    data, p = part(hits, np.arange(20))
    tally = tally_of(data, "mean")
    tally.add(p, data.codes)
    assert "draws" not in tally.result()


def test_cases_are_drawn_by_their_patient() -> None:
    cases, groups = np.repeat(np.arange(12), 3), np.repeat(np.arange(4), 9)
    hits = np.repeat(np.arange(12) < 6, 3)
    found = drawn_of(hits, groups, cases)
    of_case = np.arange(12) < 6
    of_patient = np.repeat(np.arange(4), 3)
    expected = bootstrap(
        lambda rows: float(of_case[rows].mean()), 12, groups=of_patient, seed=redrawn.seed_of(of_patient)
    )
    assert redrawn.bounds(np.array(found["draws"])) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_findings_are_drawn_by_their_area() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (40, 2)).astype(np.float32)
    targets[::9, 0] = np.nan
    p = np.clip(0.3 + 0.15 * np.nan_to_num(targets) + 0.5 * rng.random((40, 2)), 0, 1).astype(np.float32)
    groups = np.repeat(np.arange(10), 4)
    data = Labelled(None, np.arange(40), np.zeros(40, np.int64), ["x", "y"], groups, targets=targets)  # type: ignore[arg-type]
    tally = tally_of(data, "mean", drawn="auroc")
    tally.add(p, targets)
    found = tally.result()
    bounds = redrawn.bounds(np.array(found["draws"], dtype=float))
    assert bounds is not None
    assert bounds[0] < found["auroc"] < bounds[1]


@pytest.mark.parametrize("metric", METRICS)
def test_any_headline_is_drawn_again(metric: str) -> None:
    rng = np.random.default_rng(1)
    groups, codes = np.repeat(np.arange(15), 4), rng.integers(0, 3, 60)
    p = rng.dirichlet(np.ones(3), 60).astype(np.float32)
    p[np.arange(60), codes] += 0.4
    data = Labelled(None, np.arange(60), codes, ["a", "b", "c"], groups)  # type: ignore[arg-type]
    tally = tally_of(data, "mean", drawn=metric)
    for at in range(0, 60, 7):
        tally.add(p[at : at + 7], codes[at : at + 7])
    seed = redrawn.seed_of(groups)
    expected = bootstrap(lambda rows: score(p[rows], codes[rows])[metric], 60, groups=groups, seed=seed)
    found = redrawn.bounds(np.array(tally.result()["draws"]))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_any_headline_of_findings_is_drawn_again(metric: str) -> None:
    rng = np.random.default_rng(2)
    groups, targets = np.repeat(np.arange(15), 4), rng.integers(0, 2, (60, 2)).astype(np.float32)
    targets[::7, 1] = np.nan
    p = np.clip(0.25 * np.nan_to_num(targets) + 0.7 * rng.random((60, 2)), 0, 1).astype(np.float32)
    data = Labelled(None, np.arange(60), np.zeros(60, np.int64), ["x", "y"], groups, targets=targets)  # type: ignore[arg-type]
    tally = tally_of(data, "mean", drawn=metric)
    tally.add(p, targets)

    def anew(rows: np.ndarray) -> float:
        part = FindingsTally(["x", "y"])
        part.add(p[rows], targets[rows])
        return part.result()[metric]

    expected = bootstrap(anew, 60, groups=groups, seed=redrawn.seed_of(groups))
    found = redrawn.bounds(np.array(tally.result()["draws"]))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_parts_with_other_groups_are_drawn_independently_and_the_same_groups_together() -> None:
    home, away = np.repeat(np.arange(40), 3), np.repeat(np.arange(40, 80), 3)
    hits = np.repeat(np.arange(40) % 2 == 0, 3)
    ours, again, theirs = (np.array(drawn_of(hits, groups)["draws"]) for groups in (home, home, away))
    assert ours.tolist() == again.tolist()
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.2  # of 200 draws; 1 where the i-th of each are drawn together
    # Images of the same patients by another device, in another order and number.
    backwards = np.array(drawn_of(hits[::-1][::3], home[::-1][::3])["draws"])
    assert np.corrcoef(ours, backwards)[0, 1] == pytest.approx(1)


def test_the_interval_of_a_drop_adds_the_spreads_of_both_domains() -> None:
    home, away = np.repeat(np.arange(40), 3), np.repeat(np.arange(40, 80), 3)
    hits = np.repeat(np.arange(40) % 2 == 0, 3)
    row = {
        "arm": "a",
        "per_class": 1,
        "draws": drawn_of(hits, home)["draws"],
        "shift_draws": drawn_of(hits, away)["draws"],
    }
    drawn = redrawn.taken_from([row], "accuracy", ("", "shift_"))
    wide = [redrawn.spread(drawn, 1, ("a", metric)) for metric in ("accuracy", "shift_accuracy")]
    drop = redrawn.spread(drawn, 1, ("a", "accuracy"), ("a", "shift_accuracy"))
    both = np.hypot(*(part["group_high"] - part["group_low"] for part in wide))
    assert drop["group_high"] - drop["group_low"] == pytest.approx(both, rel=0.2)  # of 200 draws


def rows_of(arms: dict[str, np.ndarray]) -> list[dict]:
    groups = np.repeat(np.arange(20), 5)
    return [
        {"arm": arm, "per_class": 2, "seed": seed, "metric": "accuracy", **drawn_of(np.roll(hits, seed), groups)}
        for arm, hits in arms.items()
        for seed in (0, 1)
    ]


def test_the_interval_is_of_the_mean_over_seeds_and_differences_are_paired() -> None:
    hard = np.repeat(np.arange(20) % 2 == 0, 5)
    better = hard.copy()
    better[5::10] = True  # what the other arm knows, and an image of every other group: most of the spread is shared
    rows = rows_of({"ours": better, "theirs": hard})
    drawn = redrawn.taken_from(rows, "accuracy")
    assert all("draws" not in row for row in rows)
    assert [(row["arm"], row["metric"], len(row["values"])) for row in drawn] == [
        ("ours", "accuracy", redrawn.DRAWS), ("theirs", "accuracy", redrawn.DRAWS),
    ]  # fmt: skip
    summary = [{"arm": "ours", "per_class": 2, "metric": name} for name in ("accuracy", "macro_f1")]
    pair = [{"arm": "ours", "against": "theirs", "per_class": 2, "metric": "accuracy", "verdict": "better"}]
    redrawn.add_spreads([*summary, *pair], drawn)
    assert summary[0]["group_low"] < 0.5 < summary[0]["group_high"]
    assert "group_low" not in summary[1]
    width = pair[0]["group_high"] - pair[0]["group_low"]
    assert width < summary[0]["group_high"] - summary[0]["group_low"]
    assert pair[0]["verdict"] == "better"
    same = [{**pair[0], "against": "ours"}]  # over the groups no difference at all
    redrawn.add_spreads(same, drawn)
    assert same[0]["verdict"] == "undecided"
    assert redrawn.spread(drawn, 5, ("ours", "accuracy")) == {}


def test_draws_that_are_not_defined_are_left_out() -> None:
    rows = [
        {"arm": "a", "per_class": 1, "draws": [0.5, None, 0.7]},
        {"arm": "a", "per_class": 1, "draws": [0.3, 0.2, 0.5]},
    ]
    (found,) = redrawn.taken_from(rows, "auroc")
    assert found["values"] == [0.4, None, 0.6]
    assert redrawn.spread([found], 1, ("a", "auroc")) == pytest.approx({"group_low": 0.405, "group_high": 0.595})
    assert redrawn.bounds(np.array([0.5, np.nan])) is None


def test_groups_that_are_all_right_have_the_exact_interval_of_a_share() -> None:
    groups = np.repeat(np.arange(14), 3)
    scores = drawn_of(np.ones(42, bool), groups)
    exact = pytest.approx([0.768, 1.0], abs=5e-4)
    assert redrawn.with_interval(scores, "accuracy", groups)["intervals"]["accuracy"] == exact
    assert "intervals" not in redrawn.with_interval(scores, "auroc", groups)
    rows = [
        {"metric": name, "mean": mean, "group_low": low, "group_high": 1.0}
        for name, mean, low in (("accuracy", 1.0, 1.0), ("accuracy", 0.9, 0.8), ("auroc", 1.0, 1.0))
    ]
    redrawn.widen_spreads(rows, {"accuracy": 14})
    assert [row["group_low"] for row in rows] == [pytest.approx(0.768, abs=5e-4), 0.8, 1.0]


def test_areas_of_counts_are_those_of_the_drawn_rows() -> None:
    rng = np.random.default_rng(3)
    groups = np.sort(rng.integers(0, 12, 60))
    codes = np.where(groups < 6, rng.integers(0, 2, 60), 2)  # some draws lack a class
    p = rng.integers(0, 9, (60, 3)).astype(np.float32)  # many ties
    by_rows = resampled(lambda rows: auroc(p[rows], codes[rows]), 60, groups=groups, seed=5)
    by_counts = recounted(drawn_auroc(p, codes), 60, groups=groups, seed=5)
    assert by_counts == pytest.approx(by_rows, abs=1e-12)
    targets = rng.integers(0, 2, (60, 3)).astype(np.float32)
    targets[::4, 0], targets[:, 2] = np.nan, 1.0  # partly known; one value alone
    targets[groups > 1, 1] = 0.0  # both values in some draws only
    by_rows = resampled(lambda rows: headline(p[rows], targets[rows], "auroc"), 60, groups=groups, seed=5)
    by_counts = recounted(drawn_macro_auroc(p, targets), 60, groups=groups, seed=5)
    assert by_counts == pytest.approx(by_rows, abs=1e-12)


def test_counts_are_held_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "COUNTS", 100)
    seen: list[int] = []

    def mean(counts: np.ndarray) -> np.ndarray:
        seen.append(counts.shape[1])
        return (counts.T * np.arange(40)).sum(axis=1) / counts.sum(axis=0)

    found = recounted(mean, 40, draws=7)
    assert seen == [2, 2, 2, 1]
    assert found == pytest.approx(resampled(lambda rows: float(rows.mean()), 40, draws=7))


def test_an_area_of_nothing_known_is_not_defined() -> None:
    nothing = np.full((6, 2), np.nan, np.float32)
    assert np.isnan(recounted(drawn_macro_auroc(nothing, nothing), 6, draws=3)).all()
