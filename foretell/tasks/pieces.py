"""The pieces a tokenizer makes of a text, with the characters that each stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from foretell.tasks.inputs import Index

AT_ONCE = 1_000  # texts tokenised at a time
WORD_END = re.compile(r"\S*")


@dataclass(frozen=True, slots=True)
class Pieces:
    """``ids`` of the pieces of a text; piece i stands for the characters ``start[i]`` to ``end[i]`` of it (int64).

    Some tokenizers count white space before a word to its first piece; several pieces may stand for one character.
    """

    ids: list[int]
    start: Index
    end: Index

    def __len__(self) -> int:
        return len(self.ids)

    def first_at(self, character: Index) -> Index:
        """The piece that each of ``character`` begins in: the first that reaches beyond it, else the last one."""
        found: Index = np.minimum(np.searchsorted(self.end, character, side="right"), len(self) - 1)
        return found

    def lacking(self, start: Index, end: Index) -> NDArray[np.bool_]:
        """Whether no piece stands for any of the characters ``start`` to ``end``, each of one word."""
        first = np.searchsorted(self.end, start, side="right")
        found: NDArray[np.bool_] = (first == len(self)) | (self.start[np.minimum(first, len(self) - 1)] >= end)
        return found

    def last_before(self, character: Index) -> Index:
        """The last piece that begins before each of ``character``."""
        found: Index = np.maximum(np.searchsorted(self.start, character, side="left") - 1, 0)
        return found

    def text(self, whole: str, first: int, last: int) -> str:
        """What the pieces ``first`` to ``last`` stand for in ``whole``, without white space round it.

        Characters that belong to no piece (an accent that the tokenizer strips) are counted to the piece before, up to the
        first white space: what comes after it (a space of no width before the next word) is of another word.
        """
        end = int(self.end[last])
        after = int(self.start[last + 1]) if last + 1 < len(self) else len(whole)
        loose = WORD_END.match(whole, end, max(end, after))
        assert loose is not None  # it matches nothing, too
        return whole[int(self.start[first]) : loose.end()].strip()


def pieces_of(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[Pieces]:
    """The pieces of each text, without special tokens; a thousand texts are tokenised at a time."""
    waiting = iter(texts)
    while part := list(islice(waiting, AT_ONCE)):
        for found in tokenizer.encode_batch(part, add_special_tokens=False):
            places = np.array(found.offsets, np.int64).reshape(-1, 2)
            yield Pieces(found.ids, places[:, 0], places[:, 1])
