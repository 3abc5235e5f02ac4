"""Word vectors on disk, as gensim reads and writes them, and what is nearest to what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foretell.encoders.vectors import Neighbourhood, load_counts, load_vectors, save_counts, save_vectors
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.txt", b"3 2\na 1 2\nb 1 2\n", r"w.txt, line 4: expected a word and 2 numbers"),
        ("w.txt", b"1 2\na 1 2\nb 1 2\n", r"w.txt: goes on after the 1 vectors of its first line"),
        ("w.txt", b"2 2\na 1 2\na 3 4\n", r"w.txt: has 'a' twice; leave it once"),
        ("w.txt", b"2 2\na 1 2\nb 1 nan\n", r"w.txt: the vector of 'b' is not finite"),
        ("w.txt", b"2 2\na 1 2\n\xe4 1 2\n", r"w.txt: word 2 is not UTF-8 \(b'\\xe4'\)"),
        ("w.txt", b"9000000000 9000000000\na 1 2\n", r"w.txt: ends before its 9,000,000,000 vectors"),
        ("w.txt", b"-1 2\na 1 2\n", "expected a first line of two numbers"),
        ("w.txt", b"0 2\n", "expected a first line of two numbers"),
        ("w.txt", b"1 2 3\na 1 2\n", "expected a first line of two numbers"),
        ("w.txt", b"1 " + b"9" * 90 + b"\na 1 2\n", "expected a first line of two numbers"),
        ("w.bin", b"9000000000 5\na 0123", r"w.bin: ends before its 9,000,000,000 vectors of 5 numbers"),
        ("w.bin", b"1 1\na \0\0\0\0\nb \0\0\0\0\n", "w.bin: goes on after the 1 vectors"),
        ("w.bin", b"2 1\na \0\0\0\0\na \0\0\0\0\n", "w.bin: has 'a' twice"),
        ("w.bin", b"1 1\n\xe4 \0\0\0\0\n", "w.bin: word 1 is not UTF-8"),
        ("w.bin", b"1 1\na " + np.float32(np.inf).tobytes() + b"\n", "w.bin: the vector of 'a' is not finite"),
    ],
)
def test_a_file_that_says_something_else_than_it_holds_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_vectors(tmp_path / name)


def test_the_form_of_the_first_program_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_bytes(b"2 2\r\n</s> 0.5 1 \r\na -1 2e-1 \r\n")
    words, vectors = load_vectors(tmp_path / "w.txt")
    assert words == ["</s>", "a"]
    assert vectors.tolist() == [[0.5, 1], [-1, np.float32(0.2)]]


def test_counts_that_are_none_are_named(tmp_path: Path) -> None:
    save_counts(tmp_path / "v.txt", WORDS, np.arange(7))
    words, counts = load_counts(tmp_path / "v.txt")
    assert (words, counts.tolist()) == (WORDS, list(range(7)))
    for content, message in (
        (b"a 1\nb x\n", "line 2: expected a word"),
        (b"\xe4 1\n", "word 1 is not UTF-8"),
        (b"a 1\na 2\n", "has 'a' twice"),
    ):
        (tmp_path / "v.txt").write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_counts(tmp_path / "v.txt")
