"""A token store holds what the tokenizer gives, sentence by sentence, and goes on where it was stopped."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from foretell.data.text import tokenise
from foretell.data.text.corpus import Corpus, open_corpus
from foretell.data.text.gaps import BLANKS, encode_gaps, holds_blanks
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import (
    MASKED,
    ROLES,
    TokenizerConfig,
    _made,
    _usual_size,
    check_specials,
    load_tokenizer,
    specials_of,
    train_tokenizer,
    trained,
    unused_ids,
)
from foretell.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return open_corpus(ROOT / "docs" / "objectives", documents="blank", sentences="split")


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_store_is_what_the_tokenizer_gives(kind: str, corpus: Corpus, tmp_path: Path) -> None:
    made = train_tokenizer(corpus, TokenizerConfig(kind=kind, vocabulary=500), MASKED)
    store = open_tokens(corpus, made, cache=tmp_path)
    assert made.get_vocab_size() == store.vocabulary == 500
    assert store.specials == specials_of(made)
    starts, ends = store.sentence_spans()
    row = 0
    for document in corpus.documents():
        encoded = [made.encode(sentence, add_special_tokens=False) for sentence in document.sentences]
        encoded = [one for one in encoded if one.ids]
        if not encoded:
            continue
        assert ends[row] - starts[row] == len(encoded)
        for sentence, one in zip(range(starts[row], ends[row]), encoded, strict=True):
            first = int(store.sentence_start(np.array([sentence]))[0])
            span = np.arange(first, int(store.sentence_ends[sentence]))
            assert store.ids[span].tolist() == one.ids
            words = one.word_ids
            begins = [i == 0 or words[i] != words[i - 1] for i in range(len(words))]
            assert store.word_starts(span).tolist() == begins
        row += 1
    assert row == len(store)
    assert store.count() == store.meta["tokens"]
    assert store.ids.dtype == np.uint16


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@pytest.mark.parametrize("gap", [40, 70_000])
def test_ids_with_gaps_between_them_are_kept_as_they_are(kind: str, gap: int, corpus: Corpus, tmp_path: Path) -> None:
    plain = train_tokenizer(corpus, TokenizerConfig(kind=kind, vocabulary=500), MASKED)
    fields = json.loads(plain.to_str())
    vocab = fields["model"]["vocab"]
    fields["model"]["vocab"] = {name: number + gap * (number >= 300) for name, number in vocab.items()}
    made = Tokenizer.from_str(json.dumps(fields))
    stores = [open_tokens(corpus, one, cache=tmp_path) for one in (plain, made)]
    assert [store.vocabulary for store in stores] == [500, 500 + gap]
    assert stores[1].ids.dtype == (np.uint16 if gap < 1 << 16 else np.uint32)
    ids = stores[0].ids.astype(np.int64)
    assert np.array_equal(stores[1].ids, ids + gap * (ids >= 300))
    every = np.arange(len(ids))
    assert np.array_equal(*(store.word_starts(every) for store in stores))
    assert stores[1].used.tolist() == [*range(300), *range(300 + gap, 500 + gap)]
    assert unused_ids(made, 505 + gap) == [*range(300, 300 + gap), *range(500 + gap, 505 + gap)]


def learnt(made: Tokenizer, corpus: Corpus, names: list[str]) -> Tokenizer:
    """``made`` with a BPE vocabulary of 500 entries."""
    texts = [sentence for document in corpus.documents() for sentence in document.sentences]
    letters = pre_tokenizers.ByteLevel.alphabet() if "Byte" in str(made.pre_tokenizer) else []
    given = {"vocab_size": 500, "special_tokens": names, "initial_alphabet": letters, "show_progress": False}
    made.train_from_iterator(texts, trainers.BpeTrainer(**given))
    return made


def unsplit(corpus: Corpus, with_pre_tokenizer: bool) -> Tokenizer:
    """As LLaMA's, older and newer: spaces become signs, and a whole sentence is cut into pieces at once."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    learnt(made, corpus, ["<pad>", "<unk>", "<s>", "</s>", "<mask>"])
    if with_pre_tokenizer:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        made.pre_tokenizer = None
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return made


