"""``foretell pretrain`` on images: settle the recipe on the data, show what is hidden, measure by neighbours, export."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import foretell.objectives as objectives
from foretell.counters import Rng, Rows, seed_of
from foretell.data.store import ImageStore
from foretell.encoders import build_encoder, check_name, resolve, save_encoder
from foretell.encoders.timm_encoder import TimmEncoder
from foretell.errors import InputError, of
from foretell.recipe import Recipe
from foretell.report.exhibits import picture_grid
from foretell.report.findings import write_findings
from foretell.run import Run
from foretell.train import checkpoint
from foretell.train.cost import forward_flops
from foretell.train.loop import FitResult
from foretell.train.machine import named_device
from foretell.train.monitor import Monitor
from foretell.transfer.images.compare import held_out
from foretell.transfer.images.evaluate import at_most
from foretell.transfer.images.features import random_encoder
from foretell.transfer.images.labelled import labelled
from foretell.transfer.images.monitors import KnnMonitor, ProbeMonitor
from foretell.transfer.labels import chose_step
from foretell.verbs import common, kept_split, kinds, worth
from foretell.verbs.common import Parts
from foretell.verbs.outcomes import Pretraining
from foretell.verbs.progress import say
from foretell.views.config import ViewConfig

LARGEST_SIDE = {"cpu": 96, "cuda": 224}
EXHIBIT = 8  # images in exhibits/views.png
MAPPED = 100  # images that neighbours and the map are drawn from, at least
MONITORED = 3000  # labelled images that the monitors look at, where there are more


@dataclass
class Setting(kinds.Setting):
    """``part``: the images that are learnt from."""

    store: ImageStore
    part: ImageStore
    encoder: TimmEncoder

    @property
    def views(self) -> ViewConfig:
        views = getattr(self.recipe.objective, "views", None)
        assert isinstance(views, ViewConfig)
        return views


def settle(asked: Recipe, store: ImageStore, parts: Parts) -> tuple[Recipe, list[str]]:
    """``asked`` with every "auto" that depends on data or device settled, and in words what was settled."""
    notes = []
    part = kinds.learnt(store, parts)
    device = named_device(asked.training.device)
    views = getattr(asked.objective, "views", None) or ViewConfig()
    changes: dict[str, Any] = {"data.source": common.absolute(str(asked.data.source))}
    if store.scale is not None:
        changes["data.scale"] = store.scale
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
    encoder = resolve(asked.encoder, side, device.type, transformer=transformer)
    changes |= {f"encoder.{name}": getattr(encoder, name) for name in ("name", "stem", "norm", "patch")}
    notes.append(f"encoder {encoder.name} for {side} px, objective {asked.objective.name}, on {device}")
    changes |= kinds.usual_training(asked)
    samples, what = objectives.get(asked.objective.name).samples(asked.objective, part)
    if "batch" not in asked.training.model_fields_set and samples < 4 * asked.training.batch:
        batch = max(2, min(asked.training.batch, 1 << max(1, (samples // 4).bit_length() - 1)))
        if batch < asked.training.batch:
            changes["training.batch"] = batch
            notes.append(f"batches of {batch}, since there are {samples:,} {what} to learn from; --batch changes it")
    if len(parts.test):
        notes.append(f"{len(parts.train):,} images to learn from; for measuring only: {parts.how}")
    elif len(parts.train) < len(store):
        notes.append(f"{len(parts.train):,} images to learn from: {parts.how}")
    return asked.changed(changes), notes


def build(recipe: Recipe, store: ImageStore, parts: Parts) -> Setting:
    """A fresh encoder and objective; their weights depend on the seed alone."""
    part = kinds.learnt(store, parts)
    views = getattr(recipe.objective, "views", ViewConfig())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.training.seed, "weights"))
        encoder = build_encoder(recipe.encoder, store.channels, views.side or store.usual_side)
        objective = objectives.get(recipe.objective.name)(recipe.objective, encoder, part)
    return Setting(recipe, store, parts, objective, part, encoder)


def keep_facts(run: Run, setting: Setting) -> None:
    """Write facts.json and split.json of a new run, and which images it learns from."""
    kept_split.write(run, setting.store.fingerprint, setting.parts, setting.recipe.data)
    kept_split.write_learnt(run, setting.part.hashes)
    encoder = setting.encoder
    common.write_facts(
        run,
        data=common.data_facts(setting.store, setting.parts),
        objective=kinds.about(setting.objective),
        versions=common.versions(),
        encoder={
            "name": encoder.name,
            "dim": encoder.dim,
            "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
            "flops_per_image": forward_flops(encoder, setting.views.side or encoder.side),
        },
    )


def show(run: Run, setting: Setting) -> None:
    """What is hidden, as pictures."""
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


def measure_untrained(run: Run, setting: Setting, monitors: Sequence[Monitor]) -> None:
    """What the monitors say of random features, beside which the training is judged."""
    if not monitors:
        return
    untrained = random_encoder(setting.encoder, 0, setting.store, setting.parts.train, setting.views)
    for monitor in monitors:
        assert isinstance(monitor, KnnMonitor | ProbeMonitor)
        value = monitor.accuracy(untrained)
        run.log("monitor", step=0, name=monitor.name, value=value)
        say(f"{monitor.name} accuracy before training (random features): {value:.1%}")


def tell_chosen(run: Run, setting: Setting, monitors: Sequence[Monitor]) -> None:
    """Say, and keep in facts.json, by how many labels ``training.patience`` chooses a step: the first of ``monitors`` does."""
    if setting.recipe.training.patience is None or not monitors:
        return
    first = monitors[0]
    assert isinstance(first, KnnMonitor)
    common.write_facts(run, patience={"labels": first.labels})
    say(f"  {chose_step(run.read_json('facts.json') or {})}")


def unmeasured(recipe: Recipe, store: ImageStore, parts: Parts) -> str | None:
    """Why the labels cannot measure the encoder, and what to do, in one line; None where they can or there are none."""
    try:
        if not recipe.transfer.findings and "label" in store.table:
            _check_classes(recipe, store)
        if not common.class_names(store) or not len(parts.test):
            return None
        held_out(store, parts.train, parts.test, config=recipe.transfer)
    except InputError as error:
        return f"the labels do not measure this run: {error}; pretraining needs none"
    return None


def _check_classes(recipe: Recipe, store: ImageStore) -> None:
    """Raises InputError, naming the table, where labels are of fewer than two classes: an empty column counts where asked for."""
    if recipe.data.labels is not None or store.table.codes("label")[1]:
        with of(recipe.data.labels or store.source):
            store.table.classes("label")


def measure(setting: Setting, encoder: TimmEncoder, run: Run, reason: str | None) -> dict[str, float]:
    """Draw and judge what ``encoder`` learnt, and return the accuracy of each arm's neighbours: none where labels cannot say,
    for the ``reason`` of ``unmeasured``.
    """
    store, parts, views = setting.store, setting.parts, setting.views
    seed = setting.recipe.training.seed
    # Neighbours and a map need many images to lie among. What a task foretells of images that it learnt from says little
    # of others: few of the test part are better (a film's end may be a single window).
    part, for_map = ("test", parts.test) if len(parts.test) >= MAPPED else ("train", parts.train)
    least = 1 if setting.objective.columns else EXHIBIT
    transfer = setting.recipe.transfer
    worth.draw(run, encoder, store, views, for_map, seed, findings=transfer.findings, crop=transfer.crop, part=part)
    write_findings(
        run, setting.objective.findings(store, parts.test if len(parts.test) >= least else parts.train, seed)
    )
    if reason is not None:
        say(reason)
    if reason is not None or not common.class_names(store) or not len(parts.test):
        return {}
    result = worth.frozen(encoder, store, parts, views=views, config=transfer, probe=False)
    worth.keep(run, result)
    if transfer.findings:
        say(worth.FINDINGS)
        return {}
    say(f"on {result['test']['samples']:,} test {transfer.unit}s that it has not seen:")
    for line in worth.table(result):
        say(line)
    return {arm: scores["accuracy"] for arm, scores in result["knn"].items()}


def opened(asked: Recipe) -> tuple[Recipe, ImageStore]:
    """The recipe as its objective reads data, and its store. Raises InputError."""
    if asked.encoder.name != "auto":
        check_name(asked.encoder.name)
    if "order" in objectives.get(asked.objective.name).columns and not asked.data.frames:
        # A copy that keeps which settings were given: what was not is settled on the data.
        asked = asked.model_copy(update={"data": asked.data.model_copy(update={"frames": 1})})
    if not asked.transfer.findings:
        common.check_labels(asked.data)
    return asked, common.open_data(asked.data)


def settled_on(asked: Recipe, store: ImageStore) -> tuple[Setting, list[str]]:
    """What ``opened`` gave, divided, settled and built, and in words what was settled. Raises InputError."""
    parts = common.divide(store, asked.data, asked.transfer)
    settled, notes = settle(asked, store, parts)
    reason = unmeasured(settled, store, parts)
    return build(settled, store, parts), notes if reason is None else [*notes, reason]


class Images(kinds.Kind[Setting]):
    what = "images"
    verbs = "evaluate, finetune, embed and neighbours"

    def prepare(self, asked: Recipe) -> tuple[Setting, list[str]]:
        asked, store = opened(asked)
        common.tell_data(store, asked.data, asked.transfer.findings)
        return settled_on(asked, store)

    def monitors(self, setting: Setting, run: Run) -> Sequence[KnnMonitor | ProbeMonitor]:
        """kNN and a probe on the training part, when it has labels enough: of classes, not of findings."""
        if setting.recipe.transfer.findings or not common.class_names(setting.store):
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

    def begin(self, run: Run, setting: Setting, monitors: Sequence[Monitor]) -> None:
        keep_facts(run, setting)
        tell_chosen(run, setting, monitors)
        show(run, setting)
        measure_untrained(run, setting, monitors)

    def finish(self, setting: Setting, run: Run, result: FitResult) -> Pretraining:
        from foretell.report import build as build_report

        recipe, encoder, views = setting.recipe, setting.objective.for_transfer().eval(), setting.views
        assert isinstance(encoder, TimmEncoder)
        assert views.mean is not None
        assert views.std is not None
        trained = recipe.objective.name
        told = (run.read_json("facts.json") or {}).get("data", {})
        folder = save_encoder(
            encoder,
            run.path / "encoder",
            mean=views.mean,
            std=views.std,
            crop=recipe.transfer.crop,
            extra={
                "objective": trained,
                "steps": result.weights,
                "source": told.get("source", setting.store.source),  # as it was given, which the recipe does not say
                **common.kept_reading(setting.store, recipe.data),
            },
            interpolation=views.interpolation,
        )
        say(f"encoder: {folder}")
        reason = unmeasured(recipe, setting.store, setting.parts)
        common.write_facts(run, data={"unmeasured": reason})
        knn = measure(setting, encoder, run, reason)
        page = build_report(run.path)
        say(f"report: {page}")
        known = recipe.transfer.findings or common.class_names(setting.store)
        labels = "" if known and reason is None else " --labels labels.csv"
        say(f"next: foretell finetune {shlex.quote(str(run.path))}{labels}")
        return Pretraining(run.path, folder, page, result.steps, result.seconds, knn)

    def go_on(self, recipe: Recipe, place: Path) -> Setting:
        store = common.open_data(recipe.data)
        parts = kinds.same_parts(place, recipe, store, "images have")
        if checkpoint.latest(place / "checkpoints") is None:
            return build(recipe, store, parts)
        setting = build(recipe.changed({"encoder.weights": None}), store, parts)  # the checkpoint holds all weights
        setting.recipe = recipe
        return setting
