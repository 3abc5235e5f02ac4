"""Letters with the marks that belong to them: vowel signs, tones, points. Python's ``\\w`` and ``str.isalpha`` know letters
alone, and would cut a word of Hindi, Thai or pointed Hebrew at every mark.
"""

from __future__ import annotations

import unicodedata
from itertools import groupby


def is_mark(character: str) -> bool:
    """Whether ``character`` is a combining mark (Unicode's general category M)."""
    return unicodedata.category(character).startswith("M")


def is_word(text: str) -> bool:
    """Whether ``text`` is letters alone, with their marks: ``str.isalpha`` for every script.

    >>> is_word("नदी"), is_word("maji"), is_word("3x"), is_word("")
    (True, True, False, False)
    """
    return text[:1].isalpha() and all(character.isalpha() or is_mark(character) for character in text)


def _ranges() -> str:
    points = [point for point in (*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)) if is_mark(chr(point))]
    runs = [[point for _, point in run] for _, run in groupby(enumerate(points), lambda pair: pair[1] - pair[0])]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


MARKS = _ranges()  # every combining mark, as ranges for a character class of a regular expression
