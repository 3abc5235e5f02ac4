"""A corpus as word numbers in a memory-mapped file, with its vocabulary: what word vectors are learnt from.

The text is read once, in a stream. Words get numbers as they are first seen; when all are counted, the frequent ones are
numbered anew by falling count and the others leave the text. In memory are the vocabulary and one block; of more than
``DIFFERENT`` words the rarest are dropped on the way, as in the program of word2vec's authors.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from foretell.counters import seed_of
from foretell.data.store import cache_folder
from foretell.data.stores import alone, whole
from foretell.data.text.corpus import Corpus
from foretell.data.text.letters import MARKS
from foretell.errors import InputError
from foretell.run import write_aside
from foretell.settings import Settings

END = -1  # after each sentence
LONGEST = 100  # characters of a word; what is longer is no word
BLOCK = 1 << 20  # numbers held before they are written
DIFFERENT = 10_000_000  # words at once, of about 140 bytes each
HELD_OUT = 50  # of later documents than so many, about one in so many is held out where no split column says which
FORMAT = 3  # of what a word is and how it is kept: one more makes older stores in the cache be built anew

Ids = NDArray[np.int32]

# the zero-width joiners are spelling in Persian and Hindi; (?!\s) alone makes it quick
WORD = rf"[^\W_]+(?:(?!\s)(?:[{MARKS}]+[^\W_]*|['’\-\u200c\u200d][^\W_]+))*"
_WORD = re.compile(WORD)


class WordsConfig(Settings):
    """What counts as a word."""

    words: Literal["letters", "spaces"] = Field(
        "letters",
        description="letters with their marks and digits, with hyphens and apostrophes inside; or whatever stands between spaces",
    )
    lower: bool = Field(True, description="capital letters as small ones")
    min_count: int = Field(5, ge=1, description="words that are rarer leave the text")
    most: int | None = Field(None, ge=2, description="size of the vocabulary: only the most frequent words")


@dataclass
class WordStore:
    """``ids``: word numbers with END after each sentence; ``held``: the same of documents that are not learnt from.

    ``words`` and ``counts`` (int64, in the part learnt from) by falling count; ``raw`` words learnt from before rare ones
    left; ``facts``: documents, sentences and notes of the source, and the rule by which its sentences were found.
    """

    source: str
    fingerprint: str
    ids: Ids
    held: Ids
    words: list[str]
    counts: NDArray[np.int64]
    raw: int
    facts: dict[str, Any]

    def __len__(self) -> int:
        return len(self.ids)

    def sentences(self, ids: Ids) -> Iterator[list[str]]:
        """Words of each sentence of ``ids``."""
        begin = 0
        for end in np.flatnonzero(ids == END):
            yield [self.words[i] for i in ids[begin:end]]
            begin = int(end) + 1


def split_words(text: str, config: WordsConfig) -> list[str]:
    """The words of ``text``.

    >>> split_words("The cat's re-run, 3 times!", WordsConfig())
    ['the', "cat's", 're-run', '3', 'times']
    """
    if config.lower:
        text = text.lower()
    found = _WORD.findall(text) if config.words == "letters" else text.split()
    return [word for word in found if len(word) <= LONGEST]


def open_words(
    corpus: Corpus,
    config: WordsConfig | None = None,
    *,
    cache: Path | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> WordStore:
    """The word numbers of ``corpus``, made once and kept in the cache by its fingerprint and ``config``.

    Documents whose split is not "train" are held out; without a split column about one in 50, drawn by its number
    alone: of fewer than 83 none. Counts are exact up to ``DIFFERENT`` words; above, a note says how many were dropped.
    ``progress(words, words a second)``. Raises InputError when fewer than two words are left, and for a
    file that changes meanwhile.
    """
    config = config or WordsConfig()
    key = json.dumps([FORMAT, corpus.fingerprint, config.model_dump()], sort_keys=True)
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    folder = (cache or cache_folder() / "words") / digest
    if not (folder / "meta.json").is_file():  # a finished one is read from a cache that may not be written, too
        with alone(folder.with_name(f"{digest}.lock")):
            if not (folder / "meta.json").is_file():
                work = folder.with_name(f"{digest}.building")
                for left in (work, folder):  # by a process that was killed
                    shutil.rmtree(left, ignore_errors=True)
                work.mkdir()
                try:
                    _build(corpus, config, work, progress)
                    corpus.watch.check()
                    work.rename(folder)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
    with whole(folder, "the stored words were"):
        return _read(folder, corpus)


def _read(folder: Path, corpus: Corpus) -> WordStore:
    """Raises ValueError and the like where the files are not as they were written."""
    meta = json.loads((folder / "meta.json").read_text())
    for name, size in meta["sizes"].items():
        if (folder / name).stat().st_size != size:
            raise ValueError(f"{name} has not its {size:,} bytes")
    words = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    counts = np.load(folder / "counts.npy")
    if len(words) != len(counts):
        raise ValueError("its parts do not belong together")
    ids, held = (_mapped(folder / name) for name in ("ids.bin", "held.bin"))
    facts = {**meta["facts"], "sentence_rule": meta["corpus"]["sentences"]}
    facts["notes"] = [*corpus.notes, *meta.get("notes", [])]
    return WordStore(corpus.name, folder.name, ids, held, words, counts, meta["raw"], facts)


def _mapped(path: Path) -> Ids:
    if not path.stat().st_size:
        return np.zeros(0, np.int32)
    return np.memmap(path, np.int32, "r")


class _Part:
    """One of the two streams of numbers while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("wb")
        self.waiting = array("i")
        self.raw = self.documents = self.sentences = 0

    def add(self, sentence: list[int]) -> None:
        self.waiting.extend(sentence)
        self.waiting.append(END)
        self.raw += len(sentence)
        self.sentences += 1
        if len(self.waiting) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        self.waiting.tofile(self.file)
        self.waiting = array("i")

    def renumber(self, numbers: Ids) -> int:
        """Give every number another (END for none, which is left out), in place; how many are left."""
        self.flush()
        self.file.close()
        left = 0
        aside = self.path.with_suffix(".new")
        with self.path.open("rb") as given, aside.open("wb") as made:
            while block := given.read(4 * BLOCK):
                old = np.frombuffer(block, np.int32)
                new = np.where(old == END, END, numbers[np.maximum(old, 0)])
                kept = new[(old == END) | (new != END)]
                kept.astype(np.int32).tofile(made)
                left += len(kept)
        aside.replace(self.path)
        self.file = self.path.open("ab")
        return left


