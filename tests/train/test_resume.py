from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from train_toys import Classes, Pairs, Rivals, Terminated, new_run, old_run, same, weights

from foretell.errors import ForetellError, InputError
from foretell.train import TrainingConfig, checkpoint, fit


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def settings(**more) -> TrainingConfig:
    plain = {"precision": "float32", "layout": "contiguous", "device": "cpu", "batch": 64, "steps": 30}
    return TrainingConfig(**(plain | {"optimizer": "adamw", "rate": 0.01, "checkpoint_every": 7} | more))


class Loss:
    """A monitor: validation loss that gets worse from the third round on."""

    name, every, higher_is_better = "loss", 4, False

    def __init__(self):
        self.rounds = []

    def __call__(self, trainable, step):
        self.rounds.append(step)
        return abs(step - 12.0)


def state_of(path) -> dict:
    saved = checkpoint.load(path)
    return {key: saved[key] for key in ("module", "optimizers", "step", "health", "early", "best")}


def equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.mark.parametrize(
    ("cls", "more"),
    [
        (Rivals, {"optimizer": "adamw"}),
        (Rivals, {"optimizer": "lars", "rate": 2.0}),
        (Pairs, {"optimizer": "sgd", "rate": 0.5, "chunk": 32, "norm": False}),
    ],
)
def test_resuming_from_every_checkpoint_is_bit_equal(tmp_path, cls, more):
    more = dict(more)
    own = {"dropout": 0.3, "norm": more.pop("norm", True)}
    config = settings(keep=100, health_every=5, **more)
    whole = cls(**own)
    with new_run(tmp_path / "whole") as run:
        result = fit(whole, config, run, monitors=[Loss()])
        lines = [line for line in run.metrics() if line["kind"] != "event"]
    found = checkpoint.all_in(tmp_path / "whole" / "checkpoints")
    assert [path.name for path in found] == [f"{step:08d}.pt" for step in (0, 7, 14, 21, 28, 30)]
    for path in found:
        copy = tmp_path / f"from-{path.stem}"
        shutil.copytree(tmp_path / "whole", copy)
        again = cls(seed=77, **own)  # what it starts from must not matter
        with old_run(copy) as run:
            resumed = fit(again, config, run, resume=copy / "checkpoints" / path.name, monitors=[Loss()])
            resumed_lines = [line for line in run.metrics() if line["kind"] != "event"]
        assert same(weights(again), weights(whole)), path.name
        assert equal(state_of(copy / "checkpoints" / "00000030.pt"), state_of(found[-1]))
        assert (resumed.steps, resumed.loss, resumed.best) == (result.steps, result.loss, result.best)
        assert [row[0] for row in resumed.curve] == [row[0] for row in result.curve]
        clock = {"time", "seconds", "samples_per_second", "share_of_peak"}
        kept = [{key: line[key] for key in line.keys() - clock} for line in lines]
        assert [{key: line[key] for key in line.keys() - clock} for line in resumed_lines] == kept


class Unreadable(Classes):
    """A sample of its tenth batch cannot be read."""

    def draw(self, stream, seed, step, rows):
        if step == 9:
            raise InputError("scan.png: not an image")
        return super().draw(stream, seed, step, rows)


def test_what_ends_a_resumed_run_is_told_in_it(tmp_path):
    with new_run(tmp_path / "run") as run:
        fit(Terminated(), settings(), run)
    with old_run(tmp_path / "run") as run:
        with pytest.raises(InputError, match="not an image"):
            fit(Unreadable(), settings(), run, resume=True)
        status = run.read_json("status.json")
    assert (status["state"], status["step"], status["message"]) == ("failed", 9, "scan.png: not an image")


def test_resuming_without_a_checkpoint_starts_at_the_beginning(tmp_path):
    toy = Classes()
    with new_run(tmp_path / "run") as run:
        run.log("step", step=3, total=1.0)
        assert fit(toy, settings(), run, resume=True).steps == 30
        assert [line["step"] for line in run.metrics("step")] == list(range(1, 31))


