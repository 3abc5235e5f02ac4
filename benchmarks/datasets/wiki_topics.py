"""Topics of the lead sections of an encyclopedia.

INSIDE: 10,033 English lead sections {title: {extract, description, topic}}: 9,033 of eleven topics and 1,000 without
one. The same fifth of the titles as in ``wiki_questions`` is test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.datasets.english_text import LEADS
from benchmarks.datasets.labelled_text import Row, made_once, one_line
from foretell.claims.fetch import members
from foretell.counters import seed_of

PACKAGE = LEADS
NAME, VERSION, SHA256, LICENCE = LEADS.name, LEADS.version, LEADS.sha256, LEADS.licence
EVERY = 5  # titles, one of which is test
NONE = "Uncategorized"


def held_out(titles: Iterable[str]) -> set[str]:
    """The titles that are test."""
    return set(sorted(titles, key=lambda title: seed_of("wiki split", title))[::EVERY])


def leads() -> list[tuple[str, str, str]]:
    """(text, topic, "train" or "test") of each lead section with text."""
    ((_, content),) = members(PACKAGE, lambda name: name.endswith("summaries_en-us.json"))
    entries = json.loads(content)
    test = held_out(entries)
    read = ((title, one_line(entry["extract"]), entry["topic"]) for title, entry in entries.items())
    return [(text, topic, "test" if title in test else "train") for title, text, topic in read if text]


def labelled() -> Iterator[Row]:
    for text, topic, split in leads():
        if topic != NONE:
            yield {"text": text, "label": topic, "split": split}


def unlabelled() -> Iterator[str]:
    return (text for text, _, split in leads() if split == "train")


def load() -> Path:
    """A folder with ``labelled.jsonl`` (text, label, split), a source for ``foretell finetune``, and
    ``unlabelled.txt``, the leads that are not test, one a line, a source for ``foretell pretrain``."""
    return made_once(PACKAGE, "topics.1", {"labelled.jsonl": labelled, "unlabelled.txt": unlabelled})
