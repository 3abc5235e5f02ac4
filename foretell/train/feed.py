"""Batches of a run, the next one drawn while a step is computed."""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from foretell.counters import Rows, seed_of
from foretell.objectives.base import Batch, Trainable


def stream_of(trainable: Trainable, seed: int, step: int) -> str:
    """The stream of ``step``, drawn by weight from (seed, step) alone."""
    streams = trainable.streams()
    if len(streams) == 1:
        return next(iter(streams))
    chance = random.Random(seed_of(seed, step, "stream"))
    return chance.choices(list(streams), list(streams.values()))[0]


# Draws quicker than this, in seconds, are not worth handing to another thread.
QUICK = 0.002


class Feed:
    """``rows`` of the global batch of any step, on ``device``. Drawing ahead changes nothing: a draw is pure."""

    def __init__(self, trainable: Trainable, seed: int, rows: Rows, device: torch.device) -> None:
        self._trainable = trainable
        self._seed = seed
        self._rows = rows
        self._device = device
        self._pool: ThreadPoolExecutor | None = None
        self._slow = 0
        self._ahead: dict[int, Future[Batch]] = {}

    def _draw(self, step: int) -> Batch:
        stream = stream_of(self._trainable, self._seed, step)
        return self._trainable.draw(stream, self._seed, step, self._rows)

    def get(self, step: int, last: bool = False) -> Batch:
        """The batch of ``step``; unless it is the ``last``, that of the next step is begun if draws are slow."""
        ahead = self._ahead.pop(step, None)
        if ahead:
            batch = ahead.result()
        else:
            begin = time.perf_counter()
            batch = self._draw(step)
            self._slow = self._slow + 1 if time.perf_counter() - begin > QUICK else 0
        self._ahead.clear()
        if self._slow > 1 and not last:  # the first draw of all may be slow for other reasons
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="draw")
            self._ahead[step + 1] = self._pool.submit(self._draw, step + 1)
        return batch.to(self._device)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
