"""What a run costs: floating-point operations and memory."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from foretell.encoders.base import Encoder
from foretell.train import memory

LOOK_EVERY = 0.02  # seconds between looks at the memory in use

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
    """What the operations of a step depend on: parameters (trained or not), each part's settings and the inputs' shapes.

    Parameters alone do not do: convolutions of stride 1 and 2 have the same.
    """
    parameters = tuple((name, tuple(p.shape), p.requires_grad) for name, p in module.named_parameters())
    parts = tuple((name, type(part).__qualname__, _settings(part)) for name, part in module.named_modules())
    return (parts, parameters, shapes)


def _settings(part: nn.Module) -> tuple[tuple[str, str], ...]:
    """The plain values a part was made with, and its configuration."""
    plain = (bool, int, float, str, tuple, BaseModel)
    return tuple(
        (name, repr(value)) for name, value in vars(part).items() if isinstance(value, plain) and name != "training"
    )


def counted(key: Hashable, work: Callable[[], Any]) -> float:
    """``count_flops(work)``, once for a ``key`` in this process."""
    if key not in _COUNTED:
        _COUNTED[key] = count_flops(work)
    return _COUNTED[key]


def known(key: Hashable) -> float | None:
    """The count of ``key`` if it was made."""
    return _COUNTED.get(key)


def forward_flops(encoder: Encoder, side: int) -> float:
    """``count_flops`` of embedding one image of ``side`` pixels, once a shape in this process."""
    image = torch.zeros(1, encoder.channels, side, side, device=next(encoder.parameters()).device)

    def embed() -> None:
        modes = [(part, part.training) for part in encoder.modules()]
        encoder.eval()  # batch norm refuses to train on one value
        try:
            with torch.no_grad():
                encoder.pooled(image)
        finally:
            for part, mode in modes:
                part.training = mode

    return counted(shape_key(encoder, "pooled", tuple(image.shape)), embed)


class PeakMemory:
    """The most memory in use while a block runs, in ``bytes`` (also readable within the block).

    On a GPU the most that tensors held there; else the anonymous memory of the whole process, looked at every 20 ms
    (mapped files are the kernel's and do not count), after what earlier work had freed was given back. Where the system
    has no /proc: the largest resident set since the process began. On a GPU blocks must not be nested: each begins the
    device's count anew.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._most = 0
        self._ended = threading.Event()

    @property
    def bytes(self) -> int:
        if not self._ended.is_set():
            self._look()
        return self._most

    def __enter__(self) -> PeakMemory:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            memory.give_back()
            self._look()
            threading.Thread(target=self._watch, daemon=True, name="memory").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._look()
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        cuda = self._device.type == "cuda"
        now = int(torch.cuda.max_memory_allocated(self._device)) if cuda else _in_use()
        self._most = max(self._most, now)


def _in_use() -> int:
    """Bytes of anonymous memory now; without /proc, of the largest resident set so far."""
    try:
        with open("/proc/self/statm") as file:
            _, resident, shared, *_ = (int(pages) for pages in file.read().split())
        return (resident - shared) * resource.getpagesize()
    except OSError:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
