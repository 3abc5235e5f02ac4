"""Two processes of half the batch give the loss and the gradients of one process, for every registered objective.

In float32 within rounding; in float64, where rounding is nothing, to show that it is rounding alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from contract_data import animals, fitting
from torch import Tensor

from foretell import distributed, objectives
from foretell.counters import Rng, Rows
from foretell.data.store import open_images
from foretell.encoders import build_encoder, convert_batchnorm
from foretell.encoders.base import EncoderConfig
from foretell.objectives.base import Objective, Task

NAMES = [name for name in objectives.names() if objectives.get(name).kind == "image"]
BATCH = 24
KINDS = {"float32": torch.float32, "float64": torch.float64}
# Relative to the tensor as a whole. The first convolution's gradient is a sum that nearly cancels (batch norm follows
# it), so that float32 rounding alone leaves about 1.2e-5 of its norm; in float64 it leaves about 6e-14.
ALLOWED = {"float32": (1e-5, 3e-5), "float64": (1e-12, 1e-11)}
# At the start the gradient of a frame is a sum of a million parts of either sign, each switched by a ReLU: one that
# rounding switches the other way moves the sum by a thousandth of its norm. In float64 none is, and the limit holds.
SWITCHED = {("next_frame", "float32"): 3e-3}


def made(name: str) -> Objective:
    torch.manual_seed(0)
    kind = objectives.get(name)
    store = fitting(kind, animals(64), 2)
    encoder = EncoderConfig(name="vit_mini" if kind.transformer else "resnet_tiny")
    return kind(kind.Config(), build_encoder(encoder, store.channels, 28), store)


@contextmanager
def widening_to(kind: str) -> Iterator[None]:
    """``Tensor.float``, by which losses widen half precision, gives ``kind``."""
    single = Tensor.float
    Tensor.float = single if kind == "float32" else Tensor.double  # type: ignore[method-assign]
    try:
        yield
    finally:
        Tensor.float = single  # type: ignore[method-assign]


def step(task: Objective, rows: Rows, kind: str) -> dict[str, Tensor]:
    """Loss and gradients of one step in ``kind``, averaged over processes as the loop does."""
    task.to(KINDS[kind]).train()
    hidden = task.hide(task.draw("image", 3, 1, rows), Rng(3, 1, rows))
    for tensors in (hidden.visible, hidden.hidden):
        tensors |= {name: x.to(KINDS[kind]) for name, x in tensors.items() if x.is_floating_point()}
    with widening_to(kind):
        return gradients(task, hidden)


def gradients(task: Objective, hidden: Task) -> dict[str, Tensor]:
    found = {}
    for player, its in task.players().items():
        loss = task.loss(hidden, player)["total"]
        torch.autograd.backward(loss, inputs=[p for _, p in its.parameters], retain_graph=True)
        found[f"loss {player}"] = loss.detach().clone()
    found |= {name: p.grad for name, p in task.named_parameters() if p.grad is not None}
    distributed.average_(list(found.values()))
    return found


def work(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.start()
    for name in NAMES:
        for kind in KINDS:
            task = convert_batchnorm(made(name))
            torch.save(step(task, Rows.of_rank(BATCH, rank, 2), kind), f"{folder}/{name}-{kind}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import socket

    open_images("@animals")  # builds the store before two processes ask for it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path_factory.mktemp("two")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    mp.spawn(work, (str(path), port), nprocs=2)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(name: str, kind: str, folder: Path) -> None:
    whole = step(made(name), Rows.of_rank(BATCH), kind)
    halves = [torch.load(folder / f"{name}-{kind}-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert whole.keys() == halves[0].keys()
    for key, expected in whole.items():
        assert torch.equal(halves[0][key], halves[1][key]), key
        of_loss, of_gradient = ALLOWED[kind]
        allowed = of_loss if key.startswith("loss ") else SWITCHED.get((name, kind), of_gradient)
        assert (halves[0][key] - expected).norm() <= allowed * max(1e-3, float(expected.norm())), key
