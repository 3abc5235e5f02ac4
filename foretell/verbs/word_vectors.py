"""Nearest words and analogies of a run on words, or of a file of word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import foretell.objectives as objectives
from foretell.data.text.words import WordsConfig
from foretell.encoders.bag import bag_of
from foretell.encoders.vectors import Neighbourhood, load_vectors
from foretell.errors import InputError
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.verbs import kinds
from foretell.verbs.text_run import TextModel

EXPECTED = "a run of word2vec, or a .bin or .txt file of its form"


def vectors_of(place: Path) -> Path | None:
    """The file of word vectors that ``place`` is, or that its run holds; None where it is something else.

    Raises InputError for a run on words that has none yet.
    """
    if place.is_file() and place.suffix in (".bin", ".txt"):
        return place
    kept = place / "encoder" / "vectors.bin"
    if kept.is_file():
        return kept
    recipe = place / "recipe.toml"
    if recipe.is_file() and objectives.get(Recipe.load(recipe).objective.name).kind == "words":
        raise kinds.no_encoder(Run.read(place))
    return None


def read_words(place: Path) -> Neighbourhood:
    """The word vectors of a run or a file. Raises InputError where there are none."""
    file = vectors_of(place)
    if file is None:
        raise InputError(f"{place}: no word vectors; expected {EXPECTED}")
    return Neighbourhood(*load_vectors(file))


def as_text_model(place: Path) -> TextModel:
    """The word vectors of a run or a file as an encoder of texts, which are the mean of their words.

    Words are found as the run found them; of a file letters and digits are, in small letters where it has no other.
    """
    file = vectors_of(place)
    if file is None:
        raise InputError(f"{place}: no word vectors; expected {EXPECTED}")
    words, vectors = load_vectors(file)
    if (place / "recipe.toml").is_file():
        learnt = Recipe.load(place / "recipe.toml").objective
        config = WordsConfig(**{name: getattr(learnt, name) for name in WordsConfig.model_fields})
    else:
        config = WordsConfig(lower=all(word == word.lower() for word in words))
    model, tokenizer = bag_of(words, vectors, config)
    return TextModel(model.requires_grad_(False), tokenizer, model.specials, place, place)


def neighbours(file: Path, words: str | Path | None, k: int) -> list[dict[str, Any]]:
    """The nearest words to one word, or of three the answer of the analogy a : b :: c : ?, printed and returned."""
    if k < 1:
        raise InputError(f"--k {k}: expected at least 1 neighbour")
    known = Neighbourhood(*load_vectors(file))
    asked = str(words or "").split()
    if len(asked) not in (1, 3):
        given = f"'{words}'" if words else "the word is missing"
        raise InputError(f"{given}: expected one word, or three in quotes for an analogy, as 'man king woman'")
    found = known.nearest(asked[0], k) if len(asked) == 1 else known.analogy(asked[0], asked[1], asked[2], k)
    title = asked[0] if len(asked) == 1 else f"{asked[0]} is to {asked[1]} as {asked[2]} is to"
    print(title)
    for word, similarity in found:
        print(f"  {similarity:.3f}  {word}")
    return [{"query": str(words), "neighbours": [{"name": w, "similarity": s, "label": None} for w, s in found]}]