def test_the_measured_choices_are_not_measured_again(tmp_path, monkeypatch):
    from foretell.train import measure

    config = settings(steps=None, time="1s", precision="auto", layout="auto", threads=1)
    with new_run(tmp_path / "run") as run:
        first = fit(Classes(), config, run)
        measured = run.read_json("facts.json")["measured"]
    whole, killed = tmp_path / "run", tmp_path / "killed"
    shutil.copytree(whole, killed)
    for path in checkpoint.all_in(killed / "checkpoints"):
        path.unlink()  # killed before its first checkpoint: the facts are there already

    def never(*args, **more):
        raise AssertionError("measured again")

    for name in ("choose", "seconds_per_step", "flops_per_sample"):
        monkeypatch.setattr(measure, name, never)
    for path in (whole, killed):
        with old_run(path) as run:
            second = fit(Classes(), config, run, resume=True)
            assert run.read_json("facts.json")["measured"] == measured
        assert second.steps == first.steps


@pytest.mark.parametrize("now", [{"steps": 12}, {"steps": None, "epochs": 2}])
def test_another_budget_is_followed_where_nothing_was_trained_yet(tmp_path, now):
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(steps=6), run)
    for path in checkpoint.all_in(tmp_path / "run" / "checkpoints"):
        path.unlink()
    with new_run(tmp_path / "whole") as run:
        whole = fit(Classes(), settings(**now), run)
    with old_run(tmp_path / "run") as run:
        found = fit(Classes(), settings(**now), run, resume=True)
        assert run.read_json("facts.json")["measured"]["steps"] == found.steps == whole.steps


def test_a_finished_and_an_early_stopped_run_have_nothing_to_do(tmp_path):
    for name, config in (("a", settings()), ("b", settings(steps=90, patience=3))):
        with new_run(tmp_path / name) as run:
            first = fit(Classes(), config, run, monitors=[Loss()])
        with old_run(tmp_path / name) as run:
            monitor = Loss()
            second = fit(Classes(), config, run, resume=True, monitors=[monitor])
        assert monitor.rounds == []
        assert (second.state, second.steps) == (first.state, first.steps)
    assert first.state == "early"


@pytest.mark.parametrize(
    ("now", "own", "message"),
    [
        ({"rate": 0.02}, {}, r"training.rate was 0.01 when this run began and is 0.02 now"),
        ({"batch": 32}, {}, r"training.batch was 64"),
        ({"betas": (0.9, 0.95)}, {}, r"training.betas was \[0.9, 0.999\]"),
        ({}, {"dropout": 0.5}, r"objective.dropout was 0.0"),
        ({"steps": None, "epochs": 3}, {}, r"training.epochs was None when this run began and is 3.0 now"),
    ],
)
def test_a_changed_recipe_is_refused(tmp_path, now, own, message):
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(), run)
    before = (tmp_path / "run" / "status.json").read_text()
    with old_run(tmp_path / "run") as run, pytest.raises(InputError, match=message):
        fit(Classes(**own), settings(**now), run, resume=True)
    assert (tmp_path / "run" / "status.json").read_text() == before


def test_settings_that_change_nothing_may_change(tmp_path):
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(), run)
    with old_run(tmp_path / "run") as run:
        fit(Classes(), settings(checkpoint_every=9, health_every=3, keep=2), run, resume=True)


def test_changed_data_is_refused(tmp_path):
    class Store:
        fingerprint = "abc"

    toy = Classes()
    toy.store = Store()
    with new_run(tmp_path / "run") as run:
        fit(toy, settings(), run)
    toy.store.fingerprint = "abd"
    with old_run(tmp_path / "run") as run, pytest.raises(InputError, match=r"data.fingerprint was 'abc'"):
        fit(toy, settings(), run, resume=True)


def test_another_network_is_refused(tmp_path):
    class Wide(Classes):
        def build(self):
            super().build()
            self.head = torch.nn.Linear(16, 11)

    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(), run)
    with (
        old_run(tmp_path / "run") as run,
        pytest.raises(ForetellError, match=r"another network: size mismatch for head"),
    ):
        fit(Wide(), settings(), run, resume=True)


