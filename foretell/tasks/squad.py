"""Questions whose answer is a piece of a text: files in the format of SQuAD 1.1 and 2.0, checked.

Sources: Rajpurkar et al. 2016 (arXiv 1606.05250); Rajpurkar, Jia and Liang 2018 (arXiv 1806.03822) for questions without
an answer, which say ``"is_impossible": true``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from foretell.data.text import textfile
from foretell.errors import InputError
from foretell.json_files import parsed
from foretell.run import write_aside

SHAPE = '{"data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [{"id": ..., "question": ..., "answers": [...]}]}]}]}'
SHOWN = 40  # characters of a text in a message


@dataclass(frozen=True, slots=True)
class Answer:
    """``text`` is a piece of the context that begins at character ``start``."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """The character after the last."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Question:
    """A question on ``context``. ``answers``: what people gave, the first one is learnt from; none where ``impossible``.

    ``title`` is the article's: questions of one article belong together.
    """

    id: str
    text: str
    context: str
    answers: tuple[Answer, ...] = ()
    impossible: bool = False
    title: str = ""

    @property
    def gold(self) -> tuple[str, ...]:
        """The different texts that are right; the empty one where there is no answer."""
        return tuple(dict.fromkeys(answer.text for answer in self.answers)) or ("",)


def read_squad(path: str | Path, *, answered: bool = True) -> list[Question]:
    """Every question of a file, plain or compressed.

    ``answered`` false takes questions without answers, to answer them. Raises InputError, naming file and question, for
    what is not in the format, an answer that is not at its offset, an id that comes twice, and a file without questions.
    """
    try:
        read = parsed("".join(textfile.pieces(Path(path))))
    except ValueError as error:
        place = f"{path}, line {error.lineno}" if isinstance(error, json.JSONDecodeError) else path
        raise InputError(f"{place}: not valid JSON ({getattr(error, 'msg', error)}); expected {SHAPE}") from None
    found: list[Question] = []
    seen: set[str] = set()
    for article in _list(read, "data", str(path)):
        title = str(article.get("title", "")) if isinstance(article, dict) else ""
        for paragraph in _list(article, "paragraphs", f"{path}, article '{title}'"):
            context = _text(paragraph, "context", f"{path}, article '{title}'")
            for entry in _list(paragraph, "qas", f"{path}, article '{title}'"):
                question = _question(entry, context, title, str(path), answered)
                if question.id in seen:
                    raise InputError(f"{path}, question '{question.id}': comes twice; give each an id of its own")
                seen.add(question.id)
                found.append(question)
    if not found:
        raise InputError(f"{path}: holds no question; expected {SHAPE}")
    return found


def _list(value: Any, key: str, place: str) -> list[Any]:
    if not isinstance(value, dict) or not isinstance(value.get(key), list):
        raise InputError(f"{place}: no list '{key}'; expected {SHAPE}")
    found: list[Any] = value[key]
    return found


def _text(value: Any, key: str, place: str) -> str:
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        raise InputError(f"{place}: no text '{key}'; expected {SHAPE}")
    return str(value[key])


def _question(entry: Any, context: str, title: str, path: str, answered: bool) -> Question:
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise InputError(f"{path}, article '{title}': a question without 'id'; expected {SHAPE}")
    place = f"{path}, question '{name}'"
    text = _text(entry, "question", place)
    if not text.strip():
        raise InputError(f"{place}: the question is empty; write one, or leave the entry out")
    impossible = bool(entry.get("is_impossible", False))
    if impossible:
        # SQuAD 2.0 has no answers here ("plausible_answers" are wrong ones)
        if entry.get("answers"):
            raise InputError(f"{place}: is_impossible, yet it has answers; take out the one or the other")
        return Question(str(name), text, context, (), True, title)
    answers = tuple(_answer(one, context, place) for one in entry.get("answers") or ())
    if answered and not answers:
        raise InputError(f'{place}: has no answers; give one, or "is_impossible": true where the text holds none')
    return Question(str(name), text, context, answers, False, title)


def _answer(value: Any, context: str, place: str) -> Answer:
    text = _text(value, "text", place)
    start = value.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool):
        raise InputError(
            f"{place}: an answer without a whole number 'answer_start'; expected its offset in the context"
        )
    if not text.strip():
        raise InputError(f'{place}: an answer is empty; use "is_impossible": true where the text holds none')
    there = context[start : start + len(text)] if start >= 0 else ""
    if there == text:
        return Answer(text, start)
    at = context.find(text)
    raise InputError(
        f"{place}: at offset {start} of the context is {_shown(there)}, not the answer {_shown(text)}; "
        + (
            f"it stands at {at}: set answer_start, in characters from 0"
            if at >= 0
            else "the context does not hold it: the answer must be a piece of the context, letter for letter"
        )
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 3] + "...")


# writing ----------------------------------------------------------------------------------------------------------


def squad_text(questions: Iterable[Question]) -> str:
    """What ``read_squad`` and the official evaluation read: version 2.0 where a question is impossible, else 1.1.

    Questions of one title, and then of one context, that follow each other are written together.
    """
    held = list(questions)
    second = any(question.impossible for question in held)

    def entry(question: Question) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": question.id,
            "question": question.text,
            "answers": [{"text": answer.text, "answer_start": answer.start} for answer in question.answers],
        }
        return {**made, "is_impossible": question.impossible} if second else made

    articles = [
        {
            "title": title,
            "paragraphs": [
                {"context": context, "qas": [entry(question) for question in asked]}
                for context, asked in groupby(of_title, key=lambda question: question.context)
            ],
        }
        for title, of_title in groupby(held, key=lambda question: question.title)
    ]
    return json.dumps({"version": "v2.0" if second else "1.1", "data": articles}, ensure_ascii=False)


def write_answers(path: str | Path, answers: Mapping[str, str]) -> None:
    """Answers as the official evaluation reads them: ``{id: text}``, the empty text where there is none."""
    write_aside(Path(path), json.dumps(dict(answers), ensure_ascii=False, indent=0) + "\n")


def titled(question: Question) -> str:
    """What it belongs to and must not be divided from: the article's title, or the context where it has none."""
    return question.title or question.context
