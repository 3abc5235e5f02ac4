"""What a labelled task on words or spans is foretold by without a network, fitted on the same labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foretell.tasks.answer_baseline import SlidingWindow
from foretell.tasks.answering import Answering, Found
from foretell.tasks.base import TextTask
from foretell.tasks.tagging import Tagging
from foretell.tasks.tags_baseline import MajorityTag

BASELINES: dict[type[TextTask], dict[str, str]] = {
    Tagging: {
        "title": "commonest tag of the word",
        "what": "the tag that a word has most often in the labels, and for a new word that of its ending",
    },
    Answering: {
        "title": "sliding window",
        "what": "the words of the text round which most of the question's words stand",
    },
}


def about_baseline(train: TextTask) -> dict[str, str]:
    """Title and description of the baseline of a task of the kind of ``train``."""
    return next(told for kind, told in BASELINES.items() if isinstance(train, kind))


def baseline_of(train: TextTask) -> Callable[[TextTask], list[Any]]:
    """What gives a prediction for each example of a task of the kind of ``train``, whose labels it is fitted on."""
    if isinstance(train, Tagging):
        return _tagger(train)
    assert isinstance(train, Answering)
    return _answerer(train)


def _tagger(train: Tagging) -> Callable[[TextTask], list[list[str]]]:
    tag = MajorityTag((sentence.words, sentence.tags) for sentence in train.sentences)

    def tags(task: TextTask) -> list[list[str]]:
        assert isinstance(task, Tagging)
        return [tag(sentence.words) for sentence in task.sentences]

    return tags


def _answerer(train: Answering) -> Callable[[TextTask], list[Found]]:
    answer = SlidingWindow(question.context for question in train.questions)

    def answers(task: TextTask) -> list[Found]:
        assert isinstance(task, Answering)
        found = [answer(question.text, question.context) for question in task.questions]
        return [Found(text, score, -score) for text, score in found]

    return answers
