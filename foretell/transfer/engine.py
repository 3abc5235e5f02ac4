"""The work of any comparison: every arm at every number of labels and seed, searched alike, each answer kept by the
hash of what it depends on. What is compared (images, text) is a subclass.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from foretell.measures.crossing import crossings
from foretell.measures.metrics import MOST_CONFUSION
from foretell.measures.redrawn import add_spreads, taken_from
from foretell.measures.summary import differences, labels_saved, summarise, to_reach
from foretell.measures.verdict import verdict
from foretell.transfer.cache import Cache, fingerprint
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import Fraction, Index, Samples, splits_of
from foretell.transfer.protocol import Protocol
from foretell.transfer.search import require
from foretell.transfer.trials import Keep, Trial, fits_of, trials_of

Progress = Callable[[int, int, str], None]
FROZEN = 1000  # samples of training that take about as long as a probe

Data = TypeVar("Data", bound=Samples)


class Engine(ABC, Generic[Data]):
    """One encoder, one split, one protocol; ``run`` does the work.

    ``arms``: what each arm is, in words; ``tuned_arms``: those that are trained by steps, the others are fits of a
    linear model on features. ``metrics`` of each row, the headline first; ``test_parts`` are the prefixes that they have on
    every test part. ``curve_samples``: how many test samples the curves of fits are scored on. ``looks``: how many fits
    ``with_all_labels`` makes; 0: it is left out. ``folder``: that of the run, where searches are kept; None: nowhere.
    """

    arms: Mapping[str, dict[str, str]]
    tuned_arms: tuple[str, ...]
    metrics: tuple[str, ...]
    test_parts: tuple[str, ...] = ("",)
    curve_samples: int
    looks: int
    classes: list[str]

    def __init__(
        self,
        *,
        train: Data,
        protocol: Protocol,
        config: TransferConfig,
        cache: Cache,
        progress: Progress | None,
        base: Mapping[str, Any],
        folder: Path | None = None,
    ) -> None:
        require(config.search)
        self.train, self.seeds, self.config = train, tuple(protocol.seeds), config
        self.trials = trials_of(config.search, protocol.trials)
        self.cache, self.progress, self.folder = cache, progress, folder
        self.done = self.total = 0
        self.ahead = 0  # how much of it other processes have done for this one, and told
        self.fits = {"fine_tunings": 0, "in_searches": 0, "linear": 0}
        self._in_studies = 0.0  # seconds of trials that lie in a study, not in the cache
        self.redrawn: list[dict[str, Any]] = []  # after ``run``: see ``redrawn.taken_from``
        self._base = {**base, "trials": self.trials}

    # what is compared ------------------------------------------------------------------------------------------------

    @abstractmethod
    def taken(self, positions: Index) -> Data:
        """The training samples at ``positions``."""

    @abstractmethod
    def samples_for(self, labels: int) -> int:
        """Samples that one training on ``labels`` labelled samples sees."""

    @property
    @abstractmethod
    def on_cpu(self) -> bool:
        """Whether trainings run on processor cores."""

    @abstractmethod
    def flops_of(self, labels: int) -> float:
        """Operations of training on one sample once, where there are ``labels``."""

    @abstractmethod
    def networks(self) -> Iterable[nn.Module]:
        """Every module that trainings start at, and their parts."""

    def settle(self) -> None:
        """Measure what every process must find alike."""

    @abstractmethod
    def start(self, arm: str, fraction: Fraction) -> Any:
        """Where the tuned ``arm`` starts."""

    @abstractmethod
    def depends(self, arm: str, start: Any) -> dict[str, Any]:
        """What the fits of a tuned arm depend on beside labels and settings."""

    @abstractmethod
    def search(
        self, arm: str, start: Any, data: Data, keep: Keep, advance: Callable[[int], None]
    ) -> tuple[Trial, dict[str, Any]]:
        """The settings chosen on labels out of ``data``, and a record of all that were tried."""

    @abstractmethod
    def _fit(self, start: Any, data: Data, trial: Trial, seed: int, every: int) -> dict[str, Any]:
        """One training and its test scores, looked at before the first step, every ``every`` steps and at the end (0: not)."""

    @abstractmethod
    def searched(self, arm: str, fraction: Fraction) -> dict[str, Any]:
        """The search of a frozen arm, {"how", "trials", "chosen": its settings}."""

    @abstractmethod
    def frozen_depends(self, arm: str, seed: int) -> dict[str, Any]:
        """What a frozen arm's fit depends on beside labels and settings."""

    @abstractmethod
    def _probe(self, arm: str, data: Data, seed: int, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """One fit of a frozen arm and its test scores."""

    @abstractmethod
    def with_all_labels(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Nearest neighbours and probes with all labels, by kind of features."""

    @abstractmethod
    def commonest(self) -> dict[str, Any] | None:
        """``metrics.commonest`` of the test part; None where no one class is asked for."""

    # bookkeeping -----------------------------------------------------------------------------------------------------

    def advance(self, samples: int, what: str) -> None:
        """Progress counts samples, since a training on many labels takes many times as long as one on few."""
        self.done += samples
        if self.progress is not None and self.done > self.ahead:
            self.progress(min(self.done, self.total), self.total, what)

    def key(self, **parts: Any) -> dict[str, Any]:
        return {**self._base, **parts}

    def key_of(self, arm: str, start: Any, data: Data) -> dict[str, Any]:
        """What the fits of a tuned arm depend on beside settings and seed."""
        return self.key(arm=arm, **self.depends(arm, start), labels=fingerprint(data.index.tolist()))

    def keep(self, arm: str, start: Any, data: Data) -> Keep:
        """Where the search of a tuned arm on ``data`` is kept."""
        key = {**self.key_of(arm, start, data), "seed": self.seeds[0]}
        return Keep.of(self.cache, key, self.config.search, self.folder)

    def labels_in(self, data: Data) -> int:
        """How many labels ``data`` holds."""
        return len(data)

    def labelled_at(self, fraction: Fraction, seed: int) -> Data:
        return self.taken(fraction.positions[seed])

    def fits_of_search(self, data: Data) -> int:
        """How many trainings ``search`` does."""
        return fits_of(self.config.search, self.trials, self.splits(data)[0])

    def splits(self, data: Data) -> tuple[list[tuple[Index, Index]], str]:
        """How the labels of ``data`` are cut to choose settings."""
        return splits_of(data, self.config, self.seeds[0])

    def look_every(self, data: Data) -> int:
        """Steps between two looks at a fit on ``data``, the same for every arm, however many steps it chose; 0: no looks."""
        points = self.config.curve_points
        return max(1, self.config.steps_for(len(data)) // points) if points else 0

    # arms ------------------------------------------------------------------------------------------------------------

    def searched_tuned(self, arm: str, fraction: Fraction) -> tuple[Any, Trial, dict[str, Any]]:
        """Where a tuned arm starts, its settings at one fraction, and the record of their search."""
        start = self.start(arm, fraction)
        data = self.labelled_at(fraction, self.seeds[0])
        title, labels = self.arms[arm]["title"], self.labels_in(data)
        trial, record = self.search(
            arm,
            start,
            data,
            self.keep(arm, start, data),
            lambda count: self.advance(
                count * self.samples_for(len(data)), f"{title}, {labels} labels: choosing settings"
            ),
        )
        parts = max(1, self.fits_of_search(data) // self.trials)
        self.fits["in_searches"] += sum(math.ceil(tried.get("share", 1) * parts) for tried in record["trials"])
        if self.config.search.in_study:
            self._in_studies += sum(tried["seconds"] for tried in record["trials"])
        return start, trial, {"arm": arm, "labels": labels, **record}

    def tuned(self, arm: str, fraction: Fraction) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rows of a fine-tuned arm at one fraction, and its search."""
        title = self.arms[arm]["title"]
        start, trial, record = self.searched_tuned(arm, fraction)
        rows = []
        for seed in self.seeds:
            data, answer = self.fitted(arm, start, trial, fraction, seed)
            rows.append(self._row(arm, fraction, data, seed, answer))
            self.fits["fine_tunings"] += 1
            self.advance(self.samples_for(len(data)), f"{title}, {self.labels_in(data)} labels, seed {seed}")
        return rows, record

    def fitted(self, arm: str, start: Any, trial: Trial, fraction: Fraction, seed: int) -> tuple[Data, dict[str, Any]]:
        """The labelled samples of one seed, and what a tuned arm that starts at ``start`` comes to on them."""
        data = self.labelled_at(fraction, seed)
        # Looks at the test set cost time: those of one seed draw the curve.
        every = self.look_every(data) if seed == self.seeds[0] else 0
        key = {
            **self.key_of(arm, start, data),
            "kind": "fit",
            "seed": seed,
            **trial.record(),
            "curve": every or False,
        }
        return data, self.cache.get(key, lambda: self._fit(start, data, trial, seed, every))

    def frozen(self, arm: str, fraction: Fraction) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rows of a frozen arm at one fraction, and its search."""
        record = self.searched(arm, fraction)
        chosen = record["chosen"]
        rows = []
        for seed in self.seeds:
            data = self.labelled_at(fraction, seed)
            labels = fingerprint(data.index.tolist())
            answer = self.cache.get(
                self.key(kind="probe", **self.frozen_depends(arm, seed), labels=labels, seed=seed, **chosen),
                lambda data=data, seed=seed: self._probe(arm, data, seed, chosen),  # type: ignore[misc]
            )
            rows.append(self._row(arm, fraction, data, seed, answer))
            self.fits["linear"] += 1
        labels = rows[0]["labels"]
        self.advance(FROZEN, f"{self.arms[arm]['title']}, {labels} labels")
        return rows, {"arm": arm, "labels": labels, **record}

    def _row(self, arm: str, fraction: Fraction, data: Data, seed: int, answer: dict[str, Any]) -> dict[str, Any]:
        return {"arm": arm, "per_class": fraction.per_class, "labels": self.labels_in(data), "seed": seed, **answer}

    def cost(self, began: float) -> dict[str, Any]:
        """What the comparison took: "seconds" of this call, which began at ``began`` (``time.perf_counter``); its
        "evaluations" (rows), and how many answers it "reused"; and under "work" the "seconds" of everything it holds,
        earlier calls and other processes of its searches included (None where they were not kept), and how many fits
        there were: "fine_tunings" and "linear" ones of the rows, and the trainings "in_searches".
        """
        kept = self.cache.seconds
        return {
            "seconds": time.perf_counter() - began,
            "evaluations": self.fits["fine_tunings"] + self.fits["linear"],
            "reused": self.cache.reused,
            "work": {"seconds": None if kept is None else kept + self._in_studies, **self.fits},
        }

    # the whole -------------------------------------------------------------------------------------------------------

    def join(self, arms: tuple[str, ...], fractions: list[Fraction]) -> list[dict[str, Any]]:
        """Take part in the searches of another process that does ``run``: the record of each."""
        tuned = [arm for arm in arms if arm in self.tuned_arms]
        for fraction in fractions:
            data = self.labelled_at(fraction, self.seeds[0])
            self.total += len(tuned) * self.fits_of_search(data) * self.samples_for(len(data))
        return [self.searched_tuned(arm, fraction)[2] for fraction in fractions for arm in tuned]

    def work_of(self, arms: tuple[str, ...], fractions: list[Fraction]) -> int:
        """Samples of all trainings, as ``advance`` counts them."""
        total = self.looks * FROZEN
        for fraction in fractions:
            data = self.labelled_at(fraction, self.seeds[0])
            tuned = (self.fits_of_search(data) + len(self.seeds)) * self.samples_for(len(data))
            total += sum(tuned if arm in self.tuned_arms else FROZEN for arm in arms)
        return total

    def run(self, arms: tuple[str, ...], fractions: list[Fraction]) -> dict[str, Any]:
        """What ``results/comparison.json`` holds."""
        self.total = self.work_of(arms, fractions)
        neighbours, probes = self.with_all_labels() if self.looks else ({}, {})
        rows: list[dict[str, Any]] = []
        searches = []
        for fraction in fractions:
            for arm in arms:
                made, record = (self.tuned if arm in self.tuned_arms else self.frozen)(arm, fraction)
                rows.extend(made)
                searches.append(record)
        matrices = [row.pop("confusion", None) for row in rows]
        metric = self.metrics[0]
        self.redrawn = taken_from(rows, metric, self.test_parts)
        summary = summarise(rows, self.metrics)
        paired = differences(rows, self.metrics)
        add_spreads([*summary, *paired], self.redrawn)
        found = self.commonest()
        guess = None if found is None else found["metrics"].get(metric)
        titles = {arm: str(self.arms[arm]["title"]) for arm in arms}
        shown = "pretrained" if "pretrained" in arms else arms[0]
        largest = max(
            (at for at, row in enumerate(rows) if row["arm"] == shown and row["seed"] == self.seeds[0]),
            key=lambda at: rows[at]["labels"],
        )
        return {
            "metric": metric,
            "classes": self.classes,
            "seeds": list(self.seeds),
            "trials": self.trials,
            "arms": {arm: dict(self.arms[arm]) for arm in arms},
            "rows": rows,
            "summary": summary,
            "paired": paired,
            "search": searches,
            "labels_saved": labels_saved(summary, metric),
            "crossing": crossings(rows, metric, self.redrawn),
            "to_reach_scratch": to_reach(rows, samples=self.curve_samples),
            "confusion": {"arm": shown, "labels": rows[largest]["labels"], "matrix": matrices[largest]},
            "knn": neighbours,
            "linear_probe": probes,
            "verdict": verdict(paired, summary, metric, guess=guess, titles=titles),
        }


def confusion_of(matrix: Any) -> dict[str, Any]:
    """A confusion matrix for a row, {} where it is too large to be looked at."""
    return {"confusion": matrix.tolist()} if len(matrix) <= MOST_CONFUSION else {}
