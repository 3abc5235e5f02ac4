"""Word vectors: an encoder that is a table, in the text and binary files of word2vec that other programs read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foretell.errors import InputError, unknown
from foretell.run import write_aside, written_aside

Floats = NDArray[np.float32]


class WordVectors(nn.Module):
    """``weight`` (V, padded) float32: one row a word; columns from ``dim`` on are 0, so that rows end on whole lines.

    Initial values are uniform within 1 / (2 dim) around 0, as in the authors' code.
    """

    def __init__(self, words: Sequence[str], dim: int, padded: int | None = None) -> None:
        super().__init__()
        self.words = list(words)
        self.dim = dim
        weight = torch.zeros(len(self.words), padded or dim)
        weight[:, :dim] = (torch.rand(len(self.words), dim) - 0.5) / dim
        self.weight = nn.Parameter(weight, requires_grad=False)

    @property
    def table(self) -> Floats:
        """(V, dim), a view."""
        return self.weight.detach().numpy()[:, : self.dim]


class Neighbourhood:
    """Nearest words by cosine. ``vectors`` (V, D) any length; words are found in any case if ``words`` are lower case."""

    def __init__(self, words: Sequence[str], vectors: Floats) -> None:
        self.words = list(words)
        self.index = {word: i for i, word in enumerate(self.words)}
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.unit: Floats = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)

    def row(self, word: str) -> int:
        """Raises InputError with the nearest spelling when the word is not known."""
        for form in (word, word.lower()):
            if form in self.index:
                return self.index[form]
        raise unknown_word(word, self.words)

    def nearest(self, word: str, k: int) -> list[tuple[str, float]]:
        """The ``k`` words with the highest cosine to ``word``, itself left out."""
        row = self.row(word)
        return self._best(self.unit[row], {row}, k)

    def analogy(self, a: str, b: str, c: str, k: int = 1) -> list[tuple[str, float]]:
        """a is to b as c is to ...: the words, other than these, nearest to b - a + c of unit vectors."""
        rows = [self.row(word) for word in (a, b, c)]
        wanted = self.unit[rows[1]] - self.unit[rows[0]] + self.unit[rows[2]]
        return self._best(wanted / max(float(np.linalg.norm(wanted)), 1e-12), set(rows), k)

    def _best(self, wanted: Floats, without: set[int], k: int) -> list[tuple[str, float]]:
        similarity = self.unit @ wanted
        similarity[list(without)] = -np.inf
        count = min(k, len(self.words) - len(without))
        best = np.argpartition(-similarity, count - 1)[:count] if count else np.zeros(0, np.int64)
        best = best[np.argsort(-similarity[best], kind="stable")]
        return [(self.words[i], float(similarity[i])) for i in best]


def unknown_word(word: str, words: Sequence[str]) -> InputError:
    """An InputError with the nearest of the frequent words."""
    told = unknown("word", word, words[:20_000])
    return InputError(
        f"{str(told).partition(' Known:')[0].rstrip('.')} (it is not in the vocabulary of {len(words):,} words)"
    )


# files ---------------------------------------------------------------------------------------------------------------


def save_vectors(path: Path, words: Sequence[str], vectors: Floats) -> None:
    """(V, D) as word2vec's text form (.txt) or its binary form (.bin). Raises ForetellError when it cannot be written."""
    with written_aside(path) as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, row in zip(words, np.ascontiguousarray(vectors, "<f4"), strict=True):
            if path.suffix == ".bin":
                file.write(word.encode() + b" " + row.tobytes() + b"\n")
            else:
                file.write(f"{word} {' '.join(f'{value:.9g}' for value in row.tolist())}\n".encode())


def load_vectors(path: Path) -> tuple[list[str], Floats]:
    """(words, (V, D)) of a binary or text file of word2vec. Raises InputError naming what is wrong with it."""
    try:
        with path.open("rb") as file:
            head = file.readline(100).split()
            content = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(head) != 2 or not all(number.isdigit() and len(number) < 19 and int(number) for number in head):
        raise InputError(f"{path}: expected a first line of two numbers, words and dimensions")
    count, dim = map(int, head)
    binary = path.suffix == ".bin"
    least = 1 + 4 * dim if binary else 2 * dim  # bytes a vector
    if count * least > len(content):  # said before memory is taken for them
        raise InputError(f"{path}: ends before its {count:,} vectors of {dim:,} numbers; copy it again")
    words, vectors = (_binary if binary else _text)(path, content, count, dim)
    _check_words(path, words)
    wrong = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(wrong):
        raise InputError(f"{path}: the vector of '{words[wrong[0]]}' is not finite; copy the file or train it again")
    return words, vectors


def _check_words(path: Path, words: Sequence[str]) -> None:
    if len(set(words)) < len(words):
        twice = next(word for word, times in Counter(words).items() if times > 1)
        raise InputError(
            f"{path}: has '{twice}' twice; leave it once (and mend the number of vectors in the first line)"
        )


def _word(path: Path, row: int, given: bytes) -> str:
    try:
        return given.decode()
    except UnicodeDecodeError:
        raise InputError(f"{path}: word {row + 1} is not UTF-8 ({given[:40]!r}); save the file as UTF-8") from None


def _binary(path: Path, content: bytes, count: int, dim: int) -> tuple[list[str], Floats]:
    words, vectors, at = [], np.empty((count, dim), np.float32), 0
    for row in range(count):
        space = content.find(b" ", at)
        if space < 0 or len(content) < space + 1 + 4 * dim:
            raise InputError(f"{path}: ends in vector {row + 1} of {count}; copy it again")
        words.append(_word(path, row, content[at:space].lstrip(b"\n")))
        vectors[row] = np.frombuffer(content, "<f4", dim, space + 1)
        at = space + 1 + 4 * dim
    if content[at:].strip(b"\n"):
        raise InputError(f"{path}: goes on after the {count:,} vectors of its first line; copy it again")
    return words, vectors


def _text(path: Path, content: bytes, count: int, dim: int) -> tuple[list[str], Floats]:
    words, vectors = [], np.empty((count, dim), np.float32)
    lines = content.split(b"\n")
    for row in range(count):
        word, *values = lines[row].rstrip().split(b" ") if row < len(lines) else [b""]
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            numbers = []
        if len(numbers) != dim:
            raise InputError(f"{path}, line {row + 2}: expected a word and {dim} numbers")
        words.append(_word(path, row, word))
        vectors[row] = numbers
    if any(line.strip() for line in lines[count:]):
        raise InputError(f"{path}: goes on after the {count:,} vectors of its first line; copy it again")
    return words, vectors


def save_counts(path: Path, words: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Lines of word and count, as word2vec's vocabulary files."""
    write_aside(path, "".join(f"{word} {count}\n" for word, count in zip(words, counts.tolist(), strict=True)))


def load_counts(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """(words, counts (V,)) of ``save_counts``. Raises InputError naming the line that is none."""
    try:
        given = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    words, counts = [], []
    for number, line in enumerate(given):
        word, _, count = line.rpartition(b" ")
        if count.isdigit() and len(count) < 19:
            words.append(_word(path, number, word))
            counts.append(int(count))
        elif line:
            raise InputError(f"{path}, line {number + 1}: expected a word and its count")
    _check_words(path, words)
    return words, np.array(counts, np.int64)
