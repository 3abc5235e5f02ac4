"""What happens to a run whose process, disk or file size ends."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from train_toys import Rivals, new_run, old_run, same, weights

import foretell.run
from foretell.errors import ForetellError
from foretell.train import TrainingConfig, checkpoint, fit

STEPS = 300
FORK = multiprocessing.get_context("forkserver")
# loaded once, in the process that the children are forked from
FORK.set_forkserver_preload(["torch", "sklearn.datasets", "foretell.train.loop", "torch.optim", "torch._dynamo"])


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def settings(**more) -> TrainingConfig:
    plain = {"precision": "float32", "layout": "contiguous", "device": "cpu", "batch": 32, "steps": STEPS, "threads": 1}
    return TrainingConfig(**(plain | {"optimizer": "adamw", "checkpoint_every": 3, "health_every": 10} | more))


def toy(seed: int = 0) -> Rivals:
    return Rivals(seed, dropout=0.3)


def _train(path: Path, cache: str) -> None:
    os.environ["FORETELL_CACHE"] = cache
    torch.set_num_threads(1)
    with old_run(path) as run:
        fit(toy(random.randrange(1000)), settings(), run, resume=True)


def test_twenty_kills(tmp_path):
    whole = toy()
    with new_run(tmp_path / "whole") as run:
        fit(whole, settings(), run)
        expected = [(line["step"], line["total"], line["rate"]) for line in run.metrics("step")]
    with new_run(tmp_path / "run") as run:
        fit_for_a_step(run)
    chance = random.Random(5)
    reached = []
    for _ in range(20):
        saved = reached[-1] if reached else 0
        child = FORK.Process(target=_train, args=(tmp_path / "run", os.environ["FORETELL_CACHE"]))
        child.start()
        wait_for_step(tmp_path / "run" / "metrics.jsonl", saved + chance.randint(1, 15))
        time.sleep(chance.uniform(0.0, 0.01))
        os.kill(child.pid, signal.SIGKILL)
        child.join(300)
        assert child.exitcode == -signal.SIGKILL
        reached.append(checkpoint.load(checkpoint.latest(tmp_path / "run" / "checkpoints"))["step"])
    assert reached == sorted(reached)
    assert len(set(reached)) > 10
    again = toy(1)
    with old_run(tmp_path / "run") as run:
        fit(again, settings(), run, resume=True)
        lines = [(line["step"], line["total"], line["rate"]) for line in run.metrics("step")]
    assert same(weights(again), weights(whole))
    assert lines == expected
    left = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert left == [f"{STEPS:08d}.pt"]


def wait_for_step(path: Path, step: int) -> None:
    """Until a process that trains has logged ``step``."""
    until = time.monotonic() + 300  # the machine may be busy
    while time.monotonic() < until:
        lines = path.read_text().splitlines() if path.is_file() else []
        if any('"kind": "step"' in line and f'"step": {step},' in line for line in lines[-40:]):
            return
        time.sleep(0.002)
    raise AssertionError(f"step {step} was not reached")


def fit_for_a_step(run) -> None:
    """The first checkpoint of the run that is killed, so that every child resumes."""

    class Enough(Exception):
        pass

    class Stops(Rivals):
        def draw(self, stream, seed, step, rows):
            if step == 1:
                raise Enough
            return super().draw(stream, seed, step, rows)

    with pytest.raises(Enough):
        fit(Stops(0, dropout=0.3), settings(), run)


class _Full:
    """A file on a disk that has room for ``room`` bytes more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()


