"""English prose of fifteen genres, every word with its part of speech: the Brown corpus.

INSIDE: 500 documents, 57,340 sentences, 1.16 million words as word/TAG, `cats.txt` with the genre of each document.
Tags are given without what marks titles, headlines, quoted and foreign words (-tl, -hl, -nc, fw-). Every fifth document
of a genre is test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets.english_text import BROWN
from benchmarks.datasets.labelled_text import Row, made_once
from foretell.claims.fetch import members

PACKAGE = BROWN
NAME, VERSION, SHA256, LICENCE = BROWN.name, BROWN.version, BROWN.sha256, BROWN.licence
EVERY = 5  # documents of a genre, one of which is test

Sentence = tuple[list[str], list[str]]

_MARKS = re.compile(r"^fw-|(?:-(?:tl|hl|nc))+$")


def base_tag(tag: str) -> str:
    """The tag without marks: "nn" of "nn-tl-hl" and "fw-nn"."""
    return _MARKS.sub("", tag)


def sentences(text: str) -> Iterator[Sentence]:
    """(words, tags) of each sentence of a document's text."""
    for line in text.split("\n"):
        pairs = [item.rpartition("/") for item in line.split()]
        if pairs:
            yield [word for word, _, _ in pairs], [base_tag(tag) for _, _, tag in pairs]


def parts(genres: dict[str, str]) -> dict[str, str]:
    """Document -> "train" or "test": of each genre's documents, in order, every fifth is test."""
    seen: Counter[str] = Counter()
    found = {}
    for document, genre in sorted(genres.items()):
        seen[genre] += 1
        found[document] = "test" if seen[genre] % EVERY == 0 else "train"
    return found


def documents() -> Iterator[tuple[str, str, str, list[Sentence]]]:
    """(name, genre, "train" or "test", sentences) of each document."""
    wanted = re.compile(r"package/(c[a-r]\d\d|cats\.txt)")
    files = {
        name.split("/")[1]: text.decode() for name, text in members(PACKAGE, lambda name: bool(wanted.fullmatch(name)))
    }
    genres = dict(line.split()[:2] for line in files.pop("cats.txt").splitlines() if line.strip())
    split = parts(genres)
    for name, genre in sorted(genres.items()):
        yield name, genre, split[name], list(sentences(files[name]))


def tagged() -> Iterator[Row]:
    for name, genre, split, found in documents():
        for words, tags in found:
            yield {"tokens": words, "tags": tags, "group": name, "label": genre, "split": split}


def unlabelled() -> Iterator[str]:
    """Sentences, and an empty line after each document."""
    for _, _, split, found in documents():
        if split == "train":
            yield from (" ".join(words) for words, _ in found)
            yield ""


def load() -> Path:
    """A folder with ``tagged.jsonl`` (tokens, tags, group: the document, label: its genre, split), a source for ``foretell
    finetune``, and ``unlabelled.txt``, the sentences of the documents that are not test, one a line and a blank line between
    documents, a source for ``foretell pretrain``.
    """
    return made_once(PACKAGE, "tags.1", {"tagged.jsonl": tagged, "unlabelled.txt": unlabelled})
