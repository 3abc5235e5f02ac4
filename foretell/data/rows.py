"""Rows of text from tables of any size: CSV, TSV, JSON lines and Parquet, a row or a small block at a time."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from foretell.data.table import SUFFIXES as TABLES
from foretell.data.table import TEXT_NAMES, check_header, how_to_name, separator_of, some, text_of, told_separator
from foretell.data.text import textfile
from foretell.errors import InputError, first_line, unknown
from foretell.json_files import parsed_line

COLUMNS = ("text", "text_b", "label", "group", "split", "lang")
ROWS = 1000  # of a Parquet file at once
TAB = "\t"
JSON_LINES = (".jsonl", ".ndjson")
SAMPLED = 100  # objects of JSON lines whose names are its columns

__all__ = ["COLUMNS", "TABLES", "Cells", "Row", "cells", "rows"]


@dataclass(slots=True)
class Row:
    """The known columns of one row, None where there is nothing; ``place`` is as "posts.csv, row 3"."""

    place: str
    text: str | None = None
    text_b: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    lang: str | None = None


Choose = Callable[[list[str]], Mapping[str, str]]
"""The columns that a table has -> name to give a column: the table's own name of it."""
Cells = dict[str, Any]


def rows(path: Path, columns: Mapping[str, str] | None = None, encoding: str = "utf-8") -> Iterator[Row]:
    """Every row of ``path``, from 1. ``columns``: known name -> the table's own name.

    Raises InputError naming the file, row or line that cannot be read, or the column that is not there.
    """
    given = columns or {}
    for known in given:
        if known not in COLUMNS:
            raise unknown("column to map", known, COLUMNS)
    json_lines = textfile.bare_suffix(path) in JSON_LINES

    def choose(have: list[str]) -> Mapping[str, str]:
        found = _mapping(path, given, have)
        # a later object may have columns that the first ones have not
        return {name: given.get(name, name) for name in COLUMNS} if json_lines else found

    return (_row(place, values) for place, values in cells(path, choose, encoding))


def cells(path: Path, choose: Choose, encoding: str = "utf-8") -> Iterator[tuple[str, Cells]]:
    """(place, values) of every row of ``path``: text, or what JSON or Parquet hold; None where there is nothing.

    ``choose`` is asked once, with the columns of the header, the schema or the first ``SAMPLED`` objects. Raises
    InputError naming the file, row or line that cannot be read.
    """
    suffix = textfile.bare_suffix(path)
    if suffix in JSON_LINES:
        return _jsonl(path, choose, encoding)
    if suffix == ".parquet":
        return _parquet(path, choose)
    return _csv(path, choose, encoding, TAB if suffix == ".tsv" else None)


def _mapping(path: Path, columns: Mapping[str, str], have: list[str]) -> dict[str, str]:
    """Known name -> own name, for those that the table has."""
    for given in columns.values():
        if given not in have:
            raise InputError(f"{path}: {unknown('column', given, have)}")
    found = {known: known for known in COLUMNS if known in have} | dict(columns)
    if "text" not in found:
        raise InputError(f"{path}: no column 'text' among {some(have)}; {how_to_name('text', have, TEXT_NAMES)}")
    return found


def _csv(path: Path, choose: Choose, encoding: str, delimiter: str | None) -> Iterator[tuple[str, Cells]]:
    source = _kept_ends(path, encoding)
    first = next(source, "")
    if not first.strip():
        raise InputError(f"{path}: is empty; expected a header row such as 'text,label'")
    above = 1  # the number of the header's line
    if delimiter is None and (delimiter := told_separator(first)) is not None:
        first, above = next(source, ""), 2
    if delimiter is None:
        delimiter = separator_of(first)
    own = header_of(path, first, delimiter)
    check_header(own, path)
    mapping = {known: own.index(name) for known, name in choose(own).items()}
    read = _by_tabs(source, len(own)) if delimiter == TAB else _by_quotes(path, source, delimiter, above)
    number = 0
    for line, values in read:
        if not values:
            continue
        number += 1
        if len(values) != len(own):
            raise InputError(
                f"{path}, line {line}: {len(values)} values, expected {len(own)} "
                f"({some(own)}); quote a value that holds the separator"
            )
        yield f"{path}, row {number}", {name: values[at].strip() or None for name, at in mapping.items()}


