"""The work behind ``foretell pipeline``: which steps there are, which of them are done, and doing the others.

A step's folder is named by the hash of all it depends on (``pipeline_keys``): its settings, the data with its table,
the folders it starts from and the version. A finished folder is used again, an unfinished one gone on with, and another
hash makes another folder.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foretell import distributed
from foretell.encoders.weights import WEIGHTS
from foretell.errors import InputError
from foretell.json_files import read_object
from foretell.options import Overrides
from foretell.recipe import Recipe
from foretell.run import Run, json_text, write_aside
from foretell.transfer.config import TransferConfig
from foretell.verbs import common
from foretell.verbs.outcomes import Pipeline
from foretell.verbs.pipeline_checks import ALONE, Checks, weights_key
from foretell.verbs.pipeline_comparison import Candidate, compare_step
from foretell.verbs.pipeline_keys import (
    OF,
    Folders,
    Parts,
    brought,
    data_key,
    dotted,
    judging_parts,
    key_of,
    pretraining_parts,
    transfer_parts,
)
from foretell.verbs.pipeline_plan import Plan, Step, check_weights, read_plan
from foretell.verbs.progress import say

OWN_DATA = ("data.labels", "data.columns", "data.held_out")
FITS = "fits.jsonl"  # finished fits of all comparisons of a pipeline


@dataclass
class Done:
    """A finished step: its folder and key, what it cost, and whether it was used again; ``former``: the key that
    earlier versions gave it.
    """

    step: Step
    folder: Path
    key: str
    seconds: float
    reused: bool
    facts: dict[str, Any] = field(default_factory=dict)
    former: str = ""


# doing ------------------------------------------------------------


class Work:
    """The steps of a plan, done one after another."""

    def __init__(self, plan: Plan, folder: Path, options: dict[str, Any], overrides: Overrides) -> None:
        self.plan = plan
        self.folder = folder
        self.options = options
        self.overrides = overrides
        self.done: dict[str, Done] = {}
        self.folders = Folders(folder)
        self._data: dict[str, str] = {}  # data settings -> hash, so that a store is opened once

    def check(self) -> None:
        """Raise InputError for what is known to fail before anything is trained (``pipeline_checks``); say what could be judged
        otherwise.
        """
        notes = Checks(self.plan, lambda step, weights: self._recipe(step, weights)[2]).run()
        self._check_apart()
        for note in notes:
            say(note)

    def _check_apart(self) -> None:
        """Raise InputError where two steps are one and the same pretraining under two names."""
        keys: dict[str, str] = {}
        first: dict[str, Step] = {}
        for step in self.plan.step:
            if step.kind == "start":
                keys[step.name] = key_of("start", weights_key(step.weights))
            elif step.kind == "pretrain":
                recipe = self._recipe(step)[2]
                key = keys[step.name] = key_of(self._parts(recipe, keys[step.after] if step.after else "", None))
                other = first.setdefault(key, step)
                if other is not step:
                    raise InputError(_alike(other, step, recipe))

    def run(self) -> None:
        kinds: dict[str, Callable[[Step], Done]] = {
            "start": self._start, "pretrain": self._pretrain, "compare": self._compare, "finetune": self._finetune,
        }  # fmt: skip
        for number, step in enumerate(self.plan.step, 1):
            say(f"step {number} of {len(self.plan.step)}, {step.name} ({step.kind}):")
            found = self.done[step.name] = kinds[step.kind](step)
            if found.reused:
                say(f"  done before and unchanged: {found.folder}")

    def _recipe(self, step: Step, weights: str | None = None) -> tuple[dict[str, Any], Overrides, Recipe]:
        """(options, overrides, the recipe that they make) of a step: those of the pipeline and of the command line,
        which hold the domains that are judged out whatever else is held out.
        """
        given = {"data.held_out": self.plan.domains, **self.plan.shared, **self.options}
        if step.elsewhere:  # neither labels nor domains of the pipeline's data are in it
            given = {key: value for key, value in given.items() if key not in OWN_DATA}
        options, overrides = {**given, **step.set}, self.overrides
        if weights is not None:
            options["encoder.weights"] = weights
        recipe = Recipe.load(step.recipe, options, overrides)
        missing = [] if step.elsewhere else [one for one in self.plan.domains if one not in recipe.data.held_out]
        if missing:
            overrides = with_held_out(overrides, [*recipe.data.held_out, *missing])
            recipe = Recipe.load(step.recipe, options, overrides)
        return options, overrides, recipe

    def _transfer(self, step: Step, own: Step) -> TransferConfig:
        """How what the pretraining ``own`` learnt is fine-tuned in ``step``: as either's settings say, those of ``step`` first."""
        given: dict[str, Any] = {}
        for one in (own, step):
            given |= dotted({"transfer": self._recipe(one)[2].transfer.model_dump(mode="json", exclude_unset=True)})
        return Recipe.load(None, given).transfer

    def _former_settings(self, step: Step) -> dict[str, Any]:
        """What earlier versions made the key of a comparison or classifier of."""
        given = self._recipe(step)[2].transfer.model_dump(mode="json", exclude_unset=True)
        return {f"transfer.{name}": value for name, value in given.items()}

    def _data_key(self, recipe: Recipe) -> str:
        settings = recipe.data.model_dump_json()
        if settings not in self._data:
            self._data[settings] = data_key(common.open_data(recipe.data))
        return self._data[settings]

    def _parts(self, recipe: Recipe, before: str, given: str | None) -> Parts:
        """What a pretraining depends on: the key of the step ``before`` it stands for the weights that it gave."""
        own = recipe.encoder.weights
        weights = weights_key(own) if own and own != given else ""
        return {**pretraining_parts(recipe), "data": self._data_key(recipe), "after": before, "weights": weights}

    def _start(self, step: Step) -> Done:
        content = weights_key(step.weights)
        say(f"  {step.weights or 'random weights'}")
        key = key_of("start", content)
        place = self.folder / f"{step.name}-{key}"
        reused = (place / "start.json").is_file()
        place.mkdir(parents=True, exist_ok=True)
        facts = {"weights": common.absolute(step.weights) if step.weights else "", "sha256": content}
        write_aside(place / "start.json", json.dumps(facts) + "\n")
        return Done(step, place, key, 0.0, reused, facts, key)

    def _weights(self, step: Step) -> str | None:
        """What a pretraining starts from: an earlier step's run, a start's weights, or nothing."""
        return self._weights_of(step.after) or None if step.after is not None else None

    def _weights_of(self, name: str) -> str:
        """The weights that a start or pretraining step gives to others; "" for random ones."""
        done = self.done[name]
        return str(done.facts["weights"]) if done.step.kind == "start" else str(done.folder)

    def _pretrain(self, step: Step) -> Done:
        from foretell.verbs import pretraining

        before = self.done[step.after] if step.after else None
        weights = self._weights(step)
        options, overrides, recipe = self._recipe(step, weights)
        settings = recipe.changed({"encoder.weights": ""}).to_toml()
        former = key_of("pretrain", settings, before.former if before else "", self._data_key(recipe))
        parts = self._parts(recipe, before.key if before else "", weights)
        place, key = self.folders.of(step.name, parts, former)
        finished = (place / "recipe.toml").is_file() and Run.read(place).state() == "finished"
        reused = finished and (place / "encoder" / WEIGHTS).is_file()
        if reused:
            brought(place, recipe, finished=True)
        elif (place / "split.json").is_file():
            brought(place, recipe, finished=False)
            pretraining.go_on(place)
        else:
            if place.exists():  # stopped before training began: nothing of it is worth keeping
                Run.remove(place)
            pretraining.start(options, recipe=step.recipe, budget=None, overrides=overrides, out=place)
        return Done(step, place, key, _seconds(place), reused, _facts(place), former)

    def _compare(self, step: Step) -> Done:
        candidates, runs = self._candidates(step), self._runs(step)
        settings = {self.done[name].folder: self._transfer(step, one) for name, one in runs.items()}
        parts: Parts = {"per_class": step.per_class, "seeds": step.seeds, "trials": step.trials, "shift": step.shift}
        parts |= judging_parts({name: settings[self.done[name].folder] for name in runs})
        parts |= {f"{OF}{one.name}": [one.title, self.done[one.name].key] for one in candidates}
        asked = [step.per_class, step.seeds, step.trials, step.shift, self._former_settings(step)]
        former = key_of("compare", asked, [(one.title, self.done[one.name].former) for one in candidates])
        place, key = self.folders.of(step.name, parts, former)
        if (place / "comparison.json").is_file():
            found = _kept(place / "comparison.json")
            return Done(step, place, key, found["seconds"], True, found, former)
        counted = {name for done in self.done.values() for name in done.facts.get("took", ())}
        found = compare_step(step, candidates, settings, self.folder / FITS, counted)
        place.mkdir(parents=True, exist_ok=True)
        write_aside(place / "comparison.json", json_text(found))
        return Done(step, place, key, found["seconds"], False, found, former)

    def _runs(self, step: Step) -> dict[str, Step]:
        """The pretraining steps whose runs a comparison judges by, by their names."""
        likes = [self.plan.like(one, step) for one in self.plan.steps_of(step)]
        return {one.name: one for one in self.plan.step if one.name in likes}

    def _candidates(self, step: Step) -> list[Candidate]:
        """What a comparison compares; a start without weights is training from scratch, which it compares anyway."""
        found = []
        for one in self.plan.steps_of(step):
            like = self.plan.like(one, step)
            if one.name == like:
                found.append(Candidate(one.name, one.called, self.done[one.name].folder))
            elif weights := self._weights_of(one.name):
                found.append(
                    Candidate(one.name, one.called, self.done[like].folder, weights, start=one.kind == "start")
                )
        return found

    def _finetune(self, step: Step) -> Done:
        from foretell.verbs.finetune import finetune

        assert step.after is not None
        before = self.done[step.after]
        transfer = self._transfer(step, before.step)
        former = key_of("finetune", step.trials, self._former_settings(step), before.former)
        parts = {"trials": step.trials, **transfer_parts(transfer), "after": before.key}
        place, key = self.folders.of(step.name, parts, former)
        if (place / "scores.json").is_file():
            found = _kept(place / "scores.json")
            return Done(step, place, key, found["seconds"], True, found | _classes(place), former)
        if place.exists():  # stopped on the way: what it needs is in the run, which who makes a classifier of it holds
            run = Run.resume(before.folder)
            shutil.rmtree(place)
            run.close()
        began = time.monotonic()
        settings = {f"transfer.{name}": value for name, value in transfer.model_dump(mode="json").items()}
        made = finetune(before.folder, out=place, compare=False, trials=step.trials, set=settings)
        if not made.scores:
            raise InputError(
                f"{before.folder}: another process makes this classifier, and its search is done; give the command again "
                "when it ends"
            )
        found = {"scores": made.scores, "seconds": max(time.monotonic() - began, _fine_tuned(before.folder))}
        write_aside(place / "scores.json", json_text(found))
        return Done(step, place, key, found["seconds"], False, found | _classes(place), former)


