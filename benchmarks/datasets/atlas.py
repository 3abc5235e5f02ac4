"""A human and a macaque brain in magnetic resonance, with the anatomy of each voxel; see ``foretell.claims.brains``.

INSIDE: `ch2` with the parts of `aal`, and `inia19-t1-brain` with its brain as one part. From one volume to the other is a
shift of domain.

python -m benchmarks.datasets.atlas FOLDER  writes the human slices with their masks and table.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.loaded import Segmented
from foretell.claims import brains
from foretell.claims.brains import PACKAGE
from foretell.data.nifti import PLANES, shown, tones, voxels
from foretell.data.table import Table
from foretell.data.window import parse

NAME, VERSION, SHA256, LICENCE = PACKAGE.name, PACKAGE.version, PACKAGE.sha256, PACKAGE.licence
SLAB = 8  # slices that lie together and are never split

Domain = Literal["human", "macaque"]


def _parts(labels: NDArray[np.int64], domain: Domain) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """(class numbers, their names) of a volume of region numbers."""
    if domain == "macaque":
        return (labels > 0).astype(np.uint8), ("background", "brain")
    return brains.parts(labels), brains.CLASSES


def load(domain: Domain = "human", plane: str = "axial") -> Segmented:
    """Images (N, H, W, 1) uint16 of the slices of a plane in which there is anatomy, and their masks.

    Columns path, label (the part that fills most of the slice), group (slabs of ``SLAB`` slices), order, domain, plane. Needs
    nibabel (extra ``medical``).
    """
    image, regions = {"human": ("ch2", "aal"), "macaque": ("inia19-t1-brain", "inia19-NeuroMaps")}[domain]
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
            "group": [f"{domain} {plane} {at // SLAB}" for at in chosen],
            "order": [str(at) for at in chosen],
            "domain": [domain] * len(chosen),
            "plane": [plane] * len(chosen),
        }
    )
    return Segmented(table, images=slices, masks=seen, classes=classes)


if __name__ == "__main__":
    print(load().write(Path(sys.argv[1])))
