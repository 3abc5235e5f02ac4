"""What pretraining on text was worth: every arm at every number of labels and seed, with equal search, batch and steps.

The protocol is that of images (``transfer.images.compare``): nested fractions of the labels by class, settings searched once
for each arm and fraction within its labels, the test part looked at once a fit. TF-IDF with a linear model is always
there; in its place, where words are tagged or questions answered, the baseline of that task.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foretell.encoders.language import LanguageModel
from foretell.errors import unknown
from foretell.measures.verdict import beside
from foretell.run import Run
from foretell.tasks.answering import Answering
from foretell.tasks.base import TextTask
from foretell.tasks.baselines import about_baseline
from foretell.tasks.tagging import Tagging
from foretell.train.machine import named_device
from foretell.transfer.ahead import work_ahead
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.engine import FROZEN, Progress
from foretell.transfer.fractions import fractions_of
from foretell.transfer.labels import KEY
from foretell.transfer.networks import device_of
from foretell.transfer.protocol import Protocol
from foretell.transfer.text.arms import TEXT_ARMS
from foretell.transfer.text.engine import TextEngine, at_most
from foretell.transfer.text.span_engine import SpanEngine


def check_arms(arms: Sequence[str] | None, train: TextTask) -> None:
    """Raise InputError for an arm that the task has not."""
    known = _kind(train).arms
    for arm in arms or ():
        if arm not in known:
            raise unknown("arm", arm, known)


def compare_text(
    model: LanguageModel,
    *,
    train: TextTask,
    test: TextTask,
    protocol: Protocol | None = None,
    training: TransferConfig | None = None,
    run: Run | None = None,
    progress: Progress | None = None,
    split: str = "",
    data: str = "",
    join: bool = False,
    keep: bool = True,
    labels: str = "",
) -> dict[str, Any]:
    """Compare the arms of ``protocol``, by default all that the task has, and return what ``results/comparison.json`` holds
    (written there when ``run`` is given).

    ``train`` and ``test`` are of one task and laid out for ``model``; amounts are of labels a class, or of labels where
    the task has no classes; ``data`` names what was read. Finished fits are kept in the run, so that an interrupted
    comparison goes on. ``join``: another process makes this comparison and holds ``run``; take part in its searches
    alone, write nothing, and return {"search": their records}. Without ``keep`` the run gets finished fits and searches
    alone, its own comparison stays. ``labels``: a short name for all labels and their division, by which results of
    others are told apart. Raises InputError for unknown arms.
    """
    began = time.perf_counter()
    protocol, config = protocol or Protocol(), training or TransferConfig()
    kind = _kind(train)
    check_arms(protocol.arms, train)
    chosen = tuple(dict.fromkeys([*(protocol.arms or kind.arms), kind.always]))
    cache = Cache(None if run is None or join else run.path / "results" / "comparison.jsonl")
    folder = None if run is None else run.path
    work = _work(model, train, test, protocol, config, cache, progress, data, folder)
    fractions, notes = fractions_of(train, protocol.per_class, work.seeds, config)
    if join:
        return {"search": work.join(chosen, fractions)}
    work_ahead(work, chosen, fractions, protocol.jobs)
    result = work.run(chosen, fractions)
    result["verdict"] = " ".join(filter(None, [result["verdict"], beside(result, kind.always)]))
    result |= {
        **_about(work, split, data, labels),
        "notes": notes,
        "precision": work.precision,
        "cost": work.cost(began),
    }
    if run is not None and keep:
        run.write_json("results/comparison.json", result)
    return result


def frozen_text(
    model: LanguageModel,
    *,
    train: TextTask,
    test: TextTask,
    trials: int = 8,
    seed: int = 0,
    training: TransferConfig | None = None,
    progress: Progress | None = None,
    split: str = "",
    data: str = "",
    fits: Path | None = None,
    labels: str = "",
) -> dict[str, Any]:
    """What frozen features are worth with all labels: {"knn", "linear_probe"}, by "pretrained", "random" and "tfidf".

    Where words are tagged or questions answered there are no neighbours, and "baseline" stands in place of "tfidf".
    ``fits``: a file in which answers are kept, as the comparison's of the run, which then need not work them out again.
    ``labels`` as ``compare_text``.
    """
    config = training or TransferConfig()
    protocol = Protocol(seeds=(seed,), trials=trials)
    work = _work(model, train, test, protocol, config, Cache(fits), progress, data)
    work.total = work.looks * FROZEN
    neighbours, probes = work.frozen_with_all_labels()
    return {"classes": train.classes, "knn": neighbours, "linear_probe": probes, **_about(work, split, data, labels)}


def always_there(train: TextTask) -> str:
    """The title of the arm that every comparison of the task has."""
    return about_baseline(train)["title"] if _kind(train) is SpanEngine else TEXT_ARMS[TextEngine.always]["title"]


def _kind(train: TextTask) -> type[TextEngine]:
    return SpanEngine if isinstance(train, Tagging | Answering) else TextEngine


def _work(
    model: LanguageModel,
    train: TextTask,
    test: TextTask,
    protocol: Protocol,
    config: TransferConfig,
    cache: Cache,
    progress: Progress | None,
    data: str,
    folder: Path | None = None,
) -> TextEngine:
    model.to(named_device(config.device))
    train, test = train.led_by(config.metric), test.led_by(config.metric)
    work = _kind(train)(
        model=model.eval(), train=train, test=at_most(test, config.test_samples), protocol=protocol, config=config,
        cache=cache, progress=progress, data=data, folder=folder,
    )  # fmt: skip
    work.drawn_of = len(test)
    return work


def _about(work: TextEngine, split: str, data: str, labels: str) -> dict[str, Any]:
    drawn = {"of": work.drawn_of} if len(work.test) < work.drawn_of else {}
    return {
        "task": work.train.name,
        "data": data,
        **({KEY: labels} if labels else {}),
        "metric": work.metrics[0],
        "test": {"samples": len(work.test), "split": split, **drawn, **work.test.counted()},
        "commonest": work.commonest(),
        "train": {"samples": len(work.train)},
        "device": str(device_of(work.model)),
    }
