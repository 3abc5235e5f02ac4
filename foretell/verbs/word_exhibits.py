"""What word vectors show a person: neighbours of frequent words, and a map on which words lie near their like."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data.text.letters import is_word
from foretell.encoders.vectors import Floats, Neighbourhood
from foretell.report.exhibits import write_map
from foretell.run import Run

SKIPPED = 40  # the most frequent words say little: "the", "of"
ASKED, NEAREST = 12, 6
MAPPED, CLASSES, NAMED = 260, 8, 3


def neighbour_table(known: Neighbourhood) -> list[dict[str, Any]]:
    """The nearest words of words spread evenly over the logarithm of their rank, from the 40th to the 4,000th."""
    last = min(len(known.words) - 1, 4000)
    ranks = np.unique(np.geomspace(min(SKIPPED, last) + 1, last + 1, ASKED).astype(int) - 1)
    asked = [known.words[rank] for rank in ranks if is_word(known.words[rank]) and len(known.words[rank]) > 2]
    return [{"word": word, "neighbours": known.nearest(word, NEAREST)} for word in asked]


def write_word_map(run: Run, known: Neighbourhood, seed: int) -> None:
    """results/map.json of the frequent words, in classes by k-means on unit vectors, each named by its first words."""
    rows = [row for row in range(min(len(known.words), 2 * MAPPED)) if len(known.words[row]) > 1]
    rows = rows[min(SKIPPED, len(rows) // 4) :][:MAPPED]
    if len(rows) < 3 * CLASSES:
        return
    unit = known.unit[rows]
    of = classes(unit, CLASSES, seed)
    words = [known.words[row] for row in rows]
    names = [
        ", ".join([word for word, code in zip(words, of, strict=True) if code == c][:NAMED]) for c in range(CLASSES)
    ]
    write_map(run, unit, of, names, names=words, seed=seed)


def classes(unit: Floats, count: int, seed: int) -> NDArray[np.int64]:
    """(N,) classes of unit vectors by k-means, numbered by their first member."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=4, random_state=seed).fit_predict(unit)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbered: NDArray[np.int64] = rank[inverse]
    return numbered
