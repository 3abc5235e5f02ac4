"""Segmentation at growing numbers of masks: pretrained and frozen, from scratch and random, with equal search and steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foretell.counters import seed_of
from foretell.data.store import ImageStore
from foretell.dense.masks import Index, Masks
from foretell.dense.segmenter import DenseConfig, Masked, Segmenter, masked
from foretell.encoders.base import Encoder
from foretell.errors import InputError, unknown
from foretell.measures.summary import differences, summarise
from foretell.train.config import NEVER, TrainingConfig
from foretell.train.loop import fit
from foretell.transfer.fractions import Amount, amounts
from foretell.transfer.images.features import fresh_encoder, random_encoder
from foretell.transfer.images.labelled import resolved
from foretell.transfer.networks import copied
from foretell.views.config import ViewConfig

ARMS = {
    "pretrained": "pretrained, every layer tuned",
    "frozen": "pretrained, the head alone trained",
    "scratch": "from random weights, every layer tuned",
    "random": "random weights, the head alone trained",
}
PAIRS = (("pretrained", "scratch"), ("frozen", "random"), ("pretrained", "frozen"))
METRICS = ("dice", "miou")
AMOUNT = ("images",)
HELD_OUT = 0.25  # share of the masks by which the learning rate is chosen
FEWEST = 4  # masks below which it is not chosen, but the middle one taken


@dataclass(frozen=True)
class Budget:
    """What every arm gets alike: ``steps`` of ``batch`` views, and the learning rates of the search."""

    steps: int = 300
    batch: int = 16
    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    device: str = "cpu"


def compare_dense(
    encoder: Encoder,
    store: ImageStore,
    masks: Masks,
    *,
    train: Index | Sequence[int],
    test: Index | Sequence[int],
    views: ViewConfig,
    images: str | Sequence[Amount | str] = (1, 5, 20, None),
    seeds: Sequence[int] = (0, 1, 2),
    arms: Sequence[str] = tuple(ARMS),
    budget: Budget = Budget(),
    config: DenseConfig = DenseConfig(),
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Train a head of each arm on nested subsets of ``train`` and score it on ``test``.

    ``images`` are numbers of masks, or below 1 shares of ``train`` (None: all of it), or both in words, as "1,5,all" or
    "10%,all"; a seed's smaller subset is part of its larger ones. The learning rate is chosen on a held-out part of
    the subset, apart for each arm, number and seed, from the same rates.
    Returns {"metric": "dice", "classes", "arms", "rows", "summary", "paired", "notes", "test"}: a row has arm, images, seed,
    rate, seconds and the scores of ``Overlap.scores``; intervals are Student's t over seeds at 95%. Raises InputError
    for images or groups on both sides, rows that are not there, an empty part, unknown arms and amounts that are none.
    """
    for arm in arms:
        if arm not in ARMS:
            raise unknown("arm", arm, ARMS)
    train, test = np.asarray(train, np.int64), np.asarray(test, np.int64)
    for part, rows_of in (("train", train), ("test", test)):
        if not len(rows_of):
            raise InputError(
                f"{store.source}: the {part} part is empty; give the rows of at least one image with a mask"
            )
        _check_rows(store, part, rows_of)
    counts = _counts(images, len(train))
    _check_apart(store, train, test)
    views = resolved(views, store, encoder.side)
    held = masked(store, masks, test)
    total, done = len(counts) * len(seeds) * len(arms), 0
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        order = _order(train, seed)
        starts = {arm: _start(encoder, arm, store, train, views, seed) for arm in arms}
        for count in counts:
            data = masked(store, masks, np.sort(order[:count]))
            for arm in arms:
                if progress:
                    progress(done, total, f"{arm}, {count} masks, seed {seed}")
                rows.append(
                    {
                        "arm": arm,
                        "images": count,
                        "seed": seed,
                        **_fitted(starts[arm], arm, data, held, views, seed, budget, config),
                    }
                )
                done += 1
    few = [str(count) for count in counts if count < FEWEST]
    notes = [f"with {', '.join(few)} masks the middle learning rate is taken, as none can be held out"] if few else []
    untested = _untested(held)
    if untested:
        notes.append(f"no mask of the test part has {', '.join(untested)}: what is foretold as such counts as 0 there")
    return {
        "metric": "dice",
        "classes": masks.classes,
        "arms": {arm: {"title": ARMS[arm]} for arm in arms},
        "rows": rows,
        "summary": summarise(rows, METRICS, AMOUNT),
        "paired": differences(rows, METRICS, PAIRS, AMOUNT),
        "notes": [*masks.notes, *notes],
        "test": {"images": len(test)},
        "budget": {"steps": budget.steps, "batch": budget.batch, "rates": list(budget.rates)},
    }


