"""Two processes of half the batch equal one process of the whole."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from train_toys import Breaks, Classes, Mixed, Pairs, Rivals, new_run, old_run

from foretell import distributed
from foretell.cli import main
from foretell.errors import ForetellError, InputError
from foretell.train import TrainingConfig, checkpoint, fit

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["torch", "sklearn.datasets", "foretell.train.loop", "torch.optim", "torch._dynamo"])


class Ends(Classes):
    """The second process is gone at the sixth step."""

    def hide(self, batch, rng):
        if rng.step == 5 and distributed.rank() == 1:
            torch.save({}, Path(os.environ["ENDS_IN"]) / "1.pt")
            os._exit(0)
        return super().hide(batch, rng)


TOYS = {"pairs": Pairs, "rivals": Rivals, "mixed": Mixed, "classes": Classes, "breaks": Breaks, "ends": Ends}


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def settings(**more) -> TrainingConfig:
    plain = {"precision": "float32", "layout": "contiguous", "device": "cpu", "batch": 64, "steps": 12, "threads": 1}
    return TrainingConfig(
        **(plain | {"optimizer": "sgd", "rate": 0.3, "checkpoint_every": 4, "health_every": 4} | more)
    )


class Count:
    name, every, higher_is_better = "count", 2, True

    def __call__(self, trainable, step):
        return -float(step)


def _join(rank: int, port: int, cache: str) -> None:
    """As torchrun starts a process."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "FORETELL_CACHE": cache}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)


def _fit(rank, port, cache, folder, name, own, more, run_folder, resume, monitored):
    _join(rank, port, cache)
    os.environ["ENDS_IN"] = folder
    toy = TOYS[name](seed=rank, **own)  # rank 0's weights count
    answer = {}
    run = old_run(run_folder).thing if run_folder is not None and rank == 0 else None
    try:
        result = fit(toy, settings(**more), run, resume=resume, monitors=[Count()] if monitored else ())
        answer = {"loss": result.loss, "steps": result.steps, "state": result.state, "module": toy.state_dict()}
    except ForetellError as error:
        answer = {"error": str(error), "kind": type(error).__name__}
    torch.save(answer, Path(folder) / f"{rank}.pt")


def _refuse():
    raise InputError(f"refused by {distributed.rank()}")


def _command(rank, port, cache, folder, *commands):
    """The exit status of each command line, and what it says."""
    _join(rank, port, cache)
    answers = []
    for words in commands:
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            status = main(words)
        answers.append([status, said.getvalue()])
    torch.save({"answers": answers}, Path(folder) / f"{rank}.pt")


def _operations(rank, port, cache, folder):
    _join(rank, port, cache)
    distributed.start()
    distributed.start()  # once is enough
    x = torch.arange(3.0).add(10 * rank).requires_grad_()
    gathered = distributed.gather(x)
    (gathered * torch.arange(1.0, 7.0) * (rank + 1)).sum().backward()
    y = torch.tensor([1.0 + rank], requires_grad=True)
    total = distributed.summed(y)
    (total * (rank + 1)).sum().backward()
    many = [
        torch.full((2, 2), float(rank)),
        torch.tensor([rank * 4], dtype=torch.float64),
        torch.full((3,), 2.0 * rank),
    ]
    distributed.average_(many)
    channels = torch.full((1, 2, 2, 2), float(rank)).contiguous(memory_format=torch.channels_last)
    distributed.broadcast_([channels])
    said = distributed.broadcast_object({"rank": rank})
    distributed.barrier()
    made = distributed.on_first(lambda: "made")
    try:
        distributed.on_first(_refuse)
    except InputError as error:
        refused = str(error)
    torch.save(
        {
            "made": made,
            "refused": refused,
            "gathered": gathered.detach(),
            "x": x.grad,
            "total": total.detach(),
            "y": y.grad,
            "many": many,
        }
        | {"channels": channels, "said": said, "ranks": (distributed.rank(), distributed.world())},
        Path(folder) / f"{rank}.pt",
    )


def _late(rank, port, cache, folder):
    _join(rank, port, cache)
    join = torch.distributed.init_process_group

    def slowly(*args):
        join(*args)
        time.sleep(rank)

    torch.distributed.init_process_group = slowly
    before = time.time()
    distributed.start()
    torch.save({"took": time.time() - before}, Path(folder) / f"{rank}.pt")


