"""The engine of a comparison of text: pretrained, from scratch, frozen features and TF-IDF."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from foretell.encoders.language import LanguageModel
from foretell.measures.intervals import bootstrap, widened
from foretell.measures.knn import knn
from foretell.measures.metrics import commonest, led_by, with_intervals
from foretell.tasks.base import TextTask
from foretell.tasks.classification import Classification, ClassScore
from foretell.tasks.inputs import Index
from foretell.train.cost import PeakMemory
from foretell.transfer.cache import Cache, fingerprint
from foretell.transfer.config import TransferConfig
from foretell.transfer.engine import FROZEN, Engine, Progress, confusion_of
from foretell.transfer.fractions import Fraction, subset
from foretell.transfer.networks import device_of, weights_hash
from foretell.transfer.protocol import Protocol
from foretell.transfer.text.arms import TEXT_ARMS, TEXT_TUNED
from foretell.transfer.text.cost import forward_flops, training_flops
from foretell.transfer.text.features import Bank, embed_units, frozen_kinds
from foretell.transfer.text.linear import fit_dense, fit_sparse, search_linear
from foretell.transfer.text.search import check_method, search_tuning
from foretell.transfer.text.tfidf import FEWEST, KINDS, PENALTIES, TfIdf
from foretell.transfer.text.tuning import TextStart, batch_for, fresh_model, settled_precision, tune
from foretell.transfer.trials import Keep, Trial
from foretell.transfer.watch import Watch


class TextEngine(Engine[TextTask]):
    """Text: one model, one labelled task, one split, one protocol."""

    arms = TEXT_ARMS
    tuned_arms: tuple[str, ...] = TEXT_TUNED
    always = "tfidf"
    drawn_of = 0  # examples of the whole test part, of which ``test`` may be some

    def __init__(
        self,
        *,
        model: LanguageModel,
        train: TextTask,
        test: TextTask,
        protocol: Protocol,
        config: TransferConfig,
        cache: Cache,
        progress: Progress | None,
        data: str,
        folder: Path | None = None,
    ) -> None:
        check_method(config.search)
        weights = weights_hash(model)
        super().__init__(
            train=train,
            protocol=protocol,
            config=config,
            cache=cache,
            progress=progress,
            folder=folder,
            base={
                "version": 2,
                "kind": "text",
                "task": train.name,
                "data": data,
                "classes": train.classes,
                "train": fingerprint(train.index.tolist()),
                "test": fingerprint(test.index.tolist()),
                "content": [train.content(), test.content()],
                "length": train.layout.length,
                "reads": train.layout.reads,
                "shape": model.shape.model_dump(mode="json"),
                "config": config.key_settings(text=True),
            },
        )
        self.model, self.test, self.classes = model, test, train.classes
        self.metrics = led_by(train.metric, train.metrics)
        self.looks = 5 if isinstance(train, Classification) else 3
        self.looked_at = at_most(test, config.curve_samples, seed=1)
        self.curve_samples = len(self.looked_at)
        self._weights = {"pretrained": weights, "scratch": "fresh"}
        self._banks: dict[str, Bank] = {}

    @cached_property
    def precision(self) -> str:
        """float32 or bfloat16, measured once where it is to be, and kept."""
        found: str = self.cache.get(
            self.key(kind="precision", weights=self._weights["pretrained"]),
            lambda: {"precision": settled_precision(self.model, self.train, self.config)},
        )["precision"]
        return found

    # what the engine asks ---------------------------------------------------------------------------------------------

    def taken(self, positions: Index) -> TextTask:
        return self.train.take(positions)

    def samples_for(self, labels: int) -> int:
        return self.config.steps_for(labels) * batch_for(self.config, labels)

    def splits(self, data: TextTask) -> tuple[list[tuple[Index, Index]], str]:
        pairs, how = super().splits(data)
        return pairs, how if pairs else "nothing can be held out (one label a class)"

    @property
    def on_cpu(self) -> bool:
        return device_of(self.model).type == "cpu"

    def flops_of(self, labels: int) -> float:
        return training_flops(self.model.shape, self.train.lengths()) / len(self.train)

    def networks(self) -> Iterator[nn.Module]:
        yield from self.model.modules()

    def settle(self) -> None:
        self.precision  # noqa: B018

    def start(self, arm: str, fraction: Fraction) -> TextStart:
        return TextStart(self.model, scratch=arm == "scratch")

    def depends(self, arm: str, start: TextStart) -> dict[str, Any]:
        return {"weights": self._weights[arm], "precision": self.precision}

    def search(
        self, arm: str, start: TextStart, data: TextTask, keep: Keep, advance: Callable[[int], None]
    ) -> tuple[Trial, dict[str, Any]]:
        return search_tuning(
            start,
            data,
            self.splits(data),
            config=self.config,
            trials=self.trials,
            seed=self.seeds[0],
            precision=self.precision,
            keep=keep,
            advance=advance,
        )

    def _fit(self, start: TextStart, data: TextTask, trial: Trial, seed: int, every: int) -> dict[str, Any]:
        def look() -> Watch:
            def score(trainable: Any) -> float:
                found = self.looked_at.score()
                trainable.judged(self.looked_at, found)
                return found.result()[self.metrics[0]]

            return Watch(every, score, from_start=True)

        fitted = tune(
            start,
            data,
            config=self.config,
            trial=trial,
            seed=seed,
            precision=self.precision,
            look=look if every else None,
        )
        test, settled = self.judged_on(start, data, trial, seed)
        score = test.score()
        fitted.tuner.judged(test, score)
        return {
            **score.result(),
            **settled,
            "steps": trial.steps,
            "seconds": fitted.seconds,
            "samples": fitted.samples,
            "tokens": fitted.tokens,
            "flops": fitted.flops,
            "peak_memory_bytes": fitted.peak_memory_bytes,
            "rate": trial.rate,
            "threads": torch.get_num_threads(),
            "curve": [list(point) for point in fitted.curve if not math.isnan(point[2])],
            **_matrix(score),
        }

    def judged_on(self, start: TextStart, data: TextTask, trial: Trial, seed: int) -> tuple[TextTask, dict[str, Any]]:
        """The test part for a fit, and what was settled for it on labels out of ``data``."""
        return self.test, {}

    # frozen arms ------------------------------------------------------------------------------------------------------

    def _model_of(self, arm: str, seed: int) -> LanguageModel:
        return self.model if arm == "probe" else fresh_model(self.model, seed).eval()

    def _bank(self, arm: str, seed: int) -> Bank:
        name = "pretrained" if arm == "probe" else f"random:{seed}"
        if name not in self._banks:
            self._banks[name] = Bank(self._model_of(arm, seed))
        return self._banks[name]

    def frozen_depends(self, arm: str, seed: int) -> dict[str, Any]:
        if arm == "tfidf":
            return {"weights": "tfidf"}
        return {"weights": self._weights["pretrained"] if arm == "probe" else f"random:{seed}"}

    def searched(self, arm: str, fraction: Fraction) -> dict[str, Any]:
        first = self.seeds[0]
        data = self.labelled_at(fraction, first)
        splits, how = self.splits(data)
        more = arm == "tfidf" and 1 < self.trials < FEWEST and splits
        trials = FEWEST if more else self.trials

        def work() -> dict[str, Any]:
            if arm == "tfidf":
                kinds: Any = {name: TfIdf(name) for name in KINDS}
                chosen, records = search_linear(kinds, fit_sparse, data, splits, trials, PENALTIES)
            else:
                kinds = frozen_kinds(self._bank(arm, first))
                chosen, records = search_linear(kinds, fit_dense, data, splits, self.trials, self.config.strengths)
            return {"how": how, "trials": records, "chosen": chosen}

        labels = fingerprint(data.index.tolist())
        key = self.key(kind="probe search", **self.frozen_depends(arm, first), labels=labels, seed=first)
        return self.cache.get({**key, "tried": trials} if more else key, work)

    def _probe(self, arm: str, data: TextTask, seed: int, chosen: Mapping[str, Any]) -> dict[str, Any]:
        tokens = int(data.sequences.length.sum())
        with PeakMemory(device_of(self.model)) as memory:
            began = time.perf_counter()
            predict, flops = self._linear(arm, data, seed, chosen)
            seconds = time.perf_counter() - began
        score = self.test.score()
        score.add(predict(self.test), self.test, np.arange(len(self.test)))
        return {
            **score.result(),
            "steps": 0,
            "seconds": seconds,
            "samples": len(data),
            "tokens": tokens,
            "flops": flops,
            "peak_memory_bytes": memory.bytes,
            "rate": None,
            "features": chosen["features"],
            "curve": [],
            **_matrix(score),
        }

    def _linear(
        self, arm: str, data: TextTask, seed: int, chosen: Mapping[str, Any]
    ) -> tuple[Callable[[TextTask], Any], float]:
        """What a linear model fitted on ``data`` foretells of a task, and the operations of reading ``data``."""
        kind, strength = chosen["features"], chosen["strength"]
        if arm == "tfidf":
            sparse = TfIdf(kind).fitted(data)
            model = fit_sparse(sparse(data), data, strength)
            return lambda task: model.predictions(sparse(task), task), 0.0
        bank = self._bank(arm, seed)
        # Embedded anew: what the arm costs must not depend on which features an earlier arm left behind.
        model = fit_dense(embed_units(bank.model, data)[kind], data, strength)
        return lambda task: model.predictions(bank.of(task, kind), task), forward_flops(
            bank.model.shape, data.sequences.length
        )

    def commonest(self) -> dict[str, Any] | None:
        if not isinstance(self.test, Classification):
            return None
        return commonest(np.bincount(self.test.codes, minlength=len(self.test.classes)), self.test.classes)

    # all labels -------------------------------------------------------------------------------------------------------

    def with_all_labels(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Nearest neighbours (for classes) and linear models with all labels: pretrained, random features and TF-IDF.

        Under "intervals" the 95% bootstrap interval of each metric over test examples, by group where there are groups.
        """
        train = at_most(self.train, self.config.probe_samples)
        whole = Fraction(None, {seed: np.flatnonzero(np.isin(self.train.index, train.index)) for seed in self.seeds})
        neighbours: dict[str, Any] = {}
        probes: dict[str, Any] = {}
        seed, labels = self.seeds[0], fingerprint(train.index.tolist())
        for title, arm in (("pretrained", "probe"), ("random", "random"), ("tfidf", "tfidf")):
            chosen = self.searched(arm, whole)["chosen"]
            parts = {**self.frozen_depends(arm, seed), "labels": labels, "seed": seed}

            def linear(arm: str = arm, chosen: Mapping[str, Any] = chosen) -> dict[str, Any]:
                return self._with_intervals(self._linear(arm, train, seed, chosen)[0](self.test))

            found = self.cache.get(self.key(kind="all labels", **parts, **chosen), linear)
            probes[title] = {**found, "labels": len(train), "features": chosen["features"]}
            self.advance(FROZEN, f"linear model with all labels: {title}")
            if arm == "tfidf" or not isinstance(train, Classification):
                continue

            def nearest(arm: str = arm) -> dict[str, Any]:
                bank = self._bank(arm, seed)
                k = min(self.config.neighbours, len(train))
                classes = len(train.classes)
                votes = knn(bank.of(train, "mean"), train.codes, bank.of(self.test, "mean"), k=k, classes=classes)
                return self._with_intervals(votes.cpu().numpy())

            found = self.cache.get(self.key(kind="all labels, neighbours", **parts), nearest)
            neighbours[title] = {**found, "k": min(self.config.neighbours, len(train)), "labels": len(train)}
            self.advance(FROZEN, f"nearest neighbours: {title}")
        return neighbours, probes

    def frozen_with_all_labels(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is measured of the frozen network outside a comparison."""
        return self.with_all_labels()

    def _with_intervals(self, predictions: Any, test: TextTask | None = None) -> dict[str, Any]:
        """Scores of ``test``, by default the test part, with intervals."""
        test = self.test if test is None else test
        if isinstance(test, Classification):
            return with_intervals(predictions, test.codes, test.groups)

        def statistic(rows: Index) -> float:
            score = test.score()
            score.add([predictions[row] for row in rows], test, rows)
            return score.result()[self.metrics[0]]

        drawn = bootstrap(statistic, len(test), groups=test.groups)
        # the F1 of answers is a mean over texts too, and no less than the share of those that are wholly right
        interval = widened(drawn, share=self.metrics[0] in ("accuracy", "f1"), groups=test.groups)
        score = test.score()
        score.add(predictions, test, np.arange(len(test)))
        return {**score.result(), "intervals": {self.metrics[0]: [interval.low, interval.high]}}


def at_most(task: TextTask, most: int | None, seed: int = 0) -> TextTask:
    """``task``, or about ``most`` of it with the same shares of the classes."""
    if most is None or len(task) <= most:
        return task
    return task.take(subset(task.codes, share=most / len(task), seed=seed))


def _matrix(score: Any) -> dict[str, Any]:
    return confusion_of(score.tally.matrix) if isinstance(score, ClassScore) else {}
