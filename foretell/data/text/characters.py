"""Characters that text seldom means to hold: what is left of a wrong encoding, of a conversion or of a copy."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

KINDS = {
    "control": "control characters",
    "replacement": "replacement characters (U+FFFD: bytes that could not be read when the text was made)",
    "private": "private-use characters, which mean nothing without their font",
    "invisible": "invisible characters (zero-width spaces, direction marks, byte order marks inside the text)",
    "none": "code points that are no characters",
    "mojibake": "letters as of UTF-8 read in another encoding ('Ã©' for 'é')",
}

_ODD = re.compile(
    "(?P<control>[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f])"
    "|(?P<replacement>\ufffd)"
    "|(?P<private>[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd])"
    # the joiners U+200C and U+200D are spelling in Persian, Hindi and emoji
    "|(?P<invisible>[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff])"
    "|(?P<none>[\ufdd0-\ufdef\ufffe\uffff])"
    "|(?P<mojibake>[ÃÂ][\u0080-\u00bf]|â€[™œ\u009d“”¦˜]|â€\u201c|Ð[\u0080-\u00bf]Ñ[\u0080-\u00bf])"
)


def odd_characters(text: str) -> Counter[str]:
    """How often each kind of ``KINDS`` occurs in ``text``.

    >>> odd_characters("caf\\u00c3\\u00a9 \\ufffd")
    Counter({'mojibake': 1, 'replacement': 1})
    """
    if _ODD.search(text) is None:
        return Counter()
    return Counter(str(match.lastgroup) for match in _ODD.finditer(text))


def composition(text: str) -> str:
    """ "composed" (é is one character), "decomposed" (a letter and a mark), "mixed", or "" where neither occurs (NFC, NFD)."""
    if text.isascii():
        return ""
    composed = not unicodedata.is_normalized("NFD", text)
    decomposed = not unicodedata.is_normalized("NFC", text)
    if composed and decomposed:
        return "mixed"
    return "composed" if composed else "decomposed" if decomposed else ""
