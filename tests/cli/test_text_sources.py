"""Text as it is given to pretraining: what is known as text, what is too little, and what little time is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from foretell.cli import main
from foretell.recipe import Recipe
from foretell.verbs import pretraining
from foretell.verbs.text_pretraining import hurried


@pytest.mark.parametrize(
    ("given", "small"),
    [
        ({"training.time": "30s"}, True),
        ({"training.time": "5m"}, False),
        ({"training.epochs": 1.0}, False),
        ({"training.time": "30s", "training.batch": 64}, False),
        ({"training.time": "30s", "objective.network.size": "mini"}, False),
    ],
)
def test_little_time_on_a_cpu_is_for_a_tiny_network(given: dict[str, object], small: bool) -> None:
    asked = Recipe.load(None, {"objective.name": "gpt", "training.device": "cpu", **given})
    changes, told = hurried(asked)
    assert bool(changes) == bool(told) == small
    if small:
        assert changes == {"objective.network.size": "tiny", "training.batch": 16}


def test_tables_and_folders_of_text_are_known_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "posts.csv").write_text("body,label\n" + "a post about nothing much,x\n" * 30)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("A note about nothing much.\n" * 30)
    given = ["--budget", "1 steps", "-s", "objective.network.size=tiny", "-s", "training.precision=float32"]
    table = [str(tmp_path / "posts.csv"), "--set", "data.columns.text=body"]
    for number, data in enumerate((table, [str(tmp_path / "notes")])):
        assert main(["pretrain", *data, *given, "--out", str(tmp_path / f"run{number}")]) == 0
        assert "text: objective bert (masked words);" in capsys.readouterr().out
    for tasks, words in (("both", "masked words and next sentences"), ("sentences", "next sentences")):
        pretraining._asked(
            {"data.source": str(tmp_path / "notes")}, recipe=None, budget=None, overrides=[f"objective.tasks={tasks}"]
        )
        assert f"text: objective bert ({words});" in capsys.readouterr().out


@pytest.mark.parametrize("objective", ["gpt", "bert"])
def test_a_text_of_no_piece_is_named(objective: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.txt").write_text("a\n")
    given = ["--objective", objective, "--budget", "1 steps", "--out", str(tmp_path / "run")]
    assert main(["pretrain", str(tmp_path / "one.txt"), *given]) == 2
    told = capsys.readouterr().err
    assert re.search(r"error: .*one\.txt: .*pieces of fewer than 3 tokens are left out.*; give more text$", told), told


def test_bad_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.txt").write_text("")
    assert main(["pretrain", str(tmp_path / "empty.txt")]) == 2
    assert "empty" in capsys.readouterr().err
    (tmp_path / "one.txt").write_text("One document of one line, and nothing else to be random.\n")
    assert main(["pretrain", str(tmp_path / "one.txt"), "-s", "objective.name=bert", "-s", "objective.tasks=both"]) == 2
    assert "one document, but a random second text comes from another one" in capsys.readouterr().err
    (tmp_path / "lines.txt").write_text("".join(f"This is sentence number {i}.\n" for i in range(40)))
    for tasks in ("both", "sentences"):
        assert main(["pretrain", str(tmp_path / "lines.txt"), "-s", f"objective.tasks={tasks}", "--out", "never"]) == 2
        told = capsys.readouterr().err
        assert re.search(
            r"lines.txt: each of its 38 documents is one sentence, .* a blank line between documents and data.documents=blank",
            told,
        ), told
