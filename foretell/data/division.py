"""Rows to learn from and rows to test on: as the ``split`` column of a table has them, or labelled ones at random.

No label is read but to say which rows are tested. Rows without one are learnt from, unless what they belong to is tested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from foretell.data.splits import Index, Parts, canonical, kept_apart, split
from foretell.data.table import IDENTITIES, Table, many
from foretell.errors import InputError

Mask = NDArray[np.bool_]
BY_COLUMN = "the split column of the data"
TESTED = ("test", "validation")  # the first of these that there is is tested


def by_column(table: Table, shares: Mapping[str, float], seed: int, what: str, *, pretrain: bool = True) -> Parts:
    """The parts that the column ``split`` names; ``what`` is a row in words, as "image".

    Where it names no test part its validation part is tested, and where it names neither, a part of its train rows that
    is cut at ``shares``, which say nothing else here. With ``pretrain`` rows that it puts into no part and that have no label
    are learnt from. Raises InputError as ``splits.split``.
    """
    given = [value and canonical(value) for value in table.column("split")]
    named, wanted = set(given), asked(shares)
    judged = next((part for known in (named, wanted) for part in TESTED if part in known), None)
    if judged in named:
        wanted = dict.fromkeys(("train", str(judged)), 0.5)  # both are as the column has them, whatever their shares
    wanted = {name: share for name, share in wanted.items() if name in ("train", judged)}
    apart = kept_apart(())
    free = _unlabelled(table) & np.array([value not in apart for value in given]) & pretrain
    if "train" not in named and free.any():
        del wanted["train"]
    parts = split(table, wanted, seed) if wanted else {}
    test = _tested(parts)
    tested = _with_tested(table, test)
    train = np.sort(np.concatenate([parts.get("train", test[:0]), np.flatnonzero(free & ~tested)]))
    how = BY_COLUMN
    if len(test) and judged not in named:
        how = f"{how}, with {many(len(test), what)} of its train part held out at random, as it names no test (seed {seed})"
    elif judged == "validation":
        how = f"{how}, with its validation part as the test"
    reasons = [value or "without a split" for value in given]
    return Parts(train, test, how + _left_out(table, train, test, reasons, free & tested, what))


def by_label(
    table: Table, shares: Mapping[str, float], seed: int, what: str, *, each: str = "class", whole: str | None = None
) -> Parts:
    """Labelled rows cut at ``shares``, of every class alike (of a table without labels all rows).

    ``what`` is a row in words, ``each`` what the labels say, ``whole`` what is not divided, where the name of the column does
    not say it. A part that is neither train nor test, and what the shares leave
    over, are in neither. Raises InputError as ``splits.split``.
    """
    known = np.flatnonzero(~_unlabelled(table)) if "label" in table else np.arange(len(table), dtype=np.int64)
    parts = {name: known[rows] for name, rows in split(table.subset(known), asked(shares), seed).items()}
    test = _tested(parts)
    tested = _with_tested(table, test)
    free = np.ones(len(table), dtype=bool)
    free[known] = False
    train = np.sort(np.concatenate([parts["train"], np.flatnonzero(free & ~tested)]))
    alike = f" by {each}" if "label" in table else ""
    kept = whole or (IDENTITIES[table.identity] if table.identity is not None else None)
    reasons = ["beyond the shares"] * len(table)
    for name, rows in parts.items():
        for row in rows.tolist():
            reasons[row] = name
    how = f"{many(len(test), f'labelled {what}')} held out at random{alike}{f', {kept} kept whole' if kept else ''} (seed {seed})"
    return Parts(train, test, how + _left_out(table, train, test, reasons, free & tested, what))


def asked(shares: Mapping[str, float]) -> dict[str, float]:
    """``shares`` by the usual names of the parts; train is what is left where it has none. Raises InputError for nothing."""
    found = {canonical(name): share for name, share in shares.items()}
    rest = 1 - sum(found.values())
    if "train" in found:
        return found
    if rest < 1e-9:
        raise InputError(f"data.split {dict(shares)}: leaves nothing for train; expected shares as train=0.8,test=0.2")
    return {"train": rest, **found}


def _unlabelled(table: Table) -> Mask:
    if "label" not in table:
        return np.ones(len(table), dtype=bool)
    return np.array([value is None for value in table.column("label")], dtype=bool)


def _tested(parts: Mapping[str, Index]) -> Index:
    return np.sort(next((parts[part] for part in TESTED if part in parts), np.zeros(0, np.int64)))


def _with_tested(table: Table, test: Index) -> Mask:
    """Which rows belong together with one of ``test``."""
    identities = table.identities()
    if identities is None:
        return np.zeros(len(table), dtype=bool)
    tested = {identities[row] for row in test} - {None}
    return np.array([own in tested for own in identities], dtype=bool)


def _left_out(table: Table, train: Index, test: Index, reasons: list[str], of_tested: Mask, what: str) -> str:
    """How many rows are in neither part, and for which of the ``reasons``, or for being ``of_tested``; "" where all are in one."""
    left = np.setdiff1d(np.arange(len(reasons)), np.concatenate([train, test]))
    if not len(left):
        return ""
    counts = Counter(f"of a tested {table.identity}" if of_tested[row] else reasons[row] for row in left).most_common()
    return f"; {many(len(left), what)} in no part ({', '.join(f'{count:,} {reason}' for reason, count in counts)})"
