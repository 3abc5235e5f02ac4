"""Whether a source of data is text or images, by the names of its files and columns alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from foretell.data.medical.files import kind_of
from foretell.data.rows import JSON_LINES, SAMPLED, TABLES, header_of
from foretell.data.source import IMAGES, files_in
from foretell.data.table import separator_of, told_separator
from foretell.data.text import textfile
from foretell.data.text.corpus import TEXT
from foretell.errors import InputError, first_line
from foretell.json_files import parsed


def holds_text(path: Path, columns: Mapping[str, str], encoding: str = "utf-8") -> bool:
    """Whether ``path`` is a text file, a table with a column of text but none of paths, or a folder of such without images.

    ``columns``: known name -> own name; ``encoding``: of a table. Raises InputError for a table that cannot be read.
    """
    path = path.expanduser()
    if path.is_dir():
        return _folder_holds_text(path.resolve())
    if not path.is_file():
        return False
    suffix = textfile.bare_suffix(path)
    if suffix in TABLES:
        have = column_names(path, encoding)
        return columns.get("text", "text") in have and columns.get("path", "path") not in have
    return suffix in TEXT


def _folder_holds_text(root: Path) -> bool:
    found = False
    for name, suffix in files_in(root):
        if suffix in IMAGES or kind_of(root / name):
            return False  # a large folder of images is not walked through to its end
        found = found or suffix in (*TEXT, *TABLES, *textfile.COMPRESSED)
    return found


def column_names(path: Path, encoding: str = "utf-8") -> list[str]:
    """The columns of a table, [] where its beginning tells none. Raises InputError for a file that cannot be read."""
    suffix = textfile.bare_suffix(path)
    if suffix == ".parquet":
        return _of_parquet(path)
    filled = (line for line in textfile.lines(path, encoding) if line.strip())
    if suffix in JSON_LINES:
        return _of_objects(islice(filled, SAMPLED))
    first = next(filled, "")
    if suffix == ".tsv":
        return header_of(path, first, "\t")
    told = told_separator(first)
    if told is not None:
        return header_of(path, next(filled, ""), told)
    return header_of(path, first, separator_of(first))


def _of_objects(lines: Iterable[str]) -> list[str]:
    """The names in the objects of ``lines``, as far as they are objects."""
    found: dict[str, None] = {}
    for line in lines:
        try:
            row = parsed(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        found |= dict.fromkeys(row)
    return list(found)


def _of_parquet(path: Path) -> list[str]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        return list(parquet.read_schema(path).names)
    except (arrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a valid Parquet file ({first_line(error)})") from None
