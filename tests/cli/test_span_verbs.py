"""From a run on text and tagged sentences or questions to a model, a comparison and answers, by the verbs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_text_transfer_verbs import QUICK, TINY, TRAINING, WHO, told

import foretell
from foretell.cli import main
from foretell.tasks.squad import Answer, Question, read_squad, squad_text
from foretell.transfer.text.saved import load_text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spans")
    rows = [told(number) for number in range(150)]
    (folder / "plain.txt").write_text("\n".join(f"In the {place} {text}." for text, place in rows))
    tagged = []
    for text, _ in rows[:60]:
        words = text.split()
        tags = ["name" if word in WHO else "other" if word in ("and", "with") else "verb" for word in words]
        tagged.append(json.dumps({"tokens": words, "tags": tags}))
    (folder / "tags.jsonl").write_text("\n".join(tagged))
    questions = []
    for number, (text, _) in enumerate(rows[:60]):
        name = text.split()[0]
        answers = () if number % 4 == 0 else (Answer(name, 0),)
        questions.append(Question(f"q{number}", "where" if number % 4 == 0 else "who", text, answers, not answers))
    (folder / "questions.json").write_text(squad_text(questions))
    foretell.pretrain(
        folder / "plain.txt", objective="bert", out=folder / "bert", budget="40 steps", set=[*TINY, *TRAINING]
    )
    return folder


def run_of(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "bert", tmp_path / "bert"))


def settings() -> list[str]:
    return [word for setting in QUICK for word in ("-s", setting)]


def test_tagging_by_the_verbs(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(made, tmp_path)
    arguments = ["finetune", str(run), "--data", str(made / "tags.jsonl"), "--per-class", "10,all", "--seeds", "2"]
    assert main([*arguments, "--trials", "2", *settings()]) == 0
    shown = capsys.readouterr().out
    assert "60 rows, tagging" in shown
    assert "3 tags" in shown
    assert "comparing with training from scratch and with commonest tag of the word" in shown
    kept = json.loads((run / "results" / "comparison.json").read_text())
    assert {row["arm"] for row in kept["rows"]} == {"pretrained", "probe", "scratch", "random", "baseline"}
    assert "commonest tag of the word" in (run / "report.html").read_text()
    (found,) = load_text(run / "classifier").tags([["Anna", "cooks", "with", "Ben"]])
    assert len(found) == 4


def test_answering_by_the_verbs(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(made, tmp_path)
    found = foretell.finetune(run, data=made / "questions.json", compare=False, trials=2, set=QUICK)
    assert {"f1", "exact", "answerable_f1", "impossible_f1"} <= set(found.scores)
    told = capsys.readouterr().out
    assert "60 questions on" in told
    there, none = found.scores["answerable_f1"], found.scores["impossible_f1"]
    assert (
        f"of questions with an answer f1 {there:.1%}, of those without {none:.1%}; answering none of them would be"
        in told
    )
    answers = json.loads((found.model / "test_answers.json").read_text())
    asked = {question.id: question for question in read_squad(made / "questions.json")}
    assert len(answers) == 12
    for name, answer in answers.items():
        assert answer in asked[name].context
    model = load_text(found.model)
    again = model.answers([(asked[name].text, asked[name].context) for name in answers])
    assert again == list(answers.values())
    foretell.finetune(run, data=made / "tags.jsonl", compare=False, trials=1, set=QUICK)
    assert not (found.model / "test_answers.json").exists()  # they are of the model that was there before


def test_frozen_by_the_verbs(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(made, tmp_path)
    for name, metric, title in (("tags.jsonl", "accuracy", "tagging"), ("questions.json", "f1", "answering")):
        found = foretell.evaluate(run, made / name, trials=2, set=QUICK)
        assert set(found["linear_probe"]) == {"pretrained", "random", "baseline"}
        for scores in found["linear_probe"].values():
            low, high = scores["intervals"][metric]
            assert 0 <= low <= scores[metric] <= high <= 1
        shown = capsys.readouterr().out
        assert f"rows, {title}" in shown
        assert "the baseline" in shown


def test_bad_spans_end_in_one_line(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = json.loads((made / "questions.json").read_text())
    wrong["data"][0]["paragraphs"][1]["qas"][0]["answers"][0]["answer_start"] = 3
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    assert main(["finetune", str(made / "bert"), "--data", str(tmp_path / "wrong.json")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "question 'q1': at offset 3 of the context is" in error
    assert "it stands at 0: set answer_start" in error
    assert main(["finetune", str(made / "bert"), "--data", str(made / "tags.jsonl"), "--task", "tags"]) == 2
    assert "did you mean 'tagging'?" in capsys.readouterr().err
