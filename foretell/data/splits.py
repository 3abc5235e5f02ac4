"""Rows divided into named parts: stratified by label, never cutting a group in two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.counters import seed_of
from foretell.data.source import SPLITS
from foretell.data.table import IDENTITIES, Identity, Table, sort_names
from foretell.errors import InputError

Index = NDArray[np.int64]
NAMED = 5  # groups or cases in two splits beside the first


@dataclass(frozen=True)
class Parts:
    """Rows for pretraining and for testing, and the rule in words. The test rows are never used in pretraining."""

    train: Index
    test: Index
    how: str


def split(table: Table, shares: Mapping[str, float], seed: int, *, stratify: bool = True) -> dict[str, Index]:
    """Sorted rows of each part.

    ``shares`` maps a part's name to its share of the rows; the shares sum to at most 1, and what is left over is in no
    part. A ``split`` column is honoured: its rows go where it says, rows without a value nowhere; a part that it does
    not name is cut out of its ``train`` rows, at the proportion of the two shares. Rows of one ``group`` stay together, where
    they have none of one ``case`` or else ``study`` (``Table.identities``); with ``stratify`` each part gets its share of every
    label (rows without one count as a label of their own).

    Raises InputError when a group, case or study is in two parts of the column, a part would be empty, or the shares
    make no sense.
    """
    _check(shares)
    groups = _groups(table)
    labels = table.codes("label")[0] if stratify and "label" in table else np.zeros(len(table), np.int64)
    if "split" in table:
        parts = _honoured(table, shares, seed, labels, groups)
    else:
        parts = _cut(np.arange(len(table), dtype=np.int64), labels, groups, shares, seed)
    for name, index in parts.items():
        if not len(index):
            units = "rows" if table.identity is None else IDENTITIES[table.identity]
            count = len(np.unique(groups)) if groups is not None else len(table)
            raise InputError(
                f"part '{name}' of the data would be empty: {count} {units} are too few for shares "
                f"{dict(shares)}; give it a larger share or more data"
            )
    return parts


def _check(shares: Mapping[str, float]) -> None:
    if not shares or any(not 0 < share <= 1 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise InputError(f"shares {dict(shares)}: expected one or more in (0, 1] that sum to at most 1")


def _groups(table: Table) -> Index | None:
    """(N,) numbers of what must stay together; rows of no group, case or study are groups of their own. None for a
    table without such a column.
    """
    identities = table.identities()
    if identities is None:
        return None
    known = set(identities) - {None}
    order = [
        (column, name)
        for column in IDENTITIES
        for name in sort_names(own[1] for own in known if own is not None and own[0] == column)
    ]
    number = {own: i for i, own in enumerate(order)}
    return np.array([len(order) + row if own is None else number[own] for row, own in enumerate(identities)], np.int64)


def canonical(name: str) -> str:
    """train, validation or test for the usual other names of these; any other name as it is."""
    return SPLITS.get(name.lower(), name)


def kept_apart(shares: Iterable[str]) -> set[str]:
    """The parts that no group is divided between: train, validation and test, and those that ``shares`` names. Rows that a
    ``split`` column calls otherwise, as "unlabeled", are in no part of it.
    """
    return {*SPLITS.values(), *map(canonical, shares)}


def _honoured(
    table: Table, shares: Mapping[str, float], seed: int, labels: Index, groups: Index | None
) -> dict[str, Index]:
    apart = kept_apart(shares)
    found = [None if value is None else canonical(value) for value in table.column("split")]
    given = [value if value in apart else None for value in found]
    check_groups(table, given)
    named = {name: np.array([i for i, value in enumerate(given) if value == name], np.int64) for name in set(given)}
    parts = {name: named[canonical(name)] for name in shares if canonical(name) in named}
    absent = {name: share for name, share in shares.items() if name not in parts}
    if not absent:
        return parts
    source = next((name for name in parts if canonical(name) == "train"), None)
    if source is None:
        have = ", ".join(sorted(name for name in set(found) if name is not None)) or "none"
        raise InputError(
            f"column 'split' names {have} and no train; expected train rows to cut '{next(iter(absent))}' from"
        )
    whole = shares[source] + sum(absent.values())
    scaled = {name: shares[name] / whole for name in (source, *absent)}
    train = parts[source]
    cut = _cut(train, labels[train], None if groups is None else groups[train], scaled, seed)
    return {name: (cut[name] if name in cut else parts[name]) for name in shares}


def check_groups(table: Table, given: list[str | None]) -> None:
    """Raises InputError naming the groups (or cases and studies of no group) that have rows in two of the parts
    ``given``, the first with two of its files, or rows where the table has no paths.
    """
    identities = table.identities()
    if identities is None:
        return
    paths = table.column("path") if "path" in table else [None] * len(table)
    at: dict[Identity, tuple[str, int]] = {}
    cut: dict[Identity, str] = {}
    for row, (own, part) in enumerate(zip(identities, given, strict=True)):
        if own is None or part is None:
            continue
        first, where = at.setdefault(own, (part, row))
        if first != part:
            called = [paths[at] or f"row {at + 1}" for at in (where, row)]
            cut.setdefault(own, f"{called[0]} is {first}, {called[1]} is {part}")
    if not cut:
        return
    ((column, name), rows), *others = cut.items()
    names = ", ".join(other for (_, other), _ in others[:NAMED]) + (", ..." if len(others) > NAMED else "")
    more = f" (and {len(others)} more: {names})" if others else ""
    raise InputError(f"{column} '{name}' is in two splits: {rows}{more}; put all rows of a {column} in one")


def _cut(rows: Index, labels: Index, groups: Index | None, shares: Mapping[str, float], seed: int) -> dict[str, Index]:
    rng = np.random.default_rng(seed_of("split", seed))
    left = 1 - sum(shares.values())
    names, share = list(shares), np.array([*shares.values(), left if left > 1e-9 else 0.0])
    if groups is None or len(np.unique(groups)) == len(rows):
        part = _assign_rows(labels, share, rng)
    else:
        part = _assign_groups(labels, groups, share, rng)
    return {name: rows[part == i] for i, name in enumerate(names)}


def _assign_rows(labels: Index, share: NDArray[np.float64], rng: np.random.Generator) -> Index:
    """Part of each row: every label is cut at its shares, so that no part is off by more than one row a label.

    The cut points run on from one label to the next, so that the rows that shares leave over are dealt out fairly.
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    part = np.empty(len(labels), np.int64)
    owed = np.zeros(len(share))
    for label in np.unique(labels):
        own = order[labels[order] == label]
        owed += share * len(own)
        counts = np.floor(owed + 1e-9).astype(np.int64).clip(0)
        while counts.sum() < len(own):  # largest remainder first
            counts[int(np.argmax(owed - counts))] += 1
        while counts.sum() > len(own):
            counts[int(np.argmin(np.where(counts > 0, owed - counts, np.inf)))] -= 1
        owed -= counts
        part[own] = np.repeat(np.arange(len(share)), counts)
    return part


