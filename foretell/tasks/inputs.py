"""Token sequences of a labelled task, and how those of a batch are laid into rows with hardly any padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.data.text.packing import pack
from foretell.data.text.textrows import spread
from foretell.encoders.attention import packed_mask
from foretell.encoders.language import LanguageModel

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Sequences:
    """S token sequences: sequence s is ``ids[start[s] : start[s] + length[s]]``.

    ``second`` (S,): tokens before its second text (its length where there is none); ``summary`` (S,): which of its
    tokens stands for the whole. All int64 but ``ids``; places count from the sequence's first token.
    """

    ids: NDArray[np.int32]
    start: Index
    length: Index
    second: Index
    summary: Index

    @classmethod
    def of(cls, tokens: Sequence[Sequence[int]], second: Iterable[int], summary: Iterable[int]) -> Sequences:
        """From lists of token ids."""
        length = np.array([len(one) for one in tokens], np.int64)
        flat = np.fromiter((token for one in tokens for token in one), np.int32, int(length.sum()))
        return cls(
            flat,
            np.cumsum(length) - length,
            length,
            np.fromiter(second, np.int64, len(tokens)),
            np.fromiter(summary, np.int64, len(tokens)),
        )

    @classmethod
    def concatenated(cls, parts: Sequence[Sequences]) -> Sequences:
        """The sequences of all ``parts``, one part after another; at least one."""
        sizes = np.array([len(part.ids) for part in parts], np.int64)
        before = np.cumsum(sizes) - sizes
        joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)}
        return cls(**{**joined, "start": joined["start"] + np.repeat(before, [len(part) for part in parts])})

    def __len__(self) -> int:
        return len(self.length)

    def take(self, which: Index) -> Sequences:
        """The sequences ``which``; the tokens are shared."""
        named = {f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "ids"}
        return replace(self, **named)

    def tokens(self, which: int) -> list[int]:
        """The ids of one sequence."""
        start = int(self.start[which])
        found: list[int] = self.ids[start : start + int(self.length[which])].tolist()
        return found


@dataclass
class Inputs:
    """S sequences of B examples in R rows of T tokens; several short ones share a row, none of which sees another.

    (R, T): ``ids`` int64; ``sequence`` int64, 1 for the first sequence of the batch, 0 for padding; ``position`` int64
    within the sequence; ``segment`` int64, 1 in the second text; ``content`` bool, neither special token nor padding.
    (S,) int64: ``start``, ``length`` and ``summary``: places in the flattened rows, where a sequence is contiguous; its
    token j is at ``start + j``. ``owner``: the example, 0 to B - 1, that each sequence belongs to, in rising order.
    """

    ids: Tensor
    sequence: Tensor
    position: Tensor
    segment: Tensor
    content: Tensor
    start: Tensor
    length: Tensor
    summary: Tensor
    owner: Tensor

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return int(self.length.sum())

    def to(self, device: Any) -> Inputs:
        return Inputs(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def named(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def states(self, model: LanguageModel) -> Tensor:
        """(R, T, width) of ``model``, each sequence by itself."""
        mask = packed_mask(self.sequence, model.shape.causal) if model.shape.layers else None
        segment = self.segment if model.shape.segments > 1 else None
        found: Tensor = model.net(self.ids, position=self.position, segment=segment, mask=mask)
        return found

    def summaries(self, states: Tensor) -> Tensor:
        """(S, width): the state of each sequence's summary token."""
        return states.flatten(0, 1)[self.summary]

    def means(self, states: Tensor) -> Tensor:
        """(S, width): the mean state of each sequence's content tokens (of all its tokens where it has none)."""
        flat, number = states.flatten(0, 1), self.sequence.flatten()
        content = self.content.flatten().float()
        bare = torch.zeros(len(self.start) + 1, device=flat.device).index_add_(0, number, content) == 0
        weight = torch.where(bare[number], torch.ones_like(content), content)
        size = torch.zeros(len(self.start) + 1, device=flat.device).index_add_(0, number, weight)
        summed = flat.new_zeros(len(self.start) + 1, flat.shape[1]).index_add_(0, number, flat * weight[:, None])
        return (summed / size.clamp(min=1)[:, None].to(flat.dtype))[1:]


def lay(sequences: Sequences, owner: Index, pad: int, specials: Iterable[int] = (), *, seed: int = 0) -> Inputs:
    """``sequences`` in as few rows as best-fit packing finds, as wide as the longest of them.

    ``owner`` (S,) as in ``Inputs``; ``pad``: the id of padding; ``specials``: ids that are not content. Which row a
    sequence lies in is a function of the lengths and ``seed``.
    """
    count, room = len(sequences), int(sequences.length.max())
    order, ends = pack(sequences.length, room, seed)
    sizes = np.diff(ends, prepend=0)
    row = np.repeat(np.arange(len(ends)), sizes)
    lengths = sequences.length[order]
    before = np.cumsum(lengths) - lengths
    first = ends - sizes
    start = np.empty(count, np.int64)
    start[order] = row * room + before - before[first][row]

    total = len(ends) * room
    ids = np.full(total, pad, np.int64)
    number, position, segment = (np.zeros(total, np.int64) for _ in range(3))
    places = spread(start, sequences.length)
    ids[places] = sequences.ids[spread(sequences.start, sequences.length)]
    number[places] = np.repeat(np.arange(1, count + 1), sequences.length)
    position[places] = places - np.repeat(start, sequences.length)
    segment[spread(start + sequences.second, sequences.length - sequences.second)] = 1
    content = (number > 0) & ~np.isin(ids, np.fromiter(specials, np.int64))

    def rows(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.reshape(len(ends), room))

    return Inputs(
        rows(ids),
        rows(number),
        rows(position),
        rows(segment),
        rows(content),
        *(torch.from_numpy(values) for values in (start, sequences.length, start + sequences.summary, owner)),
    )