def two(target, folder, *args) -> list[dict]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = (port, os.environ["FORETELL_CACHE"], str(folder))
    children = [FORK.Process(target=target, args=(rank, *common, *args)) for rank in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(300)
        assert child.exitcode == 0
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(2)]


def fit_in_two(folder, name, own=None, more=None, run_folder=None, resume=False, monitored=False) -> list[dict]:
    return two(_fit, folder, name, own or {}, more or {}, run_folder, resume, monitored)


@pytest.mark.parametrize(
    ("name", "own", "more"),
    [
        ("pairs", {}, {}),
        ("pairs", {"norm": True}, {}),
        ("pairs", {}, {"chunk": 8, "optimizer": "lars", "rate": 0.3}),
        ("rivals", {"norm": True}, {}),
        ("mixed", {}, {"weight_decay": 0.01, "clip": 0.1}),
    ],
)
def test_two_processes_equal_one(tmp_path, name, own, more):
    whole = TOYS[name](**own)
    result = fit(whole, settings(**more))
    answers = fit_in_two(tmp_path, name, own, more)
    for answer in answers:
        assert answer["steps"] == 12
        assert answer["loss"] == pytest.approx(result.loss, abs=1e-5)
        for key, value in whole.state_dict().items():
            torch.testing.assert_close(answer["module"][key], value, rtol=1e-5, atol=1e-5, msg=key)
    for key, value in answers[0]["module"].items():
        assert torch.equal(value, answers[1]["module"][key])


def test_one_step_has_the_gradient_of_the_whole_batch(tmp_path):
    # rate 1 without momentum, decay and warm-up: the step is the gradient
    more = {"steps": 1, "rate": 1.0, "momentum": 0.0, "weight_decay": 0.0, "warmup": 0.0}
    before, whole = Pairs(norm=True), Pairs(norm=True)
    fit(whole, settings(**more))
    (answer, _) = fit_in_two(tmp_path, "pairs", {"norm": True}, more)
    largest = 0.0
    for (key, start), end in zip(before.named_parameters(), whole.parameters(), strict=True):
        gradient = (start - end).detach()
        largest = max(largest, float(gradient.abs().max()))
        torch.testing.assert_close((start - answer["module"][key]).detach(), gradient, rtol=1e-4, atol=1e-6, msg=key)
    assert largest > 0.01


def test_resuming_with_another_number_of_processes(tmp_path):
    whole = Pairs(norm=True)
    with new_run(tmp_path / "whole") as run:
        fit(whole, settings(keep=9), run)
        totals = [line["total"] for line in run.metrics("step")]
    # one process to step 4, then two
    folder = tmp_path / "run"
    with new_run(folder) as run:
        fit(Pairs(norm=True), settings(keep=9), run)
    for path in checkpoint.all_in(folder / "checkpoints")[2:]:
        path.unlink()
    answers = fit_in_two(tmp_path, "pairs", {"norm": True}, {"keep": 9}, folder, True)
    for answer in answers:
        for key, value in whole.state_dict().items():
            torch.testing.assert_close(answer["module"][key], value, rtol=1e-5, atol=1e-5, msg=key)
    with old_run(folder) as run:
        assert [line["step"] for line in run.metrics("step")] == list(range(1, 13))
        assert [line["total"] for line in run.metrics("step")] == pytest.approx(totals, abs=1e-5)
        assert run.read_json("status.json")["state"] == "finished"
        # and back in one
        for path in checkpoint.all_in(folder / "checkpoints")[-1:]:
            path.unlink()
        again = Pairs(norm=True)
        fit(again, settings(keep=9), run, resume=True)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=1e-5, atol=1e-5, msg=key)


def test_nobody_goes_on_before_all_have_joined(tmp_path):
    # or the first one's end, by a mistake it tells of, would be a lost connection to the others
    (first, _) = two(_late, tmp_path)
    assert first["took"] >= 1


def test_early_stop_and_errors_reach_every_process(tmp_path):
    answers = fit_in_two(tmp_path, "classes", more={"patience": 2}, monitored=True)
    assert [(answer["state"], answer["steps"]) for answer in answers] == [("early", 6)] * 2
    answers = fit_in_two(tmp_path, "breaks", {"width": 5})
    assert all("step 6: the loss 'penalty' is nan" in answer["error"] for answer in answers)
    answers = fit_in_two(tmp_path, "classes", more={"batch": 63})
    assert all("training.batch = 63 is not a multiple of the 2 processes" in answer["error"] for answer in answers)
    assert answers[1]["kind"] == InputError.__name__


