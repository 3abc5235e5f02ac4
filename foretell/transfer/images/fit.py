"""One fine-tuning, the search of its settings within the label budget, and the model a person keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.counters import Rng, Rows, seed_of
from foretell.encoders.base import Encoder
from foretell.encoders.norm import calibrate
from foretell.measures.metrics import Scores
from foretell.measures.probe import Probe
from foretell.measures.redrawn import with_interval
from foretell.objectives.base import Trainable
from foretell.train.config import NEVER, TrainingConfig
from foretell.train.machine import named_device
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.images import cases
from foretell.transfer.images.features import Given, PlainViews, embed, fresh_encoder
from foretell.transfer.images.finetune import Classifier, augmented, probabilities
from foretell.transfer.images.frozen import fit_frozen, judgement, probe_of
from foretell.transfer.images.labelled import Index, Labelled, views_key
from foretell.transfer.networks import copied, device_of, weights_hash
from foretell.transfer.search import adding_up, require, searched
from foretell.transfer.trials import Judged, Keep, Report, Space, Trial, fits_of, looking, trials_of
from foretell.transfer.watch import Watch
from foretell.views.config import ViewConfig


@dataclass
class TestSet:
    """Held-out samples and their evaluation views."""

    __test__ = False

    data: Labelled
    views: PlainViews
    pooling: str
    metric: str

    @classmethod
    def of(cls, data: Labelled, views: ViewConfig, config: TransferConfig) -> TestSet:
        return cls(data, PlainViews(data.reader, data.index, views, crop=config.crop), config.pooling, config.headline)

    def scored(self, classifier: Classifier, metric: str) -> float:
        """``metric`` of the classifier on the set; NaN where it is undefined there."""
        return float(self.tally(classifier).result()[metric])

    def tally(
        self, classifier: Classifier, thresholds: Sequence[float | None] | None = None, *, drawn: bool = False
    ) -> Scores:
        """The classifier's sums over the set, in one pass; ``thresholds`` of its classes add sensitivity and specificity.

        ``drawn``: with the headline on test parts drawn again (``cases.tally_of``).
        """
        tally = cases.tally_of(self.data, self.pooling, thresholds, drawn=self.metric if drawn else None)
        at = 0
        for p in probabilities(classifier, self.views.batches()):
            tally.add(p, self.data.truth[at : at + len(p)])
            at += len(p)
        return tally


class Look(Watch):
    """Follows a score of a classifier of images, with batch norm settled; its averages are put back after each look."""

    def __init__(
        self, every: int, score: Callable[[Classifier], float], most: int | None = None, *, from_start: bool = False
    ) -> None:
        super().__init__(every, self._settled, most, from_start=from_start)
        self.of_settled = score
        self.settle: Callable[[Classifier], None] = lambda classifier: None

    def _settled(self, trainable: Trainable) -> float:
        assert isinstance(trainable, Classifier)
        norms = [part for part in trainable.modules() if getattr(part, "running_mean", None) is not None]
        before = [{name: buffer.clone() for name, buffer in part.named_buffers()} for part in norms]
        self.settle(trainable)
        value = self.of_settled(trainable)
        for part, kept in zip(norms, before, strict=True):
            for name, buffer in part.named_buffers():
                buffer.copy_(kept[name])
        return value


@dataclass
class Fitted:
    """A trained classifier and what training took; ``seconds`` leave out looks at the test set.

    ``flops`` of the steps, of embedding for the probe that the head starts from and of measuring batch norm again;
    ``peak_memory_bytes`` as ``train.cost.PeakMemory`` counts.
    """

    classifier: Classifier
    trial: Trial
    seconds: float
    samples: int
    flops: float
    peak_memory_bytes: int
    curve: list[tuple[int, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Start:
    """Where a fine-tuning starts: an encoder to copy, or (``scratch``) its architecture with fresh weights.

    ``strength`` is the penalty of the probe the head may start from.
    """

    encoder: Encoder
    scratch: bool = False
    strength: float = 1e-2


def _head(start: Start, data: Labelled, views: ViewConfig, config: TransferConfig) -> Probe | None:
    if start.scratch or config.head != "probe":
        return None
    x = embed(start.encoder, PlainViews(data.reader, data.index, views, crop=config.crop))
    return fit_frozen(data, x, start.strength, config.pooling)


def fine_tune(
    start: Start,
    data: Labelled,
    *,
    views: ViewConfig,
    config: TransferConfig,
    trial: Trial,
    seed: int,
    look: Callable[[], Look] | None = None,
) -> Fitted:
    """Train a classifier on ``data`` with the settings of ``trial``; ``start.encoder`` is left as it was.

    The draws of images and views depend on ``seed`` and the step only, so every arm sees the same. Raises
    ForetellError when the loss is not finite.
    """
    from foretell.train import fit
    from foretell.train.cost import PeakMemory, forward_flops
    from foretell.train.measure import flops_per_sample

    embedded = 0  # images that are embedded beside the steps
    with PeakMemory(device_of(start.encoder)) as making:
        began = time.perf_counter()
        watch = look() if look is not None else None  # its clock counts what the head's start takes
        encoder = fresh_encoder(start.encoder, seed_of(seed, "scratch")) if start.scratch else copied(start.encoder)
        probe = _head(start, data, views, config)
        embedded += len(data) if probe is not None else 0
        classifier = Classifier(
            config.classifier(scratch=start.scratch), encoder, data, views, data.classes,
            probe=probe, seed=seed, bag=config.bag if config.pooling == "attention" else 0,
        )  # fmt: skip
    batch = config.batch_for(len(data))
    training = TrainingConfig(
        seed=seed_of(seed, "finetune") % (1 << 31),
        batch=batch,
        steps=trial.steps,
        optimizer=config.optimizer,
        rate=trial.rate,
        weight_decay=trial.weight_decay,
        nesterov=config.optimizer == "sgd",
        warmup=config.warmup,
        clip=config.clip,
        device=config.device,
        precision=config.precision,
        layout=config.layout,
        threads=torch.get_num_threads(),
        checkpoint_every=NEVER,
        health_every=NEVER,
    )

    before = time.perf_counter()
    each = flops_per_sample(classifier, training, Rows.of_rank(batch), device_of(classifier))
    left_out = time.perf_counter() - before

    rows = Rows.of_rank(max(batch, 32))
    turns = -(-256 // len(rows))

    def settle(trained: Classifier) -> None:
        # Views are drawn as in training, since batches sorted by class would miss the variance between classes.
        where, seeded = device_of(trained), seed_of(seed, "calibrate")
        drawn = (trained.draw("labelled", seeded, step, rows).to(where) for step in range(turns))
        views_of = (trained.hide(b, Rng(seeded, at, rows, where)).visible["view"] for at, b in enumerate(drawn))
        calibrate(trained.encoder, trained.encoder.pooled, views_of)

    frozen = classifier.config.freeze_norm or classifier.config.freeze_encoder
    lagging = config.recalibrate and not frozen
    if watch is not None:
        watch.spent = left_out
        if lagging:
            watch.settle = settle
        watch.start(classifier, device_of(classifier))
    trained = fit(classifier, training, monitors=[watch] if watch is not None else [])
    if lagging:
        settle(classifier)
        embedded += turns * len(rows)
    classifier.eval()
    spent = time.perf_counter() - began - (watch.spent if watch is not None else left_out)
    assert views.side is not None
    return Fitted(
        classifier,
        trial,
        spent,
        trained.samples,
        each * trained.samples + embedded * forward_flops(encoder, views.side),
        max(making.bytes, trained.peak_memory_bytes),
        watch.curve if watch is not None else [],
    )


def _on_held_out(
    classifier: Classifier, held: Labelled, views: ViewConfig, config: TransferConfig
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Probabilities and truth of what is judged of ``held``."""
    made = PlainViews(held.reader, held.index, views, crop=config.crop).batches()
    p, truth, _ = cases.judged(held, np.concatenate(list(probabilities(classifier, made))), config.pooling)
    return p, truth


