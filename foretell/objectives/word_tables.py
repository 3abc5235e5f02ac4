"""What word2vec knows of its vocabulary before it learns: which words stay, the noise, and the tree."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.objectives.word_kernels import DEEPEST

POWER = 0.75  # of a word's count in the noise


@dataclass
class Tables:
    """As ``word_kernels.kernel`` takes them."""

    keep: NDArray[np.float32]
    share: NDArray[np.float32]
    other: NDArray[np.int32]
    starts: NDArray[np.int64]
    nodes: NDArray[np.int32]
    bits: NDArray[np.uint8]


def tables(counts: NDArray[np.int64], sample: float, tree: bool) -> Tables:
    """For words of ``counts``; ``sample``: the threshold of sub-sampling, 0 for none."""
    share, other = alias_table(counts.astype(np.float64) ** POWER)
    paths = huffman(counts) if tree else (np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint8))
    return Tables(keep_chance(counts, sample), share, other, *paths)


def keep_chance(counts: NDArray[np.int64], sample: float) -> NDArray[np.float32]:
    """min(1, (sqrt(f / t) + 1) t / f) for a word of frequency f, as in the authors' code (the paper has sqrt(t / f))."""
    if sample <= 0:
        return np.ones(len(counts), np.float32)
    frequency = counts / counts.sum()
    chance = (np.sqrt(frequency / sample) + 1) * sample / frequency
    stays: NDArray[np.float32] = np.minimum(chance, 1.0).astype(np.float32)
    return stays


def alias_table(weights: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """(share, other): entry i stands for i with chance share[i], else for other[i] (Vose 1991)."""
    scaled = weights / weights.sum() * len(weights)
    share, other = np.ones(len(weights), np.float32), np.arange(len(weights), dtype=np.int32)
    small = [int(i) for i in np.flatnonzero(scaled < 1)]
    large = [int(i) for i in np.flatnonzero(scaled >= 1)]
    while small and large:
        low, high = small.pop(), large[-1]
        share[low], other[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    return share, other


def huffman(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
    """(starts (V + 1,), nodes, bits): the inner nodes on each word's path from the root, and the turn taken at each.

    Counts are taken as at least a share of the whole that bounds every path by ``DEEPEST`` nodes.
    """
    size = len(counts)
    # a Huffman path is at most about 1.44 log2(total / count): raised counts bound it
    raised = np.maximum(counts, int(counts.sum()) >> 26).tolist()
    heap: list[tuple[int, int]] = [(count, word) for word, count in enumerate(raised)]
    heapq.heapify(heap)
    parent, bit = np.zeros(2 * size - 1, np.int64), np.zeros(2 * size - 1, np.uint8)
    for made in range(size, 2 * size - 1):
        (first, a), (second, b) = heapq.heappop(heap), heapq.heappop(heap)
        parent[a] = parent[b] = made
        bit[b] = 1
        heapq.heappush(heap, (first + second, made))
    starts, nodes, bits = [0], [], []
    root = 2 * size - 2
    for word in range(size):
        path: list[tuple[int, Any]] = []
        at = word
        while at != root:
            path.append((int(parent[at]) - size, bit[at]))
            at = int(parent[at])
        assert len(path) <= DEEPEST
        nodes += [node for node, _ in reversed(path)]
        bits += [turn for _, turn in reversed(path)]
        starts.append(len(nodes))
    return np.array(starts, np.int64), np.array(nodes, np.int32), np.array(bits, np.uint8)
