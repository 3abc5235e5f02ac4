"""From a text file to completions, pairs and text written on, by the verbs a person types."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

import foretell
from foretell.cli import main
from foretell.errors import InputError
from foretell.recipe import Recipe
from foretell.verbs.text_pretraining import hurried

TINY = ["objective.network.layers=2", "objective.network.width=64", "objective.network.heads=2", "objective.length=48"]
TRAINING = ["training.rate=0.003", "training.precision=float32", "training.health_every=40", "training.batch=16"]
WHO = ["Anna", "Ben", "Clara", "David", "Emma", "Felix"]
PLACES = {"school": ("a child", "learns"), "kitchen": ("a cook", "boils"), "garden": ("a bird", "sings")}


def stories() -> str:
    """Documents of four sentences whose middle words are decided by what stands on both sides."""
    lines = []
    for i in range(240):
        name = WHO[i % 6]
        place, (who, does) = list(PLACES.items())[i % 3]
        lines += [
            f"{name} walks to the {place}.",
            f"In the {place} {who} {does} with {name}.",
            f"Then {name} goes home.",
            "",
        ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "stories.txt"
    file.write_text(stories())
    return file


@pytest.fixture(scope="module")
def bert(text: Path) -> Path:
    out = text.parent / "bert"
    given = [*TINY, *TRAINING, "objective.tasks=both"]
    foretell.pretrain(text, objective="bert", out=out, budget="160 steps", set=given)
    return out


@pytest.fixture(scope="module")
def gpt(text: Path) -> Path:
    out = text.parent / "gpt"
    foretell.pretrain(text, objective="gpt", out=out, budget="120 steps", set=[*TINY, *TRAINING])
    return out


def test_words_are_filled_from_both_sides(bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = foretell.fill(bert, "In the [MASK] a cook boils with Anna.", top=3)
    assert found.gaps[0][0][0] == "kitchen"
    assert found.text == "in the kitchen a cook boils with anna."
    shares = [share for _, share in found.gaps[0]]
    assert shares == sorted(shares, reverse=True)
    assert len(foretell.fill(bert, "In the [MASK] a bird [MASK] with Anna.").gaps) == 2
    assert "kitchen" in capsys.readouterr().out


def test_a_run_on_text_is_whole(bert: Path) -> None:
    for name in ("recipe.toml", "tokenizer.json", "report.html", "encoder/model.safetensors", "encoder/tokenizer.json"):
        assert (bert / name).is_file(), name
    kept = json.loads((bert / "results" / "text.json").read_text())
    assert kept["words"]["perplexity"] < kept["words"]["guess"]["perplexity"] / 2
    assert {"base", "topic", "length"} <= set(kept["sentences"]["guesses"])
    examples = json.loads((bert / "results" / "completions.json").read_text())["examples"]
    assert all("[MASK]" in given and "(it was: " in found for given, found in examples)
    page = (bert / "report.html").read_text()
    assert "Vocabulary" in page
    facts = json.loads((bert / "facts.json").read_text())
    assert facts["objective"]["examples"][0] == ["shown", "foretold"]


def test_whole_passages_are_kept_for_the_report(bert: Path, gpt: Path) -> None:
    found = json.loads((bert / "results" / "reading.json").read_text())
    assert found["held_out"]
    assert len(found["masked"]) == 3
    for passage in found["masked"]:
        text = "".join(piece["text"] for piece in passage)
        assert re.match(r"(\w+ walks to the|in the|then) ", text), text
        gaps = [piece for piece in passage if "guesses" in piece]
        assert gaps
        for gap in gaps:
            shares = [share for _, share in gap["guesses"]]
            assert shares == sorted(shares, reverse=True)
            assert gap["right"] == (gap["guesses"][0][0] == gap["text"].strip())
            assert not gap["right"] or gap["share"] == pytest.approx(shares[0], abs=1e-5)
    assert sum(gap["right"] for passage in found["masked"] for gap in passage if "guesses" in gap) >= 2
    assert {pair["follows"] for pair in found["pairs"]} == {True, False}
    assert all(0 <= pair["share"] <= 1 for pair in found["pairs"])
    written = json.loads((gpt / "results" / "reading.json").read_text())
    assert max(piece["share"] for passage in written["surprise"] for piece in passage) > 0.9
    assert {"masked", "pairs"}.isdisjoint(written)
    lines = [json.loads(line) for line in (gpt / "metrics.jsonl").read_text().splitlines()]
    samples = [line for line in lines if line["kind"] == "sample"]
    assert [line["step"] for line in samples] == [0, 40, 80, 120]
    assert len({line["given"] for line in samples}) == 1
    page = (bert / "report.html").read_text()
    for part in ("foretold", "passages", "growth", "pairs"):
        assert f'<section id="{part}"' in page


def test_every_ordered_pair_is_scored(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.txt").write_text("Anna walks to the garden.\nBen walks to the school.\nThen Anna goes home.\n")
    found = foretell.next_sentence(bert, tmp_path / "s.txt")
    assert len(found.scores) == 3
    assert all(math.isnan(found.scores[i][i]) for i in range(3))
    assert all(0 <= found.scores[i][j] <= 1 for i in range(3) for j in range(3) if i != j)
    assert main(["next-sentence", str(bert), str(tmp_path / "s.txt")]) == 0
    assert "1 then 3:" in capsys.readouterr().out


def test_text_is_written_on(gpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = foretell.generate(gpt, "Anna walks to the", most=6, temperature=0.0)
    assert text.startswith("Anna walks to the ")
    assert text.split()[4].strip(".") in PLACES
    told = capsys.readouterr().out
    assert told.strip() == text
    assert foretell.generate(gpt, "Anna walks", most=20, seed=1) == foretell.generate(
        gpt, "Anna walks", most=20, seed=1
    )
    assert "the" not in foretell.generate(gpt, "Anna walks", most=20, temperature=0.0, stop="the")[10:]


def test_a_run_goes_on_from_an_exported_encoder(bert: Path, text: Path, tmp_path: Path) -> None:
    made = foretell.pretrain(
        text, objective="bert", weights=bert, out=tmp_path / "on", budget="2 steps", set=["objective.length=48"]
    )
    before, after = (json.loads((run / "encoder" / "config.json").read_text()) for run in (bert, made.run))
    assert after["num_hidden_layers"] == before["num_hidden_layers"] == 2
    assert (
        made.knn["perplexity"] < 1.3 * json.loads((bert / "results" / "text.json").read_text())["words"]["perplexity"]
    )
    with pytest.raises(InputError, match="which gpt cannot go on with; use bert"):
        foretell.pretrain(text, objective="gpt", weights=bert, set=["objective.length=48"], budget="2 steps")


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


def test_a_stopped_run_goes_on(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    foretell.pretrain(text, objective="gpt", out=out, budget="2 steps", set=[*TINY, *TRAINING])
    foretell.pretrain(out, resume=True)
    assert json.loads((out / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fill", "BERT", "no gap here"], r"no \[MASK\] in 'no gap here'"),
        (["fill", "BERT", "[MASK] " + "word " * 60], "longer than the 48 positions"),
        (["fill", "BERT", "a [MASK]", "--top", "0"], "--top 0: expected 1 or more"),
        (["fill", "GPT", "a [MASK]"], "cannot fill gaps, it is a decoder"),
        (["next-sentence", "GPT", "TEXT"], "sentences; expected 2 to 60|was not trained to tell next sentences"),
        (["next-sentence", "BERT", "none.txt"], "none.txt: cannot be read"),
        (["generate", "BERT", "a"], "fills gaps and cannot write on"),
        (["generate", "GPT", ""], "PROMPT is empty"),
        (["generate", "GPT", "word " * 60], "tokens, the model 48 positions"),
        (["generate", "GPT", "a", "--top-p", "2"], "top-p 2.0: expected"),
        (["neighbours", "GPT"], "a run on text, and this is a verb for images"),
    ],
)
def test_bad_input(words: list[str], message: str, bert: Path, gpt: Path, text: Path, capsys) -> None:
    given = {"BERT": str(bert), "GPT": str(gpt), "TEXT": str(text)}
    assert main([given.get(word, word) for word in words]) == 2
    told = capsys.readouterr().err
    assert re.search(message, told), told
    assert told.count("\n") == 1


def test_bad_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.txt").write_text("")
    assert main(["pretrain", str(tmp_path / "empty.txt")]) == 2
    assert "empty" in capsys.readouterr().err
    (tmp_path / "one.txt").write_text("One document of one line, and nothing else to be random.\n")
    assert main(["pretrain", str(tmp_path / "one.txt"), "-s", "objective.name=bert", "-s", "objective.tasks=both"]) == 2
    assert "one document, but a random second text comes from another one" in capsys.readouterr().err


def test_text_is_checked(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(text)]) == 0
    told = capsys.readouterr().out
    assert "240 documents, 720 sentences" in told
    assert "language, guessed by document: en 100%" in told
    found = foretell.check(text, set=["data.sentences=whole"])
    assert (found.documents, found.sentences) == (240, 240)
    (tmp_path / "a.txt").write_bytes(bytes(range(256)))
    assert main(["check", str(tmp_path / "a.txt")]) == 2
    assert "is a NUL, so that this is a binary file" in capsys.readouterr().err
    assert main(["check", str(text), "--shortcuts"]) == 2
    assert "is text; --shortcuts and --labels are for images" in capsys.readouterr().err
