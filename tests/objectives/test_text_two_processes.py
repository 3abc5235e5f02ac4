"""Two processes of half the batch give the loss and the gradients of one process, for every text task."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from contract_text import CASES, made, store_for
from torch import Tensor

from foretell import distributed
from foretell.counters import Rng, Rows

BATCH = 16
# Relative to the tensor as a whole
ALLOWED = {"float32": (1e-5, 3e-5), "float64": (1e-12, 1e-12)}


def step(case: str, cache: Path, rows: Rows, kind: str) -> dict[str, Tensor]:
    task = made(case, store_for(CASES[case][0], cache)).to(getattr(torch, kind))
    hidden = task.hide(task.draw("text", 3, 1, rows), Rng(3, 1, rows))
    loss = task.loss(hidden, "all")["total"]
    loss.backward()
    found = {"loss": loss.detach().clone()}
    found |= {name: p.grad for name, p in task.named_parameters() if p.grad is not None}
    distributed.average_(list(found.values()))
    return found


def work(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.start()
    for case in CASES:
        for kind in ALLOWED:
            found = step(case, Path(folder), Rows.of_rank(BATCH, rank, 2), kind)
            torch.save(found, f"{folder}/{case}-{kind}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in {name for name, _ in CASES.values()}:
        store_for(name, path)  # built before two processes ask for it
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    mp.spawn(work, (str(path), port), nprocs=2)
    return path


@pytest.mark.parametrize("kind", ALLOWED)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case: str, kind: str, folder: Path) -> None:
    whole = step(case, folder, Rows.of_rank(BATCH), kind)
    halves = [torch.load(folder / f"{case}-{kind}-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert whole.keys() == halves[0].keys()
    for key, expected in whole.items():
        assert torch.equal(halves[0][key], halves[1][key]), key
        allowed = ALLOWED[kind][0 if key == "loss" else 1]
        assert (halves[0][key] - expected).norm() <= allowed * max(1e-3, float(expected.norm())), key
