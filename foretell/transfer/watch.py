"""Looks at a score during a fit."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from foretell.objectives.base import Trainable
from foretell.train.monitor import undisturbed


class Watch:
    """A monitor that follows a score during a fit: of the test part for the report only, as nothing is chosen by it, or of
    validation labels, whose ``score`` may end the fit.

    ``curve`` holds (step, seconds since the watch was made, without these looks, score); ``spent`` the seconds of the looks.
    After ``most`` looks (None: no limit) the last value stands. ``from_start``: it looks before the first step too, by
    ``start``.
    """

    name = "test score"
    higher_is_better = True

    def __init__(
        self, every: int, score: Callable[[Trainable], float], most: int | None = None, *, from_start: bool = False
    ) -> None:
        self.every, self.score, self.most, self.from_start = every, score, most, from_start
        self.curve: list[tuple[int, float, float]] = []
        self.spent = 0.0
        self._start = time.perf_counter()

    def start(self, trainable: Trainable, device: torch.device) -> None:
        """The look before the first step, where there is one, on ``device``; what is to be trained is left undisturbed."""
        if not self.from_start:
            return
        with undisturbed(trainable):
            self(trainable.to(device), 0)

    def __call__(self, trainable: Trainable, step: int) -> float:
        if len(self.curve) == self.most:
            return self.curve[-1][2]
        now = time.perf_counter()
        value = self.score(trainable)
        self.curve.append((step, now - self._start - self.spent, value))
        self.spent += time.perf_counter() - now
        return value
