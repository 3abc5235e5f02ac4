"""The contract of a labelled text task: samples as token sequences, a head, a loss, predictions and a streaming
score."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from foretell.data.text.textrows import spread
from foretell.errors import InputError
from foretell.tasks.inputs import Index, Inputs, Sequences, lay
from foretell.tasks.layout import Layout, numbered

Own = TypeVar("Own", bound="TextTask")
Targets = dict[str, Tensor]


class Score(Protocol):
    """Sums over batches of a test set; memory does not grow with it beyond a fixed bound."""

    def add(self, predictions: Any, task: TextTask, positions: Index) -> None:
        """``predictions`` of the examples ``positions`` of ``task``."""

    def result(self) -> dict[str, float]:
        """Metric -> value so far, the task's ``metrics`` among them."""


@dataclass
class TextTask(ABC):
    """N labelled examples of one kind and what belongs to the kind.

    ``sequences``: all of them; those of example n are ``first[n]`` to ``first[n + 1]`` (``first`` (N + 1,)), one or
    more. ``index`` (N,): which rows of the source these are. ``codes`` (N,): class of each, by which label fractions
    and validation parts are drawn; 0 for all where there are no classes. ``groups`` (N,): examples of one group are
    never split (one without has a number of its own). ``classes``: their names, [] where there are none. ``layout``:
    how texts of the task are laid out.

    ``name``: as ``--task`` takes it; ``metrics``: what its score tells, the kind's headline first; ``headline``: another one
    of these (``led_by``).
    """

    layout: Layout
    sequences: Sequences
    first: Index
    index: Index
    codes: Index
    groups: Index | None
    classes: list[str]
    headline: str | None = field(default=None, kw_only=True)

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.index)

    # the data ---------------------------------------------------------------------------------------------------------

    def take(self: Own, positions: Index) -> Own:
        """The examples ``positions``, nothing tokenised anew."""
        which = self._sequences_of(positions)
        counts = self.first[positions + 1] - self.first[positions]
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.sequences = self.sequences.take(which)
        made.first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        made.index = self.index[positions]
        made.codes = self.codes[positions]
        made.groups = None if self.groups is None else self.groups[positions]
        made.took(self, positions, which)
        return made

    @abstractmethod
    def took(self: Own, whole: Own, positions: Index, which: Index) -> None:
        """Cut what a kind of task keeps beside these: ``positions`` of its examples, ``which`` of its sequences."""

    def _sequences_of(self, positions: Index) -> Index:
        counts = self.first[positions + 1] - self.first[positions]
        before = np.cumsum(counts) - counts
        which: Index = np.arange(int(counts.sum())) + np.repeat(self.first[positions] - before, counts)
        return which

    def lengths(self) -> Index:
        """(N,) tokens of all sequences of each example."""
        before = np.concatenate([[0], np.cumsum(self.sequences.length)])
        found: Index = before[self.first[1:]] - before[self.first[:-1]]
        return found

    def inputs(self, positions: Index) -> Inputs:
        """The sequences of the examples ``positions``, laid into rows."""
        which = self._sequences_of(positions)
        owner = numbered(self.first[positions + 1] - self.first[positions])
        return lay(self.sequences.take(which), owner, self.layout.pad, self.layout.specials)

    def content(self) -> str:
        """A hash of the examples: their tokens, groups, what is to be foretold of them and what they are judged by."""
        digest = hashlib.blake2b(digest_size=16)
        places = spread(self.sequences.start, self.sequences.length)
        targets = [value.numpy() for value in self.targets(np.arange(len(self))).values()]
        for values in (self.sequences.ids[places], self.sequences.length, self.first, *targets):
            digest.update(np.ascontiguousarray(values).tobytes())
        if self.groups is not None:
            digest.update(self.groups.tobytes())
        for text in self.gold():
            digest.update(f"{text}\0".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def counted(self) -> dict[str, Any]:
        """What an example is called, "unit", and how many words there are, "words", where these are what is judged; {}: a text."""
        return {}

    def gold(self) -> Iterable[str]:
        """What results on the examples depend on where tokens and targets do not hold all of it."""
        return ()

    def read(self, states: Tensor, inputs: Inputs) -> Tensor:
        """(S, width): what stands for each sequence, as ``layout.reads`` says."""
        return inputs.means(states) if self.layout.reads == "mean" else inputs.summaries(states)

    # the kind ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def targets(self, positions: Index) -> Targets:
        """What is to be foretold of the examples ``positions``."""

    @abstractmethod
    def head(self, width: int, dropout: float) -> nn.Module:
        """What reads the states of an encoder of ``width``; ``dropout`` of its input."""

    @abstractmethod
    def scores(self, head: nn.Module, states: Tensor, inputs: Inputs) -> Tensor:
        """What loss and predictions are made of, from the states (R, T, width) of ``inputs``."""

    @abstractmethod
    def loss(self, scores: Tensor, targets: Targets, inputs: Inputs) -> Tensor:
        """Scalar with gradient: the mean over the examples."""

    @abstractmethod
    def predictions(self, scores: Tensor, inputs: Inputs, positions: Index) -> Any:
        """One prediction for each of the examples ``positions``, which ``inputs`` are of, on the host."""

    @abstractmethod
    def score(self) -> Score:
        """A fresh streaming score."""

    def settings(self) -> dict[str, Any]:
        """What applying the task to new texts needs beside ``layout`` and ``classes``, for JSON."""
        return {}

    @property
    def metric(self) -> str:
        """The headline metric, a share in [0, 1]."""
        return self.headline or self.metrics[0]

    def led_by(self: Own, metric: str | None) -> Own:
        """The same examples with ``metric`` as the headline (None: as they are). Raises InputError where the task has none such."""
        if metric is None:
            return self
        if metric not in self.metrics:
            raise InputError(
                f"transfer.metric={metric}: {self.name} is told in {', '.join(self.metrics)}; give one of these, or none"
            )
        made = self.take(np.arange(len(self)))
        made.headline = metric
        return made


def first_of(counts: Index) -> Index:
    """[2, 1] -> [0, 2, 3]: ``TextTask.first`` for numbers of sequences."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def by_length(task: TextTask, tokens: int = 4096) -> list[Index]:
    """All positions of ``task``, examples of like length together, batches of about ``tokens`` tokens."""
    lengths = task.lengths()
    order = np.argsort(lengths, kind="stable")
    number = (np.cumsum(lengths[order]) - 1) // tokens
    return np.split(order, np.flatnonzero(np.diff(number)) + 1)
