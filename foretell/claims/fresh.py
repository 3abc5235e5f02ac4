"""Untrained objectives for the lab: one builder for each kind of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import foretell.objectives as objectives
from foretell.data.store import ImageStore
from foretell.data.text.tokenizer import check_specials
from foretell.data.text.tokens import TokenStore
from foretell.data.text.words import WordStore
from foretell.encoders import build_encoder
from foretell.objectives.base import Objective
from foretell.recipe import Recipe

Store = ImageStore | TokenStore | WordStore


def _image(recipe: Recipe, kind: Any, part: Any) -> Objective:
    side = getattr(recipe.objective, "views").side or part.usual_side  # noqa: B009
    made: Objective = kind(recipe.objective, build_encoder(recipe.encoder, part.channels, side), part)
    return made


def _text(recipe: Recipe, kind: Any, part: Any) -> Objective:
    specials = check_specials(part.tokenizer, kind.roles, part.source)
    made: Objective = kind(recipe.objective, kind.model(recipe.objective, part.vocabulary, specials), part)
    return made


def _words(recipe: Recipe, kind: Any, part: Any) -> Objective:
    made: Objective = kind(recipe.objective, part)
    return made


_BUILDERS: dict[str, Callable[[Recipe, Any, Any], Objective]] = {"image": _image, "text": _text, "words": _words}


def fresh(recipe: Recipe, part: Store, kind: type[Objective] | None = None) -> Objective:
    """The objective of ``recipe`` on ``part``, what it learns from; weights are drawn from torch's own generator.

    ``kind`` takes the place of the registered objective: a variant of it that a claim compares it with. Text is
    tokenised in its store already, so that the tokenizer's settings of the recipe are not read.
    """
    kind = kind or objectives.get(recipe.objective.name)
    return _BUILDERS[kind.kind](recipe, kind, part)
