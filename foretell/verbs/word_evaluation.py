"""``foretell evaluate`` on a run on words, or a file of word vectors: people's similarities and analogies."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from foretell.errors import InputError, of
from foretell.run import Run
from foretell.transfer.text.word_tests import (
    Analogies,
    Section,
    Similarity,
    analogies,
    read_analogies,
    read_pairs,
    similarity,
)
from foretell.verbs.progress import say
from foretell.verbs.word_vectors import EXPECTED, read_words, vectors_of

FILE = "results/words.json"


def asked(place: Path, *files: str | Path | None) -> bool:
    """Whether ``place`` holds word vectors. Raises InputError where ``files`` are given and it does not."""
    if vectors_of(place) is not None:
        return True
    if any(file is not None for file in files):
        raise InputError(f"{place}: no word vectors, which --similarity and --analogies are for; expected {EXPECTED}")
    return False


def evaluate(place: Path, similarity_file: str | Path | None, analogies_file: str | Path | None) -> dict[str, Any]:
    """Correlations with the scores of a file and the answers to another, said, and put into a run's report.

    Returns {"similarity": ..., "analogies": ...} of what was given. Raises InputError for files that cannot be used.
    """
    pairs, questions = (None if file is None else Path(file) for file in (similarity_file, analogies_file))
    if pairs is None and questions is None:
        raise InputError(
            f"{place}: of word vectors give --similarity FILE (word, word, score), --analogies FILE (four words a line), or a "
            "table of texts and labels"
        )
    known = read_words(place)
    found: dict[str, Any] = {}
    if pairs is not None:
        read = read_pairs(pairs)
        with of(pairs):
            alike = similarity(known, read)
        tell_similarity(pairs, alike)
        found["similarity"] = {"file": pairs.name, **alike.record()}
    if questions is not None:
        asked = read_analogies(questions)
        with of(questions):
            answered = analogies(known, asked)
        tell_analogies(questions, answered)
        found["analogies"] = {"file": questions.name, **answered.record()}
    if (place / "recipe.toml").is_file():
        _keep(Run.read(place), found)
    return found


def tell_similarity(path: Path, found: Similarity) -> None:
    say(f"{path.name}: {found.known:,} of {found.pairs:,} pairs have both words in the vocabulary")
    for name, value in (("Spearman", found.spearman), ("Pearson", found.pearson)):
        say(f"  {name:<9} {value.mean:.3f} ({value.low:.3f} to {value.high:.3f})")


def tell_analogies(path: Path, found: Analogies) -> None:
    say(f"{path.name}: {found.total.known:,} of {found.total.questions:,} questions have their words in the vocabulary")
    for section in [*found.sections, *found.kinds, found.total]:
        say(f"  {_told(section)}")


def _told(section: Section) -> str:
    if not section.known:
        return f"{section.name:<28} none of {section.questions:,} can be asked"
    value = section.accuracy
    bounds = "" if math.isnan(value.low) else f" ({value.low:.1%} to {value.high:.1%})"
    return f"{section.name:<28} {value.mean:6.1%}{bounds} of {section.known:,}"


def _keep(run: Run, found: dict[str, Any]) -> None:
    from foretell.report import build as build_report

    run.write_json(FILE, {**(run.read_json(FILE) or {}), **found})
    say(f"report: {build_report(run.path)}")
