"""Text that a person has, as a stream of documents of sentences: files, folders and tables, never held whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from foretell.data.rows import TABLES, Row, rows
from foretell.data.source import SPLITS, folder_columns, there, walk
from foretell.data.table import many
from foretell.data.text import textfile
from foretell.data.text.sentences import split_sentences
from foretell.data.watch import Watch
from foretell.errors import InputError, unknown

TEXT = (".txt", ".text", ".md", ".tok", ".raw", ".tokens")
PLAIN = frozenset([*TEXT, *TABLES, *textfile.COMPRESSED, ""])
SAMPLED = 2000  # lines that decide on the rules, from up to 8 files
WORDS = 1000  # words of a document where text is cut by words
ENDS = tuple(".!?…。！？।॥؟۔:;\"'”’»)")

DocumentRule = Literal["auto", "blank", "line", "file", "words"]
SentenceRule = Literal["auto", "line", "split", "whole"]

_DOCUMENTS = {
    "blank": "separated by blank lines",
    "line": "one a line",
    "file": "one a file",
    "words": f"cut every {WORDS:,} words",
    "row": "one a row",
}
_SENTENCES = {"line": "one a line", "split": "found by punctuation", "whole": "not looked for"}


@dataclass
class Document:
    """``sentences`` in order, never empty; ``place`` names where it is, as "notes.txt, line 12".

    ``text_b`` is the second text of a pair. What the source does not say is None.
    """

    sentences: list[str]
    place: str
    label: str | None = None
    group: str | None = None
    split: str | None = None
    lang: str | None = None
    text_b: str | None = None
    joint: str = " "

    @property
    def text(self) -> str:
        return self.joint.join(self.sentences)


@dataclass(frozen=True)
class Rules:
    """How documents and sentences are found.

    ``documents``: "blank" (blank lines separate them), "line" (one a line), "file" (one a file), "words" (cut every 1,000
    words, for text without line ends) or "row" (tables). ``sentences``: "line" (one a line), "split" (found by
    punctuation) or "whole" (not looked for: the document's text as it stands, line ends too).
    """

    documents: str
    sentences: str

    @property
    def told(self) -> str:
        return f"documents: {_DOCUMENTS[self.documents]}; sentences: {_SENTENCES[self.sentences]}"


def sentences_of(text: str, rule: str, lang: str | None = None) -> list[str]:
    """The sentences of ``text`` by a rule of ``Rules.sentences``, in order; [] where there is only white space."""
    if rule == "line":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if rule == "split":
        return split_sentences(" ".join(text.split()), lang)
    return [text.strip()] if text.strip() else []


@dataclass
class Corpus:
    """A source of text, understood but not read. ``files`` in a fixed order; ``notes`` say in words what was understood.

    ``labels`` and ``splits`` (one a file) come from the folders' names, where these are classes or splits. ``empty``:
    rows without text that the last pass of ``documents`` has met and left out.
    ``watch``: the files as ``fingerprint`` read them.
    """

    name: str
    files: list[Path]
    rules: Rules
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: list[str | None] | None = None
    splits: list[str | None] | None = None
    encoding: str = "utf-8"
    longest: int = textfile.LONGEST
    lang: str | None = None
    notes: list[str] = field(default_factory=list)
    empty: int = 0
    watch: Watch = field(default_factory=Watch, init=False, repr=False, compare=False)

    @property
    def left_out(self) -> list[str]:
        """``empty`` in words, [] where there was none."""
        return [f"{many(self.empty, 'row')} without text left out"] if self.empty else []

    @property
    def bytes(self) -> int:
        """Size of the files on disk."""
        return sum(path.stat().st_size for path in self.files)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of every file's content in order, and of the rules; what is kept by it is made while ``watch`` finds no
        change.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((asdict(self.rules), sorted(self.columns.items()), self.encoding, self.lang)).encode())
        self.watch = Watch()
        for number, path in enumerate(self.files):
            size = self.watch.add(path).st_size
            of = (self.labels and self.labels[number], self.splits and self.splits[number], size)
            digest.update(repr(of).encode())
            with path.open("rb") as stream:
                while block := stream.read(textfile.BLOCK):
                    digest.update(block)
        return digest.hexdigest()

    def documents(self) -> Iterator[Document]:
        """Every document with text, in the order of the files. At most one document and one block is in memory.

        Raises InputError naming file and byte, line or row for what cannot be read, and when there is no document at all.
        """
        found = False
        self.empty = 0
        for number, path in enumerate(self.files):
            for document in self._of(path):
                if self.labels is not None and document.label is None:
                    document.label = self.labels[number]
                if self.splits is not None and document.split is None:
                    document.split = self.splits[number]
                found = True
                yield document
        if not found:
            raise InputError(f"{self.name}: holds no text; expected at least one document")

    def _of(self, path: Path) -> Iterator[Document]:
        if textfile.bare_suffix(path) in TABLES:
            for row in rows(path, self.columns, self.encoding):
                if found := self._from_row(row):
                    yield found
                else:
                    self.empty += 1
            return
        for text, place in self._texts(path):
            if found := self._document(text, place):
                yield found

    def _texts(self, path: Path) -> Iterator[tuple[str, str]]:
        """(text, place) of each document of a plain text file."""
        rule = self.rules.documents
        if rule == "words":
            yield from _by_words(path, self.encoding)
            return
        if rule == "file":
            yield self._whole(path), str(path)
            return
        waiting: list[str] = []
        size = begun = 0
        for number, line in enumerate(textfile.lines(path, self.encoding, self.longest), 1):
            if rule == "line":
                yield line, f"{path}, line {number}"
            elif line.strip():
                begun = begun if waiting else number
                waiting.append(line)
                size += len(line) + 1
                if size > self.longest:
                    raise InputError(
                        f"{path}, line {begun}: a document of more than {self.longest:,} characters without a blank line; "
                        "set data.documents=line (one a line) or words (cut every 1,000 words)"
                    )
            elif waiting:
                yield "\n".join(waiting), f"{path}, line {begun}"
                waiting, size = [], 0
        if waiting:
            yield "\n".join(waiting), f"{path}, line {begun}"

    def _whole(self, path: Path) -> str:
        held: list[str] = []
        size = 0
        for piece in textfile.pieces(path, self.encoding):
            held.append(piece)
            size += len(piece)
            if size > self.longest:
                raise InputError(
                    f"{path}: more than {self.longest:,} characters as one document; set data.documents=blank, line or words"
                )
        return "".join(held)

    def _document(self, text: str, place: str, lang: str | None = None) -> Document | None:
        lang = lang or self.lang
        sentences = sentences_of(text, self.rules.sentences, lang)
        joint = "\n" if self.rules.sentences == "line" else " "
        return Document(sentences, place, lang=lang, joint=joint) if sentences else None

    def _from_row(self, row: Row) -> Document | None:
        document = self._document(row.text or "", row.place, row.lang)
        if document is not None:
            document.label, document.group, document.text_b = row.label, row.group, row.text_b
            document.split = None if row.split is None else SPLITS.get(row.split.lower(), row.split)
        return document


def _by_words(path: Path, encoding: str) -> Iterator[tuple[str, str]]:
    waiting: list[str] = []
    rest = ""
    count = 0
    for piece in textfile.pieces(path, encoding):
        text = rest + piece
        words = text.split()
        rest = words.pop() if words and not text[-1].isspace() else ""
        if len(rest) > textfile.BLOCK:
            raise InputError(
                f"{path}: a word of more than {textfile.BLOCK:,} characters after word {count + len(waiting):,}; expected "
                "words with spaces between them"
            )
        waiting += words
        while len(waiting) >= WORDS:
            yield " ".join(waiting[:WORDS]), f"{path}, word {count + 1}"
            del waiting[:WORDS]
            count += WORDS
    if rest:
        waiting.append(rest)
    if waiting:
        yield " ".join(waiting), f"{path}, word {count + 1}"


# opening ----------------------------------------------------------------------------------------------------------


def open_corpus(
    source: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    documents: str = "auto",
    sentences: str = "auto",
    encoding: str = "utf-8",
    lang: str | None = None,
    longest: int = textfile.LONGEST,
) -> Corpus:
    """Understand a source of text without reading more than its beginning.

    ``source`` is a text file, a table (CSV, TSV, JSONL, Parquet) with a ``text`` column, either of them as .gz, .zst,
    .bz2 or .xz, or a folder of such files. ``columns`` names the columns that stand for the known ones (text, text_b,
    label, group, split, lang). ``documents`` and ``sentences`` are rules (``Rules``); "auto" decides on the first 2,000
    lines, and ``notes`` say so. ``encoding`` is any that Python knows. ``longest`` bounds a line, in characters.

    Raises InputError in words.
    """
    for kind, value, known in (("documents", documents, DocumentRule), ("sentences", sentences, SentenceRule)):
        if value not in get_args(known):
            raise unknown(f"rule for {kind}", value, get_args(known))
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(
            f"{source}: does not exist; expected a text file, a table with a column 'text', or a folder of them"
        )
    corpus = Corpus(str(source), [path], Rules("row", "split"), dict(columns or {}), encoding=encoding, longest=longest)
    corpus.lang = lang
    if path.is_dir():
        _fill(corpus, path)
    corpus.files = _with_content(corpus)
    tables = [file for file in corpus.files if textfile.bare_suffix(file) in TABLES]
    for file in tables[:1]:
        next(rows(file, corpus.columns, encoding), None)  # the columns are checked now, not in an hour
    if tables:
        corpus.rules = Rules("row", "split" if sentences == "auto" else sentences)
        if documents not in ("auto", "line"):
            raise InputError(
                f"{source}: a row of a table is one document; data.documents={documents} is for plain text"
            )
        chosen = ""
    else:
        corpus.rules, chosen = _decide(corpus, documents, sentences)
    corpus.notes.append(f"{many(len(corpus.files), 'file')}; {corpus.rules.told}{chosen}")
    return corpus


def _fill(corpus: Corpus, folder: Path) -> None:
    """The files of a folder, and what their folders' names say."""
    found, others, _ = walk(folder.resolve(), PLAIN)
    suffixes = {name: textfile.bare_suffix(Path(name)) for name in found}
    names = [name for name in found if suffixes[name] in TEXT]
    names = names or [name for name in found if suffixes[name] in TABLES]
    names = names or [name for name in found if not suffixes[name]]
    if not names:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(4))
        raise InputError(
            f"{corpus.name}: no text in this folder ({f'it holds {kinds}' if kinds else 'it is empty'}); expected "
            ".txt, .jsonl, .csv or .parquet files, or such as .gz or .zst"
        )
    left = len(found) + sum(others.values()) - len(names)
    if left:
        corpus.notes.append(f"{many(left, 'file')} of other kinds passed over")
    names = there(folder, names, corpus.notes)
    corpus.files = [folder / name for name in names]
    known, of_classes = folder_columns(names, corpus.notes, "texts")
    corpus.notes += of_classes
    corpus.labels, corpus.splits = known.get("label"), known.get("split")


