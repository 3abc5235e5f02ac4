"""Labelled text that a person has: tables with named columns, or folders whose names are the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from foretell.data.division import by_column, by_label
from foretell.data.rows import TABLES, Cells, cells
from foretell.data.source import SPLITS
from foretell.data.table import Table, many, text_of
from foretell.data.text import textfile
from foretell.data.text.corpus import open_corpus
from foretell.errors import InputError, of, unknown
from foretell.json_files import parsed
from foretell.tasks.base import TextTask
from foretell.tasks.choice import Choice
from foretell.tasks.classification import Classification, Entailment, Similarity
from foretell.tasks.equal_texts import disagreeing, joined, standing_in
from foretell.tasks.inputs import Index
from foretell.tasks.layout import Layout

CLASSES: dict[str, type[Classification]] = {kind.name: kind for kind in (Classification, Entailment, Similarity)}
TASKS = (*CLASSES, Choice.name)
COLUMNS = ("text", "text_a", "text_b", "context", "choice", "choices", "label", "group", "split", "lang")


@dataclass
class LabelledText:
    """N rows as a person gave them, those without text left out. ``kind``: one of ``TASKS``.

    ``texts``: (text,), (first, second) or (context, answer, answer, ...); ``labels``: a class, or for a choice which
    answer is right, from 0, as text; None where there is none. ``places`` name rows as "posts.csv, row 3". ``notes``:
    in words what was understood.
    """

    source: str
    kind: str
    texts: list[tuple[str, ...]] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, texts: tuple[str, ...], label: str | None, group: str | None, part: str | None, place: str) -> None:
        self.texts.append(texts)
        self.labels.append(label)
        self.groups.append(group)
        self.splits.append(None if part is None else SPLITS.get(part.lower(), part))
        self.places.append(place)

    @property
    def classified(self) -> bool:
        return self.kind in CLASSES

    @property
    def whole(self) -> bool:
        """Whether ``texts`` are all that is read of a row."""
        return self.kind in TASKS


# reading --------------------------------------------------------------------------------------------------------------


def read_labelled(
    source: str | Path,
    columns: Mapping[str, str] | None = None,
    kind: str | None = None,
    *,
    encoding: str = "utf-8",
    documents: str = "auto",
) -> LabelledText:
    """The labelled rows of a table (CSV, TSV, JSON lines, Parquet), or of a folder of them or of class folders.

    ``kind`` default, by the columns: ``text`` a classification; ``text`` or ``text_a`` and ``text_b`` an entailment
    (one order; "similarity" must be asked for); ``context`` and ``choice_...`` or ``choices`` a choice. ``columns``:
    known name -> the table's own; "choice" names what the columns of answers begin with. Raises InputError in words.
    """
    given = dict(columns or {})
    for known in given:
        if known not in COLUMNS:
            raise unknown("column to map", known, COLUMNS)
    if kind is not None and kind not in TASKS:
        raise unknown("task", kind, TASKS)
    path = Path(source).expanduser()
    have = header(path, encoding)
    found = LabelledText(str(source), kind or _kind(have, given))
    if found.kind == Choice.name:
        _read_choices(found, path, have, given, encoding)
    else:
        _read_texts(found, path, have, given, encoding, documents)
    if all(label is None for label in found.labels):
        if not have and path.is_file():
            raise InputError(
                f"{source}: is text without labels; give a table of texts with them (columns text and label), by --data FILE"
            )
        raise InputError(
            f"{source}: none of {many(len(found), 'row')} has a label; expected a column 'label' (or class "
            "folders), or map "
            "one with -s data.columns.label=NAME"
        )
    found.notes += noted(found)
    return found


def header(path: Path, encoding: str) -> list[str]:
    """The columns of a table, [] of what is none."""
    if not path.is_file() or textfile.bare_suffix(path) not in TABLES:
        return []
    held: list[str] = []

    def choose(have: list[str]) -> dict[str, str]:
        held.extend(have)
        return {}

    next(cells(path, choose, encoding), None)
    return held


def _kind(have: list[str], columns: Mapping[str, str]) -> str:
    known = {*have, *columns}
    if "context" in known and ("choices" in known or _answer_columns(have, columns)):
        return Choice.name
    return Entailment.name if "text_b" in known else Classification.name


def _answer_columns(have: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """What follows the beginning in a column's name -> the column, in the order of the table."""
    begin = columns.get("choice", "choice")
    return {name[len(begin) :].lstrip("_- "): name for name in have if name.startswith(begin) and name != "choices"}


