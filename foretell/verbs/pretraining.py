"""The work behind ``foretell pretrain``: settle the recipe on the data, train, measure, report."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from foretell import distributed, objectives
from foretell.counters import Rng, Rows, seed_of
from foretell.data.store import ImageStore
from foretell.encoders import build_encoder, check_name, resolve, save_encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import ForetellError, InputError
from foretell.objectives.base import Objective
from foretell.options import Overrides
from foretell.recipe import Recipe, budget_settings
from foretell.report.findings import write_findings
from foretell.run import Run
from foretell.train.accumulate import check_batch
from foretell.train.cost import forward_flops
from foretell.train.loop import FitResult, fit
from foretell.train.monitor import Monitor
from foretell.train.progress import make_progress
from foretell.transfer.evaluate import at_most
from foretell.transfer.features import random_encoder
from foretell.transfer.labelled import labelled
from foretell.transfer.monitors import KnnMonitor, ProbeMonitor
from foretell.verbs import common, worth
from foretell.verbs.common import Parts, say
from foretell.verbs.pretrain import Pretraining
from foretell.views.config import ViewConfig

if TYPE_CHECKING:
    from foretell.verbs.text_pretraining import Setting as TextSetting
    from foretell.verbs.word_pretraining import Setting as WordSetting

LARGEST_SIDE = {"cpu": 96, "cuda": 224}
EXHIBIT = 8  # images in exhibits/views.png
MONITORED = 3000  # labelled images that the monitors look at, where there are more


@dataclass
class Setting:
    """All that training needs: the settled recipe, the data and its split, and a fresh objective."""

    recipe: Recipe
    store: ImageStore
    parts: Parts
    part: ImageStore
    objective: Objective
    encoder: TimmEncoder

    @property
    def views(self) -> ViewConfig:
        views = getattr(self.recipe.objective, "views", None)
        assert isinstance(views, ViewConfig)
        return views


def start(
    options: Mapping[str, Any],
    *,
    recipe: str | Path | None,
    budget: str | None,
    overrides: Overrides,
    out: str | Path | None,
) -> Pretraining:
    """Pretrain a new run."""
    settings = {**options, **(budget_settings(budget) if budget is not None else {})}
    source = settings.get("data.source")
    if recipe is None and not settings.get("objective.name") and not _names_objective(overrides) and is_text(source):
        settings["objective.name"] = "bert"
        say("a text file: objective bert (masked words); --objective gpt learns to write on from a prompt")
    asked = Recipe.load(recipe, settings, overrides)
    if asked.encoder.name != "auto":
        check_name(asked.encoder.name)
    if "order" in objectives.get(asked.objective.name).columns and not asked.data.frames:
        asked = asked.changed({"data.frames": 1})
    distributed.start()
    common.device_of(asked.training.device)
    if out is not None and distributed.rank() == 0:
        common.check_free(Path(out))
    if objectives.get(asked.objective.name).kind == "text":
        return _start_text(asked, out)
    if objectives.get(asked.objective.name).kind == "words":
        return _start_words(asked, out)
    store = common.open_data(asked.data)
    common.tell_data(store, asked.data)
    if asked.data.labels is not None:
        store.table.classes("label")
    parts = common.divide(store, asked.data)
    settled, notes = settle(asked, store, parts)
    setting = build(settled, store, parts)
    _check_batch(setting)
    run = _create(Path(out) if out is not None else default_folder(store.source, settled.objective.name), setting)
    try:
        say(f"run: {run.path if run else out}")
        for note in [*notes, *setting.objective.notes]:
            say(f"  {note}")
        if run is not None:
            _show(run, setting)
        return _train(setting, run, resume=False)
    finally:
        if run is not None:
            run.close()


def _names_objective(overrides: Overrides) -> bool:
    keys = overrides if isinstance(overrides, Mapping) else [str(text).partition("=")[0] for text in overrides]
    return any(key.strip() in ("objective", "objective.name") for key in keys)


def is_text(source: str | None) -> bool:
    """Whether ``source`` is the name of a plain text file, packed or not."""
    from foretell.data.corpus import TEXT
    from foretell.data.textfile import bare_suffix

    return source is not None and Path(source).is_file() and bare_suffix(Path(source)) in TEXT


def _start_text(asked: Recipe, out: str | Path | None) -> Pretraining:
    from foretell.verbs import text_pretraining as text

    setting, notes = text.prepare(asked)
    training = setting.recipe.training
    check_batch(setting.objective, training.batch, training.batch // distributed.world(), training.chunk)
    path = Path(out) if out is not None else default_folder(setting.store.source, asked.objective.name)
    run = Run.create(path) if distributed.rank() == 0 else None
    try:
        if run is not None:
            setting.recipe.save(run.path / "recipe.toml")
        say(f"run: {path}")
        text.begin(run, setting, notes)
        return _train_text(setting, run, resume=False)
    finally:
        if run is not None:
            run.close()


def _train_text(setting: TextSetting, run: Run | None, *, resume: bool) -> Pretraining:
    from foretell.verbs import text_pretraining as text

    result = _fitted(setting, run, text.monitors(setting, run), resume=resume)
    return text.finish(setting, run, result) if run is not None else _elsewhere(result)


def _start_words(asked: Recipe, out: str | Path | None) -> Pretraining:
    from foretell.verbs import word_pretraining as words

    setting, notes = words.prepare(asked)
    run = Run.create(Path(out) if out is not None else default_folder(setting.store.source, asked.objective.name))
    try:
        setting.recipe.save(run.path / "recipe.toml")
        say(f"run: {run.path}")
        words.begin(run, setting, notes)
        return words.finish(setting, run, _fitted(setting, run, words.monitors(setting), resume=False))
    finally:
        run.close()


def _elsewhere(result: FitResult) -> Pretraining:
    """What a process returns that is not the first."""
    return Pretraining(Path(), Path(), None, result.steps, result.seconds)


def go_on(place: Path) -> Pretraining:
    """Resume the run in ``place``. Raises InputError when its data has changed."""
    distributed.start()
    run = Run.resume(place) if distributed.rank() == 0 else None
    try:
        recipe = Recipe.load(place / "recipe.toml")
        if objectives.get(recipe.objective.name).kind == "text":
            from foretell.verbs import text_pretraining as text

            say(f"run: {place}, going on")
            return _train_text(text.go_on(recipe, place), run, resume=True)
        if objectives.get(recipe.objective.name).kind == "words":
            from foretell.verbs import word_pretraining as words

            say(f"run: {place}, going on")
            again = words.go_on(recipe, place)
            assert run is not None  # ``prepare`` refuses more than one process
            return words.finish(again, run, _fitted(again, run, words.monitors(again), resume=True))
        store = common.open_data(recipe.data)
        kept = Run.read(place).read_json("split.json")
        if kept is None:
            raise InputError(f"{place}: was stopped before training began; start it anew with another --out")
        if kept["fingerprint"] != store.fingerprint:
            raise InputError(
                f"{place}: the images of {store.source} have changed since the run began, so that it cannot be "
                "resumed; start a new run"
            )
        parts = Parts(np.array(kept["train"], np.int64), np.array(kept["test"], np.int64), kept["how"])
        setting = build(recipe, store, parts)
        say(f"run: {place}, going on")
        return _train(setting, run, resume=True)
    finally:
        if run is not None:
            run.close()


# settling ------------------------------------------------------------


def settle(asked: Recipe, store: ImageStore, parts: Parts) -> tuple[Recipe, list[str]]:
    """``asked`` with every "auto" that depends on data or device settled, and in words what was settled."""
    notes = []
    part = store.subset(parts.train) if len(parts.train) < len(store) else store
    device = common.device_of(asked.training.device)
    views = getattr(asked.objective, "views", None) or ViewConfig()
    changes: dict[str, Any] = {"data.source": common.absolute(str(asked.data.source))}
    if asked.data.labels is not None:
        changes["data.labels"] = common.absolute(asked.data.labels)
    if asked.encoder.weights is not None:
        changes["encoder.weights"] = common.absolute(asked.encoder.weights)
    side = views.side
    if side is None:
        side = min(store.usual_side, LARGEST_SIDE.get(device.type, 224))
        if side < store.usual_side:
            notes.append(
                f"views of {side} px, since larger ones are slow on this device (the images have about "
                f"{store.usual_side}); --side changes it"
            )
    mean, std = (views.mean, views.std) if views.mean and views.std else part.statistics()
    if hasattr(asked.objective, "views"):
        changes |= {"objective.views.side": side, "objective.views.mean": list(mean), "objective.views.std": list(std)}
    transformer = objectives.get(asked.objective.name).transformer
    encoder = resolve(asked.encoder, store.channels, side, device.type, transformer=transformer)
    changes |= {f"encoder.{name}": getattr(encoder, name) for name in ("name", "stem", "norm", "patch")}
    notes.append(f"encoder {encoder.name} for {side} px, objective {asked.objective.name}, on {device}")
    if "optimizer" not in asked.training.model_fields_set:
        usual = objectives.get(asked.objective.name).usual_training
        changes |= {
            f"training.{name}": value for name, value in usual.items() if name not in asked.training.model_fields_set
        }
    if "batch" not in asked.training.model_fields_set and len(part) < 4 * asked.training.batch:
        batch = max(2, min(asked.training.batch, 1 << max(1, (len(part) // 4).bit_length() - 1)))
        if batch < asked.training.batch:
            changes["training.batch"] = batch
            notes.append(f"batches of {batch}, since there are {len(part):,} images to learn from; --batch changes it")
    if len(parts.test):
        notes.append(f"{len(parts.train):,} images to learn from; for measuring only: {parts.how}")
    return asked.changed(changes), notes


def build(recipe: Recipe, store: ImageStore, parts: Parts) -> Setting:
    """A fresh encoder and objective; their weights depend on the seed alone."""
    part = store.subset(parts.train) if len(parts.train) < len(store) else store
    views = getattr(recipe.objective, "views", ViewConfig())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.training.seed, "weights"))
        encoder = build_encoder(recipe.encoder, store.channels, views.side or store.usual_side)
        objective = objectives.get(recipe.objective.name)(recipe.objective, encoder, part)
    return Setting(recipe, store, parts, part, objective, encoder)


def _check_batch(setting: Setting) -> None:
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


def _create(path: Path, setting: Setting) -> Run | None:
    """The run folder with its recipe, facts, split and pictures; None on all processes but the first."""
    if distributed.rank():
        return None
    run = Run.create(path)
    setting.recipe.save(run.path / "recipe.toml")
    parts, store, encoder = setting.parts, setting.store, setting.encoder
    run.write_json(
        "split.json",
        {"fingerprint": store.fingerprint, "how": parts.how, "train": parts.train, "test": parts.test},
    )
    objective = type(setting.objective)
    about = {key: getattr(objective, key) for key in ("name", "hides", "foretells", "needs", "paper")}
    common.write_facts(
        run,
        data=common.data_facts(store, parts),
        objective=about,
        versions=common.versions(),
        encoder={
            "name": encoder.name,
            "dim": encoder.dim,
            "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
            "flops_per_image": forward_flops(encoder, setting.views.side or encoder.side),
        },
    )
    return run


def _show(run: Run, setting: Setting) -> None:
    from foretell.report.exhibits import picture_grid

    objective, seed = setting.objective, setting.recipe.training.seed
    count = min(EXHIBIT, objective.steps_per_epoch(1))
    rows = Rows(0, count, count)
    batch = objective.draw(next(iter(objective.streams())), seed, 0, rows)
    exhibit = objective.show(batch, Rng(seed, 0, rows))
    path = run.path / "exhibits" / "views.png"
    side = setting.views.side or 64
    picture_grid(exhibit.panels, path, scale=max(1, round(96 / side)))
    common.write_facts(run, objective={"shown": exhibit.caption})
    say(f"what is hidden, as pictures: {path}")


# training ------------------------------------------------------------


def _monitors(setting: Setting, run: Run | None) -> list[KnnMonitor | ProbeMonitor]:
    """kNN on the training part, when it has labels enough."""
    if run is None or not common.class_names(setting.store):
        return []
    every = setting.recipe.training.health_every
    seed, transfer = setting.recipe.training.seed, setting.recipe.transfer
    try:
        # the test part is not looked at, so that a checkpoint may be chosen by these
        data = at_most(labelled(setting.store, setting.parts.train), MONITORED, seed)
        knn = KnnMonitor(data, setting.views, every, k=transfer.neighbours, seed=seed, crop=transfer.crop)
        return [knn, ProbeMonitor(data, setting.views, every, seed=seed, crop=transfer.crop)]
    except InputError:  # too few labels in the training part to measure with
        return []


def _train(setting: Setting, run: Run | None, *, resume: bool) -> Pretraining:
    monitors = _monitors(setting, run)
    if run is not None and monitors and not resume:
        views, rows = setting.views, setting.parts.train
        untrained = random_encoder(setting.encoder, 0, setting.store, rows, views)
        for monitor in monitors:
            value = monitor.accuracy(untrained)
            run.log("monitor", step=0, name=monitor.name, value=value)
            say(f"{monitor.name} accuracy before training (random features): {value:.1%}")
    result = _fitted(setting, run, monitors, resume=resume)
    return _finish(setting, run, result) if run is not None else _elsewhere(result)


def _fitted(
    setting: Setting | TextSetting | WordSetting, run: Run | None, monitors: Sequence[Monitor], *, resume: bool
) -> FitResult:
    """The loop, with what a person is told when it ends otherwise than by its budget."""
    command = f"go on with: foretell pretrain --resume {run.path}" if run is not None else ""
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
        status = (run.read_json("status.json") or {}) if run is not None else {}
        if run is not None and status.get("state") != "failed":
            run.status("failed", step=0, message=str(error))
        raise
    if result.state == "stopped":
        stopped = KeyboardInterrupt(f"stopped at step {result.steps}")
        stopped.add_note(f"stopped at step {result.steps}, nothing is lost")
        stopped.add_note(command)
        raise stopped
    return result


def _finish(setting: Setting, run: Run, result: FitResult) -> Pretraining:
    """Export the encoder, measure it and write the report."""
    from foretell.report import build as build_report

    recipe, encoder, views = setting.recipe, setting.encoder, setting.views
    assert views.mean is not None
    assert views.std is not None
    trained = recipe.objective.name
    folder = save_encoder(
        encoder,
        run.path / "encoder",
        mean=views.mean,
        std=views.std,
        extra={"objective": trained, "steps": result.steps, "source": setting.store.source},
        interpolation=views.interpolation,
    )
    say(f"encoder: {folder}")
    knn = _measure(setting, run)
    page = build_report(run.path)
    say(f"report: {page}")
    labels = "" if common.class_names(setting.store) else " --labels labels.csv"
    say(f"next: foretell finetune {run.path}{labels}")
    return Pretraining(run.path, folder, page, result.steps, result.seconds, knn)


def _measure(setting: Setting, run: Run) -> dict[str, float]:
    encoder, store, parts, views = setting.encoder.eval(), setting.store, setting.parts, setting.views
    # A film's end is short, but what was learnt from tells nothing of it.
    least = 1 if setting.objective.columns else 100
    rows = parts.test if len(parts.test) >= least else parts.train
    seed = setting.recipe.training.seed
    worth.draw(run, encoder, store, views, rows, seed)
    write_findings(run, setting.objective.findings(store, rows, seed))
    if not common.class_names(store) or not len(parts.test):
        return {}
    result = worth.frozen(encoder, store, parts, views=views, config=setting.recipe.transfer, probe=False)
    worth.keep(run, result)
    say(f"on {result['test']['samples']:,} test images that it has not seen:")
    for line in worth.table(result):
        say(line)
    return {arm: scores["accuracy"] for arm, scores in result["knn"].items()}
