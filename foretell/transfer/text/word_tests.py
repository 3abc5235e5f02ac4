"""What word vectors are worth without a task: similarity as people judge it, and analogies.

Sources: Finkelstein et al. 2002, "Placing Search in Context" (WordSim-353), for the first; Mikolov et al. 2013, arXiv
1301.3781, for the second, answered by their vector offset (3CosAdd of Levy and Goldberg 2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from foretell.data.text.textfile import lines
from foretell.encoders.vectors import Floats, Neighbourhood
from foretell.errors import InputError
from foretell.measures.intervals import Interval, bootstrap

Index = NDArray[np.int64]

DRAWS = 1000  # of the bootstrap
SCORES = 1 << 25  # similarities in memory at once
FEWEST = 3  # pairs that a correlation needs
SYNTACTIC = "gram"  # how the sections of grammar begin in the published list


@dataclass(frozen=True)
class Similarity:
    """Correlations with people's scores, over the ``known`` of all ``pairs``: those with both words in the vocabulary."""

    pairs: int
    known: int
    spearman: Interval
    pearson: Interval

    def record(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs,
            "known": self.known,
            "spearman": self.spearman.record(),
            "pearson": self.pearson.record(),
        }


@dataclass(frozen=True)
class Section:
    """``questions``, of them ``known`` (all four words in the vocabulary), and ``accuracy`` over these; NaN without one."""

    name: str
    questions: int
    known: int
    accuracy: Interval

    def record(self) -> dict[str, Any]:
        told = {"name": self.name, "questions": self.questions, "known": self.known}
        return {**told, "accuracy": self.accuracy.record()}


@dataclass(frozen=True)
class Analogies:
    """By section, over all, and for a list with sections of grammar ("gram...") over these and the others."""

    sections: list[Section]
    total: Section
    kinds: list[Section]

    def record(self) -> dict[str, Any]:
        return {
            "sections": [section.record() for section in self.sections],
            "kinds": [section.record() for section in self.kinds],
            "total": self.total.record(),
        }


# files ---------------------------------------------------------------------------------------------------------------


