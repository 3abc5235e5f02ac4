"""The search of a fine-tuning's settings within the labels at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foretell.tasks.base import Task
from foretell.tasks.inputs import Index
from foretell.transfer.config import TransferConfig
from foretell.transfer.search import Remember, Trial, choose, grid, no_memory
from foretell.transfer.text_tuning import TextStart, tune


def search_tuning(
    start: TextStart,
    data: Task,
    splits: tuple[list[tuple[Index, Index]], str],
    *,
    config: TransferConfig,
    trials: int,
    seed: int,
    precision: str = "float32",
    remember: Remember = no_memory,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Trial, dict[str, Any]]:
    """The trial that validates best on labels out of ``data`` alone, and a record of all of them.

    ``splits``: pairs of positions to train and to validate on, and how they were made. A trial is judged by the task's
    metric over all validation examples, then by its loss. Where nothing can be held out (one label a class), settings
    are judged by the loss on the training examples, without dropout.
    """
    own = config.text
    span = own.scratch_rates if start.scratch and own.scratch_rates is not None else own.rates
    span = own.head_rates if start.frozen else span
    candidates = grid(span, config.steps_for(len(data)), trials, own.weight_decay)
    pairs, how = splits
    everything = np.arange(len(data))

    def judge(trial: Trial) -> tuple[float, float]:
        score, loss, seen = data.score(), 0.0, 0
        for train, valid in pairs or [(everything, everything)]:
            fitted = tune(start, data.take(train), config=config, trial=trial, seed=seed, precision=precision)
            held = data.take(valid)
            loss += fitted.tuner.judged(held, score) * len(held)
            seen += len(held)
        return score.result()[data.metric], loss / seen

    chosen, records = choose(candidates, judge, seed=seed, remember=remember, tried=lambda: advance(max(1, len(pairs))))
    if not pairs:
        how = "the training examples themselves (one label a class: nothing can be held out)"
    return chosen, {"how": how, "trials": records, "chosen": chosen.record()}