def test_a_process_that_ends_is_told_in_words(tmp_path):
    with new_run(tmp_path / "run"):
        pass
    answers = fit_in_two(tmp_path, "ends", run_folder=tmp_path / "run")
    assert answers[0] == {"error": "another process has ended at step 5", "kind": "ProcessLost"}
    with old_run(tmp_path / "run") as run:
        assert run.read_json("status.json")["message"] == "another process has ended at step 5"


def test_what_the_first_process_refuses_is_said_once_and_leaves_no_run(tmp_path):
    np.save(tmp_path / "scans.npy", np.random.default_rng(0).random((40, 16, 16), np.float32))
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "mine").write_text("x")
    plain = ["pretrain", str(tmp_path / "scans.npy"), "--budget", "2 steps", "--encoder", "resnet_tiny", "--out"]
    first, second = two(
        _command,
        tmp_path,
        [*plain, str(tmp_path / "odd"), "--batch", "7"],
        [*plain, str(tmp_path / "busy"), "--batch", "8"],
        ["pretrain", str(tmp_path / "none.npy"), "--out", str(tmp_path / "odd")],
        ["pretrain", "--resume", str(tmp_path / "busy")],
    )
    assert [status for status, _ in first["answers"]] == [status for status, _ in second["answers"]] == [2] * 4
    wanted = (
        "training.batch = 7 is not a multiple of the 2 processes",
        "busy: not empty",
        "none.npy",
        "not a run folder",
    )
    for (_, said), part in zip(first["answers"], wanted, strict=True):
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, said
        assert part in errors[0]
    assert not any("error" in said for _, said in second["answers"]), second
    assert not (tmp_path / "odd").exists()


def test_a_resume_by_processes_that_cannot_share_the_batch_leaves_the_run_as_it_is(tmp_path):
    np.save(tmp_path / "scans.npy", np.random.default_rng(0).random((40, 16, 16), np.float32))
    out = tmp_path / "run"
    plain = ["pretrain", str(tmp_path / "scans.npy"), "--budget", "2 steps", "--encoder", "resnet_tiny", "--batch", "9"]
    assert main([*plain, "--out", str(out)]) == 0
    before = (out / "status.json").read_bytes()
    first, second = two(_command, tmp_path, ["pretrain", "--resume", str(out)])
    ((status, said),) = first["answers"]
    assert status == 2
    assert (
        "training.batch = 9 is not a multiple of the 2 processes; a run keeps its batch: resume it with 1 process"
        in said
    )
    assert "error" not in second["answers"][0][1]
    assert (out / "status.json").read_bytes() == before


def test_a_time_budget_is_one_count(tmp_path):
    with new_run(tmp_path / "run"):
        pass
    more = {"steps": None, "time": "1s", "precision": "auto", "layout": "auto"}
    answers = fit_in_two(tmp_path, "pairs", {}, more, tmp_path / "run")
    assert answers[0]["steps"] == answers[1]["steps"] > 0
    for key, value in answers[0]["module"].items():
        assert torch.equal(value, answers[1]["module"][key])


def test_operations(tmp_path):
    first, second = two(_operations, tmp_path)
    assert (first["made"], second["made"]) == ("made", None)
    assert first["refused"] == second["refused"] == "refused by 0"
    assert first["ranks"] == (0, 2)
    assert second["ranks"] == (1, 2)
    assert first["gathered"].tolist() == second["gathered"].tolist() == [0, 1, 2, 10, 11, 12]
    # the gradient of both processes' sums: weights 1..6 times (1 + 2)
    assert first["x"].tolist() == [3, 6, 9]
    assert second["x"].tolist() == [12, 15, 18]
    assert first["total"].tolist() == second["total"].tolist() == [3]
    assert first["y"].tolist() == second["y"].tolist() == [3]
    for answer in (first, second):
        assert [tensor.flatten().unique().tolist() for tensor in answer["many"]] == [[0.5], [2.0], [1.0]]
        assert answer["many"][1].dtype == torch.float64
        assert answer["channels"].unique().tolist() == [0.0]
        assert answer["said"] == {"rank": 0}


def test_one_process_is_the_identity():
    x = torch.rand(3, requires_grad=True)
    assert distributed.gather(x) is x
    assert distributed.summed(x) is x
    y = nn.Parameter(torch.ones(2))
    distributed.average_([y])
    distributed.broadcast_([y])
    assert y.tolist() == [1, 1]
    assert distributed.broadcast_object("a") == "a"
    assert (distributed.rank(), distributed.world()) == (0, 1)
