"""Tagged sentences and questions as labelled text: found by what they are, divided without cutting groups, notes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from task_models import encoder_and_layout

from foretell.errors import InputError
from foretell.tasks.answering import Answering
from foretell.tasks.any_task import parts_of, read_any
from foretell.tasks.read import Division, divide_labelled
from foretell.tasks.read_spans import spans_of
from foretell.tasks.squad import Answer, Question, squad_text
from foretell.tasks.tagging import UNSEEN, Entities, Tagging


def tagged(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def sentence(number: int, **more: object) -> dict[str, object]:
    return {"tokens": ["the", "cat", "runs"], "tags": ["D", "N", "V"], "group": f"g{number // 3}", **more}


def question(number: int, title: str = "") -> Question:
    context = f"the cat sits here {number}"
    answers = (Answer("cat", 4),) if number % 2 else ()
    return Question(f"q{number}", "who sits", context, answers, not answers, title)


def test_what_a_source_holds_is_found(tmp_path: Path) -> None:
    tagged(tmp_path / "a.jsonl", sentence(0))
    (tmp_path / "b.conll").write_text("the D\ncat N\n")
    (tmp_path / "c.json").write_text(squad_text([question(0), question(1)]))
    (tmp_path / "d.csv").write_text("text,label\nthe cat,x\na dog,y\n")
    (tmp_path / "e.txt").write_text("the/D cat/N\n")
    kinds = {name: read_any(tmp_path / name).kind for name in ("a.jsonl", "b.conll", "c.json", "d.csv")}
    assert kinds == {"a.jsonl": "tagging", "b.conll": "tagging", "c.json": "answering", "d.csv": "classification"}
    assert read_any(tmp_path / "e.txt", kind="tagging").texts == [("the cat",)]
    with pytest.raises(InputError, match=r"unknown task 'taging'; did you mean 'tagging'\? Known: answering, choice"):
        read_any(tmp_path / "e.txt", kind="taging")
    with pytest.raises(InputError, match="does not exist"):
        read_any(tmp_path / "none.json", kind="answering")
    folder = tmp_path / "questions"
    folder.mkdir()
    (folder / "train.json").write_text(squad_text([question(0), question(1)]))
    (folder / "unlabelled.txt").write_text("the cat")
    assert read_any(folder).kind == "answering"
    (folder / "rows.csv").write_text("text,label\nthe cat,x\na dog,y\n")
    assert spans_of(folder, []) is None
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"no \.json file in this folder"):
        read_any(tmp_path / "none", kind="answering")


def test_sentences_are_divided_by_group_and_counted(tmp_path: Path) -> None:
    _, layout = encoder_and_layout()
    found = read_any(tagged(tmp_path / "a.jsonl", *(sentence(number) for number in range(30))))
    assert any("30 sentences, 90 words, 3 tags" in note for note in found.notes)
    division = divide_labelled(found, {"train": 0.8, "test": 0.2}, 0)
    train, test, notes = parts_of(found, layout, division)
    assert isinstance(train, Tagging)
    assert not isinstance(train, Entities)
    assert (len(train), len(test)) == (24, 6)
    groups = [{found.groups[row] for row in task.index} for task in (train, test)]
    assert not groups[0] & groups[1]
    assert train.tags == test.tags == ["D", "N", "V"]
    assert notes == []


def test_tags_that_training_has_not_are_told_and_count_as_errors(tmp_path: Path) -> None:
    _, layout = encoder_and_layout()
    rows = [sentence(0, split="train"), sentence(3, split="test"), sentence(6, split="dev", tags=["D", "B-X", "V"])]
    rows[1]["tags"] = ["D", "new", "V"]
    found = read_any(tagged(tmp_path / "a.jsonl", *rows))
    train, test, notes = parts_of(found, layout, divide_labelled(found, {"train": 0.8, "test": 0.2}, 0))
    assert isinstance(test, Tagging)
    assert notes == ["1 test word with a tag that training has not (new): counted as errors"]
    assert test.tag.tolist() == [0, UNSEEN, 2]
    assert train.index.tolist() == [0]
    one = [sentence(0, split="train", tags=["D", "D", "D"]), sentence(3, split="test")]
    found = read_any(tagged(tmp_path / "b.jsonl", *one))
    with pytest.raises(InputError, match=r"b.jsonl: one tag only \('D'\) in the training part"):
        parts_of(found, layout, divide_labelled(found, {"train": 0.8, "test": 0.2}, 0))


def test_words_without_a_token_are_told(tmp_path: Path) -> None:
    _, layout = encoder_and_layout()
    found = read_any(tagged(tmp_path / "a.jsonl", *(sentence(number) for number in range(9))))
    found.items[0].words[1] = found.items[4].words[2] = "\u2028"  # type: ignore[attr-defined]
    _, _, notes = parts_of(found, layout, divide_labelled(found, {"train": 0.5, "test": 0.5}, 0))
    assert notes == ["of 2 words the tokenizer makes no token: each gets the tag of what comes after it"]


def test_bio_tags_are_judged_by_entities(tmp_path: Path) -> None:
    _, layout = encoder_and_layout()
    rows = [sentence(number, tags=["O", "B-X", "I-X"]) for number in range(9)]
    found = read_any(tagged(tmp_path / "a.jsonl", *rows))
    assert any("BIO: judged by whole entities" in note for note in found.notes)
    train, _, _ = parts_of(found, layout, divide_labelled(found, {"train": 0.5, "test": 0.5}, 0))
    assert isinstance(train, Entities)


def test_questions_keep_their_articles_and_files_their_parts(tmp_path: Path) -> None:
    _, layout = encoder_and_layout()
    folder = tmp_path / "squad"
    folder.mkdir()
    (folder / "train-v2.0.json").write_text(squad_text([question(number, f"t{number // 2}") for number in range(8)]))
    (folder / "dev-v2.0.json").write_text(squad_text([question(number, "other") for number in range(8, 11)]))
    found = read_any(folder)
    assert any("11 questions on 11 texts, 6 without an answer" in note for note in found.notes)
    train, test, _ = parts_of(found, layout, divide_labelled(found, {"train": 0.8, "validation": 0.2}, 0))
    assert isinstance(train, Answering)
    assert sorted(question.id for question in test.questions) == ["q10", "q8", "q9"]  # type: ignore[attr-defined]
    assert len(train) == 8
    found = read_any(folder / "train-v2.0.json")
    division = divide_labelled(found, {"train": 0.5, "test": 0.5}, 1)
    for title in {title for title in found.groups if title}:
        rows = {row for row, group in enumerate(found.groups) if group == title}
        assert rows <= set(division.train.tolist()) or rows <= set(division.test.tolist())
    (folder / "more.json").write_text(squad_text([question(0)]))
    with pytest.raises(
        InputError, match=r"train-v2.0.json, question 'q0': is in .*more.json too; give each question an id"
    ):
        read_any(folder)


def test_a_title_in_both_parts_is_refused(tmp_path: Path) -> None:
    _, layout = encoder_and_layout()
    (tmp_path / "train.json").write_text(squad_text([question(0, "same")]))
    (tmp_path / "test.json").write_text(squad_text([question(1, "same")]))
    found = read_any(tmp_path)
    with pytest.raises(InputError, match=r"(group|part|split)"):
        parts_of(found, layout, divide_labelled(found, {"train": 0.8, "test": 0.2}, 0))


def test_empty_tasks_are_tasks() -> None:
    _, layout = encoder_and_layout()
    assert len(Tagging.of(layout, [], ["X", "Y"])) == 0
    assert len(Answering.of(layout, [])) == 0
    assert np.isinf(Answering.of(layout, []).threshold)


def test_a_test_question_without_an_answer_changes_no_threshold(tmp_path: Path) -> None:
    _, layout = encoder_and_layout()
    (tmp_path / "a.json").write_text(
        squad_text([question(2 * number + 1, f"t{number}") for number in range(8)] + [question(18, "last")])
    )
    found = read_any(tmp_path / "a.json")
    rows = np.arange(9)
    for test, asked in ((rows[6:], float("inf")), (rows[:3], 0.0)):
        train = np.setdiff1d(rows, test)
        for part in parts_of(found, layout, Division(train, test, "by hand"))[:2]:
            assert isinstance(part, Answering)
            assert part.threshold == asked
