"""A head in computed tomography, with masks of bone and of soft tissue.

INSIDE: one project of a viewer, a tar archive: `matrix.dat`, 108 axial slices of 256 x 256 int16 in Hounsfield units
(0.957 mm a pixel, 1.5 mm between slices), and two masks drawn by threshold, 109 x 257 x 257, whose first plane, row and
column hold what the viewer keeps there. Slices are stored with the back of the head on top, and turned here. Bone lies
in the second mask too: it is counted as bone.
"""

from __future__ import annotations

import io
import tarfile

import numpy as np
from numpy.typing import NDArray

from foretell.claims.fetch import Package, member

PACKAGE = Package(
    "debian",
    "invesalius-examples",
    "3.1.99998-4",
    "f2f14bdfef6dc3812eafc5013d133c6c18370aaab5666b78d54af2e7db432f97",
    "GPL-2.0-only: loaded, never shipped",
)
FILE = "usr/share/doc/invesalius-examples/examples/Cranium.inv3"
SHAPE = (108, 256, 256)
CLASSES = ("background", "soft tissue", "bone")
SLAB = 9  # slices that lie together and are never split


def volume() -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """((108, 256, 256) Hounsfield units, class numbers of ``CLASSES`` of the same shape), slices from the neck up.

    Raises Unavailable where the package cannot be had.
    """
    files = {}
    with tarfile.open(fileobj=io.BytesIO(member(PACKAGE, FILE)), mode="r:gz") as archive:
        for entry in archive:
            name = entry.name.rpartition("/")[2]
            if entry.isreg() and name in ("matrix.dat", "mask_0.dat", "mask_1.dat"):
                content = archive.extractfile(entry)
                assert content is not None
                files[name] = content.read()
    values = np.frombuffer(files["matrix.dat"], np.int16).reshape(SHAPE)
    inner = tuple(length + 1 for length in SHAPE)
    bone, soft = (
        np.frombuffer(files[name], np.uint8).reshape(inner)[1:, 1:, 1:] > 127 for name in ("mask_0.dat", "mask_1.dat")
    )
    classes = np.where(bone, 2, np.where(soft, 1, 0)).astype(np.uint8)
    return values[:, ::-1], classes[:, ::-1]
