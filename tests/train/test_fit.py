from __future__ import annotations

import json
import math
import signal

import pytest
import torch
from train_toys import (
    PLAIN,
    Breaks,
    Classes,
    Mixed,
    Pairs,
    Rivals,
    Score,
    Terminated,
    new_run,
    old_run,
    same,
    settings,
    weights,
)

from foretell.counters import seed_of
from foretell.errors import ForetellError, InputError
from foretell.train import TrainingConfig, fit, loop
from foretell.train import feed as feeding
from foretell.train.feed import stream_of
from foretell.train.progress import PlainProgress


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


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
