from __future__ import annotations

import json
import math
import os
import signal
import sys

import pytest
import torch
from train_toys import Breaks, Classes, Mixed, Pairs, Rivals, new_run, old_run, same, weights

from foretell.counters import seed_of
from foretell.errors import ForetellError, InputError
from foretell.train import TrainingConfig, fit, loop, trackers
from foretell.train import feed as feeding
from foretell.train.feed import stream_of
from foretell.train.progress import PlainProgress

PLAIN = {"precision": "float32", "layout": "contiguous", "device": "cpu", "optimizer": "adamw", "rate": 0.01}


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def settings(**more) -> TrainingConfig:
    return TrainingConfig(**({"batch": 64, "steps": 40} | PLAIN | more))


class Terminated(Classes):
    """Asked to stop while its eighth batch is drawn."""

    def draw(self, stream, seed, step, rows):
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().draw(stream, seed, step, rows)


class Score:
    """A monitor with the values it is told."""

    name = "score"

    def __init__(self, values, every=5, higher_is_better=True):
        self.values, self.every, self.higher_is_better = list(values), every, higher_is_better
        self.asked = []

    def __call__(self, trainable, step):
        self.asked.append(step)
        trainable.eval()
        torch.manual_seed(99)
        return self.values[min(len(self.asked), len(self.values)) - 1]


@pytest.mark.parametrize("cls", [Classes, Pairs, Rivals, Mixed])
def test_it_learns(cls):
    toy = cls(dropout=0.1)
    first = fit(cls(dropout=0.1), settings(steps=1))
    result = fit(toy, settings(steps=150))
    assert result.steps == 150
    assert result.samples == 150 * 64
    assert result.state == "finished"
    if cls is not Mixed:
        assert result.loss < first.loss - 0.5


