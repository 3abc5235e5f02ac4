"""The work behind ``foretell pipeline``: which steps there are, which of them are done, and doing the others.

A step's folder is named by the hash of all it depends on: its settings, the data with its table, the folders it starts from
and the version. A finished folder is used again, an unfinished one gone on with, and another hash makes another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from foretell import __version__, distributed
from foretell.data.store import ImageStore
from foretell.encoders.weights import WEIGHTS, locate
from foretell.errors import InputError
from foretell.options import Overrides
from foretell.recipe import Recipe, read_toml
from foretell.run import Run, write_aside
from foretell.settings import Settings
from foretell.verbs import common
from foretell.verbs.common import say
from foretell.verbs.pipeline import Pipeline


class Step(Settings):
    """One step of a pipeline."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="letters, digits, - and _")
    kind: Literal["start", "pretrain", "compare", "finetune"] = Field(
        description="start: weights from elsewhere; pretrain; compare: fine-tuning at growing numbers of labels, of "
        "several steps; finetune: a classifier"
    )
    after: str | None = Field(None, description="the step whose encoder this one starts from")
    of: tuple[str, ...] = Field((), description="the pretraining steps that are compared")
    weights: str = Field("", description="of a start: a timm checkpoint, a run, an exported encoder; empty: random")
    recipe: str | None = Field(None, description="of a pretraining: a recipe file, or a packaged one by name")
    set: dict[str, Any] = Field({}, description="settings of a recipe, dotted")
    per_class: str = Field("1,5,10,all", description="of a comparison: numbers of labels a class")
    seeds: int = Field(3, ge=1, description="of a comparison")
    trials: int = Field(8, ge=1, description="settings searched in fine-tuning, the same for every arm")


class Plan(Settings):
    """A whole pipeline file."""

    shared: dict[str, Any] = Field({}, description="settings of every step")
    step: tuple[Step, ...] = Field(min_length=1)


@dataclass
class Done:
    """A finished step: its folder and key, what it cost, and whether it was used again."""

    step: Step
    folder: Path
    key: str
    seconds: float
    reused: bool
    facts: dict[str, Any] = field(default_factory=dict)


# reading ------------------------------------------------------------


def read_plan(place: str | Path) -> Plan:
    """The steps of a file, or of a packaged pipeline by its name. Raises InputError naming step and key."""
    where, tree = read_toml(place, "pipeline")
    try:
        plan = Plan.model_validate(tree)
    except ValidationError as error:
        found = error.errors()[0]
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in found["loc"])
        raise InputError(f"{where}: {key}: {found['msg'].lower()}; a step has {', '.join(Step.model_fields)}") from None
    _check(plan, where)
    return plan


def _check(plan: Plan, where: str) -> None:
    kinds: dict[str, str] = {}
    for step in plan.step:
        if step.name in kinds:
            raise InputError(f"{where}: two steps are named {step.name}; give each its own name")
        for other in (*step.of, *([step.after] if step.after else [])):
            if other not in kinds:
                raise InputError(f"{where}: step {step.name} comes after '{other}', which is no earlier step")
        if step.kind == "compare" and (not step.of or any(kinds[other] != "pretrain" for other in step.of)):
            raise InputError(f"{where}: step {step.name}: of: expected the names of earlier steps of kind pretrain")
        if step.kind == "finetune" and (step.after is None or kinds[step.after] != "pretrain"):
            raise InputError(f"{where}: step {step.name}: after: expected the name of an earlier step of kind pretrain")
        kinds[step.name] = step.kind


# keys ------------------------------------------------------------


