"""Tables, folders and archives that something went wrong with: one line that names the place."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from foretell.data.archive import unpack
from foretell.data.rows import rows
from foretell.data.source import files_in, scan
from foretell.data.table import read_table
from foretell.data.text.source import column_names
from foretell.errors import InputError, in_brief

JSON_FAULTS = (
    (b"[" * 200_000, "line 1: not valid JSON .nested too deeply"),
    (b'{"path": "a", "text": "a", "label": ' + b"9" * 5000 + b"}", "line 1: not valid JSON .Exceeds"),
    (b'{"path": "a", "text": "\\uD83D"}', r"line 1: \\ud83d is half of a character"),
)


@pytest.mark.parametrize(("content", "message"), JSON_FAULTS)
def test_a_line_of_json_that_python_cannot_read_or_hold_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content + b"\n")
    with pytest.raises(InputError, match=message):
        read_table(path)
    with pytest.raises(InputError, match=message):
        list(rows(path))


def test_two_halves_are_one_character(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"path": "a", "text": "\\uD83D\\uDE00"}\n')
    assert next(rows(tmp_path / "t.jsonl")).text == "\U0001f600"


def test_a_million_columns_are_read_and_told_in_a_short_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    many = ",".join(f"c{i}" for i in range(1_000_000))
    path.write_text(f"{many}\na,b\n")
    with pytest.raises(
        InputError, match=r"line 2: 2 values, expected 1000000 \(c0, c1, .* and 999,980 more\)"
    ) as raised:
        read_table(path)
    assert len(str(raised.value)) < 500
    path.write_text(f"{many},c7\n")
    with pytest.raises(InputError, match="two columns are named 'c7'"):
        read_table(path)


def test_a_name_that_comes_twice_is_refused_for_text_as_for_images(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label,label\na,b,c\n")
    parquet.write_table(arrow.Table.from_arrays([arrow.array(["a"])] * 2, ["label", "label"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="two columns are named 'label'; rename one"):
        list(rows(tmp_path / "t.csv"))
    with pytest.raises(InputError, match=r"t.parquet: two columns are named .label.; rename one"):
        read_table(tmp_path / "t.parquet")


def test_a_header_with_a_very_long_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"text,{'b' * 200_000}\nhello,1\n")
    assert column_names(tmp_path / "t.csv")[0] == "text"
    assert next(rows(tmp_path / "t.csv")).text == "hello"


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_with_the_name_of_a_text_file(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(start + bytes(range(256)))
    with pytest.raises(InputError, match="is a workbook or an archive by its content, not text; export it as CSV"):
        read_table(tmp_path / "t.csv")


def test_text_in_parquet_that_is_no_utf8(tmp_path: Path) -> None:
    broken = arrow.array([b"\xff\xfe"]).view(arrow.string())
    parquet.write_table(arrow.table({"path": broken, "text": broken}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="not a valid Parquet file"):
        read_table(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="not a valid Parquet file"):
        list(rows(tmp_path / "t.parquet"))


def test_a_path_with_a_nul(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"path": "a.png"}\n{"path": "b\\u0000.png"}\n')
    with pytest.raises(InputError, match="row 2: its path holds a NUL"):
        scan(tmp_path / "t.jsonl")


def test_links_to_themselves_are_files_and_runs_are_no_part_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    os.symlink("loop", tmp_path / "loop")
    os.symlink(".", tmp_path / "again")
    for name in ("recipe.toml", "checkpoints/x.pt", "exhibits/views.png"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_bytes(b"")
    assert sorted(files_in(tmp_path)) == [("a.png", ".png"), ("loop", "")]
    assert ("exhibits/views.png", ".png") in set(files_in(tmp_path / "run"))


def packed(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_whose_names_cannot_be_files(tmp_path: Path) -> None:
    long = packed(tmp_path / "long.zip", **{"a" * 400 + ".png": b"x"})
    with pytest.raises(InputError, match=r"long.zip: '.*' cannot be unpacked \(File name too long\); give a folder"):
        unpack(long, tmp_path / "cache")
    both = packed(tmp_path / "both.zip", **{"a": b"x", "a/b.png": b"x"})
    with pytest.raises(InputError, match=r"both.zip: .* cannot be unpacked"):
        unpack(both, tmp_path / "cache")
    with pytest.raises(InputError, match=r"dot.zip: holds '.', a path that leads out of it"):
        unpack(packed(tmp_path / "dot.zip", **{".": b"x"}), tmp_path / "cache")


def test_a_zip_that_cannot_be_decompressed(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", **{"a.png": bytes(range(256)) * 20})
    content = bytearray(path.read_bytes())
    content[35:60] = bytes(25)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a.zip: is damaged at 'a.png' \(its compressed data\); pack it again"):
        unpack(path, tmp_path / "cache")
    content = bytearray(packed(path, **{"a.png": b"x"}).read_bytes())
    content[content.index(b"PK\1\2") + 10] = 97  # a way of compression that is not known
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a.zip: 'a.png' in it is packed in a way that is not read \(method 97\)"):
        unpack(path, tmp_path / "cache")
    assert not any((tmp_path / "cache" / "unpacked").iterdir())
    content[content.index(b"PK\1\2") + 6] = 99  # the version that is needed to unpack it
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"a.zip: a zip of a version that is not read, or a damaged one; pack it again"
    ):
        unpack(path, tmp_path / "cache")


def test_a_damaged_zip_shows_nothing_of_what_is_in_it(tmp_path: Path) -> None:
    secret = b"SECRET^NAME 19700101 " * 200
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("one/IM01", "one/IM02"):
            archive.writestr(name, secret)
    whole = path.read_bytes()
    second = whole.index(b"PK\3\4", 4)
    for at, part in ((second + 26, b"\xff\x03"), (second + 18, b"U" * 40), (second - 20, b"damage")):
        path.write_bytes(whole[:at] + part + whole[at + len(part) :])
        with pytest.raises(
            InputError, match=r"a.zip: is damaged at 'one/IM0[12]' \(its headers or checksums\)"
        ) as raised:
            unpack(path, tmp_path / "cache")
        assert "SECRET" not in str(raised.value)
        assert len(str(raised.value)) < 250
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("IM03", secret)
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + b"damage" + whole[56:])
    with pytest.raises(InputError, match=r"a.zip: is damaged at 'IM03' \(its bzip2 data\)"):
        unpack(path, tmp_path / "cache")


def test_what_a_library_quotes_of_a_file_is_left_out() -> None:
    name = "SMITH^JOHN"
    assert (
        in_brief(ValueError(f"name {b'x' + name.encode()!r}\n and header {(name * 9)!r} differ"))
        == "name ... and header ... differ"
    )
    assert in_brief(ValueError("unknown 'mode'")) == "unknown 'mode'"
    assert in_brief(ValueError("x" * 500)) == "x" * 117 + "..."
    assert in_brief(EOFError()) == "EOFError"
