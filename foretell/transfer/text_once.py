"""The model of text that a person keeps, fine-tuned on all labels, with settings chosen within them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foretell.encoders.language import LanguageModel
from foretell.tasks.base import Task
from foretell.tasks.classification import ClassScore
from foretell.transfer.answer_threshold import like, settled, told
from foretell.transfer.config import TransferConfig
from foretell.transfer.engine import Progress
from foretell.transfer.fit import resolve_device
from foretell.transfer.fractions import validation_splits
from foretell.transfer.text_search import search_tuning
from foretell.transfer.text_tuning import TextStart, TextTuner, settled_precision, tune


def finetune_text(
    model: LanguageModel,
    data: Task,
    *,
    config: TransferConfig,
    test: Task | None = None,
    trials: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[TextTuner, dict[str, Any]]:
    """The model trained on all of ``data``, laid out for ``model``, and what is known of it.

    The second value holds "labels", "classes", "search", cost, and with ``test`` its scores under "test".
    """
    model.to(resolve_device(config.device))
    start, precision = TextStart(model), settled_precision(model, data, config)
    splits = validation_splits(
        data.codes,
        data.groups,
        k=config.folds,
        share=config.holdout,
        seed=seed,
        fewest=min(2, max(1, len(data.classes))),
    )
    total, done = 1 + (trials * max(1, len(splits[0])) if trials > 1 else 0), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total, "choosing settings" if done < total else "fine-tuning")

    trial, record = search_tuning(
        start, data, splits, config=config, trials=trials, seed=seed, precision=precision, advance=advance
    )
    fitted = tune(start, data, config=config, trial=trial, seed=seed, precision=precision)

    def learnt(part: Task) -> Callable[[Task], list[Any]]:
        return tune(start, part, config=config, trial=trial, seed=seed, precision=precision).tuner.predictions

    fitted.tuner.task = settled(data, splits[0], learnt)
    advance(1)
    facts: dict[str, Any] = {
        "task": data.name,
        "labels": len(data),
        "classes": data.classes,
        "search": record,
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
        facts["test"] = {"samples": len(test), **score.result()}
        if isinstance(score, ClassScore):
            facts["test"]["confusion"] = np.asarray(score.tally.matrix).tolist()
    return fitted.tuner, facts
