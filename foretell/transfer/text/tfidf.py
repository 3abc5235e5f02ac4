"""TF-IDF with a linear model: the baseline that has learnt nothing from unlabelled text, and is hard to beat on topics.

Salton and Buckley 1988 for the weights, with sub-linear term frequency; n-grams of words, of characters within words,
or both. A pair is the vectors of both texts, their product and their difference; a choice those of each answer with its
context.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from foretell.data.text.letters import MARKS
from foretell.tasks.base import TextTask
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Classification, Similarity

Grams = Literal["words", "characters", "words and characters"]
KINDS: tuple[Grams, ...] = ("words", "characters", "words and characters")
_ACCENTS = re.compile("[\u0300-\u036f]+")
PENALTIES = (0.05, 20.0)  # 1 / C, weakest and strongest of the search
FEWEST = 2 * len(KINDS)  # settings that a search tries: a fit costs next to nothing beside a network's


def without_accents(text: str) -> str:
    """``text`` in NFKD without the accents of Latin, Greek and Cyrillic letters: other marks are part of the spelling."""
    return text if text.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFKD", text))


def _vectorisers(grams: Grams) -> list[Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    settings: dict[str, Any] = {"sublinear_tf": True, "strip_accents": without_accents, "dtype": np.float32}
    made = []
    if grams != "characters":
        # one-letter words and numbers are words too
        made.append(TfidfVectorizer(ngram_range=(1, 2), token_pattern=rf"(?u)\w+(?:[{MARKS}]+\w*)*", **settings))
    if grams != "words":
        made.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **settings))
    return made


@dataclass(frozen=True)
class TfIdf:
    """Weights from the training texts alone."""

    grams: Grams

    def fitted(self, task: TextTask) -> Callable[[TextTask], Any]:
        """Features (U, terms) of the units of other parts of the task, sparse. ``task``: what the weights are counted
        on."""
        vectorisers = _vectorisers(self.grams)
        texts = list(dict.fromkeys(text for one in _texts(task) for text in one))
        for vectoriser in vectorisers:
            _counted(vectoriser, texts)

        def vectors(texts: list[str]) -> Any:
            return sparse.hstack([vectoriser.transform(texts) for vectoriser in vectorisers], format="csr")

        return lambda other: _features(other, vectors)


def _counted(vectoriser: Any, texts: list[str]) -> None:
    try:
        vectoriser.fit(texts)
    except ValueError:  # not one word in the training texts
        vectoriser.fit([*texts, "a"])


def _texts(task: TextTask) -> list[tuple[str, ...]]:
    assert isinstance(task, Classification | Choice)
    return task.texts


def _features(task: TextTask, vectors: Callable[[list[str]], Any]) -> Any:
    texts = _texts(task)
    if isinstance(task, Choice):
        owner = np.repeat(np.arange(len(task)), np.diff(task.first))
        context = vectors([one[0] for one in texts])[owner]
        answers = vectors([texts[at][1 + place] for at, place in zip(owner, task.place, strict=True)])
        return _joined(context, answers, both=[answers])
    if len(texts[0]) == 1:
        return vectors([text for (text,) in texts])
    a, b = vectors([a for a, _ in texts]), vectors([b for _, b in texts])
    return _joined(a, b, both=[a + b] if isinstance(task, Similarity) else [a, b])


def _joined(a: Any, b: Any, both: list[Any]) -> Any:
    """``both``, the product and the difference of two texts' vectors, and their cosine."""
    product = a.multiply(b).tocsr()
    cosine = sparse.csr_matrix(product.sum(axis=1), dtype=np.float32)
    return sparse.hstack([*both, product, abs(a - b), cosine], format="csr")