@pytest.mark.parametrize("with_pre_tokenizer", [False, True])
def test_words_stand_between_spaces_where_a_tokenizer_tells_none(
    with_pre_tokenizer: bool, tmp_path: Path, corpus: Corpus
) -> None:
    made = unsplit(corpus, with_pre_tokenizer)
    text = "Some tokens, with \u73cd in them and  two blanks.\nÆ \u73cd\tends\xa0here"
    encoded = made.encode(text, add_special_tokens=False)
    assert set(encoded.word_ids) == {0}
    (tmp_path / "x.json").write_text(json.dumps({"text": text}))
    (tmp_path / "x.json").rename(tmp_path / "x.jsonl")
    store = open_tokens(open_corpus(tmp_path / "x.jsonl", sentences="whole"), made, cache=tmp_path)
    assert store.ids.tolist() == encoded.ids
    begun = np.flatnonzero(store.word_starts(np.arange(len(encoded)))).tolist()
    spans = [
        (encoded.offsets[at][0], encoded.offsets[end - 1][1]) for at, end in itertools.pairwise([*begun, len(encoded)])
    ]
    assert [text[start:end].strip() for start, end in spans] == text.split()


def test_a_store_is_called_as_the_text_at_hand(tmp_path: Path) -> None:
    for name in ("first.txt", "texts/second.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("A text about little.\n\nAnother text.\n")
    (tmp_path / "texts" / "none.txt").touch()
    corpora = [open_corpus(tmp_path / name) for name in ("first.txt", "texts")]
    made = train_tokenizer(corpora[0], TokenizerConfig(), MASKED)
    stores = [open_tokens(corpus, made, cache=tmp_path) for corpus in corpora]
    assert stores[0].folder == stores[1].folder
    for store in stores:
        store.notes.append("and more")  # is its own
    for corpus, store in zip(corpora, stores, strict=True):
        for part in (store, store.subset(np.array([1])), store.subset(np.array([1])).subset(np.array([0]))):
            assert (part.source, part.notes) == (corpus.name, [*corpus.notes, "and more"])
    assert "1 empty file passed over" in stores[1].notes


def gapped(kind: str, corpus: Corpus) -> Tokenizer:
    if kind in ("bpe", "unigram", "wordpiece"):
        return train_tokenizer(corpus, TokenizerConfig(kind=kind, vocabulary=500), MASKED)
    if kind.startswith("unsplit"):
        return unsplit(corpus, kind == "unsplit, newer")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "bytes, blank before")
    return learnt(made, corpus, ["<pad>", "<unk>", "<s>", "</s>", "<mask>"])


KINDS = ("wordpiece", "bpe", "unigram", "bytes", "bytes, blank before", "unsplit", "unsplit, newer")


@pytest.mark.parametrize("kind", KINDS)
def test_a_gap_is_one_token_of_what_training_shows(kind: str, corpus: Corpus) -> None:
    made = gapped(kind, corpus)
    assert holds_blanks(made) == (kind != "wordpiece")
    mask = specials_of(made)["mask"]
    count = 0
    sentences = [sentence for document in corpus.documents() for sentence in document.sentences]
    for sentence in [sentence for sentence in sentences if "[MASK]" not in sentence][:200]:
        encoded = made.encode(sentence, add_special_tokens=False)
        spans = [(end - len(sentence[start:end].lstrip()), end) for start, end in encoded.offsets]
        words = [word.span() for word in re.finditer(r"(?<= )[a-z]+(?=[ ,.:)]|$)", sentence)]
        whole = [name.startswith(BLANKS) or kind == "wordpiece" for name in encoded.tokens]  # with the blank
        places = [place for place, span in enumerate(spans) if span in words and whole[place]][::2]
        text, ids = sentence, list(encoded.ids)
        for place in reversed(places):
            ids[place] = mask
            text = f"{text[: spans[place][0]]}{made.id_to_token(mask)}{text[spans[place][1] :]}"
        found, gaps = encode_gaps(made, text, mask)
        assert found == ids, text
        assert [text[start:end].strip() for start, end in gaps] == [made.id_to_token(mask)] * len(places)
        count += len(places)
        if kind in ("bpe", "unigram"):  # one that is trained here gives the same by itself, in other programs, too
            assert made.encode(text, add_special_tokens=False).ids == ids
    assert count > 200