def _read_texts(
    found: LabelledText, path: Path, have: list[str], columns: dict[str, str], encoding: str, documents: str
) -> None:
    pair = CLASSES[found.kind].parts == 2
    if "text_a" in columns or ("text_a" in have and "text" not in {*have, *columns}):
        columns["text"] = columns.pop("text_a", "text_a")
    if pair and have and "text_b" not in {*have, *columns}:
        raise InputError(
            f"{path}: no column 'text_b' among {', '.join(have[:20])}, which {found.kind} needs; map one with -s "
            "data.columns.text_b=NAME"
        )
    corpus = open_corpus(path, columns, documents=documents, sentences="whole", encoding=encoding)
    found.notes += corpus.notes
    lone = 0
    for document in corpus.documents():
        if pair and not document.text_b:
            lone += 1
            continue
        texts = (document.text, document.text_b or "") if pair else (document.text,)
        found.add(texts, document.label, document.group, document.split, document.place)
    found.notes += corpus.left_out
    if lone:
        found.notes.append(f"{many(lone, 'row')} without a second text left out")


def _read_choices(found: LabelledText, path: Path, have: list[str], columns: Mapping[str, str], encoding: str) -> None:
    if not have:
        raise InputError(f"{path}: a choice is read from a table with the columns context, choices and label")
    several = _answer_columns(have, columns)
    own = {name: columns.get(name, name) for name in ("context", "choices", "label", "group", "split")}
    if own["context"] not in have or not (several or own["choices"] in have):
        raise InputError(
            f"{path}: no columns 'context' and 'choice_...' (or 'choices') among {', '.join(have[:20])}; map them "
            "with -s "
            "data.columns.context=NAME -s data.columns.choice=BEGINNING"
        )
    wanted = {known: name for known, name in own.items() if name in have}
    wanted |= {f"choice {suffix}": name for suffix, name in several.items()}
    empty = 0
    for place, values in cells(path, lambda _: wanted, encoding):
        context = text_of(values.get("context"))
        answers = _answers(values, list(several), place)
        if context is None or len(answers) < 2:
            empty += 1
            continue
        label = text_of(values.get("label"))
        right = None if label is None else str(_right(label, answers, place))
        found.add(
            (context, *answers.values()), right, text_of(values.get("group")), text_of(values.get("split")), place
        )
    if empty:
        found.notes.append(f"{many(empty, 'row')} without a context or two answers left out")


def _answers(values: Cells, suffixes: list[str], place: str) -> dict[str, str]:
    """What an answer is called -> the answer."""
    if suffixes:
        named = {suffix: text_of(values.get(f"choice {suffix}")) for suffix in suffixes}
        return {suffix: text for suffix, text in named.items() if text is not None}
    listed: Any = values.get("choices")
    if isinstance(listed, str):
        try:
            listed = parsed(listed)
        except ValueError:
            raise InputError(f'{place}: column \'choices\' is not a list such as ["yes", "no"]') from None
    if not isinstance(listed, list | None):
        raise InputError(f"{place}: column 'choices' holds {type(listed).__name__}, expected a list of answers")
    return {str(number): text_of(answer) or "" for number, answer in enumerate(listed or [])}


def _right(label: str, answers: dict[str, str], place: str) -> int:
    """Which answer ``label`` names: by what follows 'choice' in its column (in a list: from 0), or by its text.

    Raises InputError where it names none, and where it is the name of one answer and the text of another.
    """
    texts = list(answers.values())
    if label in answers:
        if label in texts and answers[label] != label:
            raise InputError(
                f"{place}: label '{label}' is the name of the answer '{answers[label][:40]}' and the text of another; give "
                "the answers in columns choice_a, choice_b, ... and a, b, ... as the label"
            )
        return list(answers).index(label)
    if texts.count(label) == 1:
        return texts.index(label)
    raise InputError(
        f"{place}: label '{label[:40]}' names none of the {len(answers)} answers; expected one of {', '.join(answers)}, or "
        "the text of the right one"
    )


# dividing -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Division:
    """Rows to train and to test on, and the rule in words."""

    train: Index
    test: Index
    how: str


def divide_labelled(found: LabelledText, shares: Mapping[str, float], seed: int) -> Division:
    """The split column, or labelled rows by ``shares``, of every class alike; groups stay whole. Raises InputError.

    Where no split column divides them, rows of the same text stay together too (sentences with tags and questions do not).
    """
    by_hand = any(part is not None for part in found.splits)
    equal = joined(found.groups, found.texts) if found.whole and not by_hand else None
    columns = {"split": found.splits, "group": found.groups if equal is None else equal}
    if found.classified:
        columns["label"] = found.labels
    table = Table({name: values for name, values in columns.items() if any(value is not None for value in values)})
    table.rows = len(found)
    known = np.array([row for row, label in enumerate(found.labels) if label is not None], np.int64)
    rows = table.subset(known)
    with of(found.source):
        if "split" in table:
            parts = by_column(rows, shares, seed, "labelled row", pretrain=False)
        else:
            grouped = any(group is not None for group in found.groups)
            whole = None if equal is None else "groups and copies of a text" if grouped else "copies of a text"
            try:
                parts = by_label(rows, shares, seed, "row", whole=whole)
            except InputError as error:
                raise InputError(f"{error}{'; copies of a text count as one' if equal is not None else ''}") from None
    if not len(parts.test):
        raise InputError(
            f"{found.source}: no test part; give a split column with test rows, or -s data.split=train=0.8,test=0.2"
        )
    return Division(known[parts.train], known[parts.test], parts.how)


