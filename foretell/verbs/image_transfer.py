"""The work behind ``foretell evaluate`` and ``foretell finetune`` where the run is of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.domains import rows_unknown, told_unknown
from foretell.data.findings import check_columns
from foretell.data.store import ImageStore
from foretell.errors import InputError, of
from foretell.measures import crossing
from foretell.measures.metrics import METRICS, led_by, metric_name
from foretell.measures.verdict import with_tested
from foretell.options import Overrides
from foretell.recipe import Recipe
from foretell.train.machine import named_device
from foretell.transfer import labels as labels_of
from foretell.transfer.ahead import check_jobs
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.images import shift
from foretell.transfer.images.arms import DEFAULT_ARMS, check_arms
from foretell.transfer.images.cases import count, unit_notes
from foretell.transfer.images.compare import compare as compare_images
from foretell.transfer.images.compare import held_out, judged_parts
from foretell.transfer.images.finetune import Classifier
from foretell.transfer.images.fit import finetune_once, fits_of_search, search_once
from foretell.transfer.images.labelled import Index, Labelled
from foretell.transfer.images.saved import save_classifier
from foretell.transfer.protocol import Protocol
from foretell.transfer.search import adding_up
from foretell.verbs import common, kept_out, kept_split, looking, worth
from foretell.verbs.common import JOINED, Parts, Pretrained
from foretell.verbs.outcomes import Finetuned
from foretell.verbs.progress import say, telling
from foretell.verbs.results import Results
from foretell.views.config import ViewConfig


@dataclass(kw_only=True)
class Opened(Results):
    """A run read back, and labelled data for it. Without a ``run`` the data is not its own, and results belong ``beside`` a
    classifier of that data, or nowhere.

    ``seen``: images of the other domain that is judged, which pretraining learnt from.
    """

    read: Pretrained
    store: ImageStore
    parts: Parts
    config: TransferConfig
    seen: int = 0

    @property
    def folder(self) -> Path | None:
        """Where studies of searches are kept."""
        if self.run is not None:
            return self.run.path
        return None if self.beside is None else self.beside / "results"

    def kept(self, name: str) -> Path | None:
        """The file in which finished trials and fits of ``name`` are kept, None where they are lost when the command ends."""
        place = self.run.path if self.run is not None else self.beside
        return None if place is None else place / "results" / f"{name}.jsonl"

    @property
    def views(self) -> ViewConfig:
        """Those of fine-tuning."""
        return self.config.views_after(self.read.views)

    def hold(self, *, searches: bool) -> None:
        """Take the run to write to; with ``searches`` those of another process that has it can be joined instead."""
        if self.run is not None:
            self.run, self.joins = common.hold(self.run.path, self.config.search if searches else None)


def _open(
    place: Path,
    data: str | Path | None,
    labels: str | Path | None,
    device: str | None,
    overrides: Overrides,
) -> Opened:
    read = common.read_run(place)
    recipe = Recipe.load(read.run.path / "recipe.toml", {"transfer.device": device}, overrides)
    read.recipe = recipe
    named_device(recipe.transfer.device)
    chosen = common.data_for(read, data, labels, overrides)
    if not recipe.transfer.findings:
        common.check_labels(chosen)
    store = common.open_data(chosen)
    common.tell_data(store, chosen, recipe.transfer.findings)
    if "label" not in store.table and not recipe.transfer.findings:
        raise InputError(
            f"{store.source}: has no labels to measure by; give --labels FILE (a CSV with the columns path and label), "
            "class folders or a manifest with a label column"
        )
    if recipe.transfer.findings:
        check_columns(store.table, recipe.transfer.findings)
    else:
        with of(chosen.labels or store.source):
            store.table.classes("label")
    kept = kept_split.read(read.run.path)
    own = kept is not None and kept.fingerprint == store.fingerprint
    if data is None and kept is not None and not own:
        raise InputError(
            f"{read.run.path}: the images of {store.source} have changed since the run was trained, so that its test part is "
            "lost; put them back, or name the data in the command: it is then divided anew, and the results are only printed"
        )
    parts = common.divide_again(read, store, chosen)
    if not len(parts.test):
        raise InputError(
            f"{store.source}: no test part ({parts.how}); give a split column with test rows, or "
            "--set data.split=train=0.8,test=0.2"
        )
    say(f"test part: {parts.how}")
    return Opened(run=read.run if own else None, read=read, store=store, parts=parts, config=recipe.transfer)


def _leave_out(opened: Opened, domain: str) -> None:
    """Take the rows of another domain out of training and test; say so where pretraining has seen them."""
    given = opened.parts
    train, test, elsewhere, _ = shift.apart(opened.store, domain, given.train, given.test)
    unsaid = np.intersect1d(rows_unknown(opened.store, [domain], "--shift"), np.concatenate([given.train, given.test]))
    how = f"{given.how}; {domain} left out"
    if len(unsaid):
        told = told_unknown(opened.store, unsaid, [domain])
        say(f"  {told}")
        how = f"{how}; {told}"
    opened.parts = Parts(train, test, how)
    opened.seen = _seen(opened, elsewhere)
    if opened.seen:
        say(
            f"  pretraining saw images of {domain} too, without labels; to hold them out, pretrain with --set data.held_out={domain}"
        )


def _seen(opened: Opened, rows: Index) -> int:
    """How many images of ``rows`` pretraining learnt from: by their content, or in a run that did not keep that by its split."""
    place = opened.read.run.path
    kept = kept_split.read(place) if opened.run is not None else None
    by_split = 0 if kept is None else len(np.intersect1d(kept.parts.train, rows))
    return max(by_split, kept_split.learnt_before([place], opened.store.hashes[rows]))


def _compare(
    opened: Opened, protocol: Protocol, domain: str | None = None, *, frozen: dict[str, Any] | None = None
) -> dict[str, Any]:
    """``frozen``: what ``worth.frozen`` has just found with all labels, which is not worked out again."""
    say(f"comparing {common.told_arms(protocol.arms)}, with equal augmentation, search and steps:")
    for note in unit_notes(opened.store, [*opened.parts.train, *opened.parts.test], opened.config):
        say(f"  {note}")
    before = {} if opened.run is None else opened.run.read_json("results/comparison.json") or {}
    result = compare_images(
        opened.read.encoder,
        opened.store,
        train=opened.parts.train,
        test=opened.parts.test,
        views=opened.views,
        protocol=protocol,
        training=opened.config,
        run=opened.run,
        fits=opened.kept("comparison") if opened.run is None else None,
        progress=telling(),
        split=opened.parts.how,
        shift=domain,
        join=opened.joins,
        all_labels=frozen is None,
    )
    if opened.joins:
        return result
    result["notes"] += _chosen(opened)
    if frozen is not None:
        result |= {name: frozen[name] for name in worth.FROZEN}
    if domain is not None:
        result["shift"]["seen"] = opened.seen
    for name, scores in worth.earlier_frozen(before, result).items():  # those of an earlier evaluate stay
        result[name] = result.get(name) or scores
    opened.write("comparison", result)
    _tell_comparison(opened, result, domain)
    return result


def _tell_comparison(opened: Opened, result: dict[str, Any], domain: str | None) -> None:
    if result.get("verdict"):
        say(with_tested(result, opened.config.unit))
    titles = {arm: entry["title"] for arm, entry in result["arms"].items()}
    for entry in result["crossing"]:
        say(crossing.sentence(entry, titles))
    if domain is not None:
        what = "their labels" if opened.seen else "any of them"
        say(f"on {result['shift']['samples']:,} {opened.config.unit}s of {domain}, with no training on {what}:")
        for line in shift.lines(result["shift"], titles):
            say(line)


def _chosen(opened: Opened) -> list[str]:
    """A note where labels chose the step of the run's weights."""
    told = labels_of.chose_step(opened.read.run.read_json("facts.json") or {})
    return [told] if told else []


