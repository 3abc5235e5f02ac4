"""The work behind ``foretell finetune``, ``evaluate`` and ``embed`` where the run, or a folder in a public layout, is
of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import foretell.objectives as objectives
from foretell.data.table import Table, many
from foretell.data.text.corpus import Corpus, Document, open_corpus
from foretell.encoders.bag import is_bag
from foretell.encoders.language import LanguageModel
from foretell.errors import InputError
from foretell.measures.metrics import led_by, metric_name
from foretell.measures.verdict import with_tested
from foretell.options import Overrides
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.tasks.answering import Answering
from foretell.tasks.any_task import parts_of, read_any
from foretell.tasks.base import TextTask
from foretell.tasks.classification import Classification
from foretell.tasks.layout import Layout, extended
from foretell.tasks.read import Division, LabelledText, divide_labelled
from foretell.tasks.squad import write_answers
from foretell.train.machine import named_device
from foretell.transfer.ahead import check_jobs
from foretell.transfer.cache import Cache, fingerprint
from foretell.transfer.config import TransferConfig
from foretell.transfer.labels import KEY, same_labels
from foretell.transfer.protocol import Protocol
from foretell.transfer.text.answer_threshold import like
from foretell.transfer.text.compare import always_there, check_arms, compare_text, frozen_text
from foretell.transfer.text.features import embed_units
from foretell.transfer.text.once import finetune_text, search_text
from foretell.transfer.text.saved import save_text
from foretell.transfer.text.tuning import TextTuner
from foretell.verbs import common, kept_out, kept_split
from foretell.verbs.common import JOINED
from foretell.verbs.outcomes import Finetuned
from foretell.verbs.progress import counting, say, telling
from foretell.verbs.results import Results
from foretell.verbs.text_data import corpus_of
from foretell.verbs.text_run import TextModel, read_text
from foretell.verbs.word_vectors import as_text_model, vectors_of

AT_ONCE = 2000  # documents embedded at a time
ANSWERS = "test_answers.json"


def reads_text(place: Path) -> bool:
    """Whether ``place`` is read as an encoder of text: ``is_text``, or word vectors."""
    return vectors_of(place) is not None or is_text(place)


def _read(place: Path) -> TextModel:
    return as_text_model(place) if vectors_of(place) is not None else read_text(place)


def is_text(place: Path) -> bool:
    """Whether ``place`` is a run on text or a folder with a text model."""
    if (place / "recipe.toml").is_file():
        return objectives.get(Recipe.load(place / "recipe.toml").objective.name).kind == "text"
    return (place / "tokenizer.json").is_file() and (place / "config.json").is_file()


@dataclass(kw_only=True)
class Opened(Results):
    """A text model with labelled data for it; a folder without a run has no ``run``. With ``beside`` the run has its
    searches and finished fits alone.

    ``labels``: a short name for the labelled texts and their division.
    """

    place: Path
    model: LanguageModel
    config: TransferConfig
    found: LabelledText
    train: TextTask
    test: TextTask
    how: str
    labels: str

    @property
    def folder(self) -> Path | None:
        """Where searches are kept."""
        return None if self.run is None else self.run.path

    def kept(self, name: str) -> Path | None:
        """The file in which finished fits of ``name`` are kept, None where they are lost when the command ends."""
        return None if self.run is None else self.run.path / "results" / f"{name}.jsonl"


def _recipe(place: Path, device: str | None, overrides: Overrides, other: bool) -> Recipe:
    """The run's recipe with what was given now; how ``other`` data is read is what was given now alone."""
    file = place / "recipe.toml" if (place / "recipe.toml").is_file() else None
    recipe = Recipe.load(file, {"transfer.device": device}, overrides)
    named_device(recipe.transfer.device)
    if other and file is not None:
        recipe.data = Recipe.load(None, {}, common.data_overrides(overrides)).data
    return recipe


def _source(place: Path, recipe: Recipe, data: str | Path | None) -> str:
    source = str(data) if data is not None else recipe.data.source
    if source is None:
        raise InputError(f"{place}: is a model without a run, so it has no text of its own; give --data FILE")
    return source


