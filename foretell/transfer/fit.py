"""One fine-tuning, the search of its settings within the label budget, and the model a person keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.counters import Rng, Rows, seed_of
from foretell.encoders.base import Encoder
from foretell.errors import InputError
from foretell.objectives.base import Trainable
from foretell.train.config import TrainingConfig
from foretell.transfer import cases
from foretell.transfer.config import TransferConfig
from foretell.transfer.features import PlainViews, calibrate, copied, device_of, embed, fresh_encoder
from foretell.transfer.finetune import Classifier, augmented, probabilities
from foretell.transfer.frozen import fit_frozen, judgement
from foretell.transfer.labelled import Labelled
from foretell.transfer.metrics import METRICS, Scores
from foretell.transfer.probe import Probe
from foretell.transfer.search import Remember, Trial, choose, grid, no_memory
from foretell.transfer.watch import Watch
from foretell.views.config import ViewConfig

_NEVER = 1_000_000_000


def resolve_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


@dataclass
class TestSet:
    """Held-out samples and their evaluation views."""

    __test__ = False

    data: Labelled
    views: PlainViews
    pooling: str = "mean"

    @classmethod
    def of(cls, data: Labelled, views: ViewConfig, crop: float, pooling: str = "mean") -> TestSet:
        return cls(data, PlainViews(data.reader, data.index, views, crop=crop), pooling)

    def tally(self, classifier: Classifier, thresholds: Sequence[float | None] | None = None) -> Scores:
        """The classifier's sums over the set, in one pass; ``thresholds`` of its classes add sensitivity and specificity."""
        tally, at = cases.tally_of(self.data, self.pooling, thresholds), 0
        for p in probabilities(classifier, self.views.batches()):
            tally.add(p, self.data.truth[at : at + len(p)])
            at += len(p)
        return tally


class Look(Watch):
    """Follows the accuracy of a classifier of images on ``test``; batch norm's averages are put back after each look."""

    name = "test accuracy"

    def __init__(self, test: TestSet, every: int) -> None:
        super().__init__(every, self._accuracy)
        self.test = test
        self.settle: Callable[[Classifier], None] = lambda classifier: None

    def _accuracy(self, trainable: Trainable) -> float:
        assert isinstance(trainable, Classifier)
        norms = [part for part in trainable.modules() if getattr(part, "running_mean", None) is not None]
        before = [{name: buffer.clone() for name, buffer in part.named_buffers()} for part in norms]
        self.settle(trainable)
        value = self.test.tally(trainable).result()["accuracy"]
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
        encoder = fresh_encoder(start.encoder, seed_of(seed, "scratch")) if start.scratch else copied(start.encoder)
        probe = _head(start, data, views, config)
        embedded += len(data) if probe is not None else 0
        classifier = Classifier(
            config.classifier(scratch=start.scratch), encoder, data, views, data.classes, probe=probe, seed=seed
        )
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
        checkpoint_every=_NEVER,
        health_every=_NEVER,
    )

    before = time.perf_counter()
    each = flops_per_sample(classifier, training, Rows.of_rank(batch), device_of(classifier))
    counting = time.perf_counter() - before

    rows = Rows.of_rank(max(batch, 32))
    turns = -(-256 // len(rows))

    def settle(trained: Classifier) -> None:
        # Views are drawn as in training, since batches sorted by class would miss the variance between classes.
        where, seeded = device_of(trained), seed_of(seed, "calibrate")
        drawn = (trained.draw("labelled", seeded, step, rows).to(where) for step in range(turns))
        views_of = (trained.hide(b, Rng(seeded, at, rows, where)).visible["view"] for at, b in enumerate(drawn))
        calibrate(trained.encoder, trained.encoder.pooled, views_of)

    watch = look() if look is not None else None
    frozen = classifier.config.freeze_norm or classifier.config.freeze_encoder
    lagging = config.recalibrate and not frozen
    if watch is not None and lagging:
        watch.settle = settle
    trained = fit(classifier, training, monitors=[watch] if watch is not None else [])
    if lagging:
        settle(classifier)
        embedded += turns * len(rows)
    classifier.eval()
    spent = time.perf_counter() - began - counting - (watch.spent if watch is not None else 0.0)
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
        (p, codes)
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
    remember: Remember = no_memory,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[Trial, dict[str, Any]]:
    """The trial that validates best on labels out of ``data`` alone, and a record of all of them.

    Each trial is judged by accuracy over the validation samples of ``fractions.validation_splits``, then by cross-
    entropy. With one label a class nothing can be held out: trials are then judged on fresh random views of the
    training images.
    """
    span = config.scratch_rates if start.scratch and config.scratch_rates is not None else config.rates
    candidates = grid(span, config.steps_for(len(data)), trials, config.weight_decay)
    splits, how = cases.splits(data, k=config.folds, share=config.holdout, seed=seed)

    def judge(trial: Trial) -> tuple[float, float, dict[str, Any]]:
        made = []
        for train, valid in splits or [(np.arange(len(data)), np.arange(0))]:
            fitted = fine_tune(start, data.take(train), views=views, config=config, trial=trial, seed=seed)
            p, truth = (
                _on_held_out(fitted.classifier, data.take(valid), views, config)
                if splits
                else _on_fresh_views(fitted.classifier, data, views, seed)
            )
            made.append((p, truth))
        return judgement(made, config.specificity if splits else None)

    chosen, records = choose(
        candidates, judge, seed=seed, remember=remember, tried=lambda: advance(max(1, len(splits)))
    )
    return chosen, {"how": how, "trials": records, "chosen": chosen.record()}


def fits_of_search(data: Labelled, config: TransferConfig, trials: int, seed: int) -> int:
    """How many fine-tunings ``search`` does."""
    if trials == 1:
        return 0
    splits, _ = cases.splits(data, k=config.folds, share=config.holdout, seed=seed)
    return trials * max(1, len(splits))


def finetune_once(
    encoder: Encoder,
    data: Labelled,
    *,
    views: ViewConfig,
    config: TransferConfig,
    test: Labelled | None = None,
    trials: int = 8,
    seed: int = 0,
    scratch: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Classifier, dict[str, Any]]:
    """The classifier a person keeps, trained on all of ``data`` with settings chosen within it, and what is known
    of it.

    The second value holds "labels", "classes", "search", "seconds", and with ``test`` the four metrics under
    "test". ``views`` must be settled (``labelled.resolved``).
    """
    if config.pooling == "attention":
        raise InputError("transfer.pooling=attention is learnt on frozen features; fine-tune with mean or max")
    encoder.to(resolve_device(config.device))
    start = Start(encoder, scratch)
    total, done = fits_of_search(data, config, trials, seed) + 1, 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total, "choosing settings" if done < total else "fine-tuning")

    chosen, record = search(start, data, views=views, config=config, trials=trials, seed=seed, advance=advance)
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
        tally = TestSet.of(test, views, config.crop, config.pooling).tally(fitted.classifier, chosen.thresholds)
        facts["test"] = {"samples": cases.count(test), **tally.result(), "confusion": tally.matrix.tolist()}
    return fitted.classifier, facts


def metric_values(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Metric -> one value a row, None as NaN."""
    return {metric: [float("nan") if row[metric] is None else float(row[metric]) for row in rows] for metric in METRICS}