def _with_content(corpus: Corpus) -> list[Path]:
    """The files that are not empty. Raises InputError when none is left."""
    kept = [i for i, path in enumerate(corpus.files) if path.stat().st_size]
    empty = len(corpus.files) - len(kept)
    if not kept:
        raise InputError(
            f"{corpus.name}: {'is empty' if empty == 1 else f'its {empty} files are empty'}; expected text"
        )
    if empty:
        corpus.notes.append(f"{many(empty, 'empty file')} passed over")
        corpus.labels = corpus.labels and [corpus.labels[i] for i in kept]
        corpus.splits = corpus.splits and [corpus.splits[i] for i in kept]
    return [corpus.files[i] for i in kept]


def _decide(corpus: Corpus, documents: str, sentences: str) -> tuple[Rules, str]:
    """The rules, and in words how they were chosen."""
    if documents != "auto" and sentences != "auto":
        return Rules(documents, sentences), ""
    if documents == "words":
        return Rules(documents, "whole"), ""
    sampled: list[str] = []
    several = corpus.files[:: max(1, len(corpus.files) // 8)][:8]
    for path in several:
        try:
            sampled += islice(textfile.lines(path, corpus.encoding, corpus.longest), SAMPLED // len(several))
        except InputError:
            if len(several) == 1:
                raise
            # of several files the others tell; this one is named when its turn comes
    filled = [line.strip() for line in sampled if line.strip()]
    if not filled:
        # only white space so far: reading on tells, and says it in words where there is nothing
        filled = [""]
    ended = sum(line.endswith(ENDS) for line in filled) / len(filled)
    if documents == "auto":
        if corpus.labels is not None and len(corpus.files) > 1:
            documents = "file"
        elif len(filled) < len(sampled) and any(not line.strip() for line in sampled[:-1]):
            documents = "blank"
        else:
            # lines that end anywhere, none of them long: one text with line breaks to fit a page
            wrapped = len(filled) > 1 and ended < 0.5 and 40 < max(map(len, filled)) < 120
            documents = "file" if wrapped else "line"
    if sentences == "auto":
        single = sum(len(split_sentences(line)) <= 1 for line in filled) / len(filled)
        sentences = "line" if documents in ("blank", "file") and ended > 0.8 and single > 0.8 else "split"
    return Rules(
        documents, sentences
    ), f" (from the first {len(sampled):,} lines; data.documents and data.sentences change it)"
