"""What a search of a fine-tuning's settings tries: its candidates, what one trial comes to, and where trials are kept.

``grid`` is the default; ``published`` is the grid of Azizi et al. (ICCV 2021, arXiv 2101.05224) for images.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from foretell.errors import ForetellError
from foretell.transfer.cache import Cache, fingerprint, finite
from foretell.transfer.search_config import SearchConfig

RATES = tuple(float(f"{rate:.4g}") for rate in np.logspace(-3.5, -0.5, 7))
DECAYS = (0.0, 1e-5, 1e-4, 1e-3)
STUDY = "search.db"
_LOOKS = 4  # validation is looked at this many times in a training, the last time at its end


# what is searched -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """Settings of one fine-tuning; ``thresholds`` of its classes, chosen on held-out labels, where there were some."""

    rate: float
    steps: int
    weight_decay: float
    thresholds: tuple[float | None, ...] | None = None

    def record(self) -> dict[str, Any]:
        return {"rate": self.rate, "steps": self.steps, "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class Space:
    """What a search chooses from: ``rates`` from the lowest to the highest and at most ``steps`` steps.

    ``weight_decay`` is that of a grid, which does not choose it.
    """

    rates: tuple[float, float]
    steps: int
    weight_decay: float
    optimizer: str = "adamw"

    @property
    def decays(self) -> tuple[float, ...]:
        """Those of the published grid, for SGD with momentum 0.9; times 100 for AdamW, as ``published`` explains."""
        return DECAYS if self.optimizer == "sgd" else tuple(float(f"{100 * decay:.4g}") for decay in DECAYS)


def grid(span: tuple[float, float], steps: int, trials: int, weight_decay: float) -> list[Trial]:
    """``trials`` settings: from 6 on, half of them at ``steps`` and half at half as many; below, all at ``steps``.

    One trial takes the geometric mean of ``span``. No arm may use more than ``steps``.
    """
    if trials < 1:
        raise ValueError(f"a search needs at least one trial, not {trials}")

    def rates(count: int) -> list[float]:
        if count == 1:
            return [float(np.sqrt(span[0] * span[1]))]
        return [float(f"{rate:.4g}") for rate in np.geomspace(span[0], span[1], count)]

    if trials < 6 or steps < 4:
        return [Trial(rate, steps, weight_decay) for rate in rates(trials)]
    short = trials // 2
    return [Trial(rate, steps, weight_decay) for rate in rates(trials - short)] + [
        Trial(rate, steps // 2, weight_decay) for rate in rates(short)
    ]


def published(space: Space) -> list[Trial]:
    """The grid of Azizi et al.: seven rates from 10^-3.5 to 10^-0.5 times no weight decay and 10^-5, 10^-4, 10^-3.

    That is for SGD with momentum 0.9, which takes ten steps' worth of every gradient. For AdamW rates are a tenth (0.01 is
    to SGD what 0.001 is to Adam) and weight decays a hundredfold, so that a step shrinks the weights by the same factor:
    rate x decay, times 10 under momentum.
    """
    rates = RATES if space.optimizer == "sgd" else [float(f"{rate / 10:.4g}") for rate in RATES]
    return [Trial(rate, space.steps, decay) for decay in space.decays for rate in rates]


def trials_of(config: SearchConfig, trials: int) -> int:
    """How many trials a search has where ``trials`` were asked for: the published grid has a number of its own."""
    return len(RATES) * len(DECAYS) if config.method == "published" else trials


def fits_of(config: SearchConfig, trials: int, splits: Sequence[Any]) -> int:
    """How many trainings a search makes, ``splits`` being its pairs to train and to validate on: where nothing can be held out
    a trial is one training, and a single trial is not judged.
    """
    count = trials_of(config, trials)
    return 0 if count == 1 else count * max(1, len(splits))


def listed(config: SearchConfig, space: Space, trials: int) -> list[Trial]:
    """The trials of a grid, in order; none where they are drawn."""
    if config.method == "published":
        return published(space)
    return grid(space.rates, space.steps, trials, space.weight_decay) if config.method == "grid" else []


# one trial ------------------------------------------------------------------------------------------------------------


class Pruned(Exception):
    """A trial is given up; ``share`` of it was done."""

    def __init__(self, share: float) -> None:
        super().__init__(f"given up at {share:.0%}")
        self.share = share


@dataclass(frozen=True)
class Judged:
    """What a trial came to: ``score`` (higher is better) and ``loss`` on validation labels, ``seconds`` of its trainings.

    ``kept``: what else is to be kept of it ("thresholds").
    """

    score: float
    loss: float
    seconds: float
    kept: Mapping[str, Any] = field(default_factory=dict)


Report = Callable[[int, float, float], None]
"""(number of the look, share of the trial that is done, validation score); raises ``Pruned`` to give the trial up."""
Judge = Callable[[Trial, Report | None], Judged]
"""Trains with the settings of a trial and validates; reports on the way where it is given a report."""
Watching = TypeVar("Watching")


def looking(
    report: Report | None,
    trial: Trial,
    part: int,
    parts: int,
    score: Callable[[Any], float],
    watch: Callable[[int, Callable[[Any], float], int], Watching],
) -> Callable[[], Watching] | None:
    """What makes the watch that reports one of the ``parts`` trainings of a trial, a quarter, half and three quarters
    through; None where nobody asks.

    ``score`` validates what is being trained; ``watch(every, score, most)`` makes a ``transfer.watch.Watch``.
    """
    if report is None:
        return None
    every = max(1, trial.steps // _LOOKS)

    def made() -> Watching:
        count = itertools.count(1)

        def told(trainable: Any) -> float:
            value, number = score(trainable), next(count)
            share = (part + min(1.0, number * every / trial.steps)) / parts
            report(part * (_LOOKS - 1) + number, share, value)
            return value

        return watch(every, told, _LOOKS - 1)

    return made


def answer_of(judge: Judge, trial: Trial, report: Report | None = None) -> dict[str, Any]:
    """What is kept of a trial: "state" (complete, pruned or failed), "validation" and "validation_loss" (None unless
    complete), "seconds" in all and, where it was complete, "training_seconds" of them.

    A JSON value. A pruned trial has "share", how much of it was done; a failed one its reason under "failed".
    """
    began = time.perf_counter()
    answer: dict[str, Any] = {"state": "failed", "validation": None, "validation_loss": None}
    try:
        judged = judge(trial, report)
    except ForetellError as error:
        # A rate too high for this arm is an answer of the search, not a failure of the comparison.
        answer["failed"] = str(error)
    except Pruned as pruned:
        answer |= {"state": "pruned", "share": pruned.share}
    else:
        answer |= {"state": "complete", "validation": judged.score, "validation_loss": judged.loss, **judged.kept}
        answer["training_seconds"] = judged.seconds
    found: dict[str, Any] = finite({**answer, "seconds": time.perf_counter() - began})
    return found


# where trials are kept -------------------------------------------------------------------------------------------------


Remember = Callable[[dict[str, Any], Callable[[], dict[str, Any]]], dict[str, Any]]
"""(key, work) -> the stored answer for ``key``, or that of ``work()``, stored."""


def no_memory(key: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return work()


@dataclass(frozen=True)
class Keep:
    """Where the trials of one search are kept: one process's answers by key, or the study ``name`` in ``storage``, which
    several open (None: in memory). ``only``: the number of the one trial that is wanted, where others work at the rest.
    """

    remember: Remember = no_memory
    name: str = "search"
    storage: str | None = None
    only: int | None = None

    @classmethod
    def of(cls, cache: Cache, key: Mapping[str, Any], config: SearchConfig, folder: Path | None) -> Keep:
        """For a search that depends on ``key``, of a run in ``folder``.

        The precision, which may be measured, is no part of a study's name, since machines that differ in it share one.
        """
        named = {name: value for name, value in key.items() if name != "precision"}
        name = fingerprint({**named, "search": config.model_dump(mode="json", exclude={"storage"})})
        storage = config.storage or (None if folder is None else str(folder / STUDY))
        return cls(lambda parts, work: cache.get({**key, **parts}, work), name, storage)
