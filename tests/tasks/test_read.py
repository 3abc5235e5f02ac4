from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from task_models import encoder_and_layout

from foretell.errors import InputError
from foretell.tasks.choice import Choice
from foretell.tasks.equal_texts import joined
from foretell.tasks.read import LabelledText, divide_labelled, held_out, read_labelled, task_of


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_the_columns_say_which_task_it_is(tmp_path: Path) -> None:
    single = read_labelled(written(tmp_path, "a.csv", "text,label\nthe cat,x\na dog,y\n"))
    assert (single.kind, single.texts, single.labels) == ("classification", [("the cat",), ("a dog",)], ["x", "y"])
    pair = written(tmp_path, "b.tsv", "text_a\ttext_b\tlabel\nthe cat\ta dog\t1\n")
    assert read_labelled(pair).kind == "entailment"
    assert read_labelled(pair, kind="similarity").texts == [("the cat", "a dog")]
    table = pa.table({"context": ["red"], "choice_a": ["blue"], "choice_b": ["now"], "label": ["b"]})
    parquet.write_table(table, tmp_path / "c.parquet")
    choice = read_labelled(tmp_path / "c.parquet")
    assert (choice.kind, choice.texts, choice.labels) == ("choice", [("red", "blue", "now")], ["1"])
    listed = [
        {"context": "a", "choices": ["x", "y", "z"], "label": 2},
        {"context": "b", "choices": ["x", "w"], "label": "w"},
    ]
    file = written(tmp_path, "d.jsonl", "\n".join(json.dumps(row) for row in listed))
    assert read_labelled(file).labels == ["2", "1"]
    quoted = written(tmp_path, "e.csv", 'context,choices,label\nred,"[""a"", ""b""]",0\n')
    assert read_labelled(quoted).texts == [("red", "a", "b")]


def test_a_label_that_names_two_answers_is_refused(tmp_path: Path) -> None:
    told = "label '{}' is the name of the answer '{}' and the text of another; give the answers in columns choice_a"
    for label in ("2", 2):  # as a number from 0 it is the answer 3
        rows = [{"context": "1 + 1", "choices": ["1", "2", "3"], "label": one} for one in ("3", label)]
        file = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
        with pytest.raises(InputError, match=rf"a\.jsonl, .* 2: {told.format(2, 3)}"):
            read_labelled(file)
    for choices, label, right in (
        (["1", "2", "3"], "3", "2"),  # no answer has the number 3
        (["1", "2", "3"], "0", "0"),  # no answer is 0
        (["0", "1", "2"], "1", "1"),  # both readings agree
        (["1", "1"], "1", "1"),
    ):
        row = {"context": "1 + 1", "choices": choices, "label": label}
        assert read_labelled(written(tmp_path, "b.jsonl", json.dumps(row))).labels == [right]
    table = "context,choice_{},choice_{},label\n1 + 1,2,1,{}\n"
    with pytest.raises(InputError, match=rf"c\.csv, row 1: {told.format(1, 2)}"):
        read_labelled(written(tmp_path, "c.csv", table.format(1, 2, 1)))
    # what the message says
    assert read_labelled(written(tmp_path, "d.csv", table.format("a", "b", "a"))).labels == ["0"]


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", "sent1,ending0,ending1,gold\nthe cat,sits,runs,1\n")
    found = read_labelled(file, {"context": "sent1", "choice": "ending", "label": "gold"}, "choice")
    assert (found.texts, found.labels) == ([("the cat", "sits", "runs")], ["1"])
    file = written(tmp_path, "b.csv", "premise,hypothesis,gold\nthe cat,a cat,yes\n")
    found = read_labelled(file, {"text_a": "premise", "text_b": "hypothesis", "label": "gold"})
    assert (found.kind, found.texts) == ("entailment", [("the cat", "a cat")])


def test_folders_of_classes_are_read(tmp_path: Path) -> None:
    for name in ("train/x", "train/y", "test/x", "test/y"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / name / f"{number}.txt").write_text(f"the cat {number}")
    found = read_labelled(tmp_path)
    division = divide_labelled(found, {"train": 0.8, "test": 0.2}, 0)
    assert (len(division.train), len(division.test)) == (4, 4)
    assert sorted(set(found.labels)) == ["x", "y"]