def _assign_groups(labels: Index, groups: Index, share: NDArray[np.float64], rng: np.random.Generator) -> Index:
    """Part of each row, whole groups at a time: the largest first, each to the part that lacks most of its labels."""
    _, group = np.unique(groups, return_inverse=True)
    _, label = np.unique(labels, return_inverse=True)
    count = int(group.max()) + 1
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(count + 1))
    totals = np.bincount(label).astype(np.float64)
    lacking = share[:, None] * totals[None, :]
    room = share * len(labels)
    shuffled = rng.permutation(count)
    sizes = bounds[1:] - bounds[:-1]
    part = np.empty(len(labels), np.int64)
    for g in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        own = order[bounds[g] : bounds[g + 1]]
        kinds, counts = np.unique(label[own], return_counts=True)
        # what each part still lacks of these labels, as a share of all there is of them
        want = (lacking[:, kinds] / totals[kinds] * counts).sum(axis=1) / counts.sum() + room / len(labels) * 0.5
        want[share == 0] = -np.inf
        chosen = int(np.argmax(want))
        part[own] = chosen
        lacking[chosen, kinds] -= counts
        room[chosen] -= len(own)
    _fill_empty(part, share, bounds, order)
    return part


def _fill_empty(part: Index, share: NDArray[np.float64], bounds: Index, order: Index) -> None:
    """Give a part that few large groups left empty the smallest group of the part with most groups, in place."""
    of_group = part[order[bounds[:-1]]]
    sizes = bounds[1:] - bounds[:-1]
    for empty in np.flatnonzero(share > 1e-9):
        held = np.bincount(of_group, minlength=len(share))
        if held[empty] or held.max() < 2:
            continue
        giver = np.flatnonzero(of_group == int(np.argmax(held)))
        g = int(giver[np.argmin(sizes[giver])])
        of_group[g] = empty
        part[order[bounds[g] : bounds[g + 1]]] = empty
