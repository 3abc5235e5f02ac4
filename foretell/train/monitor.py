"""What is measured while training with the help of labels or of a validation loss: kNN, a probe."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from foretell.objectives.base import Trainable


class Monitor(Protocol):
    """Called every ``every`` steps and after the last one, on rank 0; random numbers and training mode are restored."""

    name: str
    every: int
    higher_is_better: bool

    def __call__(self, trainable: Trainable, step: int) -> float: ...


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Leave each submodule's training mode and torch's generators as they were before the block."""
    modes = [(part, part.training) for part in module.modules()]
    host = torch.get_rng_state()
    device = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        torch.set_rng_state(host)
        if device is not None:
            torch.cuda.set_rng_state_all(device)


@dataclass
class Best:
    """The best value of the first monitor so far. ``rounds``: measurements since then without improvement."""

    monitor: str
    value: float
    step: int
    rounds: int = 0

    @classmethod
    def after(cls, before: Best | None, monitor: Monitor, value: float, step: int) -> Best:
        """The best of ``before`` and ``value``; a value that is not a number is never an improvement."""
        if before is None and not math.isnan(value):
            return cls(monitor.name, value, step)
        if before is None:
            return cls(monitor.name, -math.inf if monitor.higher_is_better else math.inf, step)
        better = value > before.value if monitor.higher_is_better else value < before.value
        if better:
            return cls(monitor.name, value, step)
        return cls(before.monitor, before.value, before.step, before.rounds + 1)
