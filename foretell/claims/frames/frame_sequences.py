"""Sequences that the claims on next frames learn from: what game units do, and slices of CT and MR volumes.

Animations: the numbered frames of one action of a unit are a sequence (``units``). Slices: a place of a slab of a volume is
a sequence of tiles, in order through the slab (``volume_tiles``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from foretell.claims.lab import Lab
from foretell.claims.medical.micle import WHERE as ANIMATED
from foretell.claims.medical.scans import WHERE as SCANNED
from foretell.claims.medical.units import TESTED, open_units
from foretell.claims.medical.volume_tiles import TILE, open_tiles
from foretell.data.ordering import numbered
from foretell.data.store import ImageStore

CHOSEN_ON = -1  # the seed of the units that the number of steps was chosen on; no seed tests on them
# of the labelled units: those that a seed draws, less those that settings were chosen on
_DRAWN = TESTED * (1 - TESTED)
RESPLIT = _DRAWN / (1 - _DRAWN)  # test to training units, of which each seed draws its own


def open_animations(seed: int) -> ImageStore:
    """The frames of units, with columns label (race, or none), group (unit), case (sequence), order and split.

    Tested on are the units that ``seed`` draws, less those that settings were chosen on. Raises Unavailable.
    """
    store = open_units(seed)
    said = [numbered(str(path)) for path in store.table.column("path")]
    drawn = zip(store.table.column("split"), open_units(CHOSEN_ON).table.column("split"), strict=True)
    split: list[str | None] = ["test" if own == "test" and other == "train" else "train" for own, other in drawn]
    table = store.table.with_column("case", [sequence for sequence, _ in said])
    return store.with_table(table.with_column("order", [number for _, number in said]).with_column("split", split))


def open_slices() -> ImageStore:
    """The tiles of volumes, with the column order beside their own: a tile's place among the slices of its case.

    Raises Unavailable.
    """
    store = open_tiles()
    before: Counter[tuple[str | None, str | None]] = Counter()
    order: list[str | None] = []
    for case in zip(store.table.column("group"), store.table.column("case"), strict=True):
        order.append(str(before[case]))
        before[case] += 1
    return store.with_table(store.table.with_column("order", order))


@dataclass(frozen=True)
class Sequences:
    """One kind of sequences: ``open`` makes those of a seed, ``side`` is that of the views, ``where`` says what they are
    and ``told`` what is tested on. ``drawn``: whether each seed draws its own test part.
    """

    name: str
    open: Callable[[int], ImageStore]
    side: int
    where: str
    told: str
    drawn: bool

    def source(self, lab: Lab, seed: int) -> str:
        """The name of the sequences of ``seed`` in ``lab``."""
        name = f"{self.name}-{seed}" if self.drawn else self.name
        lab.add(name, lambda: self.open(seed))
        return name


ANIMATIONS = Sequences(
    "animations",
    open_animations,
    36,  # half of a usual frame
    ANIMATED,
    "a sequence is one action of a unit; each seed tests units that it draws, which it has not learnt from",
    drawn=True,
)
SLICES = Sequences(
    "slices of slabs",
    lambda seed: open_slices(),
    TILE,
    SCANNED,
    "a sequence is one place of a slab, its frames four slices two voxels apart; tested on is a patient who was not learnt "
    "from, the same for every seed, so that intervals are over weights and batches alone",
    drawn=False,
)
