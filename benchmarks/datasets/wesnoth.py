"""Frames of the units of a strategy game: many images of one thing.

INSIDE: 5,782 PNG with alpha, mostly 72 x 72: 20 folders of races, one of ships and carts, two pictures beside them. 210 units have four frames or more
(median 17). A frame belongs to the unit whose name is the shortest beginning of its own, up to a '-', that is itself a
picture in the folder; what follows a '+' (a variant) is cut off.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, unpack
from foretell.data.table import Table

NAME = "wesnoth-1.16-data"
VERSION = "1:1.16.9-1"
SHA256 = "1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26"
LICENCE = "GPL-2.0-or-later: loaded, never shipped"
PACKAGE = Package("debian", NAME, VERSION, SHA256, LICENCE)
_IMAGES = "/data/core/images/units/"


def _rename(name: str) -> str | None:
    _, found, inside = name.partition(_IMAGES)
    return inside if found and inside.endswith(".png") else None


def load() -> Loaded:
    """A folder of 5,782 PNG files; columns path, label (race, none for pictures beside the folders), group (unit), case."""
    folder = unpack(PACKAGE, _rename)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    group = units(paths)
    label = [path.split("/")[0] if "/" in path else None for path in paths]
    return Loaded(
        Table({"path": list(paths), "label": label, "group": list(group), "case": list(group)}), folder=folder
    )


def units(paths: list[str]) -> list[str]:
    """The unit of each frame, as folder/name."""
    known = {path.removesuffix(".png") for path in paths}
    found = []
    for path in paths:
        place = PurePosixPath(path)
        parts = place.stem.split("-")
        beginnings = ["-".join(parts[:count]) for count in range(1, len(parts) + 1)]
        names = [(place.parent / beginning).as_posix() for beginning in beginnings]
        found.append(next(name for name in names if name in known).split("+")[0])
    return found
