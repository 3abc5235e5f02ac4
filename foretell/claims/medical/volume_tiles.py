"""Volumes as patients of many cases: a case is one place of a slab, shown by a tile of each of its slices.

Slabs are cut in every plane of a volume, tiles side by side in a slab. The label of a case is the part of the brain
that fills most of it; cases of the macaque and of the head in CT have none. The template alone is tested on: no
pretraining sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from foretell.claims.medical.volumes import LEARNT, SLAB, TESTED, Tones, Volume, volumes
from foretell.data.store import ImageStore
from foretell.data.table import Table

EVERY = 2  # of the slices of a slab
TILE = 40  # pixels a side
FILLED = 0.3  # of a case's voxels, at least, lie inside what the masks know
MOST = 0.5  # of a case's labelled voxels, at least, are of the part that is its label
CASES = 12  # of a part that is a class, at least, in the patient that is learnt from


@dataclass(frozen=True)
class Case:
    """What one place of a slab shows: ``images`` (n, TILE, TILE), its slab and place in it, its part of the brain."""

    images: Tones
    slab: str
    place: str
    label: str | None


def part_of(block: Tones, classes: Sequence[str]) -> str | None:
    """The class of ``MOST`` or more of the labelled voxels of ``block``, or none."""
    counts = np.bincount(block.ravel(), minlength=len(classes))[1:]
    return classes[1 + int(counts.argmax())] if counts.max() >= MOST * counts.sum() > 0 else None


def _slabs(volume: Volume) -> Iterator[tuple[str, Tones, Tones]]:
    """(name, tones (SLAB, H, W), masks) of the slabs of every plane; slices that fill no slab are left out."""
    for plane in volume.planes:
        for number in range(volume.length(plane) // SLAB):
            slices = [volume.slice(plane, number * SLAB + at) for at in range(SLAB)]
            tones, masks = (np.stack(some) for some in zip(*slices, strict=True))
            yield f"{volume.patient} {plane} {number}", tones, masks


def _places(length: int) -> range:
    """Where tiles begin along a side: as many as fit, in its middle."""
    return range(length % TILE // 2, length - TILE + 1, TILE)


def cases(volume: Volume) -> Iterator[Case]:
    """Every case of a volume that is ``FILLED``."""
    for slab, tones, masks in _slabs(volume):
        for top in _places(tones.shape[1]):
            for left in _places(tones.shape[2]):
                cut = (slice(None), slice(top, top + TILE), slice(left, left + TILE))
                if (masks[cut] > 0).mean() < FILLED:
                    continue
                label = part_of(masks[cut], volume.classes) if volume.parts else None
                yield Case(tones[cut][::EVERY], slab, f"{top} {left}", label)


def _classes(found: dict[str, list[Case]]) -> set[str]:
    """Parts with ``CASES`` cases or more in the patient that is learnt from."""
    counts = Counter(case.label for case in found[LEARNT] if case.label is not None)
    return {label for label, count in counts.items() if count >= CASES}


def open_tiles() -> ImageStore:
    """Tiles of every patient (N, 40, 40, 1), with columns label, group (slab), case, domain (patient) and split.

    The template alone is tested on. Raises Unavailable.
    """
    found = {volume.patient: list(cases(volume)) for volume in volumes()}
    known = _classes(found)
    rows = [
        (image, case, patient)
        for patient, its in found.items()
        for case in its
        for image in case.images
    ]  # fmt: skip
    table = Table(
        {
            "label": [case.label if case.label in known else None for _, case, _ in rows],
            "group": [case.slab for _, case, _ in rows],
            "case": [case.place for _, case, _ in rows],
            "domain": [patient for _, _, patient in rows],
            "split": ["test" if patient == TESTED else "train" for _, _, patient in rows],
        }
    )
    return ImageStore.of(np.stack([image for image, _, _ in rows])[..., None], table, source="tiles of volumes")
