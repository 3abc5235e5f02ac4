"""Hashes of words, of runs of words and of whole texts, by which equal and alike texts are found in one pass.

A text becomes the hashes of its words (letters and digits in any case; of scripts without spaces, single characters), so
that case, spaces and punctuation do not count. From these follow a hash of the whole, hashes of every run of ``RUN`` words,
and a MinHash signature (Broder 1997) over runs of ``SHINGLE`` words. ``Sample`` bounds memory: when it is full it keeps
only hashes that end in a zero bit more, which is the same choice for every copy of a text (content-defined sampling).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Records = NDArray[Any]

RUN = 13  # words of a run that two texts share by copying, hardly ever by chance (Brown et al. 2020, appendix C)
SHINGLE = 5  # words
VALUES = 64  # of a signature
BAND = 4  # values that must agree for two texts to be compared
ALIKE = 0.8  # of the values: an estimate of the share of shingles that two texts have in common, within about 0.05

_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc, untyped-decorator, unused-ignore]
def _mixed(x):  # type: ignore[no-untyped-def]
    """The finaliser of SplitMix64: every bit depends on every other."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc, untyped-decorator, unused-ignore]
def _hash_words(data, found):  # type: ignore[no-untyped-def]
    """Hashes of the words of UTF-8 bytes into ``found``; how many there are."""
    count, size, i = 0, len(data), 0
    state, open_ = _BASIS, False
    while i < size:
        b = data[i]
        second = data[i + 1] if i + 1 < size else np.uint8(0)
        third = data[i + 2] if i + 2 < size else np.uint8(0)
        length = 1 if b < 0x80 else 2 if b < 0xE0 else 3 if b < 0xF0 else 4
        letter = (48 <= b <= 57) or (65 <= b <= 90) or (97 <= b <= 122) or b >= 0x80
        # punctuation of Latin-1, of U+2000 to U+2BFF, of Chinese and Japanese, and its wide forms
        if b == 0xC2 or (b == 0xE2 and second < 0xB0) or (b == 0xE3 and second == 0x80):
            letter = False
        if b == 0xEF and second == 0xBC and third < 0x90:
            letter = False
        # kana, Chinese characters, Thai and Lao stand alone
        alone = letter and ((0xE3 <= b <= 0xE9) or (b == 0xE0 and 0xB8 <= second <= 0xBB))
        if open_ and (alone or not letter):
            found[count] = _mixed(state)
            count += 1
            state, open_ = _BASIS, False
        if letter:
            for k in range(i, min(i + length, size)):
                state = (state ^ np.uint64(data[k])) * _PRIME
            open_ = True
            if alone:
                found[count] = _mixed(state)
                count += 1
                state, open_ = _BASIS, False
        i += length
    if open_:
        found[count] = _mixed(state)
        count += 1
    return count


def hash_words(text: str) -> Hashes:
    """(words,) hashes of the words of ``text``, in order and in any case.

    >>> bool((hash_words("The cat, sat!") == hash_words("the CAT sat")).all())
    True
    """
    data = np.frombuffer(text.casefold().encode("utf-8", "replace"), np.uint8)
    found = np.empty(len(data) // 2 + 1, np.uint64)
    return found[: _hash_words(data, found)]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc, untyped-decorator, unused-ignore]
def _hash_runs(words, length):  # type: ignore[no-untyped-def]
    found = np.empty(max(0, len(words) - length + 1), np.uint64)
    for i in range(len(found)):
        state = _GOLDEN
        for k in range(i, i + length):
            state = state * _PRIME + words[k]
        found[i] = _mixed(state)
    return found


def hash_runs(words: Hashes, length: int = RUN) -> Hashes:
    """(words - length + 1,) hashes of all runs of ``length`` words; of fewer words, one of them all; () of none."""
    found: Hashes = _hash_runs(words, max(1, min(length, len(words))))
    return found


def hash_whole(words: Hashes) -> int:
    """One hash of all words in order."""
    return int(_hash_runs(words, len(words))[0]) if len(words) else 0


