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
from foretell.data.text.source import holds_text
from foretell.errors import ForetellError, InputError
from foretell.options import Overrides
from foretell.recipe import BUDGETS, Recipe, budget_settings, read_toml
from foretell.run import Run
from foretell.train import checkpoint, trackers
from foretell.train.accumulate import check_batch, check_shared
from foretell.train.loop import FitResult, fit
from foretell.train.machine import named_device
from foretell.train.monitor import Monitor
from foretell.train.progress import make_progress
from foretell.train.resume import check_gone
from foretell.verbs import common, kinds
from foretell.verbs.kinds import Setting
from foretell.verbs.outcomes import Pretraining
from foretell.verbs.progress import say

ROUNDS = 10  # of the monitors, at least, where training.patience counts them
# Settings of data that a run may be told anew when it goes on, and what is then looked for.
MOVABLE = {"source": "data", "labels": "table of labels"}
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
    distributed.start()
    asked = _asked(options, recipe, budget, overrides)
    named_device(asked.training.device)
    trackers.check(asked.training)
    if out is not None:
        distributed.on_first(lambda: common.check_free(Path(out)))
    kind = kinds.of(asked)
    if asked.data.held_out and objectives.get(asked.objective.name).kind != "image":
        raise InputError(
            f"data.held_out={','.join(asked.data.held_out)}: is for images; take those rows out of the text"
        )
    setting, notes = kind.prepare(asked)
    distributed.on_first(lambda: check_setting(setting))
    named = Path(out) if out is not None else default_folder(setting.store.source, asked.objective.name)
    path: Path = distributed.broadcast_object(named)
    run = distributed.on_first(lambda: Run.create(path))
    try:
        say(f"run: {path}")
        for note in [*notes, *setting.objective.notes]:
            say(f"  {note}")
        if run is None:
            return _elsewhere(_fitted(setting, path, None, ()))
        # before the recipe, without which the folder is no run yet that could go on
        common.write_facts(run, begun=kinds.settings_of(setting.recipe), **_rounds_of(asked))
        setting.recipe.save(run.path / "recipe.toml")
        monitors = kind.monitors(setting, run)
        kind.begin(run, setting, monitors)
        return kind.finish(setting, run, _fitted(setting, path, run, monitors))
    finally:
        if run is not None:
            run.close()


def go_on(place: Path, overrides: Overrides = ()) -> Pretraining:
    """Resume the run in ``place``; of ``overrides`` only those of ``MOVABLE``, which its recipe then keeps.

    What is done before the first step is done anew where the run has no checkpoint yet. Raises InputError for other
    overrides, where the recipe now names another objective, and when its data is no longer there or has changed.
    """
    _check_movable(overrides)
    distributed.start()
    run = distributed.on_first(lambda: Run.resume(place))
    try:
        _check_objective(place)
        recipe = _at_its_place(place, overrides)
        distributed.on_first(lambda: check_shared(recipe.training.batch, resumed=True))
        kind = kinds.of(recipe)
        begun = distributed.broadcast_object(kinds.begun(place))
        setting = kind.go_on(recipe, place) if begun else kind.prepare(recipe)[0]
        say(f"run: {place}, going on")
        if run is None:
            return _elsewhere(_fitted(setting, place, None, (), resume=True))
        if overrides:
            recipe.save(run.path / "recipe.toml")
            common.write_facts(run, data={"source": setting.store.source})
        monitors = kind.monitors(setting, run)
        if checkpoint.latest(run.path / "checkpoints") is None:  # it was stopped while it began
            _begin_again(run)
            kind.begin(run, setting, monitors)
        return kind.finish(setting, run, _fitted(setting, place, run, monitors, resume=True))
    finally:
        if run is not None:
            run.close()


def _begin_again(run: Run) -> None:
    """Forget what was logged, and say so where that was of a training. Raises InputError as ``check_gone``."""
    check_gone(run.path)
    done = max((line.get("step", 0) for line in run.metrics("step")), default=0)
    if done:
        say(f"no checkpoint is left of the {done:,} steps that it has logged: it begins again from step 0")
    run.cut_metrics(-1)


def _check_movable(overrides: Overrides) -> None:
    """Raise InputError for overrides that would make another run of it."""
    movable = [f"data.{name}" for name in MOVABLE]
    if any(key not in movable for key in _keys(overrides)):
        raise InputError(
            f"--resume goes on with the run's own recipe; leave out --set, but for {' and '.join(movable)} of moved data"
        )


def _check_objective(place: Path) -> None:
    """Raise InputError where the recipe of the run in ``place`` names another objective than that of its facts.json."""
    began = (Run.read(place).read_json("facts.json") or {}).get("objective", {}).get("name")
    given = read_toml(place / "recipe.toml")[1].get("objective")
    now = given.get("name") if isinstance(given, dict) else given
    if began is not None and now != began:
        raise InputError(
            f"{place / 'recipe.toml'}: objective.name was '{began}' when this run began and is '{now}' now; set it back, "
            "or start a new run"
        )


