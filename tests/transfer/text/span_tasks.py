"""Tagging and question answering on words of three topics."""

from __future__ import annotations

import numpy as np
from text_topics import TOPICS, WORDS

from foretell.tasks.answering import Answering
from foretell.tasks.layout import Layout
from foretell.tasks.squad import Answer, Question
from foretell.tasks.tagging import Tagging
from foretell.tasks.tags_files import Tagged


def tags(layout: Layout, count: int, seed: int) -> Tagging:
    """Each word's topic; a sentence has seven words."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        which = rng.integers(0, 3, 7)
        words = [WORDS[topic][int(rng.integers(40))] for topic in which]
        made.append(Tagged(words, [TOPICS[topic] for topic in which], f"{seed}, sentence {number}"))
    return Tagging.of(layout, made, TOPICS, index=np.arange(count) + 1000 * seed)


def questions(layout: Layout, count: int, seed: int, *, answered: bool = False) -> Answering:
    """Which word is of the topic of the question's word? In a third there is none (unless ``answered``)."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        asked, other = (int(topic) for topic in rng.permutation(3)[:2])
        words = [WORDS[other][int(rng.integers(40))] for _ in range(5)]
        none = number % 3 == 0 and not answered
        right = WORDS[asked][int(rng.integers(40))]
        if not none:
            words[int(rng.integers(5))] = right
        text = " ".join(words)
        answers = () if none else (Answer(right, text.index(right)),)
        made.append(Question(f"{seed}/{number}", WORDS[asked][int(rng.integers(40))], text, answers, none))
    return Answering.of(layout, made, index=np.arange(count) + 1000 * seed)


MAKERS = {"tagging": tags, "answering": questions}
