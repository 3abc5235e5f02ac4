"""The work behind ``foretell evaluate`` and ``foretell finetune``."""

from __future__ import annotations

from dataclasses import dataclass
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
from foretell.run import Run, json_text, write_aside
from foretell.train.machine import named_device
from foretell.transfer import labels as labels_of
from foretell.transfer.ahead import check_jobs
from foretell.transfer.cache import Cache
from foretell.transfer.config import TransferConfig
from foretell.transfer.fractions import amounts
from foretell.transfer.images import shift
from foretell.transfer.images.arms import DEFAULT_ARMS, check_arms
from foretell.transfer.images.cases import count, unit_notes
from foretell.transfer.images.compare import compare as run_comparison
from foretell.transfer.images.compare import held_out, judged_parts
from foretell.transfer.images.fit import finetune_once, fits_of_search, search_once
from foretell.transfer.images.labelled import Index
from foretell.transfer.images.labelled import Labelled as TrainingLabels
from foretell.transfer.images.saved import save_classifier
from foretell.transfer.search import adding_up
from foretell.verbs import common, kept_out, kept_split, looking, text_transfer, worth
from foretell.verbs.common import JOINED, Parts, Pretrained
from foretell.verbs.outcomes import Finetuned
from foretell.verbs.progress import say, telling
from foretell.verbs.word_vectors import vectors_of


@dataclass
class Labelled:
    """A run read back, and labelled data for it; ``own``: it is the run's own, and results belong into the run.

    ``joins``: another process holds the run, and this one takes part in its searches. ``seen``: images of the other domain that
    is judged, which pretraining learnt from. ``beside``: the folder of a classifier of other data, whose results are kept there.
    """

    read: Pretrained
    store: ImageStore
    parts: Parts
    config: TransferConfig
    own: bool
    joins: bool = False
    seen: int = 0
    beside: Path | None = None

    @property
    def folder(self) -> Path | None:
        """Where studies of searches are kept."""
        return self.read.run.path if self.own else self.results

    @property
    def results(self) -> Path | None:
        """Where finished trials and fits are kept, None where they are lost when the command ends."""
        place = self.read.run.path if self.own else self.beside
        return None if place is None else place / "results"


def _open(
    run: str | Path,
    data: str | Path | None,
    labels: str | Path | None,
    device: str | None,
    overrides: Overrides,
) -> Labelled:
    read = common.read_run(run)
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
    return Labelled(read, store, parts, recipe.transfer, own)


def seeds_of(count: int) -> list[int]:
    """The seeds of a comparison. Raises InputError."""
    if count < 1:
        raise InputError(f"--seeds {count}: expected at least 1")
    return list(range(count))


def check_trials(count: int) -> None:
    """Raise InputError where nothing would be searched."""
    if count < 1:
        raise InputError(f"--trials {count}: expected at least 1")


def arms_of(arms: str) -> tuple[str, ...]:
    """The arms of a comparison of images, all of the usual ones where none is named: no other is offered. Raises InputError."""
    return check_arms(tuple(arm.strip() for arm in arms.split(",")), DEFAULT_ARMS) if arms else DEFAULT_ARMS


def _leave_out(found: Labelled, domain: str) -> None:
    """Take the rows of another domain out of training and test; say so where pretraining has seen them."""
    given = found.parts
    train, test, elsewhere, _ = shift.apart(found.store, domain, given.train, given.test)
    unsaid = np.intersect1d(rows_unknown(found.store, [domain], "--shift"), np.concatenate([given.train, given.test]))
    how = f"{given.how}; {domain} left out"
    if len(unsaid):
        told = told_unknown(found.store, unsaid, [domain])
        say(f"  {told}")
        how = f"{how}; {told}"
    found.parts = Parts(train, test, how)
    found.seen = _seen(found, elsewhere)
    if found.seen:
        say(
            f"  pretraining saw images of {domain} too, without labels; to hold them out, pretrain with --set data.held_out={domain}"
        )


def _seen(found: Labelled, rows: Index) -> int:
    """How many images of ``rows`` pretraining learnt from: by their content, or in a run that did not keep that by its split."""
    place = found.read.run.path
    kept = kept_split.read(place) if found.own else None
    by_split = 0 if kept is None else len(np.intersect1d(kept.parts.train, rows))
    return max(by_split, kept_split.learnt_before([place], found.store.hashes[rows]))