def open_labelled(
    place: Path,
    data: str | Path | None,
    task: str | None,
    device: str | None,
    overrides: Overrides,
    *,
    searches: bool = False,
) -> Opened:
    """Read model and data, lay the data out, divide it, and say what was understood. Raises InputError in words.

    With ``searches`` those of another process that holds the run can be joined.
    """
    recipe = _recipe(place, device, overrides, data is not None)
    source = _source(place, recipe, data)
    read = _read(place)
    given = recipe.data
    found = read_any(source, given.columns, task, encoding=given.encoding, documents=given.documents)
    say(f"data: {source}, {many(len(found), 'row')}, {found.kind}")
    for note in found.notes:
        say(f"  {note}")
    division = _division(place, found, recipe, own=data is None)
    model, tokenizer = extended(read.model, read.tokenizer)
    model.specials = read.specials
    layout = Layout.of(model, tokenizer, recipe.transfer.text.length, str(place))
    own = recipe.transfer.text
    layout.reads = "mean" if is_bag(model) else own.reads
    train, test, notes = parts_of(found, layout, division, stride=own.stride, longest=own.longest_answer)
    train, test = train.led_by(recipe.transfer.metric), test.led_by(recipe.transfer.metric)
    if layout.cut:
        notes.append(_cut(layout, found))
    for note in notes:
        say(f"  {note}")
    say(f"test part: {division.how}")
    run, joins = None, False
    if (place / "recipe.toml").is_file():
        run, joins = common.hold(place, recipe.transfer.search if searches else None)
    return Opened(
        run=run, joins=joins, place=place, model=model, config=recipe.transfer, found=found, train=train, test=test,
        how=division.how, labels=_labels_fingerprint(found, division),
    )  # fmt: skip


def _labels_fingerprint(found: LabelledText, division: Division) -> str:
    """A short name for the texts, what each is labelled with, and which are learnt from and tested."""
    content = {name: value for name, value in vars(found).items() if name not in ("source", "places", "notes")}
    return fingerprint([content, division.train.tolist(), division.test.tolist()])


def _cut(layout: Layout, found: LabelledText) -> str:
    """How much did not fit, in words. Of a question on a text the text is read in windows, so that nothing of it is lost."""
    if found.kind == Answering.name:
        share = layout.cut / len(found)
        return f"{many(layout.cut, 'question')} longer than half of the {layout.length} tokens and cut ({share:.1%})"
    share = layout.cut / layout.laid
    return f"{many(layout.cut, 'sequence')} longer than {layout.length} tokens and cut ({share:.1%})"


def _as_pretrained(place: Path, source: str | None, rows: int) -> tuple[bool, bool]:
    """(whether ``source`` holds the very text of the pretraining, whether each of ``rows`` is a document of it).

    A run of an earlier version did not keep what its text was: it is then known by the number of its documents alone.
    """
    facts = (Run.read(place).read_json("facts.json") or {}).get("data", {})
    as_read = Recipe.load(place / "recipe.toml").data  # what is read otherwise now does not make it another text
    as_read.source = source
    try:
        same = facts.get("text") in (None, corpus_of(as_read).fingerprint)
    except InputError:  # labelled data of a kind that no pretraining reads
        same = False
    return same, same and facts.get("count") == rows


def is_own(place: Path, data: str | Path | None) -> bool:
    """Whether ``data`` (None: the run's own) is the text of the run in ``place``; False of a folder without a run.

    A run on words, or of an earlier version, does not keep what its text was: it is then known by its name alone.
    """
    if data is None or not (place / "recipe.toml").is_file():
        return (place / "recipe.toml").is_file()
    kept = (Run.read(place).read_json("facts.json") or {}).get("data", {}).get("text")
    as_read = Recipe.load(place / "recipe.toml").data
    if kept is None:
        return common.absolute(str(data)) == as_read.source
    as_read.source = str(data)
    try:
        return bool(corpus_of(as_read).fingerprint == kept)
    except InputError:  # data of a kind that no pretraining reads
        return False


def _division(place: Path, found: LabelledText, recipe: Recipe, *, own: bool) -> Division:
    """The split of the pretraining where the texts are the run's own, else a new one; the rule says which."""
    kept = kept_split.read(place) if own else None
    same, matching = (True, False) if kept is None else _as_pretrained(place, recipe.data.source, len(found))
    if kept is not None and matching:
        labelled = np.flatnonzero([label is not None for label in found.labels])
        train, test = (np.intersect1d(labelled, rows) for rows in (kept.parts.train, kept.parts.test))
        if len(train) and len(test):
            return Division(train, test, kept.parts.how)
    division = divide_labelled(found, recipe.data.split, recipe.data.split_seed)
    if not own and not is_own(place, found.source):
        return division
    saw = (
        "pretraining saw these texts too"
        if same
        else "the text is not as it was when pretraining read it, so that its split says nothing of these rows and it may have seen them"
    )
    return Division(division.train, division.test, f"{division.how}; {saw}, without labels")


