"""Kinds of data: what pretraining asks of each, and the one table of them.

A kind is found by ``Objective.kind``; adding one is a class below ``Kind`` in a file of its own, and a line here.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar, Generic, TypeVar

import foretell.objectives as objectives
from foretell import errors
from foretell.data.splits import Parts
from foretell.errors import InputError
from foretell.objectives.base import Objective
from foretell.recipe import BUDGETS, Recipe
from foretell.run import Run
from foretell.train import checkpoint
from foretell.train.loop import FitResult
from foretell.train.monitor import Monitor
from foretell.verbs import kept_split
from foretell.verbs.outcomes import Pretraining

_WHERE = {
    "image": "foretell.verbs.image_pretraining:Images",
    "text": "foretell.verbs.text_pretraining:Texts",
    "words": "foretell.verbs.word_pretraining:Words",
}


@dataclass
class Setting:
    """All that training needs: the settled recipe, the data and its division, and a fresh objective.

    ``store`` has a ``source`` (the data's name) and a ``fingerprint``.
    """

    recipe: Recipe
    store: Any
    parts: Parts
    objective: Objective


S = TypeVar("S", bound=Setting)


class Kind(ABC, Generic[S]):
    """How a run on one kind of data is prepared, begun, watched, finished and gone on with.

    ``what``: the samples in words, as "images". ``verbs``: those that read such a run, for messages.
    """

    what: ClassVar[str]
    verbs: ClassVar[str]

    @abstractmethod
    def prepare(self, asked: Recipe) -> tuple[S, list[str]]:
        """The recipe settled on its data, and in words what was settled. Raises InputError."""

    @abstractmethod
    def monitors(self, setting: S, run: Run) -> Sequence[Monitor]:
        """What is measured while training; called on the first process alone."""

    @abstractmethod
    def begin(self, run: Run, setting: S, monitors: Sequence[Monitor]) -> None:
        """Keep the facts of a new run, and show a person what is hidden; called on the first process alone."""

    @abstractmethod
    def finish(self, setting: S, run: Run, result: FitResult) -> Pretraining:
        """Export, measure, report; called on the first process alone."""

    @abstractmethod
    def go_on(self, recipe: Recipe, place: Path) -> S:
        """The setting of the run in ``place`` that goes on. Raises InputError when its data has changed."""


def named(name: str) -> Kind[Any]:
    """The kind of data of ``Objective.kind``."""
    found: type[Kind[Any]] = resolve_name(_WHERE[name])
    return found()


def of(recipe: Recipe) -> Kind[Any]:
    """The kind of data that a recipe's objective learns from."""
    return named(objectives.get(recipe.objective.name).kind)


def check_kind(place: Path, recipe: Recipe, wanted: str) -> None:
    """Raise InputError when the run in ``place`` is of another kind than ``wanted``; asked wherever a run is read back."""
    kind = objectives.get(recipe.objective.name).kind
    if kind != wanted:
        raise InputError(
            f"{place}: a run on {named(kind).what}, and this is a verb for {named(wanted).what}; see {named(kind).verbs}"
        )


# what kinds share ----------------------------------------------------------------------------------------------------


def learnt(store: Any, parts: Parts) -> Any:
    """The part of ``store`` that is learnt from."""
    return store.subset(parts.train) if len(parts.train) < len(store) else store


def usual_training(asked: Recipe, *, always: bool = False) -> dict[str, Any]:
    """Changes to the settings published for the objective, where no optimiser is given (or ``always``)."""
    given = asked.training.model_fields_set
    if "optimizer" in given and not always:
        return {}
    usual = objectives.get(asked.objective.name).usual_training
    return {f"training.{name}": value for name, value in usual.items() if name not in given}


def usual_epochs(asked: Recipe, epochs: float) -> tuple[dict[str, Any], list[str]]:
    """The change to ``epochs`` where no budget is given, and in words."""
    if any(getattr(asked.training, key.partition(".")[2]) is not None for key in BUDGETS):
        return {}, []
    return {"training.epochs": epochs}, [f"{epochs:g} epochs, since no budget was given; --budget changes it"]


def begun(place: Path) -> bool:
    """Whether the run in ``place`` has anything of what is done before the first step; else all of it is done anew."""
    return (place / kept_split.NAME).is_file() or checkpoint.latest(place / "checkpoints") is not None


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """How data is read and what is foretold of it, as facts.json keeps it from the beginning: a recipe may be edited."""
    return {
        "data": recipe.data.model_dump(mode="json", exclude={"source", "labels", "workers"}),
        "objective": recipe.objective.model_dump(mode="json"),
    }


def lost(place: Path, name: str) -> InputError:
    """That the run in ``place``, which has begun, lacks its file ``name``."""
    return InputError(
        f"{place}: holds no {name}, which the run wrote when it began; put back a copy of it, or train anew with another "
        "--out"
    )


def no_encoder(run: Run) -> InputError:
    """What is told of a run whose training has not come to its end, or that was killed before it wrote its encoder."""
    if run.held():
        return InputError(f"{run.path}: no encoder yet, since it is still being trained; wait for it")
    state = run.state() or "unfinished"
    # nobody holds it: its process was killed
    known = {"running": "the run is cut off", "finished": "training is finished, but the encoder was not written"}
    why = known.get(state, f"the run is {state}")
    return InputError(
        f"{run.path}: no encoder yet ({why}); go on with: foretell pretrain --resume {shlex.quote(str(run.path))}"
    )


def same_parts(place: Path, recipe: Recipe, store: Any, what: str) -> Parts:
    """The division that the run in ``place`` kept.

    Raises InputError where it lacks one, where the data (``what``: "images have", "text has") has changed or in ``recipe``
    a setting by which it is read, and where the recipe now asks for another division.
    """
    kept = kept_split.read(place)
    if kept is None:
        raise lost(place, kept_split.NAME)
    parts = kept.of(store.fingerprint, len(store))
    if parts is None:
        began = (Run.read(place).read_json("facts.json") or {}).get("begun")
        if isinstance(began, dict):
            with errors.of(place / "recipe.toml"):
                checkpoint.check_same(began, settings_of(recipe))
        raise InputError(
            f"{place}: the {what.split()[0]} of {store.source} {what.split()[1]} changed since the run began, so that it "
            "cannot be resumed; start a new run"
        )
    if kept.asked:
        checkpoint.check_same(kept.asked, kept_split.settings_of(recipe.data), "data")
    return parts


def about(objective: Objective) -> dict[str, Any]:
    """What facts.json says of a pretext task."""
    return {key: getattr(objective, key) for key in ("name", "kind", "hides", "foretells", "needs", "paper")}
