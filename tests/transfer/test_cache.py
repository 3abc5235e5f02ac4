"""Answers that outlive the process, and what they took."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from foretell.transfer.cache import Cache


def _slow() -> dict[str, int]:
    time.sleep(0.02)
    return {"n": 1}


def test_what_an_answer_took_is_kept_with_it(tmp_path: Path) -> None:
    first = Cache(tmp_path / "answers.jsonl")
    first.get("a", _slow)
    first.get("b", _slow)
    assert first.seconds is not None
    assert first.seconds >= 0.04
    second = Cache(tmp_path / "answers.jsonl")
    assert second.seconds == 0
    for _ in range(2):
        second.get("a", _slow)
    assert second.reused == 2
    assert second.seconds is not None
    assert 0.02 <= second.seconds < first.seconds, "an answer counts once, and only if it was asked for"


def test_the_time_of_an_answer_that_was_kept_without_it_is_not_known(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    Cache(file).get("a", _slow)
    entry = json.loads(file.read_text())
    del entry["seconds"]
    file.write_text(json.dumps(entry) + "\n")
    cache = Cache(file)
    assert cache.get("a", _slow) == {"n": 1}
    assert cache.reused == 1
    assert cache.seconds is None


def test_an_interruption_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    def stop() -> dict[str, int]:
        raise KeyboardInterrupt

    for cache, notes in ((Cache(tmp_path / "answers.jsonl"), 1), (Cache(None), 0)):
        with pytest.raises(KeyboardInterrupt) as raised, cache.kept():
            cache.get("a", stop)
        told = getattr(raised.value, "__notes__", [])
        assert (
            told
            == [f"what is finished is kept in {tmp_path / 'answers.jsonl'}: the same command goes on from there"][
                :notes
            ]
        )
