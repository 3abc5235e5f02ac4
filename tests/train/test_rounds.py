"""Monitors while training: their rounds, patience with them, and the best one's weights."""

from __future__ import annotations

import pytest
import torch
from train_toys import Classes, Score, new_run, old_run, same, settings, weights

from foretell.train import fit


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def test_monitors_best_and_curve(tmp_path):
    score, other = Score([0.1, 0.5, 0.3, float("nan"), 0.4]), Score([1.0], every=7)
    other.name = "other"
    with new_run(tmp_path / "run") as run:
        result = fit(Classes(dropout=0.3), settings(steps=23), run, monitors=[score, other])
        lines = [(line["step"], line["name"], line["value"]) for line in run.metrics("monitor")]
    assert score.asked == [5, 10, 15, 20, 23]
    assert other.asked == [7, 14, 21, 23]
    assert (result.best.monitor, result.best.value, result.best.step) == ("score", 0.5, 10)
    assert [(step, value) for step, _, value in result.curve][:3] == [(5, 0.1), (10, 0.5), (15, 0.3)]
    assert (15, "score", 0.3) in lines
    assert (20, "score", None) in lines
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.pt", weights_only=True)
    assert best["step"] == 10


def test_monitors_and_health_do_not_disturb_training(tmp_path):
    plain, watched = Classes(dropout=0.3, norm=True), Classes(dropout=0.3, norm=True)
    fit(plain, settings())
    with new_run(tmp_path / "run") as run:
        fit(watched, settings(health_every=3), run, monitors=[Score([1.0])])
    assert same(weights(plain), weights(watched))


def test_early_stop():
    score = Score([5.0, 4.0, 4.5, 4.1, 4.2, 4.3], every=5, higher_is_better=False)
    result = fit(Classes(), settings(steps=100, patience=3), monitors=[score])
    assert (result.state, result.steps, result.best.step) == ("early", 25, 10)
    assert result.weights == 25, "there is no run that keeps the best ones"


def test_a_run_that_may_stop_early_ends_with_its_best_weights(tmp_path):
    trained, ten_steps = Classes(), Classes()
    with new_run(tmp_path / "run") as run:
        score = Score([5.0, 4.0, 4.5, 4.1, 4.2, 4.3], every=5, higher_is_better=False)
        result = fit(trained, settings(steps=100, patience=3), run, monitors=[score])
        told = [line["text"] for line in run.metrics("event")]
        facts = run.read_json("facts.json")
    assert (result.state, result.steps, result.weights) == ("early", 25, 10)
    assert facts["ended"] == {"state": "early", "steps": 25, "weights": 10}
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.pt", weights_only=True)
    ten_steps.load_state_dict(best["module"])
    assert same(weights(trained), weights(ten_steps))
    assert told[-1] == "step 25: the weights are those of step 10, whose score was best (4)"
    with old_run(tmp_path / "run") as run:
        again = fit(Classes(), settings(steps=100, patience=3), run, monitors=[score], resume=True)
        assert again.weights == 10
        assert [line["text"] for line in run.metrics("event")] == told, "what was said at its end is not said again"


def test_patience_that_runs_out_at_the_last_step_ends_nothing_early(tmp_path):
    """The whole budget was used: the run is finished, with its best weights, and resuming it says the same."""
    with new_run(tmp_path / "run") as run:
        result = fit(Classes(), settings(steps=20, patience=3), run, monitors=[Score([0.5, 0.1], every=5)])
        told = [line["text"] for line in run.metrics("event")]
        ended = run.read_json("facts.json")["ended"]
    assert (result.state, result.steps, result.weights) == ("finished", 20, 5)
    assert ended == {"state": "finished", "steps": 20, "weights": 5}
    assert not any("stopped early" in text for text in told)
    with old_run(tmp_path / "run") as run:
        again = fit(Classes(), settings(steps=20, patience=3), run, monitors=[Score([0.5], every=5)], resume=True)
    assert (again.state, again.weights) == ("finished", 5)


def test_rounds_are_as_many_as_asked_for_and_kept_on_resuming(tmp_path):
    whole, score = Classes(), Score([0.1], every=100)
    config = settings(steps=23, patience=9, checkpoint_every=4, keep=99)
    with new_run(tmp_path / "run") as run:
        result = fit(whole, config, run, monitors=[score], rounds=10)
        told = [line["text"] for line in run.metrics("event")]
    assert score.asked == [*range(2, 21, 2)], "the tenth is the ninth without improvement"
    assert (result.state, result.weights) == ("early", 2)
    assert told[0] == "step 0: training.patience = 9: 12 rounds of score in 23 steps, every 2 steps"
    for path in sorted((tmp_path / "run" / "checkpoints").glob("0*.pt"))[3:]:
        path.unlink()
    again, score = Classes(seed=5), Score([0.1], every=100)
    with old_run(tmp_path / "run") as run:
        result = fit(again, config, run, monitors=[score], resume=True)
    assert score.asked == [*range(10, 21, 2)]
    assert result.state == "early"
    assert same(weights(again), weights(whole))


def test_rounds_are_told_of_a_run_that_was_stopped_before_its_first_checkpoint(tmp_path):
    score = Score([0.1], every=100)
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(steps=20, patience=9), run, monitors=[score], rounds=10, resume=True)
        told = [line["text"] for line in run.metrics("event")]
    assert told[0] == (
        "step 0: training.patience = 9: 10 rounds of score in 20 steps, every 2 steps, too few to end the run early; lower "
        "training.health_every, or give a longer budget"
    )
    assert score.asked == [*range(2, 21, 2)]


def test_rounds_within_a_budget_of_time(tmp_path):
    score = Score([0.1], every=10**6)
    with new_run(tmp_path / "run") as run:
        result = fit(Classes(), settings(steps=None, time="0.5s", patience=99), run, monitors=[score], rounds=10)
    every = result.measured["steps_per_round"]
    assert 1 <= every <= max(1, result.steps // 5)
    assert score.asked[1:] == [step for step in range(1, result.steps + 1) if not step % every or step == result.steps]


def test_patience_longer_than_the_rounds_is_told(tmp_path):
    with new_run(tmp_path / "run") as run:
        result = fit(Classes(), settings(steps=8, patience=3), run, monitors=[Score([0.5], every=100)])
        told = [line["text"] for line in run.metrics("event")]
    assert result.state == "finished"
    assert told[0] == (
        "step 0: training.patience = 3: 1 round of score in 8 steps, every 100 steps, too few to end the run early; lower "
        "training.health_every, or give a longer budget"
    )


@pytest.mark.parametrize(("before", "said"), [(0.7, True), (0.5, False)])
def test_an_untrained_network_that_was_best_is_told(tmp_path, before, said):
    with new_run(tmp_path / "run") as run:
        run.log("monitor", step=0, name="score", value=before)
        fit(Classes(), settings(steps=10, patience=3), run, monitors=[Score([0.4, 0.6])])
        told = [line["text"] for line in run.metrics("event")]
    text = "step 10: score was best before training (0.7): no round came up to it, the best one with 0.6 at step 10; "
    assert any(line.startswith(text) for line in told) == said


def test_patience_without_a_monitor_is_told(tmp_path):
    with new_run(tmp_path / "run") as run:
        result = fit(Classes(), settings(steps=4, patience=3), run)
        told = [line["text"] for line in run.metrics("event")]
    assert (result.state, result.weights) == ("finished", 4)
    assert any("training.patience has no effect: nothing is monitored" in text for text in told)
