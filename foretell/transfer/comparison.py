"""The work of a comparison: features, searches and fits, each kept by the hash of what it depends on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from foretell.counters import seed_of
from foretell.encoders.base import Encoder
from foretell.train.cost import PeakMemory, forward_flops
from foretell.transfer.arms import ARMS, TUNED
from foretell.transfer.cache import Cache, fingerprint
from foretell.transfer.config import TransferConfig
from foretell.transfer.evaluate import at_most, judge_frozen
from foretell.transfer.features import (
    FeatureBank,
    Given,
    PlainViews,
    device_of,
    embed,
    pixels,
    random_encoder,
    weights_hash,
)
from foretell.transfer.finetune import augmented
from foretell.transfer.fit import Look, Start, TestSet, fine_tune, fits_of_search, resolve_device, search
from foretell.transfer.fractions import validation_splits
from foretell.transfer.labelled import Index, Labelled
from foretell.transfer.metrics import Tally, score
from foretell.transfer.probe import fit_probe, linear_probe
from foretell.transfer.search import Trial
from foretell.transfer.summary import differences, labels_saved, summarise, to_reach
from foretell.transfer.verdict import verdict
from foretell.views.config import ViewConfig

if TYPE_CHECKING:
    from foretell.data.store import ImageStore

Progress = Callable[[int, int, str], None]
METRIC = "accuracy"
_MOST_CONFUSION = 64
_FROZEN = 1000  # samples of training that take about as long as a probe


@dataclass
class Fraction:
    """One number of labels: for each seed the positions of its labelled samples among the training samples."""

    per_class: int | None
    positions: dict[int, Index]

    def labels(self, seed: int) -> int:
        return len(self.positions[seed])


class Comparison:
    """One encoder, one split, one protocol; ``run`` does the work."""

    def __init__(
        self,
        *,
        encoder: Encoder,
        supervised: Encoder | None,
        store: ImageStore,
        train: Labelled,
        test: Labelled,
        views: ViewConfig,
        seeds: tuple[int, ...],
        trials: int,
        config: TransferConfig,
        cache: Cache,
        progress: Progress | None,
    ) -> None:
        self.store, self.views, self.seeds, self.trials, self.config = store, views, seeds, trials, config
        self.cache, self.progress = cache, progress
        self.train, self.test = train, test
        where = resolve_device(config.device)
        self.encoders = {"pretrained": encoder.to(where)}
        if supervised is not None:
            self.encoders["supervised"] = supervised.to(where)
        self.held = TestSet.of(test, views, config.crop)
        some = at_most(test, config.curve_samples, seed=1)
        self.looked_at = self.held if len(some) == len(test) else TestSet.of(some, views, config.crop)
        self.evaluations = self.done = self.total = 0
        self._banks: dict[str, FeatureBank] = {}
        self._test_features: dict[str, Any] = {}
        self._strength: dict[tuple[str, int | None], float] = {}
        self._weights = {name: weights_hash(module) for name, module in self.encoders.items()}
        self._weights["scratch"] = encoder.name
        self._base = {
            "version": 2,
            "data": store.fingerprint,
            "classes": train.classes,
            "train": fingerprint(train.index.tolist()),
            "test": fingerprint(test.index.tolist()),
            "views": views.model_dump(mode="json"),
            "config": config.model_dump(mode="json", exclude={"device", "probe_samples"}),
            "trials": trials,
        }

    # bookkeeping ------------------------------------------------------------------------------------------------

    def advance(self, samples: int, what: str) -> None:
        """Progress counts samples, since a training on many labels takes many times as long as one on few."""
        self.done += samples
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total, what)

    def key(self, **parts: Any) -> dict[str, Any]:
        return {**self._base, **parts}

    # features ---------------------------------------------------------------------------------------------------

    def encoder_of(self, name: str) -> Encoder:
        """ "pretrained", "supervised", or "random:SEED"."""
        if name not in self.encoders:
            self.encoders[name] = random_encoder(
                self.encoders["pretrained"], int(name.split(":")[1]), self.store, self.train.index, self.views
            )
        return self.encoders[name]

    def features(self, name: str, rows: Index) -> Any:
        if name not in self._banks:

            def compute(missing: Index) -> Any:
                views = PlainViews(self.store, missing, self.views, crop=self.config.crop, limit=0)
                return embed(self.encoder_of(name), views)

            self._banks[name] = FeatureBank(compute)
        return self._banks[name](rows)

    def test_features(self, name: str) -> Any:
        if name not in self._test_features:
            self._test_features[name] = embed(self.encoder_of(name), self.held.views)
        return self._test_features[name]

    # arms -------------------------------------------------------------------------------------------------------

    def labelled_at(self, fraction: Fraction, seed: int) -> Labelled:
        return self.train.take(fraction.positions[seed])

    def tuned(self, arm: str, fraction: Fraction) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rows of a fine-tuned arm at one fraction, and its search."""
        first = self.seeds[0]
        title = ARMS[arm]["title"]
        start = Start(
            self.encoders["pretrained" if arm == "scratch" else arm],
            scratch=arm == "scratch",
            strength=1e-2 if arm == "scratch" else self.strength(arm, fraction),
        )

        def key(data: Labelled, **parts: Any) -> dict[str, Any]:
            return self.key(
                arm=arm,
                weights=self._weights[arm],
                strength=start.strength,
                labels=fingerprint(data.index.tolist()),
                **parts,
            )

        data = self.labelled_at(fraction, first)
        trial, record = search(
            start,
            data,
            views=self.views,
            config=self.config,
            trials=self.trials,
            seed=first,
            remember=lambda parts, work: self.cache.get(key(data, **parts), work),
            advance=lambda count: self.advance(
                count * self.config.samples_for(len(data)), f"{title}, {len(data)} labels: choosing settings"
            ),
        )
        rows = []
        for seed in self.seeds:
            data = self.labelled_at(fraction, seed)
            # Looks at the test set cost time: those of one seed draw the curve.
            curve = seed == first and self.config.curve_points > 0
            answer = self.cache.get(
                key(data, kind="fit", seed=seed, **trial.record(), curve=curve),
                lambda start=start, data=data, trial=trial, seed=seed, curve=curve: self._fit(  # type: ignore[misc]
                    start, data, trial, seed, curve
                ),
            )
            self.evaluations += 1
            rows.append({"arm": arm, "per_class": fraction.per_class, "labels": len(data), "seed": seed, **answer})
            self.advance(self.config.samples_for(len(data)), f"{title}, {len(data)} labels, seed {seed}")
        return rows, {"arm": arm, "labels": fraction.labels(first), **record}

    def _fit(self, start: Start, data: Labelled, trial: Trial, seed: int, curve: bool) -> dict[str, Any]:
        every = max(1, trial.steps // max(1, self.config.curve_points))
        fitted = fine_tune(
            start,
            data,
            views=self.views,
            config=self.config,
            trial=trial,
            seed=seed,
            look=(lambda: Look(self.looked_at, every)) if curve else None,
        )
        tally = self.held.tally(fitted.classifier)
        return {
            **tally.result(),
            "steps": trial.steps,
            "seconds": fitted.seconds,
            "samples": fitted.samples,
            "flops": fitted.flops,
            "peak_memory_bytes": fitted.peak_memory_bytes,
            "rate": trial.rate,
            "curve": [list(point) for point in fitted.curve],
            **_confusion(tally),
        }

    def strength(self, arm: str, fraction: Fraction) -> float:
        """The penalty of the probe on the frozen features of ``arm``, chosen on the first seed's labels of
        ``fraction``.
        """
        if (arm, fraction.per_class) not in self._strength:
            self._strength[arm, fraction.per_class] = self._searched_probe(arm, fraction)["chosen"]["strength"]
        return self._strength[arm, fraction.per_class]

    def _searched_probe(self, name: str, fraction: Fraction) -> dict[str, Any]:
        seed = self.seeds[0]
        data = self.labelled_at(fraction, seed)

        def work() -> dict[str, Any]:
            splits, how = validation_splits(
                data.codes, data.groups, k=self.config.folds, share=self.config.holdout, seed=seed
            )

            def fresh() -> tuple[Any, Index]:
                made = list(augmented(data, self.views, seed_of(seed, "validation"), 4))
                encoder = self.encoder_of(name)
                x = np.concatenate([embed(encoder, Given([x])) for x, _ in made])
                return x, np.concatenate([codes for _, codes in made])

            probe, records = linear_probe(
                self.features(name, data.index),
                data.codes,
                len(data.classes),
                splits=splits,
                trials=self.trials,
                span=self.config.strengths,
                fresh=fresh,
            )
            return {"how": how, "trials": records, "chosen": {"strength": probe.strength}}

        weights = self._weights.get(name, f"{self._weights['scratch']} {name}")
        key = self.key(kind="probe search", weights=weights, labels=fingerprint(data.index.tolist()), seed=seed)
        return self.cache.get(key, work)

    def linear(self, arm: str, fraction: Fraction) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rows of a frozen arm at one fraction, and its search."""
        first = self.seeds[0]
        names = {seed: "pretrained" if arm == "probe" else f"random:{seed}" for seed in self.seeds}
        record = self._searched_probe(names[first], fraction)
        strength = record["chosen"]["strength"]
        rows = []
        for seed in self.seeds:
            data = self.labelled_at(fraction, seed)
            weights = self._weights.get(names[seed], f"{self._weights['scratch']} {names[seed]}")
            key = self.key(
                kind="probe",
                weights=weights,
                labels=fingerprint(data.index.tolist()),
                seed=seed,
                strength=strength,
            )
            answer = self.cache.get(
                key,
                lambda name=names[seed], data=data: self._probe(name, data, strength),  # type: ignore[misc]
            )
            self.evaluations += 1
            rows.append({"arm": arm, "per_class": fraction.per_class, "labels": len(data), "seed": seed, **answer})
        self.advance(_FROZEN, f"{ARMS[arm]['title']}, {fraction.labels(first)} labels")
        return rows, {"arm": arm, "labels": fraction.labels(first), **record}

    def _probe(self, name: str, data: Labelled, strength: float) -> dict[str, Any]:
        encoder, test_x = self.encoder_of(name), self.test_features(name)
        with PeakMemory(device_of(encoder)) as memory:
            began = time.perf_counter()
            # Embedded anew: what the arm costs must not depend on which features an earlier arm left behind.
            x = embed(encoder, PlainViews(self.store, data.index, self.views, crop=self.config.crop, limit=0))
            probe = fit_probe(x, data.codes, len(data.classes), strength)
            seconds = time.perf_counter() - began
        assert self.views.side is not None
        tally = Tally(len(data.classes))
        tally.add(probe.probabilities(test_x), self.test.codes)
        return {
            **tally.result(),
            "steps": 0,
            "seconds": seconds,
            "samples": len(data),
            "flops": len(data) * forward_flops(encoder, self.views.side),
            "peak_memory_bytes": memory.bytes,
            "rate": None,
            "curve": [],
            **_confusion(tally),
        }

    # all labels -------------------------------------------------------------------------------------------------

    def with_all_labels(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """kNN and linear probe with all labels, for pretrained features, random features and pixels."""
        train = at_most(self.train, self.config.probe_samples)
        neighbours: dict[str, Any] = {}
        probes: dict[str, Any] = {}
        for title, name in (("pretrained", "pretrained"), ("random", f"random:{self.seeds[0]}"), ("pixels", "pixels")):

            def work(name: str = name) -> dict[str, Any]:
                if name == "pixels":
                    side = min(32, self.views.side or 32)
                    own, other = pixels(self.store, train.index, side), pixels(self.store, self.test.index, side)
                else:
                    own, other = self.features(name, train.index), self.test_features(name)
                found = judge_frozen(own, train, other, config=self.config, trials=self.trials, seed=self.seeds[0])
                return {way: score(p, self.test.codes) for way, p in found.items()}

            weights = self._weights.get(name, f"{self._weights['scratch']} {name}")
            key = self.key(kind="all labels", weights=weights, labels=fingerprint(train.index.tolist()))
            answer = self.cache.get(key, work)
            neighbours[title] = {**answer["knn"], "k": min(self.config.neighbours, len(train)), "labels": len(train)}
            probes[title] = {**answer["linear_probe"], "labels": len(train)}
            self.advance(_FROZEN, f"nearest neighbours and probe: {title}")
        return neighbours, probes

    # the whole --------------------------------------------------------------------------------------------------

    def run(self, arms: tuple[str, ...], fractions: list[Fraction]) -> dict[str, Any]:
        self.total = 3 * _FROZEN
        for fraction in fractions:
            data = self.train.take(fraction.positions[self.seeds[0]])
            fits = fits_of_search(data, self.config, self.trials, self.seeds[0]) + len(self.seeds)
            tuned = fits * self.config.samples_for(len(data))
            self.total += sum(tuned if arm in TUNED else _FROZEN for arm in arms)
        neighbours, probes = self.with_all_labels()
        rows: list[dict[str, Any]] = []
        searches = []
        for fraction in fractions:
            for arm in arms:
                made, record = (self.tuned if arm in TUNED else self.linear)(arm, fraction)
                rows.extend(made)
                searches.append(record)
        matrices = [row.pop("confusion", None) for row in rows]
        summary = summarise(rows)
        paired = differences(rows)
        shown = "pretrained" if "pretrained" in arms else arms[0]
        largest = max(
            (at for at, row in enumerate(rows) if row["arm"] == shown and row["seed"] == self.seeds[0]),
            key=lambda at: rows[at]["labels"],
        )
        return {
            "metric": METRIC,
            "classes": self.train.classes,
            "seeds": list(self.seeds),
            "trials": self.trials,
            "arms": {arm: dict(ARMS[arm]) for arm in arms},
            "rows": rows,
            "summary": summary,
            "paired": paired,
            "search": searches,
            "labels_saved": labels_saved(summary, METRIC),
            "to_reach_scratch": to_reach(rows),
            "confusion": {"arm": shown, "labels": rows[largest]["labels"], "matrix": matrices[largest]},
            "knn": neighbours,
            "linear_probe": probes,
            "verdict": verdict(paired, summary, METRIC),
        }


def _confusion(tally: Tally) -> dict[str, Any]:
    return {"confusion": tally.matrix.tolist()} if tally.classes <= _MOST_CONFUSION else {}