def _no_task(task: str | None) -> None:
    if task is not None:
        raise InputError(f"--task {task}: is for text; a run on images is classified")


# frozen ---------------------------------------------------------------------------------------------------------------


def evaluate(
    place: Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    compare: bool,
    protocol: Protocol,
    domain: str | None,
    task: str | None,
    device: str | None,
    overrides: Overrides,
) -> dict[str, Any]:
    """See ``foretell.verbs.evaluate``."""
    _no_task(task)
    protocol = replace(protocol, arms=check_arms(tuple(protocol.arms or DEFAULT_ARMS), DEFAULT_ARMS))
    opened = _open(place, data, labels, device, overrides)
    if compare:
        check_jobs(protocol.jobs, opened.config.search)
    if domain is not None:
        _leave_out(opened, domain)
    if compare:
        judged_parts(opened.store, opened.parts.train, opened.parts.test, config=opened.config, shift=domain)
    opened.hold(searches=compare)
    try:
        if opened.joins:
            joined = _compare(opened, protocol, domain)
            say(JOINED)
            return {"comparison": joined}
        result = _frozen(opened, protocol.trials)
        _tell_frozen(opened, result, compare)
        others = opened.run is not None and worth.keep(opened.run, result)
        if others and not compare:
            say(
                "  the report's comparison is of other labels and stays; beside it these scores are marked as of others"
            )
        result["comparison"] = _compare(opened, protocol, domain, frozen=result) if compare else None
        opened.report()
        return result
    finally:
        opened.close()


def _frozen(opened: Opened, trials: int) -> dict[str, Any]:
    result = worth.frozen(
        opened.read.encoder.to(named_device(opened.config.device)), opened.store, opened.parts, views=opened.read.views,
        config=opened.config, trials=trials, tell=lambda text: say(f"  {text}"),
    )  # fmt: skip
    return {**result, "notes": [*result["notes"], *_chosen(opened)]}


