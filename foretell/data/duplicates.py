"""Images that are the same: exactly, by a hash of their content, or to the eye, by a perceptual hash and a comparison.

The perceptual hash is the signs of 64 random projections (Charikar, "Similarity Estimation Techniques from Rounding
Algorithms", 2002) of the low frequencies of a 32 x 32 grey thumbnail, weighted by frequency, since pictures hold less the
higher it is. Unlike the sign of single coefficients, a projection is seldom near zero in a smooth picture. Pairs at
most ``DISTANCE`` bits apart are found by multi-index hashing (Norouzi, Punjani and Fleet, arXiv 1307.2982): of four
bands of 16 bits one must agree within a bit, so that a bucket, not the whole set, is searched. A pair counts when its
16 x 16 thumbnails, in all channels, correlate at ``ALIKE`` or more.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from foretell.data.pixels import Pixels
from foretell.data.store import ImageStore

DISTANCE = 7  # bits of 64: the most that four bands within one bit each are sure to find
HIGHEST = 8  # frequency, in half periods across the picture
ALIKE = 0.98
FLAT = 3.0  # standard deviation of 8-bit grey below which an image has nothing to compare
NEIGHBOURS = 8  # kept an image and band: enough to join a cluster
WINDOW = 256  # images of a bucket that are compared, nearest in hash order first
CHUNK = 512

Index = NDArray[np.int64]


def exact_groups(hashes: NDArray[np.uint8]) -> list[list[int]]:
    """Rows of equal content, from (N, 16) hashes: groups of two or more, in order of their first row."""
    _, first, inverse, counts = np.unique(hashes, axis=0, return_index=True, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    chosen = np.flatnonzero(counts > 1)
    chosen = chosen[np.argsort(first[chosen])]
    return [order[ends[group] - counts[group] : ends[group]].tolist() for group in chosen]


def thumbnails(store: ImageStore, index: Index, side: int) -> NDArray[np.float32]:
    """(len(index), C, side, side) float32 in 0 to 255: area means of each image stretched to a square."""
    sizes = store.sizes[index]
    if bool((sizes == sizes[0]).all()):
        images = store.read(index)
        small = torch.nn.functional.adaptive_avg_pool2d(images.float(), (side, side)) * 255
        return np.asarray(small.numpy())
    return np.stack([_thumbnail(store.image(int(i)), side) for i in index])


def _thumbnail(image: Pixels, side: int) -> NDArray[np.float32]:
    scale = np.float32(255 / np.iinfo(image.dtype).max)
    planes = [
        Image.fromarray(np.ascontiguousarray(image[:, :, c], dtype=np.float32)).resize(
            (side, side), Image.Resampling.BOX
        )
        for c in range(image.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes]) * scale


def _projections() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(12, 32) lowest rows of the cosine transform, (144, 64) weights of their products: the same on every machine."""
    k, n = np.arange(12)[:, None], np.arange(32)[None, :]
    basis = np.cos(np.pi * k * (2 * n + 1) / 64)
    frequency = np.hypot(k, k.T).ravel()
    weight = np.where(frequency < HIGHEST, frequency, 0)  # none for the mean: brightness does not count
    drawn = np.random.Generator(np.random.PCG64(0)).standard_normal((144, 64))
    return basis.astype(np.float32), (drawn * weight[:, None]).astype(np.float32)


