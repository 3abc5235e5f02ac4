"""The comparison of a pipeline's starts and pretraining steps: equal search, labels, splits, views and test images."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foretell.data.domains import rows_of
from foretell.data.findings import check_columns
from foretell.data.store import ImageStore
from foretell.encoders import build_encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import InputError
from foretell.recipe import DataConfig, Recipe
from foretell.report import build as build_report
from foretell.run import Run
from foretell.train.machine import named_device
from foretell.transfer.ahead import check_jobs
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import amounts
from foretell.transfer.images.cases import unit_notes
from foretell.transfer.images.compare import compare, judged_parts
from foretell.transfer.labels import chose_step
from foretell.transfer.protocol import Protocol
from foretell.verbs import common, kept_split
from foretell.verbs.common import Parts, Pretrained
from foretell.verbs.pipeline_arms import Compared, merged
from foretell.verbs.pipeline_plan import Step
from foretell.verbs.progress import say, telling
from foretell.views.config import ViewConfig

ARMS = ("pretrained", "probe", "scratch", "random")
NO_DOMAIN = ("path", "label", "group", "case", "study", "series", "order", "split", "spacing")
MOST_DOMAINS = 20


@dataclass(frozen=True)
class Candidate:
    """What is compared: the run ``like``, pretrained on the pipeline's data, or ``weights`` from elsewhere in its encoder.

    ``start``: the weights are what a start names.
    """

    name: str
    title: str
    like: Path
    weights: str = ""
    start: bool = False


@dataclass(frozen=True)
class _Ground:
    """A run read back, and the labelled data that it is judged on."""

    read: Pretrained
    store: ImageStore
    parts: Parts


def check_same(grounds: Mapping[str, tuple[ImageStore, Parts]]) -> None:
    """Raise InputError where what is compared, by its name, is trained or tested on other images than the first."""
    seen = {
        name: [[store.names[int(row)] for row in rows] for rows in (parts.train, parts.test)]
        for name, (store, parts) in grounds.items()
    }
    first, *others = seen
    for name in others:
        if seen[name] != seen[first]:
            raise InputError(
                f"{name}: is trained or tested on other images than {first}; give both steps the same data.split, "
                "data.split_seed and data settings"
            )


def check_labelled(store: ImageStore, data: DataConfig, transfer: TransferConfig, shift: str | None) -> list[str]:
    """What to tell of the unit that is judged (``cases.unit_notes``).

    Raises InputError unless ``store`` has labels, a test part and a domain ``shift`` to compare by, and for a device that is
    not there.
    """
    named_device(transfer.device)
    if not transfer.findings:
        common.check_labels(data)
    if shift is not None:
        rows_of(store, shift, "--shift")
    if not common.class_names(store) and not transfer.findings:
        raise InputError(
            f"{store.source}: has no labels of two classes or more to compare by; give --labels FILE (a CSV with label, and "
            "path, patient, study or series)"
        )
    check_columns(store.table, transfer.findings)
    parts = common.divide(store, data, transfer)
    if not len(parts.test):
        raise InputError(f"{store.source}: no test part ({parts.how}); give a split column with test rows")
    judged_parts(store, parts.train, parts.test, config=transfer, shift=shift)
    return unit_notes(store, [*parts.train, *parts.test], transfer)


def check_comparison(recipe: Recipe, *, per_class: str, seeds: int, trials: int, jobs: int | None) -> None:
    """Raise InputError for a comparison on a recipe's own data that would be refused once it is pretrained on."""
    common.protocol_of(per_class, seeds, trials, jobs=jobs)
    check_jobs(jobs, recipe.transfer.search)
    check_labelled(common.open_data(recipe.data), recipe.data, recipe.transfer, None)


