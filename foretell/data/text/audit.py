"""What is in a corpus, and what is wrong with it, before anything is trained: one pass over the text, in bounded memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.duplicates import clusters
from foretell.data.fingerprints import (
    VALUES,
    Hashes,
    Records,
    Sample,
    alike_pairs,
    hash_runs,
    hash_whole,
    hash_words,
    runs_of_equals,
    signature,
)
from foretell.data.text import textfile
from foretell.data.text.characters import composition, odd_characters
from foretell.data.text.corpus import Corpus, Document
from foretell.data.text.languages import guess
from foretell.errors import InputError

DOCUMENTS = 2_000_000  # hashes of documents, of sentences and of runs of words that are held; more are sampled by hash
SENTENCES = 4_000_000
RUNS = 8_000_000
COMPARED = 500_000  # documents compared for likeness
REPEATED = 200_000  # sentences counted at once
OFTEN = 3  # copies of a sentence that is quoted
SHORTEST = 4  # words of a sentence whose copies count
TOKENS = 1.3  # of a vocabulary of 30,000, a word of text in which spaces stand between words
COPIED = 0.5  # share of a document's runs of words above which it stands in the other part

_DOCUMENT = np.dtype([("hash", "u8"), ("number", "u4"), ("split", "i4"), ("label", "i4")])
_SENTENCE = np.dtype([("hash", "u8")])
_RUN = np.dtype([("hash", "u8"), ("number", "u4"), ("split", "i4")])


@dataclass
class Copies:
    """Texts that are the same, or alike. ``places``: of each group of copies. ``count``: those after the first of each.

    ``share`` of all texts was looked at: 1, or less where memory would not hold more, and ``count`` is then an estimate.
    """

    groups: list[list[str]]
    count: int
    share: float


@dataclass
class TextLeak:
    """Text on both sides of a line that must not be crossed.

    ``what``: "equal" (documents in two splits), "copied" (over half of a document's runs of 13 words are in "train"),
    "shared" (some are), "group" in two splits, "labels disagree" (equal documents). ``places`` name the documents.
    """

    what: str
    where: list[str]
    places: list[str]


@dataclass
class TextAudit:
    """The findings. Numbers are of the whole text where not said otherwise; places name file and line or row."""

    source: str
    notes: list[str]
    files: int
    bytes: int
    documents: int = 0
    sentences: int = 0
    words: int = 0
    characters: int = 0
    lengths: dict[str, int] = field(default_factory=dict)
    single: int = 0
    marks: dict[str, int] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    languages: dict[str, int] = field(default_factory=dict)
    other_language: int = 0
    odd: dict[str, int] = field(default_factory=dict)
    odd_places: dict[str, list[str]] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)
    equal: Copies | None = None
    alike: Copies | None = None
    sentence_copies: Copies | None = None
    repeated: list[tuple[str, int]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    leaks: list[TextLeak] = field(default_factory=list)
    runs_share: float = 1.0

    @property
    def tokens(self) -> int:
        """A guess, for a trained vocabulary of 30,000."""
        return round(TOKENS * self.words)

    @property
    def clean(self) -> bool:
        """Whether nothing was found that makes results wrong: leaks, and files that cannot be read."""
        return not (self.leaks or self.unreadable)

    @property
    def copies(self) -> int:
        """Documents that are equal or alike to an earlier one."""
        return sum(found.count for found in (self.equal, self.alike) if found is not None)


def audit_text(corpus: Corpus, progress: Callable[[int, float], None] | None = None) -> TextAudit:
    """Examine ``corpus``. ``progress(documents, documents a second)``.

    A file that cannot be read is named, and what comes before its fault counts. Raises InputError where no file can be
    read. Memory: at most about 700 MB beside the libraries, however large the corpus.
    """
    found = TextAudit(corpus.name, list(corpus.notes), len(corpus.files), corpus.bytes)
    found.marks = _marks(corpus.files)
    reader = _Reader(found)
    begun = time.monotonic()
    failed: list[InputError] = []
    corpus.empty = 0
    for document in _readable(corpus, found, failed):
        reader.take(document)
        if progress is not None and found.documents % 500 == 0:
            progress(found.documents, found.documents / max(time.monotonic() - begun, 1e-9))
    if not found.documents:
        raise failed[0]
    found.notes += corpus.left_out
    reader.conclude()
    return found


def _marks(files: list[Path]) -> dict[str, int]:
    """How many files begin with which byte order mark."""
    names: Counter[str] = Counter()
    for path in files:
        try:
            head = next(textfile.blocks(path), b"")
        except InputError:  # the pass over the text names it
            continue
        names.update(name for mark, name in _MARKS.items() if head.startswith(mark))
    return dict(names)


_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16 (little-endian)", b"\xfe\xff": "UTF-16 (big-endian)"}


def _readable(corpus: Corpus, found: TextAudit, failed: list[InputError]) -> Iterator[Document]:
    """The documents file by file; a file that fails is noted (its message in ``failed``), and the next one is read."""
    for number, path in enumerate(corpus.files):
        alone = replace(
            corpus,
            files=[path],
            labels=corpus.labels and [corpus.labels[number]],
            splits=corpus.splits and [corpus.splits[number]],
        )
        try:
            yield from alone.documents()
        except InputError as reason:
            failed.append(reason)
            name = str(path)
            found.unreadable.append((name, str(reason).removeprefix(name).lstrip(":, ")))
        corpus.empty += alone.empty


class _Names:
    """Numbers for names as they come, from 0."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.names: list[str] = []

    def of(self, name: str | None) -> int:
        """-1 of none."""
        if name is None:
            return -1
        number = self.numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


class _Places:
    """Where each document is, packed: most places differ in their last number alone."""

    def __init__(self) -> None:
        self.heads = _Names()
        self.packed = np.zeros((1024, 2), np.int64)
        self.count = 0

    def add(self, place: str) -> None:
        head, _, tail = place.rpartition(" ")
        numbered = bool(head) and tail.isdecimal()
        if self.count == len(self.packed):
            self.packed = np.concatenate([self.packed, np.zeros_like(self.packed)])
        self.packed[self.count] = self.heads.of(head if numbered else place), int(tail) if numbered else -1
        self.count += 1

    def __getitem__(self, number: int) -> str:
        if number >= self.count:
            return f"document {number + 1:,}"
        head, tail = self.packed[number]
        name = self.heads.names[int(head)]
        return f"{name} {tail}" if tail >= 0 else name


class _Reader:
    """Takes documents one by one, and concludes when all were seen."""

    def __init__(self, found: TextAudit) -> None:
        self.found = found
        self.places, self.splits, self.labels = _Places(), _Names(), _Names()
        self.of_documents, self.of_sentences = Sample(_DOCUMENT, DOCUMENTS), Sample(_SENTENCE, SENTENCES)
        self.of_runs = Sample(_RUN, RUNS)
        self.signatures = np.zeros((1024, VALUES), np.uint16)
        self.lengths: Counter[int] = Counter()
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("languages", "odd", "forms", "labels", "splits")
        }
        self.repeated: dict[int, tuple[int, str]] = {}
        self.rarest = 0
        self.groups: dict[str, int] = {}  # a bit for each split that has some of it

    def take(self, document: Document) -> None:
        found, number = self.found, self.found.documents
        found.documents += 1
        found.sentences += len(document.sentences)
        found.single += len(document.sentences) == 1
        text = document.text if document.text_b is None else f"{document.text}\n{document.text_b}"
        found.characters += len(text)
        self._look(text, document)
        pieces = [hash_words(sentence) for sentence in document.sentences]
        if document.text_b is not None:
            pieces.append(hash_words(document.text_b))
        words = np.concatenate(pieces)
        found.words += len(words)
        self.lengths[_rounded(len(words))] += 1
        self._sentences(document.sentences, pieces)
        self._compare(number, words, self.splits.of(document.split), self.labels.of(document.label))
        if number < COMPARED:
            self.places.add(document.place)
        self._group(document)

    def _look(self, text: str, document: Document) -> None:
        counts = self.counts
        language = guess(text)
        counts["languages"][language or "?"] += 1
        if document.lang is not None and language is not None:
            self.found.other_language += document.lang.lower().partition("-")[0] != language
        for kind, times in odd_characters(text).items():
            counts["odd"][kind] += times
            places = self.found.odd_places.setdefault(kind, [])
            if len(places) < 3:
                places.append(document.place)
        if form := composition(text):
            counts["forms"][form] += 1
        if document.label is not None:
            counts["labels"][document.label] += 1
        if document.split is not None:
            counts["splits"][document.split] += 1

    def _sentences(self, sentences: list[str], pieces: list[Hashes]) -> None:
        for sentence, words in zip(sentences, pieces, strict=False):
            if len(words) < SHORTEST:
                continue
            whole = hash_whole(words)
            count, text = self.repeated.get(whole, (0, sentence[:80]))
            self.repeated[whole] = (count + 1, text)
            self.of_sentences.put((whole,))
        while len(self.repeated) > REPEATED:  # lossy counting (Manku and Motwani 2002): the rarest are forgotten
            self.rarest += 1
            self.repeated = {key: kept for key, kept in self.repeated.items() if kept[0] > self.rarest}

    def _compare(self, number: int, words: Hashes, split: int, label: int) -> None:
        if not len(words):
            return
        self.of_documents.put((hash_whole(words), number, split, label))
        if split >= 0:
            runs = np.unique(hash_runs(words))
            records = np.empty(len(runs), _RUN)
            records["hash"], records["number"], records["split"] = runs, number, split
            self.of_runs.add(records)
        if number < COMPARED:
            if number >= len(self.signatures):
                self.signatures = np.concatenate([self.signatures, np.zeros_like(self.signatures)])
            self.signatures[number] = signature(words)

    def _group(self, document: Document) -> None:
        if document.group is None:
            return
        split = self.splits.of(document.split)
        seen = self.groups.get(document.group, 0)
        self.groups[document.group] = seen if split < 0 else seen | 1 << split

    def conclude(self) -> None:
        found = self.found
        for name, counts in self.counts.items():
            setattr(found, name, dict(counts.most_common()))
        found.lengths = _quantiles(self.lengths)
        found.groups = len(self.groups)
        records = self.of_documents.records
        begins, ends = runs_of_equals(records["hash"])
        groups = [records[begin:end] for begin, end in zip(begins, ends, strict=True)]
        groups.sort(key=lambda group: int(group["number"][0]))
        found.equal = self._copies(groups, self.of_documents.share)
        found.alike = self._alike(groups)
        hashes = self.of_sentences.records["hash"]
        begins, ends = runs_of_equals(hashes)
        extra = int((ends - begins - 1).sum())
        share = self.of_sentences.share
        found.sentence_copies = Copies([], round(extra / share), share)
        often = sorted(self.repeated.values(), key=lambda one: (-one[0], one[1]))[:5]
        found.repeated = [(text, count) for count, text in often if count > 1]
        found.runs_share = self.of_runs.share
        found.leaks = [*self._crossings(groups), *self._shared_runs(groups)]

    def _copies(self, groups: list[Records], share: float) -> Copies:
        count = sum(len(group) - 1 for group in groups)
        return Copies([self._named(group["number"]) for group in groups], round(count / share), share)

    def _named(self, numbers: Any) -> list[str]:
        return [self.places[int(number)] for number in numbers]

    def _alike(self, equal: list[Records]) -> Copies:
        """Documents alike but not equal: of equal ones the first is compared."""
        compared = min(self.found.documents, COMPARED)
        chosen = np.ones(compared, bool)
        for group in equal:
            later = group["number"][1:]
            chosen[later[later < compared]] = False
        chosen &= self.signatures[:compared].any(axis=1)  # those without a word have no signature
        rows = np.flatnonzero(chosen)
        found = clusters(len(rows), alike_pairs(self.signatures[rows]))
        groups = [self._named(rows[group]) for group in found]
        return Copies(groups, sum(len(group) - 1 for group in groups), compared / max(self.found.documents, 1))

    def _crossings(self, groups: list[Records]) -> list[TextLeak]:
        leaks = []
        for group in groups:
            for what, names, column in (("equal", self.splits, "split"), ("labels disagree", self.labels, "label")):
                kinds = sorted({names.names[number] for number in group[column] if number >= 0})
                if len(kinds) > 1:
                    leaks.append(TextLeak(what, kinds, self._named(group["number"])))
        for name, bits in self.groups.items():
            kinds = [split for number, split in enumerate(self.splits.names) if bits >> number & 1]
            if len(kinds) > 1:
                leaks.append(TextLeak("group", kinds, [name]))
        return leaks

    def _shared_runs(self, equal: list[Records]) -> list[TextLeak]:
        """Documents outside "train" that share runs of words with it; equal ones are told of already."""
        train = self.splits.numbers.get("train")
        if train is None:
            return []
        records = self.of_runs.records
        learnt = np.unique(records["hash"][records["split"] == train])
        others = records[records["split"] != train]
        inside = np.isin(others["hash"], learnt)
        numbers, at = np.unique(others["number"], return_inverse=True)
        shares = np.bincount(at, inside) / np.maximum(np.bincount(at), 1)
        splits = dict(zip(others["number"].tolist(), others["split"].tolist(), strict=True))
        told = {int(n) for group in equal for n in group["number"] if len(np.unique(group["split"])) > 1}
        leaks = []
        for number, share in zip(numbers.tolist(), shares.tolist(), strict=True):
            if share > 0 and number not in told:
                where = sorted(["train", self.splits.names[splits[number]]])
                leaks.append(TextLeak("copied" if share > COPIED else "shared", where, [self.places[number]]))
        return leaks


def _rounded(count: int) -> int:
    """Two digits of a large count: lengths are told by quantiles, and few different ones are held."""
    digits = len(str(count)) - 2
    return count if digits <= 0 else count // 10**digits * 10**digits


def _quantiles(lengths: Counter[int]) -> dict[str, int]:
    values = sorted(lengths)
    ends = np.cumsum([lengths[value] for value in values])
    at = {"shortest": 0.0, "usual": 0.5, "long": 0.9, "longest": 1.0}
    return {name: values[int(np.searchsorted(ends, max(1, share * ends[-1])))] for name, share in at.items()}
