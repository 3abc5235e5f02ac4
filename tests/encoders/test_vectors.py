"""Word vectors on disk, as gensim reads and writes them, and what is nearest to what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foretell.encoders.vectors import Neighbourhood, load_vectors, save_vectors
from foretell.errors import InputError

WORDS = ["the", "größe", "日本", "king", "queen", "man", "woman"]


def table() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["bin", "txt"])
def test_what_is_saved_is_read_and_gensim_reads_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"v.{suffix}"
    save_vectors(path, WORDS, table())
    words, vectors = load_vectors(path)
    assert words == WORDS
    assert np.array_equal(vectors, table())
    models = pytest.importorskip("gensim.models")
    theirs = models.KeyedVectors.load_word2vec_format(str(path), binary=suffix == "bin")
    assert theirs.index_to_key == WORDS
    assert np.array_equal(theirs.vectors, table())
    theirs.save_word2vec_format(str(path), binary=suffix == "bin")
    assert np.allclose(load_vectors(path)[1], table(), atol=1e-6)
    near = [word for word, _ in Neighbourhood(WORDS, table()).nearest("king", 3)]
    assert near == [word for word, _ in theirs.most_similar("king", topn=3)]


def test_analogies_leave_the_asked_words_out() -> None:
    vectors = np.zeros((7, 5), np.float32)
    vectors[3], vectors[4], vectors[5], vectors[6] = [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, 0]
    vectors[:3, 4] = 1
    known = Neighbourhood(WORDS, vectors)
    assert known.analogy("man", "king", "woman")[0][0] == "queen"
    assert known.row("KING") == 3
    with pytest.raises(InputError, match=r"unknown word 'kinng'; did you mean 'king'.*vocabulary of 7 words"):
        known.nearest("kinng", 2)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    save_vectors(tmp_path / "v.bin", WORDS, table())
    content = (tmp_path / "v.bin").read_bytes()
    (tmp_path / "v.bin").write_bytes(content[:-30])
    with pytest.raises(InputError, match=r"v.bin: ends in vector [67] of 7"):
        load_vectors(tmp_path / "v.bin")
    for wrong in ("b 1 2", "b 1 2 x", "b 1"):
        (tmp_path / "w.txt").write_text(f"2 3\na 1 2 3\n{wrong}\n")
        with pytest.raises(InputError, match=r"w.txt, line 3: expected a word and 3 numbers"):
            load_vectors(tmp_path / "w.txt")
