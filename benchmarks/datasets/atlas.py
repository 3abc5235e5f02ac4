"""A human and a macaque brain in magnetic resonance, with the anatomy of each voxel; see ``claims.medical.brains``.

INSIDE: `ch2` with the parts of `aal`, the same without the skull (`ch2bet`), and `inia19-t1-brain` with its brain as one part.
From one volume to another is a shift of domain.

python -m benchmarks.datasets.atlas FOLDER  writes the human slices of all three planes, with and without the skull, with
their masks and table.csv.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.loaded import Segmented
from foretell.claims.medical import brains
from foretell.claims.medical.brains import PACKAGE
from foretell.data.medical.nifti import PLANES, shown, tones, voxels
from foretell.data.medical.window import parse
from foretell.data.table import Table

NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence
SLAB = 8  # slices that lie together and are never split

Domain = Literal["human", "stripped", "macaque"]
VOLUMES: dict[Domain, tuple[str, str]] = {
    "human": ("ch2", "aal"), "stripped": ("ch2bet", "aal"), "macaque": ("inia19-t1-brain", "inia19-NeuroMaps"),
}  # fmt: skip
WHOSE: dict[Domain, str] = {"human": "human", "stripped": "human", "macaque": "macaque"}


def _parts(labels: NDArray[np.int64], domain: Domain) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """(class numbers, their names) of a volume of region numbers."""
    if domain == "macaque":
        return (labels > 0).astype(np.uint8), ("background", "brain")
    return brains.parts(labels), brains.CLASSES


def load(domain: Domain = "human", plane: str = "axial") -> Segmented:
    """Images (N, H, W, 1) uint16 of the slices of a plane in which there is anatomy, and their masks.

    Columns path, label (the part that fills most of the slice), group (slabs of ``SLAB`` slices of one head, with and without
    the skull), case (those of one volume), order, domain, plane. Needs nibabel (extra ``medical``).
    """
    image, regions = VOLUMES[domain]
    values = tones(brains.folder() / f"{image}.nii.gz", parse("percentile"))[:, :, :, 0, 0]
    masks, classes = _parts(voxels(brains.folder() / f"{regions}.nii.gz").astype(np.int64), domain)
    axis = PLANES.index(plane)
    other = tuple(number for number in range(3) if number != axis)
    chosen = np.flatnonzero((masks > 0).sum(axis=other) >= 200)
    slices = np.stack([shown(values, plane, int(at)) for at in chosen])[..., None]
    seen = np.stack([shown(masks, plane, int(at)) for at in chosen])
    fill = [np.bincount(mask.ravel(), minlength=len(classes))[1:] for mask in seen]
    table = Table(
        {
            "path": [f"{image}[{plane} {at}]" for at in chosen],
            "label": [classes[1 + int(counts.argmax())] for counts in fill],
            "group": [f"{WHOSE[domain]} {plane} {at // SLAB}" for at in chosen],
            "case": [f"{domain} {plane} {at // SLAB}" for at in chosen],
            "order": [str(at) for at in chosen],
            "domain": [domain] * len(chosen),
            "plane": [plane] * len(chosen),
        }
    )
    return Segmented(table, images=slices, masks=seen, classes=classes)


def write(folder: Path) -> Path:
    """PNG files of the human slices and of their masks, and table.csv: a source for ``foretell``."""
    rows: list[dict[str, str]] = []
    for domain in ("human", "stripped"):
        for plane in PLANES:
            place = folder / f"{domain}-{plane}"
            with load(domain, plane).write(place).open(newline="", encoding="utf-8") as stream:
                rows += [
                    row | {name: f"{place.name}/{row[name]}" for name in ("path", "mask")}
                    for row in csv.DictReader(stream)
                ]
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "table.csv"


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
