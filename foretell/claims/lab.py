"""Where claims are worked out: trained runs shared by the hash of their recipe, and results that are computed once."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell import __version__
from foretell.claims.fresh import Store, fresh
from foretell.claims.locks import held
from foretell.counters import seed_of
from foretell.data.store import ImageStore, open_images
from foretell.data.table import Table
from foretell.data.text.tokens import TokenStore
from foretell.data.text.words import WordStore
from foretell.errors import InputError
from foretell.json_files import read_object
from foretell.objectives.base import Objective
from foretell.recipe import Recipe
from foretell.run import Run, write_aside
from foretell.train import checkpoint
from foretell.train.loop import fit
from foretell.transfer.config import TransferConfig

Index = NDArray[np.int64]
Variant = type[Objective] | None


class OutOfBudget(Exception):
    """The time allowed is spent; what was finished is kept."""


class Busy(Exception):
    """Another process works at what is wanted, and this one has something else to do."""


class Lab:
    """A folder of runs and results. ``deadline`` (``time.monotonic``) is looked at before each piece of work begins.

    Several processes may share the folder: each piece of work is done by one of them, and another that wants it waits and
    takes what was made (or raises Busy where it is not ``patient``). A process that ends in the middle leaves its piece to
    the next. The folder may be moved.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        deadline: float | None = None,
        patient: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.folder = folder
        self.device = device
        self.deadline = deadline
        self.patient = patient
        self.say = say
        self._stores: dict[str, Store] = {}
        self._makers: dict[str, Callable[[], Store]] = {}

    def add(self, source: str, make: Callable[[], Store]) -> None:
        """Let the name ``source`` stand for a store that ``make`` makes when it is first asked for."""
        self._makers[source] = make

    def any_store(self, source: str) -> Store:
        """What ``source`` stands for, of any kind of data; a name that was not added is an embedded set of images."""
        if source not in self._stores:
            make = self._makers.get(source)
            self._stores[source] = make() if make is not None else open_images(source)
        return self._stores[source]

    def store(self, source: str) -> ImageStore:
        """The images that ``source`` stands for."""
        found = self.any_store(source)
        assert isinstance(found, ImageStore)
        return found

    def text(self, source: str) -> TokenStore:
        """The tokens that ``source`` stands for."""
        found = self.any_store(source)
        assert isinstance(found, TokenStore)
        return found

    def split(self, source: str, *names: str) -> tuple[Index, ...]:
        """Rows of the parts ``names`` (default: train and test) of a set of images or text with a fixed division.

        Raises InputError for a set without one.
        """
        store = self.any_store(source)
        assert not isinstance(store, WordStore)
        table = store.table if isinstance(store, ImageStore) else Table({"split": store.column("split")})
        if "split" not in table.columns or not any(table.column("split")):
            raise InputError(f"{source}: no 'split' column; claims use sets with a fixed test part")
        part = np.array(table.column("split"), dtype=object)
        return tuple(np.flatnonzero(part == name) for name in names or ("train", "test"))

    def learnt(self, source: str) -> Store:
        """The part of ``source`` that is learnt from; a store of words keeps what is held out apart."""
        store = self.any_store(source)
        return store if isinstance(store, WordStore) else store.subset(self.split(source, "train")[0])

    def _check_time(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfBudget

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Hold the piece of work ``name``; raises OutOfBudget where the time ends while another process holds it, and Busy at
        once where this one is not ``patient``.
        """
        told: list[str] = []

        def waiting() -> None:
            self._check_time()
            if not self.patient:
                raise Busy(name)
            if not told:
                told.append(name)
                self.say(f"another process works at {name}: waiting for it")

        return held(self.folder / "locks" / f"{name}.lock", waiting)

    # trained runs ----------------------------------------------------------------------------------------------------

    def build(self, recipe: Recipe, kind: Variant = None) -> Objective:
        """The objective of ``recipe`` on the training part of its data, untrained (its weights from the seed alone).

        ``kind``: a variant of the recipe's objective that takes its place.
        """
        assert recipe.data.source is not None
        part = self.learnt(recipe.data.source)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(recipe.training.seed, "weights"))
            return fresh(recipe, part, kind)

    def trained(self, recipe: Recipe, kind: Variant = None) -> Objective:
        """The objective of ``recipe`` (or its variant ``kind``), trained; taken from the lab when it was trained here before.

        An unfinished run goes on from its last checkpoint. Raises OutOfBudget before a run that would begin too late.
        """
        objective = self.build(recipe, kind)
        path = self.run_of(recipe, kind)
        if not self._finished(path):
            with self.alone(f"run {path.name}"):
                if not self._finished(path):  # another process may have finished it by now
                    self._check_time()
                    self._train(objective, recipe, path)
        last = checkpoint.of_weights(Run.read(path))
        assert last is not None
        objective.load_state_dict(checkpoint.load(last)["module"])
        return objective.eval()

    @staticmethod
    def _finished(path: Path) -> bool:
        return (path / "recipe.toml").is_file() and Run.read(path).state() == "finished"

    def _train(self, objective: Objective, recipe: Recipe, path: Path) -> None:
        """Train the run in ``path``, from its last checkpoint where it has begun.

        Raises KeyboardInterrupt where a signal stops it: what it has learnt by then is not what the recipe says.
        """
        self.say(f"training {recipe.objective.name}, seed {recipe.training.seed} ({path.name})")
        begun = (path / "recipe.toml").is_file()
        if begun:
            run = Run.resume(path)
        else:
            shutil.rmtree(path, ignore_errors=True)  # of a process that ended before it wrote the recipe
            run = Run.create(path)
            recipe.save(path / "recipe.toml")
        fitted = fit(objective, self._on_device(recipe), run, resume=begun)
        run.close()
        if fitted.state == "stopped":
            raise KeyboardInterrupt

    def earlier(self, recipe: Recipe) -> Iterator[tuple[int, Objective]]:
        """(step, the objective as it was then) of every checkpoint that the trained run kept, the untrained one first."""
        objective = self.trained(recipe)
        for path in checkpoint.all_in(self.run_of(recipe) / "checkpoints"):
            objective.load_state_dict(checkpoint.load(path)["module"])
            yield int(path.stem), objective.eval()

    def seconds_of(self, recipe: Recipe) -> float:
        """Training time of a finished run."""
        facts = Run.read(self.run_of(recipe)).read_json("facts.json") or {}
        return float(facts.get("cost", {}).get("seconds") or 0.0)

    def _on_device(self, recipe: Recipe) -> Any:
        return recipe.training.model_copy(update={"device": self.device})

    def run_of(self, recipe: Recipe, kind: Variant = None) -> Path:
        """The folder of the run of ``recipe``, named by what decides what is learnt: how it is used afterwards does not."""
        return self.folder / "runs" / self.key(recipe.model_copy(update={"transfer": TransferConfig()}), kind)

    def key(self, recipe: Recipe, kind: Variant = None) -> str:
        """A hash of everything that decides what a run is and what is made of it; where the lab lies does not."""
        assert recipe.data.source is not None
        # weights to begin at lie in the lab and are named by their own key
        text = recipe.to_toml().replace(str(self.folder.absolute()), "")
        parts = [__version__, torch.__version__, self.any_store(recipe.data.source).fingerprint, text]
        if kind is not None:
            parts.append(f"{kind.__module__}.{kind.__qualname__}")
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    # results -----------------------------------------------------------------------------------------------------------

    def result(self, name: str, key: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``work`` returns, computed once for this ``name`` and ``key`` and kept as JSON."""
        digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()
        path = self.folder / "results" / f"{name}-{digest}.json"
        if not path.is_file():
            with self.alone(path.stem):
                if not path.is_file():  # another process may have made it by now
                    self._check_time()
                    value = work()
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_aside(path, json.dumps(value, indent=1, default=float))
                    return value
        return read_object(path, "delete it: the same command works it out again")
