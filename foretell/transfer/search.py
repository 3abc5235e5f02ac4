"""The grid of a search: learning rates, log-spaced, times schedules (numbers of steps); the same for every arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from foretell.errors import ForetellError


@dataclass(frozen=True)
class Trial:
    """Settings of one fine-tuning; ``thresholds`` of its classes, chosen on held-out labels, where there were some."""

    rate: float
    steps: int
    weight_decay: float
    thresholds: tuple[float | None, ...] | None = None

    def record(self) -> dict[str, Any]:
        return {"rate": self.rate, "steps": self.steps, "weight_decay": self.weight_decay}


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


Remember = Callable[[dict[str, Any], Callable[[], dict[str, Any]]], dict[str, Any]]
"""(key, work) -> the stored answer for ``key``, or that of ``work()``, stored."""


def no_memory(key: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return work()


def choose(
    candidates: Sequence[Trial],
    judge: Callable[[Trial], tuple[float, float] | tuple[float, float, dict[str, Any]]],
    *,
    seed: int,
    remember: Remember = no_memory,
    tried: Callable[[], None] = lambda: None,
) -> tuple[Trial, list[dict[str, Any]]]:
    """The best of ``candidates`` and the record of each.

    ``judge(trial)``: validation score (higher is better), loss, and what else is to be kept of the trial ("thresholds");
    ``tried`` is told after each. A single candidate is not judged. Raises ForetellError when every one failed.
    """
    records: list[dict[str, Any]] = []
    for trial in candidates if len(candidates) > 1 else ():

        def work(trial: Trial = trial) -> dict[str, Any]:
            try:
                judged: Sequence[Any] = judge(trial)
            except ForetellError as error:
                # A rate too high for this arm is an answer of the search, not a failure of the comparison.
                return {"validation": None, "validation_loss": None, "failed": str(error)}
            kept = judged[2] if len(judged) > 2 else {}
            return {"validation": judged[0], "validation_loss": judged[1], **kept}

        answer = remember({"kind": "trial", "rate": trial.rate, "steps": trial.steps, "seed": seed}, work)
        records.append({**trial.record(), **answer})
        tried()
    return best(candidates, records), records


def best(candidates: Sequence[Trial], records: Sequence[dict[str, Any]]) -> Trial:
    """The candidate with the highest validation accuracy, then the lowest validation cross-entropy.

    A single candidate needs no record. Raises ForetellError when every trial failed.
    """
    if len(candidates) == 1:
        return candidates[0]
    valid = [(at, record) for at, record in enumerate(records) if record["validation"] is not None]
    if not valid:
        raise ForetellError(
            f"every one of {len(candidates)} trials failed ({records[0].get('failed', 'no validation')}); "
            "lower transfer.rates"
        )
    at, _ = max(valid, key=lambda item: (item[1]["validation"], -item[1]["validation_loss"]))
    limits = records[at].get("thresholds")
    return candidates[at] if limits is None else replace(candidates[at], thresholds=tuple(limits))
