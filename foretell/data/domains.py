"""Domains (hospitals, cameras, vendors): the rows that have one value of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foretell.data.table import many, some
from foretell.errors import InputError, unknown

if TYPE_CHECKING:
    from foretell.data.store import ImageStore

Index = NDArray[np.int64]


def column_and_value(domain: str, named: str) -> tuple[str, str]:
    """The two sides of "domain=B". Raises InputError for another form; ``named`` is what a person set it by."""
    column, _, value = domain.partition("=")
    if not column or not value:
        raise InputError(f"{named} {domain}: expected COLUMN=VALUE, as domain=B")
    return column, value


def rows_of(store: ImageStore, domain: str, named: str) -> Index:
    """Rows of the domain, as "domain=B": those with that value of that column (``named`` as ``column_and_value``).

    Raises InputError for another form, a column or value that is not there, and a domain that holds every row.
    """
    column, value = column_and_value(domain, named)
    if column not in store.table:
        raise unknown(f"column of {named}", column, store.table.columns)
    values = store.table.column(column)
    if value not in values:
        raise unknown(f"value of column '{column}'", value, {one for one in values if one is not None})
    chosen = np.array([one == value for one in values])
    if chosen.all():
        raise InputError(f"{named} {domain}: every row is of that domain, so that nothing is left to train on")
    return np.flatnonzero(chosen)


def rows_unknown(store: ImageStore, domains: list[str], named: str) -> Index:
    """Rows of none of the ``domains`` that have no value in the column of one: they may be of it. Raises InputError as
    ``rows_of``.
    """
    found = np.zeros(len(store), dtype=bool)
    taken = np.zeros(len(store), dtype=bool)
    for domain in domains:
        taken[rows_of(store, domain, named)] = True
        found |= [one is None for one in store.table.column(column_and_value(domain, named)[0])]
    return np.flatnonzero(found & ~taken)


def told_unknown(store: ImageStore, rows: Index, domains: list[str]) -> str:
    """What is said of the ``rows`` (one or more) that ``rows_unknown`` finds, which are neither learnt from nor tested."""
    columns = " or ".join(dict.fromkeys(repr(domain.partition("=")[0]) for domain in domains))
    what = many(len(rows), "image")
    names = some([store.names[row] for row in rows.tolist()], 3)
    return f"{what} without a value of {columns}, which may be of {' or '.join(domains)}, left out ({names})"


def rows_outside(store: ImageStore, domains: list[str], named: str) -> Index:
    """Rows of none of the ``domains``, nor of a domain that is not said. Raises InputError as ``rows_of``, and where no row is
    left.
    """
    taken = [rows_of(store, domain, named) for domain in domains]
    unsaid = rows_unknown(store, domains, named)
    left = np.setdiff1d(np.arange(len(store), dtype=np.int64), np.concatenate([unsaid, *taken]))
    if not len(left):
        told = f"; {told_unknown(store, unsaid, domains)}: give them one" if len(unsaid) else ""
        other = "every other row is" if len(unsaid) else "every row is"
        raise InputError(
            f"{named} {','.join(domains)}: {other} of one of these, so that nothing is left to train on{told}"
        )
    return left
