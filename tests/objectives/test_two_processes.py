"""Two processes of half the batch give the loss and the gradients of one process, for every registered objective."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor

from foretell import distributed, objectives
from foretell.counters import Rng, Rows
from foretell.data.store import open_images
from foretell.encoders import build_encoder, convert_batchnorm
from foretell.encoders.base import EncoderConfig
from foretell.objectives.base import Objective

NAMES = objectives.names()
BATCH = 24


def made(name: str) -> Objective:
    torch.manual_seed(0)
    kind = objectives.get(name)
    store = open_images("@animals").subset(np.arange(64))
    return kind(kind.Config(), build_encoder(EncoderConfig(name="resnet_tiny"), store.channels, 28), store)


def step(task: Objective, rows: Rows) -> dict[str, Tensor]:
    """Loss and gradients of one step, averaged over processes as the loop does."""
    task.train()
    hidden = task.hide(task.draw("image", 3, 1, rows), Rng(3, 1, rows))
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
        task = convert_batchnorm(made(name))
        torch.save(step(task, Rows.of_rank(BATCH, rank, 2)), f"{folder}/{name}{rank}.pt")
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


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_equal_one(name: str, folder: Path) -> None:
    whole = step(made(name), Rows.of_rank(BATCH))
    halves = [torch.load(folder / f"{name}{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert whole.keys() == halves[0].keys()
    for key, expected in whole.items():
        assert torch.equal(halves[0][key], halves[1][key]), key
        # Relative to the tensor as a whole. The first convolution's gradient is a sum that nearly cancels (batch norm
        # follows it), so that float32 rounding alone leaves about 1.2e-5 of its norm.
        allowed = 1e-5 if key.startswith("loss ") else 3e-5
        assert (halves[0][key] - expected).norm() <= allowed * max(1e-3, float(expected.norm())), key
