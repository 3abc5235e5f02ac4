"""Questions whose answer is a piece of a text: spans hidden in the lead sections of an encyclopedia.

INSIDE: 10,033 English lead sections {title: {extract, description, topic}}. A span of a sentence (the title, a name, a number)
is blanked and the sentence is the question. The sentence is taken out of the text, so that the answer is what the rest of the
lead says there, the same span elsewhere (the recurring spans of Ram et al. 2021, arXiv 2101.00438); where the span does
not come again the question has no answer. The same fifth of the titles as in ``wiki_topics`` is test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.datasets.english_text import LEADS
from benchmarks.datasets.labelled_text import made_once
from benchmarks.datasets.wiki_topics import held_out, unlabelled
from foretell.claims.fetch import members
from foretell.counters import seed_of
from foretell.data.text.sentences import split_sentences
from foretell.tasks.squad import Answer, Question, squad_text

PACKAGE = LEADS
NAME, VERSION, SHA256, LICENCE = LEADS.name, LEADS.version, LEADS.sha256, LEADS.licence
BLANK = "____"
ANSWERED, UNANSWERED = 2, 1  # questions of a lead at most, with and without an answer
LEAST = 6  # words of a sentence that is asked

_NUMBER = re.compile(r"(?<![\w.,])\d(?:[\d,.]*\d)?(?![\w%]|[.,]\d)")
_NAME = re.compile(r"(?<![\w'’-])[^\W\d_a-z][\w'’-]*(?: (?:of |de |von |van |the )?[^\W\d_a-z][\w'’-]*)*")


def spans(sentence: str, title: str) -> list[str]:
    """What may be hidden in ``sentence``, each once: the title, names (capitals, not at the beginning), numbers."""
    found = [title] if title and title in sentence else []
    found += [match[0] for match in _NAME.finditer(sentence) if match.start() > 0 and len(match[0]) > 1]
    found += [match[0] for match in _NUMBER.finditer(sentence)]
    return list(dict.fromkeys(found))


def again(span: str, text: str) -> int:
    """Where ``span`` stands in ``text`` as words of its own, -1 where it does not."""
    match = re.search(rf"(?<!\w){re.escape(span)}(?!\w)", text)
    return -1 if match is None else match.start()


def questions(title: str, extract: str) -> Iterator[Question]:
    """Up to two questions on a lead that have an answer and one that has none, drawn by the title."""
    sentences = split_sentences(" ".join(extract.split()))
    named = re.sub(r" \(.*\)$", "", title)
    drawn = np.random.default_rng(seed_of("wiki questions", title))
    left = {True: ANSWERED, False: UNANSWERED}
    for number in drawn.permutation(len(sentences)).tolist():
        sentence = sentences[number]
        context = " ".join(sentences[:number] + sentences[number + 1 :])
        if not context or len(sentence.split()) < LEAST:
            continue
        places = {span: again(span, context) for span in spans(sentence, named)}
        answered = left[True] > 0 and any(place >= 0 for place in places.values())
        hidden = [span for span, place in places.items() if (place >= 0) == answered]
        if not left[answered] or not hidden:
            continue
        left[answered] -= 1
        span = hidden[int(drawn.integers(len(hidden)))]
        at = again(span, sentence)
        text = sentence[:at] + BLANK + sentence[at + len(span) :]
        answers = (Answer(span, places[span]),) if answered else ()
        yield Question(f"{title}/{number}", text, context, answers, not answered, title)


def asked(part: str, *, answered: bool = False) -> Iterator[str]:
    """The questions on the leads of a part, "train" or "test", as a file; ``answered``: those that have an answer."""
    ((_, content),) = members(PACKAGE, lambda name: name.endswith("summaries_en-us.json"))
    entries = json.loads(content)
    test = held_out(entries)
    titles = [title for title in entries if (title in test) == (part == "test")]
    every = (question for title in titles for question in questions(title, entries[title]["extract"]))
    yield squad_text(question for question in every if not (answered and question.impossible))


def load() -> Path:
    """A folder with ``train.json`` and ``test.json`` in the format of SQuAD 2.0, a source for ``foretell finetune``, and
    ``unlabelled.txt``, the leads of the training titles, one a line, a source for ``foretell pretrain``.
    """
    files = {"train.json": partial(asked, "train"), "test.json": partial(asked, "test"), "unlabelled.txt": unlabelled}
    return made_once(PACKAGE, "questions.1", files)


def load_answered() -> Path:
    """A folder with the questions of ``load`` that have an answer, as ``train.json`` and ``test.json`` in the format of
    SQuAD 1.1.
    """
    files = {f"{part}.json": partial(asked, part, answered=True) for part in ("train", "test")}
    return made_once(PACKAGE, "answered.1", files)
