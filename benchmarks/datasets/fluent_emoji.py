"""Emoji of a second vendor, rendered in three dimensions: the concepts of ``emoji_google`` in another style.

INSIDE: 3,391 WebP images of 256 x 256 with alpha; 3,372 have a name that is in the table of ``emoji_google`` too. The
rest (two spellings of the keycaps, three flags, a few signs) are left out.
"""

from __future__ import annotations

from benchmarks.datasets import emoji_google
from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, unpack

NAME = "@lobehub/fluent-emoji-3d"
VERSION = "1.1.0"
SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
LICENCE = "MIT"
PACKAGE = Package("npm", NAME, VERSION, SHA256, LICENCE)
_IMAGES = "package/assets/"


def _rename(name: str) -> str | None:
    return name.removeprefix(_IMAGES) if name.startswith(_IMAGES) and name.endswith(".webp") else None


def load() -> Loaded:
    """A folder of 3,372 WebP files; columns as in ``emoji_google`` (group = concept), rows in its order, and domain."""
    folder = unpack(PACKAGE, _rename)
    table = emoji_google.load_table()
    files = [str(path).removesuffix(".png") + ".webp" for path in table.column("path")]
    there = [row for row, name in enumerate(files) if (folder / name).is_file()]
    joined = table.with_column("path", list(files)).subset(there)
    return Loaded(joined.with_column("domain", ["fluent 3d"] * len(there)), folder=folder)
