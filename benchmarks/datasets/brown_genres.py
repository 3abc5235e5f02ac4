"""Genres of English prose: passages of the Brown corpus.

INSIDE: 500 documents of about 2,000 words in fifteen genres, cut into passages of eight sentences. A passage's group is
its document. The same documents are test as in ``brown_tags``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets.brown_tags import documents
from benchmarks.datasets.english_text import BROWN
from benchmarks.datasets.labelled_text import Row, made_once

PACKAGE = BROWN
NAME, VERSION, SHA256, LICENCE = BROWN.name, BROWN.version, BROWN.sha256, BROWN.licence
PASSAGE = 8  # sentences


def passages() -> Iterator[Row]:
    for document, genre, split, found in documents():
        lines = [" ".join(words) for words, _ in found]
        for start in range(0, len(lines), PASSAGE):
            text = " ".join(lines[start : start + PASSAGE])
            yield {"text": text, "label": genre, "group": document, "split": split}


def unlabelled() -> Iterator[str]:
    return (str(row["text"]) for row in passages() if row["split"] == "train")


def load() -> Path:
    """A folder with ``labelled.jsonl`` (text, label, group, split), a source for ``foretell finetune``, and
    ``unlabelled.txt``, the passages that are not test, one a line, a source for ``foretell pretrain``."""
    return made_once(PACKAGE, "genres.1", {"labelled.jsonl": passages, "unlabelled.txt": unlabelled})
