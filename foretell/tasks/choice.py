"""Multiple choice: which of several answers goes with a context."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from foretell.tasks.base import Score, Targets, TextTask, first_of
from foretell.tasks.heads import SummaryHead
from foretell.tasks.inputs import Index, Inputs
from foretell.tasks.layout import Layout


class ChoiceScore:
    """The share of right answers, and that of picking one blindly ("chance")."""

    def __init__(self) -> None:
        self.right = self.count = 0
        self.chance = 0.0

    def add(self, predictions: list[NDArray[np.float32]], task: TextTask, positions: Index) -> None:
        assert isinstance(task, Choice)
        for found, answer in zip(predictions, task.answer[positions], strict=True):
            self.right += int(found.argmax() == answer)
            self.chance += 1 / len(found)
        self.count += len(predictions)

    def result(self) -> dict[str, float]:
        size = max(self.count, 1)
        return {"accuracy": self.right / size, "chance": self.chance / size}


@dataclass
class Choice(TextTask):
    """Any number of answers, each read after its context and brought to one number by the same linear layer; softmax
    over them (Radford et al. 2018, section 3.3).

    ``texts``: (context, answer, answer, ...) of each example; ``answer`` (N,): which answer is right, from 0.
    ``place`` (S,): which answer each sequence holds. Sequences of an example stand in the order of their token ids, so
    that permuting the answers permutes the probabilities and changes no bit of them.
    """

    texts: list[tuple[str, ...]]
    answer: Index
    place: Index

    name: ClassVar[str] = "choice"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "chance")

    @classmethod
    def of(
        cls,
        layout: Layout,
        texts: Sequence[tuple[str, ...]],
        answer: Index,
        *,
        index: Index | None = None,
        groups: Index | None = None,
    ) -> Choice:
        """Contexts that are too long lose their beginning, since an answer follows the end."""
        contexts = [context for context, *answers in texts for _ in answers]
        answers = [text for _, *answers in texts for text in answers]
        counts = np.array([len(one) - 1 for one in texts], np.int64)
        tokens = dict(zip(dict.fromkeys(answers), layout.encoded(list(dict.fromkeys(answers))), strict=True))
        first = first_of(counts)
        order = np.array(
            [
                at
                for start, stop in pairwise(first.tolist())
                for at in sorted(range(start, stop), key=lambda at: tokens[answers[at]])
            ],
            np.int64,
        )
        sequences = layout.pairs([contexts[at] for at in order], [answers[at] for at in order], tail=True)
        place = order - np.repeat(first[:-1], counts)
        rows = np.arange(len(texts), dtype=np.int64) if index is None else index
        none = np.zeros(len(texts), np.int64)
        return cls(layout, sequences, first, rows, none, groups, [], list(texts), answer, place)

    def took(self, whole: Choice, positions: Index, which: Index) -> None:
        self.texts = [whole.texts[position] for position in positions]
        self.answer, self.place = whole.answer[positions], whole.place[which]

    def targets(self, positions: Index) -> Targets:
        """``right`` (B,): which sequence of the example holds the right answer; ``place`` (S,)."""
        place = self.place[self._sequences_of(positions)]
        counts = self.first[positions + 1] - self.first[positions]
        right = place == np.repeat(self.answer[positions], counts)
        return {"right": torch.from_numpy(np.flatnonzero(right) - (np.cumsum(counts) - counts))}

    def units(self, of_sequences: Tensor) -> Tensor:
        return of_sequences

    def gold(self) -> Iterable[str]:
        """The texts themselves, which TF-IDF reads: different ones may have the same tokens."""
        return (text for one in self.texts for text in one)

    def head(self, width: int, dropout: float) -> nn.Module:
        return SummaryHead(width, 1, dropout, bias=False)

    def scores(self, head: nn.Module, states: Tensor, inputs: Inputs) -> Tensor:
        """(B, most answers) logits in the order of the sequences, -inf where an example has fewer answers."""
        values = head(self.read(states, inputs), inputs.owner).squeeze(1).float()
        owner = inputs.owner
        counts = torch.bincount(owner)
        before = (counts.cumsum(0) - counts)[owner]
        out = values.new_full((len(counts), int(counts.max())), float("-inf"))
        filled: Tensor = out.index_put((owner, torch.arange(len(owner), device=owner.device) - before), values)
        return filled

    def loss(self, scores: Tensor, targets: Targets, inputs: Inputs) -> Tensor:
        return functional.cross_entropy(scores, targets["right"])

    def predictions(self, scores: Tensor, inputs: Inputs, positions: Index) -> list[NDArray[np.float32]]:
        """The probability of each answer of each example, in the order of the answers."""
        return self.ordered(scores.softmax(1).cpu().numpy(), positions)

    def ordered(self, values: NDArray[np.float32], positions: Index) -> list[NDArray[np.float32]]:
        """(B, most answers) values in the order of the sequences -> one array an example, in that of its answers."""
        made = []
        for row, position in zip(values, positions, strict=True):
            place = self.place[self.first[position] : self.first[position + 1]]
            found = np.empty(len(place), np.float32)
            found[place] = row[: len(place)]
            made.append(found)
        return made

    def score(self) -> Score:
        return ChoiceScore()
