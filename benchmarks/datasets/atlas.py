"""A human and a macaque brain in magnetic resonance, with the anatomy of each voxel.

INSIDE: NIfTI volumes: `ch2` (181 x 217 x 181, 1 mm, one person averaged over 27 scans) with the labels of `aal` (116 regions),
and `inia19-t1-brain` (168 x 206 x 128, 0.5 mm, 19 macaques averaged) with those of `inia19-NeuroMaps` (724 regions, whose
names are not in the package: brain and background here). The regions of `aal` are joined into eight parts by the first
digit of their code. From one volume to the other is a shift of domain.

python -m benchmarks.datasets.atlas FOLDER  writes the human slices with their masks and table.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.loaded import Segmented
from foretell.claims.fetch import Package, unpack
from foretell.data.nifti import PLANES, shown, tones, voxels
from foretell.data.table import Table
from foretell.data.window import parse

NAME = "mricron-data"
VERSION = "1.2.20211006+dfsg-4"
SHA256 = "d40aa0ed66cf89bf6cafa049ad3884703c9d975c2ee2737525b7196528df9d6f"
LICENCE = "BSD-3-Clause"
PACKAGE = Package("debian", NAME, VERSION, SHA256, LICENCE)
_TEMPLATES = "usr/share/mricron/templates/"
FILES = ("ch2.nii.gz", "aal.nii.gz", "aal.nii.txt", "inia19-t1-brain.nii.gz", "inia19-NeuroMaps.nii.gz")

# the first digit of a region's code
PARTS = {
    "2": "frontal", "3": "insula", "4": "limbic", "5": "occipital", "6": "parietal", "7": "deep grey", "8": "temporal",
    "9": "cerebellum",
}  # fmt: skip
SLAB = 8  # slices that lie together and are never split

Domain = Literal["human", "macaque"]


def _rename(name: str) -> str | None:
    short = name.removeprefix(_TEMPLATES)
    return short if short != name and short in FILES else None


def folder() -> Path:
    """A folder with the five files: a source for ``foretell`` as it is."""
    return unpack(PACKAGE, _rename)


def _parts(labels: NDArray[np.int64], domain: Domain) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """(class numbers, their names) of a volume of region numbers."""
    if domain == "macaque":
        return (labels > 0).astype(np.uint8), ("background", "brain")
    names = tuple(PARTS.values())
    table = np.zeros(int(labels.max()) + 1, np.uint8)
    for line in filter(str.strip, (folder() / "aal.nii.txt").read_text().splitlines()):
        number, _, code = line.split()
        table[int(number)] = list(PARTS).index(code[0]) + 1
    return table[labels], ("background", *names)


def load(domain: Domain = "human", plane: str = "axial") -> Segmented:
    """Images (N, H, W, 1) uint16 of the slices of a plane in which there is anatomy, and their masks.

    Columns path, label (the part that fills most of the slice), group (slabs of ``SLAB`` slices), order, domain, plane. Needs
    nibabel (extra ``medical``).
    """
    image, regions = {"human": ("ch2", "aal"), "macaque": ("inia19-t1-brain", "inia19-NeuroMaps")}[domain]
    values = tones(folder() / f"{image}.nii.gz", parse("percentile"))[:, :, :, 0, 0]
    masks, classes = _parts(voxels(folder() / f"{regions}.nii.gz").astype(np.int64), domain)
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
