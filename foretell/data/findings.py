"""Findings in a table: columns that say of each image what is there, not there, uncertain or not known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from foretell.data.table import Table
from foretell.errors import InputError, unknown

WORDS = {"true": 1, "yes": 1, "positive": 1, "false": 0, "no": 0, "negative": 0, "uncertain": -1, "u": -1}
MEANINGS = {1.0: "there", 0.0: "not there", -1.0: "uncertain"}
UNKNOWN = "not known"


def value_of(text: str | None, where: str) -> float:
    """1 there, 0 not there, -1 uncertain, NaN not known. Raises InputError, which names ``where``, for any other text."""
    if text is None:
        return math.nan
    number = _number(text.lower())
    if number not in MEANINGS:
        raise InputError(
            f"{where} is '{text}': expected 1 or 0 (yes or no, true or false, positive or negative), -1 where it is uncertain, "
            "or nothing where it is not known"
        )
    return float(number)


def _number(word: str) -> float:
    try:
        return WORDS[word] if word in WORDS else float(word)
    except ValueError:
        return math.nan


def check_columns(table: Table, columns: Sequence[str]) -> None:
    """Raise InputError for one of ``columns`` that the table does not have."""
    for name in columns:
        if name not in table:
            raise unknown("column of transfer.findings", name, table.columns)


def counted(table: Table, columns: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many images, called ``names``, have each of ``MEANINGS`` and ``UNKNOWN``, by finding.

    Raises InputError for a column that is not there, and for a value that is none of these.
    """
    check_columns(table, columns)
    found = {}
    for column in columns:
        said = zip(table.column(column), names, strict=True)
        counts = Counter(MEANINGS.get(value_of(text, f"{column} of '{name}'"), UNKNOWN) for text, name in said)
        found[column] = {meaning: counts[meaning] for meaning in (*MEANINGS.values(), UNKNOWN)}
    return found
