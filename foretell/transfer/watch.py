"""Looks at a score during a fit."""

from __future__ import annotations

import time
from collections.abc import Callable

from foretell.objectives.base import Trainable


class Watch:
    """A monitor that follows a score during a fit: of the test part for the report only, as nothing is chosen by it, or of
    validation labels, whose ``score`` may end the fit.

    ``curve`` holds (step, seconds of training without these looks, score); ``spent`` the seconds of the looks. After
    ``most`` looks (None: no limit) the last value stands.
    """

    name = "test score"
    higher_is_better = True

    def __init__(self, every: int, score: Callable[[Trainable], float], most: int | None = None) -> None:
        self.every, self.score, self.most = every, score, most
        self.curve: list[tuple[int, float, float]] = []
        self.spent = 0.0
        self._start = time.perf_counter()

    def __call__(self, trainable: Trainable, step: int) -> float:
        if len(self.curve) == self.most:
            return self.curve[-1][2]
        now = time.perf_counter()
        value = self.score(trainable)
        self.curve.append((step, now - self._start - self.spent, value))
        self.spent += time.perf_counter() - now
        return value
