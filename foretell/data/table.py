"""The one table of labelled or grouped data: named columns of text, one row a sample."""

from __future__ import annotations

import csv
import difflib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError, first_line, unknown
from foretell.json_files import parsed_line

COLUMNS = ("path", "label", "group", "case", "study", "order", "domain", "lang", "split")
LABEL_NAMES = ("class", "klass", "category", "target", "diagnosis", "species", "kind", "y")  # what others call it
IDENTITIES = {"group": "groups", "case": "cases", "study": "studies"}  # a split cuts none: of each row the first it has
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

Index = NDArray[np.int64]
Identity = tuple[str, str]
"""A column of ``IDENTITIES`` and its value, as ("group", "patient 7")."""


@dataclass
class Table:
    """Columns of equal length; a missing value is None.

    The names in ``COLUMNS`` have a meaning: ``label`` (class), ``group`` (patient, document: never split), ``case`` (a
    bag of images; it stands for the group of rows that have none), ``study``, ``order`` (frame, slice), ``domain``
    (hospital, camera), ``lang``, ``split``. Others are kept. A ``study`` stands for the group of rows without group and case.
    """

    columns: dict[str, list[str | None]] = field(default_factory=dict)
    rows: int | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.columns.items()}
        if self.rows is None:
            self.rows = next(iter(lengths.values()), 0)
        for name, length in lengths.items():
            if length != self.rows:
                raise InputError(f"column '{name}' has {length} rows, expected {self.rows}")

    def __len__(self) -> int:
        return self.rows or 0

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def column(self, name: str) -> list[str | None]:
        """The values of one column. Raises InputError with the nearest name when there is none."""
        if name not in self.columns:
            raise unknown("column", name, self.columns)
        return self.columns[name]

    def subset(self, index: Iterable[int]) -> Table:
        """The rows ``index``, in that order."""
        order = [int(i) for i in index]
        return Table({name: [values[i] for i in order] for name, values in self.columns.items()}, rows=len(order))

    def with_column(self, name: str, values: Sequence[str | None]) -> Table:
        """A table with one column added or replaced."""
        return Table({**self.columns, name: list(values)}, rows=len(self))

    @property
    def identity(self) -> str | None:
        """What a split keeps whole, in a word: the first of ``IDENTITIES`` that is a column, None where none is."""
        return next((name for name in IDENTITIES if name in self), None)

    def identities(self) -> list[Identity | None] | None:
        """What each row must stay together with: the rows of its ``group``, where it has none of its ``case``, else ``study``.

        None for a row that has none of them, which may go anywhere, and for a table without such a column.
        """
        columns = [
            [None if value is None else (name, value) for value in self.columns[name]]
            for name in IDENTITIES
            if name in self
        ]
        if not columns:
            return None
        return [next((own for own in row if own is not None), None) for row in zip(*columns, strict=True)]

    def codes(self, name: str) -> tuple[Index, list[str]]:
        """(N,) int64 class numbers, -1 where the value is missing, and the sorted class names.

        Names that are all whole numbers are sorted as numbers.
        """
        values = self.column(name)
        classes = sort_names({value for value in values if value is not None})
        code: dict[str | None, int] = {value: i for i, value in enumerate(classes)}
        code[None] = -1
        return np.fromiter((code[value] for value in values), dtype=np.int64, count=len(values)), classes

    def classes(self, name: str = "label", least: int = 2) -> list[str]:
        """The class names of a column. Raises InputError when there are fewer than ``least`` of them."""
        found = self.codes(name)[1]
        if len(found) < least:
            have = f"one class only ('{found[0]}')" if len(found) == 1 else f"{len(found)} classes"
            raise InputError(
                f"column '{name}' has {have} in {len(self)} rows; a task needs at least {least}: "
                "give a column with more classes"
            )
        return found


def many(count: int, noun: str, several: str | None = None) -> str:
    """'1 image', '2,000 images', and where the plural is ``several`` '2 studies'."""
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"


def ordinal(number: int) -> str:
    """'2nd', '11th', '23rd'."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def some(names: Sequence[str], most: int = 20) -> str:
    """The first of the names for a message, and how many more there are."""
    shown = ", ".join(name[:80] or "(no name)" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def is_whole(text: str) -> bool:
    """Whether ``text`` is a whole number in digits, as 7 or -1."""
    return text.isascii() and text.removeprefix("-").isdecimal()


def sort_names(names: Iterable[str]) -> list[str]:
    """Sorted; as numbers when all of them are whole numbers."""
    chosen = list(names)
    if chosen and all(is_whole(name) for name in chosen):
        return sorted(chosen, key=lambda name: (int(name), name))
    return sorted(chosen)


TEXT_NAMES = ("content", "body", "sentence", "document", "article", "message", "post", "review", "tweet", "text_a")


def how_to_name(known: str, have: Sequence[str], usual: Iterable[str]) -> str:
    """The option that names a table's own column for the ``known`` one; ``usual`` are names that it often has."""
    near = next((name for name in have if name.lower() in usual), None)
    if near is None:
        near = next(iter(difflib.get_close_matches(known, have, n=1, cutoff=0.75)), None)
    if near is None:
        return f"name its column: --set data.columns.{known}=NAME"
    return f"is it '{near}'? Then give --set {shlex.quote(f'data.columns.{known}={near}')}"


