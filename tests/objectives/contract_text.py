"""The text that the contract tests train on: the project's own pages, in paragraphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from foretell import objectives
from foretell.data.text.corpus import Corpus, open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import TokenizerConfig, check_specials, trained
from foretell.data.text.tokens import TokenStore
from foretell.objectives.text import TextObjective

ROOT = Path(__file__).parents[2]
# every way a text task is set up that changes what it draws, hides or loses
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", {}),
    "bert pairs": ("bert", {"tasks": "both"}),
    "bert sentences": ("bert", {"tasks": "sentences", "packed": False}),
    "bert whole words": ("bert", {"masks": {"whole_words": True}}),
    "gpt": ("gpt", {}),
    "gpt post-norm": ("gpt", {"network": {"norm": "post"}}),
}
SMALL = {"layers": 2, "width": 32, "heads": 2}


def corpus() -> Corpus:
    return open_corpus(ROOT / "docs" / "objectives", documents="blank", sentences="split")


def store_for(name: str, cache: Path) -> TokenStore:
    kind = objectives.get(name)
    assert issubclass(kind, TextObjective)
    return open_tokens(corpus(), trained(corpus(), TokenizerConfig(vocabulary=400), kind.roles, cache), cache=cache)


def made(case: str, store: TokenStore, **settings: Any) -> TextObjective:
    name, own = CASES[case]
    kind = objectives.get(name)
    assert issubclass(kind, TextObjective)
    given = {"length": 48, **own, **settings}
    config = kind.Config(**{**given, "network": {**SMALL, **given.get("network", {})}})
    torch.manual_seed(0)
    model = kind.model(config, store.vocabulary, check_specials(store.tokenizer, kind.roles, "test"))
    return kind(config, model, store)
