"""``foretell fill`` on a run of CBOW: its context foretells the word."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foretell.data.words import split_words
from foretell.encoders.vectors import load_counts, load_vectors
from foretell.errors import InputError
from foretell.objectives.word2vec import Word2Vec
from foretell.objectives.word_filling import Context
from foretell.recipe import Recipe
from foretell.verbs.common import say
from foretell.verbs.outcomes import Filled
from foretell.verbs.word_vectors import read_words

GAP = "[MASK]"


def fill(place: Path, text: str, top: int) -> Filled:
    """The likeliest words for each gap of ``text``, from the words of the vocabulary within the window on both sides.

    Raises InputError for vectors without a run, a run of skip-gram, a text without a gap, and a gap with no known word
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
    words = [[known.index[word] for word in split_words(piece, config) if word in known.index] for piece in pieces]
    found = []
    for gap in range(len(pieces) - 1):
        before = [row for piece in words[: gap + 1] for row in piece][-config.window :]
        after = [row for piece in words[gap + 1 :] for row in piece][: config.window]
        if not before + after:
            raise InputError(f"'{text}': no word beside {GAP} is in the vocabulary of {len(known.words):,} words")
        chances = model.chances(before + after)
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