def test_a_tokenizer_gives_its_text_back(corpus: Corpus) -> None:
    text = "The encoder sees one frame at a time."
    for kind in ("bpe", "unigram"):
        made = train_tokenizer(corpus, TokenizerConfig(kind=kind, vocabulary=500), MASKED)
        assert made.decode(made.encode(text, add_special_tokens=False).ids).strip() == text


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_accents_are_stripped_only_where_they_are_no_letters(kind: str, corpus: Corpus) -> None:
    made = train_tokenizer(corpus, TokenizerConfig(kind=kind, vocabulary=500, lowercase=True), MASKED)
    assert made.normalizer.normalize_str("Ålesund, Ὅμηρος, cafe\u0301") == "alesund, ομηρος, cafe"
    for text in ("पृथ्वी", "ぶどう", "آمدن", "край", "땅이", "น้ำ"):
        assert made.normalizer.normalize_str(text) == text
    if kind == "wordpiece":
        kept = train_tokenizer(corpus, TokenizerConfig(kind=kind, vocabulary=500, lowercase=False), MASKED)
        assert kept.normalizer.normalize_str("Café") == "Café"


class Stopped(Exception):
    pass


def test_a_stopped_build_goes_on_and_gives_the_same(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = train_tokenizer(corpus, TokenizerConfig(vocabulary=500), MASKED)
    whole = open_tokens(corpus, made, cache=tmp_path / "whole")
    monkeypatch.setattr(tokenise, "AT_ONCE", 2000)
    monkeypatch.setattr(tokenise, "SAVE_SECONDS", 0.0)
    calls = 0

    def stop(tokens: int, rate: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise Stopped

    with pytest.raises(Stopped):
        open_tokens(corpus, made, cache=tmp_path / "parts", progress=stop)
    (work,) = (tmp_path / "parts" / "tokens").glob("*.building")
    kept = json.loads((work / "state.json").read_text())
    assert 0 < kept["tokens"] < whole.meta["tokens"]
    seen: list[int] = []
    parts = open_tokens(corpus, made, cache=tmp_path / "parts", progress=lambda tokens, rate: seen.append(tokens))
    assert seen[0] > kept["tokens"]  # nothing is tokenised twice
    for file in ("ids.bin", "words.bin", "sentences.bin", "documents.bin", "columns.bin", "values.json", "meta.json"):
        assert (parts.folder / file).read_bytes() == (whole.folder / file).read_bytes(), file


def test_columns_and_parts(tmp_path: Path) -> None:
    lines = [{"text": f"A text of number {i}.", "label": "ab"[i % 2], "group": f"g{i // 2}"} for i in range(6)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    corpus = open_corpus(tmp_path / "t.jsonl")
    store = open_tokens(corpus, train_tokenizer(corpus, TokenizerConfig(), MASKED), cache=tmp_path)
    assert store.column("label") == ["a", "b"] * 3
    assert store.column("lang") == [None] * 6
    part = store.subset(np.array([4, 1]))
    assert part.column("group") == ["g2", "g0"]
    assert part.count() == 2 * store.count() // 6
    assert part.fingerprint != store.fingerprint
    assert part.subset(np.array([1])).column("group") == ["g0"]
    with pytest.raises(InputError, match="a part of it with no documents"):
        store.subset(np.array([], np.int64))


def test_rows_without_text_are_told_of_a_store_that_was_kept_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,n\nA text.,1\n,2\n,3\n")
    corpus = open_corpus(tmp_path / "t.csv")
    tokenizer = train_tokenizer(corpus, TokenizerConfig(), MASKED)
    for _ in range(2):
        store = open_tokens(open_corpus(tmp_path / "t.csv"), tokenizer, cache=tmp_path)
        assert store.notes[-1] == "2 rows without text left out"


def test_a_trained_tokenizer_is_kept(corpus: Corpus, tmp_path: Path) -> None:
    one, two = (trained(corpus, TokenizerConfig(vocabulary=300), MASKED, tmp_path) for _ in range(2))
    assert one.to_str() == two.to_str()
    assert len(list((tmp_path / "tokenizers").glob("*.json"))) == 1


TRAIN = """
import sys
from foretell.data.text.corpus import open_corpus
from foretell.data.text.tokenizer import MASKED, TokenizerConfig, train_tokenizer
for kind in ("wordpiece", "bpe"):
    print(train_tokenizer(open_corpus(sys.argv[1]), TokenizerConfig(kind=kind, vocabulary=400), MASKED).to_str())
"""


def test_a_tokenizer_is_a_function_of_its_text(tmp_path: Path) -> None:
    """In processes of their own, since the library's order is random by process."""
    words = [f"{'qwertyuiopasdfgh'[i % 16]}{'klzxcvbnmjäöüßéè'[i // 16]}" * 2 for i in range(256)]
    (tmp_path / "text.txt").write_text("\n".join(" ".join(words[at::8]) for at in range(8)))
    texts = [
        subprocess.run(
            [sys.executable, "-c", TRAIN, str(tmp_path / "text.txt")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_wordpiece_vocabulary_has_the_letters_and_entries_of_the_librarys(corpus: Corpus, lowercase: bool) -> None:
    made = train_tokenizer(corpus, TokenizerConfig(kind="wordpiece", vocabulary=500, lowercase=lowercase), MASKED)
    other = _made("wordpiece", lowercase)
    names = [ROLES[role][0] for role in MASKED]
    sentences = [sentence for document in corpus.documents() for sentence in document.sentences]
    other.train_from_iterator(sentences, trainers.WordPieceTrainer(vocab_size=500, special_tokens=names))
    ours, theirs = made.get_vocab(), other.get_vocab()
    letters = {name for name in theirs if len(name.removeprefix("##")) == 1}
    assert {name for name in ours if len(name.removeprefix("##")) == 1} == letters
    assert len(ours.keys() & theirs.keys()) > 0.97 * 500  # merges that are equally frequent are in another order
    assert [made.id_to_token(number) for number in range(len(MASKED))] == names
    kept = [json.loads(one.to_str()) for one in (made, other)]
    for one in kept:
        del one["model"]["vocab"]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_a_decoders_tokenizer_takes_letters_that_it_never_saw(kind: str, corpus: Corpus, tmp_path: Path) -> None:
    made = trained(corpus, TokenizerConfig(kind=kind, vocabulary=500), ("end",), tmp_path)
    assert made.token_to_id("<|endoftext|>") == specials_of(made)["end"] == 0
    ids = made.encode("the \u4e2d of", add_special_tokens=False).ids
    assert len(ids) >= 3
    if kind == "wordpiece":
        assert ids[1] == specials_of(made)["unk"]
        plain = train_tokenizer(corpus, TokenizerConfig(vocabulary=500), MASKED)
        assert list(specials_of(plain).values())[:5] == [0, 1, 2, 3, 4]


def test_text_without_spaces_has_a_vocabulary_by_its_characters(tmp_path: Path) -> None:
    words = [f"{chr(0x4E00 + i % 89)}{chr(0x5000 + i % 97)}" for i in range(9000)]
    for name, between in (("with", " "), ("without", "")):
        (tmp_path / f"{name}.txt").write_text("\n".join(between.join(words) for _ in range(60)))
    sizes = [_usual_size(open_corpus(tmp_path / f"{name}.txt"), 64_000_000, 1) for name in ("with", "without")]
    assert sizes == [2700, 1800]


def test_bad_input(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vocabulary = 90000: the text supports only [\d,]+ entries; set it to"):
        train_tokenizer(corpus, TokenizerConfig(vocabulary=90000), MASKED)
    for kind, asked in (("wordpiece", 5), ("wordpiece", 20), ("bpe", 100), ("unigram", 20)):
        with pytest.raises(InputError, match=rf"vocabulary = {asked}: the letters of the text and the special tokens"):
            train_tokenizer(corpus, TokenizerConfig(kind=kind, vocabulary=asked), MASKED)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: not a tokenizer\.json"):
        load_tokenizer(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_tokenizer(tmp_path / "none.json")
    made = train_tokenizer(corpus, TokenizerConfig(vocabulary=300, kind="bpe"), ("end",))
    with pytest.raises(InputError, match=r"x\.json: the tokenizer lacks \[PAD\]; add it"):
        check_specials(made, MASKED, "x.json")
