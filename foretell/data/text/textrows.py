"""Rows of tokens for a text task: pieces of documents or pairs of them with their special tokens, packed.

What a row holds is a function of the store and the epoch, so that any batch of any step is read at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.counters import seed_of
from foretell.data.text.packing import pack
from foretell.data.text.tokens import TokenStore

Index = NDArray[np.int64]
SHORTEST = 3  # tokens of a piece: of fewer hardly anything is left to foretell from
NO_PAIR = -100
OF_TOKENS = ("ids", "example", "position", "segment", "word", "special", "pair")


@dataclass
class TextBatch:
    """Rows of T tokens. All (B, T) but ``index``.

    ``ids`` int64; ``example`` int64, 1 for the first text or pair packed in a row, 2 for the second, 0 for padding;
    ``position`` int64 within the example; ``segment`` int64, 1 in the second text of a pair; ``word`` bool, where a word
    begins; ``special`` bool, special tokens and padding; ``pair`` int64, at each pair's first token 0 where the second
    text follows the first and 1 where it does not, else -100; ``index`` (B,) rows of the plan; ``expected`` (B, 2)
    float32, how many tokens and pairs a row of the whole global batch has to foretell on average: losses are sums over
    these, so that chunks and processes may be averaged.
    """

    ids: Tensor
    example: Tensor
    position: Tensor
    segment: Tensor
    word: Tensor
    special: Tensor
    pair: Tensor
    index: Tensor
    expected: Tensor

    def __len__(self) -> int:
        return self.ids.shape[0]

    def to(self, device: torch.device) -> TextBatch:
        if self.ids.device == device:
            return self
        return TextBatch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def rows(self, start: int, stop: int) -> TextBatch:
        return TextBatch(*(getattr(self, f.name)[start:stop] for f in fields(self)))


@dataclass
class Examples:
    """E texts, or pairs of texts, as spans of the store's tokens.

    ``first`` and ``second`` (E, 2) int64: start and length of each text, a second one of length 0 where there is none.
    ``lead``, ``between`` and ``trail`` (E,) int64: the special token before the first text, between the two and at the
    end, -1 for none. ``label`` (E,) int64 as ``TextBatch.pair``.
    """

    first: Index
    second: Index
    lead: Index
    between: Index
    trail: Index
    label: Index

    def __len__(self) -> int:
        return len(self.lead)

    @property
    def lengths(self) -> Index:
        """(E,) tokens of each, special ones among them."""
        specials = [(part >= 0).astype(np.int64) for part in (self.lead, self.between, self.trail)]
        return self.first[:, 1] + self.second[:, 1] + specials[0] + specials[1] + specials[2]


def pieces(store: TokenStore, room: int, shortest: int = SHORTEST) -> tuple[Index, Index, Index]:
    """Documents cut into pieces of ``room`` tokens: (start and length (P, 2), begins a document (P,), ends one (P,)).

    The last piece of a document is shorter; one of fewer than ``shortest`` tokens is left out.
    """
    start, end = store.token_spans()
    count = -(-(end - start) // room)
    document = np.repeat(np.arange(len(start)), count)
    number = np.arange(len(document)) - np.repeat(np.cumsum(count) - count, count)
    first = start[document] + number * room
    length = np.minimum(room, end[document] - first)
    kept = length >= shortest
    spans = np.stack([first, length], axis=1)
    return spans[kept], (number == 0)[kept], (first + length == end[document])[kept]


def single_texts(store: TokenStore, length: int, lead: int, trail: int) -> Examples:
    """[CLS] text [SEP], for rows of ``length`` tokens."""
    spans, _, _ = pieces(store, length - 2)
    lead_, between, trail_, label = _filled(len(spans), lead, -1, trail, NO_PAIR)
    return Examples(spans, _none(len(spans)), lead_, between, trail_, label)


def running_texts(store: TokenStore, length: int, end: int) -> Examples:
    """Pieces for a decoder: a document has the token ``end`` before it and after it."""
    spans, begins, ends = pieces(store, length - 2)
    _, between, _, label = _filled(len(spans), 0, -1, 0, NO_PAIR)
    return Examples(spans, _none(len(spans)), np.where(begins, end, -1), between, np.where(ends, end, -1), label)


def _filled(count: int, *values: int) -> list[Index]:
    """Each value ``count`` times, without the memory for it."""
    return [np.broadcast_to(np.int64(value), (count,)) for value in values]


def _none(count: int) -> Index:
    """No second text."""
    return np.broadcast_to(np.int64(0), (count, 2))


class Rows:
    """``examples`` packed into rows of ``length`` tokens, ``pad`` where nothing is left to put.

    ``packed`` false puts one example in each row.
    """

    def __init__(
        self, store: TokenStore, examples: Examples, length: int, pad: int, *, seed: int = 0, packed: bool = True
    ) -> None:
        self.store, self.examples, self.length, self.pad = store, examples, length, pad
        self.lengths = examples.lengths
        if packed:
            self.order, self.ends = pack(self.lengths, length, seed_of("packing", seed))
        else:
            self.order = np.arange(len(examples))
            self.ends = self.order + 1

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def filled(self) -> float:
        """The share of the rows' places that is not padding."""
        return float(self.lengths.sum()) / max(len(self) * self.length, 1)

    def read(self, index: Index) -> TextBatch:
        """The rows ``index`` (B,)."""
        starts = np.where(index > 0, self.ends[np.maximum(index, 1) - 1], 0)
        count = self.ends[index] - starts
        row = np.repeat(np.arange(len(index)), count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        chosen = self.order[starts[row] + within]
        return self._assembled(index, row, within, chosen)

    def _assembled(self, index: Index, row: Index, within: Index, chosen: Index) -> TextBatch:
        """``row``, ``within`` and ``chosen`` (E,): of each example its row, its number in it, and which one it is."""
        shape = (len(index), self.length)
        size = shape[0] * shape[1]
        lengths = self.lengths[chosen]
        before = np.cumsum(lengths) - lengths
        first_of_row = np.flatnonzero(within == 0)
        base = row * self.length + before - before[first_of_row][row]
        ids = np.full(size, self.pad, np.int64)
        example, position, segment = (np.zeros(size, np.int64) for _ in range(3))
        word, special = np.ones(size, bool), np.ones(size, bool)
        pair = np.full(size, NO_PAIR, np.int64)

        places = spread(base, lengths)
        example[places] = np.repeat(within + 1, lengths)
        position[places] = places - np.repeat(base, lengths)
        its = self.examples
        lead, between, trail = its.lead[chosen], its.between[chosen], its.trail[chosen]
        at = base + (lead >= 0)
        second = at + its.first[chosen, 1] + (between >= 0)
        last = second + its.second[chosen, 1]
        for start, spans in ((at, its.first[chosen]), (second, its.second[chosen])):
            places, source = spread(start, spans[:, 1]), spread(spans[:, 0], spans[:, 1])
            ids[places] = self.store.ids[source]
            word[places] = self.store.word_starts(source)
            special[places] = False
        for place, token in ((base, lead), (second - 1, between), (last, trail)):
            there = token >= 0
            ids[place[there]] = token[there]
        paired = its.second[chosen, 1] > 0
        segment[spread(second[paired], (base + lengths - second)[paired])] = 1
        pair[base] = its.label[chosen]
        made = (ids, example, position, segment, word, special, pair)
        of_tokens = {name: torch.from_numpy(value.reshape(shape)) for name, value in zip(OF_TOKENS, made, strict=True)}
        return TextBatch(**of_tokens, index=torch.from_numpy(index.copy()), expected=torch.ones(len(index), 2))

    def examples_of(self, index: Index) -> Index:
        """Which examples lie in the rows ``index``, in order."""
        starts = np.where(index > 0, self.ends[np.maximum(index, 1) - 1], 0)
        found: Index = self.order[spread(starts, self.ends[index] - starts)]
        return found


def spread(start: Index, length: Index) -> Index:
    """The places start, start + 1, ... of each span, one span after another."""
    total = np.cumsum(length)
    places: Index = np.arange(int(total[-1]) if len(total) else 0) + np.repeat(start - (total - length), length)
    return places
