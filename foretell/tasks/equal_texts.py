"""Rows of labelled text that hold the same text: a part that is tested should not have been learnt from word for word."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

Texts = tuple[str, ...]


def alike(texts: Texts) -> Texts:
    """What counts as the same text: the same words between spaces, whatever the spaces."""
    return tuple(" ".join(text.split()) for text in texts)


def joined(groups: Sequence[str | None], texts: Sequence[Texts]) -> list[str | None] | None:
    """``groups`` joined so that rows of the same text share one; None where no two groups or rows hold the same text.

    A row whose text and group no other row has stays without a group.
    """
    above = list(range(len(texts)))

    def top(row: int) -> int:
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    first: dict[Hashable, int] = {}
    copied = False
    for row, (group, own) in enumerate(zip(groups, texts, strict=True)):
        if group is not None:
            above[top(row)] = top(first.setdefault(("group", group), row))
        other = first.setdefault(("text", alike(own)), row)
        copied |= top(other) != top(row)
        above[top(row)] = top(other)
    if not copied:
        return None
    tops = [top(row) for row in range(len(texts))]
    shared = {number for row, number in enumerate(tops) if number != row}
    return [f"{number:09d}" if number in shared or groups[row] is not None else None for row, number in enumerate(tops)]


def disagreeing(labels: Sequence[str | None], texts: Sequence[Texts]) -> list[list[int]]:
    """Rows of one text that have several labels, the rows of each text together."""
    rows: dict[Texts, list[int]] = {}
    for row, (label, own) in enumerate(zip(labels, texts, strict=True)):
        if label is not None:
            rows.setdefault(alike(own), []).append(row)
    return [found for found in rows.values() if len({labels[row] for row in found}) > 1]


def standing_in(tested: Iterable[Texts], learnt: Iterable[Texts]) -> int:
    """How many of the texts that are ``tested`` are among those ``learnt`` from."""
    known = {alike(own) for own in learnt}
    return sum(alike(own) in known for own in tested)
