"""Human and macaque brains in magnetic resonance, with the anatomy of each voxel.

INSIDE: NIfTI volumes of Debian's `mricron-data`: `ch2` (181 x 217 x 181, 1 mm, one person averaged over 27 scans),
the same without the skull (`ch2bet`) and the labels of `aal` (116 regions); `inia19-t1-brain` (168 x 206 x 128, 0.5 mm,
19 macaques averaged) with those of `inia19-NeuroMaps` (724 regions, whose names are not in the package: brain and
background here). Of PyPI's `nilearn`: the ICBM 152 template (197 x 233 x 189, 1 mm, 152 persons averaged, without the
skull), which lies in the same space as `aal`. The regions of `aal` are joined into eight parts by the first digit of
their code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foretell.claims.fetch import Package, unpack

PACKAGE = Package(
    "debian",
    "mricron-data",
    "1.2.20211006+dfsg-4",
    "d40aa0ed66cf89bf6cafa049ad3884703c9d975c2ee2737525b7196528df9d6f",
    "BSD-3-Clause",
)
TEMPLATE = Package(
    "pypi",
    "nilearn",
    "0.14.1",
    "725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a",
    "BSD-3-Clause, the template under its authors' own terms: loaded, never shipped",
)
_TEMPLATES = "usr/share/mricron/templates/"
FILES = (
    "ch2.nii.gz",
    "ch2bet.nii.gz",
    "aal.nii.gz",
    "aal.nii.txt",
    "inia19-t1-brain.nii.gz",
    "inia19-NeuroMaps.nii.gz",
)
ICBM = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"

# the first digit of a region's code
PARTS = {
    "2": "frontal", "3": "insula", "4": "limbic", "5": "occipital", "6": "parietal", "7": "deep grey", "8": "temporal",
    "9": "cerebellum",
}  # fmt: skip
CLASSES = ("background", *PARTS.values())


def _rename(name: str) -> str | None:
    short = name.removeprefix(_TEMPLATES)
    return short if short != name and short in FILES else None


def _rename_template(name: str) -> str | None:
    return ICBM if name == f"nilearn/datasets/data/{ICBM}" else None


def folder() -> Path:
    """A folder with ``FILES``: a source for ``foretell`` as it is. Raises Unavailable where they cannot be had."""
    return unpack(PACKAGE, _rename, "2")


def template_folder() -> Path:
    """A folder with ``ICBM``. Raises Unavailable where the package cannot be had."""
    return unpack(TEMPLATE, _rename_template)


def parts(regions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The numbers in ``CLASSES`` of the region numbers of ``aal``, of any shape."""
    table = np.zeros(int(regions.max()) + 1, np.uint8)
    for line in filter(str.strip, (folder() / "aal.nii.txt").read_text().splitlines()):
        number, _, code = line.split()
        table[int(number)] = CLASSES.index(PARTS[code[0]])
    return table[regions]


def moved(labels: NDArray[np.uint8], shape: Sequence[int], shift: Sequence[float]) -> NDArray[np.uint8]:
    """``labels`` (X, Y, Z) where another volume of ``shape`` and voxels of the same size has them, 0 beyond them.

    ``shift``: voxels from the first of ``labels`` to the first of the other volume, along each axis.
    """
    found = np.zeros(shape, np.uint8)
    places = [np.arange(length) + round(step) for length, step in zip(shape, shift, strict=True)]
    inside = [(place >= 0) & (place < length) for place, length in zip(places, labels.shape, strict=True)]
    found[np.ix_(*inside)] = labels[np.ix_(*(place[own] for place, own in zip(places, inside, strict=True)))]
    return found
