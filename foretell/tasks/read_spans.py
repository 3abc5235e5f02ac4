"""Tagged sentences and questions with answers, as labelled text that is divided and compared like any other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foretell.data.rows import TABLES
from foretell.data.source import SPLITS
from foretell.data.table import many
from foretell.data.text import textfile
from foretell.errors import InputError
from foretell.tasks.answering import LONGEST, Answering
from foretell.tasks.base import TextTask
from foretell.tasks.entities import are_bio
from foretell.tasks.inputs import Index
from foretell.tasks.layout import Layout
from foretell.tasks.read import LabelledText, group_numbers
from foretell.tasks.squad import read_squad, titled
from foretell.tasks.tagging import UNSEEN, Entities, Tagging
from foretell.tasks.tags_files import JSONL, open_tagged

SPANS = (Tagging.name, Answering.name)
COLUMNS = (".conll", ".iob", ".bio", ".pos")  # suffixes of tagged text alone


def spans_of(path: Path, have: Sequence[str]) -> str | None:
    """Which of ``SPANS`` a source holds, None for other labelled text: questions are .json files, in a folder with neither
    tables nor folders beside them; tagged text has a suffix of its own, or JSON lines with ``have`` tokens and tags.
    """
    files = [file for file in path.iterdir() if not file.name.startswith(".")] if path.is_dir() else [path]
    suffixes = {textfile.bare_suffix(file) for file in files}
    if ".json" in suffixes and not suffixes & set(TABLES) and not any(file.is_dir() for file in files):
        return Answering.name
    if files and suffixes <= set(COLUMNS):
        return Tagging.name
    return Tagging.name if suffixes <= set(JSONL) and {"tokens", "tags"} <= set(have) else None


@dataclass
class LabelledSpans(LabelledText):
    """Rows with spans in place of one label: ``items`` are ``Tagged`` or ``Question``, one a row.

    ``texts`` are the sentence, or question and text; ``labels`` its tags, or the answer.
    """

    items: list[Any] = field(default_factory=list)


def read_spans(source: str | Path, kind: str, *, encoding: str = "utf-8") -> LabelledSpans:
    """Tagged sentences (``tags_files``: three forms) or questions (``squad``) of a file or folder; ``kind``: of ``SPANS``.

    In a folder of question files their names say what part they are: train, dev or test. Raises InputError in words.
    """
    found = LabelledSpans(str(source), kind)
    (_read_tags if kind == Tagging.name else _read_questions)(found, encoding)
    return found


def _read_tags(found: LabelledSpans, encoding: str) -> None:
    files = open_tagged(found.source, encoding=encoding)
    found.notes += files.notes
    for sentence in files.sentences():
        found.items.append(sentence)
        found.add((" ".join(sentence.words),), " ".join(sentence.tags), sentence.group, sentence.split, sentence.place)
    tags = {tag for sentence in found.items for tag in sentence.tags}
    words = sum(len(sentence.words) for sentence in found.items)
    kinds = f"{many(len(tags), 'tag')}{', BIO: judged by whole entities' if are_bio(tags) else ''}"
    found.notes.append(f"{len(found):,} sentences, {words:,} words, {kinds}")


def _read_questions(found: LabelledSpans, encoding: str) -> None:
    path = Path(found.source).expanduser()
    if not path.exists():
        raise InputError(f"{found.source}: does not exist; expected a file in the format of SQuAD, or a folder of them")
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if textfile.bare_suffix(file) == ".json")
    if not files:
        raise InputError(f"{found.source}: no .json file in this folder; expected files in the format of SQuAD")
    seen: dict[str, str] = {}
    for file in files:
        part = _part(file) if path.is_dir() else None
        for question in read_squad(file):
            place = f"{file}, question '{question.id}'"
            if seen.setdefault(question.id, str(file)) != str(file):
                raise InputError(f"{place}: is in {seen[question.id]} too; give each question an id of its own")
            found.items.append(question)
            found.add((question.text, question.context), question.gold[0], titled(question), part, place)
    none = sum(question.impossible for question in found.items)
    found.notes.append(
        f"{len(found):,} questions on {len({question.context for question in found.items}):,} texts, {none:,} without an "
        "answer"
    )


def _part(file: Path) -> str | None:
    """The part that the name of a file says: "train" of "train-v1.1.json"."""
    words = re.split(r"[^a-z]+", file.name.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), None)


def span_task_of(
    found: LabelledSpans, layout: Layout, rows: Index, *, stride: int | None = None, longest: int = LONGEST
) -> TextTask:
    """The task of ``rows``, tokenised. Taggers know every tag of them until ``knowing`` leaves out those of the test part.

    ``stride``: tokens from one window to the next; ``longest``: tokens of an answer.
    """
    groups = group_numbers([found.groups[row] for row in rows.tolist()])
    items = [found.items[row] for row in rows.tolist()]
    if found.kind == Answering.name:
        return Answering.of(layout, items, stride=stride, longest=longest, index=rows, groups=groups)
    tags = sorted({tag for sentence in items for tag in sentence.tags})
    kind = Entities if are_bio(tags) else Tagging
    return kind.of(layout, items, tags, stride=stride, index=rows, groups=groups)


def known_tags(train: Tagging, test: Tagging, source: str) -> tuple[Tagging, Tagging, list[str]]:
    """Both parts with the tags of ``train`` alone, and a note on words of ``test`` whose tag is none of them.

    Raises InputError where training has a single tag.
    """
    tags = sorted({tag for sentence in train.sentences for tag in sentence.tags})
    if len(tags) < 2:
        raise InputError(f"{source}: one tag only ('{tags[0]}') in the training part; expected two or more")
    train, test = train.knowing(tags), test.knowing(tags)
    unseen = int((test.tag == UNSEEN).sum())
    if not unseen:
        return train, test, []
    names = sorted({tag for sentence in test.sentences for tag in sentence.tags} - set(tags))
    listed = f"{', '.join(names[:5])}{' and others' if len(names) > 5 else ''}"
    return train, test, [f"{many(unseen, 'test word')} with a tag that training has not ({listed}): counted as errors"]
