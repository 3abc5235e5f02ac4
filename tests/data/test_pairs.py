"""Pairs of texts are built as the released code builds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foretell.data.text.corpus import open_corpus
from foretell.data.text.pairs import next_sentences
from foretell.data.text.textrows import SHORTEST, pieces
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import MASKED, TokenizerConfig, train_tokenizer
from foretell.data.text.tokens import TokenStore

ROOT = Path(__file__).parents[2]
LENGTH = 64


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    corpus = open_corpus(ROOT / "docs" / "objectives", documents="blank", sentences="split")
    made = train_tokenizer(corpus, TokenizerConfig(vocabulary=500), MASKED)
    return open_tokens(corpus, made, cache=tmp_path_factory.mktemp("tokens"))


def document_of(store: TokenStore, token: np.ndarray) -> np.ndarray:
    _, ends = store.token_spans()
    return np.searchsorted(ends, token, side="right")


def test_both_texts_are_of_documents_and_fit(store: TokenStore) -> None:
    found = next_sentences(store, LENGTH, 2, 3, 0)
    assert found.lengths.max() <= LENGTH
    assert min(found.first[:, 1].min(), found.second[:, 1].min()) >= 1
    for spans in (found.first, found.second):  # no text crosses a document's end
        assert np.array_equal(document_of(store, spans[:, 0]), document_of(store, spans.sum(1) - 1))


def test_the_second_follows_or_is_of_another_document(store: TokenStore) -> None:
    found = next_sentences(store, LENGTH, 2, 3, 0)
    of = [document_of(store, spans[:, 0]) for spans in (found.first, found.second)]
    follows = found.label == 0
    assert np.array_equal(of[0][follows], of[1][follows])
    assert (of[0][~follows] != of[1][~follows]).mean() > 0.99
    gap = found.second[follows, 0] - found.first[follows].sum(1)
    assert gap.min() >= 0
    # where no pair is too long, none is cut, and they touch
    found = next_sentences(store, 10_000, 2, 3, 0)
    follows = found.label == 0
    assert follows.sum() > 10
    assert np.array_equal(found.second[follows, 0], found.first[follows].sum(1))


def test_about_half_are_random_and_lone_sentences_always(store: TokenStore) -> None:
    first, end = store.sentence_spans()
    lone = np.flatnonzero(end - first == 1)
    assert len(lone) > 5
    starts, _ = store.token_spans()
    several = np.setdiff1d(np.arange(len(store)), lone)
    shares = []
    for seed in range(20):
        found = next_sentences(store, 10_000, 2, 3, seed)
        of = document_of(store, found.first[:, 0])
        assert (found.label[np.isin(of, lone)] == 1).all()
        # the first chunk of a document of several sentences is whole, but for the tenth with a short target
        shares.append(found.label[np.isin(found.first[:, 0], starts[several])].mean())
    assert 0.45 < np.mean(shares) < 0.6


def test_every_sentence_is_in_a_first_text_or_follows_one(store: TokenStore) -> None:
    """What is not used of a chunk is put back, so that each document is read to its end."""
    found = next_sentences(store, 10_000, 2, 3, 1)
    seen = np.zeros(store.meta["tokens"], bool)
    for spans in (found.first, found.second[found.label == 0]):
        for start, length in spans:
            seen[start : start + length] = True
    assert seen.all()


def test_it_is_a_function_of_the_seed(store: TokenStore) -> None:
    one, two, other = (next_sentences(store, LENGTH, 2, 3, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.first, two.first)
    assert np.array_equal(one.second, two.second)
    assert len(one) != len(other) or not np.array_equal(one.second, other.second)


def test_pieces_hold_every_token_once_but_short_ends(store: TokenStore) -> None:
    spans, begins, ends = pieces(store, 20)
    times = np.zeros(store.meta["tokens"], int)
    for start, length in spans:
        times[start : start + length] += 1
    assert times.max() == 1
    assert (times == 0).sum() <= len(store) * (SHORTEST - 1)
    assert spans[:, 1].max() == 20
    assert begins.sum() <= len(store)
    start, end = store.token_spans()
    assert np.isin(spans[begins, 0], start).all()
    assert np.isin(spans[ends].sum(1), end).all()
