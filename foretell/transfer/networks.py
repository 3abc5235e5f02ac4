"""What every network is asked: the device it is on, an evaluation without gradient, a name for its weights, a copy."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def device_of(module: nn.Module) -> torch.device:
    """The device that ``module`` is on; the CPU for one without parameters."""
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradient inside; every submodule's own mode is put back after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def weights_hash(module: nn.Module) -> str:
    """A name for the parameters and buffers as they are."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def copied(encoder: Network) -> Network:
    """A copy that can be trained without touching ``encoder``."""
    twin = copy.deepcopy(encoder)
    for parameter in twin.parameters():
        parameter.requires_grad_(True)
    return twin
