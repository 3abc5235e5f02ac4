"""Token tagging: a class for every word of a sentence.

A linear layer on the state of each word's first piece (Devlin et al. 2018, section 5.3); further pieces are read, and left
out of loss and score. A sentence that is longer than the encoder is cut into windows that overlap by half, and each word is
foretold in the window where it has most context.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from foretell.data.text.textrows import spread
from foretell.errors import InputError
from foretell.tasks.base import Score, Targets, TextTask, first_of
from foretell.tasks.heads import TokenHead
from foretell.tasks.inputs import Index, Inputs
from foretell.tasks.layout import Layout
from foretell.tasks.pieces import pieces_of
from foretell.tasks.tags_files import Tagged
from foretell.tasks.tags_score import TagTally
from foretell.tasks.windows import owners, windows

UNSEEN = -1  # code of a tag that training has no label of


class TagScore(TagTally):
    """``TagTally`` of a task's predictions."""

    def add(self, predictions: Sequence[Sequence[str]], task: TextTask, positions: Index) -> None:  # type: ignore[override]
        assert isinstance(task, Tagging)
        for found, position in zip(predictions, positions.tolist(), strict=True):
            super().add(task.sentences[position].tags, found)


@dataclass
class Tagging(TextTask):
    """``sentences``: words and tags of each example; ``tags``: those that can be foretold, which training has.

    The words of example n are ``words[n]`` to ``words[n + 1]`` (``words`` (N + 1,)) of these, each (W,) int64: ``window``,
    which of the example's sequences answers for the word; ``place``, its first piece there; ``tag``, its code in ``tags``,
    -1 where training has none of it, which counts as an error and not in the loss.

    ``unread``: words of all sentences that were laid out of which the tokenizer makes no piece: that of the next word, or
    the last one, stands for them.
    """

    sentences: list[Tagged]
    tags: list[str]
    words: Index
    window: Index
    place: Index
    tag: Index
    unread: int = field(default=0, kw_only=True)

    name: ClassVar[str] = "tagging"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")

    def counted(self) -> dict[str, Any]:
        return {"unit": "sentence", "words": int(self.words[-1])}

    @classmethod
    def of(
        cls,
        layout: Layout,
        sentences: Sequence[Tagged],
        tags: Sequence[str],
        *,
        stride: int | None = None,
        index: Index | None = None,
        groups: Index | None = None,
    ) -> Tagging:
        """``stride``: tokens from one window of a long sentence to the next, by default half of what fits.

        Raises InputError naming the sentence of which the tokenizer makes nothing, and for a ``stride`` that would leave
        tokens out.
        """
        room = layout.length - len(layout.lead) - len(layout.trail)
        texts = [" ".join(sentence.words) for sentence in sentences]
        cut: list[list[int]] = []
        counts, window, place, unread = [], [], [], 0
        for sentence, pieces in zip(sentences, pieces_of(layout.tokenizer, texts), strict=True):
            if not len(pieces):
                raise InputError(f"{sentence.place}: the tokenizer makes no token of this sentence; leave it out")
            sizes = np.array([len(word) + 1 for word in sentence.words], np.int64)
            first = pieces.first_at(np.cumsum(sizes) - sizes)
            unread += int(pieces.lacking(np.cumsum(sizes) - sizes, np.cumsum(sizes) - 1).sum())
            spans = windows(len(pieces), room, stride or max(1, room // 2))
            owner = owners(spans, len(pieces))[first]
            cut += [pieces.ids[start:end] for start, end in spans.tolist()]
            counts.append(len(spans))
            window.append(owner)
            place.append(len(layout.lead) + first - spans[owner, 0])
        rows = np.arange(len(sentences), dtype=np.int64) if index is None else index
        none = np.zeros(len(sentences), np.int64)
        words = first_of(np.array([len(sentence.words) for sentence in sentences], np.int64))
        made = cls(
            layout, layout.alone(cut), first_of(np.array(counts, np.int64)), rows, none, groups, [], list(sentences),
            [], words, np.concatenate([none[:0], *window]), np.concatenate([none[:0], *place]), none,
            unread=unread,
        )  # fmt: skip
        return made.knowing(tags)

    def took(self, whole: Tagging, positions: Index, which: Index) -> None:
        self.sentences = [whole.sentences[position] for position in positions.tolist()]
        at = whole._words_of(positions)
        self.words = first_of(whole.words[positions + 1] - whole.words[positions])
        self.window, self.place, self.tag = whole.window[at], whole.place[at], whole.tag[at]

    def knowing(self, tags: Sequence[str]) -> Self:
        """This task where only ``tags`` can be foretold."""
        codes = {tag: number for number, tag in enumerate(tags)}
        tag = [codes.get(tag, UNSEEN) for sentence in self.sentences for tag in sentence.tags]
        return replace(self, tags=list(tags), tag=np.array(tag, np.int64))

    def _words_of(self, positions: Index) -> Index:
        """The words of the examples ``positions``, example after example."""
        start = self.words[positions]
        return spread(start, self.words[positions + 1] - start)

    def gold(self) -> Iterable[str]:
        """The words too, which ``MajorityTag`` reads as they are written."""
        for sentence in self.sentences:
            yield "\t".join(sentence.words)
            yield "\t".join(sentence.tags)

    # the kind ---------------------------------------------------------------------------------------------------------

    def targets(self, positions: Index) -> Targets:
        """``tag`` (w,) code of each word of the examples, -1 for an unseen one; ``sequence`` (w,): which of the batch's
        sequences answers for it; ``place`` (w,) its first piece there.
        """
        at = self._words_of(positions)
        before = first_of(self.first[positions + 1] - self.first[positions])[:-1]
        sequence = np.repeat(before, self.words[positions + 1] - self.words[positions]) + self.window[at]
        named = {"tag": self.tag[at], "sequence": sequence, "place": self.place[at]}
        return {name: torch.from_numpy(values) for name, values in named.items()}

    def head(self, width: int, dropout: float) -> nn.Module:
        return TokenHead(width, len(self.tags), dropout)

    def scores(self, head: nn.Module, states: Tensor, inputs: Inputs) -> Tensor:
        """(R, T, tags) logits of every token."""
        logits: Tensor = head(states)
        return logits

    def loss(self, scores: Tensor, targets: Targets, inputs: Inputs) -> Tensor:
        """The summed cross-entropy of the words over the words that as many examples have on average: a mean over the words
        of the task that is a mean over examples in every batch.
        """
        logits = _of_words(scores, targets, inputs).float()
        summed = functional.cross_entropy(logits, targets["tag"], ignore_index=UNSEEN, reduction="sum")
        return summed / (int(inputs.owner[-1]) + 1) / (len(self.tag) / len(self))

    def predictions(self, scores: Tensor, inputs: Inputs, positions: Index) -> list[list[str]]:
        """The tags of the words of each example."""
        targets = {name: tensor.to(scores.device) for name, tensor in self.targets(positions).items()}
        codes = _of_words(scores, targets, inputs).argmax(1).tolist()
        ends = np.cumsum(self.words[positions + 1] - self.words[positions]).tolist()
        tags = [self.tags[code] for code in codes]
        return [tags[start:end] for start, end in pairwise([0, *ends])]

    def score(self) -> Score:
        return TagScore(self.tags)

    def settings(self) -> dict[str, Any]:
        return {"tags": self.tags}


class Entities(Tagging):
    """Tagging in BIO tags, judged by the entities that are found exactly."""

    name = "entities"
    metrics = ("entity_f1", "entity_precision", "entity_recall", "accuracy")


def _of_words(scores: Tensor, targets: Targets, inputs: Inputs) -> Tensor:
    """(w, tags): what ``scores`` (R, T, tags) say at the first piece of each word."""
    return scores.flatten(0, 1)[inputs.start[targets["sequence"]] + targets["place"]]
