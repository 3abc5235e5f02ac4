from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from foretell.measures.intervals import bootstrap, exact_share, paired, t_interval, told_interval, widened


def test_t_interval_equals_scipy() -> None:
    values = [0.71, 0.78, 0.69, 0.74]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    found = t_interval(values)
    assert (found.mean, found.low, found.high, found.n) == (
        pytest.approx(0.73),
        pytest.approx(low),
        pytest.approx(high),
        4,
    )


def test_one_value_has_no_interval() -> None:
    found = t_interval([0.5, math.nan])
    assert found.n == 1
    assert math.isnan(found.low)
    assert found.verdict == "undecided"
    assert t_interval([]).n == 0


def test_pairs_remove_what_seeds_share() -> None:
    ours, others = [0.50, 0.70, 0.90], [0.45, 0.64, 0.86]
    assert paired(ours, others).verdict == "better"
    assert paired(others, ours).verdict == "worse"
    assert t_interval(ours).low < t_interval(others).mean
    assert paired([0.5, 0.7], [0.45, 0.75]).verdict == "undecided"
    with pytest.raises(ValueError, match="equal numbers"):
        paired([1.0], [])


def test_equal_differences_leave_the_spread_unknown_and_decide_nothing() -> None:
    one_image_apart = [25 / 36, 28 / 36, 22 / 36], [24 / 36, 27 / 36, 21 / 36]
    found = paired(*one_image_apart)
    assert found.mean == pytest.approx(1 / 36)
    assert (found.verdict, paired(*one_image_apart[::-1]).verdict) == ("undecided", "undecided")
    assert paired([26 / 36, 29 / 36, 24 / 36], [24 / 36, 27 / 36, 21 / 36]).verdict == "better"


def test_bootstrap_agrees_with_the_normal_approximation() -> None:
    hits = np.random.default_rng(0).random(1000) < 0.8
    found = bootstrap(lambda rows: float(hits[rows].mean()), 1000, draws=2000)
    half = 1.96 * math.sqrt(found.mean * (1 - found.mean) / 1000)
    assert found.mean == hits.mean()
    assert found.low == pytest.approx(found.mean - half, abs=0.004)
    assert found.high == pytest.approx(found.mean + half, abs=0.004)


def test_groups_widen_the_interval() -> None:
    hits = np.repeat(np.random.default_rng(0).random(50) < 0.8, 20)
    groups = np.repeat(np.arange(50), 20)

    def width(**more: object) -> float:
        found = bootstrap(lambda rows: float(hits[rows].mean()), 1000, draws=500, **more)
        return found.high - found.low

    assert width(groups=groups) > 3 * width()


def test_undefined_draws_are_left_out() -> None:
    found = bootstrap(lambda rows: math.nan if rows[0] % 2 else 1.0, 10)
    assert (found.low, found.high) == (1.0, 1.0)


@pytest.mark.parametrize(("n", "bound"), [(1, 0.025), (2, 0.158), (14, 0.768)])
def test_all_right_or_all_wrong_has_the_exact_interval_of_a_share(n: int, bound: float) -> None:
    assert exact_share(1.0, n) == (pytest.approx(bound, abs=5e-4), 1.0)
    assert exact_share(0.0, n) == (0.0, pytest.approx(1 - bound, abs=5e-4))
    exact = stats.binomtest(n, n).proportion_ci(0.95, "exact")
    assert exact_share(1.0, n) == pytest.approx((exact.low, exact.high))


def test_equal_draws_are_widened_over_their_groups_and_others_stay() -> None:
    right, groups = np.ones(6), np.array([0, 0, 0, 1, 1, 1])
    drawn = bootstrap(lambda rows: float(right[rows].mean()), 6, groups=groups)
    assert (drawn.low, drawn.high) == (1.0, 1.0)
    found = widened(drawn, share=True, groups=groups)
    assert told_interval(found.low, found.high) == "15.8% to 100.0%"
    assert math.isnan(widened(drawn, share=False, groups=groups).low)
    assert told_interval(None, None) == "no interval: all draws alike"
    right[0] = 0
    wide = bootstrap(lambda rows: float(right[rows].mean()), 6)
    assert widened(wide, share=True) is wide