def _at_its_place(place: Path, overrides: Overrides) -> Recipe:
    """The recipe of the run in ``place``, its data where ``overrides`` say. Raises InputError where it is not there."""
    recipe = Recipe.load(place / "recipe.toml", {}, overrides)
    for name, what in MOVABLE.items():
        own = getattr(recipe.data, name)
        if own is not None:
            how = f"give its new place, as foretell pretrain --resume {shlex.quote(str(place))} --set data.{name}=PLACE"
            common.check_there(own, f"the {what} of {place}", how)
    given = {key: common.absolute(getattr(recipe.data, key.partition(".")[2])) for key in _keys(overrides)}
    return recipe.changed(given) if given else recipe


def _asked(options: Mapping[str, Any], recipe: str | Path | None, budget: str | None, overrides: Overrides) -> Recipe:
    _check_one_budget(budget, overrides)
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


def _check_one_budget(budget: str | None, overrides: Overrides) -> None:
    """Raise InputError for a --budget beside another one in ``overrides``: neither is above the other."""
    keys = _keys(overrides)
    if isinstance(overrides, Mapping) and isinstance(overrides.get("training"), Mapping):
        keys += [f"training.{name}" for name in overrides["training"]]
    other = next((key for key in keys if key in BUDGETS), None)
    if budget is not None and other is not None:
        raise InputError(f"--budget '{budget}' and --set {other} are two budgets; leave one of them out")


def _keys(overrides: Overrides) -> list[str]:
    keys = overrides if isinstance(overrides, Mapping) else [str(text).partition("=")[0] for text in overrides]
    return [key.strip() for key in keys]


def _names_objective(overrides: Overrides) -> bool:
    return any(key in ("objective", "objective.name") for key in _keys(overrides))


def _is_text(source: str | None, overrides: Overrides) -> bool:
    """Whether ``source`` is text by its files and columns (``holds_text``), as the overrides name them."""
    data = Recipe.load(None, {}, common.data_overrides(overrides)).data
    return source is not None and holds_text(Path(source), data.columns, data.encoding)


def check_setting(setting: Setting) -> None:
    """Raise InputError for a batch that cannot be trained with, before a run folder is made."""
    training = setting.recipe.training
    check_shared(training.batch)
    setting.objective.steps_per_epoch(training.batch)
    check_batch(setting.objective, training.batch, training.batch // distributed.world(), training.chunk)


def _rounds(asked: Recipe) -> int | None:
    """How many rounds ``training.patience`` needs to have something to count, where no ``training.health_every`` is given."""
    training = asked.training
    if training.patience is None or "health_every" in training.model_fields_set:
        return None
    return max(ROUNDS, training.patience + 1)


def _rounds_of(asked: Recipe) -> dict[str, dict[str, int]]:
    """``_rounds`` for facts.json: a settled recipe does not tell which settings were given."""
    rounds = _rounds(asked)
    return {} if rounds is None else {"patience": {"rounds": rounds}}


def _kept_rounds(run: Run) -> int | None:
    """The rounds of ``_rounds_of``, None where it was nothing. Raises InputError where it is damaged."""
    kept = (run.read_json("facts.json") or {}).get("patience", {})
    rounds = kept.get("rounds") if isinstance(kept, dict) else kept
    if rounds is None or (type(rounds) is int and rounds > 0):
        return rounds
    raise InputError(
        f'{run.path / "facts.json"}: "patience" is not what a run writes; put back a copy, or train anew with another --out'
    )


def default_folder(source: str, objective: str) -> Path:
    """runs/<source>-<objective>-<date-time>, the first such name that is free."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source.lstrip("@")).name.partition(".")[0]).strip("-.") or "data"
    base = Path("runs") / f"{name}-{objective}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = base, 2
    while folder.exists():
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder


def _fitted(
    setting: Setting,
    place: Path,
    run: Run | None,
    monitors: Sequence[Monitor],
    *,
    resume: bool = False,
) -> FitResult:
    """The loop, with what a person is told when it ends otherwise than by its budget.

    ``place``: the run's folder, which ``run`` holds on the first process.
    """
    command = f"go on with: foretell pretrain --resume {shlex.quote(str(place))}"
    rounds = distributed.on_first(lambda: _kept_rounds(Run.read(place)))
    try:
        result = fit(
            setting.objective,
            setting.recipe.training,
            run,
            resume=resume,
            monitors=monitors,
            progress=make_progress("pretraining") if run is not None else None,
            rounds=rounds,
        )
    except KeyboardInterrupt as error:
        error.add_note(command)
        raise
    except distributed.ProcessLost as error:
        raise distributed.ProcessLost(f"{error}; {command}") from error
    except ForetellError as error:
        if run is not None and not resume and run.state() != "failed":
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
