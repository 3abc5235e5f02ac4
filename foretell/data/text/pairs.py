"""Pairs of texts for next-sentence prediction, as BERT's released code builds them (Devlin et al. 2018, arXiv 1810.04805).

A document's sentences are gathered until a target length; the first part of them is the first text, and the second is
the rest, or as often (and always where only one sentence is left) sentences of another document. A label of 0 says that
the second follows, 1 that it was drawn at random. A pair that is too long loses tokens one at a time from the longer
text, from its front or back.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from foretell.data.text.textrows import Examples
from foretell.data.text.tokens import TokenStore

Index = NDArray[np.int64]
SHORT = 0.1  # share of the documents whose pairs have a target length drawn from 2 to the longest


def next_sentences(store: TokenStore, length: int, cls: int, sep: int, seed: int) -> Examples:
    """Pairs for rows of ``length`` tokens: [CLS] first [SEP] second [SEP]. A function of the store and ``seed``."""
    first, end = store.sentence_spans()
    found = _built(store.sentence_ends, first, end, length - 3, SHORT, np.uint64(seed))
    count = len(found)
    lead, between = np.full(count, cls, np.int64), np.full(count, sep, np.int64)
    return Examples(found[:, :2], found[:, 2:4], lead, between, between, found[:, 4])


@numba.njit(cache=True, nogil=True)
def _random(state):  # type: ignore[no-untyped-def]
    """The next number in [0, 1) of ``state`` (splitmix64; Steele et al. 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float64((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / 9007199254740992.0


@numba.njit(cache=True, nogil=True)
def _below(state, high):  # type: ignore[no-untyped-def]
    return min(int(_random(state) * high), high - 1)


@numba.njit(cache=True, nogil=True)
def _built(ends, firsts, lasts, budget, short, seed):  # type: ignore[no-untyped-def]
    """(pairs, 5): start and length of the first text, start and length of the second, label."""
    state = np.empty(1, np.uint64)
    state[0] = seed
    documents = len(firsts)
    most = 0
    for d in range(documents):
        most += lasts[d] - firsts[d]
    out = np.empty((most, 5), np.int64)
    made = 0
    for d in range(documents):
        target = budget
        if _random(state) < short:
            target = 2 + _below(state, budget - 1)
        i = firsts[d]
        begin = i
        while i < lasts[d]:
            start = ends[begin - 1] if begin else 0
            if i == lasts[d] - 1 or ends[i] - start >= target:
                held = i + 1 - begin
                a_end = begin + 1
                if held >= 2:
                    a_end = begin + 1 + _below(state, held - 1)
                a0, a1 = start, ends[a_end - 1]
                if held == 1 or _random(state) < 0.5:
                    label = 1
                    other = d
                    for _ in range(10):
                        other = _below(state, documents)
                        if other != d:
                            break
                    place = firsts[other] + _below(state, lasts[other] - firsts[other])
                    b0 = ends[place - 1] if place else 0
                    while place < lasts[other] - 1 and ends[place] - b0 < target - (a1 - a0):
                        place += 1
                    b1 = ends[place]
                    i = a_end - 1  # the rest is put back
                else:
                    label = 0
                    b0, b1 = ends[a_end - 1], ends[i]
                while (a1 - a0) + (b1 - b0) > budget:
                    front = _random(state) < 0.5
                    if a1 - a0 > b1 - b0:
                        if front:
                            a0 += 1
                        else:
                            a1 -= 1
                    elif front:
                        b0 += 1
                    else:
                        b1 -= 1
                out[made, 0], out[made, 1] = a0, a1 - a0
                out[made, 2], out[made, 3] = b0, b1 - b0
                out[made, 4] = label
                made += 1
                begin = i + 1
            i += 1
    return out[:made].copy()
