"""Lines and marks that lie on each other, drawn so that each is seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Place = tuple[float, float]

NEAR = 1.5  # pixels between lines that hide each other
TOUCHING = 6.0  # pixels between the middles of marks that hide each other
ASIDE = 7.0  # pixels between marks that were moved apart
DASH = 6  # pixels of a line that are its own where others share its way


def coinciding(lines: Sequence[Sequence[Place]]) -> list[tuple[int, int]]:
    """For each of ``lines`` (places in pixels): (which one it is, of how many that share a stretch; 0 of 1 where it is alone)."""
    groups = list(range(len(lines)))
    for upper, line in enumerate(lines):
        for lower in range(upper):
            if groups[lower] != groups[upper] and _share(lines[lower], line):
                joined, own = groups[lower], groups[upper]
                groups = [joined if group == own else group for group in groups]
    return [(groups[:at].count(group), groups.count(group)) for at, group in enumerate(groups)]


def _share(one: Sequence[Place], other: Sequence[Place]) -> bool:
    """Whether some stretch of ``one`` is as good as a stretch of ``other``."""
    stretches = list(pairwise(other))
    return any(_near(a, c) and _near(b, d) for a, b in pairwise(one) for c, d in stretches if abs(a[0] - c[0]) <= NEAR)


def _near(one: Place, other: Place) -> bool:
    return abs(one[0] - other[0]) <= NEAR and abs(one[1] - other[1]) <= NEAR


def dash(place: tuple[int, int]) -> tuple[str, str] | None:
    """(stroke-dasharray, stroke-dashoffset) of the line that is ``place`` of ``coinciding``: the lowest is drawn whole,
    None, and shows between the dashes of the others, of which none lies on another's."""
    which, many = place
    return None if which == 0 else (f"{DASH} {DASH * (many - 1)}", str(-DASH * which))


def dodged(lines: Sequence[Sequence[Place]]) -> list[dict[int, float]]:
    """For each of ``lines``: point -> how far its mark is moved aside, where it would hide another's or be hidden."""
    flat = [(which, at, *place) for which, line in enumerate(lines) for at, place in enumerate(line)]
    moves: list[dict[int, float]] = [{} for _ in lines]
    columns: dict[float, list[tuple[int, int, float]]] = {}
    for which, at, x, y in flat:
        columns.setdefault(round(x, 1), []).append((which, at, y))
    for column in columns.values():
        column.sort(key=lambda mark: mark[2])
        cluster = column[:1]
        for mark in [*column[1:], None]:
            if mark is not None and mark[2] - cluster[-1][2] < TOUCHING:
                cluster.append(mark)
                continue
            for place, (which, at, _) in enumerate(sorted(cluster) if len(cluster) > 1 else ()):
                moves[which][at] = ASIDE * (place - (len(cluster) - 1) / 2)
            cluster = [] if mark is None else [mark]
    return moves
