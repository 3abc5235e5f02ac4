"""English documents: the addresses of the presidents of the United States on the state of the union, 1790 to 2021.

INSIDE: 233 texts, 1.79 million words.
"""

from __future__ import annotations

from pathlib import Path

from foretell.claims.corpora import ADDRESSES, addresses
from foretell.claims.fetch import folder
from foretell.run import write_aside

PACKAGE = ADDRESSES
NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence


def load() -> Path:
    """A text file of one address a line, in order of time: a source for ``foretell``."""
    kept = folder() / f"{PACKAGE.stem}.txt"
    if not kept.is_file():
        write_aside(kept, "".join(" ".join(text.split()) + "\n" for text in addresses()))
    return kept