def test_without_a_run_nothing_is_measured_and_no_trace_is_left(tmp_path, monkeypatch):
    def asked(*_, **__):
        raise AssertionError("measured the machine for nobody")

    for name in ("checked_limits", "describe"):
        monkeypatch.setattr(loop, name, asked)
    monkeypatch.chdir(tmp_path)
    toy = Classes(dropout=0.5)
    toy.head.eval()
    fit(toy, settings(steps=1))
    state = torch.get_rng_state()
    fit(toy, settings(steps=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert toy.training
    assert not toy.head.training
    assert list(tmp_path.iterdir()) == []


def test_equal_seeds_are_equal_and_drawing_ahead_changes_nothing(monkeypatch):
    results = []
    for quick, seed in ((10.0, 0), (-1.0, 0), (10.0, 1)):
        monkeypatch.setattr(feeding, "QUICK", quick)
        toy = Mixed(dropout=0.2)
        fit(toy, settings(seed=seed))
        results.append(weights(toy))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_drawing_ahead_passes_errors_on(monkeypatch):
    monkeypatch.setattr(feeding, "QUICK", -1.0)

    class Bad(Classes):
        def draw(self, stream, seed, step, rows):
            if step == 5:
                raise InputError("row 7 cannot be read")
            return super().draw(stream, seed, step, rows)

    with pytest.raises(InputError, match="row 7"):
        fit(Bad(), settings())


def test_a_player_moves_only_its_own_parameters():
    class OnlyCritic(Rivals):
        def players(self):
            return {"critic": super().players()["critic"]}

    toy = OnlyCritic()
    before = weights(toy)
    fit(toy, settings(steps=5))
    moved = {name.split(".")[0] for name, tensor in weights(toy).items() if not torch.equal(tensor, before[name])}
    assert moved == {"critic"}

    toy = Rivals()
    fit(toy, settings(steps=5, weight_decay=0.1))
    moved = {name.split(".")[0] for name, tensor in weights(toy).items() if not torch.equal(tensor, before[name])}
    assert moved == {"encoder", "head", "critic"}  # what no loss uses is not even decayed


def test_two_players_step_in_order_on_one_shared_forward_pass():
    calls = []

    class Noted(Rivals):
        def loss(self, task, player):
            calls.append((player, "code" in task.cache))
            return super().loss(task, player)

    fit(Noted(), settings(steps=2))
    assert calls == [("critic", False), ("main", True)] * 2


def test_streams_by_weight():
    toy = Mixed()
    drawn = [stream_of(toy, 3, step) for step in range(2000)]
    assert drawn.count("labelled") / 2000 == pytest.approx(0.75, abs=0.03)
    assert drawn == [stream_of(toy, 3, step) for step in range(2000)]
    assert drawn != [stream_of(toy, 4, step) for step in range(2000)]


def test_clip():
    big = TrainingConfig(
        **PLAIN | {"optimizer": "sgd", "rate": 1.0}, batch=64, steps=1, momentum=0, weight_decay=0, warmup=0
    )
    moved = {}
    for clip in (None, 1e-3):
        toy = Classes()
        before = weights(toy)
        fit(toy, big.model_copy(update={"clip": clip}))
        after = weights(toy)
        moved[clip] = math.sqrt(sum(float((after[name] - before[name]).square().sum()) for name in after))
    assert moved[None] > 0.01
    assert moved[1e-3] == pytest.approx(1e-3, rel=1e-2)


# not finite -----------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite(tmp_path):
    with new_run(tmp_path / "run") as run, pytest.raises(ForetellError) as raised:
        fit(Breaks(width=12), settings(checkpoint_every=5), run)
    text = str(raised.value)
    assert text.startswith("step 13: the loss 'penalty' is nan")
    assert "lower training.rate" in text
    assert "float32" in text
    assert "\n" not in text
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["00000010.pt"]
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["message"]) == ("failed", text)


def test_a_gradient_that_is_not_finite_changes_nothing():
    class Steep(Classes):
        def loss(self, task, player):
            total = super().loss(task, player)["total"]
            return {"total": total + (self.head.weight * 0).square().sum().sqrt()}  # 0 * inf in the gradient

    toy = Steep()
    before = weights(toy)
    with pytest.raises(ForetellError, match="step 1: the gradient is not finite; "):
        fit(toy, settings())
    assert same(weights(toy), before)


def test_the_player_is_named():
    class Bad(Rivals):
        def loss(self, task, player):
            losses = super().loss(task, player)
            return losses if player == "critic" else {"total": losses["total"] * float("inf")}

    with pytest.raises(ForetellError, match=r"step 1: the loss 'total' is -?inf of player 'main'"):
        fit(Bad(), settings())


# monitors ---------------------------------------------------------------------------------------------------------------


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
    assert told[0] == "step 0: training.patience = 9: 10 rounds of score in 20 steps, every 2 steps"
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


# budget -------------------------------------------------------------------------------------------------------------------


def test_epochs():
    assert fit(Classes(count=640), settings(steps=None, epochs=1.5)).steps == 15
    assert fit(Classes(count=64), settings(steps=None)).steps == 100


def test_a_time_budget_becomes_steps_and_changes_nothing_else(tmp_path):
    timed = Rivals(dropout=0.2, norm=True)
    with new_run(tmp_path / "run") as run:
        result = fit(timed, settings(steps=None, time="4s"), run, monitors=[Score([1.0])])
        measured = run.read_json("facts.json")["measured"]
    assert measured["steps"] == result.steps > 1
    # what is left after measuring, in steps of the measured length
    assert 0 < result.steps * measured["seconds_per_step"] <= 4
    told = Rivals(dropout=0.2, norm=True)
    fit(told, settings(steps=result.steps))
    assert same(weights(timed), weights(told))


def test_a_time_budget_too_short_for_a_step_says_so(tmp_path, monkeypatch, capsys):
    from foretell.train import measure
    from foretell.train.progress import PlainProgress

    monkeypatch.setattr(measure, "seconds_per_step", lambda *_: 90.0)
    result = fit(Rivals(), settings(steps=None, time="20s"), progress=PlainProgress())
    assert result.steps == 1
    assert (
        "20s are over before one step (about 1 min 30 s), of which one is taken all the same" in capsys.readouterr().err
    )


# choices ----------------------------------------------------------------------------------------------------------------------


def test_measuring_precision_and_layout_changes_nothing(tmp_path, monkeypatch):
    from foretell.train import measure
    from foretell.train.machine import Limits

    tried = []
    work = measure._Trial.work

    def noted(self, stepper):
        tried.append((stepper.precision, stepper.layout))
        return work(self, stepper)

    monkeypatch.setattr(measure._Trial, "work", noted)
    monkeypatch.setattr(measure, "limits", lambda device: Limits(1.0, 2.0, 1.0))

    class Pictures(Classes):
        def build(self):
            super().build()
            self.encoder = torch.nn.Sequential(
                torch.nn.Unflatten(1, (1, 8, 8)),
                torch.nn.Conv2d(1, 8, 3),
                torch.nn.BatchNorm2d(8),
                torch.nn.Conv2d(8, 16, 3),
                torch.nn.AdaptiveAvgPool2d(1),
                torch.nn.Flatten(),
            )

    auto = Pictures()
    with new_run(tmp_path / "run") as run:
        fit(auto, settings(steps=4, precision="auto", layout="auto"), run)
        measured = run.read_json("facts.json")["measured"]
    pairs = [("float32", "contiguous"), ("float32", "channels_last"), ("bfloat16", "channels_last")]
    assert tried[:3] == tried[3:6] == pairs
    told = Pictures()
    fit(told, settings(steps=4, precision=measured["precision"], layout=measured["layout"]))
    assert same(weights(auto), weights(told))

    tried.clear()
    monkeypatch.setattr(measure, "limits", lambda device: Limits(2.0, 1.0, 1.0))
    fit(Pictures(), settings(steps=1, precision="auto", layout="auto"))
    assert ("bfloat16", "channels_last") not in tried
    tried.clear()
    fit(Pictures(), settings(steps=1))
    assert tried == []


def test_bfloat16_trains_close_to_float32():
    toys = {}
    for precision in ("float32", "bfloat16"):
        toys[precision] = Classes()
        result = fit(toys[precision], settings(steps=30, precision=precision))
        assert math.isfinite(result.loss)
    a, b = toys.values()
    assert a.head.weight.dtype == b.head.weight.dtype == torch.float32
    assert not torch.equal(a.head.weight, b.head.weight)
    torch.testing.assert_close(a.head.weight, b.head.weight, rtol=0.1, atol=0.05)


def test_threads_are_restored():
    before = torch.get_num_threads()
    seen = []

    class Noted(Classes):
        def hide(self, batch, rng):
            seen.append(torch.get_num_threads())
            return super().hide(batch, rng)

    fit(Noted(), settings(steps=1, threads=before + 1))
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


# the run folder -----------------------------------------------------------------------------------------------------------------


def test_what_a_run_writes(tmp_path, capsys):
    with new_run(tmp_path / "run") as run:
        run.write_json("facts.json", {"data": {"count": 5}})
        result = fit(
            Pairs(),
            settings(optimizer="lars", rate="auto", health_every=20),
            run,
            progress=PlainProgress("pretraining"),
        )
        steps = list(run.metrics("step"))
        health = list(run.metrics("health"))
        facts, status = run.read_json("facts.json"), run.read_json("status.json")
    assert [line["step"] for line in steps] == list(range(1, 41))
    assert steps[-1].keys() >= {"total", "rate", "samples_per_second", "share_of_peak", "seconds"}
    assert 0 < steps[-1]["share_of_peak"] < 1
    assert [line["step"] for line in health] == [20, 40]
    assert health[0].keys() >= {"rankme", "deviation", "alignment", "uniformity", "verdict"}
    assert facts["data"] == {"count": 5}
    assert facts["machine"].keys() == {
        "cpu",
        "cores",
        "threads",
        "float32_flops",
        "bfloat16_flops",
        "copy_bytes_per_s",
        "device",
    }
    # 64 x 16 and 16 x 8 weights, two views, two operations, forward and backward (no gradient of the input)
    assert facts["measured"]["flops_per_sample"] == pytest.approx(2 * 2 * (2 * 64 * 16 + 3 * 16 * 8), rel=0.05)
    assert facts["cost"]["samples"] == result.samples == 40 * 64
    assert facts["cost"]["flops"] == result.flops > 0
    assert result.peak_memory_bytes > 50e6
    assert (status["state"], status["step"], status["steps"]) == ("finished", 40, 40)
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "pretraining: 40 steps"
    assert shown[-1].startswith("pretraining: finished at step 40 of 40")


def test_sigterm_ends_with_a_checkpoint(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with new_run(tmp_path / "run") as run:
        result = fit(Terminated(), settings(), run)
        status = run.read_json("status.json")
    assert result.state == "stopped"
    assert result.steps in (7, 8)  # its eighth batch is drawn ahead, beside the seventh step
    assert (status["state"], status["step"]) == ("stopped", result.steps)
    assert (tmp_path / "run" / "checkpoints" / f"{result.steps:08d}.pt").is_file()
    assert signal.getsignal(signal.SIGTERM) is before
    with new_run(tmp_path / "other") as run:
        whole = Classes()
        fit(whole, settings(), run)
    again = Classes(seed=5)
    with old_run(tmp_path / "run") as run:
        assert fit(again, settings(), run, resume=True).state == "finished"
    assert same(weights(again), weights(whole))


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(steps=5, tensorboard=True), run, monitors=[Score([0.25])])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("step/total")] == [1, 2, 3, 4, 5]
    assert events.Scalars("monitor/score")[0].value == 0.25


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_tracker_that_is_missing(name, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with new_run(tmp_path / "run") as run, pytest.raises(InputError, match=r"pip install 'foretell\[track\]'"):
        fit(Classes(), settings(**{name: True}), run)


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_run_goes_on_without_a_tracker_that_is_missing(name, module, tmp_path, monkeypatch):
    with new_run(tmp_path / "run") as run:
        fit(Terminated(), settings(steps=12), run)
    monkeypatch.setitem(sys.modules, module, None)
    with old_run(tmp_path / "run") as run:
        assert fit(Classes(), settings(steps=12, **{name: True}), run, resume=True).state == "finished"
        told = [line["text"] for line in run.metrics("event")]
    title = trackers.KINDS[name].title
    assert any(line.startswith(f"step 8: {title} is not written to any more (") for line in told), told


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'server.db'}")
    with new_run(tmp_path / "run") as run:
        fit(Terminated(), settings(steps=12, mlflow=True), run, monitors=[Score([0.25])])
    with old_run(tmp_path / "run") as run:
        fit(Classes(seed=5), settings(steps=12, mlflow=True), run, monitors=[Score([0.25])], resume=True)
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("foretell").experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    history = client.get_metric_history(found.info.run_id, "step/total")
    assert {one.step for one in history} == set(range(1, 13))
    assert found.data.metrics["monitor/score"] == 0.25


