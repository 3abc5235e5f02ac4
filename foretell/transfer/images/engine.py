"""The engine of a comparison of images: features, searches and fits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from foretell.encoders.base import Encoder
from foretell.measures.calibration import EXTRA
from foretell.measures.metrics import METRICS, Scores, led_by
from foretell.measures.multilabel import METRICS as METRICS_OF_FINDINGS
from foretell.measures.multilabel import of_finding
from foretell.measures.operating import METRICS as OPERATING
from foretell.train.cost import PeakMemory, forward_flops
from foretell.train.machine import named_device
from foretell.transfer.cache import Cache, fingerprint
from foretell.transfer.config import TransferConfig
from foretell.transfer.engine import FROZEN, Engine, Progress, confusion_of
from foretell.transfer.fractions import Amount, Fraction
from foretell.transfer.images import cases
from foretell.transfer.images.arms import ARMS, TUNED
from foretell.transfer.images.evaluate import at_most, judge_frozen
from foretell.transfer.images.features import FeatureBank, PlainViews, embed, pixels, random_encoder
from foretell.transfer.images.finetune import Classifier
from foretell.transfer.images.fit import Look, Start, TestSet, fine_tune, search, search_probe
from foretell.transfer.images.frozen import fit_frozen
from foretell.transfer.images.labelled import Index, Labelled, views_key
from foretell.transfer.images.shift import PREFIX
from foretell.transfer.networks import device_of, weights_hash
from foretell.transfer.protocol import Protocol
from foretell.transfer.trials import Keep, Trial
from foretell.views.config import ViewConfig

if TYPE_CHECKING:
    from foretell.data.store import ImageStore


class ImageEngine(Engine[Labelled]):
    """Images: one encoder, one split, one protocol."""

    arms = ARMS
    tuned_arms = TUNED

    def __init__(
        self,
        *,
        encoder: Encoder,
        supervised: Encoder | None,
        store: ImageStore,
        train: Labelled,
        test: Labelled,
        views: ViewConfig,
        protocol: Protocol,
        config: TransferConfig,
        cache: Cache,
        progress: Progress | None,
        all_labels: bool = True,
        shifted: Labelled | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__(
            train=train,
            protocol=protocol,
            config=config,
            cache=cache,
            progress=progress,
            folder=folder,
            base={
                "version": 4,
                "data": store.fingerprint,
                "classes": train.classes,
                "train": fingerprint(train.index.tolist()),
                "test": fingerprint(test.index.tolist()),
                "content": [train.content(), test.content()],
                **views_key(views),
                "config": config.key_settings(),
                **({} if shifted is None else {"shifted": shifted.content()}),
            },
        )
        self.looks = 3 if all_labels and not config.findings else 0  # neighbours vote for one class
        own: tuple[str, ...] = METRICS_OF_FINDINGS if config.findings else (*METRICS, *EXTRA)
        by_case = [f"image_{name}" for name in own] if config.unit == "case" else []
        of_each = [of_finding(name) for name in train.classes] if config.findings else []
        own = (*led_by(config.headline, own), *OPERATING, *by_case, *of_each)
        self.metrics = own if shifted is None else (*own, *(PREFIX + name for name in own))
        self.test_parts = ("",) if shifted is None else ("", PREFIX)
        self.shifted = None if shifted is None else TestSet.of(shifted, views, config)
        self.store, self.views, self.test, self.classes = store, views, test, train.classes
        where = named_device(config.device)
        self.encoders = {"pretrained": encoder.to(where)}
        if supervised is not None:
            self.encoders["supervised"] = supervised.to(where)
        self.held = TestSet.of(test, views, config)
        some = at_most(test, config.curve_samples, seed=1)
        self.looked_at = self.held if len(some) == len(test) else TestSet.of(some, views, config)
        self.curve_samples = cases.count(some)
        self._banks: dict[str, FeatureBank] = {}
        self._test_features: dict[tuple[str, bool], Any] = {}
        self._strength: dict[tuple[str, Amount], float] = {}
        self._weights = {name: weights_hash(module) for name, module in self.encoders.items()}
        shapes = fingerprint([[name, list(tensor.shape)] for name, tensor in encoder.state_dict().items()])
        self._weights["scratch"] = f"{encoder.name} {shapes}"

    # what the engine asks -------------------------------------------------------------------------------------------

    def taken(self, positions: Index) -> Labelled:
        return self.train.take(positions)

    def labels_in(self, data: Labelled) -> int:
        return cases.count(data)

    def splits(self, data: Labelled) -> tuple[list[tuple[Index, Index]], str]:
        return cases.splits(data, self.config, self.seeds[0])

    def samples_for(self, labels: int) -> int:
        return self.config.samples_for(labels)

    @property
    def on_cpu(self) -> bool:
        return named_device(self.config.device).type == "cpu"

    def flops_of(self, labels: int) -> float:
        assert self.views.side is not None
        return 3 * forward_flops(self.encoders["pretrained"], self.views.side)

    def networks(self) -> Iterator[nn.Module]:
        for encoder in self.encoders.values():
            yield from encoder.modules()

    def start(self, arm: str, fraction: Fraction) -> Start:
        return Start(
            self.encoders["pretrained" if arm == "scratch" else arm],
            scratch=arm == "scratch",
            strength=1e-2 if arm == "scratch" else self.strength(arm, fraction),
        )

    def depends(self, arm: str, start: Start) -> dict[str, Any]:
        return {"weights": self._weights[arm], "strength": start.strength}

    def search(
        self, arm: str, start: Start, data: Labelled, keep: Keep, advance: Callable[[int], None]
    ) -> tuple[Trial, dict[str, Any]]:
        return search(
            start,
            data,
            views=self.views,
            config=self.config,
            trials=self.trials,
            seed=self.seeds[0],
            keep=keep,
            advance=advance,
        )

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

    def test_features(self, name: str, held: TestSet | None = None) -> Any:
        """Features of ``held`` (default: the test set)."""
        held = held or self.held
        key = (name, held is self.held)
        if key not in self._test_features:
            self._test_features[key] = embed(self.encoder_of(name), held.views)
        return self._test_features[key]

    # arms -----------------------------------------------------------------------------------------------------------

    def _fit(self, start: Start, data: Labelled, trial: Trial, seed: int, every: int) -> dict[str, Any]:
        def headline(classifier: Classifier) -> float:
            return self.looked_at.scored(classifier, self.metrics[0])

        fitted = fine_tune(
            start,
            data,
            views=self.views,
            config=self.config,
            trial=trial,
            seed=seed,
            look=(lambda: Look(every, headline, from_start=True)) if every else None,
        )
        tally = self.held.tally(fitted.classifier, trial.thresholds, drawn=True)
        return {
            **tally.result(),
            **self._elsewhere(lambda held: held.tally(fitted.classifier, trial.thresholds, drawn=True).result()),
            "steps": trial.steps,
            "seconds": fitted.seconds,
            "samples": fitted.samples,
            "flops": fitted.flops,
            "peak_memory_bytes": fitted.peak_memory_bytes,
            "rate": trial.rate,
            "threads": torch.get_num_threads(),
            "curve": [list(point) for point in fitted.curve if not math.isnan(point[2])],
            **confusion_of(tally.matrix),
        }

    def _elsewhere(self, judge: Callable[[TestSet], dict[str, Any]]) -> dict[str, Any]:
        """The metrics on the other domain, where one is looked at."""
        return {} if self.shifted is None else {PREFIX + name: value for name, value in judge(self.shifted).items()}

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
            return search_probe(
                self.encoder_of(name),
                data,
                self.features(name, data.index),
                views=self.views,
                config=self.config,
                trials=self.trials,
                seed=seed,
            )

        weights = self._weights_of(name)
        key = self.key(kind="probe search", weights=weights, labels=fingerprint(data.index.tolist()), seed=seed)
        return self.cache.get(key, work)

    def _frozen_name(self, arm: str, seed: int) -> str:
        return "pretrained" if arm == "probe" else f"random:{seed}"

    def _weights_of(self, name: str) -> str:
        return self._weights.get(name, f"{self._weights['scratch']} {name}")

    def searched(self, arm: str, fraction: Fraction) -> dict[str, Any]:
        return self._searched_probe(self._frozen_name(arm, self.seeds[0]), fraction)

    def frozen_depends(self, arm: str, seed: int) -> dict[str, Any]:
        return {"weights": self._weights_of(self._frozen_name(arm, seed))}

    def _probe(self, arm: str, data: Labelled, seed: int, chosen: Mapping[str, Any]) -> dict[str, Any]:
        name = self._frozen_name(arm, seed)
        encoder = self.encoder_of(name)
        with PeakMemory(device_of(encoder)) as memory:
            began = time.perf_counter()
            # Embedded anew: what the arm costs must not depend on which features an earlier arm left behind.
            x = embed(encoder, PlainViews(self.store, data.index, self.views, crop=self.config.crop, limit=0))
            probe = fit_frozen(data, x, chosen["strength"], self.config.pooling)
            seconds = time.perf_counter() - began
        assert self.views.side is not None

        def tally_on(held: TestSet) -> Scores:
            tally = cases.tally_of(held.data, held.pooling, chosen["thresholds"], drawn=held.metric)
            tally.add(probe.probabilities(self.test_features(name, held)), held.data.truth)
            return tally

        tally = tally_on(self.held)
        return {
            **tally.result(),
            **self._elsewhere(lambda held: tally_on(held).result()),
            "steps": 0,
            "seconds": seconds,
            "samples": len(data),
            "flops": len(data) * forward_flops(encoder, self.views.side),
            "peak_memory_bytes": memory.bytes,
            "rate": None,
            "curve": [],
            **confusion_of(tally.matrix),
        }

    def commonest(self) -> dict[str, Any] | None:
        return cases.commonest_of(self.test)

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
                return {way: cases.scores_with_intervals(self.test, p, self.config.pooling) for way, p in found.items()}

            weights = self._weights_of(name)
            key = self.key(kind="all labels", weights=weights, labels=fingerprint(train.index.tolist()))
            answer = self.cache.get(key, work)
            neighbours[title] = {
                **answer["knn"],
                "k": min(self.config.neighbours, len(train)),
                "labels": cases.count(train),
            }
            probes[title] = {**answer["linear_probe"], "labels": cases.count(train)}
            self.advance(FROZEN, f"nearest neighbours and probe: {title}")
        return neighbours, probes