def with_held_out(overrides: Overrides, domains: Sequence[str]) -> Overrides:
    """``overrides`` that hold out ``domains``."""
    if isinstance(overrides, Mapping):
        return {**overrides, "data.held_out": list(domains)}
    given = [overrides] if isinstance(overrides, str) else overrides
    return [*given, f"data.held_out={json.dumps(list(domains), ensure_ascii=False)}"]


def _classes(place: Path) -> dict[str, Any]:
    """{"classes": how many the classifier in ``place`` tells apart, "findings": whether they are findings}."""
    config = read_object(place / "config.json", f"delete {place}: the same command makes this step again")
    return {"classes": len(config.get("classes") or []), "findings": bool(config.get("findings"))}


def _alike(one: Step, other: Step, recipe: Recipe) -> str:
    """That two pretraining steps are the same, and what made them so; ``recipe`` is that of both."""
    asked = sorted(key for key in {*one.set, *other.set} if one.set.get(key) != other.set.get(key))
    now = dict(dotted(recipe.model_dump(mode="json")))
    overruled = [f"{key}={now[key]}" for key in asked if key in now and not key.startswith("transfer.")]
    if overruled:
        why = f"--set {', '.join(overruled)} overrules what tells them apart; leave it out, and {ALONE}"
    else:
        what = f" ({', '.join(asked)} changes no pretraining)" if asked else ""
        why = f"give one another setting, or take it out{what}"
    return (
        f"steps {one.name} and {other.name} are the same pretraining, which a comparison would set beside itself: {why}"
    )


