"""Clip art of many hands: a noisy real folder, with a few giant images.

INSIDE: 6,900 PNG in 22 folders of categories with folders below them; sizes from a few pixels to one of 623
megapixels. Links to other pictures are left out.
"""

from __future__ import annotations

from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, unpack
from foretell.data.table import Table

NAME = "openclipart-png"
VERSION = "1:0.18+dfsg-19"
SHA256 = "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02"
LICENCE = "public domain"
PACKAGE = Package("debian", NAME, VERSION, SHA256, LICENCE)
_IMAGES = "usr/share/openclipart/png/"


def _rename(name: str) -> str | None:
    return name.removeprefix(_IMAGES) if name.startswith(_IMAGES) and name.endswith(".png") else None


def load() -> Loaded:
    """A folder of PNG files; columns path, label (category), subcategory (the folder below it, or none)."""
    folder = unpack(PACKAGE, _rename)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    parts = [path.split("/") for path in paths]
    table = Table(
        {
            "path": list(paths),
            "label": [part[0] if len(part) > 1 else None for part in parts],
            "subcategory": ["/".join(part[1:-1]) or None for part in parts],
        }
    )
    return Loaded(table, folder=folder)