def compare_step(
    step: Step,
    candidates: Sequence[Candidate],
    settings: Mapping[Path, TransferConfig],
    fits: Path,
    counted: Container[str] = (),
) -> dict[str, Any]:
    """Compare the ``candidates``, of which one or more is a run, and return ``pipeline_arms.merged`` with what that "took": the
    seconds of each fit by its name in ``fits``; and the "seconds" of all: those of this call, and of kept fits of
    earlier tries, without those that are ``counted`` elsewhere.

    ``settings`` of fine-tuning for each run. Finished fits are kept in the file ``fits``, which all candidates share, so that
    training from scratch and random features are measured once for each encoder. A run's own comparison is kept in it
    too, and its report shows it. Raises InputError for runs whose parts differ.
    """
    began, earlier = time.monotonic(), Cache(fits).names
    grounds = {c.like: _ground(c.like, settings[c.like]) for c in candidates if not c.weights}
    check_same({str(run): (ground.store, ground.parts) for run, ground in grounds.items()})
    reference = next(iter(grounds.values()))
    views = reference.read.recipe.transfer.views or reference.read.views.milder()
    hashes = None if step.shift is None else reference.store.hashes[rows_of(reference.store, step.shift, "--shift")]
    parts: list[Compared] = []
    notes: list[str] = []
    places: list[Path] = []
    took: dict[str, float] = {}
    for candidate in candidates:
        say(f"  {candidate.title}:")
        ground = grounds[candidate.like]
        encoder = _given(candidate, ground) if candidate.weights else ground.read.encoder
        result = _compared(step, ground, encoder, views, fits)
        took |= result.pop("took")
        place = Path(candidate.weights) if candidate.weights else candidate.like
        if hashes is not None:
            result["shift"]["seen"] = kept_split.learnt_before([place], hashes)
        if not candidate.weights:
            chosen = chose_step(ground.read.run.read_json("facts.json") or {})
            _keep(candidate.like, {**result, "notes": [*(result.get("notes") or []), chosen]} if chosen else result)
            notes += [f"{candidate.title}: {chosen}"] if chosen else []
        places.append(place)
        parts.append(Compared(candidate.name, candidate.title, ground.read.encoder.name, result, candidate.start))
    found = merged(parts)
    if hashes is not None:
        found["shift"]["seen"] = kept_split.learnt_before(places, hashes)
    before = sum(seconds for name, seconds in took.items() if name in earlier and name not in counted)
    return {
        **found,
        "notes": [*(found["notes"] or []), *notes],
        "seconds": time.monotonic() - began + before,
        "took": took,
        "all_labels": None in amounts(step.per_class, "per_class"),
        "domains": _domains(reference.store),
    }


def _domains(store: ImageStore) -> list[str]:
    """Columns that may say a domain: with a few values, each of several images."""
    found = []
    for name, values in store.table.columns.items():
        counts = Counter(value for value in values if value is not None)
        if name not in NO_DOMAIN and 1 < len(counts) <= MOST_DOMAINS and min(counts.values()) > 1:
            found.append(name)
    return found


def _ground(folder: Path, settings: TransferConfig) -> _Ground:
    read = common.read_run(folder)
    read.recipe = read.recipe.model_copy(update={"transfer": settings})
    store = common.open_data(common.data_for(read, None))
    return _Ground(read, store, common.divide_again(read, store, read.recipe.data))


def _given(candidate: Candidate, ground: _Ground) -> TimmEncoder:
    """The weights of a candidate in the encoder of ``ground``'s run."""
    chosen = ground.read.recipe.encoder.model_copy(update={"weights": candidate.weights})
    return build_encoder(chosen, ground.store.channels, ground.read.encoder.side).eval()


def _compared(step: Step, ground: _Ground, encoder: TimmEncoder, views: ViewConfig, fits: Path) -> dict[str, Any]:
    config = ground.read.recipe.transfer.model_copy(update={"views": views})
    points = amounts(step.per_class, f"step {step.name}: per_class")
    return compare(
        encoder.to(named_device(config.device)),
        ground.store,
        train=ground.parts.train,
        test=ground.parts.test,
        views=config.views_after(ground.read.views),
        protocol=Protocol(points, range(step.seeds), ARMS, step.trials, jobs=None),
        training=config,
        fits=fits,
        progress=telling(),
        split=ground.parts.how,
        shift=step.shift,
        draws=True,
    )


def _keep(folder: Path, result: dict[str, Any]) -> None:
    """Put a run's comparison into the run, and write its report anew."""
    held = Run.resume(folder)
    try:
        held.write_json("results/comparison.json", {key: value for key, value in result.items() if key != "redrawn"})
        build_report(folder)
    finally:
        held.close()
