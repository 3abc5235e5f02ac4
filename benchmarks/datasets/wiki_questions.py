"""Questions whose answer is a piece of a text: spans hidden in the lead sections of an encyclopedia.

INSIDE: 10,033 English lead sections {title: {extract, description, topic}}. A span of a sentence (the title, a name, a number)
is blanked and the sentence is the question. The sentence is taken out of the text, so that the answer is what the rest of the
lead says there, the same span elsewhere (the recurring spans of Ram et al. 2021, arXiv 2101.00438); where the span does not come
again the question has no answer. Every fifth title is test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.datasets.english_text import LEADS
from foretell.claims.fetch import folder, members
from foretell.counters import seed_of
from foretell.data.sentences import split_sentences
from foretell.run import write_aside
from foretell.tasks.squad import Answer, Question, write_squad

PACKAGE = LEADS
NAME, VERSION, SHA256, LICENCE = LEADS.name, LEADS.version, LEADS.sha256, LEADS.licence
EVERY = 5  # titles, one of which is test
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


def load() -> Path:
    """A folder with ``train.json`` and ``test.json`` in the format of SQuAD 2.0, a source for ``foretell finetune``, and
    ``unlabelled.txt``, the leads of the training titles, one a line, a source for ``foretell pretrain``.
    """
    place = folder() / f"{PACKAGE.stem}.questions.1"
    names = ("train.json", "test.json", "unlabelled.txt")
    if all((place / name).is_file() for name in names):
        return place
    ((_, content),) = members(PACKAGE, lambda name: name.endswith("summaries_en-us.json"))
    leads = {title: entry["extract"] for title, entry in json.loads(content).items()}
    order = sorted(leads, key=lambda title: seed_of("wiki split", title))
    test = set(order[::EVERY])
    place.mkdir(parents=True, exist_ok=True)
    for name, wanted in (("train.json", False), ("test.json", True)):
        titles = [title for title in leads if (title in test) == wanted]
        write_squad(place / name, (question for title in titles for question in questions(title, leads[title])))
    write_aside(
        place / "unlabelled.txt",
        "".join(" ".join(extract.split()) + "\n" for title, extract in leads.items() if title not in test),
    )
    return place
