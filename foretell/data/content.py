"""A hash of what an image shows, by which equal images are found and a store is told from another.

Hashing every byte would take longer than anything else that is done to an image that lies in its file as it is. Blocks are
therefore folded first by multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast", 2014): the sum of
a block's 32-bit words, each times a random 64-bit number of its own, mod 2^64. Two blocks that differ have the same two sums
with a probability of at most 2^-66. The numbers are known, so that it does not hold against who makes equal sums on purpose.
"""

from __future__ import annotations

import hashlib

import numpy as np

from foretell.data.pixels import Pixels

WORDS = 1024  # of 32 bits in a block
SUMS = 2  # of a block
_FACTORS = np.frombuffer(hashlib.shake_128(b"foretell content").digest(SUMS * WORDS * 8), "<u8").reshape(SUMS, WORDS)


def content_hash(image: Pixels) -> bytes:
    """16 bytes of what an (H, W, C) image shows: its shape, depth and pixels."""
    digest = hashlib.blake2b(f"{image.shape}{image.dtype.name}".encode(), digest_size=16)
    data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
    whole = len(data) - len(data) % (4 * WORDS)
    blocks = data[:whole].view("<u4").reshape(-1, WORDS)
    digest.update(np.einsum("bw,sw->bs", blocks, _FACTORS).data)
    digest.update(data[whole:].data)
    return digest.digest()
