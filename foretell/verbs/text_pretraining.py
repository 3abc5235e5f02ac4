"""``foretell pretrain`` on text: settle the recipe on the data, train, measure what is foretold, export."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import foretell.objectives as objectives
from foretell.counters import Rng, Rows, seed_of
from foretell.data.table import many
from foretell.data.text.textrows import SHORTEST
from foretell.data.text.tokenizer import begun_by, check_specials, load_tokenizer, templated
from foretell.data.text.tokens import TokenStore
from foretell.encoders.language import LanguageModel
from foretell.encoders.public import (
    CONFIG,
    TOKENIZER,
    check_roles,
    load_public,
    read_config,
    readme_of,
    save_public,
)
from foretell.encoders.public_config import config_of, shape_from
from foretell.errors import InputError
from foretell.objectives.text import TextObjective
from foretell.objectives.text_measures import MOST, HeldOut, pair_guesses, word_guesses
from foretell.recipe import Recipe
from foretell.run import Run, write_aside
from foretell.train import checkpoint
from foretell.train.budget import seconds_of
from foretell.train.loop import FitResult
from foretell.train.machine import named_device
from foretell.train.monitor import Monitor
from foretell.verbs import common, kinds
from foretell.verbs.common import Parts
from foretell.verbs.outcomes import Pretraining
from foretell.verbs.progress import say
from foretell.verbs.text_data import divide_text, keep_text_facts, open_text, tell_text
from foretell.verbs.text_examples import completions
from foretell.verbs.text_reading import reading

EPOCHS = 10.0  # where no budget is given: text is learnt by heart in many more
HURRY = 180  # seconds: with less on a CPU the usual network would see too few batches to learn a word
SHOWN = 4  # rows shown before training
EXAMPLES = 3  # completions printed
WATCHED = 128  # held-out rows measured while training


@dataclass
class Setting(kinds.Setting):
    """``part``: the documents that are learnt from."""

    store: TokenStore
    objective: TextObjective
    part: TokenStore


def kind_of(recipe: Recipe) -> type[TextObjective]:
    kind = objectives.get(recipe.objective.name)
    assert issubclass(kind, TextObjective)
    return kind


def tokenizer_of(recipe: Recipe) -> Any:
    return getattr(recipe.objective, "tokenizer")  # noqa: B009 (every text task has it)


def start_folder(recipe: Recipe) -> Path | None:
    """The folder of the checkpoint to go on from, that of a run or of one saved by transformers; None to start anew."""
    if recipe.encoder.weights is None:
        return None
    path = Path(recipe.encoder.weights).expanduser()
    if (path / "encoder" / "config.json").is_file():
        path = path / "encoder"
    if not (path / "tokenizer.json").is_file():
        raise InputError(f"{path}: holds no tokenizer.json; give a run, or the folder of a whole checkpoint")
    return path


def check_start(kind: type[TextObjective], config: Any, folder: Path) -> None:
    """Raises InputError, before any text is read, for a checkpoint in ``folder`` that the task cannot go on with."""
    layout, shape = shape_from(read_config(folder), folder / CONFIG)
    kind.check_start(config, layout, shape)
    if config.length > shape.positions:
        raise InputError(
            f"objective.length = {config.length}: the checkpoint has {shape.positions} positions; set it to that or less"
        )
    check_roles(load_tokenizer(folder), kind.roles, folder)
    load_public(folder)  # which refuses what else is wrong with it


def settle(asked: Recipe) -> tuple[Recipe, list[str]]:
    """``asked`` with what depends on the data or was left to the objective, and in words what was settled."""
    changes: dict[str, Any] = {"data.source": common.absolute(str(asked.data.source))}
    for name, value in (
        ("encoder.weights", asked.encoder.weights),
        ("objective.tokenizer.file", tokenizer_of(asked).file),
    ):
        if value is not None:
            changes[name] = common.absolute(value)
    epochs, notes = kinds.usual_epochs(asked, EPOCHS)
    if asked.encoder.weights is not None:
        notes.append(f"network and tokenizer are those of {asked.encoder.weights}, whatever the settings say of them")
    small, told = hurried(asked)
    return asked.changed(changes | kinds.usual_training(asked) | epochs | small), notes + told


def hurried(asked: Recipe) -> tuple[dict[str, Any], list[str]]:
    """The changes to network and batch, where both were left open, for less than ``HURRY`` seconds on a CPU; in words."""
    training, network = asked.training, getattr(asked.objective, "network")  # noqa: B009 (every text task has it)
    left_open = (
        asked.encoder.weights is None and not network.model_fields_set and "batch" not in training.model_fields_set
    )
    short = training.time is not None and seconds_of(training.time) < HURRY
    if not (left_open and short) or named_device(training.device).type != "cpu":
        return {}, []
    told = (
        f"a tiny network and batches of 16 rows, since {training.time} on a CPU is little; --set objective.network.size=mini "
        "--batch 64 take the usual ones"
    )
    return {"objective.network.size": "tiny", "training.batch": 16}, [told]


def build(recipe: Recipe, store: TokenStore, parts: Parts, network: LanguageModel | None = None) -> Setting:
    """A fresh network, or that of the checkpoint, and the objective; new weights depend on the seed alone.

    ``network`` takes the place of the checkpoint.
    """
    part = kinds.learnt(store, parts)
    kind = kind_of(recipe)
    config: Any = recipe.objective
    folder = start_folder(recipe) if network is None else None
    where = str(folder or tokenizer_of(recipe).file or store.source)
    specials = check_specials(store.tokenizer, kind.roles, where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.training.seed, "weights"))
        if folder is not None:
            network, _ = load_public(folder)
        if network is None:
            model = kind.model(config, store.vocabulary, specials)
        else:
            network.specials = dict(specials)
            model = kind.continued(config, network.train())
    return Setting(recipe, store, parts, kind(config, model, part), part)


def kept_network(place: Path) -> LanguageModel | None:
    """The network of the run in ``place``, whose weights its checkpoint holds; None where it keeps no shape of one, or has
    no checkpoint yet.
    """
    start = (Run.read(place).read_json("facts.json") or {}).get("start")
    if start is None or checkpoint.latest(place / "checkpoints") is None:
        return None
    layout, shape = shape_from(start, place / "facts.json")
    return LanguageModel(shape, layout)


def _rows(objective: TextObjective, count: int) -> Any:
    plan = objective.rows_of(0, 0)
    return plan.read(np.arange(count) % len(plan))


def keep_facts(run: Run, setting: Setting) -> None:
    """Facts, division and tokenizer of a new run, and what is hidden, for a person."""
    parts, store, objective = setting.parts, setting.store, setting.objective
    write_aside(run.path / TOKENIZER, store.tokenizer_text)
    if setting.recipe.encoder.weights is not None:  # the folder may be elsewhere when the run goes on
        model = objective.encoder
        described = config_of(model.layout, model.shape, model.specials, masked=True, pair=True)
        common.write_facts(run, start=described)
    plan, shape = objective.rows_of(0, 0), objective.encoder.shape
    keep_text_facts(
        run,
        setting,
        objective.show(_rows(objective, SHOWN), Rng(setting.recipe.training.seed, 0, Rows(0, SHOWN, SHOWN))),
        data={
            "count": len(store),
            "text": store.text,
            "sentences": store.meta["sentences"],
            "tokens": store.meta["tokens"],
            "vocabulary": store.vocabulary,
            "rows": len(plan),
            "filled": plan.filled,
            "notes": store.notes,
            "train": len(parts.train),
            "test": len(parts.test),
            "split": parts.how,
        },
        encoder={
            "name": f"{objective.encoder.layout}, {shape.layers} layers of {shape.width}",
            "dim": shape.width,
            "parameters": sum(parameter.numel() for parameter in objective.encoder.parameters()),
        },
    )


def held_out(setting: Setting, every: int, rows: int) -> HeldOut | None:
    """The monitor on the documents that were held out; None where there are none, or (which is said) too few."""
    if not len(setting.parts.test):
        return None
    try:
        return HeldOut(setting.objective, setting.store.subset(setting.parts.test), every, rows)
    except InputError as reason:
        say(f"  nothing is measured on the documents held out: {reason}")
        return None


def exported_tokenizer(model: LanguageModel, store: TokenStore) -> str:
    """The text of its tokenizer.json, which puts special tokens round a text where other programs ask for them: [CLS] and [SEP]
    of an encoder, and of a decoder the end of a document before it, with which every text begins that it learnt from.
    """
    if model.shape.causal:
        return begun_by(store.tokenizer, store.specials["end"])
    if store.tokenizer.post_processor is not None:
        return store.tokenizer_text
    cls, sep = [store.specials["cls"]], [store.specials["sep"]]
    return templated(store.tokenizer, cls, sep, sep)


def export(setting: Setting, run: Run) -> Path:
    model = setting.objective.encoder
    folder = save_public(
        model,
        run.path / "encoder",
        exported_tokenizer(model, setting.store),
        readme=readme_of(model, setting.recipe.objective.name),
    )
    say(f"encoder: {folder} (transformers loads it: see its README.md)")
    return folder


def show_examples(setting: Setting, run: Run, monitor: HeldOut | None, steps: int) -> list[tuple[str, str]]:
    """A few completions, of documents held out where there are such, and whole passages for the report.

    Returned, and kept as results/completions.json and results/reading.json.
    """
    model, seed = setting.objective.encoder, setting.recipe.training.seed
    held = bool(len(setting.parts.test))
    found = reading(model, _looked_at(setting), seed, None if monitor is None else monitor.over)
    run.write_json("results/reading.json", {"held_out": held, **found})
    made = completed(setting)
    if not made:
        return []
    for given, foretold in made:
        say(f"  {given}")
        say(f"    -> {foretold}")
    run.write_json("results/completions.json", {"held_out": held, "examples": made})
    keep_sample(run, setting, steps)
    return made


def tell_next(run: Run, model: LanguageModel, examples: list[tuple[str, str]]) -> None:
    """The commands that use the model, the first with a text that it was shown on."""
    place = shlex.quote(str(run.path))
    if examples:
        say(f"next: foretell {'generate' if model.shape.causal else 'fill'} {place} {shlex.quote(examples[0][0])}")
    if model.pair is not None:
        say(f"next: foretell next-sentence {place} story.txt  # a file of yours, one sentence a line")


def _looked_at(setting: Setting) -> TokenStore:
    """The documents held out, where there are such."""
    parts = setting.parts
    return setting.store.subset(parts.test if len(parts.test) else parts.train)


def completed(setting: Setting, most: int = EXAMPLES) -> list[tuple[str, str]]:
    """(text with a gap, or prompt; what the model makes of it), always of the same documents; [] without a head."""
    model = setting.objective.encoder
    if model.head is None and not model.shape.causal:
        return []
    return completions(model, _looked_at(setting), setting.recipe.training.seed, most)


def keep_sample(run: Run, setting: Setting, step: int) -> None:
    """What the model makes of one text at ``step``, in metrics.jsonl, once: how it learns, for a person."""
    if step in _sampled(run):
        return
    for given, foretold in completed(setting, 1):
        run.log("sample", step=step, given=given, foretold=foretold)


def _sampled(run: Run) -> list[int]:
    """The steps that ``keep_sample`` was called at."""
    return [line["step"] for line in run.metrics("sample") if "step" in line]


class Watched:
    """The held-out loss; each time the steps have doubled, what the model makes of a text is kept too.

    When it is next kept follows from the run's log, which a run that goes on has from before.
    """

    name = HeldOut.name
    higher_is_better = HeldOut.higher_is_better

    def __init__(self, loss: HeldOut, run: Run, setting: Setting) -> None:
        self.loss, self.run, self.setting = loss, run, setting
        self.every = loss.every
        self.due: int | None = None

    def __call__(self, trainable: Any, step: int) -> float:
        if self.due is None:
            self.due = 2 * max(_sampled(self.run), default=0)
        if step >= self.due:
            keep_sample(self.run, self.setting, step)
            self.due = 2 * step
        return self.loss(trainable, step)


def measure(setting: Setting, run: Run, monitor: HeldOut | None) -> dict[str, float]:
    """What is foretold of documents held out, beside guesses without a network; kept as results/text.json."""
    if monitor is None:
        say("no document was held out, so that nothing is measured; more documents, or a split column, change that")
        return {}
    found = monitor.parts(setting.objective)
    kept: dict[str, Any] = {"documents": len(setting.parts.test), "rows": len(monitor.rows), "found": found}
    say(f"on {many(len(setting.parts.test), 'document')} that it has not learnt from:")
    if "words" in found:
        guess = word_guesses(setting.objective, monitor.words())
        kept["words"] = {"perplexity": math.exp(found["words"]), "right": found["right"], "guess": guess}
        say(
            f"  words: perplexity {math.exp(found['words']):,.1f}, {found['right']:.1%} right "
            f"(by frequency alone: {guess['perplexity']:,.1f} and {guess['right']:.1%})"
        )
    if "sentences" in found:
        guesses = pair_guesses(setting.objective, monitor)
        kept["sentences"] = {"right": found["right_pairs"], "guesses": guesses}
        told = ", ".join(f"{name} {value:.1%}" for name, value in guesses.items())
        say(f"  next sentences: {found['right_pairs']:.1%} right ({told})")
    run.write_json("results/text.json", kept)
    return {"perplexity": math.exp(found["words"])} if "words" in found else {"right_pairs": found["right_pairs"]}


class Texts(kinds.Kind[Setting]):
    what = "text"
    verbs = "fill, next-sentence, generate, finetune, evaluate and embed"

    def prepare(self, asked: Recipe) -> tuple[Setting, list[str]]:
        kind = kind_of(asked)
        start = start_folder(asked)
        if start is not None:
            check_start(kind, asked.objective, start)
        store = open_text(asked.data, tokenizer_of(asked), kind.roles, kept=start and start / "tokenizer.json")
        tell_text(store)
        parts = divide_text(store, asked.data)
        settled, notes = settle(asked)
        setting = build(settled, store, parts)
        rows = len(setting.objective.rows_of(0, 0))
        if not rows:
            raise InputError(
                f"{store.source}: too little text to learn from: pieces of fewer than {SHORTEST} tokens are left out, and "
                f"{many(len(setting.part), 'document')} gave no longer one; give more text"
            )
        training = settled.training
        if "batch" not in asked.training.model_fields_set and rows < 4 * training.batch:
            batch = max(1, min(training.batch, 1 << max(0, (rows // 4).bit_length() - 1)))
            settled = settled.changed({"training.batch": batch})
            notes.append(f"batches of {batch}, for {many(rows, 'row')} of text to learn from; --batch changes it")
            setting.recipe = settled
        setting.objective.steps_per_epoch(settled.training.batch)
        notes.append(f"to learn from: {many(len(setting.part), 'document')}; {parts.how}")
        return setting, notes

    def monitors(self, setting: Setting, run: Run) -> Sequence[Watched]:
        found = held_out(setting, setting.recipe.training.health_every, WATCHED)
        return [Watched(found, run, setting)] if found is not None else []

    def begin(self, run: Run, setting: Setting, monitors: Sequence[Monitor]) -> None:
        keep_facts(run, setting)
        keep_sample(run, setting, 0)

    def finish(self, setting: Setting, run: Run, result: FitResult) -> Pretraining:
        from foretell.report import build as build_report

        folder = export(setting, run)
        monitor = held_out(setting, 1, MOST)
        measured = measure(setting, run, monitor)
        examples = show_examples(setting, run, monitor, result.steps)
        page = build_report(run.path)
        say(f"report: {page}")
        tell_next(run, setting.objective.encoder, examples)
        return Pretraining(run.path, folder, page, result.steps, result.seconds, measured)

    def go_on(self, recipe: Recipe, place: Path) -> Setting:
        tokenizer = place / TOKENIZER
        if not tokenizer.is_file():
            raise kinds.lost(place, TOKENIZER)
        store = open_text(recipe.data, tokenizer_of(recipe), kind_of(recipe).roles, kept=tokenizer)
        return build(recipe, store, kinds.same_parts(place, recipe, store, "text has"), kept_network(place))
