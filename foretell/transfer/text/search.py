"""The search of a fine-tuning's settings within the labels at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foretell.errors import InputError
from foretell.measures.metrics import or_even
from foretell.tasks.base import TextTask
from foretell.tasks.inputs import Index
from foretell.transfer.config import TransferConfig
from foretell.transfer.search import searched
from foretell.transfer.search_config import SearchConfig
from foretell.transfer.text.tuning import TextStart, TextTuner, tune
from foretell.transfer.trials import Judged, Keep, Report, Space, Trial, looking, trials_of
from foretell.transfer.watch import Watch


def check_method(config: SearchConfig) -> None:
    """Raises InputError for the published grid, which is one of networks of images."""
    if config.method == "published":
        raise InputError(
            "transfer.search.method = 'published': is the grid of fine-tuning on images; of text choose grid, random or tpe"
        )


def search_tuning(
    start: TextStart,
    data: TextTask,
    splits: tuple[list[tuple[Index, Index]], str],
    *,
    config: TransferConfig,
    trials: int,
    seed: int,
    precision: str = "float32",
    keep: Keep | None = None,
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
    space = Space(span, config.steps_for(len(data)), own.weight_decay)
    pairs, how = splits
    everything = np.arange(len(data))

    def judge(trial: Trial, report: Report | None) -> Judged:
        total, loss, seen, seconds = data.score(), 0.0, 0, 0.0
        parts = pairs or [(everything, everything)]
        for part, (train, valid) in enumerate(parts):
            held = data.take(valid)

            def score(tuner: TextTuner, held: TextTask = held) -> float:
                so_far = data.score()
                tuner.judged(held, so_far)
                return or_even(so_far.result()[data.metric])

            look = looking(report, trial, part, len(parts), score, Watch)
            fitted = tune(
                start, data.take(train), config=config, trial=trial, seed=seed, precision=precision, look=look
            )
            loss += fitted.tuner.judged(held, total) * len(held)
            seen += len(held)
            seconds += fitted.seconds
        return Judged(or_even(total.result()[data.metric]), loss / seen, seconds)

    chosen, record = searched(
        space,
        judge,
        config=config.search,
        trials=trials_of(config.search, trials),
        seed=seed,
        keep=keep,
        tried=lambda: advance(max(1, len(pairs))),
    )
    if not pairs:
        how = "the training examples themselves (one label a class: nothing can be held out)"
    return chosen, {"how": how, **record}
