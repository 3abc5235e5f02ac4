"""Exact match and F1 of answers, and the threshold below which no answer is given.

Sources: Rajpurkar et al. 2016 (arXiv 1606.05250), section 6.1; Rajpurkar, Jia and Liang 2018 (arXiv 1806.03822).
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from foretell.tasks.tags_score import f1, ratio

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without ASCII punctuation, articles (a, an, the) and white space that is not needed.

    >>> normalised("The  Eiffel-Tower, Paris!")
    'eiffeltower paris'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(answer: str, gold: str) -> bool:
    """Whether both are the same when normalised."""
    return normalised(answer) == normalised(gold)


def overlap(answer: str, gold: str) -> float:
    """F1 of the words that both have, as bags; where one is without words, 1 if both are and else 0."""
    ours, theirs = normalised(answer).split(), normalised(gold).split()
    if not ours or not theirs:
        return float(ours == theirs)
    return f1((Counter(ours) & Counter(theirs)).total(), len(ours), len(theirs))


def judged(answer: str, gold: Sequence[str]) -> tuple[float, float]:
    """(exact match, F1) against the most favourable of ``gold``; ("",) where no answer is right.

    A gold answer of which normalising leaves nothing ("the") counts only where there is no other.
    """
    wanted = [text for text in gold if normalised(text)] or [""]
    return float(max(exact(answer, text) for text in wanted)), max(overlap(answer, text) for text in wanted)


class AnswerTally:
    """Sums over questions; memory does not grow with them."""

    def __init__(self) -> None:
        self._sums = {True: [0.0, 0.0, 0.0], False: [0.0, 0.0, 0.0]}  # answerable -> questions, exact, F1

    def add(self, answer: str, gold: Sequence[str]) -> None:
        """``answer`` is "" where none is given; ``gold`` as ``judged``."""
        scores = (1.0, *judged(answer, gold))
        sums = self._sums[any(gold)]
        for at, value in enumerate(scores):
            sums[at] += value

    @property
    def questions(self) -> int:
        return int(self._sums[True][0] + self._sums[False][0])

    def result(self) -> dict[str, float]:
        """ "exact" and "f1" in [0, 1]; where some questions have no answer also "answerable_f1" and "impossible_f1" (the
        share of these to which none was given). NaN of nothing.
        """
        (count, exact_there, f1_there), (rest, exact_none, f1_none) = self._sums[True], self._sums[False]
        made = {"exact": ratio(exact_there + exact_none, count + rest), "f1": ratio(f1_there + f1_none, count + rest)}
        return (
            {**made, "answerable_f1": ratio(f1_there, count), "impossible_f1": ratio(f1_none, rest)} if rest else made
        )


def best_threshold(found: Iterable[tuple[float, float, bool]]) -> float:
    """The threshold with the highest mean score, for questions that are not the ones to be judged.

    ``found``: for each question how much likelier no answer is than the best one, the score that the best answer has, and
    whether no answer is right. No answer is given where the first is above the threshold. The middle between two values that
    are next to each other is taken, of equally good ones the lowest; 1 below the lowest (never answer) and 1 above the highest
    (always) are among them. A margin that is not finite decides by itself, and 0.0 is the threshold of no other.
    """
    rows = np.asarray([row for row in found if math.isfinite(row[0])], dtype=np.float64)
    if not len(rows):
        return 0.0
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    margins, gains = rows[:, 0], rows[:, 1] - rows[:, 2]
    # after[i]: summed gain of answering the i questions with the lowest margins, where those of equal margin go together
    after = np.concatenate([[0.0], np.cumsum(gains)])
    cut = np.concatenate([[True], margins[1:] > margins[:-1], [True]])
    best = int(np.argmax(np.where(cut, after, -np.inf)))
    edges = np.concatenate([[margins[0] - 2], margins, [margins[-1] + 2]])
    return float((edges[best] + edges[best + 1]) / 2)
