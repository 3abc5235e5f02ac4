"""A hash of what an image shows, by which equal images are found and a store is told from another."""

from __future__ import annotations

import hashlib

import numpy as np

from foretell.data.pixels import Pixels


def content_hash(image: Pixels) -> bytes:
    """16 bytes of what an (H, W, C) image shows: its shape, depth and pixels."""
    digest = hashlib.blake2b(f"{image.shape}{image.dtype.name}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()