def _kept(path: Path) -> dict[str, Any]:
    """What a step wrote when it was done. Raises InputError when it is damaged."""
    do = "delete it: the same command makes this step again"
    found = read_object(path, do)
    if not isinstance(found.get("seconds"), int | float):
        raise InputError(f"{path}: has no seconds, which the step writes; {do}")
    return found


def _facts(run: Path) -> dict[str, Any]:
    found = Run.read(run).read_json("facts.json") or {}
    return dict(found)


def _seconds(run: Path) -> float:
    return float((_facts(run).get("cost") or {}).get("seconds") or 0.0)


def _fine_tuned(run: Path) -> float:
    """Seconds of the trainings behind the classifier of a run, with trials that earlier tries have kept."""
    facts = Run.read(run).read_json("results/finetune.json") or {}
    return float(sum(tried["seconds"] for tried in facts["search"]["trials"]) + facts["seconds"]) if facts else 0.0


def _interrupted(error: KeyboardInterrupt, folder: Path) -> KeyboardInterrupt:
    """What is told of it: the command of its step alone would leave the steps after it undone."""
    told = KeyboardInterrupt(*error.args)
    for note in getattr(error, "__notes__", []):
        if "foretell pretrain" not in note and "the same command" not in note:
            told.add_note(note)
    told.add_note(f"what is done is kept in {folder}; the same foretell pipeline command goes on")
    return told


