"""Randomness from counters: every draw is a function of (seed, step, name), never of global state.

Parameters are drawn for the whole global batch from one generator, and a process keeps the rows that are its own, so
that one process or four see the same views and masks, and resuming at step n costs nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

CPU = torch.device("cpu")


def seed_of(*parts: int | str) -> int:
    """A seed in [0, 2**63) that depends on every part and on their order."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def others(count: int, seed: int) -> Tensor:
    """(count,) int64: for each of ``count`` samples, in whatever order they lie, another one at random; each once.

    >>> sorted(others(4, 0).tolist()), bool((others(4, 0) == torch.arange(4)).any())
    ([0, 1, 2, 3], False)
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return torch.empty_like(order).scatter_(0, order, order.roll(1))


@dataclass(frozen=True)
class Rows:
    """The rows ``start`` to ``stop`` (exclusive) of a global batch of ``total`` that this process works on."""

    start: int
    stop: int
    total: int

    def __len__(self) -> int:
        return self.stop - self.start

    @classmethod
    def of_rank(cls, total: int, rank: int = 0, world: int = 1) -> Rows:
        """The equal share of process ``rank`` of ``world``; ``total`` must be a multiple of ``world``."""
        if total % world:
            raise ValueError(f"a global batch of {total} is not a multiple of {world} processes")
        share = total // world
        return cls(rank * share, (rank + 1) * share, total)


@dataclass(frozen=True)
class Rng:
    """Draws for one step. The same (seed, step, name) gives the same numbers on every process and device.

    All draws are made on the host for the ``rows.total`` samples of the global batch and cut to this process's rows.
    """

    seed: int
    step: int
    rows: Rows
    device: torch.device = CPU

    def generator(self, name: str) -> torch.Generator:
        """A host generator for (seed, step, name), for draws that are not one row a sample."""
        return torch.Generator().manual_seed(seed_of(self.seed, self.step, name))

    def _own(self, drawn: Tensor) -> Tensor:
        return drawn[self.rows.start : self.rows.stop].to(self.device, non_blocking=True)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Float32 (rows, *shape), uniform in [low, high)."""
        drawn = torch.rand(self.rows.total, *shape, generator=self.generator(name))
        return self._own(drawn * (high - low) + low)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Float32 (rows, *shape), standard normal."""
        return self._own(torch.randn(self.rows.total, *shape, generator=self.generator(name)))

    def integers(self, name: str, high: int, *shape: int) -> Tensor:
        """Int64 (rows, *shape), uniform in {0, ..., high - 1}."""
        return self._own(torch.randint(high, (self.rows.total, *shape), generator=self.generator(name)))

    def chance(self, name: str, probability: float, *shape: int) -> Tensor:
        """Bool (rows, *shape), true with ``probability``."""
        return self.uniform(name, *shape) < probability
