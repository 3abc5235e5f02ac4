"""The work behind ``foretell pretrain``, whatever the kind of data: prepare, begin, train, finish."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import foretell.objectives as objectives
from foretell import distributed
from foretell.data.text_source import holds_text
from foretell.errors import ForetellError, InputError
from foretell.options import Overrides
from foretell.recipe import Recipe, budget_settings
from foretell.run import Run
from foretell.train.accumulate import check_batch
from foretell.train.loop import FitResult, fit
from foretell.train.machine import named_device
from foretell.train.monitor import Monitor
from foretell.train.progress import make_progress
from foretell.verbs import common, kinds
from foretell.verbs.common import say
from foretell.verbs.kinds import Setting
from foretell.verbs.outcomes import Pretraining

TASKS = {"words": "masked words", "sentences": "next sentences", "both": "masked words and next sentences"}  # of bert


def start(
    options: Mapping[str, Any],
    *,
    recipe: str | Path | None,
    budget: str | None,
    overrides: Overrides,
    out: str | Path | None,
) -> Pretraining:
    """Pretrain a new run."""
    asked = _asked(options, recipe, budget, overrides)
    distributed.start()
    named_device(asked.training.device)
    if out is not None and distributed.rank() == 0:
        common.check_free(Path(out))
    kind = kinds.of(asked)
    if asked.data.held_out and objectives.get(asked.objective.name).kind != "image":
        raise InputError(
            f"data.held_out={','.join(asked.data.held_out)}: is for images; take those rows out of the text"
        )
    setting, notes = kind.prepare(asked)
    check_setting(setting)
    path = Path(out) if out is not None else default_folder(setting.store.source, asked.objective.name)
    run = Run.create(path) if distributed.rank() == 0 else None
    try:
        say(f"run: {path}")
        for note in [*notes, *setting.objective.notes]:
            say(f"  {note}")
        if run is None:
            return _elsewhere(_fitted(setting, None, ()))
        setting.recipe.save(run.path / "recipe.toml")
        monitors = kind.monitors(setting, run)
        kind.begin(run, setting, monitors)
        return kind.finish(setting, run, _fitted(setting, run, monitors))
    finally:
        if run is not None:
            run.close()


def go_on(place: Path) -> Pretraining:
    """Resume the run in ``place``. Raises InputError when its data has changed."""
    distributed.start()
    run = Run.resume(place) if distributed.rank() == 0 else None
    try:
        recipe = Recipe.load(place / "recipe.toml")
        kind = kinds.of(recipe)
        setting = kind.go_on(recipe, place)
        say(f"run: {place}, going on")
        if run is None:
            return _elsewhere(_fitted(setting, None, (), resume=True))
        return kind.finish(setting, run, _fitted(setting, run, kind.monitors(setting, run), resume=True))
    finally:
        if run is not None:
            run.close()


def _asked(options: Mapping[str, Any], recipe: str | Path | None, budget: str | None, overrides: Overrides) -> Recipe:
    settings = {**options, **(budget_settings(budget) if budget is not None else {})}
    named = recipe is not None or settings.get("objective.name") or _names_objective(overrides)
    text = not named and _is_text(settings.get("data.source"), overrides)
    if text:
        settings["objective.name"] = "bert"
    if settings.get("objective.name"):
        _check_options(settings, settings["objective.name"])
    asked = Recipe.load(recipe, settings, overrides)
    _check_options(settings, asked.objective.name)
    if text:
        what = TASKS[getattr(asked.objective, "tasks")]  # noqa: B009
        say(f"text: objective bert ({what}); --objective gpt learns to write on from a prompt")
    return asked


def _check_options(options: Mapping[str, Any], objective: str) -> None:
    """Raise InputError for an option of images where the objective learns from text."""
    if objectives.get(objective).kind == "image":
        return
    for key, option, instead in (
        ("objective.views.side", "--side", "leave it out"),
        ("encoder.name", "--encoder", "the network of text is objective.network"),
        ("data.labels", "--labels", "labels of text are a column of its table"),
    ):
        if options.get(key) is not None:
            raise InputError(f"{option} {options[key]}: is for images; {instead}")


def _names_objective(overrides: Overrides) -> bool:
    keys = overrides if isinstance(overrides, Mapping) else [str(text).partition("=")[0] for text in overrides]
    return any(key.strip() in ("objective", "objective.name") for key in keys)


def _is_text(source: str | None, overrides: Overrides) -> bool:
    """Whether ``source`` is text by its files and columns (``holds_text``), as the overrides name them."""
    columns = Recipe.load(None, {}, common.data_overrides(overrides)).data.columns
    return source is not None and holds_text(Path(source), columns)


def check_setting(setting: Setting) -> None:
    """Raise InputError for a batch that cannot be trained with, before a run folder is made."""
    training = setting.recipe.training
    setting.objective.steps_per_epoch(training.batch)
    check_batch(setting.objective, training.batch, training.batch // distributed.world(), training.chunk)


def default_folder(source: str, objective: str) -> Path:
    """runs/<source>-<objective>-<date-time>, the first such name that is free."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source.lstrip("@")).name.partition(".")[0]).strip("-.") or "data"
    base = Path("runs") / f"{name}-{objective}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = base, 2
    while folder.exists():
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder


def _fitted(setting: Setting, run: Run | None, monitors: Sequence[Monitor], *, resume: bool = False) -> FitResult:
    """The loop, with what a person is told when it ends otherwise than by its budget."""
    command = f"go on with: foretell pretrain --resume {shlex.quote(str(run.path))}" if run is not None else ""
    try:
        result = fit(
            setting.objective,
            setting.recipe.training,
            run,
            resume=resume,
            monitors=monitors,
            progress=make_progress("pretraining") if run is not None else None,
        )
    except KeyboardInterrupt as error:
        if command:
            error.add_note(command)
        raise
    except ForetellError as error:
        if run is not None and run.state() != "failed":
            run.status("failed", step=0, message=str(error))
        raise
    if result.state == "stopped":
        stopped = KeyboardInterrupt(f"stopped at step {result.steps}")
        stopped.add_note(f"stopped at step {result.steps}, nothing is lost")
        stopped.add_note(command)
        raise stopped
    return result


def _elsewhere(result: FitResult) -> Pretraining:
    """What a process returns that is not the first."""
    return Pretraining(Path(), Path(), None, result.steps, result.seconds)