# the verbs ------------------------------------------------------------------------------------------------------------


def _table_of(data: str | Path | None, labels: str | Path | None) -> str | Path | None:
    """The labelled text: labels stand beside the texts, so that either option may name the table."""
    if data is not None and labels is not None:
        raise InputError(f"--labels {labels}: texts and labels are columns of one table; give it by --data alone")
    return data if data is not None else labels


def finetune(
    place: Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    out: str | Path | None,
    compare: bool,
    protocol: Protocol,
    task: str | None,
    device: str | None,
    overrides: Overrides,
) -> Finetuned:
    """See ``foretell.verbs.finetune``."""
    data, target = _table_of(data, labels), Path(out) if out is not None else place / "classifier"
    opened = open_labelled(place, data, task, device, overrides, searches=True)
    if out is not None and data is not None and target.resolve() != (place / "classifier").resolve():
        opened.beside = target
    try:
        if compare:
            check_jobs(protocol.jobs, opened.config.search)
        if out is not None and not opened.joins:
            kept_out.check(target, place, opened.labels)
        train, test = opened.train, opened.test
        kinds = f" of {len(train.classes)} classes" if train.classes else ""
        say(f"fine-tuning on {len(train):,} labels{kinds}:")
        if opened.joins:
            search_text(opened.model, train, config=opened.config, trials=protocol.trials, folder=opened.folder)
            joined = _compare(opened, protocol) if compare else None
            say(JOINED)
            return Finetuned(target, None, {}, joined)
        if out is not None:
            kept_out.begin(target, place, opened.labels)
        tuner, facts = finetune_text(
            opened.model, train, config=opened.config, test=test, trials=protocol.trials, progress=telling(),
            cache=Cache(opened.kept("finetune")), folder=opened.folder,
        )  # fmt: skip
        save_text(tuner, target, extra={"labels": facts["labels"], "pretrained_in": str(place)})
        say(f"classifier: {target}")
        _keep_answers(tuner, test, target)
        scores = _tell_classifier(opened, facts)
        facts |= {"data": opened.found.source, KEY: opened.labels}
        opened.write("finetune", {**facts, "folder": str(target)})
        if not compare and opened.run is not None and opened.beside is None:
            common.tell_other_labels(opened.run.read_json("results/comparison.json"), facts)
        result = _compare(opened, protocol) if compare else None
        return Finetuned(target, opened.report(), scores, result)
    finally:
        opened.close()


def _keep_answers(tuner: TextTuner, test: TextTask, target: Path) -> None:
    """Write what is answered to the questions of the test part beside the model; what an earlier one answered goes."""
    judged = like(test, tuner.task)
    (target / ANSWERS).unlink(missing_ok=True)
    if isinstance(judged, Answering):
        write_answers(target / ANSWERS, answers_of(tuner, judged))
        say(f"  answers of the test part, for the official evaluation: {target / ANSWERS}")


def _tell_classifier(opened: Opened, facts: dict[str, Any]) -> dict[str, Any]:
    """Its scores on the test part."""
    scores = {name: value for name, value in facts["test"].items() if name != "confusion"}
    names = led_by(opened.train.metric, opened.train.metrics)
    told = ", ".join(f"{metric_name(name)} {scores[name]:.1%}" for name in names)
    say(f"  on {len(opened.test):,} test rows: {told}")
    if isinstance(opened.test, Answering) and "impossible_f1" in scores:
        none = np.mean([not any(question.gold) for question in opened.test.questions])
        say(
            f"  of questions with an answer f1 {scores['answerable_f1']:.1%}, of those without {scores['impossible_f1']:.1%}; "
            f"answering none of them would be {none:.1%}"
        )
    for line in common.classes_told(facts["test"], facts["classes"]):
        say(line)
    return scores


def answers_of(tuner: TextTuner, test: Answering) -> dict[str, str]:
    """Id of each question -> the answer that is given, "" where it is none."""
    found = tuner.predictions(test)
    return {question.id: one.given(test.threshold) for question, one in zip(test.questions, found, strict=True)}


