"""Domains (hospitals, cameras, vendors): the rows that have one value of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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


def rows_outside(store: ImageStore, domains: list[str], named: str) -> Index:
    """Rows of none of the ``domains``. Raises InputError as ``rows_of``, and where no row is left."""
    left = np.arange(len(store), dtype=np.int64)
    for domain in domains:
        left = np.setdiff1d(left, rows_of(store, domain, named))
    if not len(left):
        raise InputError(
            f"{named} {','.join(domains)}: every row is of one of these, so that nothing is left to train on"
        )
    return left
