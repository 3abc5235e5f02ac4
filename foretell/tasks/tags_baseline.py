"""What tags words without a network: the commonest tag of the word, and of its ending for a word never seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

LONGEST = 5  # letters of an ending


def _commonest(counts: Counter[str]) -> str:
    """The tag that occurs most, the first in the alphabet of equals."""
    return min(counts, key=lambda tag: (-counts[tag], tag))


class MajorityTag:
    """The tag a word had most often in training; a word never seen gets that of its longest ending that was seen.

    An ending has up to five letters, and that of no letters is every word: a tag is always given. Endings are counted over
    different words, since those that are new resemble the rare ones (Brants 2000, cs/0003055).
    """

    def __init__(self, sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> None:
        """``sentences``: (words, tags) of the training part, at least one word."""
        words: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for ours, tags in sentences:
            for word, tag in zip(ours, tags, strict=True):
                words[word][tag] += 1
        endings: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for word, counts in words.items():
            for length in range(min(LONGEST, len(word)) + 1):
                endings[word[len(word) - length :]].update(counts.keys())
        self._words = {word: _commonest(counts) for word, counts in words.items()}
        self._endings = {ending: _commonest(counts) for ending, counts in endings.items()}

    def __call__(self, words: Sequence[str]) -> list[str]:
        """One tag a word."""
        return [self._words.get(word) or self._of_ending(word) for word in words]

    def _of_ending(self, word: str) -> str:
        at = max(0, len(word) - LONGEST)
        return next(self._endings[word[start:]] for start in range(at, len(word) + 1) if word[start:] in self._endings)
