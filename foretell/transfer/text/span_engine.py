"""The engine of a comparison where words are tagged or questions answered: heads on every token, and the task's own baseline.

There is no vector a text, and so no linear model of features: a frozen network has its head trained by the same loop, with
as many settings searched as the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from foretell.tasks.base import TextTask
from foretell.tasks.baselines import about_baseline, baseline_of
from foretell.train.cost import PeakMemory
from foretell.transfer.fractions import Fraction
from foretell.transfer.networks import device_of
from foretell.transfer.text.answer_threshold import Fitted, like, settled, told
from foretell.transfer.text.arms import TEXT_ARMS
from foretell.transfer.text.engine import TextEngine, at_most
from foretell.transfer.text.tuning import TextStart, tune
from foretell.transfer.trials import Trial

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


class SpanEngine(TextEngine):
    """Tagging and question answering: one model, one labelled task, one split, one protocol."""

    arms = SPAN_ARMS
    tuned_arms = ("pretrained", "probe", "scratch", "random")
    always = "baseline"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.arms = {**SPAN_ARMS, "baseline": about_baseline(self.train)}
        self.looks = 0
        self._weights |= {"probe": self._weights["pretrained"], "random": "fresh"}

    # trained arms -----------------------------------------------------------------------------------------------------

    def start(self, arm: str, fraction: Fraction) -> TextStart:
        return TextStart(self.model, scratch=arm in ("scratch", "random"), frozen=arm in ("probe", "random"))

    def judged_on(self, start: TextStart, data: TextTask, trial: Trial, seed: int) -> tuple[TextTask, dict[str, Any]]:
        """Questions get the threshold that the same training gives on labels held out of ``data``."""

        def fitted(part: TextTask) -> Callable[[TextTask], list[Any]]:
            made = tune(start, part, config=self.config, trial=trial, seed=seed, precision=self.precision)
            return made.tuner.predictions

        return self._settled(data, fitted)

    def _settled(self, data: TextTask, fitted: Fitted) -> tuple[TextTask, dict[str, Any]]:
        test = like(self.test, settled(data, self.splits(data)[0], fitted))
        return test, told(test)

    # the baseline -----------------------------------------------------------------------------------------------------

    def searched(self, arm: str, fraction: Fraction) -> dict[str, Any]:
        return {"how": "nothing is searched", "trials": [], "chosen": {}}

    def frozen_depends(self, arm: str, seed: int) -> dict[str, Any]:
        return {"weights": "baseline"}

    def _probe(self, arm: str, data: TextTask, seed: int, chosen: Mapping[str, Any]) -> dict[str, Any]:
        with PeakMemory(device_of(self.model)) as memory:
            began = time.perf_counter()
            foretell = baseline_of(data)
            test, facts = self._settled(data, baseline_of)
            seconds = time.perf_counter() - began
        score = test.score()
        score.add(foretell(test), test, np.arange(len(test)))
        return {
            **score.result(),
            **facts,
            "steps": 0,
            "seconds": seconds,
            "samples": len(data),
            "tokens": int(data.sequences.length.sum()),
            "flops": 0.0,
            "peak_memory_bytes": memory.bytes,
            "rate": None,
            "curve": [],
        }

    # all labels -------------------------------------------------------------------------------------------------------

    def with_all_labels(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Nothing: the arms of a comparison hold frozen networks and baseline already, at every number of labels."""
        return {}, {}

    def frozen_with_all_labels(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Frozen networks under a trained head, pretrained and random, and the baseline, each with the 95% bootstrap
        interval of the headline metric over test examples, by group where there are groups.
        """
        train = at_most(self.train, self.config.probe_samples)
        seed = self.seeds[0]
        whole = Fraction(None, {seed: np.flatnonzero(np.isin(self.train.index, train.index))})
        found: dict[str, Any] = {}
        for title, arm in (("pretrained", "probe"), ("random", "random")):
            start = self.start(arm, whole)
            advance = partial(self._told, self.arms[arm]["title"])
            trial, _ = self.search(arm, start, train, self.keep(arm, start, train), advance)
            fitted = tune(start, train, config=self.config, trial=trial, seed=seed, precision=self.precision)
            test, facts = self.judged_on(start, train, trial, seed)
            scores = self._with_intervals(fitted.tuner.predictions(test), test)
            found[title] = {**scores, **facts, "labels": len(train)}
        test, facts = self._settled(train, baseline_of)
        scores = self._with_intervals(baseline_of(train)(test), test)
        return {}, {**found, "baseline": {**scores, **facts, "labels": len(train)}}

    def _told(self, title: str, count: int) -> None:
        self.advance(count * self.samples_for(len(self.train)), f"{title}: choosing settings")
