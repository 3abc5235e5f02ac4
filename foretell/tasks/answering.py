"""Extractive question answering: the piece of a text that answers a question, or that there is none.

Two linear layers on the states of the text's tokens tell where an answer begins and where it ends; no answer is a span of
the summary token alone (Devlin et al. 2018, sections 4.2 and 4.3; in a decoder the summary token is the last, which has seen
all). A text that does not fit is read in windows that overlap, each after the question. An answer begins in the window in
which that place has most context, and is a verbatim piece of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from foretell.tasks.answer_score import AnswerTally, judged
from foretell.tasks.answer_spans import best_spans
from foretell.tasks.base import Score, Targets, TextTask, first_of
from foretell.tasks.heads import TokenHead
from foretell.tasks.inputs import Index, Inputs, Sequences
from foretell.tasks.layout import Layout
from foretell.tasks.pieces import Pieces, pieces_of
from foretell.tasks.squad import Question
from foretell.tasks.windows import owners, windows

LONGEST = 30  # tokens of an answer
AT_ONCE = 1_000  # questions laid out at a time


@dataclass(frozen=True, slots=True)
class Found:
    """The likeliest answer: ``text`` ("" of a text without tokens), its score, and ``margin``, by how much no answer scores
    higher.
    """

    text: str
    score: float
    margin: float

    def given(self, threshold: float) -> str:
        """The answer, or none where ``margin`` is above ``threshold``."""
        return "" if self.margin > threshold else self.text


class AnswerScore(AnswerTally):
    """``AnswerTally`` of a task's predictions."""

    def add(self, predictions: Sequence[Found], task: TextTask, positions: Index) -> None:  # type: ignore[override]
        assert isinstance(task, Answering)
        for found, position in zip(predictions, positions.tolist(), strict=True):
            super().add(found.given(task.threshold), task.questions[position].gold)


