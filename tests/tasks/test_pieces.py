"""Pieces and characters, for three kinds of tokenizers and any text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from foretell.tasks.pieces import Pieces, pieces_of

TEXT = ["The Café opened in 1843; naïve 😀 people came.", "In 1843 the dog's bone was here, and there."] * 4


def wordpiece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=80, special_tokens=["[UNK]"], show_progress=False)
    )
    return made


def bytes_() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXT, trainers.BpeTrainer(initial_alphabet=alphabet, vocab_size=300, show_progress=False))
    return made


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.train_from_iterator(
        TEXT,
        trainers.UnigramTrainer(unk_token="<unk>", special_tokens=["<unk>"], vocab_size=60, show_progress=False),
    )
    return made


KINDS = {"wordpiece": wordpiece(), "bytes": bytes_(), "unigram": unigram()}
WORDS = st.lists(st.text(st.sampled_from("abcTheé中1.,-'😀\u0301"), min_size=1, max_size=6), min_size=1, max_size=8)


def one(tokenizer: Tokenizer, text: str) -> Pieces:
    return next(pieces_of(tokenizer, [text]))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(words=WORDS)
def test_each_word_has_a_first_piece_of_its_own(kind: str, words: list[str]) -> None:
    text = " ".join(words)
    pieces = one(KINDS[kind], text)
    assert (np.diff(pieces.end) >= 0).all()
    assert (np.diff(pieces.start) >= 0).all()
    starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])])
    first = pieces.first_at(starts)
    kept = [word.strip("\u0301") != "" for word in words]  # of an accent alone WordPiece makes nothing
    for word, start, piece, has in zip(words, starts, first, kept, strict=True):
        if has:
            assert pieces.start[piece] < start + len(word), word
            assert pieces.end[piece] > start, word
    ends = starts + np.array(list(map(len, words)))
    lacking = [kind == "wordpiece" and not has for has in kept]
    assert pieces.lacking(starts, ends).tolist() == lacking if len(pieces) else all(lacking)
    if all(kept):
        assert (np.diff(first) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(words=WORDS, data=st.data())
def test_pieces_give_words_back_letter_for_letter(kind: str, words: list[str], data: st.DataObject) -> None:
    words = [word.strip("\u0301") or "x" for word in words]
    text = " ".join(words)
    pieces = one(KINDS[kind], text)
    begin = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(begin, len(words) - 1))
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    first = pieces.first_at(starts[begin : begin + 1])[0]
    last = pieces.last_before(starts[end : end + 1] + len(words[end]))[0]
    assert pieces.text(text, first, last) == " ".join(words[begin : end + 1])


@pytest.mark.parametrize("loose", ["\u200b", "\u00ad", "\ufeff", "\u0301 \u200b", "\u200b \u200b"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_word_ends_before_what_another_begins_with(kind: str, loose: str) -> None:
    for text in (f"The dog {loose}was here", f"The dog {loose}", f"The dog\u00a0{loose}was"):
        pieces = one(KINDS[kind], text)
        first, last = pieces.first_at(np.array([4]))[0], pieces.last_before(np.array([7]))[0]
        assert pieces.text(text, first, last) == "dog"
        assert pieces.text(text, 0, last) == "The dog"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(text=st.text(max_size=30), data=st.data())
def test_any_span_is_a_piece_of_the_text(kind: str, text: str, data: st.DataObject) -> None:
    pieces = one(KINDS[kind], text)
    if len(pieces):
        first = data.draw(st.integers(0, len(pieces) - 1))
        last = data.draw(st.integers(first, len(pieces) - 1))
        assert pieces.text(text, first, last) in text


def test_an_empty_text_has_no_pieces_and_order_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foretell.tasks.pieces.AT_ONCE", 2)
    texts = ["The dog", "", "in 1843", "bone", "here"]
    many = list(pieces_of(KINDS["bytes"], texts))
    assert [len(pieces) > 0 for pieces in many] == [True, False, True, True, True]
    assert [pieces.ids for pieces in many] == [one(KINDS["bytes"], text).ids for text in texts]