def test_an_mlflow_that_cannot_be_used(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite://me:secret@/{tmp_path}/none/at/all.db")
    with (
        new_run(tmp_path / "run") as run,
        pytest.raises(InputError, match=r"training\.mlflow: .* cannot be used") as told,
    ):
        fit(Classes(), settings(mlflow=True), run)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_what_cannot_be_tracked_any_more_does_not_end_a_run(name, tmp_path, monkeypatch):
    class Gone:
        title = "The server"

        def __init__(self, run, step):
            pass

        @staticmethod
        def imported():
            return None

        def log(self, step, values):
            raise ConnectionError("refused\nin many lines")

        def close(self, state):
            raise ConnectionError

    monkeypatch.setitem(trackers.KINDS, name, Gone)
    with new_run(tmp_path / "run") as run:
        assert fit(Classes(), settings(steps=5, **{name: True}), run).state == "finished"
    logged = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    told = [line["text"] for line in logged if line["kind"] == "event"]
    assert "step 1: The server is not written to any more (refused)" in told


def test_a_slow_run_is_saved_by_the_clock(tmp_path, monkeypatch):
    from foretell.train import loop

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(steps=4, checkpoint_every=100, keep=9), run)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 5


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(InputError, match=f"device '{device}'"):
        fit(Classes(), settings(device=device))


def test_nothing_to_train():
    toy = Classes()
    toy.requires_grad_(False)
    with pytest.raises(InputError, match="nothing to train"):
        fit(toy, settings())


def test_ctrl_c_before_the_first_step(tmp_path, monkeypatch):
    from foretell.train import measure

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "choose", interrupted)
    with new_run(tmp_path / "run") as run, pytest.raises(KeyboardInterrupt):
        fit(Classes(), settings(), run)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"


def test_seeds_depend_on_names():
    assert seed_of(0, 1, "torch") != seed_of(0, "1", "torch")
