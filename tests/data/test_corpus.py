"""Text in every form as documents of sentences, and what wrong text is told."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import zstandard

from foretell.data.rows import rows
from foretell.data.text import textfile
from foretell.data.text.corpus import Corpus, Document, open_corpus
from foretell.data.text.sentences import split_sentences
from foretell.data.text.source import column_names, holds_text
from foretell.errors import InputError
from foretell.tasks.tags_files import open_tagged

STORY = "The cat sat. It slept!\n\nDr. Lee came at 5 p.m. on Monday. Who saw her?\n"


def texts(corpus: Corpus) -> list[list[str]]:
    return [document.sentences for document in corpus.documents()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He met Dr. Lee. She left.", ["He met Dr. Lee.", "She left."]),
        ("J. K. Rowling wrote. I read.", ["J. K. Rowling wrote.", "I read."]),
        ("It cost 3.50 dollars. Cheap!", ["It cost 3.50 dollars.", "Cheap!"]),
        ('"Stop!" he said. "Why?" She ran.', ['"Stop!" he said.', '"Why?"', "She ran."]),
        (
            "See Fig. 3 there. No. 7 won. He said no. Then he left.",
            ["See Fig. 3 there.", "No. 7 won.", "He said no.", "Then he left."],
        ),
        ("1. Wash it. 2. Dry it.", ["1. Wash it.", "2. Dry it."]),
        ("今日は雨。明日は？晴れ", ["今日は雨。", "明日は？", "晴れ"]),
        ("यह घर है। वह पेड़ है।", ["यह घर है।", "वह पेड़ है।"]),
        ("Он жил в г. Москва. Потом уехал.", ["Он жил в г. Москва.", "Потом уехал."]),
        ("no end and no capital", ["no end and no capital"]),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


def test_a_german_ordinal_ends_no_sentence() -> None:
    assert split_sentences("Am 3. Oktober war es. Dann nicht.", "de") == ["Am 3. Oktober war es.", "Dann nicht."]
    assert len(split_sentences("Am 3. Oktober war es. Dann nicht.")) == 3


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: zstandard.compress(content),
}


@pytest.mark.parametrize("suffix", PACK)
def test_a_file_is_the_same_packed_or_not(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"story.txt{suffix}"
    path.write_bytes(PACK[suffix](STORY.encode()))
    corpus = open_corpus(path)
    assert texts(corpus) == [["The cat sat.", "It slept!"], ["Dr. Lee came at 5 p.m. on Monday.", "Who saw her?"]]
    assert [document.place for document in corpus.documents()] == [f"{path}, line 1", f"{path}, line 3"]
    assert "separated by blank lines; sentences: found by punctuation" in corpus.notes[-1]


def test_all_frames_of_a_file_are_read(tmp_path: Path) -> None:
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    lines = [f"Line {number} of many.\n".encode() for number in range(500)]
    frames = [zstandard.compress(line) for line in lines]
    (tmp_path / "x.zst").write_bytes(skipped.join(frames[:100]) + b"".join(frames[100:]))
    assert b"".join(textfile.blocks(tmp_path / "x.zst")) == b"".join(lines)


def test_rules_are_chosen_from_the_beginning_and_said(tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("One is here.\nTwo is there.\n\nThree came.\nFour left.\n")
    corpus = open_corpus(tmp_path / "sentences.txt")
    assert (corpus.rules.documents, corpus.rules.sentences) == ("blank", "line")
    assert texts(corpus) == [["One is here.", "Two is there."], ["Three came.", "Four left."]]
    (tmp_path / "posts.txt").write_text("First post. It has two.\nSecond post.\n")
    corpus = open_corpus(tmp_path / "posts.txt")
    assert texts(corpus) == [["First post.", "It has two."], ["Second post."]]
    assert "one a line" in corpus.notes[-1]
    wrapped = "This text was broken to fit a page, so that\nits lines end anywhere. A line is no document of\nits own. It is all one\n"
    (tmp_path / "page.txt").write_text(wrapped)
    assert texts(open_corpus(tmp_path / "page.txt"))[0][0].endswith("so that its lines end anywhere.")


def test_rules_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(STORY)
    whole = open_corpus(path, documents="file", sentences="whole")
    assert [document.text for document in whole.documents()] == [STORY.strip()]
    assert len(texts(open_corpus(path, documents="line", sentences="split"))) == 2
    with pytest.raises(InputError, match="unknown rule for documents 'lines'; did you mean 'line'"):
        open_corpus(path, documents="lines")


def test_words_cut_text_without_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "text8"
    path.write_text(" ".join(f"w{i}" for i in range(2500)))
    found = list(open_corpus(path, documents="words").documents())
    assert [len(document.text.split()) for document in found] == [1000, 1000, 500]
    assert found[1].text.startswith("w1000 ")
    assert found[1].place == f"{path}, word 1001"


ROWS = [
    {"text": "A good day. Sun!", "label": "pos", "group": "u1", "split": "train", "lang": "en"},
    {"text": "Rain, again", "label": "neg", "group": None, "split": "dev", "lang": "en"},
]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet", "jsonl.gz", "csv.zst"])
def test_tables_give_their_columns(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"posts.{form}"
    if form == "parquet":
        parquet.write_table(arrow.Table.from_pylist(ROWS), path)
    else:
        separator = "\t" if form == "tsv" else ","
        lines = [json.dumps(row) for row in ROWS]
        if "jsonl" not in form:
            lines = [separator.join(ROWS[0])] + [separator.join(f'"{v or ""}"' for v in row.values()) for row in ROWS]
        path.write_bytes(PACK[path.suffix if path.suffix in PACK else ""]("\n".join(lines).encode()))
    first, second = open_corpus(path).documents()
    where = "line" if "jsonl" in form else "row"
    assert first == Document(["A good day.", "Sun!"], f"{path}, {where} 1", "pos", "u1", "train", "en")
    assert (second.sentences, second.label, second.group, second.split) == (["Rain, again"], "neg", None, "validation")


TSV = [
    ('"Hello" he said\t1', [('"Hello" he said', "1")]),
    ('"I am here.\t1\nYou are there."\t2', [('"I am here.', "1"), ('You are there."', "2")]),
    ('a "b" c\t1\n"\t2', [('a "b" c', "1"), ('"', "2")]),
    ('"a ""b"" c"\t"1"', [('a "b" c', "1")]),
    ('"a\tb"\t1\n"two\n\nlines"\t2', [("a\tb", "1"), ("two\n\nlines", "2")]),
    ('"a\tb\nc\nd"\t1\ne\t2', [("a\tb\nc\nd", "1"), ("e", "2")]),
    ('a\t"one\ntwo"\n\n"open\t3\nb\t4', [("a", "one\ntwo"), ('"open', "3"), ("b", "4")]),
    ('"open\t1\n"c"\t2\n"" d\t""', [('"open', "1"), ("c", "2"), ('"" d', None)]),
]


@pytest.mark.parametrize(("content", "expected"), TSV)
def test_tabs_part_values_and_quotes_are_what_they_are_written_for(
    tmp_path: Path, content: str, expected: list[tuple[str, str]]
) -> None:
    (tmp_path / "a.tsv").write_text(f"text\tlabel\n{content}\n")
    assert [(row.text, row.label) for row in rows(tmp_path / "a.tsv")] == expected


def test_an_open_quote_of_a_long_table_is_no_end_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + '"Go on\t1\n' * 2_000 + "a\tb\tc\n")
    read = rows(tmp_path / "a.tsv")
    assert {next(read).text for _ in range(2_000)} == {'"Go on'}
    with pytest.raises(InputError, match=r"a\.tsv, line 2002: 3 values, expected 2 \(text, label\); quote a value"):
        next(read)


def test_columns_are_mapped_and_a_missing_one_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('content,stars\n"two\nlines, quoted",5\n')
    with pytest.raises(
        InputError, match=r"among content, stars; is it 'content'\? Then give --set data\.columns\.text=content$"
    ):
        open_corpus(path)
    (document,) = open_corpus(path, {"text": "content", "label": "stars"}).documents()
    assert (document.text, document.label) == ("two lines, quoted", "5")
    with pytest.raises(InputError, match="unknown column 'star'; did you mean 'stars'"):
        open_corpus(path, {"text": "content", "label": "star"})


def test_folders_are_classes_and_splits(tmp_path: Path) -> None:
    for name, text in {
        "train/pos/1.txt": "Good.\n\nVery.",
        "train/neg/2.txt": "Bad.",
        "test/pos/3.txt": "Fine.",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "test" / "pos" / "empty.txt").touch()
    (tmp_path / "train" / "picture.png").write_bytes(b"x")
    corpus = open_corpus(tmp_path)
    found = [(document.text, document.label, document.split) for document in corpus.documents()]
    assert found == [("Fine.", "pos", "test"), ("Bad.", "neg", "train"), ("Good.\nVery.", "pos", "train")]
    assert any("1 file of other kinds" in note for note in corpus.notes)
    assert any("1 empty file" in note for note in corpus.notes)


def test_the_fingerprint_is_of_content_and_rules(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(STORY)
    first = open_corpus(path).fingerprint
    assert open_corpus(path).fingerprint == first
    assert open_corpus(path, documents="file").fingerprint != first
    path.write_text(STORY.replace("cat", "dog"))
    assert open_corpus(path).fingerprint != first


@pytest.mark.parametrize("at", [10, (1 << 19) - 1, 1 << 19, (1 << 19) + 5])
def test_a_wrong_byte_is_named(tmp_path: Path, at: int) -> None:
    text = bytearray(b"some words here\n" * 80_000)
    text[at : at + 1] = b"\xe9"
    (tmp_path / "latin.txt").write_bytes(text)
    with pytest.raises(InputError, match=rf"latin.txt: byte {at} \(0xe9\) is not UTF-8; save the file as UTF-8, or"):
        list(open_corpus(tmp_path / "latin.txt").documents())
    assert list(open_corpus(tmp_path / "latin.txt", encoding="latin-1").documents())


def test_a_character_across_two_blocks_is_whole(tmp_path: Path) -> None:
    for shift in range(4):
        text = "x" * (shift + 13) + "\n" + "größer 漢字\n" * 70_000
        (tmp_path / "x.txt").write_text(text)
        assert [d.text for d in open_corpus(tmp_path / "x.txt", sentences="whole").documents()] == text.split("\n")[:-1]


def test_binary_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"words\n" * 5 + b"\x00\x01\n")
    with pytest.raises(InputError, match=r"x.txt: byte 30 is a NUL, so that this is a binary file"):
        list(open_corpus(tmp_path / "x.txt").documents())


def test_utf_16_and_marks_are_read(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-8-sig"):
        (tmp_path / "x.txt").write_bytes("Größe zählt.\r\nJa.\r\n".encode(encoding))
        assert [d.text for d in open_corpus(tmp_path / "x.txt").documents()] == ["Größe zählt.", "Ja."]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_named_and_read_under_any_of_its_names(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "x.txt"
    file.write_bytes("A line of text.\nAnother one.\n".encode(encoding))
    with pytest.raises(
        InputError, match=rf"is a NUL, as in UTF-16 without its mark; if it is, set data.encoding={encoding}"
    ):
        list(open_corpus(file).documents())
    for name in (encoding, encoding.replace("-", "_").upper()):
        assert [d.text for d in open_corpus(file, encoding=name).documents()] == ["A line of text.", "Another one."]
    file.write_bytes("A line of text.\nAnother one.\n".encode("utf-16"))
    assert [d.text for d in open_corpus(file, encoding="utf16").documents()] == ["A line of text.", "Another one."]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(InputError, match=r"empty.txt: is empty; expected text"):
        open_corpus(tmp_path / "empty.txt")
    (tmp_path / "white.txt").write_text("\n \n\n")
    with pytest.raises(InputError, match=r"white.txt: holds no text"):
        list(open_corpus(tmp_path / "white.txt").documents())
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"none: no text in this folder \(it is empty\)"):
        open_corpus(tmp_path / "none")
    with pytest.raises(InputError, match="does not exist; expected a text file"):
        open_corpus(tmp_path / "nowhere.txt")


def test_one_endless_line_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("fine\n" + "word " * 300_000)
    with pytest.raises(InputError, match=r"x.txt, line 2: longer than 100,000 characters; .*data.documents=words"):
        list(open_corpus(tmp_path / "x.txt", longest=100_000).documents())
    (tmp_path / "y.txt").write_text("x" * 3_000_000)
    with pytest.raises(InputError, match=r"y.txt: a word of more than 524,288 characters after word 0"):
        list(open_corpus(tmp_path / "y.txt", documents="words").documents())


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(STORY.encode() * 1000)[:-20])
    with pytest.raises(InputError, match=r"x.txt.gz: the compressed file is cut short or damaged"):
        list(open_corpus(tmp_path / "x.txt.gz").documents())
    whole = zstandard.compress(STORY.encode() * 1000)
    for frames in (whole, zstandard.compress(b"A text before it.\n") + whole):
        for left in (len(frames) - 1, len(frames) - 20, len(frames) - len(whole) + 3):
            (tmp_path / "x.txt.zst").write_bytes(frames[:left])
            with pytest.raises(InputError, match=r"x.txt.zst: .* cut short or damaged after .* ends within a frame"):
                list(open_corpus(tmp_path / "x.txt.zst").documents())
    (tmp_path / "x.txt.zst").write_bytes(whole + b"no frame")
    with pytest.raises(InputError, match=r"x.txt.zst: the compressed file is cut short or damaged"):
        list(open_corpus(tmp_path / "x.txt.zst").documents())
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(InputError, match=r"a.jsonl, line 2: not valid JSON"):
        list(open_corpus(tmp_path / "a.jsonl").documents())
    (tmp_path / "a.csv").write_text("text,label\na,b\nc\n")
    with pytest.raises(InputError, match=r"a.csv, line 3: 1 values, expected 2"):
        list(open_corpus(tmp_path / "a.csv").documents())


def test_memory_is_bounded_by_a_block_not_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("w") as stream:
        for _ in range(15):
            stream.write("A line of words that goes on for a while.\n" * 20_000)
    corpus = open_corpus(path)
    tracemalloc.start()
    count = sum(1 for _ in corpus.documents())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300_000
    assert path.stat().st_size > 12e6
    assert most < 6e6


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_rows_without_text_are_counted(tmp_path: Path, form: str) -> None:
    given = ["a text", None, "", "another", None]
    path = tmp_path / f"posts.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps({"n": 1} if text is None else {"text": text}) + "\n" for text in given))
    elif form == "csv":
        path.write_text("text,n\n" + "".join(f"{text or ''},1\n" for text in given))
    else:
        parquet.write_table(arrow.table({"text": given}), path)
    corpus = open_corpus(path)
    for _ in range(2):
        assert [document.text for document in corpus.documents()] == ["a text", "another"]
        assert corpus.left_out == ["3 rows without text left out"]


def test_the_text_of_json_lines_may_begin_after_the_first_object(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"body": "a"}\n{"text": "b"}\n')
    assert holds_text(path, {})
    assert [document.text for document in open_corpus(path).documents()] == ["b"]
    path.write_text('{"text": "a"}\n{"text": "b"}\n{"text": \n')
    read = rows(path)
    assert [next(read).text, next(read).text] == ["a", "b"]
    with pytest.raises(InputError, match="line 3: not valid JSON"):
        next(read)


def test_a_link_to_no_file_is_passed_over_and_told(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(InputError, match=r"gone\.txt: is a link to a file that is not there"):
        open_corpus(tmp_path)
    (tmp_path / "notes.txt").write_text("A note. Another one.\n")
    corpus = open_corpus(tmp_path)
    assert [path.name for path in corpus.files] == ["notes.txt"]
    assert "1 link to files that are not there passed over: gone.txt" in corpus.notes
    assert "1 link to files that are not there passed over: gone.txt" in open_tagged(tmp_path, "columns").notes


@pytest.mark.parametrize("encoding", ["base64", "rot13", "hex", "nothing", "a\0b"])
def test_a_codec_that_is_not_one_of_text_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "notes.txt").write_text("some words\n")
    with pytest.raises(InputError, match="is not known; expected one as utf-8, latin-1 or cp1252"):
        list(open_corpus(tmp_path / "notes.txt", encoding=encoding).documents())


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_tables_of_another_encoding_are_known_as_text(tmp_path: Path, encoding: str) -> None:
    for name, content in (
        ("posts.csv", "text,größe\nübung,1\n"),
        ("posts.tsv", "text\tgröße\nübung\t1\n"),
        ("posts.jsonl", '{"text": "übung", "größe": 1}\n'),
    ):
        (tmp_path / name).write_bytes(content.encode(encoding))
        assert holds_text(tmp_path / name, {}, encoding)
        assert column_names(tmp_path / name, encoding) == ["text", "größe"]
