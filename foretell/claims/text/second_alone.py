"""How much the second text of a pair tells by itself of whether it follows another: a linear model that sees no first one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foretell.claims.text.runs import Document
from foretell.counters import seed_of

FEWEST = 5  # texts that a word, or two beside each other, is in
STRENGTHS = (0.01, 0.1, 1.0)  # inverse penalties, of which one is chosen on the validation part
BEGIN = "^"  # before the first word

Scorer = Callable[[Sequence[str]], NDArray[np.float64]]


def another(texts: Sequence[Document], at: int, rng: np.random.Generator) -> Document:
    """One of ``texts`` that is not number ``at``; all of them are as likely."""
    return texts[(at + 1 + int(rng.integers(len(texts) - 1))) % len(texts)]


def followers(texts: Sequence[Document], seed: int) -> tuple[list[str], NDArray[np.int64]]:
    """Every sentence that follows one in its document, labelled 1, and as many of other documents, labelled 0."""
    rng = np.random.default_rng(seed_of("followers", seed))
    found = []
    for at, own in enumerate(texts):
        for sentence in own.sentences[1:]:
            other = another(texts, at, rng)
            found += [sentence, other.sentences[int(rng.integers(len(other.sentences)))]]
    return found, np.tile([1, 0], len(found) // 2)


def fitted(learnt: Sequence[Document], validation: Sequence[Document], seed: int) -> Scorer:
    """Logistic regression on the words and pairs of words of a text: a score, higher where it is likelier to follow."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    known, asked = followers(learnt, seed), followers(validation, seed)
    counts = CountVectorizer(ngram_range=(1, 2), min_df=FEWEST, token_pattern=r"\w+|[^\w\s]")

    def begun(texts: Sequence[str]) -> list[str]:
        return [f"{BEGIN} {text}" for text in texts]

    bags = counts.fit_transform(begun(known[0]))
    models = [LogisticRegression(C=strength, max_iter=1000).fit(bags, known[1]) for strength in STRENGTHS]
    judged = counts.transform(begun(asked[0]))
    best = max(models, key=lambda model: float(model.score(judged, asked[1])))

    def score(texts: Sequence[str]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = best.decision_function(counts.transform(begun(texts)))
        return found

    return score
