"""Classes of a text, of a pair of texts in one order (entailment) and of a pair in no order (similarity)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from foretell.measures.metrics import METRICS, Tally
from foretell.tasks.base import Score, Targets, TextTask, first_of
from foretell.tasks.heads import SummaryHead
from foretell.tasks.inputs import Index, Inputs, Sequences
from foretell.tasks.layout import Layout

Probabilities = NDArray[np.float32]


class ClassScore:
    """Accuracy, balanced accuracy, macro-F1 and AUROC; ``tally`` holds the confusion matrix."""

    def __init__(self, classes: int) -> None:
        self.tally = Tally(classes)

    def add(self, predictions: Probabilities, task: TextTask, positions: Index) -> None:
        self.tally.add(predictions, task.codes[positions])

    def result(self) -> dict[str, float]:
        return self.tally.result()


@dataclass
class Classification(TextTask):
    """One of several classes for a text. ``texts``: the texts of each example.

    The summary token's state goes through one linear layer (Devlin et al. 2018, section 4.1; Radford et al. 2018,
    equation 3).
    """

    texts: list[tuple[str, ...]]

    name: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[str, ...]] = METRICS
    parts: ClassVar[int] = 1

    @classmethod
    def of(
        cls,
        layout: Layout,
        texts: Sequence[tuple[str, ...]],
        codes: Index,
        classes: list[str],
        *,
        index: Index | None = None,
        groups: Index | None = None,
    ) -> Classification:
        """``texts`` of ``parts`` each; ``codes`` (N,) in [0, len(classes)); ``index`` default: 0 to N - 1."""
        sequences, each = cls.laid(layout, texts)
        rows = np.arange(len(texts), dtype=np.int64) if index is None else index
        first = first_of(np.full(len(texts), each))
        return cls(layout, sequences, first, rows, codes, groups, classes, list(texts))

    @classmethod
    def laid(cls, layout: Layout, texts: Sequence[tuple[str, ...]]) -> tuple[Sequences, int]:
        """The sequences of ``texts``, and how many each has."""
        return layout.singles([text for (text,) in texts]), 1

    def took(self, whole: Classification, positions: Index, which: Index) -> None:
        self.texts = [whole.texts[position] for position in positions]

    def targets(self, positions: Index) -> Targets:
        return {"codes": torch.from_numpy(self.codes[positions])}

    def head(self, width: int, dropout: float) -> nn.Module:
        return SummaryHead(width, len(self.classes), dropout, bias=not self.layout.last)

    def units(self, of_sequences: Tensor) -> Tensor:
        return of_sequences

    def gold(self) -> Iterable[str]:
        """The texts themselves, which TF-IDF reads: different ones may have the same tokens."""
        return (text for one in self.texts for text in one)

    def scores(self, head: nn.Module, states: Tensor, inputs: Inputs) -> Tensor:
        """(B, classes) logits."""
        summaries = self.units(self.read(states, inputs))
        logits: Tensor = head(summaries, torch.arange(len(summaries), device=summaries.device))
        return logits

    def loss(self, scores: Tensor, targets: Targets, inputs: Inputs) -> Tensor:
        return functional.cross_entropy(scores.float(), targets["codes"])

    def predictions(self, scores: Tensor, inputs: Inputs, positions: Index) -> Probabilities:
        """(B, classes) probabilities."""
        found: Probabilities = scores.float().softmax(1).cpu().numpy()
        return found

    def score(self) -> Score:
        return ClassScore(len(self.classes))


class Entailment(Classification):
    """One of several classes for two texts in one order: premise and hypothesis, question and answer."""

    name = "entailment"
    parts = 2

    @classmethod
    def laid(cls, layout: Layout, texts: Sequence[tuple[str, ...]]) -> tuple[Sequences, int]:
        return layout.pairs([a for a, _ in texts], [b for _, b in texts]), 1


class Similarity(Classification):
    """One of several classes for two texts in no order: both orders are read and their summaries added.

    Radford et al. 2018, section 3.3. Swapping the texts changes no bit of the result: the two orders always stand in
    the order of their token ids, so that what the network reads is the same.
    """

    name = "similarity"
    parts = 2

    @classmethod
    def laid(cls, layout: Layout, texts: Sequence[tuple[str, ...]]) -> tuple[Sequences, int]:
        tokens = [sorted(pair) for pair in _encoded(layout, texts)]
        first = [side for a, b in tokens for side in (a, b)]
        second = [side for a, b in tokens for side in (b, a)]
        return layout.joined(first, second), 2

    def units(self, of_sequences: Tensor) -> Tensor:
        """The sum over the two orders."""
        return of_sequences[0::2] + of_sequences[1::2]


def _encoded(layout: Layout, texts: Sequence[tuple[str, ...]]) -> list[tuple[list[int], list[int]]]:
    flat = layout.encoded([text for pair in texts for text in pair])
    return list(zip(flat[0::2], flat[1::2], strict=True))
