from __future__ import annotations

import itertools
import math

import pytest
from pydantic import ValidationError

from foretell.errors import InputError
from foretell.train.budget import Pace, parse_budget, seconds_of, steps_per_round
from foretell.train.config import TrainingConfig
from foretell.train.schedule import linear_rule, peak_rate, rate_at, warmup_steps


def test_published_rates():
    assert peak_rate(TrainingConfig(batch=4096)) == pytest.approx(4.8)
    assert linear_rule(4096) == pytest.approx(4.8)
    assert peak_rate(TrainingConfig(batch=256)) == pytest.approx(1.2)
    assert linear_rule(256) == pytest.approx(0.3)
    assert peak_rate(TrainingConfig(batch=256, optimizer="sgd")) == pytest.approx(0.1)
    assert peak_rate(TrainingConfig(batch=1024, optimizer="adamw")) == pytest.approx(2e-3)
    assert peak_rate(TrainingConfig(rate=0.5)) == 0.5


def test_warm_up_then_cosine():
    config = TrainingConfig(rate=2.0, warmup=0.1)
    rates = [rate_at(step, 100, config) for step in range(100)]
    assert rates[:3] == pytest.approx([2 / 11, 4 / 11, 6 / 11])
    assert rates[10] == 2.0 == max(rates)
    assert rates[10 + 45] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1 - math.cos(math.pi / 90), rel=1e-6)
    assert rate_at(100, 100, config) == pytest.approx(0, abs=1e-12)
    assert all(after < before for before, after in itertools.pairwise(rates[10:]))


def test_constant_and_short_runs():
    config = TrainingConfig(rate=1.0, warmup=0.0, schedule="constant")
    assert {rate_at(step, 7, config) for step in range(7)} == {1.0}
    assert rate_at(0, 1, TrainingConfig(rate=1.0)) == 1.0
    assert warmup_steps(1, TrainingConfig(warmup=0.99)) == 0
    assert warmup_steps(3, TrainingConfig(warmup=0.99)) == 2


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5m", {"time": "5m"}),
        ("90 s", {"time": "90s"}),
        ("2h", {"time": "2h"}),
        ("1.5h", {"time": "1.5h"}),
        ("1h30m", {"time": "1h30m"}),
        ("50 epochs", {"epochs": 50.0}),
        ("0.5 epoch", {"epochs": 0.5}),
        ("2000 steps", {"steps": 2000}),
    ],
)
def test_budgets(text, budget):
    assert parse_budget(text) == budget
    TrainingConfig(**budget)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "0s", "0 steps", "1.5 steps", "five minutes", "5 days"])
def test_not_a_budget(text):
    with pytest.raises(InputError, match="write it as 5m, 90s, 2h, '50 epochs' or '2000 steps'"):
        parse_budget(text)


def test_seconds():
    assert [seconds_of(text) for text in ("90s", "5m", "5min", "2h", "1h1m1s", "0.5m")] == [
        90,
        300,
        300,
        7200,
        3661,
        30,
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time": "soon"}, "'soon' is not a time"),
        ({"rate": 0.0}, "above 0"),
        ({"rate": float("nan")}, "finite number"),
        ({"epochs": 3, "steps": 4}, "one budget, not epochs and steps"),
        ({"batch": 0}, "greater than or equal to 1"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(ValidationError, match=message):
        TrainingConfig(**settings)


def test_a_step_has_its_share_of_what_is_beside_it() -> None:
    pace = Pace(1.0, 0.5, [(10, 20.0), (100, 50.0)])
    assert pace.seconds() == pytest.approx(1 + 0.5 + 2 + 0.5)
    assert pace.seconds(most=5) == pytest.approx(1 + 0.5 + 4 + 10)
    assert Pace(2.0).seconds() == 2.0
    assert [steps_per_round(steps, 10) for steps in (95, 100.5, 3)] == [9, 10, 1]