def evaluate(
    place: Path,
    data: str | Path | None,
    *,
    labels: str | Path | None,
    compare: bool,
    protocol: Protocol,
    domain: str | None,
    task: str | None,
    device: str | None,
    overrides: Overrides,
) -> dict[str, Any]:
    """See ``foretell.verbs.evaluate``."""
    if domain is not None:
        raise InputError(f"--shift {domain}: is for images; {place} is a run of text")
    opened = open_labelled(place, _table_of(data, labels), task, device, overrides, searches=compare)
    try:
        if compare:
            check_jobs(protocol.jobs, opened.config.search)
            check_arms(protocol.arms, opened.train)
        if opened.joins:
            joined = _compare(opened, protocol)
            say(JOINED)
            return {"comparison": joined}
        result = frozen_text(
            opened.model, train=opened.train, test=opened.test, trials=protocol.trials, training=opened.config,
            progress=telling(), split=opened.how, data=opened.found.source, labels=opened.labels,
            fits=opened.kept("comparison"),
        )  # fmt: skip
        say(f"on {len(opened.test):,} test rows, with {len(opened.train):,} labels:")
        for line in common.score_lines(result, opened.test.metric, linear="linear model"):
            say(line)
        before = (opened.run.read_json("results/comparison.json") or {}) if opened.run is not None else {}
        same = before.get("task") == result["task"] and same_labels(before, result)
        # an earlier version kept the name of the data alone
        same = same and (KEY in before or before.get("data") == result["data"])
        if before.get("summary") and not same and not compare:
            say("  the report's comparison, of other data or labels, is dropped; foretell finetune makes one of these")
        opened.write("evaluation", result)
        opened.write("comparison", {**(before if same else {}), **result})
        result["comparison"] = _compare(opened, protocol) if compare else None
        opened.report()
        return result
    finally:
        opened.close()


def _compare(opened: Opened, protocol: Protocol) -> dict[str, Any]:
    say(f"comparing {common.told_arms(protocol.arms, always_there(opened.train))}, with equal search and steps:")
    result = compare_text(
        opened.model,
        train=opened.train,
        test=opened.test,
        protocol=protocol,
        training=opened.config,
        run=opened.run,
        progress=telling(),
        split=opened.how,
        data=opened.found.source,
        join=opened.joins,
        keep=opened.beside is None,
        labels=opened.labels,
    )
    if not opened.joins:
        say(with_tested(result, "text"))
        if opened.beside is not None:
            opened.write("comparison", result)
    return result


# features -------------------------------------------------------------------------------------------------------------


def embed(
    place: Path, data: str | Path | None, device: str, overrides: Overrides = ()
) -> tuple[NDArray[np.float32], list[str], Table, int]:
    """(features (documents, width), where each document is, what the source says of it, how many were cut).

    The mean state of a document's tokens. Raises InputError for text that cannot be read.
    """
    recipe = _recipe(place, device, overrides, data is not None)
    source = _source(place, recipe, data)
    read = _read(place)
    given = recipe.data
    corpus = open_corpus(source, given.columns, documents=given.documents, sentences="whole", encoding=given.encoding)
    for note in corpus.notes:
        say(f"  {note}")
    model, tokenizer = extended(read.model.to(named_device(recipe.transfer.device)), read.tokenizer)
    layout = Layout.of(model, tokenizer, recipe.transfer.text.length, str(place))
    parts: list[NDArray[np.float32]] = []
    names: list[str] = []
    columns: dict[str, list[str | None]] = {"label": [], "group": [], "split": []}
    tell = counting("embedding")
    for block in _blocks(corpus):
        texts = [(document.text,) for document in block]
        task = Classification.of(layout, texts, np.zeros(len(block), np.int64), [])
        parts.append(embed_units(model, task)["mean"])
        names += [document.place for document in block]
        for name, values in columns.items():
            values += [getattr(document, name) for document in block]
        tell(len(names), len(names))
    for note in corpus.left_out:
        say(f"  {note}")
    known = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return np.concatenate(parts), names, Table(known, rows=len(names)), layout.cut


def _blocks(corpus: Corpus) -> Iterator[list[Document]]:
    documents = corpus.documents()
    while block := list(islice(documents, AT_ONCE)):
        yield block