def _by_quotes(path: Path, source: Iterator[str], delimiter: str, above: int = 1) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of each record of CSV ``above`` lines down. Raises InputError for a quote that is not closed, or goes on behind its end."""
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    try:
        for values in reader:
            yield reader.line_num + above, values
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num + above}: not valid CSV ({error}); double the quotes inside a quoted value"
        ) from None


def _by_tabs(source: Iterator[str], count: int) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of each record of TSV, which has ``count`` values; lines end in a newline, and the first is line 2.

    Many write TSV without quoting anything, so that a value may begin with a quote that is a character as any other: one
    that is not closed before a tab, or not at the end of the value. But where such a record would not have its values, and
    as a quoted one has, with tabs or line ends in it, it is quoted.
    """
    waiting: deque[str] = deque()
    number = 1

    def following() -> str | None:
        return waiting.popleft() if waiting else next(source, None)

    while (line := following()) is not None:
        number += 1
        values = _cells(line)
        if '"' in line and (line.startswith('"') or '\t"' in line):
            record, quoted = _quoted(line, following)
            others = all(len(_cells(one)) == count for one in record)
            if quoted is not None and len(quoted) == count and (len(record) == 1 or count == 1 or not others):
                yield number, quoted
                number += len(record) - 1
                continue
            waiting.extendleft(reversed(record[1:]))
        yield number, values


def _cells(line: str) -> list[str]:
    """The values of one line of TSV; [] of an empty one. Quotes go where they are closed before the next tab."""
    found = line.removesuffix("\n").split(TAB)
    if '"' in line:
        found = [cell[1:-1].replace('""', '"') if _CLOSED.fullmatch(cell) else cell for cell in found]
    return found if line != "\n" else []


_CLOSED = re.compile(r'"[^"]*(?:""[^"]*)*"')


def _quoted(line: str, following: Callable[[], str | None]) -> tuple[list[str], list[str] | None]:
    """(the lines read, the record's values by the rules of quotes, None where it breaks them).

    As many lines are read as it takes to close an open quote, but of at most ``textfile.LONGEST`` characters.
    """
    read = [line]
    size = len(line)
    while True:
        try:
            return read, next(csv.reader(read, delimiter=TAB, strict=True))
        except csv.Error as error:
            if "end of data" not in str(error):
                return read, None
        closing = False
        while not closing:
            another = following() if size <= textfile.LONGEST else None
            if another is None:
                return read, None
            read.append(another)
            size += len(another)
            closing = '"' in another.replace('""', "")


def header_of(path: Path, first: str, delimiter: str) -> list[str]:
    """The names in the first line of a table. Raises InputError."""
    csv.field_size_limit(textfile.LONGEST)  # of the whole process
    try:
        return [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    except csv.Error as error:
        raise InputError(f"{path}, line 1: not valid {'TSV' if delimiter == TAB else 'CSV'} ({error})") from None


def _kept_ends(path: Path, encoding: str) -> Iterator[str]:
    return (line + "\n" for line in textfile.lines(path, encoding))


def _jsonl(path: Path, choose: Choose, encoding: str) -> Iterator[tuple[str, Cells]]:
    objects = _objects(path, encoding)
    first: list[tuple[str, Cells]] = []
    fault = None
    try:
        first.extend(islice(objects, SAMPLED))
    except InputError as error:  # told when its turn comes
        fault = error
    if not first:
        raise fault or InputError(
            f'{path}: the table has no rows; expected objects such as {{"text": ...}}, one a line'
        )
    mapping = choose(list(dict.fromkeys(name for _, read in first for name in read)))
    for place, read in chain(first, objects):
        yield place, {name: read.get(own) for name, own in mapping.items()}
    if fault is not None:
        raise fault


def _objects(path: Path, encoding: str) -> Iterator[tuple[str, Cells]]:
    for number, line in enumerate(textfile.lines(path, encoding), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        read = parsed_line(line, place)
        if not isinstance(read, dict):
            raise InputError(f'{place}: expected an object such as {{"text": ...}}')
        yield place, read


def _parquet(path: Path, choose: Choose) -> Iterator[tuple[str, Cells]]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            own = list(file.schema_arrow.names)
            check_header(own, path)
            mapping = choose(own)
            number = 0
            for batch in file.iter_batches(ROWS, columns=sorted(set(mapping.values()))):
                values = {known: batch.column(own).to_pylist() for known, own in mapping.items()}
                for held in zip(*values.values(), strict=True):
                    number += 1
                    yield f"{path}, row {number}", dict(zip(values, held, strict=True))
    except (arrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a valid Parquet file ({first_line(error)})") from None


def _row(place: str, values: Mapping[str, Any]) -> Row:
    for name, value in values.items():
        if isinstance(value, dict | list):
            raise InputError(f"{place}: column '{name}' holds {type(value).__name__}, expected text")
    return Row(place, **{name: text_of(value) for name, value in values.items()})
