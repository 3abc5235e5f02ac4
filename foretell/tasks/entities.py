"""Entities in BIO tags: B-TYPE begins one of TYPE, I-TYPE goes on with it, O is outside (Ramshaw and Marcus 1995,
cmp-lg/9505040; the IOB2 form of Tjong Kim Sang and Veenstra 1999, cs/9907006).

A malformed sequence is read as the CoNLL-2000 evaluation reads it: an I-TYPE that has no entity of TYPE before it begins
one. So the older IOB1 form, in which B- stands between neighbours of a type alone, is read rightly too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Entity = tuple[int, int, str]
"""First word, word after the last, type."""


def are_bio(tags: Iterable[str]) -> bool:
    """Whether every tag is O, B-TYPE or I-TYPE, and one of them is not O."""
    kinds = set(tags)
    marked = {tag for tag in kinds if tag[:2] in ("B-", "I-") and len(tag) > 2}
    return bool(marked) and kinds - marked <= {"O"}


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence, in order.

    >>> entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 5, 'LOC')]
    """
    found: list[Entity] = []
    for at, tag in enumerate(tags):
        kind = tag[2:]
        if tag == "O":
            continue
        if tag[:2] == "I-" and found and found[-1][1:] == (at, kind):
            found[-1] = (found[-1][0], at + 1, kind)
        else:
            found.append((at, at + 1, kind))
    return found


def malformed(tags: Sequence[str]) -> int:
    """How many I-TYPE follow neither B-TYPE nor I-TYPE, which IOB2 does not allow."""
    before = ["O", *tags]
    return sum(tag[:2] == "I-" and other[2:] != tag[2:] for other, tag in zip(before, tags, strict=False))
