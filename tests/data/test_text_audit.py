"""What ``foretell check`` finds in text, on corpora in which each fault was put by hand."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from foretell.data.text import audit as text_audit
from foretell.data.text.audit import TextAudit, audit_text
from foretell.data.text.audit_words import render_text
from foretell.data.text.characters import composition, odd_characters
from foretell.data.text.corpus import open_corpus
from foretell.data.text.source import holds_text
from foretell.errors import InputError

NOUNS = [
    "river",
    "stone",
    "cloud",
    "garden",
    "letter",
    "window",
    "market",
    "winter",
    "harbour",
    "mountain",
    "candle",
    "violin",
]
VERBS = ["carries", "follows", "remembers", "hides", "paints", "repairs", "watches", "answers", "crosses", "borrows"]


def story(number: int, sentences: int = 6) -> str:
    """Text that no other number has."""
    draw = random.Random(number)
    return " ".join(
        f"The {draw.choice(NOUNS)} {draw.choice(VERBS)} the {draw.choice(NOUNS)} of number {draw.randrange(10**6)}, and "
        f"it {draw.choice(VERBS)} a {draw.choice(NOUNS)}."
        for _ in range(sentences)
    )


def written(path: Path, rows: list[dict[str, str]]) -> TextAudit:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    return audit_text(open_corpus(path))


def test_a_clean_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(story(n) for n in range(30)))
    found = audit_text(open_corpus(tmp_path / "a.txt"))
    words = sum(len(story(n).split()) for n in range(30))
    assert (found.documents, found.sentences, found.words, found.single) == (30, 180, words, 0)
    assert found.lengths["shortest"] <= found.lengths["usual"] <= found.lengths["longest"]
    assert found.languages == {"en": 30}
    assert found.clean
    told = render_text(found)
    assert "nothing wrong was found" in told
    assert "30 documents, 180 sentences" in told


def test_copies_are_found_equal_and_alike(tmp_path: Path) -> None:
    texts = [story(n) for n in range(20)]
    texts += [
        story(3).upper().replace(",", ";"),
        story(5).replace("number", "no", 1),
        "Read more on our site today.",
    ] * 2
    found = written(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    assert found.equal is not None
    path = tmp_path / "a.jsonl"
    assert found.equal.groups[0] == [f"{path}, line 4", f"{path}, line 21", f"{path}, line 24"]
    assert found.equal.count == 4
    assert found.alike is not None
    assert found.alike.groups == [[f"{path}, line 6", f"{path}, line 22"]]
    assert found.sentence_copies is not None
    assert found.sentence_copies.count == 6 * 2 + (5 + 6) + 1
    assert found.repeated[0][1] == 3
    told = render_text(found)
    assert "equal documents, but for case, spaces and punctuation: 3 (4 copies)" in told
    assert "of one sentence: 2 documents" in told
    assert "another document's text always comes second to these" in told


def test_splits_that_share_text(tmp_path: Path) -> None:
    rows = [{"text": story(n), "split": "train", "group": f"g{n}", "label": "a"} for n in range(20)]
    cut = story(2).split()
    rows += [
        {"text": story(1), "split": "test", "group": "t0", "label": "b"},
        {"text": " ".join(cut[:-8]), "split": "test", "group": "t1", "label": "a"},
        {"text": story(77, 9) + " " + " ".join(cut[:16]), "split": "validation", "group": "t2", "label": "a"},
        {"text": story(78), "split": "test", "group": "g4", "label": "a"},
        {"text": story(79), "group": "g5", "label": "a"},  # in no split, which is none of two
    ]
    found = written(tmp_path / "a.jsonl", rows)
    leaks = {leak.what: leak for leak in found.leaks}
    assert leaks.keys() == {"equal", "labels disagree", "copied", "shared", "group"}
    assert leaks["equal"].where == ["test", "train"]
    assert leaks["labels disagree"].where == ["a", "b"]
    assert leaks["copied"].places == [f"{tmp_path / 'a.jsonl'}, line 22"]
    assert leaks["shared"].places == [f"{tmp_path / 'a.jsonl'}, line 23"]
    assert leaks["shared"].where == ["train", "validation"]
    assert [(leak.places, leak.where) for leak in found.leaks if leak.what == "group"] == [(["g4"], ["train", "test"])]
    assert not found.clean
    told = render_text(found)
    assert "LEAK: equal documents in two splits: 1" in told
    assert "splits: train 20, test 3, validation 1" in told
    assert "labels: 2 over 25 documents: a 24, b 1" in told


def test_odd_characters_are_named_with_their_place(tmp_path: Path) -> None:
    rows = [{"text": story(n)} for n in range(6)]
    rows[1]["text"] += " caf\u00c3\u00a9"
    rows[2]["text"] += " \ufffd\ufffd"
    rows[3]["text"] += " bell\x07"
    rows[4]["text"] += " icon \ue001"
    rows[5]["text"] += " zero\u200bwidth"
    found = written(tmp_path / "a.jsonl", rows)
    assert found.odd == {"replacement": 2, "mojibake": 1, "control": 1, "private": 1, "invisible": 1}
    assert found.odd_places["control"] == [f"{tmp_path / 'a.jsonl'}, line 4"]
    assert "control characters: 1, first in" in render_text(found)
    assert not odd_characters("Straße, naïve, São Paulo, é\ttab\nline \u200c Ãgua")


def test_two_spellings_of_an_accent(tmp_path: Path) -> None:
    assert [composition(text) for text in ("plain", "é", "e\u0301", "é e\u0301")] == [
        "",
        "composed",
        "decomposed",
        "mixed",
    ]
    found = written(tmp_path / "a.jsonl", [{"text": story(0) + " é"}, {"text": story(1) + " e\u0301"}])
    assert "accents written in two ways: 1 document" in render_text(found)
    one = written(tmp_path / "b.jsonl", [{"text": story(0) + " e\u0301"}])
    assert "two ways" not in render_text(one)


def test_languages_beside_their_column(tmp_path: Path) -> None:
    german = "Der Junge geht nach der Schule nach Hause und ruht sich mit einem Buch aus."
    rows = [{"text": story(n), "lang": "en"} for n in range(3)] + [{"text": german, "lang": "en-GB"}, {"text": "42"}]
    found = written(tmp_path / "a.jsonl", rows)
    assert found.languages == {"en": 3, "de": 1, "?": 1}
    assert found.other_language == 1
    told = render_text(found)
    assert "en 60%, de 20%, not told 20%" in told
    assert "another language than the column says, by the guess: 1 document" in told


def test_files_that_cannot_be_read_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for n in range(3):
        (folder / f"good{n}.txt").write_text("\n\n".join(story(10 * n + k) for k in range(4)))
    (folder / "latin.txt").write_bytes("Die Größe ".encode("latin-1") * 40)
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (folder / "marked.txt").write_bytes(b"\xef\xbb\xbf" + story(99).encode())
    (folder / "empty.txt").write_bytes(b"")
    found = audit_text(open_corpus(folder))
    reasons = {Path(name).name: reason for name, reason in found.unreadable}
    assert reasons.keys() == {"latin.txt", "binary.txt"}
    assert reasons["latin.txt"].startswith("byte 6 (0xf6) is not UTF-8")
    assert "is a NUL, so that this is a binary file" in reasons["binary.txt"]
    assert found.marks == {"UTF-8": 1}
    assert found.documents == 13
    told = render_text(found)
    assert "unreadable: 2" in told
    assert "byte order mark of UTF-8, taken away: 1 file" in told
    assert "1 empty file passed over" in told


def test_one_endless_line(tmp_path: Path) -> None:
    path = tmp_path / "endless.txt"
    path.write_text("word " * 5_000)
    with pytest.raises(InputError, match=r"endless.txt, line 1: longer than 1,000 characters.*data.documents=words"):
        audit_text(open_corpus(path, documents="line", sentences="split", longest=1000))
    found = audit_text(open_corpus(path, documents="words"))
    assert (found.documents, found.words) == (5, 5000)


def test_memory_is_bounded_by_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("DOCUMENTS", 64), ("SENTENCES", 200), ("RUNS", 3000), ("COMPARED", 50), ("REPEATED", 40)):
        monkeypatch.setattr(text_audit, name, most)
    rows = [{"text": story(n), "split": "train"} for n in range(200)]
    rows += [{"text": story(n, 5), "split": "test"} for n in range(100)]  # the first five of the same six sentences
    rows += [{"text": story(n), "split": "train"} for n in range(150, 200)]
    found = written(tmp_path / "a.jsonl", rows)
    assert found.equal is not None
    assert found.equal.share < 1
    assert abs(found.equal.count - 50) < 40
    assert found.sentence_copies is not None
    assert found.sentence_copies.count == pytest.approx(500 + 300, abs=250)
    assert found.runs_share < 1
    copied = [leak for leak in found.leaks if leak.what in ("copied", "shared")]
    assert len(copied) > 60  # a run in several is looked at, and of most documents one is met
    assert copied[0].places[0].startswith("document ")
    told = render_text(found)
    assert "by a sample of" in told
    assert "looked for in one of" in told
    again = audit_text(open_corpus(tmp_path / "a.jsonl"))
    assert again == found


def test_a_pair_counts_with_both_texts(tmp_path: Path) -> None:
    found = written(tmp_path / "a.jsonl", [{"text": "One two three.", "text_b": "Four five."}])
    assert found.words == 5
    assert np.isclose(found.tokens, 6, atol=1)


def test_text_is_told_from_images(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.txt.gz").write_bytes(b"")
    (tmp_path / "i").mkdir()
    (tmp_path / "i" / "a.png").write_bytes(b"")
    (tmp_path / "i" / "readme.txt").write_text("x")
    for name, file in (("n", "volume.nii.gz"), ("d", "slice.dcm")):  # beside a table of labels
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(b"")
        (tmp_path / name / "labels.csv").write_text("PatientID,label\n1,a\n")
    tables = {
        "text.csv": "text,label\na,b\n",
        "images.csv": "path,text\na,b\n",
        "other.tsv": "body\tx\n",
        "l.jsonl": '{"text": 1}',
    }
    for name, content in tables.items():
        (tmp_path / name).write_text(content)
    given = ["t", "i", "n", "d", *tables, "none.txt", "t/a.txt.gz"]
    found = {name for name in given if holds_text(tmp_path / name, {})}
    assert found == {"t", "text.csv", "l.jsonl", "t/a.txt.gz"}
    assert holds_text(tmp_path / "other.tsv", {"text": "body"})


def test_rows_without_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "some words", "label": "x"}\n{"text": null}\n{"n": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"text": ""}\n')
    found = render_text(audit_text(open_corpus(tmp_path)))
    assert "  understood: 3 rows without text left out\n" in found
    assert "labels: 1 over 1 document: x 1" in found
