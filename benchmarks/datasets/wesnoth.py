"""Frames of the units of a strategy game: many images of one thing; read by ``claims.medical.units``, as claims do.

INSIDE: 5,782 PNG with alpha, mostly 72 x 72: 20 folders of races, one of ships and carts, two pictures beside them. 210
units have four frames or more (median 17).
"""

from __future__ import annotations

from benchmarks.datasets.loaded import Loaded
from foretell.claims.medical.units import PACKAGE, folder, units
from foretell.data.table import Table

NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence


def load() -> Loaded:
    """A folder of 5,782 PNG files; columns path, label (race, none for pictures beside the folders), group (unit), case."""
    place = folder()
    paths = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.png"))
    group = units(paths)
    label = [path.split("/")[0] if "/" in path else None for path in paths]
    return Loaded(Table({"path": list(paths), "label": label, "group": list(group), "case": list(group)}), folder=place)