# tasks ----------------------------------------------------------------------------------------------------------------


def task_of(found: LabelledText, layout: Layout, rows: Index | None = None) -> TextTask:
    """The task of the labelled ones among ``rows`` (default: all), tokenised. Raises InputError for a single class."""
    chosen = np.arange(len(found)) if rows is None else rows
    kept = np.array([row for row in chosen.tolist() if found.labels[row] is not None], np.int64)
    texts = [found.texts[row] for row in kept]
    groups = group_numbers([found.groups[row] for row in kept])
    if not found.classified:
        answer = np.array([int(found.labels[row] or 0) for row in kept], np.int64)
        return Choice.of(layout, texts, answer, index=kept, groups=groups)
    codes, classes = Table({"label": found.labels}).codes("label")
    if len(classes) < 2:
        raise InputError(
            f"{found.source}: one class only ('{classes[0]}', {many(len(kept), 'row')}); expected labels of at "
            "least two"
        )
    own = np.asarray(codes, np.int64)[kept]
    return CLASSES[found.kind].of(layout, texts, own, list(classes), index=kept, groups=groups)


def group_numbers(names: list[str | None]) -> Index | None:
    """A number a group; one of its own for a row without; None where no row has one."""
    if all(name is None for name in names):
        return None
    numbers: dict[Any, int] = {}
    keys = [name if name is not None else ("row", row) for row, name in enumerate(names)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def scale(labels: Sequence[str | None]) -> str:
    """A remark on labels that look like numbers on a scale: many values that are not whole; "" for others."""
    known = [label for label in labels if label is not None]
    values = set(known)
    try:
        fractions = any(not float(label).is_integer() for label in values)
    except (ValueError, OverflowError):
        return ""
    if not fractions or 2 * len(values) < len(known):
        return ""
    return f" ({many(len(values), 'value')} in {many(len(known), 'row')}: numbers on a scale are not foretold; give classes)"


def spelt(labels: Sequence[str | None]) -> list[list[str]]:
    """Labels that differ in capitals, in spaces around them or as numbers alone, those that may be one together."""

    def plain(label: str) -> str:
        try:
            return repr(float(label))
        except ValueError:
            return label.strip().casefold()

    found: dict[str, list[str]] = {}
    for label in sorted({label for label in labels if label is not None}):
        found.setdefault(plain(label), []).append(label)
    return [names for names in found.values() if len(names) > 1]


def noted(found: LabelledText) -> list[str]:
    """What a person may not know of the labels: texts that have several, and names that may be of one class."""
    notes = []
    if found.classified:
        several = disagreeing(found.labels, found.texts)
        if several:
            first, other = (
                several[0][0],
                next(row for row in several[0] if found.labels[row] != found.labels[several[0][0]]),
            )
            notes.append(
                f"{many(len(several), 'text')} with more than one label: {found.places[first]} says '{found.labels[first]}', "
                f"{found.places[other]} '{found.labels[other]}'"
            )
        notes += [
            f"classes that may be one, spelt {', '.join(repr(name) for name in names)}" for names in spelt(found.labels)
        ]
    return notes


def held_out(whole: TextTask, found: LabelledText, division: Division) -> tuple[TextTask, TextTask, list[str]]:
    """Training and test examples of ``whole``, and notes. Test rows of a class that no training row has are left out.

    Raises InputError when a group or nothing is left to learn from or to test on.
    """
    train = whole.take(np.flatnonzero(np.isin(whole.index, division.train)))
    test = whole.take(np.flatnonzero(np.isin(whole.index, division.test)))
    notes = []
    if train.groups is not None and test.groups is not None:
        shared = np.intersect1d(train.groups, test.groups)
        if len(shared):
            row = int(test.index[np.isin(test.groups, shared)][0])
            raise InputError(
                f"{found.places[row]}: group '{found.groups[row]}' is both in the training and in the test part; "
                "keep every "
                "group in one split"
            )
    copies = (
        0
        if not found.whole
        else standing_in((found.texts[row] for row in test.index), (found.texts[row] for row in train.index))
    )
    if copies:
        notes.append(
            f"{copies:,} of {many(len(test), 'test row')} stand in the training part too, with the same text: scores are "
            "higher than on new texts"
        )
    known = np.isin(test.codes, train.codes)
    if not known.all():
        names = sorted({test.classes[code] for code in test.codes[~known]})
        listed = f"{', '.join(names[:5])}{' and others' if len(names) > 5 else ''}"
        if not known.any():
            raise InputError(
                f"{found.source}: no training label names {listed}, the labels of all test rows; expected the same labels in "
                f"both parts{scale(found.labels)}"
            )
        notes.append(f"{many(int((~known).sum()), 'test row')} left out: no training label names {listed}")
        test = test.take(np.flatnonzero(known))
    return train, test, notes