def _tell_frozen(opened: Opened, result: dict[str, Any], compare: bool) -> None:
    unit, test, train = opened.config.unit, result["test"]["samples"], result["train"]["samples"]
    if not opened.config.findings:
        say(f"on {test:,} test {unit}s, with {train:,} labels:")
    elif not compare:
        say(worth.FINDINGS)
    for line in (*result["notes"], *worth.table(result)):
        say(line)


# fine-tuned -----------------------------------------------------------------------------------------------------------


def finetune(
    place: Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    out: str | Path | None,
    compare: bool,
    protocol: Protocol,
    saliency: bool,
    task: str | None,
    device: str | None,
    overrides: Overrides,
) -> Finetuned:
    """See ``foretell.verbs.finetune``."""
    _no_task(task)
    opened = _open(place, data, labels, device, overrides)
    target = _target(opened, out)
    if compare:
        check_jobs(protocol.jobs, opened.config.search)
    labelled = labels_of.labels_fingerprint(opened.store, opened.config)
    opened.hold(searches=True)
    try:
        if out is not None and not opened.joins:
            kept_out.check(target, opened.read.run.path, labelled)
        train, test = _labelled(opened)
        if opened.joins:
            _join_search(opened, train, protocol.trials)
            joined = _compare(opened, protocol) if compare else None
            say(JOINED)
            return Finetuned(target, None, {}, joined)
        if out is not None:
            kept_out.begin(target, opened.read.run.path, labelled)
        classifier, facts = finetune_once(
            opened.read.encoder, train, views=opened.views, config=opened.config, test=test, trials=protocol.trials,
            cache=Cache(opened.kept("finetune")), folder=opened.folder, progress=telling(),
        )  # fmt: skip
        facts[labels_of.KEY] = labelled
        _save(opened, classifier, facts, target)
        _tell_classifier(opened, facts, target)
        if not compare and opened.run is not None:
            common.tell_other_labels(opened.run.read_json("results/comparison.json"), facts)
        looked = looking.maps(classifier, test, opened.store.names, opened.config.crop) if saliency else None
        looking.keep(looked, target, opened.run)
        result = _compare(opened, protocol) if compare else None
        scores = {name: value for name, value in facts["test"].items() if name != "confusion"}
        return Finetuned(target, opened.report(), scores, result)
    finally:
        opened.close()


def _target(opened: Opened, out: str | Path | None) -> Path:
    """The folder of the classifier, which holds the results where the data is not the run's own. Raises InputError."""
    place = opened.read.run.path
    if opened.run is not None:
        return Path(out) if out is not None else place / "classifier"
    if out is None:
        raise InputError(
            f"{opened.store.source}: is not the data of {place}, whose own classifier stays; name the folder of this one with "
            "--out FOLDER"
        )
    opened.beside = Path(out)
    return opened.beside


def _labelled(opened: Opened) -> tuple[Labelled, Labelled]:
    """What is trained on and tested, of which it is said what was left out."""
    train, test, notes = held_out(opened.store, opened.parts.train, opened.parts.test, config=opened.config)
    for note in (*notes, *_chosen(opened)):
        say(f"  {note}")
    told = "classes" if train.targets is None else "findings"
    say(f"fine-tuning on {count(train):,} labels of {len(train.classes)} {told}:")
    return train, test


def _join_search(opened: Opened, train: Labelled, trials: int) -> None:
    """Take part in the search of the classifier's settings."""
    total = fits_of_search(train, opened.config, trials, 0)
    search_once(
        opened.read.encoder,
        train,
        views=opened.views,
        config=opened.config,
        trials=trials,
        folder=opened.folder,
        advance=adding_up(telling(), total),
    )


def _save(opened: Opened, classifier: Classifier, facts: dict[str, Any], target: Path) -> None:
    extra = {"labels": facts["labels"], "pretrained_in": str(opened.read.run.path)}
    if opened.config.unit == "case":
        extra["pooling"] = opened.config.pooling
    extra |= common.kept_reading(opened.store, opened.read.recipe.data)
    save_classifier(classifier, target, crop=opened.config.crop, extra=extra)
    opened.write("finetune", {**facts, "folder": str(target)})


def _tell_classifier(opened: Opened, facts: dict[str, Any], target: Path) -> None:
    scores = facts["test"]
    say(f"classifier: {target}")
    names = led_by(opened.config.headline, METRICS[:3])
    told = ", ".join(f"{metric_name(name)} {scores[name]:.1%}" for name in names)
    say(f"  on {scores['samples']:,} test {opened.config.unit}s: {told}")
    for line in common.classes_told(scores, facts["classes"]):
        say(line)
