"""Sentences whose words carry tags, from JSON lines, columns (CoNLL) and word/TAG text.

* JSON lines: ``{"tokens": ["The", "dog"], "tags": ["DET", "NOUN"]}`` one a line; ``group`` and ``split`` may be there
  too.
* Columns: a word and its tag a line, between tabs or spaces, and a blank line after each sentence. Of more than two columns
  the first is the word and the last the tag. ``-DOCSTART-`` begins a document, which is then the group.
* word/TAG: a sentence a line, words between spaces; the tag comes after the last slash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from foretell.data.source import SPLITS, there, walk
from foretell.data.table import many
from foretell.data.text import textfile
from foretell.data.text.corpus import TEXT
from foretell.errors import InputError, unknown
from foretell.json_files import parsed_line

Form = Literal["jsonl", "columns", "slashes"]
JSONL = (".jsonl", ".ndjson")
PLAIN = frozenset([*TEXT, *JSONL, ".conll", ".iob", ".bio", ".tsv", ".pos", *textfile.COMPRESSED, ""])
DOCUMENT = "-DOCSTART-"
SAMPLED = 200  # lines that tell columns from word/TAG text


@dataclass(slots=True)
class Tagged:
    """``words`` and their ``tags``, as many; ``place`` is as "brown.txt, line 12". What the file does not say is None."""

    words: list[str]
    tags: list[str]
    place: str
    group: str | None = None
    split: str | None = None


@dataclass
class TaggedFiles:
    """Tagged sentences on disk, understood but not read. ``notes`` say in words what was understood."""

    name: str
    files: list[Path]
    forms: list[Form]
    encoding: str = "utf-8"
    notes: list[str] = field(default_factory=list)

    def sentences(self) -> Iterator[Tagged]:
        """Every sentence in the order of the files; of several files each is a group where it names none itself.

        Raises InputError naming file and line for what cannot be read, and when there is no sentence at all.
        """
        found = False
        for path, form in zip(self.files, self.forms, strict=True):
            for sentence in _READERS[form](path, self.encoding):
                if sentence.group is None and len(self.files) > 1:
                    sentence.group = str(path)
                found = True
                yield sentence
        if not found:
            raise InputError(f"{self.name}: holds no tagged sentence; expected at least one")


def _jsonl(path: Path, encoding: str) -> Iterator[Tagged]:
    for number, line in enumerate(textfile.lines(path, encoding), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        read = parsed_line(line, place)
        if not isinstance(read, dict) or "tokens" not in read or "tags" not in read:
            raise InputError(f'{place}: expected an object such as {{"tokens": ["a", "dog"], "tags": ["DET", "NOUN"]}}')
        words, tags = (_strings(read[name], name, place) for name in ("tokens", "tags"))
        if len(words) != len(tags):
            raise InputError(f"{place}: {many(len(words), 'token')} but {many(len(tags), 'tag')}; give each token one")
        if not words:
            raise InputError(f"{place}: a sentence without tokens; leave the line out")
        group, split = (None if read.get(name) is None else str(read[name]) for name in ("group", "split"))
        yield Tagged(words, tags, place, group, None if split is None else SPLITS.get(split.lower(), split))


def _strings(value: Any, name: str, place: str) -> list[str]:
    if not isinstance(value, list):
        raise InputError(f"{place}: '{name}' holds {type(value).__name__}, expected a list of texts")
    for at, one in enumerate(value, 1):
        if not isinstance(one, str) or not one.strip():
            raise InputError(
                f"{place}: '{name}' number {at} is {json.dumps(one)[:40]}, expected a text that is not blank"
            )
    return value


def _columns(path: Path, encoding: str) -> Iterator[Tagged]:
    waiting: list[list[str]] = []
    begun = width = documents = 0
    for number, line in enumerate(textfile.lines(path, encoding), 1):
        if not line.strip():
            if waiting:
                yield _from_columns(path, begun, waiting, documents)
                waiting = []
            continue
        values = _cells(line)
        if values[0] == DOCUMENT:
            documents += 1
            continue
        if len(values) < 2:
            raise InputError(
                f"{path}, line {number}: '{line.strip()[:40]}' is one value; expected a word and its tag between a tab or "
                "a space, and a blank line after each sentence"
            )
        width = width or len(values)
        if len(values) != width:
            raise InputError(
                f"{path}, line {number}: {len(values)} columns, {width} in the lines before; expected as many in each"
            )
        begun = begun if waiting else number
        waiting.append(values)
    if waiting:
        yield _from_columns(path, begun, waiting, documents)


def _cells(line: str) -> list[str]:
    line = line.strip()
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def _from_columns(path: Path, begun: int, waiting: list[list[str]], documents: int) -> Tagged:
    group = f"{path}, document {documents}" if documents else None
    return Tagged([cells[0] for cells in waiting], [cells[-1] for cells in waiting], f"{path}, line {begun}", group)


def _slashes(path: Path, encoding: str) -> Iterator[Tagged]:
    for number, line in enumerate(textfile.lines(path, encoding), 1):
        if not line.strip():
            continue
        pairs = [item.rpartition("/") for item in line.split()]
        for word, _, tag in pairs:
            if not word or not tag:
                raise InputError(
                    f"{path}, line {number}: '{(word + tag)[:40]}' is no word/TAG; expected a slash between word and tag"
                )
        yield Tagged([word for word, _, _ in pairs], [tag for _, _, tag in pairs], f"{path}, line {number}")


_READERS = {"jsonl": _jsonl, "columns": _columns, "slashes": _slashes}


# opening ----------------------------------------------------------------------------------------------------------


def open_tagged(source: str | Path, form: Form | None = None, *, encoding: str = "utf-8") -> TaggedFiles:
    """Understand tagged sentences without reading more than their beginning.

    ``source`` is a file in one of the three forms, plain or as .gz, .zst, .bz2 or .xz, or a folder of such files. Where
    ``form`` is not given it is found: .jsonl and .ndjson are JSON lines; of other files, those in whose first 200 lines
    every item is as word/TAG are word/TAG text, and the rest are columns.

    Raises InputError in words.
    """
    if form is not None and form not in get_args(Form):
        raise unknown("form of tagged text", form, get_args(Form))
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"{source}: does not exist; expected a file of tagged sentences, or a folder of them")
    files = [path]
    notes: list[str] = []
    if path.is_dir():
        names, others, _ = walk(path.resolve(), PLAIN)
        if not names:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(4)) or "nothing"
            raise InputError(
                f"{source}: no tagged text in this folder (it holds {kinds}); expected .jsonl, .conll or .txt"
            )
        files = [path / name for name in there(path, names, notes)]
    empty = [file for file in files if not file.stat().st_size]
    files = [file for file in files if file.stat().st_size]
    if not files:
        raise InputError(f"{source}: is empty; expected tagged sentences")
    forms = [form or _form(file, encoding) for file in files]
    told = {"jsonl": "JSON lines", "columns": "columns of word and tag", "slashes": "word/TAG text"}
    notes.append(f"{many(len(files), 'file')}; {', '.join(told[name] for name in dict.fromkeys(forms))}")
    if empty:
        notes.append(f"{many(len(empty), 'empty file')} passed over")
    return TaggedFiles(str(source), files, forms, encoding, notes)


def _form(path: Path, encoding: str) -> Form:
    if textfile.bare_suffix(path) in JSONL:
        return "jsonl"
    items = [item for line in islice(textfile.lines(path, encoding), SAMPLED) for item in line.split()]
    return "slashes" if items and all("/" in item[1:-1] for item in items) else "columns"
