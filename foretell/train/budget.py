"""Budgets in epochs, steps or wall-clock time, as a person writes them, and what a time comes to."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from foretell.errors import InputError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)\s*h)?\s*(?:(\d+(?:\.\d+)?)\s*m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)\s*s)?", re.I)
_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(epochs?|steps?)", re.I)


def seconds_of(text: str) -> float:
    """Seconds of "90s", "5m", "2h" or "1h30m". Raises InputError for anything else, and for no time at all.

    >>> seconds_of("1h30m")
    5400.0
    """
    found = _TIME.fullmatch(text.strip())
    seconds = 0.0
    if found and text.strip():
        seconds = sum(float(n) * _UNITS[u] for n, u in zip(found.groups(), "hms", strict=True) if n is not None)
    if not 0 < seconds < math.inf:
        raise InputError(f"'{text}' is not a time; write it as 90s, 5m or 2h")
    return seconds


def parse_budget(text: str) -> dict[str, float | int | str]:
    """``{"time": "5m"}``, ``{"epochs": 50.0}`` or ``{"steps": 2000}``: the key and value of ``TrainingConfig``.

    Raises InputError for anything else.

    >>> parse_budget("50 epochs"), parse_budget("2000 steps"), parse_budget("5m")
    ({'epochs': 50.0}, {'steps': 2000}, {'time': '5m'})
    """
    found = _COUNT.fullmatch(text.strip())
    if found:
        number, unit = float(found[1]), found[2].lower().rstrip("s")
        if 0 < number < math.inf and unit == "epoch":
            return {"epochs": number}
        if 1 <= number < math.inf and unit == "step" and number == int(number):
            return {"steps": int(number)}
    else:
        try:
            seconds_of(text)
            return {"time": text.strip().replace(" ", "")}
        except InputError:
            pass
    raise InputError(f"'{text}' is not a budget; write it as 5m, 90s, 2h, '50 epochs' or '2000 steps'")


@dataclass(frozen=True)
class Pace:
    """Seconds that training takes: a ``step`` alone, ``health`` beside each step, ``looks``: (steps between two rounds,
    seconds a round) of each monitor.
    """

    step: float
    health: float = 0.0
    looks: Sequence[tuple[int, float]] = ()

    def seconds(self, most: int | None = None) -> float:
        """Of a step with its share of all that is beside it; ``most``: steps between two rounds at most.

        >>> Pace(1.0, 0.5, [(10, 20.0)]).seconds(), Pace(1.0, 0.5, [(10, 20.0)]).seconds(most=5)
        (3.5, 5.5)
        """
        rounds = (seconds / (every if most is None else min(every, most)) for every, seconds in self.looks)
        return self.step + self.health + sum(rounds)


def steps_per_round(steps: float, rounds: int) -> int:
    """The most steps between two rounds that leave so many ``rounds`` in ``steps``.

    >>> steps_per_round(95, 10)
    9
    """
    return max(1, int(steps / rounds))


def told_rounds(patience: int, monitor: str, every: int, steps: int) -> str:
    """How many rounds of ``monitor``, one ``every`` so many steps, there are, and whether ``patience`` can count so far."""
    count = math.ceil(steps / every)
    rounds = "1 round" if count == 1 else f"{count:,} rounds"
    spaced = "every step" if every == 1 else f"every {every:,} steps"
    text = f"training.patience = {patience}: {rounds} of {monitor} in {steps:,} steps, {spaced}"
    if count <= patience + 1:  # the first round improves on nothing, and the last one ends no run early
        text += ", too few to end the run early; lower training.health_every, or give a longer budget"
    return text