def _on_fresh_views(
    classifier: Classifier, data: Labelled, views: ViewConfig, seed: int
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Probabilities and truth of four random views of every image of ``data``."""
    made = [
        (p[:, : len(data.classes)], codes)
        for x, codes in augmented(data, views, seed_of(seed, "validation"), 4)
        for p in probabilities(classifier, iter([x]))
    ]
    return np.concatenate([p for p, _ in made]), np.concatenate([codes for _, codes in made])


def search(
    start: Start,
    data: Labelled,
    *,
    views: ViewConfig,
    config: TransferConfig,
    trials: int,
    seed: int,
    keep: Keep | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Trial, dict[str, Any]]:
    """The trial that validates best on labels out of ``data`` alone, and a record of all of them.

    Each trial is judged by ``config.headline`` over the validation samples of ``fractions.validation_splits``, then by cross-
    entropy. With one label a class nothing can be held out: trials are then judged on fresh random views of the
    training images.
    """
    span = config.scratch_rates if start.scratch and config.scratch_rates is not None else config.rates
    space = Space(span, config.steps_for(len(data)), config.weight_decay, config.optimizer)
    splits, how = cases.splits(data, config, seed)

    def on_held_out(classifier: Classifier, valid: Index) -> tuple[NDArray[np.float32], NDArray[Any]]:
        if not splits:
            return _on_fresh_views(classifier, data, views, seed)
        return _on_held_out(classifier, data.take(valid), views, config)

    def judge(trial: Trial, report: Report | None) -> Judged:
        made, seconds = [], 0.0
        parts = splits or [(np.arange(len(data)), np.arange(0))]
        for part, (train, valid) in enumerate(parts):

            def score(classifier: Classifier, valid: Index = valid) -> float:
                return judgement([on_held_out(classifier, valid)], config.headline, None)[0]

            look = looking(report, trial, part, len(parts), score, Look)
            fitted = fine_tune(start, data.take(train), views=views, config=config, trial=trial, seed=seed, look=look)
            made.append(on_held_out(fitted.classifier, valid))
            seconds += fitted.seconds
        value, loss, kept = judgement(made, config.headline, config.specificity if splits else None)
        return Judged(value, loss, seconds, kept)

    chosen, record = searched(
        space,
        judge,
        config=config.search,
        trials=trials_of(config.search, trials),
        seed=seed,
        keep=keep,
        tried=lambda: advance(max(1, len(splits))),
    )
    return chosen, {"how": how, **record}


def fits_of_search(data: Labelled, config: TransferConfig, trials: int, seed: int) -> int:
    """How many fine-tunings ``search`` does."""
    return fits_of(config.search, trials, cases.splits(data, config, seed)[0])


def search_probe(
    encoder: Encoder,
    data: Labelled,
    x: NDArray[np.float32],
    *,
    views: ViewConfig,
    config: TransferConfig,
    trials: int,
    seed: int,
) -> dict[str, Any]:
    """The search of the probe of ``data`` with features ``x`` (N, D) of ``encoder``: {"how", "trials", "chosen"}.

    Judged on labels held out, or on fresh views of the training images where there are too few (``search``).
    """
    splits, how = cases.splits(data, config, seed)

    def fresh() -> tuple[NDArray[np.float32], Index]:
        made = list(augmented(data, views, seed_of(seed, "validation"), 4))
        seen = np.concatenate([embed(encoder, Given([images])) for images, _ in made])
        return seen, np.concatenate([codes for _, codes in made])

    probe, records = probe_of(data, x, splits, config=config, trials=trials, fresh=fresh)
    limits = next((one.get("thresholds") for one in records if one["strength"] == probe.strength), None)
    return {"how": how, "trials": records, "chosen": {"strength": probe.strength, "thresholds": limits}}


def search_once(
    encoder: Encoder,
    data: Labelled,
    *,
    views: ViewConfig,
    config: TransferConfig,
    trials: int = 8,
    seed: int = 0,
    cache: Cache | None = None,
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Start, Trial, dict[str, Any]]:
    """Where ``finetune_once`` starts, the settings it chooses, and the record of their search.

    Another process that calls this with the same arguments takes part in the search where ``config.search`` lets it.
    """
    require(config.search)
    encoder.to(named_device(config.device))
    start = Start(encoder)
    if config.head == "probe":  # as the compared arm's
        x = embed(encoder, PlainViews(data.reader, data.index, views, crop=config.crop))
        count = trials_of(config.search, trials)
        found = search_probe(encoder, data, x, views=views, config=config, trials=count, seed=seed)
        start = Start(encoder, strength=found["chosen"]["strength"])
    key = {
        "version": 2,
        "strength": start.strength,
        "kind": "finetune",
        "data": data.reader.fingerprint,
        "classes": data.classes,
        "content": data.content(),
        **views_key(views),
        "config": config.key_settings(),
        "weights": weights_hash(encoder),
        "trials": trials_of(config.search, trials),
        "seed": seed,
    }
    keep = Keep.of(cache or Cache(None), key, config.search, folder)
    chosen, record = search(
        start, data, views=views, config=config, trials=trials, seed=seed, keep=keep, advance=advance
    )
    return start, chosen, {**record, "strength": start.strength}


def finetune_once(
    encoder: Encoder,
    data: Labelled,
    *,
    views: ViewConfig,
    config: TransferConfig,
    test: Labelled | None = None,
    trials: int = 8,
    seed: int = 0,
    cache: Cache | None = None,
    folder: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Classifier, dict[str, Any]]:
    """The classifier a person keeps, trained on all of ``data`` with settings chosen within it, and what is known
    of it.

    The second value holds "labels", "classes", "search", "seconds", and with ``test`` the four metrics under
    "test", with the headline's interval over test groups where there are some ("intervals"). ``views`` must be settled
    (``labelled.resolved``). The trials of the search are kept in ``cache``, or in the study of the run in ``folder``.
    """
    total = fits_of_search(data, config, trials, seed) + 1
    advance = adding_up(progress, total)
    start, chosen, record = search_once(
        encoder, data, views=views, config=config, trials=trials, seed=seed, cache=cache, folder=folder, advance=advance
    )
    fitted = fine_tune(start, data, views=views, config=config, trial=chosen, seed=seed)
    advance(1)
    facts: dict[str, Any] = {
        "labels": cases.count(data),
        "unlabelled": data.unlabelled,
        "classes": data.classes,
        "search": record,
        "steps": chosen.steps,
        "samples": fitted.samples,
        "seconds": fitted.seconds,
        "flops": fitted.flops,
        "peak_memory_bytes": fitted.peak_memory_bytes,
    }
    if test is not None and len(test):
        held = TestSet.of(test, views, config)
        tally = held.tally(fitted.classifier, chosen.thresholds, drawn=True)
        counted = test.groups if test.targets is None else None
        found = with_interval(tally.result(), config.headline, counted)
        facts["test"] = {"samples": cases.count(test), **found, "confusion": tally.matrix.tolist()}
    return fitted.classifier, facts
