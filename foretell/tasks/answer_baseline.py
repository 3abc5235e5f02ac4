"""What answers a question without a network: the words in the text around which most of the question's words stand.

After the sliding window of Richardson, Burges and Renshaw 2013 (MCTest, EMNLP) and its distance-based form. A candidate is
a run of words that the question does not have, between question words, punctuation or the ends of the text, without common
words at its ends. Its score is the sum over the question's words within as many words on either side as the question has,
each ``log(1 + 1 / occurrences in the text)`` over its distance.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from foretell.data.text.letters import MARKS

LONGEST = 8  # words of an answer
COMMON = 0.1  # share of the texts, in more than which a common word occurs
FEWEST = 5  # texts, in more than which it must occur too

_ITEM = re.compile(rf"\w[\w{MARKS}]*(?:['’.-][\w{MARKS}]+)*|[^\w\s]")


class SlidingWindow:
    """The best run of words for a question on a text. ``common``: words that no answer begins or ends with."""

    def __init__(self, contexts: Iterable[str]) -> None:
        """``contexts``: the texts of the training questions, which say what words are common."""
        texts = set(contexts)
        counts = Counter(item for text in texts for item in {match[0].lower() for match in _ITEM.finditer(text)})
        self.common = frozenset(item for item, count in counts.items() if count > max(COMMON * len(texts), FEWEST))

    def __call__(self, question: str, context: str) -> tuple[str, float]:
        """(answer, score): a verbatim piece of the context of up to 8 words, and how well the question's words stand round
        it; ("", 0.0) where no word could be an answer. Of equal scores the first.
        """
        matches = list(_ITEM.finditer(context))
        items = [match[0].lower() for match in matches]
        asked = {match[0].lower() for match in _ITEM.finditer(question) if match[0][0].isalnum()}
        shared = np.array([item in asked for item in items], dtype=bool)
        runs = self._runs(items, shared)
        if not len(runs):
            return "", 0.0
        _, number, count = np.unique(items, return_inverse=True, return_counts=True)
        weight = np.log1p(1.0 / count)[number]
        place = np.arange(len(items))
        # words from each run to each item, before it or after it
        distance = np.maximum(runs[:, :1] - place, place - (runs[:, 1:] - 1))
        near = shared & (distance >= 1) & (distance <= max(1, len(asked)))
        scores = np.where(near, weight / np.maximum(distance, 1), 0.0).sum(1)
        best = int(scores.argmax())
        first, end = runs[best].tolist()
        return context[matches[first].start() : matches[end - 1].end()], float(scores[best])

    def _runs(self, items: list[str], shared: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(N, 2) first item and the one after the last of the candidates."""
        found: list[list[int]] = []
        for at, (item, ours) in enumerate(zip(items, shared.tolist(), strict=True)):
            if ours or not item[0].isalnum():
                continue
            if found and found[-1][1] == at and at - found[-1][0] < LONGEST:
                found[-1][1] = at + 1
            elif item not in self.common:
                found.append([at, at + 1])
        for run in found:
            while items[run[1] - 1] in self.common:
                run[1] -= 1
        return np.array(found, np.int64).reshape(-1, 2)
