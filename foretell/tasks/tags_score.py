"""Scores of tagged sentences from counts: accuracy, macro-F1 and, of BIO tags, exact entities.

Every word counts. A tag that training had no label of cannot be foretold: its words count as errors, and its F1 is 0 in the
mean of macro-F1, as scikit-learn has it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from foretell.tasks.entities import are_bio, entities, malformed


def ratio(part: float, whole: float) -> float:
    """``part / whole``, NaN of nothing."""
    return part / whole if whole else math.nan


def f1(hits: int, foretold: int, there: int) -> float:
    """The harmonic mean of precision ``hits / foretold`` and recall ``hits / there``; NaN where there is neither."""
    return ratio(2 * hits, foretold + there)


class TagTally:
    """Sums over sentences; memory grows with the pairs of tags that occur, not with the test set.

    ``known``: the tags that training had. Entities are counted where these are BIO tags (``entities.are_bio``).
    """

    def __init__(self, known: Sequence[str]) -> None:
        self.known = frozenset(known)
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.sentences = self.right = 0
        self._bio = are_bio(known)
        self._hits: Counter[str] = Counter()
        self._foretold: Counter[str] = Counter()
        self._there: Counter[str] = Counter()
        self._malformed = 0

    def add(self, truth: Sequence[str], foretold: Sequence[str]) -> None:
        """One sentence: the tags of its words and what was foretold. Raises ValueError on unequal lengths."""
        self.pairs.update(zip(truth, foretold, strict=True))
        self.sentences += 1
        self.right += list(truth) == list(foretold)
        if not self._bio:
            return
        # an unseen tag that is not BIO has no type: it is outside, and counts in the accuracy alone
        there, found = (
            entities([tag if tag[:2] in ("B-", "I-") else "O" for tag in tags]) for tags in (truth, foretold)
        )
        self._there.update(kind for _, _, kind in there)
        self._foretold.update(kind for _, _, kind in found)
        self._hits.update(kind for _, _, kind in set(there) & set(found))
        self._malformed += malformed(foretold)

    def by_tag(self) -> dict[str, dict[str, float]]:
        """Tag -> "f1" and "words" (how many have it), commonest first."""
        there, found = Counter[str](), Counter[str]()
        for (tag, guess), count in self.pairs.items():
            there[tag] += count
            found[guess] += count
        order = sorted({*there, *found}, key=lambda tag: (-there[tag], tag))
        return {tag: {"f1": f1(self.pairs[tag, tag], found[tag], there[tag]), "words": there[tag]} for tag in order}

    def result(self) -> dict[str, float]:
        """ "accuracy" and "macro_f1" over the tags that occur or are foretold, "whole_sentences" (share without an error) and
        "unseen_words" (share whose tag is not ``known``); of BIO tags "entity_precision", "entity_recall", "entity_f1" (over
        all entities) and "malformed" (``entities.malformed`` of what was foretold, a sentence). NaN where there is nothing to
        divide by; of entities 0, as in the CoNLL-2000 evaluation.
        """
        tags = self.by_tag()
        words = self.pairs.total()
        right = sum(count for (tag, guess), count in self.pairs.items() if tag == guess)
        unseen = sum(count for (tag, _), count in self.pairs.items() if tag not in self.known)
        made = {
            "accuracy": ratio(right, words),
            "macro_f1": ratio(sum(one["f1"] for one in tags.values()), len(tags)),
            "whole_sentences": ratio(self.right, self.sentences),
            "unseen_words": ratio(unseen, words),
        }
        if not self._bio:
            return made
        hits, found, there = self._hits.total(), self._foretold.total(), self._there.total()
        return {
            **made,
            "entity_precision": hits / max(found, 1),
            "entity_recall": hits / max(there, 1),
            "entity_f1": 2 * hits / max(found + there, 1),
            "malformed": ratio(self._malformed, self.sentences),
        }
