"""Where sentences end, by rules that need no model and no network.

A sentence ends after a full stop, question or exclamation mark (with the quotes and brackets that close there) when white
space and something that can begin a sentence follow: a letter that is not lower case, a digit, an opening mark. It does
not end after an abbreviation, an initial or the number of an enumeration. The full stops of Chinese, Japanese, Devanagari,
Bengali and Urdu end one wherever they stand. The rules err on the side of sentences that are too long.
"""

from __future__ import annotations

import re

# no sentence ends after these, even where a capital letter follows: titles, and what a name follows
_ABBREVIATIONS = (
    # English
    "mr mrs ms dr prof rev hon gen capt lt sgt rep gov pres st mt ft jr sr vs viz cf eds dept univ bros est approx ave blvd "
    # French, Spanish, Italian, Portuguese
    "mme mlle mm av boul éd sra srta dña ud uds sig dott ing avv "
    # German
    "hr fr bzw ca evtl ggf inkl usw vgl z.b u.a d.h s.o s.u hrsg "
    # Russian
    "г гг ул им тыс млн млрд др пр т.е т.к т.д напр "
    # letters joined by full stops
    "e.g i.e u.s u.k u.n a.m p.m a.d b.c d.c n.b"
)
# words too, or words cut short that a number follows: no sentence ends between these and a digit
_BEFORE_NUMBER = (
    "no nos nr núm fig figs eq sec art vol vols ch chap cap p pp pág págs str стр "
    "jan feb mar apr jun jul aug sept sep oct nov dec"
)
ABBREVIATIONS, BEFORE_NUMBER = frozenset(_ABBREVIATIONS.split()), frozenset(_BEFORE_NUMBER.split())
_LONGER = 1 + max(map(len, ABBREVIATIONS | BEFORE_NUMBER))

_CLOSING = "\"'”’»›)\\]}"
_OPENING = "\"'“‘«‹„(\\[{¿¡—–-"
_STOP, _FULL = ".!?…؟۔", "。！？｡।॥"
# one class first, so that the search skips what cannot end a sentence without trying the rest
_END = re.compile(
    rf"[{_STOP}{_FULL}](?:"
    rf"(?<=[{_STOP}])(?P<more>[{_STOP}]*)[{_CLOSING}]*(?=\s+(?P<next>[{_OPENING}]*\S))"
    rf"|(?<=[{_FULL}])(?P<full>[{_FULL}]*)[{_CLOSING}」』）】]*\s*)"
)
_LAST_WORD = re.compile(r"[^\s(\[{\"'“‘«„]*$")


def split_sentences(text: str, lang: str | None = None) -> list[str]:
    """The sentences of ``text`` in order, without white space around them; [] where there is only white space.

    ``lang`` ("de", "de-AT") decides whether "3." before a capital letter is an ordinal.

    >>> split_sentences("Dr. Lee left at 5 p.m. on Monday. Who saw her? Nobody.")
    ['Dr. Lee left at 5 p.m. on Monday.', 'Who saw her?', 'Nobody.']
    """
    found = []
    start = 0
    german = (lang or "").lower().startswith("de")
    for match in _END.finditer(text):
        if match["full"] is None and not _ends(text, start, match, german):
            continue
        sentence = text[start : match.end()].strip()
        if sentence:
            found.append(sentence)
        start = match.end()
    rest = text[start:].strip()
    if rest:
        found.append(rest)
    return found


def _ends(text: str, start: int, match: re.Match[str], german: bool) -> bool:
    follows = match["next"][-1]
    if follows.islower():
        return False
    at = match.start()
    if match["more"] or text[at] != ".":
        return True
    if at - start >= _LONGER and text[at - _LONGER : at].isalpha():  # too long a word to be any of the exceptions
        return True
    word = _LAST_WORD.search(text, max(start, at - 40), at)
    last = word[0] if word else ""
    plain = last.lower()
    if plain in ABBREVIATIONS or (plain in BEFORE_NUMBER and follows.isdigit()):
        return False
    if len(last) == 1 and last.isalpha() and last.isupper() and last != "I":  # an initial
        return False
    if last.isdigit() and len(last) <= 2:
        first = not text[start : at - len(last)].strip()
        return not first and not german
    return True
