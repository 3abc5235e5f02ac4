"""The comparison where words are tagged or questions answered: heads on every token, and the task's own baseline.

There is no vector a text, and so no linear model of features: a frozen network has its head trained by the same loop, with
as many settings searched as the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from foretell.tasks.answer_score import best_threshold
from foretell.tasks.answering import Answering
from foretell.tasks.base import Task
from foretell.tasks.baselines import BASELINES, baseline_of
from foretell.tasks.inputs import Index
from foretell.train.cost import PeakMemory
from foretell.transfer.engine import Fraction
from foretell.transfer.features import device_of
from foretell.transfer.search import Trial
from foretell.transfer.text_arms import TEXT_ARMS
from foretell.transfer.text_comparison import TextComparison
from foretell.transfer.text_tuning import TextStart, tune

SPAN_ARMS: dict[str, dict[str, str]] = {
    "pretrained": TEXT_ARMS["pretrained"],
    "probe": {
        "title": "pretrained, frozen",
        "what": "a linear head trained on the states of the pretrained network, which is left as it is",
    },
    "scratch": TEXT_ARMS["scratch"],
    "random": {
        "title": "random, frozen",
        "what": "a linear head trained on the states of the same network with random weights, which is left as it is",
    },
    "baseline": {"title": "baseline", "what": "what foretells the task without a network"},
}


def chosen_threshold(
    data: Answering, splits: Sequence[tuple[Index, Index]], fitted: Callable[[Task], Callable[[Task], list[Any]]]
) -> float:
    """The threshold that is best on validation questions out of ``data``.

    ``fitted`` learns from one part and gives what answers another. 0 where nothing can be held out; what it was where every
    question has an answer.
    """
    if not np.isfinite(data.threshold):
        return data.threshold
    rows = []
    for train, valid in splits:
        held = data.take(valid)
        rows += held.margins(fitted(data.take(train))(held))
    return best_threshold(rows)


class SpanComparison(TextComparison):
    """Tagging and question answering: one model, one labelled task, one split, one protocol."""

    arms = SPAN_ARMS
    tuned_arms = ("pretrained", "probe", "scratch", "random")
    always = "baseline"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        kind = next(kind for kind in BASELINES if isinstance(self.train, kind))
        self.arms = {**SPAN_ARMS, "baseline": BASELINES[kind]}
        self.looks = 0
        self._weights |= {"probe": self._weights["pretrained"], "random": "fresh"}

    # trained arms -----------------------------------------------------------------------------------------------------

    def start(self, arm: str, fraction: Fraction) -> TextStart:
        return TextStart(self.model, scratch=arm in ("scratch", "random"), frozen=arm in ("probe", "random"))

    def judged_on(self, start: TextStart, data: Task, trial: Trial, seed: int) -> tuple[Task, dict[str, Any]]:
        """Questions get the threshold that the same training gives on labels held out of ``data``."""

        def fitted(part: Task) -> Callable[[Task], list[Any]]:
            made = tune(start, part, config=self.config, trial=trial, seed=seed, precision=self.precision)
            return made.tuner.predictions

        return self._settled(data, fitted)

    def _settled(
        self, data: Task, fitted: Callable[[Task], Callable[[Task], list[Any]]]
    ) -> tuple[Task, dict[str, Any]]:
        if not isinstance(data, Answering) or not isinstance(self.test, Answering):
            return self.test, {}
        threshold = chosen_threshold(data, self.splits(data)[0], fitted)
        told = {"threshold": threshold} if np.isfinite(threshold) else {}
        return replace(self.test, threshold=threshold), told

    # the baseline -----------------------------------------------------------------------------------------------------

    def searched(self, arm: str, fraction: Fraction) -> dict[str, Any]:
        return {"how": "nothing is searched", "trials": [], "chosen": {}}

    def frozen_depends(self, arm: str, seed: int) -> dict[str, Any]:
        return {"weights": "baseline"}

    def _probe(self, arm: str, data: Task, seed: int, chosen: Mapping[str, Any]) -> dict[str, Any]:
        with PeakMemory(device_of(self.model)) as memory:
            began = time.perf_counter()
            foretell = baseline_of(data)
            test, settled = self._settled(data, baseline_of)
            seconds = time.perf_counter() - began
        score = test.score()
        score.add(foretell(test), test, np.arange(len(test)))
        return {
            **score.result(),
            **settled,
            "steps": 0,
            "seconds": seconds,
            "samples": len(data),
            "tokens": int(data.sequences.length.sum()),
            "flops": 0.0,
            "peak_memory_bytes": memory.bytes,
            "rate": None,
            "curve": [],
        }

    def with_all_labels(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """None: there is no vector a text to take neighbours of."""
        return {}, {}
