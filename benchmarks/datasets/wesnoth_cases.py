"""The units of ``wesnoth`` as cases of several images: races with enough units, divided by unit.

INSIDE: as `wesnoth`; of its 389 units those of four frames or more whose race has at least eight such.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmarks.datasets import wesnoth
from benchmarks.datasets.loaded import Loaded
from foretell.data.table import Table

NAME, VERSION, SHA256, LICENCE, PACKAGE = (
    wesnoth.NAME, wesnoth.VERSION, wesnoth.SHA256, wesnoth.LICENCE, wesnoth.PACKAGE,
)  # fmt: skip
FRAMES = 4  # of a unit that is a case
UNITS = 8  # of a race that is a class
TEST = 0.5  # share of each race's units that is tested on


def load(seed: int = 0) -> Loaded:
    """A folder of PNG files: the frames of the units of at least ``FRAMES`` frames, of races of at least ``UNITS`` such.

    Columns path, label (race), group and case (unit), split (train, test): a unit is in one part only, and ``TEST`` of each
    race's units, drawn with ``seed``, are tested on.
    """
    whole = wesnoth.load()
    table = whole.table
    frames = Counter(table.column("group"))
    races = dict(zip(table.column("group"), table.column("label"), strict=True))
    enough = [unit for unit, count in frames.items() if count >= FRAMES and races[unit] is not None]
    kept = {race for race, count in Counter(races[unit] for unit in enough).items() if count >= UNITS}
    units = {unit for unit in enough if races[unit] in kept}
    rows = [row for row, unit in enumerate(table.column("group")) if unit in units]
    chosen = table.subset(rows)
    parts = split_units({str(unit): str(races[unit]) for unit in units}, seed)
    return Loaded(
        Table({**chosen.columns, "split": [parts[str(unit)] for unit in chosen.column("group")]}, rows=len(rows)),
        folder=whole.folder,
    )


def split_units(race_of: dict[str, str], seed: int) -> dict[str, str]:
    """train or test for each unit, ``TEST`` of each race's at random."""
    rng = np.random.default_rng(seed)
    parts = {}
    for race in sorted(set(race_of.values())):
        own = sorted(unit for unit, its in race_of.items() if its == race)
        tested = set(rng.permutation(own)[: round(TEST * len(own))].tolist())
        parts.update({unit: "test" if unit in tested else "train" for unit in own})
    return parts
