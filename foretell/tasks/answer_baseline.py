"""What answers a question without a network: the words in the text around which most of the question's words stand.

After the sliding window of Richardson, Burges and Renshaw 2013 (MCTest, EMNLP) and its distance-based form. A candidate is
a run of words that the question does not have, between question words, punctuation or the ends of the text. Its score is
the sum over the question's words within as many words on either side as the question has, each ``log(1 + 1 / occurrences
in the text)`` over its distance.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

LONGEST = 8  # words of an answer

_ITEM = re.compile(r"\w+(?:['’.-]\w+)*|[^\w\s]")


class SlidingWindow:
    """The best run of words for a question on ``context``; one object serves all questions on one text."""

    def __init__(self, context: str) -> None:
        self.context = context
        self._items = [(match.start(), match.end(), match[0].lower()) for match in _ITEM.finditer(context)]

    @cached_property
    def _weight(self) -> NDArray[np.float64]:
        """(items,) what each counts where the question has it."""
        _, number, count = np.unique([item for _, _, item in self._items], return_inverse=True, return_counts=True)
        weight: NDArray[np.float64] = np.log1p(1.0 / count)[number]
        return weight

    def __call__(self, question: str) -> tuple[str, float]:
        """(answer, score): a verbatim piece of the context of up to 8 words, and how well the question's words stand round
        it; ("", 0.0) where no word could be an answer. Of equal scores the first.
        """
        asked = {item for item in (match[0].lower() for match in _ITEM.finditer(question)) if item[0].isalnum()}
        shared = np.array([item in asked for _, _, item in self._items], dtype=bool)
        runs = self._runs(shared)
        if not len(runs):
            return "", 0.0
        place = np.arange(len(shared))
        # words from each run to each item, before it or after it
        distance = np.maximum(runs[:, :1] - place, place - (runs[:, 1:] - 1))
        near = shared & (distance >= 1) & (distance <= max(1, len(asked)))
        scores = np.where(near, self._weight / np.maximum(distance, 1), 0.0).sum(1)
        best = int(scores.argmax())
        first, end = runs[best].tolist()
        return self.context[self._items[first][0] : self._items[end - 1][1]], float(scores[best])

    def _runs(self, shared: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(N, 2) first item and the one after the last of the candidates."""
        free = [not ours and item[0].isalnum() for ours, (_, _, item) in zip(shared, self._items, strict=True)]
        found: list[tuple[int, int]] = []
        for at, open_ in enumerate(free):
            if not open_:
                continue
            if found and found[-1][1] == at and at - found[-1][0] < LONGEST:
                found[-1] = (found[-1][0], at + 1)
            else:
                found.append((at, at + 1))
        return np.array(found, np.int64).reshape(-1, 2)