def run(
    recipe: str | Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    weights: str | Path | None,
    comparison: Mapping[str, Any],
    out: str | Path | None,
    device: str | None,
    overrides: Overrides,
) -> Pipeline:
    """See ``foretell.verbs.pipeline``."""
    from foretell.report.pipeline import build

    if distributed.world() > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("pipeline: runs in one process; run its steps with torchrun and foretell pretrain instead")
    plan = read_plan(recipe)
    if weights is not None:
        plan = plan.with_weights(str(weights), str(recipe))
    plan = plan.with_settings({name: value for name, value in comparison.items() if value is not None}, str(recipe))
    check_weights(plan, str(recipe))
    source = str(data) if data is not None else plan.shared.get("data.source")
    if not source:
        raise InputError(f"DATA is missing: foretell pipeline {recipe} DATA, or data.source under [shared] of the file")
    name = Path(str(source).lstrip("@")).name.partition(".")[0] or "data"
    folder = Path(out) if out is not None else Path("runs") / f"{name}-{Path(recipe).stem}"
    options = {
        "data.source": common.absolute(str(source)),
        "data.labels": common.absolute(str(labels)) if labels is not None else None,
        "training.device": device,
        "transfer.device": device,
    }
    work = Work(plan, folder, {key: value for key, value in options.items() if value is not None}, overrides)
    work.check()
    common.make_place(folder / FITS)
    try:
        work.run()
        page, numbers = build(folder, list(work.done.values()))
    except KeyboardInterrupt as error:
        raise _interrupted(error, folder) from None
    say(f"report of all steps: {page}")
    return Pipeline(folder, {name: done.folder for name, done in work.done.items()}, page, numbers)
