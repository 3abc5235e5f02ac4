"""Which response goes on with a conversation, as a choice among four and as pairs.

INSIDE: 7,168 conversations of strangers, of which those of three turns or more are used. A context is two turns; its
response the next one; the other answers are responses of other conversations of the same part. A fifth of the
conversations, drawn once, is test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.datasets.english_text import TALKS
from benchmarks.datasets.labelled_text import Row, made_once, one_line
from foretell.claims.fetch import member
from foretell.counters import seed_of

PACKAGE = TALKS
NAME, VERSION, SHA256, LICENCE = TALKS.name, TALKS.version, TALKS.sha256, TALKS.licence
FILE = "chitchat_dataset/dataset.json"
TEST = 0.2
ANSWERS = 4
LEAST = 5  # words of a context and of a response: shorter ones go with anything
MOST = 4  # contexts of one conversation

Exchange = tuple[str, str, str]  # conversation, context, response


def turns_of(conversation: dict[str, object]) -> list[str]:
    messages: list[list[dict[str, str]]] = conversation["messages"]  # type: ignore[assignment]
    return [one_line(" ".join(message["text"] for message in turn)) for turn in messages]


def exchanges(name: str, turns: list[str]) -> list[Exchange]:
    """Up to ``MOST`` contexts of a conversation with their responses, spread over it."""
    found = [
        (name, f"{turns[at - 2]} {turns[at - 1]}", turns[at])
        for at in range(2, len(turns))
        if min(len(turns[at].split()), len(f"{turns[at - 2]} {turns[at - 1]}".split())) >= LEAST
    ]
    return found[:: -(-len(found) // MOST)] if found else []


@lru_cache(maxsize=1)
def divided() -> dict[str, tuple[str, list[str]]]:
    """Conversation -> ("train" or "test", its turns)."""
    read = sorted(json.loads(member(PACKAGE, FILE)).items())
    order = np.random.default_rng(seed_of("dialogues")).permutation(len(read))
    test = set(order[: round(TEST * len(read))].tolist())
    return {name: ("test" if at in test else "train", turns_of(talk)) for at, (name, talk) in enumerate(read)}


def drawn() -> Iterator[tuple[str, Exchange, list[str]]]:
    """(part, exchange, wrong responses) of every exchange."""
    parts: dict[str, list[Exchange]] = {"train": [], "test": []}
    for name, (part, turns) in divided().items():
        parts[part] += exchanges(name, turns)
    for part, found in parts.items():
        rng = np.random.default_rng(seed_of("dialogues", part))
        for exchange in found:
            wrong: list[str] = []
            while len(wrong) < ANSWERS - 1:
                name, _, response = found[int(rng.integers(len(found)))]
                if name != exchange[0] and response not in (exchange[2], *wrong):
                    wrong.append(response)
            yield part, exchange, wrong


def choices() -> Iterator[Row]:
    rng = np.random.default_rng(seed_of("dialogues", "order"))
    for part, (name, context, response), wrong in drawn():
        right = int(rng.integers(ANSWERS))
        answers = [*wrong[:right], response, *wrong[right:]]
        yield {"context": context, "choices": answers, "label": right, "group": name, "split": part}


def pairs() -> Iterator[Row]:
    for part, (name, context, response), wrong in drawn():
        for text, label in ((response, "follows"), (wrong[0], "other")):
            yield {"text_a": context, "text_b": text, "label": label, "group": name, "split": part}


def unlabelled() -> Iterator[str]:
    """Conversations that are not test, a turn a line and a blank line after each."""
    for part, turns in divided().values():
        if part == "train":
            yield "\n".join(turn for turn in turns if turn) + "\n"


def load() -> Path:
    """A folder with ``choices.jsonl`` (context, choices, label, group, split) and ``pairs.jsonl`` (text_a, text_b,
    label, group, split), sources for ``foretell finetune``, and ``unlabelled.txt``, a source for ``foretell
    pretrain``."""
    files = {"choices.jsonl": choices, "pairs.jsonl": pairs, "unlabelled.txt": unlabelled}
    return made_once(PACKAGE, "dialogues.1", files)
