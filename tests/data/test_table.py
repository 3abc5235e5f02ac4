"""Manifests in every form, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from foretell.data.rows import cells
from foretell.data.table import Table, read_table
from foretell.data.text.source import column_names
from foretell.errors import InputError

ROWS = {"path": ["a.png", "b.png", "c.png"], "diagnosis": ["2", None, "10"], "patient": ["x", "x", "y"]}


def write(folder: Path, form: str) -> Path:
    path = folder / f"table.{form}"
    if form == "csv":
        path.write_text("path,diagnosis,patient\na.png,2,x\nb.png,,x\nc.png,10,y\n")
    elif form == "tsv":
        path.write_text("path\tdiagnosis\tpatient\na.png\t2\tx\nb.png\t\tx\nc.png\t10\ty\n")
    elif form == "jsonl":
        path.write_text(
            '{"path": "a.png", "diagnosis": 2, "patient": "x"}\n{"path": "b.png", "patient": "x"}\n\n'
            '{"path": "c.png", "diagnosis": 10.0, "patient": "y"}\n'
        )
    else:
        parquet.write_table(arrow.table({**ROWS, "diagnosis": [2, None, 10]}), path)
    return path


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_every_form_gives_the_same_table(tmp_path: Path, form: str) -> None:
    table = read_table(write(tmp_path, form), {"label": "diagnosis", "group": "patient"})
    assert len(table) == 3
    assert table.column("path") == ROWS["path"]
    assert table.column("label") == ["2", None, "10"]
    assert table.column("group") == ["x", "x", "y"]


def test_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'\xef\xbb\xbfpath;label\na.png;"one; two"\n')
    assert read_table(tmp_path / "x.csv").columns == {"path": ["a.png"], "label": ["one; two"]}


def test_codes_are_sorted_numbers_stay_in_order_and_missing_is_minus_one() -> None:
    codes, classes = Table({"label": ["10", "9", None, "10"]}).codes("label")
    assert classes == ["9", "10"]
    assert np.array_equal(codes, [1, 0, -1, 1])
    assert Table({"label": ["b", "a10", "a9"]}).codes("label")[1] == ["a10", "a9", "b"]


def test_labels_of_digits_and_dashes_are_no_numbers() -> None:
    assert Table({"label": ["10", "--1", "9", "-1"]}).codes("label")[1] == ["--1", "-1", "10", "9"]
    assert Table({"label": ["10", "-1", "9"]}).codes("label")[1] == ["-1", "9", "10"]
    assert Table({"label": ["-", "1"]}).codes("label")[1] == ["-", "1"]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('"path";"label, as given, by us, now"', ["path", "label, as given, by us, now"]),
        ('"path";"the ""one, two, three"""', ["path", 'the "one, two, three"']),
        ('path,"a;b;c;d"', ["path", "a;b;c;d"]),
        ('path;5" wide;7" high, or so', ["path", '5" wide', '7" high, or so']),
    ],
)
def test_the_separator_is_looked_for_outside_quotes(tmp_path: Path, header: str, names: list[str]) -> None:
    separator = ";" if header.startswith(('"path";', "path;")) else ","
    row = separator.join(["a.png", *"xyz"[: len(names) - 1]])
    (tmp_path / "x.csv").write_text(f"{header}\n{row}\n")
    assert list(read_table(tmp_path / "x.csv").columns) == names
    assert column_names(tmp_path / "x.csv") == names
    ((_, values),) = cells(tmp_path / "x.csv", lambda have: {name: name for name in have})
    assert list(values) == names


def test_two_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(arrow.Table.from_arrays([arrow.array(["a"])] * 3, names=["path", "label", "label"]), path)
    with pytest.raises(InputError, match=r"x\.parquet: two columns are named 'label'; rename one"):
        read_table(path)
    with pytest.raises(InputError, match=r"x\.parquet: two columns are named 'label'; rename one"):
        list(cells(path, lambda have: {name: name for name in have}))


def test_subset_keeps_order() -> None:
    assert Table({"label": ["a", "b", "c"]}).subset([2, 0]).column("label") == ["c", "a"]


def test_one_class_only() -> None:
    with pytest.raises(InputError, match=r"one class only \('cat'\) in 3 rows; a task needs at least 2"):
        Table({"label": ["cat", None, "cat"]}).classes()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.csv", "path,label\na.png,1\nb.png\n", r"x\.csv, line 3: 1 values, expected 2"),
        ("x.csv", "", "x.csv: is empty; expected a header row"),
        ("x.csv", "path,label\n", "the table has no rows"),
        ("x.csv", "path,path\na,b\n", "two columns are named 'path'"),
        ("x.csv", "path,,\na,b,c\n", "x.csv: 2 columns have no name; give each one, or leave them out"),
        ("x.jsonl", '{"path": "a"}\n{"path": \n', r"x\.jsonl, line 2: not valid JSON"),
        ("x.jsonl", "[1]\n", "line 1: expected an object"),
        ("x.parquet", "no", "not a valid Parquet file"),
        ("x.txt", "no", "expected a table ending in"),
    ],
)
def test_wrong_tables(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / name)


def test_rows_stay_with_their_group_or_else_with_their_case() -> None:
    table = Table({"case": ["1", "1", None, "1"], "label": ["a", "a", "a", "a"]})
    assert (table.identity, table.identities()) == ("case", [("case", "1"), ("case", "1"), None, ("case", "1")])
    grouped = table.with_column("group", ["1", None, None, "p"])
    assert (grouped.identity, grouped.identities()) == ("group", [("group", "1"), ("case", "1"), None, ("group", "p")])
    visits = Table({"case": ["1", None, None], "study": ["1", "1", None]})
    assert (visits.identity, visits.identities()) == ("case", [("case", "1"), ("study", "1"), None])
    bare = Table({"label": ["a"]})
    assert (bare.identity, bare.identities()) == (None, None)


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("path,label\na,é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"byte 13 is not UTF-8; save the table as UTF-8"):
        read_table(tmp_path / "x.csv")


def test_an_unknown_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table\.csv: unknown column 'diagnose'; did you mean 'diagnosis'\?"):
        read_table(write(tmp_path, "csv"), {"label": "diagnose"})
    with pytest.raises(InputError, match="did you mean 'label'"):
        read_table(write(tmp_path, "csv"), {"labels": "diagnosis"})


def test_a_separator_told_above_the_header_is_heeded(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('sep=;\r\npath;label\r\n"a,b.png";x\r\n')
    assert read_table(tmp_path / "a.csv").columns == {"path": ["a,b.png"], "label": ["x"]}
    (tmp_path / "t.csv").write_text('sep=;\ntext;label\n"a, b";x\n')
    assert column_names(tmp_path / "t.csv") == ["text", "label"]
    assert [own for _, own in cells(tmp_path / "t.csv", lambda have: {name: name for name in have})] == [
        {"text": "a, b", "label": "x"}
    ]
    (tmp_path / "b.csv").write_text("sep=;\npath;label\na;b;c\n")
    with pytest.raises(InputError, match=r"b\.csv, line 3: 3 values, expected 2"):
        read_table(tmp_path / "b.csv")