@pytest.mark.parametrize("room", [0, 3000])
def test_a_full_disk(tmp_path, monkeypatch, room):
    def full(path, *args, **more):
        file = open(path, *args, **more)  # noqa: SIM115
        return _Full(file, room) if "00000012.pt" in str(path) else file

    monkeypatch.setattr(checkpoint, "open", full, raising=False)
    with new_run(tmp_path / "run") as run, pytest.raises(ForetellError) as raised:
        fit(toy(), settings(steps=30), run)
    text = str(raised.value)
    assert "00000012.pt: the checkpoint could not be written (No space left on device)" in text
    assert "--resume" in text
    assert "\n" not in text
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["00000009.pt"]
    monkeypatch.undo()
    whole, again = toy(), toy(3)
    fit(whole, settings(steps=30))
    with old_run(tmp_path / "run") as run:
        assert run.read_json("status.json")["state"] == "failed"
        fit(again, settings(steps=30), run, resume=True)
    assert same(weights(again), weights(whole))


def test_a_full_disk_while_logging(tmp_path, monkeypatch):
    append = foretell.run._append

    def full(file, data):
        if json.loads(data).get("step", 0) > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(file, data)

    monkeypatch.setattr(foretell.run, "_append", full)
    with new_run(tmp_path / "run") as run, pytest.raises(ForetellError, match=r"metrics.jsonl: could not be written"):
        fit(toy(), settings(steps=30), run)
    monkeypatch.undo()
    whole, again = toy(), toy(3)
    fit(whole, settings(steps=30))
    with old_run(tmp_path / "run") as run:
        fit(again, settings(steps=30), run, resume=True)
        assert [line["step"] for line in run.metrics("step")] == list(range(1, 31))
    assert same(weights(again), weights(whole))


def _limited(path: Path, cache: str, answer) -> None:
    os.environ["FORETELL_CACHE"] = cache
    torch.set_num_threads(1)
    with old_run(path) as run:
        size = max(file.stat().st_size for file in (path / "checkpoints").iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - 500, resource.RLIM_INFINITY))
        try:
            fit(toy(), settings(), run, resume=True)
        except ForetellError as error:
            answer.send(str(error))


def test_a_limit_on_file_size(tmp_path):
    with new_run(tmp_path / "run") as run:
        fit_for_a_step(run)
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_limited, args=(tmp_path / "run", os.environ["FORETELL_CACHE"], theirs))
    child.start()
    assert ours.poll(300)
    text = ours.recv()
    child.join(300)
    assert child.exitcode == 0
    assert "the checkpoint could not be written (File too large); earlier checkpoints are kept" in text
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["00000000.pt"]
    checkpoint.load(tmp_path / "run" / "checkpoints" / "00000000.pt")


def test_a_run_that_is_removed_ends_and_is_not_made_anew(tmp_path):
    class Removed(Rivals):
        def draw(self, stream, seed, step, rows):
            if step == 4:
                shutil.rmtree(tmp_path / "run")
            return super().draw(stream, seed, step, rows)

    with new_run(tmp_path / "run") as run, pytest.raises(ForetellError, match="was removed or moved while") as raised:
        fit(Removed(0), settings(steps=60), run)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_an_unwritable_folder(tmp_path):
    with new_run(tmp_path / "run") as run:
        (tmp_path / "run" / "checkpoints").rmdir()
        (tmp_path / "run" / "checkpoints").write_text("a file in its place")
        with pytest.raises(ForetellError, match=r"checkpoints/00000000.pt: the checkpoint could not be written"):
            fit(toy(), settings(), run)


@pytest.mark.parametrize("before", [False, True])
def test_an_interruption_in_the_middle_of_a_checkpoint_is_told_as_one(tmp_path, monkeypatch, before):
    path = tmp_path / "one.pt"
    if before:
        checkpoint.save(path, {"step": 1})
    written = checkpoint._Sink.write
    count = 0

    def interrupted(self, data):
        nonlocal count
        count += 1
        if count == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return written(self, data)

    monkeypatch.setattr(checkpoint._Sink, "write", interrupted)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(path, {"step": 2, "weights": torch.zeros(1000)})
    finally:
        signal.signal(signal.SIGINT, handler)
    assert [found.name for found in tmp_path.iterdir()] == (["one.pt"] if before else [])
