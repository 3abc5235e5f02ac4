"""When no answer is given: the threshold of question answering, chosen on labels that were held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from foretell.tasks.answer_score import best_threshold
from foretell.tasks.answering import Answering
from foretell.tasks.base import TextTask
from foretell.tasks.inputs import Index

Fitted = Callable[[TextTask], Callable[[TextTask], list[Any]]]
"""Learns from one part and gives what foretells another."""


def chosen_threshold(data: Answering, splits: Sequence[tuple[Index, Index]], fitted: Fitted) -> float:
    """The threshold that is best on validation questions out of ``data``, answered by what the rest was learnt from.

    0 where nothing can be held out; what it was where every question has an answer.
    """
    if not np.isfinite(data.threshold):
        return data.threshold
    rows = []
    for train, valid in splits:
        held = data.take(valid)
        rows += held.margins(fitted(data.take(train))(held))
    return best_threshold(rows)


def settled(data: TextTask, splits: Sequence[tuple[Index, Index]], fitted: Fitted) -> TextTask:
    """``data`` with the threshold that is chosen on it; a task of another kind as it is."""
    return replace(data, threshold=chosen_threshold(data, splits, fitted)) if isinstance(data, Answering) else data


def like(test: TextTask, data: TextTask) -> TextTask:
    """``test`` with what was ``settled`` on ``data``."""
    if isinstance(test, Answering) and isinstance(data, Answering):
        return replace(test, threshold=data.threshold)
    return test


def told(task: TextTask) -> dict[str, float]:
    """The threshold of ``task`` for a record, {} where it has none."""
    return {"threshold": task.threshold} if isinstance(task, Answering) and np.isfinite(task.threshold) else {}