def test_rows_are_divided_by_class_and_groups_stay_whole(tmp_path: Path) -> None:
    rows = "".join(f"the cat {n},{'xy'[n % 2]},g{n // 4}\n" for n in range(40))
    found = read_labelled(written(tmp_path, "a.csv", f"text,label,group\n{rows}"))
    division = divide_labelled(found, {"train": 0.8, "test": 0.2}, 0)
    _, layout = encoder_and_layout()
    train, test, notes = held_out(task_of(found, layout), found, division)
    assert len(train) + len(test) == 40
    assert notes == []
    assert not {found.groups[row] for row in train.index} & {found.groups[row] for row in test.index}
    assert np.bincount(test.codes).tolist() == [len(test) // 2] * 2
    assert train.groups is not None


def test_a_label_unseen_in_training_is_left_out_of_the_test_and_said(tmp_path: Path) -> None:
    text = "text,label,split\nthe cat,x,train\na dog,y,train\nred,x,test\nblue,new,test\n"
    found = read_labelled(written(tmp_path, "a.csv", text))
    _, layout = encoder_and_layout()
    division = divide_labelled(found, {"train": 0.8, "test": 0.2}, 0)
    _, test, notes = held_out(task_of(found, layout), found, division)
    assert test.texts == [("red",)]
    assert notes == ["1 test row left out: no training label names new"]
    found = read_labelled(written(tmp_path, "b.csv", text.replace("red,x,test\n", "")))
    with pytest.raises(InputError, match="no training label names new, the labels of all test rows"):
        held_out(task_of(found, layout), found, divide_labelled(found, {"train": 0.8, "test": 0.2}, 0))


def test_a_choice_is_divided_without_classes(tmp_path: Path) -> None:
    rows = [
        {"context": f"the cat {n}", "choices": ["sits", "runs", "now"][: 2 + n % 2], "label": n % 2} for n in range(20)
    ]
    found = read_labelled(written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows))))
    _, layout = encoder_and_layout()
    train, test, _ = held_out(task_of(found, layout), found, divide_labelled(found, {"train": 0.8, "test": 0.2}, 0))
    assert isinstance(train, Choice)
    assert (len(train), len(test)) == (16, 4)
    assert train.answer.tolist() == [int(row) % 2 for row in train.index]
    assert train.classes == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text\nthe cat\n", "none of 1 row has a label"),
        ("content,label\nthe cat,x\n", "no column 'text'"),
        (
            "context,choice_a,choice_b,label\nred,x,y,c\n",
            "row 1: label 'c' names none of the 2 answers; expected one of a, b",
        ),
        ("context,choices,label\nred,blue,0\n", "row 1: column 'choices' is not a list"),
    ],
)
def test_bad_tables_are_named_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        read_labelled(written(tmp_path, "a.csv", text))
    assert "a.csv" in str(error.value)


def test_a_task_that_the_columns_do_not_allow_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", "text,label\nthe cat,x\na dog,x\n")
    with pytest.raises(InputError, match="no column 'text_b' among text, label, which similarity needs"):
        read_labelled(file, kind="similarity")
    with pytest.raises(InputError, match="no columns 'context' and 'choice_"):
        read_labelled(file, kind="choice")
    with pytest.raises(InputError, match="unknown task 'similar'; did you mean 'similarity'"):
        read_labelled(file, kind="similar")
    _, layout = encoder_and_layout()
    with pytest.raises(InputError, match=r"one class only \('x', 2 rows\)"):
        task_of(read_labelled(file), layout)


def table_of(path: Path, rows: list[tuple[str, ...]], header: str = "text,label") -> LabelledText:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return read_labelled(path)


def parts(found: LabelledText, share: float = 0.25) -> tuple[set[str], set[str], str]:
    """The texts to learn from and to test on, and the rule."""
    division = divide_labelled(found, {"train": 1 - share, "test": share}, 0)
    train, test = ({" ".join(found.texts[row][0].split()) for row in rows} for rows in (division.train, division.test))
    return train, test, division.how


def test_copies_of_a_text_are_not_divided(tmp_path: Path) -> None:
    rows = [(f"post {number // 3}{' ' * (number % 3)}", "ab"[number // 3 % 2]) for number in range(120)]
    train, test, how = parts(table_of(tmp_path / "posts.csv", rows))
    assert test
    assert not train & test
    assert "copies of a text kept whole" in how
    _, _, how = parts(table_of(tmp_path / "own.csv", [(f"post {number}", "ab"[number % 2]) for number in range(40)]))
    assert "copies" not in how


def test_a_copy_joins_two_groups(tmp_path: Path) -> None:
    rows = [(f"post {number}", "ab"[number % 2], f"by {number // 4}") for number in range(60)]
    rows += [("post 0", "a", "by 14"), ("alone", "b", "")]
    found = table_of(tmp_path / "posts.csv", rows, "text,label,group")
    whole = joined(found.groups, found.texts)
    assert whole is not None
    assert whole[0] == whole[1] == whole[59]
    assert whole[61] is None
    assert len(set(whole)) == 15
    division = divide_labelled(found, {"train": 0.75, "test": 0.25}, 0)
    assert not {whole[row] for row in division.train} & {whole[row] for row in division.test}
    assert "groups and copies of a text kept whole" in division.how


def test_copies_in_both_parts_of_a_split_column_are_counted(tmp_path: Path) -> None:
    rows = [(f"post {number}", "ab"[number % 2], "train") for number in range(20)]
    rows += [(f"post {number}", "ab"[number % 2], "test") for number in range(17, 24)]
    found = table_of(tmp_path / "posts.csv", rows, "text,label,split")
    division = divide_labelled(found, {"train": 0.8, "test": 0.2}, 0)
    layout = encoder_and_layout()[1]
    _, test, notes = held_out(task_of(found, layout), found, division)
    assert len(test) == 7
    assert notes == [
        "3 of 7 test rows stand in the training part too, with the same text: scores are higher than on new texts"
    ]


def test_what_may_be_wrong_with_labels_is_noted(tmp_path: Path) -> None:
    rows = [("one", "Toxic"), ("two", "toxic"), ("three", "ok"), ("one", "ok"), ("four", "1"), ("five", "1.0")]
    assert table_of(tmp_path / "posts.csv", rows).notes[-3:] == [
        f"1 text with more than one label: {tmp_path}/posts.csv, row 1 says 'Toxic', {tmp_path}/posts.csv, row 4 'ok'",
        "classes that may be one, spelt '1', '1.0'",
        "classes that may be one, spelt 'Toxic', 'toxic'",
    ]


def test_numbers_on_a_scale_are_told(tmp_path: Path) -> None:
    found = table_of(tmp_path / "posts.csv", [(f"post {number}", f"{number / 7:.3f}") for number in range(40)])
    division = divide_labelled(found, {"train": 0.75, "test": 0.25}, 0)
    with pytest.raises(InputError, match="40 values in 40 rows: numbers on a scale are not foretold; give classes"):
        held_out(task_of(found, encoder_and_layout()[1]), found, division)
