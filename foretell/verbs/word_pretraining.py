"""``foretell pretrain --objective word2vec``: settle the recipe on the text, learn word vectors, save them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foretell import distributed
from foretell.counters import Rng, Rows, seed_of
from foretell.data.table import many
from foretell.data.text.languages import UNSPACED, guess
from foretell.data.text.words import HELD_OUT, WordsConfig, WordStore, open_words
from foretell.encoders.vectors import save_counts, save_vectors
from foretell.errors import InputError
from foretell.objectives.word2vec import Word2Vec
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.train.loop import FitResult
from foretell.train.monitor import Monitor
from foretell.verbs import common, kinds
from foretell.verbs.common import Parts
from foretell.verbs.outcomes import Pretraining
from foretell.verbs.progress import counting_up, say
from foretell.verbs.text_data import corpus_of, keep_text_facts
from foretell.verbs.word_exhibits import neighbour_table, write_word_map

EPOCHS = 5.0  # where no budget is given, as in the authors' code
ENOUGH = 1_000_000  # words read, all epochs together, below which neighbours mean little
MOST_EPOCHS = 200  # that are advised
RATES = {"skip-gram": 0.025, "cbow": 0.05}
PIECES = 50  # of the text in an epoch, at least, so that the rate falls smoothly
LARGEST, SMALLEST = 100_000, 1_000  # words of a piece


@dataclass
class Setting(kinds.Setting):
    store: WordStore
    objective: Word2Vec


class HeldOutLoss:
    """The loss on held-out documents, as a monitor."""

    name = "held-out loss"
    higher_is_better = False

    def __init__(self, every: int) -> None:
        self.every = every

    def __call__(self, trainable: Any, step: int) -> float:
        return float(trainable.held_out_loss())


def open_store(recipe: Recipe) -> WordStore:
    """The words of a recipe's data. Raises InputError for what cannot be read."""
    config = WordsConfig(**{name: getattr(recipe.objective, name) for name in WordsConfig.model_fields})
    return open_words(corpus_of(recipe.data), config, progress=counting_up("reading", "words"))


def unspaced(asked: Recipe) -> list[str]:
    """What is to be done about a text whose words have no spaces between them, by its first document; [] for another."""
    assert isinstance(asked.objective, Word2Vec.Config)
    if asked.objective.words == "spaces":
        return []
    if guess(next(corpus_of(asked.data).documents()).text) not in UNSPACED:
        return []
    return [
        "it looks written without spaces between words: whatever stands between spaces and punctuation counts as one; put "
        "spaces between its words first, and set objective.words=spaces"
    ]


