"""A hash of what an image shows, by which equal images are found and a store is told from another.

A cryptographic hash of every byte would take longer than anything else that is done to an image that lies in its file as it is.
XXH3 reads as fast as memory does; it does not hold against who makes two images of one hash on purpose.
"""

from __future__ import annotations

import numpy as np
import xxhash

from foretell.data.pixels import Pixels


def content_hash(image: Pixels) -> bytes:
    """16 bytes of what an (H, W, C) image shows: its shape, depth and pixels."""
    digest = xxhash.xxh3_128(f"{image.shape}{image.dtype.name}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()
