"""Unlabelled English of five kinds, 5 million words, without the documents that the text tasks are tested on.

Posts, the Brown corpus, conversations, chapters of the Bible in two versions and lead sections: what the readers of these sets
give as unlabelled. Of Brown's training documents about an eighth is left out too, for choosing settings on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets import brown_tags, dialogues, posts, verses, wiki_topics
from foretell.counters import seed_of
from foretell.data.text.sentences import split_sentences
from foretell.run import write_aside

EIGHTH = 8


def for_validation(document: str) -> bool:
    """Whether the training document of Brown with this name is one to choose settings on."""
    return seed_of("text tasks, validation", document) % EIGHTH == 0


def unlabelled(folder: Path) -> str:
    return (folder / "unlabelled.txt").read_text(encoding="utf-8")


def prose() -> Iterator[list[str]]:
    for name, _, part, found in brown_tags.documents():
        if part == "train" and not for_validation(name):
            yield [" ".join(words) for words, _ in found]


def documents() -> Iterator[list[str]]:
    """The sentences of each document; of conversations the turns."""
    for reader in (posts, verses, wiki_topics):
        for text in unlabelled(reader.load()).split("\n"):
            yield split_sentences(text)
    for talk in unlabelled(dialogues.load()).split("\n\n"):
        yield [turn for turn in talk.split("\n") if turn]
    yield from prose()


def write(path: Path) -> Path:
    """A sentence a line, a blank line after each document."""
    write_aside(path, "".join("\n".join(sentences) + "\n\n" for sentences in documents() if sentences))
    return path