def key_of(*parts: Any) -> str:
    """A short hash of plain values."""
    text = json.dumps([__version__, *parts], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def data_key(store: ImageStore) -> str:
    """A hash of the images and of their table."""
    return key_of(store.fingerprint, store.names, store.table.columns)


def weights_key(place: str) -> str:
    """A hash of a weights file's content; "" for none. Raises InputError when there is no such file."""
    if not place:
        return ""
    file = locate(place)
    with (file / WEIGHTS if file.is_dir() else file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# doing ------------------------------------------------------------


class Work:
    """The steps of a plan, done one after another."""

    def __init__(self, plan: Plan, folder: Path, options: dict[str, Any], overrides: Overrides) -> None:
        self.plan = plan
        self.folder = folder
        self.options = options
        self.overrides = overrides
        self.done: dict[str, Done] = {}
        self._data: dict[str, str] = {}  # data settings -> hash, so that a store is opened once

    def run(self) -> None:
        kinds: dict[str, Callable[[Step], Done]] = {
            "start": self._start, "pretrain": self._pretrain, "compare": self._compare, "finetune": self._finetune,
        }  # fmt: skip
        for number, step in enumerate(self.plan.step, 1):
            say(f"step {number} of {len(self.plan.step)}, {step.name} ({step.kind}):")
            found = self.done[step.name] = kinds[step.kind](step)
            if found.reused:
                say(f"  done before and unchanged: {found.folder}")

    def _recipe(self, step: Step, weights: str | None = None) -> tuple[dict[str, Any], Recipe]:
        """(options, the recipe that they and the command line's overrides make) of a step."""
        options = {**self.plan.shared, **step.set, **self.options}
        if weights is not None:
            options["encoder.weights"] = weights
        return options, Recipe.load(step.recipe, options, self.overrides)

    def _transfer(self, step: Step) -> dict[str, Any]:
        """The settings of fine-tuning that the pipeline gives, dotted."""
        given = self._recipe(step)[1].transfer.model_dump(mode="json", exclude_unset=True)
        return {f"transfer.{name}": value for name, value in given.items()}

    def _place(self, step: Step, key: str) -> Path:
        return self.folder / f"{step.name}-{key}"

    def _data_key(self, recipe: Recipe) -> str:
        settings = recipe.data.model_dump_json()
        if settings not in self._data:
            self._data[settings] = data_key(common.open_data(recipe.data))
        return self._data[settings]

    def _start(self, step: Step) -> Done:
        content = weights_key(step.weights)
        say(f"  {step.weights or 'random weights'}")
        key = key_of("start", content)
        place = self._place(step, key)
        reused = (place / "start.json").is_file()
        place.mkdir(parents=True, exist_ok=True)
        facts = {"weights": common.absolute(step.weights) if step.weights else "", "sha256": content}
        write_aside(place / "start.json", json.dumps(facts) + "\n")
        return Done(step, place, key, 0.0, reused, facts)

    def _weights(self, step: Step) -> str | None:
        """What a pretraining starts from: an earlier step's run, a start's weights, or nothing."""
        if step.after is None:
            return None
        before = self.done[step.after]
        return str(before.facts["weights"]) or None if before.step.kind == "start" else str(before.folder)

    def _pretrain(self, step: Step) -> Done:
        from foretell.verbs import pretraining

        before = self.done[step.after].key if step.after else ""
        options, recipe = self._recipe(step, self._weights(step))
        settings = recipe.changed({"encoder.weights": ""}).to_toml()  # the key of the step before stands for its place
        key = key_of("pretrain", settings, before, self._data_key(recipe))
        place = self._place(step, key)
        state = (json.loads((place / "status.json").read_text()) if (place / "status.json").is_file() else {}).get(
            "state"
        )
        if state == "finished" and (place / "encoder" / WEIGHTS).is_file():
            return Done(step, place, key, _seconds(place), True, _facts(place))
        if (place / "split.json").is_file():
            pretraining.go_on(place)
        else:
            if place.exists():  # stopped before training began: nothing of it is worth keeping
                shutil.rmtree(place)
            pretraining.start(options, recipe=step.recipe, budget=None, overrides=self.overrides, out=place)
        return Done(step, place, key, _seconds(place), False, _facts(place))

    def _compare(self, step: Step) -> Done:
        from foretell.verbs.pipeline_comparison import compare_step

        settings, start = self._transfer(step), self._start_of(step.of[0])
        asked = [step.per_class, step.seeds, step.trials, settings]
        key = key_of("compare", asked, [self.done[name].key for name in step.of])
        place = self._place(step, key)
        if (place / "comparison.json").is_file():
            found = json.loads((place / "comparison.json").read_text())
            return Done(step, place, key, found["seconds"], True, found)
        began = time.monotonic()
        found = compare_step(step, {name: self.done[name].folder for name in step.of}, start, settings)
        found["seconds"] = time.monotonic() - began
        place.mkdir(parents=True, exist_ok=True)
        write_aside(place / "comparison.json", json.dumps(found) + "\n")
        return Done(step, place, key, found["seconds"], False, found)

    def _start_of(self, name: str) -> str:
        """The weights that the steps up to ``name`` started from; "" for random ones."""
        done = self.done[name]
        while done.step.after is not None:
            done = self.done[done.step.after]
        return str(done.facts["weights"]) if done.step.kind == "start" else ""

    def _finetune(self, step: Step) -> Done:
        from foretell.verbs.finetune import finetune

        assert step.after is not None
        before = self.done[step.after]
        settings = self._transfer(step)
        key = key_of("finetune", step.trials, settings, before.key)
        place = self._place(step, key)
        if (place / "scores.json").is_file():
            found = json.loads((place / "scores.json").read_text())
            return Done(step, place, key, found["seconds"], True, found)
        if place.exists():  # stopped on the way: what it needs is in the run
            shutil.rmtree(place)
        began = time.monotonic()
        made = finetune(before.folder, out=place, compare=False, trials=step.trials, set=settings)
        if not made.scores:
            raise InputError(
                f"{before.folder}: another process makes this classifier, and its search is done; give the command again "
                "when it ends"
            )
        found = {"scores": made.scores, "seconds": time.monotonic() - began}
        write_aside(place / "scores.json", json.dumps(found, default=str) + "\n")
        return Done(step, place, key, found["seconds"], False, found)


def _facts(run: Path) -> dict[str, Any]:
    found = Run.read(run).read_json("facts.json") or {}
    return dict(found)


def _seconds(run: Path) -> float:
    return float((_facts(run).get("cost") or {}).get("seconds") or 0.0)


def run(
    recipe: str | Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    weights: str | Path | None,
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
        if plan.step[0].kind != "start":
            raise InputError(f"--weights: the first step of {recipe} is no start; expected kind = 'start'")
        first = plan.step[0].model_copy(update={"weights": str(weights)})
        plan = plan.model_copy(update={"step": (first, *plan.step[1:])})
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
    work.run()
    page, numbers = build(folder, list(work.done.values()))
    say(f"report of all steps: {page}")
    return Pipeline(folder, {name: done.folder for name, done in work.done.items()}, page, numbers)
