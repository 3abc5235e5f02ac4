"""word2vec's step as its papers and the authors' code say it, one prediction after the other, in plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from foretell.objectives.word_tables import Tables

MASK = (1 << 64) - 1


class Bits:
    """SplitMix64 on Python's whole numbers."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def __call__(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        return ((self() >> 32) * bound) >> 32

    def noise(self, t: Tables) -> int:
        bits = self()
        word = ((bits >> 32) * len(t.share)) >> 32
        return word if (bits & 0xFFFFFF) / 2**24 < t.share[word] else int(t.other[word])


def predictions(ids: Any, t: Tables, window: int, negatives: int, tree: bool, seed: int) -> list[Any]:
    """(words around, [(output row, answer)]) of every window, in order."""
    bits, found, at = Bits(seed), [], 0
    while at < len(ids):
        kept = []
        while at < len(ids) and len(kept) < 1000:
            word = int(ids[at])
            at += 1
            if word < 0:
                break
            if (bits() >> 40) / 2**24 < t.keep[word]:
                kept.append(word)
        coming = [bits.noise(t) for _ in range(negatives)]
        for i, centre in enumerate(kept):
            drawn = coming
            if not tree:
                coming = [bits.noise(t) for _ in range(negatives)]
            radius = window - bits.below(window)
            around = kept[max(0, i - radius) : i] + kept[i + 1 : i + radius + 1]
            if tree:
                path = range(t.starts[centre], t.starts[centre + 1])
                rows = [(int(t.nodes[p]), 1 - int(t.bits[p])) for p in path]
            else:
                rows = [(centre, 1)] + [(word, 0) for word in drawn if word != centre]
            if around:
                found.append((around, rows))
    return found


def loss_of(inputs: Any, outputs: Any, around: list[int], rows: Any, cbow: bool) -> float:
    """The loss of one window: -log of the chance of every right answer."""
    total = 0.0
    hidden = [inputs[around].mean(0)] if cbow else [inputs[word] for word in around]
    for h in hidden:
        for row, answer in rows:
            score = h @ outputs[row]
            total += np.logaddexp(0, -score if answer else score)
    return float(total)


def step(inputs: Any, outputs: Any, found: list[Any], rate: float, cbow: bool) -> tuple[float, int]:
    """(loss, predictions); the tables change in place, window by window, all of a window at once."""
    loss, count = 0.0, 0
    for around, rows in found:
        loss += loss_of(inputs, outputs, around, rows, cbow)
        hidden = np.array([inputs[around].mean(0)] if cbow else [inputs[word] for word in around])
        at, answers = [row for row, _ in rows], np.array([answer for _, answer in rows])
        gradient = rate * (answers - 1 / (1 + np.exp(-hidden @ outputs[at].T)))
        to_inputs, to_outputs = gradient @ outputs[at], gradient.T @ hidden
        count += len(hidden)
        np.add.at(outputs, at, to_outputs)
        np.add.at(inputs, around, to_inputs if len(hidden) > 1 or not cbow else np.repeat(to_inputs, len(around), 0))
    return loss, count
