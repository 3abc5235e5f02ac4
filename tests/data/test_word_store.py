"""Words of a corpus as numbers: counted and numbered as an obvious version does it, in a stream, once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from foretell.data.text import words as module
from foretell.data.text.corpus import Corpus, open_corpus
from foretell.data.text.words import END, WordsConfig, open_words, split_words
from foretell.errors import InputError

ROOT = Path(__file__).parents[2]


def pages() -> Corpus:
    return open_corpus(ROOT / "docs", documents="blank", sentences="split")


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_numbers_and_counts_equal_an_obvious_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    config = WordsConfig(min_count=3)
    store = open_words(pages(), config, cache=tmp_path)
    learnt, held = [], []
    for index, document in enumerate(pages().documents()):
        aside = index >= 50 and module.seed_of("held out", index) % 50 == 0
        (held if aside else learnt).extend(split_words(sentence, config) for sentence in document.sentences)
    counts = Counter(word for sentence in learnt for word in sentence)
    assert dict(zip(store.words, store.counts.tolist(), strict=True)) == {w: n for w, n in counts.items() if n >= 3}
    assert (np.diff(store.counts) <= 0).all()
    assert store.raw == counts.total()
    for ids, sentences in ((store.ids, learnt), (store.held, held)):
        known = [[word for word in sentence if counts[word] >= 3] for sentence in sentences if sentence]
        assert list(store.sentences(ids)) == known
    assert held
    assert int((store.ids == END).sum()) == store.facts["sentences"]


def test_the_rarest_words_are_dropped_above_a_bound_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = [f"often{number}" for number in range(20)]
    lines = [f"{often[number % 20]} once{number} {often[number % 7]} rare{number % 200}" for number in range(2_000)]
    (tmp_path / "x.txt").write_text("\n".join(lines))
    corpus = open_corpus(tmp_path / "x.txt", documents="line", sentences="whole")
    exact = open_words(corpus, WordsConfig(min_count=50), cache=tmp_path / "exact")
    assert exact.facts["notes"] == corpus.notes
    assert exact.facts["distinct"] == 2_220
    monkeypatch.setattr(module, "DIFFERENT", 2_220)
    same = open_words(corpus, WordsConfig(min_count=1), cache=tmp_path / "same")
    assert (same.facts["notes"], len(same.words)) == (corpus.notes, len({*same.words}))
    monkeypatch.setattr(module, "DIFFERENT", 300)
    sizes: list[int] = []
    given = module._Numbers.given
    monkeypatch.setattr(module._Numbers, "given", lambda self, words: sizes.append(len(self.of)) or given(self, words))
    store = open_words(corpus, WordsConfig(min_count=50), cache=tmp_path / "bounded")
    assert max(sizes) <= 300
    assert (store.words, store.counts.tolist(), store.raw) == (exact.words, exact.counts.tolist(), exact.raw)
    assert np.array_equal(store.ids, exact.ids)
    assert np.array_equal(store.held, exact.held)
    found = re.search(
        r"more than 300 different words: ([\d,]+) were dropped .* seen (\d+) times", store.facts["notes"][-1]
    )
    assert found
    assert int(found[1].replace(",", "")) > 1_900
    again = open_words(corpus, WordsConfig(min_count=50), cache=tmp_path / "bounded")
    assert again.facts == store.facts


def test_a_store_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_words(pages(), cache=tmp_path)
    monkeypatch.setattr(module, "_build", None)
    again = open_words(pages(), cache=tmp_path)
    assert np.array_equal(first.ids, again.ids)
    assert first.words == again.words
    with pytest.raises(TypeError):
        open_words(pages(), WordsConfig(lower=False), cache=tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_a_split_column_decides_what_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,split\n" + "red blue,train\n" * 6 + "blue red blue,test\n,train\n")
    store = open_words(open_corpus(path), cache=tmp_path / "cache")
    assert list(store.sentences(store.held)) == [["blue", "red", "blue"]]
    assert store.counts.tolist() == [6, 6]
    assert store.facts["notes"][-1] == "1 row without text left out"


def test_words_by_letters_and_by_spaces() -> None:
    text = "Über-Maß: it's 日本 3.5 x_y " + "z" * 200
    assert split_words(text, WordsConfig()) == ["über-maß", "it's", "日本", "3", "5", "x", "y"]
    assert split_words("पृथ्वी की परमेश्\u200dवर, น้ำ می\u200cروم שָׁלוֹם", WordsConfig()) == (
        ["पृथ्वी", "की", "परमेश्\u200dवर", "น้ำ", "می\u200cروم", "שָׁלוֹם"]
    )
    spaces = split_words(text, WordsConfig(words="spaces", lower=False))
    assert spaces == ["Über-Maß:", "it's", "日本", "3.5", "x_y"]


def test_too_little_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("one two three\n")
    with pytest.raises(InputError, match=r"x.txt: 3 words, of which 0 occur 5 times or more; .*objective.min_count=2"):
        open_words(open_corpus(tmp_path / "x.txt"), cache=tmp_path / "cache")
    assert all(path.suffix == ".lock" for path in (tmp_path / "cache").iterdir())