def settle(asked: Recipe, store: WordStore) -> tuple[Recipe, list[str]]:
    """``asked`` with what depends on the data or was left to the objective, and in words what was settled."""
    given = asked.training.model_fields_set
    changes: dict[str, Any] = {"data.source": common.absolute(str(asked.data.source)), "training.device": "cpu"}
    changes |= kinds.usual_training(asked, always=True)  # the kernels take an optimiser's place
    if "rate" not in given:
        changes["training.rate"] = RATES[getattr(asked.objective, "model")]  # noqa: B009
    if "batch" not in given:
        changes["training.batch"] = max(SMALLEST, min(LARGEST, len(store) // PIECES))
    epochs, notes = kinds.usual_epochs(asked, EPOCHS)
    return asked.changed(changes | epochs), notes


def too_few(words: int, epochs: float | None) -> list[str]:
    """Advice where a text of ``words`` is read too seldom for its vectors to mean something; [] else, and for other budgets."""
    if epochs is None or words * epochs >= ENOUGH or epochs >= MOST_EPOCHS:
        return []
    wanted = min(MOST_EPOCHS, 10 * math.ceil(ENOUGH / words / 10))
    return [
        f"{many(words, 'word')} read {epochs:g} times are few: every word will lie near every other; give "
        f"--budget '{wanted} epochs', and --set objective.min_count=2 for more of its words"
    ]


def division(store: WordStore) -> str:
    """What is held out, in words."""
    facts = store.facts
    if not facts["held_documents"]:
        if facts.get("split_column"):
            return "no document is held out: the split column puts all into the train part"
        given = many(facts["documents"], "document")
        return (
            f"no document is held out: one in about {HELD_OUT} is, drawn by its number, and of {given} none was drawn"
        )
    documents, words = many(facts["held_documents"], "document"), many(facts["held_words"], "word")
    return f"held out to measure on: {documents}, {words}"


def build(recipe: Recipe, store: WordStore) -> Setting:
    """A fresh objective; its vectors depend on the seed alone."""
    config = recipe.objective
    assert isinstance(config, Word2Vec.Config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.training.seed, "weights"))
        nothing = np.zeros(0, np.int64)  # the store keeps what is held out apart
        return Setting(recipe, store, Parts(nothing, nothing, division(store)), Word2Vec(config, store))


def keep_facts(run: Run, setting: Setting) -> None:
    """Facts of a new run, and what is hidden, for a person."""
    objective, store, facts = setting.objective, setting.store, setting.store.facts
    rows = Rows.of_rank(setting.recipe.training.batch)
    keep_text_facts(
        run,
        setting,
        objective.show(objective.draw("words", 0, 0, rows), Rng(0, 0, rows)),
        data={
            "count": facts["documents"] + facts["held_documents"],
            "sentences": facts["sentences"],
            "sentence_rule": facts["sentence_rule"],
            "tokens": store.raw,
            "vocabulary": len(store.words),
            "filled": filled(store),
            "notes": facts["notes"],
            "train": facts["documents"],
            "test": facts["held_documents"],
            "split": setting.parts.how,
        },
        encoder={
            "name": f"a table of {len(store.words):,} words",
            "dim": objective.encoder.dim,
            "parameters": len(store.words) * objective.encoder.dim,
        },
    )


def export(setting: Setting, run: Run) -> Path:
    """The vectors in word2vec's own forms, and beside them the words' counts and the output table."""
    objective, words = setting.objective, setting.store.words
    folder = run.path / "encoder"
    folder.mkdir(exist_ok=True)
    for suffix in ("txt", "bin"):
        save_vectors(folder / f"vectors.{suffix}", words, objective.encoder.table)
    save_counts(folder / "vocabulary.txt", words, setting.store.counts)
    # of a tree, the rows are its inner nodes
    rows = words if objective.config.loss == "negative" else [f"node{i}" for i in range(len(words))]
    save_vectors(folder / "outputs.bin", rows, objective.outputs.detach().numpy()[:, : objective.encoder.dim])
    say(f"vectors: {folder / 'vectors.bin'} and vectors.txt, in word2vec's own forms")
    return folder


def filled(store: WordStore) -> float:
    """The share of a store's numbers that are words; the others are ends of sentences."""
    return float(store.counts.sum() / max(len(store.ids), 1))


def measure(setting: Setting, run: Run, result: FitResult) -> dict[str, float]:
    """The loss on documents held out; and what lies near frequent words; kept as results/words.json."""
    objective, store = setting.objective, setting.store
    loss = objective.held_out_loss()
    rate = filled(store) * result.samples / max(result.seconds, 1e-9)
    run.write_json(
        "results/words.json",
        {
            "held_out_loss": loss,
            "words_per_second": rate,
            "chance": objective.chance_loss(),
            "neighbours": neighbour_table(objective.neighbourhood()),
        },
    )
    if not len(store.held):
        return {}
    say(
        f"loss on {many(store.facts['held_documents'], 'held-out document')}: {loss:.3f} nats a prediction "
        f"(untrained: {objective.chance_loss():.3f})"
    )
    return {"held_out_loss": loss}


class Words(kinds.Kind[Setting]):
    what = "words"
    verbs = "neighbours, evaluate and, of cbow, fill"

    def prepare(self, asked: Recipe) -> tuple[Setting, list[str]]:
        if distributed.world() > 1:
            raise InputError(
                "word2vec learns in one process, whose threads share the vectors; start it without torchrun"
            )
        if asked.encoder.weights is not None:
            raise InputError(
                f"encoder.weights = {asked.encoder.weights}: word2vec learns its vectors anew; leave it out, or go on with "
                "foretell pretrain --resume RUN"
            )
        store = open_store(asked)
        say(f"data: {store.source}, {many(store.facts['documents'] + store.facts['held_documents'], 'document')}")
        for note in store.facts["notes"]:
            say(f"  {note}")
        settled, notes = settle(asked, store)
        setting = build(settled, store)
        notes += unspaced(asked) + too_few(store.raw, settled.training.epochs)
        notes.append(setting.parts.how)
        threads = settled.training.threads or torch.get_num_threads()
        if threads > 1:
            notes.append(
                f"{threads} threads: quick, and no two runs are equal to the bit; --set training.threads=1 is exact"
            )
        return setting, notes

    def monitors(self, setting: Setting, run: Run) -> Sequence[HeldOutLoss]:
        return [HeldOutLoss(setting.recipe.training.health_every)] if len(setting.store.held) else []

    def begin(self, run: Run, setting: Setting, monitors: Sequence[Monitor]) -> None:
        say("compiling the kernel, once for these settings")
        setting.objective.make_ready()
        keep_facts(run, setting)

    def finish(self, setting: Setting, run: Run, result: FitResult) -> Pretraining:
        from foretell.report import build as build_report

        folder = export(setting, run)
        measured = measure(setting, run, result)
        write_word_map(run, setting.objective.neighbourhood(), setting.recipe.training.seed)
        page = build_report(run.path)
        say(f"report: {page}")
        words = setting.store.words
        say(f"next: foretell neighbours {shlex.quote(str(run.path))} {shlex.quote(words[min(len(words) - 1, 50)])}")
        return Pretraining(run.path, folder, page, result.steps, result.seconds, measured)

    def go_on(self, recipe: Recipe, place: Path) -> Setting:
        store = open_store(recipe)
        kinds.same_parts(place, recipe, store, "text has")
        return build(recipe, store)