def _compare(
    found: Labelled,
    per_class: str,
    seeds: int,
    trials: int,
    arms: str,
    domain: str | None = None,
    *,
    jobs: int | None,
    frozen: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """``frozen``: what ``worth.frozen`` has just found with all labels, which is not worked out again."""
    chosen = arms_of(arms)
    say(f"comparing {common.told_arms(chosen)}, with equal augmentation, search and steps:")
    for note in unit_notes(found.store, [*found.parts.train, *found.parts.test], found.config):
        say(f"  {note}")
    before = found.read.run.read_json("results/comparison.json") or {}
    result = run_comparison(
        found.read.encoder,
        found.store,
        train=found.parts.train,
        test=found.parts.test,
        views=found.config.views_after(found.read.views),
        per_class=amounts(per_class, "--per-class"),
        seeds=seeds_of(seeds),
        arms=chosen,
        trials=trials,
        training=found.config,
        run=found.read.run if found.own else None,
        fits=None if found.own or found.results is None else found.results / "comparison.jsonl",
        progress=telling(),
        split=found.parts.how,
        shift=domain,
        join=found.joins,
        jobs=jobs,
        all_labels=frozen is None,
    )
    if found.joins:
        return result
    result["notes"] += _chosen(found)
    if frozen is not None:
        result |= {name: frozen[name] for name in worth.FROZEN}
    if domain is not None:
        result["shift"]["seen"] = found.seen
    if found.own:  # the notes; and scores of an earlier evaluate on the same test images stay
        for name, scores in worth.earlier_frozen(before, result).items():
            result[name] = result.get(name) or scores
        found.read.run.write_json("results/comparison.json", result)
    elif found.beside is not None:
        write_aside(found.beside / "comparison.json", json_text(result))
    if result.get("verdict"):
        say(with_tested(result, found.config.unit))
    titles = {arm: entry["title"] for arm, entry in result["arms"].items()}
    for entry in result["crossing"]:
        say(crossing.sentence(entry, titles))
    if domain is not None:
        what = "their labels" if found.seen else "any of them"
        say(f"on {result['shift']['samples']:,} {found.config.unit}s of {domain}, with no training on {what}:")
        for line in shift.lines(result["shift"], titles):
            say(line)
    return result


def _chosen(found: Labelled) -> list[str]:
    """A note where labels chose the step of the run's weights."""
    told = labels_of.chose_step(found.read.run.read_json("facts.json") or {})
    return [told] if told else []


def _hold(found: Labelled, *, searches: bool) -> None:
    """Take the run to write to; with ``searches`` those of another process that has it can be joined instead."""
    if found.own and searches:
        found.read.run, found.joins = common.hold(found.read.run.path, found.config.search)
    elif found.own:
        found.read.run = Run.resume(found.read.run.path)


def _join_search(found: Labelled, train: TrainingLabels, trials: int) -> None:
    """Take part in the search of the classifier's settings."""
    total = fits_of_search(train, found.config, trials, 0)
    search_once(
        found.read.encoder,
        train,
        views=found.config.views_after(found.read.views),
        config=found.config,
        trials=trials,
        folder=found.folder,
        advance=adding_up(telling(), total),
    )


def _report(found: Labelled) -> Path:
    from foretell.report import build

    page = build(found.read.run.path)
    say(f"report: {page}")
    return page


def _of_text(data: str | Path | None, labels: str | Path | None) -> str | Path | None:
    """The labelled text: of a run on text the labels stand beside the texts, so that either option may name the table."""
    if data is not None and labels is not None:
        raise InputError(f"--labels {labels}: texts and labels are columns of one table; give it by --data alone")
    return data if data is not None else labels


def _no_task(task: str | None) -> None:
    if task is not None:
        raise InputError(f"--task {task}: is for text; a run on images is classified")


def evaluate(
    run: str | Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    compare: bool,
    per_class: str,
    seeds: int,
    trials: int,
    arms: str,
    jobs: int | None,
    device: str | None,
    task: str | None,
    domain: str | None,
    overrides: Overrides,
) -> dict[str, Any]:
    """See ``foretell.verbs.evaluate``."""
    if domain is not None and not compare:
        raise InputError(f"--shift {domain}: the arms that it judges are those of --compare; give that too")
    points, chosen = amounts(per_class, "--per-class"), seeds_of(seeds)
    check_trials(trials)
    if text_transfer.reads_text(Path(run)):
        if domain is not None:
            raise InputError(f"--shift {domain}: is for images; {run} is a run of text")
        return text_transfer.evaluate(
            Path(run), _of_text(data, labels), task=task, compare=compare, per_class=points, seeds=chosen, trials=trials,
            arms=arms, jobs=jobs, device=device, overrides=overrides,
        )  # fmt: skip
    _no_task(task)
    arms_of(arms)  # are known, before the work that comes before the comparison
    found = _open(run, data, labels, device, overrides)
    if compare:
        check_jobs(jobs, found.config.search)
    if domain is not None:
        _leave_out(found, domain)
    if compare:
        judged_parts(found.store, found.parts.train, found.parts.test, config=found.config, shift=domain)
    _hold(found, searches=compare)
    try:
        if found.joins:
            joined = _compare(found, per_class, seeds, trials, arms, domain, jobs=jobs)
            say(JOINED)
            return {"comparison": joined}
        encoder = found.read.encoder.to(named_device(found.config.device))
        result = worth.frozen(
            encoder, found.store, found.parts, views=found.read.views, config=found.config, trials=trials,
            tell=lambda text: say(f"  {text}"),
        )  # fmt: skip
        result["notes"] = [*result["notes"], *_chosen(found)]
        if not found.config.findings:
            say(
                f"on {result['test']['samples']:,} test {found.config.unit}s, with {result['train']['samples']:,} labels:"
            )
        elif not compare:
            say(worth.FINDINGS)
        for line in (*result["notes"], *worth.table(result)):
            say(line)
        others = found.own and worth.keep(found.read.run, result)
        if others and not compare:
            say(
                "  the report's comparison is of other labels and stays; beside it these scores are marked as of others"
            )
        if compare:
            result["comparison"] = _compare(found, per_class, seeds, trials, arms, domain, jobs=jobs, frozen=result)
        else:
            result["comparison"] = None
        if found.own:
            _report(found)
        return result
    finally:
        found.read.run.close()


def finetune(
    run: str | Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    out: str | Path | None,
    compare: bool,
    per_class: str,
    saliency: bool,
    seeds: int,
    trials: int,
    jobs: int | None,
    device: str | None,
    task: str | None,
    overrides: Overrides,
) -> Finetuned:
    """See ``foretell.verbs.finetune``."""
    points, chosen = amounts(per_class, "--per-class"), seeds_of(seeds)
    check_trials(trials)
    if text_transfer.is_text(Path(run)):
        return text_transfer.finetune(
            Path(run), _of_text(data, labels), task=task, out=out, compare=compare, per_class=points, seeds=chosen,
            trials=trials, jobs=jobs, device=device, overrides=overrides,
        )  # fmt: skip
    if vectors_of(Path(run)) is not None:
        raise InputError(
            f"{run}: word vectors are not kept as a classifier; what they are worth to one says: foretell evaluate {run} "
            "TABLE --compare"
        )
    _no_task(task)
    found = _open(run, data, labels, device, overrides)
    if out is None and not found.own:
        raise InputError(
            f"{found.store.source}: is not the data of {found.read.run.path}, whose own classifier stays; name the folder of this "
            "one with --out FOLDER"
        )
    if compare:
        check_jobs(jobs, found.config.search)
    target = Path(out) if out is not None else found.read.run.path / "classifier"
    found.beside = None if found.own else target
    labelled = labels_of.labels_fingerprint(found.store, found.config)
    place = found.read.run.path
    _hold(found, searches=True)
    try:
        if out is not None and not found.joins:
            kept_out.check(target, place, labelled)
        train, test, notes = held_out(found.store, found.parts.train, found.parts.test, config=found.config)
        for note in (*notes, *_chosen(found)):
            say(f"  {note}")
        told = "classes" if train.targets is None else "findings"
        say(f"fine-tuning on {count(train):,} labels of {len(train.classes)} {told}:")
        if found.joins:
            _join_search(found, train, trials)
            joined = _compare(found, per_class, seeds, trials, "", jobs=jobs) if compare else None
            say(JOINED)
            return Finetuned(target, None, {}, joined)
        if out is not None:
            kept_out.begin(target, place, labelled)
        classifier, facts = finetune_once(
            found.read.encoder,
            train,
            views=found.config.views_after(found.read.views),
            config=found.config,
            test=test,
            trials=trials,
            cache=Cache(found.results / "finetune.jsonl" if found.results is not None else None),
            folder=found.folder,
            progress=telling(),
        )
        extra = {"labels": facts["labels"], "pretrained_in": str(found.read.run.path)}
        if found.config.unit == "case":
            extra["pooling"] = found.config.pooling
        extra |= common.kept_reading(found.store, found.read.recipe.data)
        save_classifier(classifier, target, crop=found.config.crop, extra=extra)
        scores = facts["test"]
        say(f"classifier: {target}")
        told = ", ".join(
            f"{metric_name(name)} {scores[name]:.1%}" for name in led_by(found.config.headline, METRICS[:3])
        )
        say(f"  on {scores['samples']:,} test {found.config.unit}s: {told}")
        for line in common.classes_told(scores, facts["classes"]):
            say(line)
        facts[labels_of.KEY] = labelled
        if found.own:
            found.read.run.write_json("results/finetune.json", {**facts, "folder": str(target)})
            if not compare:
                common.tell_other_labels(found.read.run.read_json("results/comparison.json"), facts)
        else:
            write_aside(target / "finetune.json", json_text({**facts, "folder": str(target)}))
        looked = looking.maps(classifier, test, found.store.names, found.config.crop) if saliency else None
        looking.keep(looked, target, found.read.run if found.own else None)
        result = _compare(found, per_class, seeds, trials, "", jobs=jobs) if compare else None
        page = _report(found) if found.own else None
        if page is None:
            say(f"results: kept in {target}; those of the run stay as they are")
        return Finetuned(target, page, {key: value for key, value in scores.items() if key != "confusion"}, result)
    finally:
        found.read.run.close()