class _Numbers:
    """The number of each word, as they are first seen; of more than ``DIFFERENT`` the rarest are dropped, and their text.

    As ReduceVocab of word2vec.c (Mikolov et al. 2013): at first words seen once, the next time those seen twice or less,
    and so on. One that comes again is counted from there.
    """

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.rarest = self.dropped = 0

    def given(self, words: list[str]) -> list[int]:
        of = self.of
        return [of.setdefault(word, len(of)) for word in words]

    def reduce(self, learnt: _Part, held: _Part) -> None:
        while len(self.of) > DIFFERENT:
            self.rarest += 1
            kept = _counted(learnt, len(self.of)) > self.rarest
            numbers = np.where(kept, np.cumsum(kept) - 1, END).astype(np.int32)
            for part in (learnt, held):
                part.renumber(numbers)
            self.dropped += int((~kept).sum())
            self.of = {word: number for number, word in enumerate(compress(self.of, kept))}

    @property
    def notes(self) -> list[str]:
        if not self.dropped:
            return []
        return [
            f"more than {DIFFERENT:,} different words: {self.dropped:,} were dropped on the way, which had been seen "
            f"{self.rarest} times or less; so rare words may be counted too low"
        ]


def _build(corpus: Corpus, config: WordsConfig, folder: Path, progress: Callable[[int, float], None] | None) -> None:
    number = _Numbers()
    learnt, held = _Part(folder / "ids.bin"), _Part(folder / "held.bin")
    begun = time.monotonic()
    with_split = False
    for index, document in enumerate(corpus.documents()):
        with_split = with_split or document.split is not None
        aside = document.split not in (None, "train") or (
            document.split is None
            and not with_split
            and seed_of("held out", index) % HELD_OUT == 0
            and index >= HELD_OUT
        )
        part = held if aside else learnt
        part.documents += 1
        for sentence in document.sentences:
            words = split_words(sentence, config)
            if words:
                part.add(number.given(words))
        number.reduce(learnt, held)
        if progress is not None and index % 200 == 0:
            done = learnt.raw + held.raw
            progress(done, done / max(time.monotonic() - begun, 1e-9))
    counts = _counted(learnt, len(number.of))
    order = np.lexsort((np.arange(len(counts)), -counts))
    order = order[counts[order] >= config.min_count][: config.most]
    if len(order) < 2:
        rarest = f"objective.min_count={max(1, config.min_count // 2)}" if config.min_count > 1 else "more text"
        raise InputError(
            f"{corpus.name}: {learnt.raw:,} words, of which {len(order)} occur {config.min_count} times or more; expected "
            f"at least 2 such words. Give {rarest}"
        )
    numbers = np.full(len(number.of), END, np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    for part in (learnt, held):
        part.renumber(numbers)
        part.file.close()
    known = list(number.of)
    (folder / "words.txt").write_text("\n".join(known[i] for i in order), encoding="utf-8")
    np.save(folder / "counts.npy", counts[order])
    facts = {
        "documents": learnt.documents,
        "held_documents": held.documents,
        "sentences": learnt.sentences,
        "held_words": held.raw,
        "distinct": len(number.of) + number.dropped,
        "split_column": with_split,
    }
    meta = {"raw": learnt.raw, "facts": facts, "config": config.model_dump(), "corpus": asdict(corpus.rules)}
    meta["notes"] = [*corpus.left_out, *number.notes]
    meta["sizes"] = {path.name: path.stat().st_size for path in folder.iterdir()}
    write_aside(folder / "meta.json", json.dumps(meta, indent=1))


def _counted(part: _Part, distinct: int) -> NDArray[np.int64]:
    """How often each of the numbers below ``distinct`` is in ``part``."""
    part.flush()
    part.file.flush()
    counts = np.zeros(distinct + 1, np.int64)
    with part.path.open("rb") as stream:
        while block := stream.read(4 * BLOCK):
            counts += np.bincount(np.frombuffer(block, np.int32) + 1, minlength=distinct + 1)
    return counts[1:]
