"""Slices of volumes with the class of each pixel: what segmentation is learnt from and tested on.

Two tasks, in axial slices: the eight parts of the brain, learnt from one human brain and tested on the template; bone
and soft tissue of a head in CT, of which a third of the slabs is tested on, since there is no second head. Pretraining
sees the slices of every plane, less those that are tested on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from foretell.claims.medical import brains, cranium
from foretell.claims.medical.volumes import HEAD, LEARNT, SLAB, TESTED, Tones, volumes
from foretell.counters import seed_of
from foretell.data.pixels import shrink
from foretell.data.store import ImageStore
from foretell.data.table import Table
from foretell.dense.masks import Masks

EVERY = 2  # of the slices of a plane
LONGEST = 96  # pixels a side
FILLED = 0.02  # of a slice's pixels, at least, have a class
HELD = 1 / 3  # of the head's slabs are tested on
PLANE = "axial"  # that is segmented


@dataclass(frozen=True)
class Slice:
    """``image`` (H, W, 1) and ``mask``, which may be finer, of one slice."""

    image: Tones
    mask: Tones
    patient: str
    plane: str
    slab: str


@dataclass(frozen=True)
class Segmentation:
    """A task: the patients it is about, and the classes of their masks."""

    title: str
    patients: tuple[str, ...]
    classes: tuple[str, ...]


TASKS = (
    Segmentation("parts of the brain", (LEARNT, TESTED), brains.CLASSES),
    Segmentation("bone and soft tissue", (HEAD,), cranium.CLASSES),
)


@lru_cache(maxsize=1)
def slices() -> list[Slice]:
    """Every ``EVERY``-th slice, in each plane of each volume, that is ``FILLED``. Raises Unavailable."""
    found = []
    for volume in volumes():
        for plane in volume.planes:
            for at in range(0, volume.length(plane), EVERY):
                tones, mask = volume.slice(plane, at)
                if (mask > 0).mean() >= FILLED:
                    image = shrink(tones[:, :, None], LONGEST)
                    slab = f"{volume.patient} {plane} {at // SLAB}"
                    found.append(Slice(image, np.ascontiguousarray(mask), volume.patient, plane, slab))
    return found


def _tested(some: list[Slice], seed: int) -> set[str]:
    """The slabs that are tested on: all of the template, and ``HELD`` of the head's, drawn by ``seed``."""
    slabs = sorted({one.slab for one in some if one.patient == HEAD})
    order = np.random.default_rng(seed_of("tested slabs", seed)).permutation(len(slabs))
    held = {slabs[at] for at in order[: round(HELD * len(slabs))]}
    return held | {one.slab for one in some if one.patient == TESTED}


def open_slices(seed: int) -> ImageStore:
    """The images of ``slices``, with columns group (slab), domain (patient), plane and split."""
    some = slices()
    tested = _tested(some, seed)
    table = Table(
        {
            "group": [one.slab for one in some],
            "domain": [one.patient for one in some],
            "plane": [one.plane for one in some],
            "split": ["test" if one.slab in tested else "train" for one in some],
        }
    )
    return ImageStore.of([one.image for one in some], table, source="slices of volumes")


def segmented(store: ImageStore, task: Segmentation) -> tuple[ImageStore, Masks, NDArray[np.int64], NDArray[np.int64]]:
    """(the slices of ``store`` that ``task`` is about, their masks, rows to learn from, rows to test on)."""
    table = store.table
    rows = [
        row
        for row, (patient, plane) in enumerate(zip(table.column("domain"), table.column("plane"), strict=True))
        if patient in task.patients and plane == PLANE
    ]
    part = store.subset(rows)
    split = np.array(part.table.column("split"), dtype=object)
    masks = Masks([slices()[row].mask for row in rows], task.classes)
    return part, masks, np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