@dataclass
class _Windows:
    """The windows of one question over its context: ``cut`` (n, 2) first piece and the one after the last; in pieces of the
    window, ``own`` (n, 2) where an answer may begin, and ``target`` (n, 2) first and last of the answer, -1 where the window
    does not hold all of it.
    """

    cut: Index
    own: Index
    target: Index

    @classmethod
    def of(cls, question: Question, pieces: Pieces, room: int, stride: int | None) -> _Windows:
        cut = windows(len(pieces), room, stride or max(1, room // 2))
        edges = np.searchsorted(owners(cut, len(pieces)), np.arange(len(cut) + 1))
        own = np.stack([edges[:-1], edges[1:]], axis=1) - cut[:, :1]
        target = np.full((len(cut), 2), -1, np.int64)
        if question.answers and len(pieces):
            answer = question.answers[0]
            first = int(pieces.first_at(np.array([answer.start]))[0])
            last = max(first, int(pieces.last_before(np.array([answer.end]))[0]))
            holds = (cut[:, 0] <= first) & (last < cut[:, 1])
            target[holds] = np.array([first, last]) - cut[holds, :1]
        return cls(cut, own, target)


def withheld(questions: Sequence[Question]) -> float:
    """The threshold to begin with: 0 where some of ``questions`` have no answer, else inf, so that none is withheld."""
    return 0.0 if any(question.impossible for question in questions) else float("inf")


@dataclass
class Answering(TextTask):
    """``questions``: the examples, each a sequence for every window of its context.

    ``contexts``: the pieces of the different contexts; ``context`` (N,): which is each example's. Of sequence s the tokens
    from ``sequences.second[s]`` on are the pieces ``piece[s]`` to ``piece[s] + size[s]`` of its context, of which an answer
    begins at ``own[s, 0]`` to ``own[s, 1]``. ``target`` (S, 2): first and last token of the answer, the summary token where
    the window does not hold it. ``threshold``: the margin above which no answer is given; inf where every training question
    has one.
    """

    questions: list[Question]
    contexts: list[Pieces]
    context: Index
    piece: Index
    size: Index
    own: Index
    target: Index
    threshold: float
    longest: int

    name: ClassVar[str] = "answering"
    metrics: ClassVar[tuple[str, ...]] = ("f1", "exact")

    def counted(self) -> dict[str, Any]:
        return {"unit": "question"}

    @classmethod
    def of(
        cls,
        layout: Layout,
        questions: Sequence[Question],
        *,
        stride: int | None = None,
        longest: int = LONGEST,
        index: Index | None = None,
        groups: Index | None = None,
    ) -> Answering:
        """``stride``: tokens from one window to the next, by default half of what fits beside the question; ``longest``:
        tokens of an answer.

        A question keeps at most half of the length, and ``layout.cut`` counts those that were longer. Raises InputError for a
        ``stride`` that would leave tokens out.
        """
        texts = list(dict.fromkeys(question.context for question in questions))
        contexts = list(pieces_of(layout.tokenizer, texts))
        number = {text: at for at, text in enumerate(texts)}
        context = np.array([number[question.context] for question in questions], np.int64)
        asked = layout.encoded([question.text for question in questions])
        room = layout.length - len(layout.lead) - len(layout.between) - len(layout.trail)
        layout.cut += sum(len(tokens) > room // 2 for tokens in asked)
        parts: list[Sequences] = []
        laid: list[_Windows] = []
        for start in range(0, len(questions), AT_ONCE):
            firsts: list[list[int]] = []
            seconds: list[list[int]] = []
            for at in range(start, min(start + AT_ONCE, len(questions))):
                pieces, tokens = contexts[context[at]], asked[at][: room // 2]
                made = _Windows.of(questions[at], pieces, room - len(tokens), stride)
                laid.append(made)
                firsts += [tokens] * len(made.cut)
                seconds += [pieces.ids[first:last] for first, last in made.cut.tolist()]
            parts.append(layout.joined(firsts, seconds))
        sequences = Sequences.concatenated(parts or [layout.joined([], [])])
        none = np.empty((0, 2), np.int64)
        cut, own, target = (
            np.concatenate([none, *(getattr(made, name) for made in laid)]) for name in ("cut", "own", "target")
        )
        second, summary = sequences.second[:, None], sequences.summary[:, None]
        return cls(
            layout, sequences, first_of(np.array([len(made.cut) for made in laid], np.int64)),
            np.arange(len(questions), dtype=np.int64) if index is None else index,
            np.zeros(len(questions), np.int64), groups, [],
            list(questions), contexts, context, cut[:, 0], cut[:, 1] - cut[:, 0],
            own + second, np.where(target >= 0, target + second, summary),
            withheld(questions), longest,
        )  # fmt: skip

    def took(self, whole: Answering, positions: Index, which: Index) -> None:
        self.questions = [whole.questions[position] for position in positions.tolist()]
        self.context = whole.context[positions]
        for name in ("piece", "size", "own", "target"):
            setattr(self, name, getattr(whole, name)[which])

    def gold(self) -> Iterable[str]:
        """The texts too: ``SlidingWindow`` reads them, and answers are cut out of the context, as they are written."""
        for question in self.questions:
            yield question.text
            yield question.context
            yield "\t".join(question.gold)

    # the kind ---------------------------------------------------------------------------------------------------------

    def targets(self, positions: Index) -> Targets:
        """``span`` (S, 2): first and last token of the answer in each sequence; ``context`` (S, 2): its tokens of the text,
        and the one after; ``weight`` (S,): one over the sequences of the example.
        """
        which = self._sequences_of(positions)
        counts = self.first[positions + 1] - self.first[positions]
        second = self.sequences.second[which]
        named = {
            "span": self.target[which],
            "context": np.stack([second, second + self.size[which]], axis=1),
            "weight": np.repeat(1 / counts, counts).astype(np.float32),
        }
        return {name: torch.from_numpy(values) for name, values in named.items()}

    def head(self, width: int, dropout: float) -> nn.Module:
        return TokenHead(width, 2, dropout)

    def scores(self, head: nn.Module, states: Tensor, inputs: Inputs) -> Tensor:
        """(S, longest sequence, 2): logits of where an answer begins and ends, -inf behind the end of a sequence."""
        every: Tensor = head(states).flatten(0, 1).float()
        step = torch.arange(int(inputs.length.max()), device=every.device)
        there = step < inputs.length[:, None]
        found = every[(inputs.start[:, None] + step).clamp(max=len(every) - 1)]
        return torch.where(there[:, :, None], found, float("-inf"))

    def loss(self, scores: Tensor, targets: Targets, inputs: Inputs) -> Tensor:
        """The mean of the cross-entropies of begin and end over the text's tokens and the summary token; over the windows of
        an example, and over examples.
        """
        step = torch.arange(scores.shape[1], device=scores.device)
        inside = _between(step, targets["context"])
        open_ = inside | (step == (inputs.summary - inputs.start)[:, None])
        logits = scores.masked_fill(~open_[:, :, None], float("-inf"))
        each = functional.cross_entropy(logits, targets["span"], reduction="none").mean(1)
        return (each * targets["weight"]).sum() / targets["weight"].sum()

    def predictions(self, scores: Tensor, inputs: Inputs, positions: Index) -> list[Found]:
        which = self._sequences_of(positions)
        step = torch.arange(scores.shape[1], device=scores.device)
        inside = _between(step, self.targets(positions)["context"].to(scores.device))
        own = _between(step, torch.from_numpy(self.own[which]).to(scores.device))
        best, first, last = best_spans(scores[:, :, 0], scores[:, :, 1], own, inside, self.longest)
        summary = (inputs.summary - inputs.start)[:, None, None].expand(-1, 1, 2)
        none = scores.gather(1, summary).sum((1, 2))
        # where each window's span lies in its context
        shift = self.piece[which] - self.sequences.second[which]
        places = np.stack([first.cpu().numpy() + shift, last.cpu().numpy() + shift], axis=1)
        values = np.stack([best.cpu().numpy(), none.cpu().numpy()], axis=1)
        ends = np.cumsum(self.first[positions + 1] - self.first[positions])
        made = []
        for position, start, end in zip(positions.tolist(), np.concatenate([[0], ends[:-1]]), ends, strict=True):
            at = start + int(values[start:end, 0].argmax())
            score = float(values[at, 0])
            margin = float(values[start:end, 1].min()) - score
            made.append(Found(self._text(position, places[at]) if np.isfinite(score) else "", score, margin))
        return made

    def _text(self, position: int, place: Index) -> str:
        pieces: Pieces = self.contexts[self.context[position]]
        return pieces.text(self.questions[position].context, int(place[0]), int(place[1]))

    def score(self) -> Score:
        return AnswerScore()

    def settings(self) -> dict[str, Any]:
        """``threshold`` is None where every question has an answer."""
        return {"threshold": self.threshold if np.isfinite(self.threshold) else None, "longest": self.longest}

    def margins(self, predictions: Sequence[Found]) -> list[tuple[float, float, bool]]:
        """For ``best_threshold``: what ``predictions`` of all questions say of theirs."""
        return [
            (found.margin, judged(found.text, question.gold)[1], question.impossible)
            for found, question in zip(predictions, self.questions, strict=True)
        ]


def _between(step: Tensor, spans: Tensor) -> Tensor:
    """(S, L) bool: which of ``step`` (L,) lie from ``spans[:, 0]`` to before ``spans[:, 1]``."""
    return (step >= spans[:, :1]) & (step < spans[:, 1:])