def perceptual_hashes(
    store: ImageStore, progress: Callable[[int, int], None] | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """((N,) 64-bit hashes, (N,) whether an image is flat: of one shade, so that its hash means nothing)."""
    basis, projections = _projections()
    powers = np.uint64(1) << np.arange(64, dtype=np.uint64)
    hashes = np.zeros(len(store), np.uint64)
    flat = np.zeros(len(store), np.bool_)
    for start in range(0, len(store), CHUNK):
        index = np.arange(start, min(start + CHUNK, len(store)))
        grey = thumbnails(store, index, 32).mean(axis=1)
        flat[index] = grey.std(axis=(1, 2)) < FLAT
        spectrum = basis @ grey @ basis.T
        bits = spectrum.reshape(len(index), 144) @ projections > 0
        hashes[index] = (bits * powers).sum(axis=1, dtype=np.uint64)
        if progress:
            progress(int(index[-1]) + 1, len(store))
    return hashes, flat


@numba.njit(cache=True, nogil=True)  # type: ignore[misc, untyped-decorator, unused-ignore]
def _neighbours(hashes, keys, order, starts, distance, window, found):  # type: ignore[no-untyped-def]
    """For each image (in bucket order) up to found.shape[1] others within ``distance`` bits, by their row."""
    most = found.shape[1]
    for at in range(len(keys)):
        count = 0
        for flip in range(17):
            if flip == 16:
                bucket = keys[at]
                begin = at + 1
            else:
                bucket = keys[at] ^ (1 << flip)
                if bucket < keys[at]:  # met from the other side
                    continue
                begin = starts[bucket]
            end = min(starts[bucket + 1], begin + window)
            for other in range(begin, end):
                x = hashes[at] ^ hashes[other]
                x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
                x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
                x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                if (x * np.uint64(0x0101010101010101)) >> np.uint64(56) <= distance:
                    found[at, count] = order[other]
                    count += 1
                    if count == most:
                        break
            if count == most:
                break


def candidate_pairs(hashes: NDArray[np.uint64]) -> Index:
    """(P, 2) rows, first < second, at most ``DISTANCE`` bits apart.

    All such pairs where no bucket holds more than ``WINDOW`` images and no image has more than ``NEIGHBOURS`` like it;
    beyond that enough of them to join clusters.
    """
    pairs = []
    by_hash = np.argsort(hashes, kind="stable")
    for band in range(4):
        keys = ((hashes[by_hash] >> np.uint64(16 * band)) & np.uint64(0xFFFF)).astype(np.int64)
        within = np.argsort(keys, kind="stable")
        order, keys = by_hash[within], keys[within]
        starts = np.searchsorted(keys, np.arange((1 << 16) + 1))
        found = np.full((len(hashes), NEIGHBOURS), -1, np.int64)
        _neighbours(hashes[order], keys, order, starts, np.uint64(DISTANCE), WINDOW, found)
        left, column = np.nonzero(found >= 0)
        pairs.append(np.stack([order[left], found[left, column]], axis=1))
    whole = np.sort(np.concatenate(pairs), axis=1)
    return np.unique(whole, axis=0) if len(whole) else whole


def near_pairs(
    store: ImageStore, progress: Callable[[int, int], None] | None = None
) -> tuple[list[tuple[int, int, float]], int]:
    """((row, row, correlation) of images alike to the eye but not equal, number of flat images left out)."""
    hashes, flat = perceptual_hashes(store, progress)
    _, first = np.unique(store.hashes, axis=0, return_index=True)  # one of each exact duplicate
    rows = np.sort(first[~flat[first]])
    pairs = rows[candidate_pairs(hashes[rows])]
    near = []
    for start in range(0, len(pairs), CHUNK):
        part = pairs[start : start + CHUNK]
        needed, where = np.unique(part, return_inverse=True)
        small = thumbnails(store, needed, 16).reshape(len(needed), -1)
        small -= small.mean(axis=1, keepdims=True)
        small /= np.linalg.norm(small, axis=1, keepdims=True) + 1e-6
        where = where.reshape(-1, 2)
        alike = np.einsum("pd,pd->p", small[where[:, 0]], small[where[:, 1]])
        near += [(int(a), int(b), float(value)) for (a, b), value in zip(part, alike, strict=True) if value >= ALIKE]
    return near, int(flat.sum())


def clusters(count: int, pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Connected groups of rows, each sorted, in order of their first row."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for row in sorted({row for pair in pairs for row in pair}):
        groups.setdefault(root(row), []).append(row)
    return list(groups.values())
