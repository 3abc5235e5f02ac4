"""What a run costs: floating-point operations and memory."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_COUNTED: dict[Hashable, float] = {}


def count_flops(work: Callable[[], Any]) -> float:
    """Floating-point operations of the matrix products, convolutions and attention ``work()`` runs, backward included.

    A multiplication and an addition count as two. Element-wise work is not counted, as is usual.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return float(counter.get_total_flops())


def shape_key(module: nn.Module, *shapes: Any) -> Hashable:
    """What the operations of a step depend on: the class, parameters (trained or not) and the inputs' shapes."""
    parameters = tuple((name, tuple(p.shape), p.requires_grad) for name, p in module.named_parameters())
    return (type(module).__qualname__, parameters, shapes)


def counted(key: Hashable, work: Callable[[], Any]) -> float:
    """``count_flops(work)``, once for a ``key`` in this process."""
    if key not in _COUNTED:
        _COUNTED[key] = count_flops(work)
    return _COUNTED[key]


def known(key: Hashable) -> float | None:
    """The count of ``key`` if it was made."""
    return _COUNTED.get(key)


def peak_memory(device: torch.device) -> int:
    """Bytes: the process's largest resident set, or on a GPU the most its tensors held."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