def test_a_damaged_checkpoint_and_a_malicious_one(tmp_path):
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(keep=3), run)
    last = checkpoint.latest(tmp_path / "run" / "checkpoints")
    last.write_bytes(last.read_bytes()[:-200])
    with (
        old_run(tmp_path / "run") as run,
        pytest.raises(InputError, match=r"00000030.pt: not a readable checkpoint \([^.]*\); delete it: --resume then"),
    ):
        fit(Classes(), settings(), run, resume=True)

    class Malicious:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"format": 1, "step": 30, "module": Malicious()}, last)
    with old_run(tmp_path / "run") as run, pytest.raises(ForetellError, match="not a readable checkpoint"):
        fit(Classes(), settings(), run, resume=True)
    assert not (tmp_path / "executed").exists()
    last.unlink()
    with old_run(tmp_path / "run") as run:
        assert fit(Classes(), settings(), run, resume=True).state == "finished"


def test_how_many_checkpoints_are_kept(tmp_path):
    with new_run(tmp_path / "run") as run:
        (tmp_path / "run" / "checkpoints" / ".00000003.pt.123.tmp").write_text("left by a killed process")
        fit(Classes(), settings(keep=2), run, monitors=[Loss()])
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["00000028.pt", "00000030.pt", "best.pt"]


def test_resuming_needs_a_run():
    with pytest.raises(InputError, match="run folder"):
        fit(Classes(), settings(), resume=True)


def test_status_tells_a_dead_run(tmp_path):
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(), run)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status.keys() >= {"state", "heartbeat", "pid", "step", "steps"}


def edited(change):
    """A change of a checkpoint's content, in place."""

    def edit(path):
        payload = torch.load(path, weights_only=True)
        change(payload)
        torch.save(payload, path)

    return edit


def _not_finite(payload):
    payload["module"]["head.weight"][0, 0] = math.nan


def _regrouped(payload):
    first, second = payload["optimizers"]["all"]["param_groups"]
    second["params"].append(first["params"].pop())


def _moments(payload):
    moments = next(iter(payload["optimizers"].values()))["state"][0]
    moments["exp_avg"][...] = math.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda payload: payload.pop("recipe"), "not what a run writes"),
        (lambda payload: payload.update(recipe=[1]), "not what a run writes"),
        (lambda payload: payload.update(best={"a": 1}), "not what a run writes"),
        (lambda payload: payload.update(curve=[1]), "not what a run writes"),
        (lambda payload: payload.update(health={"a": 1}), "not what a run writes"),
        (lambda payload: payload.update(measured={"a": 1}), '"measured" is not what a run writes'),
        (lambda payload: payload["measured"].update(threads=-1), '"measured" is not what a run writes'),
        (lambda payload: payload["measured"].update(steps=20), r"is of step 30, and the run ends after 20; delete it"),
        (lambda payload: payload.update(step="30"), "its step is '30', which its name does not say"),
        (lambda payload: payload.update(step=-5), "its step is -5, which its name does not say"),
        (lambda payload: payload["module"].pop("head.weight"), "is of another network: Missing key"),
        (lambda payload: payload["optimizers"].clear(), "is of another network"),
        (
            _regrouped,
            "its adamw optimiser holds other groups of parameters than this version makes; go on with the version",
        ),
        (_not_finite, "holds numbers that are not finite; delete it"),
        (_moments, "holds numbers that are not finite; delete it"),
    ],
)
def test_an_edited_checkpoint_is_refused_and_the_run_stays_as_it_was(tmp_path, change, message):
    with new_run(tmp_path / "run") as run:
        fit(Classes(), settings(keep=3), run, monitors=[Loss()])
    folder = tmp_path / "run"
    last = checkpoint.latest(folder / "checkpoints")
    edited(change)(last)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    with old_run(folder) as run, pytest.raises(InputError, match=message) as raised:
        fit(Classes(), settings(keep=3), run, monitors=[Loss()], resume=True)
    assert str(raised.value).startswith(f"{last}: ")
    assert before == {path: path.read_bytes() for path in before}
    last.unlink()
    with old_run(folder) as run:
        assert fit(Classes(), settings(keep=3), run, monitors=[Loss()], resume=True).state == "finished"


def test_choices_that_no_run_wrote_are_refused(tmp_path):
    with new_run(tmp_path / "run") as run:
        run.write_json("facts.json", {"measured": {"precision": "float99"}})
        with pytest.raises(InputError, match=r"facts.json: \"measured\" is not what a run writes"):
            fit(Classes(), settings(), run, resume=True)
