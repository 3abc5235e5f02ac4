"""Similarity and analogies, beside gensim's own evaluation and a slow, obvious one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from foretell.encoders.vectors import Neighbourhood
from foretell.errors import InputError
from foretell.transfer.text.word_tests import analogies, answers, read_analogies, read_pairs, similarity


def unit(table: np.ndarray) -> np.ndarray:
    return (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)


def planted(questions: dict[str, list[tuple[str, str, str, str]]], others: set[str]) -> tuple[list[str], np.ndarray]:
    """Vectors in which about half of the questions are answered: each second word is its first one, moved and blurred."""
    rng = np.random.default_rng(0)
    vectors: dict[str, np.ndarray] = {}
    for section in questions.values():
        move = rng.normal(size=16)
        for a, b, _, _ in section:
            vectors.setdefault(a.lower(), rng.normal(size=16))
            vectors.setdefault(b.lower(), vectors[a.lower()] + move + 0.6 * rng.normal(size=16))
    for word in sorted(others):
        vectors.setdefault(word, rng.normal(size=16))
    return list(vectors), np.array(list(vectors.values()), np.float32)


def test_both_equal_gensim(tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    from gensim.test.utils import datapath

    pairs, questions = (
        read_pairs(Path(datapath("wordsim353.tsv"))),
        read_analogies(Path(datapath("questions-words.txt"))),
    )
    questions = {name: asked[:: max(1, len(asked) // 40)] for name, asked in questions.items()}
    (tmp_path / "few.txt").write_text(
        "\n".join(f": {name}\n" + "\n".join(map(" ".join, asked)) for name, asked in questions.items())
    )
    assert read_analogies(tmp_path / "few.txt") == questions
    words, vectors = planted(questions, {word.lower() for pair in pairs[:300] for word in pair[:2]})
    theirs = models.KeyedVectors(16)
    theirs.add_vectors(words, vectors)
    ours = Neighbourhood(words, vectors)

    pearson, spearman, left_out = theirs.evaluate_word_pairs(datapath("wordsim353.tsv"))
    found = similarity(ours, pairs)
    assert found.pairs == 353
    assert found.known == round(353 * (1 - left_out / 100))
    assert found.spearman.mean == pytest.approx(spearman[0], abs=1e-6)
    assert found.pearson.mean == pytest.approx(pearson[0], abs=1e-6)
    assert found.spearman.low < found.spearman.mean < found.spearman.high

    total, sections = theirs.evaluate_word_analogies(str(tmp_path / "few.txt"))
    answered = analogies(ours, questions)
    assert 0.2 < total < 0.9
    assert answered.total.accuracy.mean == pytest.approx(total)
    for mine, given in zip(answered.sections, sections, strict=False):
        assert mine.name == given["section"]
        assert mine.accuracy.mean == len(given["correct"]) / (len(given["correct"]) + len(given["incorrect"]))
    assert [kind.name for kind in answered.kinds] == ["semantic", "syntactic"]
    assert sum(kind.known for kind in answered.kinds) == answered.total.known


def test_answers_equal_a_loop_and_leave_every_spelling_out() -> None:
    rng = np.random.default_rng(1)
    table = unit(rng.normal(size=(60, 8)))
    asked = rng.integers(0, 60, size=(50, 3))
    forms = np.arange(60) // 2  # two spellings each
    for form_of in (None, forms):
        number = np.arange(60) if form_of is None else form_of
        for question, found in zip(asked, answers(table, asked, form_of), strict=True):
            a, b, c = question
            scores = {
                row: float((table[b] - table[a] + table[c]) @ table[row])
                for row in range(60)
                if number[row] not in number[question]
            }
            assert found == max(scores, key=lambda row: scores[row])


def test_few_known_words_are_said() -> None:
    known = Neighbourhood(["a", "b", "c", "d", "e"], np.eye(5, dtype=np.float32))
    with pytest.raises(InputError, match="1 of 2 pairs have both words in the vocabulary of 5; expected 3"):
        similarity(known, [("a", "b", 1.0), ("a", "zzz", 2.0)])
    with pytest.raises(InputError, match="none of 1 questions has its four words in the vocabulary of 3"):
        analogies(known, {"all": [("a", "b", "c", "d")]}, most=3)
    found = analogies(known, {"one": [("a", "b", "c", "d")], "other": [("a", "b", "c", "x")]})
    assert [(section.questions, section.known) for section in found.sections] == [(1, 1), (1, 0)]
    assert math.isnan(found.sections[1].accuracy.mean)
    assert math.isnan(found.total.accuracy.low), "one answer has no spread"
    flat = similarity(known, [("a", "b", 1.0), ("a", "c", 2.0), ("b", "c", 3.0)])
    assert math.isnan(flat.spearman.mean)  # every cosine is 0


@pytest.mark.parametrize(
    "text", ["Word 1,Word 2,Human (mean)\ntiger,cat,7.35\n", "# a\n\ntiger\tcat\t7.35\n", "tiger cat N 7.35 0.1\n"]
)
def test_pairs_are_read_in_every_form(text: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(text)
    assert read_pairs(tmp_path / "p") == [("tiger", "cat", 7.35)]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_pairs, "tiger,cat,7\nlion,cat\n", "line 2: expected two words and a score"),
        (read_pairs, "tiger,cat,7\nlion,cat,much\n", "line 2: expected two words and a score"),
        (read_pairs, "# nothing\n", "holds no pair"),
        (read_pairs, "a\0b", "is a NUL, so that this is a binary file"),
        (read_analogies, ": one\nAthens Greece Oslo\n", "line 2: 3 words; expected four"),
        (read_analogies, ": one\n", "holds no question"),
    ],
)
def test_files_that_are_none(read, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path / "given.txt")
    assert "given.txt" in str(raised.value)
