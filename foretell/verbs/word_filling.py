"""``foretell fill`` on a run of CBOW: its context foretells the word."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from foretell.data.text.corpus import sentences_of
from foretell.data.text.words import split_words
from foretell.encoders.vectors import load_counts, load_vectors
from foretell.errors import InputError
from foretell.objectives.word2vec import Word2Vec
from foretell.objectives.word_filling import Context
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.verbs.outcomes import Filled
from foretell.verbs.progress import say
from foretell.verbs.word_vectors import read_words

GAP = "[MASK]"


def contexts(sentence: str, config: Word2Vec.Config, rows: Mapping[str, int]) -> list[list[int]]:
    """``rows`` of the known words within the window on both sides of each gap of ``sentence``."""
    words = [[rows[word] for word in split_words(piece, config) if word in rows] for piece in sentence.split(GAP)]
    found = []
    for gap in range(1, len(words)):
        before, after = list(chain(*words[:gap])), list(chain(*words[gap:]))
        found.append(before[-config.window :] + after[: config.window])
    return found


def fill(place: Path, text: str, top: int) -> Filled:
    """The likeliest words for each gap of ``text``, from the words of the vocabulary within the window on both sides.

    As in training no window goes beyond the gap's own sentence, found by the rule of the run's data. Raises InputError
    for vectors without a run, a run of skip-gram, a text without a gap, and a gap with no known word
    beside it.
    """
    config = _config(place)
    known = read_words(place)
    model = _context(place, config)
    pieces = text.split(GAP)
    if len(pieces) < 2:
        raise InputError(f"no {GAP} in '{text}'; write one where a word is missing")
    unknown = dict.fromkeys(word for piece in pieces for word in split_words(piece, config) if word not in known.index)
    if unknown:
        say(f"not in the vocabulary, so that the model does not see it: {', '.join(unknown)}")
    found = []
    for sentence in sentences_of(text, _sentence_rule(place)):
        for around in contexts(sentence, config, known.index):
            if not around:
                raise InputError(
                    f"'{sentence}': no word beside {GAP} is in the vocabulary of {len(known.words):,} words"
                )
            chances = model.chances(around)
            best = np.argsort(-chances, kind="stable")[:top]
            found.append([(known.words[row], float(chances[row])) for row in best])
    whole = pieces[0] + "".join(gap[0][0] + piece for gap, piece in zip(found, pieces[1:], strict=True))
    return Filled(whole, found)


def _config(place: Path) -> Word2Vec.Config:
    if not (place / "recipe.toml").is_file():
        raise InputError(f"{place}: word vectors alone cannot fill a gap; give the run of a cbow")
    config = Recipe.load(place / "recipe.toml").objective
    assert isinstance(config, Word2Vec.Config)
    if config.model != "cbow":
        raise InputError(
            f"{place}: skip-gram foretells neighbours of a word, not the word; train with --set objective.model=cbow"
        )
    return config


def _sentence_rule(place: Path) -> str:
    """How the sentences of the run's data were found."""
    facts = Run.read(place).read_json("facts.json") or {}
    rule = facts.get("data", {}).get("sentence_rule")
    if rule is None:
        raise InputError(f"{place / 'facts.json'}: no data.sentence_rule, as of an older run; train it anew")
    return str(rule)


def _context(place: Path, config: Word2Vec.Config) -> Context:
    folder = place / "encoder"
    words, inputs = load_vectors(folder / "vectors.bin")
    rows, outputs = load_vectors(folder / "outputs.bin")
    counted, counts = load_counts(folder / "vocabulary.txt")
    if counted != words or outputs.shape != inputs.shape or (config.loss == "negative" and rows != words):
        raise InputError(
            f"{folder}: vectors.bin, outputs.bin and vocabulary.txt are not of one run; put back those of this run, or train "
            "anew with another --out"
        )
    return Context(inputs, outputs, counts, config.negatives, config.loss == "tree")