@numba.njit(cache=True, nogil=True)  # type: ignore[misc, untyped-decorator, unused-ignore]
def _signature(shingles, found):  # type: ignore[no-untyped-def]
    for k in range(len(found)):
        factor = _mixed(np.uint64(k) * _GOLDEN + np.uint64(1)) | np.uint64(1)
        low = np.uint64(0xFFFFFFFFFFFFFFFF)
        for shingle in shingles:
            value = shingle * factor
            value ^= value >> np.uint64(29)
            low = min(low, value)
        found[k] = np.uint16(_mixed(low) >> np.uint64(48))


def signature(words: Hashes) -> NDArray[np.uint16]:
    """(64,) the MinHash signature of a text: the share of equal values estimates the Jaccard index of the shingles."""
    found = np.zeros(VALUES, np.uint16)
    _signature(hash_runs(words, SHINGLE), found)
    return found


def _agreeing(signatures: NDArray[np.uint16], pairs: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(pairs), 1 << 16):
        part = pairs[start : start + (1 << 16)]
        agree = (signatures[part[:, 0]] == signatures[part[:, 1]]).mean(axis=1)
        yield from ((int(a), int(b)) for a, b in part[(agree >= ALIKE) & (part[:, 0] != part[:, 1])])


def alike_pairs(signatures: NDArray[np.uint16]) -> list[tuple[int, int]]:
    """(row, row) of signatures (N, 64) that agree in ``ALIKE`` of their values; enough pairs to join every cluster.

    Rows that agree in a band of ``BAND`` values are compared with the first and the previous row of that band (locality
    sensitive hashing, Indyk and Motwani 1998): texts with a Jaccard index of 0.8 are missed once in 5,000.
    """
    keys = np.ascontiguousarray(signatures).view(np.uint64)
    found: set[tuple[int, int]] = set()
    for band in range(keys.shape[1]):
        key = keys[:, band]
        order = np.argsort(key, kind="stable")
        same = key[order[1:]] == key[order[:-1]]
        at = np.flatnonzero(same) + 1
        begins = np.flatnonzero(np.concatenate([[True], ~same]))
        first = order[begins[np.searchsorted(begins, at, side="right") - 1]]
        for other in (order[at - 1], first):
            found.update(_agreeing(signatures, np.sort(np.stack([other, order[at]], axis=1), axis=1)))
    return sorted(found)


class Sample:
    """Records (a structured dtype with the field "hash") of which all, or one in 2^``bits`` by hash, are kept.

    ``most`` bounds them.
    """

    def __init__(self, dtype: np.dtype[Any], most: int) -> None:
        self.most, self.bits = most, 0
        self._held: Records = np.zeros(1024, dtype)
        self._count = 0
        self._waiting: list[Any] = []

    def put(self, record: tuple[int, ...]) -> None:
        """One record."""
        self._waiting.append(record)
        if len(self._waiting) == 4096:
            self._flush()

    def add(self, records: Records) -> None:
        """(n,) records."""
        kept = self._chosen(records)
        end = self._count + len(kept)
        if end > len(self._held):
            self._held = np.resize(self._held, max(end, 2 * len(self._held)))
        self._held[self._count : end] = kept
        self._count = end
        while self._count > self.most:
            self.bits += 1
            kept = self._chosen(self._held[: self._count])
            self._held[: len(kept)] = kept
            self._count = len(kept)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.add(np.array(waiting, self._held.dtype))

    def _chosen(self, records: Records) -> Records:
        if not self.bits:
            return records
        mask = np.uint64((1 << self.bits) - 1)
        chosen: Records = records[(records["hash"] & mask) == 0]
        return chosen

    @property
    def records(self) -> Records:
        """What is kept, sorted by hash, of equal ones in the order given."""
        self._flush()
        held = self._held[: self._count]
        ordered: Records = held[np.argsort(held["hash"], kind="stable")]
        return ordered

    @property
    def share(self) -> float:
        """Of all hashes, that are kept."""
        return 2.0**-self.bits


def runs_of_equals(hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(begin, end) of each run of two or more equal values of sorted ``hashes``."""
    if not len(hashes):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    begins = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    ends = np.append(begins[1:], len(hashes))
    several = ends - begins > 1
    return begins[several], ends[several]
