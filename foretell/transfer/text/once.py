"""The model of text that a person keeps, fine-tuned on all labels, with settings chosen within them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foretell.encoders.language import LanguageModel
from foretell.tasks.base import TextTask
from foretell.tasks.classification import ClassScore
from foretell.tasks.inputs import Index
from foretell.train.machine import named_device
from foretell.transfer.cache import Cache, fingerprint
from foretell.transfer.config import TransferConfig
from foretell.transfer.engine import Progress
from foretell.transfer.fractions import splits_of
from foretell.transfer.networks import weights_hash
from foretell.transfer.search import adding_up, require
from foretell.transfer.text.answer_threshold import like, settled, told
from foretell.transfer.text.search import check_method, search_tuning
from foretell.transfer.text.tuning import TextStart, TextTuner, settled_precision, tune
from foretell.transfer.trials import Keep, Trial, fits_of, trials_of


@dataclass(frozen=True)
class Searched:
    """The settings chosen for a fine-tuning, and what they were chosen with."""

    start: TextStart
    trial: Trial
    record: dict[str, Any]
    precision: str
    splits: list[tuple[Index, Index]]


def search_text(
    model: LanguageModel,
    data: TextTask,
    *,
    config: TransferConfig,
    trials: int = 8,
    seed: int = 0,
    cache: Cache | None = None,
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Searched:
    """What ``finetune_text`` chooses within ``data``.

    Another process that calls this with the same arguments takes part in the search where ``config.search`` lets it.
    """
    require(config.search)
    check_method(config.search)
    data = data.led_by(config.metric)
    model.to(named_device(config.device))
    kept = cache or Cache(None)
    key = {
        "version": 1,
        "kind": "finetune text",
        "content": data.content(),
        "classes": data.classes,
        "labels": fingerprint(data.index.tolist()),
        "length": data.layout.length,
        "reads": data.layout.reads,
        "shape": model.shape.model_dump(mode="json"),
        "config": config.key_settings(text=True),
        "weights": weights_hash(model),
        "trials": trials_of(config.search, trials),
        "seed": seed,
    }
    work = lambda: {"precision": settled_precision(model, data, config)}
    precision: str = kept.get({**key, "kind": "precision"}, work)["precision"]
    start, splits = TextStart(model), splits_of(data, config, seed)
    trial, record = search_tuning(
        start,
        data,
        splits,
        config=config,
        trials=trials,
        seed=seed,
        precision=precision,
        keep=Keep.of(kept, {**key, "precision": precision}, config.search, folder),
        advance=advance,
    )
    return Searched(start, trial, record, precision, splits[0])


def finetune_text(
    model: LanguageModel,
    data: TextTask,
    *,
    config: TransferConfig,
    test: TextTask | None = None,
    trials: int = 8,
    seed: int = 0,
    cache: Cache | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[TextTuner, dict[str, Any]]:
    """The model trained on all of ``data``, laid out for ``model``, and what is known of it.

    The second value holds "labels", "classes", "search", cost, and with ``test`` its scores under "test". The trials of
    the search are kept in ``cache``, or in the study of the run in ``folder``.
    """
    data = data.led_by(config.metric)
    advance = adding_up(progress, fits_of(config.search, trials, splits_of(data, config, seed)[0]) + 1)
    found = search_text(
        model, data, config=config, trials=trials, seed=seed, cache=cache, folder=folder, advance=advance
    )
    start, trial, precision = found.start, found.trial, found.precision
    fitted = tune(start, data, config=config, trial=trial, seed=seed, precision=precision)

    def learnt(part: TextTask) -> Callable[[TextTask], list[Any]]:
        return tune(start, part, config=config, trial=trial, seed=seed, precision=precision).tuner.predictions

    fitted.tuner.task = settled(data, found.splits, learnt)
    advance(1)
    facts: dict[str, Any] = {
        "task": data.name,
        "labels": len(data),
        "classes": data.classes,
        "search": found.record,
        **told(fitted.tuner.task),
        "steps": trial.steps,
        "precision": precision,
        "samples": fitted.samples,
        "tokens": fitted.tokens,
        "seconds": fitted.seconds,
        "flops": fitted.flops,
        "peak_memory_bytes": fitted.peak_memory_bytes,
    }
    if test is not None and len(test):
        test = like(test, fitted.tuner.task)
        score = test.score()
        fitted.tuner.judged(test, score)
        facts["test"] = {"samples": len(test), **test.counted(), **score.result()}
        if isinstance(score, ClassScore):
            facts["test"]["confusion"] = np.asarray(score.tally.matrix).tolist()
    return fitted.tuner, facts