def read_pairs(path: Path) -> list[tuple[str, str, float]]:
    """(word, word, score) of each line, parted by tabs, commas, semicolons or spaces; the score is the first number.

    Empty lines, those that begin with "#" and a head are passed over. Raises InputError naming file and line.
    """
    found: list[tuple[str, str, float]] = []
    for number, line in enumerate(lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = _fields(line)
        score = next((value for value in map(_number, fields[2:]) if value is not None), None)
        if score is not None and all(fields[:2]):
            found.append((fields[0], fields[1], score))
        elif found or len(fields) < 3:
            raise InputError(f"{path}, line {number}: expected two words and a score, as 'tiger, cat, 7.35'")
    if not found:
        raise InputError(f"{path}: holds no pair; expected lines of two words and a score, as 'tiger, cat, 7.35'")
    return found


def _fields(line: str) -> list[str]:
    mark = next((mark for mark in "\t,;" if mark in line), None)
    return [field.strip().strip('"') for field in line.split(mark)]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_analogies(path: Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """Section -> questions (a, b, c, d): a is to b as c is to d. ": NAME" begins a section, and four words are a question.

    Raises InputError naming file and line.
    """
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    name = "all"
    for number, line in enumerate(lines(path), 1):
        words = line.split()
        if not words or line.startswith("//"):
            continue
        if words[0].startswith(":"):
            name = line.strip().lstrip(":").strip()
        elif len(words) == 4:
            found.setdefault(name, []).append((words[0], words[1], words[2], words[3]))
        else:
            raise InputError(f"{path}, line {number}: {len(words)} words; expected four, or ': NAME' of a section")
    if not found:
        raise InputError(f"{path}: holds no question; expected lines of four words, as 'Athens Greece Oslo Norway'")
    return found


# measuring -----------------------------------------------------------------------------------------------------------


class _Folded:
    """Words of any case: the rows of ``known`` by folded form, of several spellings the most frequent."""

    def __init__(self, known: Neighbourhood) -> None:
        self.forms: dict[str, int] = {}
        self.form_of = np.empty(len(known.words), np.int64)
        self.first: list[int] = []
        for row, word in enumerate(known.words):
            form = self.forms.setdefault(word.casefold(), len(self.forms))
            self.form_of[row] = form
            if form == len(self.first):
                self.first.append(row)

    def row(self, word: str) -> int:
        """-1 for a word that is not known."""
        form = self.forms.get(word.casefold())
        return -1 if form is None else self.first[form]


def similarity(known: Neighbourhood, pairs: Sequence[tuple[str, str, float]], seed: int = 0) -> Similarity:
    """Spearman's and Pearson's correlation of cosines with the scores of ``pairs``, words in any case.

    Intervals are the bootstrap's over pairs. Raises InputError with fewer than three known pairs.
    """
    folded = _Folded(known)
    rows = np.array([(folded.row(a), folded.row(b)) for a, b, _ in pairs], np.int64).reshape(-1, 2)
    kept = (rows >= 0).all(axis=1)
    if kept.sum() < FEWEST:
        raise InputError(
            f"{int(kept.sum())} of {len(pairs):,} pairs have both words in the vocabulary of {len(known.words):,}; expected "
            f"{FEWEST} or more"
        )
    scores = np.array([score for _, _, score in pairs])[kept]
    cosines = (known.unit[rows[kept, 0]] * known.unit[rows[kept, 1]]).sum(axis=1, dtype=np.float64)

    def pearson(chosen: Index) -> float:
        return _correlation(scores[chosen], cosines[chosen])

    def spearman(chosen: Index) -> float:
        return _correlation(stats.rankdata(scores[chosen]), stats.rankdata(cosines[chosen]))

    count = int(kept.sum())
    found = [bootstrap(statistic, count, draws=DRAWS, seed=seed) for statistic in (spearman, pearson)]
    return Similarity(len(pairs), count, *found)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """NaN where one side has no spread."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def answers(unit: Floats, questions: Index, form_of: Index | None = None) -> Index:
    """(Q,) the row nearest to b - a + c for (Q, 3) rows a, b, c of the unit vectors (V, D), these three left out.

    ``form_of`` (V,): rows of one number are spellings of one word, and left out together.
    """
    forms = np.arange(len(unit)) if form_of is None else form_of
    found = np.empty(len(questions), np.int64)
    at_once = max(1, SCORES // max(1, len(unit)))
    order = np.argsort(forms, kind="stable")
    bounds = np.searchsorted(forms[order], np.arange(forms.max() + 2))
    for start in range(0, len(questions), at_once):
        part = questions[start : start + at_once]
        wanted = unit[part[:, 1]] - unit[part[:, 0]] + unit[part[:, 2]]
        scores = wanted @ unit.T
        for number, asked in enumerate(forms[part]):
            for form in asked:
                scores[number, order[bounds[form] : bounds[form + 1]]] = -np.inf
        found[start : start + at_once] = scores.argmax(axis=1)
    return found


def analogies(
    known: Neighbourhood,
    sections: dict[str, list[tuple[str, str, str, str]]],
    *,
    most: int | None = None,
    seed: int = 0,
) -> Analogies:
    """The share of questions whose word is found by vector offset, words in any case; questions with others are left out.

    ``most``: only the most frequent words are known, where ``known`` is by falling frequency (30,000 in the authors'
    demo). Intervals are the bootstrap's over the pairs (a, b), since the questions of one pair stand or fall together;
    NaN where all answers are right or all wrong, of whose spread it tells nothing.
    Raises InputError when no question has all its words in the vocabulary.
    """
    vocabulary = known if most is None else Neighbourhood(known.words[:most], known.unit[:most])
    folded = _Folded(vocabulary)
    names = list(sections)
    asked = [(section, words) for section, name in enumerate(names) for words in sections[name]]
    rows = np.array([[folded.row(word) for word in words] for _, words in asked], np.int64)
    kept = (rows >= 0).all(axis=1)
    if not kept.any():
        raise InputError(
            f"none of {len(asked):,} questions has its four words in the vocabulary of {len(vocabulary.words):,}"
        )
    found = answers(vocabulary.unit, rows[kept, :3], folded.form_of)
    right = np.zeros(len(asked))
    right[kept] = folded.form_of[found] == folded.form_of[rows[kept, 3]]
    of = np.array([section for section, _ in asked], np.int64)
    pair = np.unique(np.column_stack([of, rows[:, :2]]), axis=0, return_inverse=True)[1].reshape(-1)

    def section(name: str, chosen: NDArray[np.bool_]) -> Section:
        at = np.flatnonzero(chosen & kept)
        if not len(at):
            return Section(name, int(chosen.sum()), 0, Interval(math.nan, math.nan, math.nan, 0))
        hits = right[at]
        if np.ptp(hits) == 0:
            return Section(name, int(chosen.sum()), len(at), Interval(float(hits[0]), math.nan, math.nan, len(at)))
        inside = np.unique(pair[at], return_inverse=True)[1].reshape(-1)
        interval = bootstrap(lambda drawn: float(hits[drawn].mean()), len(at), groups=inside, draws=DRAWS, seed=seed)
        return Section(name, int(chosen.sum()), len(at), interval)

    everything = np.ones(len(asked), bool)
    grammar = np.array([name.startswith(SYNTACTIC) for name in names])[of]
    kinds = [("semantic", ~grammar), ("syntactic", grammar)] if grammar.any() and not grammar.all() else []
    return Analogies(
        [section(name, of == number) for number, name in enumerate(names)],
        section("all", everything),
        [section(name, chosen) for name, chosen in kinds],
    )
