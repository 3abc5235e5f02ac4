"""``foretell pretrain --objective word2vec``: settle the recipe on the text, learn word vectors, save them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from foretell import distributed
from foretell.counters import Rng, Rows, seed_of
from foretell.data.corpus import open_corpus
from foretell.data.words import WordsConfig, WordStore, open_words
from foretell.encoders.vectors import save_vectors
from foretell.errors import InputError
from foretell.objectives.word2vec import Word2Vec
from foretell.recipe import BUDGETS, Recipe
from foretell.run import Run
from foretell.train.loop import FitResult
from foretell.verbs import common
from foretell.verbs.common import say
from foretell.verbs.pretrain import Pretraining

EPOCHS = 5.0  # where no budget is given, as in the authors' code
RATES = {"skip-gram": 0.025, "cbow": 0.05}
PIECES = 50  # of the text in an epoch, at least, so that the rate falls smoothly
LARGEST, SMALLEST = 100_000, 1_000  # words of a piece


@dataclass
class Setting:
    """All that training needs: the settled recipe, the words, and a fresh objective."""

    recipe: Recipe
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
    data = recipe.data
    if data.source is None:
        raise InputError("DATA is missing: give a text file, a table with a text column, or a folder of them")
    corpus = open_corpus(
        data.source, data.columns, documents=data.documents, sentences=data.sentences, encoding=data.encoding
    )
    known = WordsConfig.model_fields
    config = WordsConfig(**{name: getattr(recipe.objective, name) for name in known})
    return open_words(corpus, config, progress=_counting())


def _counting(every: float = 5.0) -> Any:
    last = time.monotonic()

    def progress(words: int, rate: float) -> None:
        nonlocal last
        if time.monotonic() - last > every:
            last = time.monotonic()
            print(f"reading: {words:,} words, {rate:,.0f} a second", file=sys.stderr, flush=True)

    return progress


def prepare(asked: Recipe) -> tuple[Setting, list[str]]:
    """The recipe settled on its data, and in words what was settled. Raises InputError."""
    if distributed.world() > 1:
        raise InputError("word2vec learns in one process, whose threads share the vectors; start it without torchrun")
    store = open_store(asked)
    facts = store.facts
    say(f"data: {store.source}, {facts['documents'] + facts['held_documents']:,} documents")
    for note in facts["notes"]:
        say(f"  {note}")
    given = asked.training.model_fields_set
    changes: dict[str, Any] = {"data.source": common.absolute(str(asked.data.source)), "training.device": "cpu"}
    changes |= {f"training.{name}": value for name, value in Word2Vec.usual_training.items() if name not in given}
    if "rate" not in given:
        changes["training.rate"] = RATES[getattr(asked.objective, "model")]  # noqa: B009
    if "batch" not in given:
        changes["training.batch"] = max(SMALLEST, min(LARGEST, len(store) // PIECES))
    notes = []
    if not any(getattr(asked.training, key.partition(".")[2]) is not None for key in BUDGETS):
        changes["training.epochs"] = EPOCHS
        notes.append(f"{EPOCHS:g} epochs, since no budget was given; --budget changes it")
    setting = build(asked.changed(changes), store)
    held = facts["held_documents"]
    notes.append(
        f"held out to measure on: {held:,} documents, {facts['held_words']:,} words" if held else _NOTHING_HELD
    )
    threads = setting.recipe.training.threads or torch.get_num_threads()
    if threads > 1:
        notes.append(
            f"{threads} threads: quick, and no two runs are equal to the bit; --set training.threads=1 is exact"
        )
    return setting, notes


_NOTHING_HELD = "no document is held out, since there are fewer than 50"


def build(recipe: Recipe, store: WordStore) -> Setting:
    """A fresh objective; its vectors depend on the seed alone."""
    config = recipe.objective
    assert isinstance(config, Word2Vec.Config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.training.seed, "weights"))
        return Setting(recipe, store, Word2Vec(config, store))


def begin(run: Run, setting: Setting, notes: list[str]) -> None:
    """Facts of a new run, and what is hidden, for a person."""
    objective, store = setting.objective, setting.store
    for note in [*notes, *objective.notes]:
        say(f"  {note}")
    say("compiling the kernel, once for these settings")
    objective.make_ready()
    run.write_json("split.json", {"fingerprint": store.fingerprint, "how": "", "train": [], "test": []})
    rows = Rows.of_rank(setting.recipe.training.batch)
    shown = objective.show(objective.draw("words", 0, 0, rows), Rng(0, 0, rows))
    about = {key: getattr(Word2Vec, key) for key in ("name", "hides", "foretells", "needs", "paper")}
    facts = store.facts
    common.write_facts(
        run,
        data={
            "source": store.source,
            "kind": "text",
            "fingerprint": store.fingerprint,
            "count": facts["documents"] + facts["held_documents"],
            "sentences": facts["sentences"],
            "tokens": store.raw,
            "vocabulary": len(store.words),
            "notes": facts["notes"],
            "train": facts["documents"],
            "test": facts["held_documents"],
            "split": f"{facts['held_documents']:,} documents held out" if facts["held_documents"] else _NOTHING_HELD,
        },
        objective={**about, "shown": shown.caption, "examples": shown.table},
        versions=common.versions(),
        encoder={
            "name": f"a table of {len(store.words):,} words",
            "dim": objective.encoder.dim,
            "parameters": len(store.words) * objective.encoder.dim,
        },
    )
    if len(shown.table) > 1:
        say(f"shown to it:    {shown.table[1][0]}")
        say(f"to be foretold: {shown.table[1][1]}")


def monitors(setting: Setting) -> list[HeldOutLoss]:
    return [HeldOutLoss(setting.recipe.training.health_every)] if len(setting.store.held) else []


def finish(setting: Setting, run: Run, result: FitResult) -> Pretraining:
    """Save the vectors, measure, report."""
    from foretell.report import build as build_report

    objective, store = setting.objective, setting.store
    folder = run.path / "encoder"
    folder.mkdir(exist_ok=True)
    for suffix in ("txt", "bin"):
        save_vectors(folder / f"vectors.{suffix}", store.words, objective.encoder.table)
    save_vectors(folder / "outputs.bin", *_outputs(objective))
    say(f"vectors: {folder / 'vectors.bin'} and vectors.txt, in word2vec's own forms")
    found = {"held_out_loss": objective.held_out_loss(), "words_per_second": result.samples / max(result.seconds, 1e-9)}
    run.write_json("results/words.json", {**found, "chance": objective.chance_loss})
    measured = {}
    if len(store.held):
        measured = {"held_out_loss": found["held_out_loss"]}
        say(
            f"loss on {store.facts['held_documents']:,} held-out documents: {found['held_out_loss']:.3f} nats a prediction "
            f"(untrained: {objective.chance_loss:.3f})"
        )
    page = build_report(run.path)
    say(f"report: {page}")
    say(f"next: foretell neighbours {run.path} {store.words[min(len(store.words) - 1, 50)]}")
    return Pretraining(run.path, folder, page, result.steps, result.seconds, measured)


def _outputs(objective: Word2Vec) -> tuple[list[str], Any]:
    """The output table: of words, or of the inner nodes of the tree."""
    table = objective.outputs.detach().numpy()[:, : objective.encoder.dim]
    words = objective.store.words
    return (words if objective.config.loss == "negative" else [f"node{i}" for i in range(len(words))]), table


def go_on(recipe: Recipe, place: Path) -> Setting:
    """The setting of a run that goes on. Raises InputError when its data has changed."""
    kept = Run.read(place).read_json("split.json")
    if kept is None:
        raise InputError(f"{place}: was stopped before training began; start it anew with another --out")
    store = open_store(recipe)
    if kept["fingerprint"] != store.fingerprint:
        raise InputError(
            f"{place}: the text of {store.source} has changed since the run began, so that it cannot be resumed; start a "
            "new run"
        )
    return build(recipe, store)
