"""Frozen features of a text task: the summary token's state, or the mean of the tokens' states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.encoders.bag import is_bag
from foretell.encoders.language import LanguageModel
from foretell.tasks.base import TextTask, by_length
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Classification
from foretell.tasks.inputs import Index
from foretell.tasks.layout import Reading
from foretell.transfer.networks import device_of, evaluating

Array = NDArray[np.float32]


def readings_of(model: LanguageModel) -> tuple[Reading, ...]:
    """What can be read of a sequence, the mean of the tokens last."""
    return ("mean",) if is_bag(model) else ("summary", "mean")


def units_of(task: TextTask) -> Index:
    """(N,) how many units, each with features of its own, an example has: its answers for a choice, else one."""
    return np.diff(task.first) if isinstance(task, Choice) else np.ones(len(task), np.int64)


def embed_units(model: LanguageModel, task: TextTask, tokens: int = 8192) -> dict[Reading, Array]:
    """(U, width) float32 of every unit of ``task``, by reading, in their order. ``tokens`` of a forward pass."""
    assert isinstance(task, Classification | Choice)
    where = device_of(model)
    counts = units_of(task)
    made: dict[Reading, Array] = {
        name: np.empty((int(counts.sum()), model.dim), np.float32) for name in readings_of(model)
    }
    for positions in by_length(task, tokens):
        with evaluating(model):
            inputs = task.inputs(positions).to(where)
            states = inputs.states(model).float()
            read = {"summary": inputs.summaries(states), "mean": inputs.means(states)}
            at = places(counts, positions)
            for name, values in made.items():
                values[at] = task.units(read[name]).cpu().numpy()
    return made


def places(counts: Index, positions: Index) -> Index:
    """Places of the units of the examples ``positions``, where example n has ``counts[n]`` units, one after another."""
    first = np.cumsum(counts) - counts
    own = counts[positions]
    before = np.cumsum(own) - own
    found: Index = np.repeat(first[positions] - before, own) + np.arange(int(own.sum()))
    return found


def keys_of(task: TextTask) -> list[int]:
    """A number for each example: of its row, and of what is laid out for it, as tasks of two tables may share rows."""
    laid = task.sequences
    found = []
    for at, row in enumerate(task.index.tolist()):
        which = slice(int(task.first[at]), int(task.first[at + 1]))
        spans = zip(laid.start[which].tolist(), laid.length[which].tolist(), strict=True)
        tokens = [laid.ids[start : start + length].tobytes() for start, length in spans]
        found.append(hash((row, *tokens, laid.second[which].tobytes(), laid.summary[which].tobytes())))
    return found


class Bank:
    """Features of one model, those of an example worked out once."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._place: dict[int, int] = {}
        self._counts = np.empty(0, np.int64)
        self._held: dict[Reading, Array] = {name: np.empty((0, model.dim), np.float32) for name in readings_of(model)}

    def of(self, task: TextTask, reading: Reading) -> Array:
        """(U, width) of the units of ``task``, in their order."""
        keys = keys_of(task)
        missing = np.array([at for at, key in enumerate(keys) if key not in self._place], np.int64)
        if len(missing):
            new = task.take(missing)
            base = len(self._counts)
            self._place.update({keys[at]: base + number for number, at in enumerate(missing.tolist())})
            self._counts = np.concatenate([self._counts, units_of(new)])
            for name, values in embed_units(self.model, new).items():
                self._held[name] = np.concatenate([self._held[name], values])
        positions = np.array([self._place[key] for key in keys], np.int64)
        return self._held[reading][places(self._counts, positions)]


@dataclass(frozen=True)
class Frozen:
    """Features of ``bank`` by one reading; nothing is fitted."""

    bank: Bank
    reading: Reading

    def fitted(self, task: TextTask) -> Callable[[TextTask], Array]:
        return lambda other: self.bank.of(other, self.reading)


def frozen_kinds(bank: Bank) -> dict[str, Frozen]:
    """Each reading, the mean of the tokens last."""
    return {name: Frozen(bank, name) for name in readings_of(bank.model)}
