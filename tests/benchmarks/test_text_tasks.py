"""The comparison on text tasks, from unlabelled text to its row, on sentences written by hand. No network is used."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import text_corpus, text_tasks
from benchmarks.text_tasks import Source
from foretell.errors import InputError

NOUNS, VERBS = ("dog", "cat", "horse", "bird"), ("sees", "likes", "finds", "hears")
LABELS = "4,8"


def tagged(number: int) -> tuple[list[str], list[str]]:
    who, does, what = NOUNS[number % 4], VERBS[number // 4 % 4], NOUNS[(number * 7 + 1) % 4]
    return ["the", who, does, "the", what, "."], ["at", "nn", "vb", "at", "nn", "."]


def documents() -> Iterator[list[str]]:
    for number in range(40):
        yield [" ".join(tagged(number + at)[0]) for at in range(4)]


def rows() -> Iterator[dict[str, object]]:
    for number in range(24):
        words, tags = tagged(number)
        yield {
            "tokens": words,
            "tags": tags,
            "group": f"document {number // 2}",
            "split": "test" if number > 17 else "train",
        }


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tiny network, a few steps, and sentences written by hand in place of the corpora."""
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    labelled = tmp_path / "tagged.jsonl"
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    monkeypatch.setattr(text_corpus, "documents", documents)
    monkeypatch.setattr(text_tasks, "TASKS", {"tagging": Source(lambda: labelled, "tagging", ("macro_f1",))})
    settings = ["training.batch=4", "training.precision=float32", "training.layout=contiguous", "objective.length=32"]
    monkeypatch.setattr(text_tasks, "PRETRAINING", [*text_tasks.PRETRAINING[:3], *settings])


def run(monkeypatch: pytest.MonkeyPatch, place: Path, *options: str, steps: int = 3) -> dict[str, dict[str, object]]:
    """What is kept after the command."""
    kept = place / "results.json"
    given = [
        *("--run", str(place / "run"), "--json", str(kept), "--network", "tiny", "--pretraining-steps", str(steps))
    ]
    given += ["--labels", LABELS, "--seeds", "2", "--trials", "2", "--set", "transfer.steps=2"]
    given += ["--set", "transfer.text.precision=float32", *options]
    monkeypatch.setattr(sys, "argv", ["text_tasks", *given])
    text_tasks.main()
    return json.loads(kept.read_text()) if kept.is_file() else {}


@pytest.mark.usefixtures("small")
def test_a_task_is_compared_and_its_row_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, "--only", "") == {}
    made = (tmp_path / "run" / "encoder" / "model.safetensors").stat().st_mtime_ns
    (name, row), *others = run(monkeypatch, tmp_path, "--only", "tagging").items()
    assert not others
    assert name == "text task: tagging (cpu)"
    figures = row["figures"]
    arms = (
        "pretrained, fine-tuned",
        "pretrained, frozen",
        "from scratch",
        "random, frozen",
        "commonest tag of the word",
    )
    for labels in (4, 8):
        for arm in arms:
            assert "macro f1" in figures[f"{labels:5} labels, {arm}"]
        assert f"{labels:5} labels, points, pretrained, fine-tuned over from scratch" in figures
        assert f"{labels:5} labels, points, pretrained, frozen over commonest tag of the word" in figures
    assert figures["test examples"] == 6
    assert figures["steps of a fine-tuning"] == "2 with 4 labels, 2 with 8 labels"
    assert figures["pretraining"].startswith("3 steps of 4 rows")
    assert "(by frequency " in figures["masked words, perplexity"]
    assert "--only tagging --set transfer.steps=2" in row["command"]
    assert "benchmarks.text_tasks --device cpu --network tiny" in row["command"]
    assert (tmp_path / "run" / "encoder" / "model.safetensors").stat().st_mtime_ns == made
    with pytest.raises(InputError, match=r"pretrained with another training\.steps than asked for; give another --run"):
        run(monkeypatch, tmp_path, steps=4)


@pytest.mark.usefixtures("small")
def test_head_rates_are_judged_on_training_documents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(text_tasks.brown_tags, "tagged", rows)
    monkeypatch.setattr(text_corpus, "for_validation", lambda document: int(document.split()[1]) % 2 == 0)
    ((name, row),) = run(monkeypatch, tmp_path, "--head-rates", "1").items()
    assert name == "head rate on tagging, validation documents (cpu)"
    read = [json.loads(line) for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert len(read) == 18
    assert {one["group"] for one in read if one["split"] == "test"} == {f"document {at}" for at in range(0, 9, 2)}
    assert "; points over 20: " in row["figures"]["    8 labels, pretrained, fine-tuned, head rate 1"]
    assert "points" not in row["figures"]["    8 labels, from scratch, head rate 20"]
    assert row["figures"]["test examples"] == 10


@pytest.mark.usefixtures("small")
def test_an_unknown_task_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "--only", "poetry")
    assert "unknown task 'poetry'; expected some of tagging" in capsys.readouterr().err


def folder(place: Path, text: str) -> Path:
    place.mkdir(exist_ok=True)
    (place / "unlabelled.txt").write_text(text)
    return place


def test_documents_of_test_parts_and_for_validation_are_not_pretrained_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sentence = (["The", "end", "."], ["at", "nn", "."])
    names = [f"ca{number:02}" for number in range(1, 41)]
    found = [(name, "news", "test" if name == "ca05" else "train", [([name], ["nn"]), sentence]) for name in names]
    monkeypatch.setattr(text_corpus.brown_tags, "documents", lambda: iter(found))
    for reader in (text_corpus.posts, text_corpus.verses, text_corpus.wiki_topics):
        monkeypatch.setattr(reader, "load", lambda: folder(tmp_path / "lines", "One thing. Another thing.\n \n"))
    talks = folder(tmp_path / "talks", "Hello. You?\nFine\n\n\n\n")
    monkeypatch.setattr(text_corpus.dialogues, "load", lambda: talks)
    text = text_corpus.write(tmp_path / "text.txt").read_text()
    left = {name for name in names if name not in text}
    assert left == {"ca05", *filter(text_corpus.for_validation, names)}
    assert 1 < len(left) < 20
    assert text.count("One thing.\nAnother thing.\n\n") == 3
    assert text.count("\n\nHello. You?\nFine\n\n") == 1
    assert "\n\n\n" not in text