def _counts(images: str | Sequence[Amount | str], most: int) -> list[int]:
    """The numbers of masks out of ``most`` that ``images`` ask for, fewest first. Raises InputError."""
    given = [images] if isinstance(images, str) else images
    found: list[Amount] = []
    for amount in given:
        found += amounts(amount, "images") if isinstance(amount, str) else [amount]
    wrong = [one for one in found if one is not None and not (0 < one < 1 or (one >= 1 and one % 1 == 0))]
    if wrong or not found:
        raise InputError(
            f"images {', '.join(map(str, wrong)) or '()'}: expected numbers of masks, as 1, 5 and None for all, or shares, as '10%'"
        )
    return sorted(
        {most if one is None else min(most, int(one) if one >= 1 else max(1, round(one * most))) for one in found}
    )


def _untested(test: Masked) -> list[str]:
    """The classes that masks have, but none of the test part."""
    seen = {int(value) for row in test.index for value in np.unique(test.masks.masks[int(row)])}
    every = enumerate(test.masks.classes)
    return [name for number, name in every if number not in seen and name not in test.masks.absent]


def _check_rows(store: ImageStore, part: str, rows: Index) -> None:
    """Raise InputError for rows that ``store`` does not have."""
    outside = rows[(rows < 0) | (rows >= len(store))]
    if len(outside):
        raise InputError(
            f"{store.source}: the {part} part has row {outside[0]}; expected rows from 0 to {len(store) - 1}, one an image"
        )


def _check_apart(store: ImageStore, train: Index, test: Index) -> None:
    """Raise InputError for an image, or a group of images, on both sides."""
    shared = np.intersect1d(train, test)
    if len(shared):
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        raise InputError(
            f"{store.source}: '{store.names[int(shared[0])]}'{more} is both trained and tested on; give each image one part"
        )
    identities = store.table.identities()
    if identities is None:
        return
    tested = {identities[row] for row in test}
    both = [own for row in train if (own := identities[row]) is not None and own in tested]
    if both:
        column, name = min(both)
        raise InputError(f"{store.source}: {column} {name} is both trained and tested on; keep {column}s whole")


def _order(train: Index, seed: int) -> Index:
    """The rows of ``train`` in random order."""
    return train[np.random.default_rng(seed_of(seed, "masks")).permutation(len(train))]


def _start(encoder: Encoder, arm: str, store: ImageStore, train: Index, views: ViewConfig, seed: int) -> Encoder:
    """The encoder that the trainings of ``arm`` start at; its random weights are the same tuned and frozen."""
    drawn = seed_of(seed, "scratch") % (1 << 31)
    if arm == "random":
        return random_encoder(encoder, drawn, store, train, views)
    return fresh_encoder(encoder, drawn) if arm == "scratch" else encoder


def _fitted(
    start: Encoder,
    arm: str,
    data: Masked,
    test: Masked,
    views: ViewConfig,
    seed: int,
    budget: Budget,
    config: DenseConfig,
) -> dict[str, Any]:
    began = time.perf_counter()
    rate = budget.rates[len(budget.rates) // 2]
    if len(data) >= FEWEST and len(budget.rates) > 1:
        part, rest = _cut(data, seed)
        found = {
            rate: _train(start, arm, part, views, rate, seed, budget, config).score(rest)["dice"]
            for rate in budget.rates
        }
        rate = max(found, key=lambda one: -math.inf if math.isnan(found[one]) else found[one])
    segmenter = _train(start, arm, data, views, rate, seed, budget, config)
    return {"rate": rate, **segmenter.score(test), "seconds": time.perf_counter() - began}


def _cut(data: Masked, seed: int) -> tuple[Masked, Masked]:
    """(to learn from, to choose by): a share of the masks, whole groups (or cases of no group) where there are several."""
    rng = np.random.default_rng(seed_of(seed, "held out"))
    identities = data.store.table.identities() or [None] * len(data.store)
    own = [identities[row] or ("", "") for row in data.index]
    units = sorted(set(own))
    if len(units) > 1:
        chosen = {units[at] for at in rng.permutation(len(units))[: max(1, round(HELD_OUT * len(units)))]}
        out = np.array([unit in chosen for unit in own])
    else:
        out = np.zeros(len(data), bool)
        out[rng.permutation(len(data))[: max(1, round(HELD_OUT * len(data)))]] = True
    return Masked(data.store, data.masks, data.index[~out]), Masked(data.store, data.masks, data.index[out])


def _train(
    start: Encoder,
    arm: str,
    data: Masked,
    views: ViewConfig,
    rate: float,
    seed: int,
    budget: Budget,
    config: DenseConfig,
) -> Segmenter:
    chosen = config.model_copy(update={"frozen": arm in ("frozen", "random")})
    segmenter = Segmenter(chosen, copied(start), data, views, seed=seed)
    training = TrainingConfig(
        seed=seed, batch=budget.batch, steps=budget.steps, optimizer="adamw", rate=rate, weight_decay=1e-4,
        device=budget.device, precision="float32", layout="channels_last", health_every=NEVER, checkpoint_every=NEVER,
    )  # fmt: skip
    fit(segmenter, training)
    return segmenter
