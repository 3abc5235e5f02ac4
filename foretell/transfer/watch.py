"""Looks at the test score during a fit."""

from __future__ import annotations

import time
from collections.abc import Callable

from foretell.objectives.base import Trainable


class Watch:
    """A monitor that follows the test score during a fit, for the report only: nothing is chosen by it.

    ``curve`` holds (step, seconds of training without these looks, score); ``spent`` the seconds of the looks.
    """

    name = "test score"
    higher_is_better = True

    def __init__(self, every: int, score: Callable[[Trainable], float]) -> None:
        self.every, self.score = every, score
        self.curve: list[tuple[int, float, float]] = []
        self.spent = 0.0
        self._start = time.perf_counter()

    def __call__(self, trainable: Trainable, step: int) -> float:
        now = time.perf_counter()
        value = self.score(trainable)
        self.curve.append((step, now - self._start - self.spent, value))
        self.spent += time.perf_counter() - now
        return value