def text_of(value: Any) -> str | None:
    """A cell as text: None for missing (None, empty, NaN); whole floats lose their '.0' (a column with gaps)."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value != value:
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, np.generic):
        return text_of(value.item())
    return str(value).strip() or None


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """A manifest: CSV or TSV with a header, JSON lines of objects, or Parquet.

    ``columns`` names the columns that stand for the known ones, as ``{"label": "diagnosis"}``.
    Raises InputError naming the file and row that cannot be read, or the column that is not there.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            table = _read_csv(path, "\t" if suffix == ".tsv" else None)
        elif suffix in (".jsonl", ".ndjson"):
            table = _read_jsonl(path)
        elif suffix == ".parquet":
            table = _read_parquet(path)
        else:
            raise InputError(f"{path}: expected a table ending in {', '.join(SUFFIXES)}")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the table as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not len(table):
        raise InputError(f"{path}: the table has no rows; expected one row a sample")
    return rename(table, columns, str(path))


def rename(table: Table, columns: Mapping[str, str] | None, where: str) -> Table:
    """The table with each mapped column also under its known name."""
    renamed = dict(table.columns)
    for known, given in (columns or {}).items():
        if known not in COLUMNS:
            raise unknown("column to map", known, COLUMNS)
        if given not in table.columns:
            message = unknown("column", given, table.columns)
            raise InputError(f"{where}: {message}")
        renamed[known] = table.columns[given]
    return Table(renamed, rows=len(table))


def check_labels(labels: str | Path, columns: Mapping[str, str] | None = None) -> None:
    """Raises InputError where the table ``labels`` has no column ``label``, and none of ``columns`` stands for it.

    Columns that stand for others may be those of an image's header.
    """
    if "label" in (columns or {}):  # looked for where the two are joined
        return
    have = list(read_table(Path(labels)).columns)
    if "label" not in have:
        hint = how_to_name("label", have, LABEL_NAMES)
        raise InputError(f"{labels}: no column 'label' among {some(have)}; {hint}")


def check_header(names: Sequence[str], path: Path) -> None:
    """Raises InputError where two columns have one name."""
    double = [name for name, count in Counter(names).items() if count > 1]
    if double == [""]:
        raise InputError(f"{path}: {names.count('')} columns have no name; give each one, or leave them out")
    if double:
        raise InputError(f"{path}: two columns are named '{min(filter(None, double))[:80]}'; rename one")


_QUOTED = re.compile(r'(^|[,;\t|])"(?:[^"]|"")*(?:"|$)')


def told_separator(line: str) -> str | None:
    """The separator that a spreadsheet tells in a first line of its own, as ``sep=;``; None where the line is another."""
    found = re.fullmatch(r'"?sep=(.)"?', line.rstrip("\r\n"))
    return found[1] if found else None


def separator_of(header: str) -> str:
    """What stands most often between the names of a header: one of , ; tab and |, but for those within quotes."""
    return max(",;\t|", key=_QUOTED.sub(r"\1", header).count)


def _check_text(path: Path) -> None:
    """Raises InputError for a workbook that was given the name of a text file."""
    with path.open("rb") as stream:
        if stream.read(4) in (b"PK\3\4", b"\xd0\xcf\x11\xe0"):
            raise InputError(f"{path}: is a workbook or an archive by its content, not text; export it as CSV in UTF-8")


def _read_csv(path: Path, delimiter: str | None) -> Table:
    _check_text(path)
    with path.open(newline="", encoding="utf-8-sig") as stream:
        skipped = 0  # lines above the header
        if delimiter is None:
            first = stream.readline()
            delimiter = told_separator(first)
            if delimiter is None:
                stream.seek(0)
                delimiter = separator_of(first)
            else:
                skipped = 1
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            if not header or not any(header):
                raise InputError(f"{path}: is empty; expected a header row such as 'path,label'")
            check_header(header, path)
            values: list[list[str | None]] = [[] for _ in header]
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(
                        f"{path}, line {reader.line_num + skipped}: {len(row)} values, expected {len(header)} "
                        f"({some(header)}); quote a value that holds the separator"
                    )
                for column, value in zip(values, row, strict=True):
                    column.append(value.strip() or None)
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: not valid CSV ({error}); is a quote left open, here or above?"
            ) from None
    return Table(dict(zip(header, values, strict=True)))


def _read_jsonl(path: Path) -> Table:
    columns: dict[str, list[str | None]] = {}
    count = 0
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            row = parsed_line(line, f"{path}, line {number}")
            if not isinstance(row, dict):
                raise InputError(f'{path}, line {number}: expected an object such as {{"path": ...}}')
            for name, value in row.items():
                column = columns.setdefault(name, [])
                column.extend([None] * (count - len(column)))
                nested = isinstance(value, dict | list)
                column.append(json.dumps(value) if nested else text_of(value))
            count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return Table(columns, rows=count)


def _read_parquet(path: Path) -> Table:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            check_header(file.schema_arrow.names, path)
            read = file.read()
        return Table(
            {name: [text_of(value) for value in read.column(name).to_pylist()] for name in read.column_names},
            rows=read.num_rows,
        )
    except (arrow.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a valid Parquet file ({first_line(error)})") from None
