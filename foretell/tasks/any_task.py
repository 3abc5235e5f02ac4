"""Labelled text of any kind: read by what it is, and divided into the tasks to learn from and to be judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from foretell.data.table import many
from foretell.errors import unknown
from foretell.tasks.answering import LONGEST, Answering, withheld
from foretell.tasks.base import TextTask
from foretell.tasks.layout import Layout
from foretell.tasks.read import TASKS, Division, LabelledText, header, held_out, read_labelled, task_of
from foretell.tasks.read_spans import SPANS, LabelledSpans, known_tags, read_spans, span_task_of, spans_of
from foretell.tasks.tagging import Tagging

KINDS = (*TASKS, *SPANS)


def read_any(
    source: str | Path,
    columns: Mapping[str, str] | None = None,
    kind: str | None = None,
    *,
    encoding: str = "utf-8",
    documents: str = "auto",
) -> LabelledText:
    """Tagged sentences and questions with answers (``read_spans``), or any other labelled rows (``read_labelled``).

    ``kind``: of ``KINDS``; default: by suffix and columns. Raises InputError in words.
    """
    if kind is not None and kind not in KINDS:
        raise unknown("task", kind, KINDS)
    path = Path(source).expanduser()
    own = kind or (spans_of(path, header(path, encoding)) if path.exists() else None)
    if own in SPANS:
        return read_spans(source, own, encoding=encoding)
    return read_labelled(source, columns, kind, encoding=encoding, documents=documents)


def parts_of(
    found: LabelledText, layout: Layout, division: Division, *, stride: int | None = None, longest: int = LONGEST
) -> tuple[TextTask, TextTask, list[str]]:
    """Training and test examples, laid out, and notes. ``stride`` and ``longest`` as ``span_task_of``.

    Raises InputError as ``held_out`` and where training has one tag.
    """
    if not isinstance(found, LabelledSpans):
        return held_out(task_of(found, layout), found, division)
    rows = np.sort(np.concatenate([division.train, division.test]))
    task = span_task_of(found, layout, rows, stride=stride, longest=longest)
    train, test, notes = held_out(task, found, division)
    if isinstance(task, Tagging) and task.unread:
        notes.append(
            f"of {many(task.unread, 'word')} the tokenizer makes no token: each gets the tag of what comes after it"
        )
    if isinstance(train, Tagging) and isinstance(test, Tagging):
        train, test, more = known_tags(train, test, found.source)
        notes += more
    if isinstance(train, Answering) and isinstance(test, Answering):
        # whether any question has no answer is what training alone may tell
        asked = withheld(train.questions)
        train, test = replace(train, threshold=asked), replace(test, threshold=asked)
    return train, test, notes
