"""Hashes by which texts are compared, beside slow and obvious versions."""

from __future__ import annotations

import numpy as np
import pytest

from foretell.data.fingerprints import (
    ALIKE,
    RUN,
    Sample,
    alike_pairs,
    hash_runs,
    hash_whole,
    hash_words,
    runs_of_equals,
    signature,
)

PAIR = np.dtype([("hash", "u8"), ("number", "u4")])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's hat, re-read: 3.5!", ["the", "cat", "s", "hat", "re", "read", "3", "5"]),
        ("größe – «été» “x”", ["größe", "été", "x"]),
        ("東京に行く。はい", ["東", "京", "に", "行", "く", "は", "い"]),
        ("Иван и Ёж", ["иван", "и", "ёж"]),
        ("...", []),
        ("", []),
    ],
)
def test_words_are_told_apart(text: str, words: list[str]) -> None:
    found = hash_words(text)
    assert found.tolist() == [int(hash_words(word)[0]) for word in words]
    assert len(set(found.tolist())) == len(set(words))


def test_case_spaces_and_punctuation_do_not_count() -> None:
    assert hash_whole(hash_words("Once, he RELAXES.")) == hash_whole(hash_words("once he\n relaxes"))
    assert hash_whole(hash_words("he once relaxes")) != hash_whole(hash_words("once he relaxes"))
    assert hash_whole(hash_words("?!")) == 0
    assert hash_whole(hash_words("a b")) != hash_whole(hash_words("ab"))


def test_runs_are_equal_where_their_words_are() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 3, 60).astype(np.uint64)
    runs = hash_runs(words, 4)
    slices = [tuple(words[i : i + 4]) for i in range(57)]
    assert len(runs) == 57
    for i in range(57):
        for j in range(57):
            assert (runs[i] == runs[j]) == (slices[i] == slices[j])
    assert len(hash_runs(words[:5], RUN)) == 1
    assert len(hash_runs(words[:0], RUN)) == 0


def text(rng: np.random.Generator, words: int) -> list[str]:
    return [f"w{n}" for n in rng.integers(0, 400, words)]


def test_signatures_estimate_the_share_of_shingles() -> None:
    rng = np.random.default_rng(1)
    errors = []
    for changed in (0, 2, 5, 10, 40):
        words = text(rng, 200)
        other = list(words)
        for at in rng.choice(200, changed, replace=False):
            other[at] = "new"
        sets = [{tuple(w[i : i + 5]) for i in range(196)} for w in (words, other)]
        truth = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        estimate = (signature(hash_words(" ".join(words))) == signature(hash_words(" ".join(other)))).mean()
        errors.append(estimate - truth)
    assert errors[0] == 0
    assert np.abs(errors).max() < 0.2
    assert np.abs(errors).mean() < 0.08


def test_alike_pairs_join_what_is_alike_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    texts = [text(rng, 150) for _ in range(40)]
    for copy in range(3):
        texts.append([*texts[7][: 140 + copy], "changed"])
    signatures = np.array([signature(hash_words(" ".join(words))) for words in texts])
    joined = {row for pair in alike_pairs(signatures) for row in pair}
    assert joined == {7, 40, 41, 42}
    agree = (signatures[:, None] == signatures[None]).mean(2)
    for a, b in alike_pairs(signatures):
        assert agree[a, b] >= ALIKE
    assert alike_pairs(signatures[:1]) == []


def test_a_sample_keeps_every_copy_and_its_bound() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**63, 3000, dtype=np.int64).astype(np.uint64)
    stream = np.concatenate([hashes, hashes[:1000], hashes[:500]])
    whole, few, single = Sample(PAIR, 10_000), Sample(PAIR, 1000), Sample(PAIR, 1000)
    for start in range(0, len(stream), 37):
        part = stream[start : start + 37]
        records = np.zeros(len(part), PAIR)
        records["hash"], records["number"] = part, np.arange(start, start + len(part))
        whole.add(records)
        few.add(records)
    for number, value in enumerate(stream.tolist()):
        single.put((value, number))
    assert whole.share == 1
    assert len(whole.records) == len(stream)
    assert len(few.records) <= 1000
    assert few.share == 0.25 or few.share == 0.125
    assert (few.records == single.records).all()
    kept = set(few.records["hash"].tolist())
    for value in kept:
        assert (few.records["hash"] == value).sum() == (stream == value).sum()
    begins, ends = runs_of_equals(few.records["hash"])
    assert abs((ends - begins - 1).sum() / few.share - 1500) < 400
    assert len(runs_of_equals(np.zeros(0, np.uint64))[0]) == 0
