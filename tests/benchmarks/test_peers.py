"""The peers are not held back: as many loader processes as their examples have, running before a round."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import patch_pairs, peers, text_peers, views


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (16, 8)])
def test_a_loader_has_a_worker_a_core_up_to_eight(cores: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "usable_cores", lambda: cores)
    loader = peers.loader(np.zeros((4, 2, 2, 3), np.uint8), lambda image: 0, 2)
    assert loader.num_workers == peers.workers() == workers
    assert peers.batches_a_round("cpu", None) == 2
    assert peers.batches_a_round("cuda", None) == 8 * workers
    assert peers.batches_a_round("cuda", 12) == 12


def process(image: Image.Image) -> torch.Tensor:
    return torch.tensor(os.getpid())


def test_workers_stay_from_one_pass_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "usable_cores", lambda: 1)
    loader = peers.loader(np.zeros((4, 2, 2, 3), np.uint8), process, 2)
    first, second = ({int(one) for batch in loader for one in batch} for _ in range(2))
    assert first == second
    assert first.isdisjoint({os.getpid()})


def test_a_whole_gpu_is_not_told_as_a_core() -> None:
    assert views.where("cpu") == "each on one core"
    assert patch_pairs.where("cpu") == "on one core"
    for where in (views.where, patch_pairs.where):
        assert "whole GPU" in where("cuda")


def test_a_text_peer_tells_its_precision() -> None:
    assert text_peers.precision("cpu") == "float32"
    assert text_peers.precision("cuda") == "bfloat16 autocast"
