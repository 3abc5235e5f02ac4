"""Tagged sentences: what is read, how they are scored, and the baseline without a network."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, f1_score

from foretell.errors import InputError
from foretell.tasks.entities import are_bio, entities, malformed
from foretell.tasks.tags_baseline import MajorityTag
from foretell.tasks.tags_files import open_tagged
from foretell.tasks.tags_score import TagTally

COLUMNS = "-DOCSTART- -X- O\n\nAnna NNP B-PER\nsleeps VBZ O\n\n-DOCSTART- -X- O\n\nIn IN O\nRome NNP B-LOC\n"


def read(path: Path) -> list[tuple[list[str], list[str]]]:
    return [(sentence.words, sentence.tags) for sentence in open_tagged(path).sentences()]


def test_three_forms_hold_the_same(tmp_path: Path) -> None:
    expected = [(["Anna", "sleeps"], ["B-PER", "O"]), (["In", "Rome"], ["O", "B-LOC"])]
    (tmp_path / "a.conll").write_text(COLUMNS)
    (tmp_path / "b.tsv").write_text("Anna\tB-PER\nsleeps\tO\n\n\nIn\tO\nRome\tB-LOC")
    (tmp_path / "c.txt").write_text("Anna/B-PER sleeps/O\n\nIn/O Rome/B-LOC\n")
    lines = [json.dumps({"tokens": words, "tags": tags}) for words, tags in expected]
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    with gzip.open(tmp_path / "e.txt.gz", "wt") as stream:
        stream.write("Anna/B-PER sleeps/O\nIn/O Rome/B-LOC\n")
    for path in sorted(tmp_path.iterdir()):
        assert read(path) == expected, path.name
    assert read(tmp_path) == expected * 5


def test_groups_and_splits(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(COLUMNS)
    groups = [sentence.group for sentence in open_tagged(tmp_path / "a.conll").sentences()]
    assert len(set(groups)) == 2
    (tmp_path / "b.jsonl").write_text('{"tokens": ["a"], "tags": ["X"], "group": 7, "split": "dev"}')
    found = next(open_tagged(tmp_path / "b.jsonl").sentences())
    assert (found.group, found.split) == ("7", "validation")
    (tmp_path / "a.conll").write_text("a X\n\nb Y\n")
    one_a_file = [sentence.group for sentence in open_tagged(tmp_path).sentences()]
    assert one_a_file == [str(tmp_path / "a.conll")] * 2 + ["7"]


def test_a_word_may_hold_a_slash(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("and/or/CC ././. 1/2/CD\n")
    assert read(tmp_path / "a.txt") == [(["and/or", "./.", "1/2"], ["CC", ".", "CD"])]
    # a line of columns in which each item has one is not word/TAG where a form is named
    (tmp_path / "b.txt").write_text("a/b x/y\n")
    assert next(open_tagged(tmp_path / "b.txt", "columns").sentences()).words == ["a/b"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"tokens": ["a"]}', r"a.jsonl, line 1: expected an object such as"),
        ("a.jsonl", "{", r"a.jsonl, line 1: not valid JSON"),
        ("a.jsonl", '\n{"tokens": ["a", "b"], "tags": ["X"]}', r"line 2: 2 tokens but 1 tag; give each token one"),
        ("a.jsonl", '{"tokens": "a", "tags": ["X"]}', r"'tokens' holds str, expected a list"),
        ("a.jsonl", '{"tokens": ["a", " "], "tags": ["X", "Y"]}', r"'tokens' number 2 is \" \", expected a text"),
        ("a.jsonl", '{"tokens": ["a"], "tags": [3]}', r"'tags' number 1 is 3, expected a text"),
        ("a.jsonl", '{"tokens": [], "tags": []}', r"a sentence without tokens; leave the line out"),
        ("a.conll", "a X\nb\n", r"a.conll, line 2: 'b' is one value; expected a word and its tag"),
        ("a.conll", "a X\nb Y Z\n", r"a.conll, line 2: 3 columns, 2 in the lines before"),
        ("a.txt", "", r"a.txt: is empty; expected tagged sentences"),
        ("a.txt", "\n\n", r"a.txt: holds no tagged sentence"),
        ("a.conll", "-DOCSTART- O\n", r"holds no tagged sentence"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read(tmp_path / name)


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; expected a file of tagged sentences"):
        open_tagged(tmp_path / "none")
    with pytest.raises(InputError, match=r"no tagged text in this folder \(it holds nothing\)"):
        open_tagged(tmp_path)
    (tmp_path / "a.txt").write_text("a/X b\n" * 300)
    with pytest.raises(InputError, match="did you mean 'columns'"):
        open_tagged(tmp_path / "a.txt", "column")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a.txt, line 1: 'b' is no word/TAG"):
        list(open_tagged(tmp_path / "a.txt", "slashes").sentences())


# entities and scores --------------------------------------------------------------------------------------------------


def test_entities_worked_by_hand() -> None:
    assert entities(["B-A", "I-A", "O", "B-A", "B-A", "I-B", "I-B", "O"]) == [
        (0, 2, "A"),
        (3, 4, "A"),
        (4, 5, "A"),
        (5, 7, "B"),
    ]
    assert entities(["O", "O"]) == []
    assert entities(["I-A", "I-A"]) == [(0, 2, "A")]
    assert malformed(["I-A", "I-A", "O", "I-B", "B-A", "I-B"]) == 3
    assert malformed(["B-A", "I-A", "B-B", "I-B", "O"]) == 0


def test_what_bio_is() -> None:
    assert are_bio(["O", "B-A", "I-A"])
    assert are_bio(["B-A"])
    assert not are_bio(["O"])
    assert not are_bio(["NN", "B-A"])
    assert not are_bio(["B-", "O"])
    assert not are_bio([])


def drawn(tags: list[str], seed: int, sentences: int = 60) -> list[tuple[list[str], list[str]]]:
    chance = random.Random(seed)
    found = []
    for _ in range(sentences):
        truth = chance.choices(tags, k=chance.randint(1, 9))
        found.append((truth, [tag if chance.random() < 0.7 else chance.choice(tags[:-1]) for tag in truth]))
    return found


def test_accuracy_and_macro_f1_equal_scikit_learn() -> None:
    pairs = drawn(["NN", "VB", "DT", "new"], 1)
    tally = TagTally(["NN", "VB", "DT"])
    for truth, foretold in pairs:
        tally.add(truth, foretold)
    truth, foretold = ([tag for pair in pairs for tag in pair[side]] for side in (0, 1))
    found = tally.result()
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, foretold))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, foretold, average="macro"))
    assert found["unseen_words"] == pytest.approx(truth.count("new") / len(truth))
    assert found["unseen_words"] > 0
    assert sum(one["words"] for one in tally.by_tag().values()) == len(truth)
    assert next(iter(tally.by_tag())) == max(["NN", "VB", "DT", "new"], key=truth.count)
    assert "entity_f1" not in found


def test_entity_scores_worked_by_hand() -> None:
    tally = TagTally(["O", "B-P", "I-P", "B-L"])
    tally.add(["B-P", "I-P", "O", "B-L"], ["B-P", "I-P", "O", "B-L"])  # both right
    tally.add(["B-P", "I-P", "O", "O"], ["B-P", "O", "O", "B-L"])  # cut short: wrong; one too many
    tally.add(["O", "O", "B-L"], ["O", "I-P", "B-P"])  # a type for another, and a malformed one
    found = tally.result()
    # there: 4; foretold: 2 + 2 + 2 = 6; right: 2
    assert found["entity_precision"] == pytest.approx(2 / 6)
    assert found["entity_recall"] == pytest.approx(2 / 4)
    assert found["entity_f1"] == pytest.approx(2 * 2 / 10)
    assert found["malformed"] == pytest.approx(1 / 3)
    assert found["whole_sentences"] == pytest.approx(1 / 3)


def test_nothing_has_no_score() -> None:
    assert math.isnan(TagTally(["NN"]).result()["accuracy"])
    tally = TagTally(["O", "B-P"])
    tally.add(["O"], ["O"])
    assert tally.result()["entity_f1"] == 0.0
    with pytest.raises(ValueError, match="shorter"):
        tally.add(["O", "O"], ["O"])


# the baseline ---------------------------------------------------------------------------------------------------------


def test_the_commonest_tag_of_the_word_then_of_its_ending() -> None:
    baseline = MajorityTag(
        [
            (["he", "walked", "talked", "the", "walk"], ["PRP", "VBD", "VBD", "DT", "NN"]),
            (["they", "walk", "walk", "nicely"], ["PRP", "VB", "VB", "RB"]),
        ]
    )
    assert baseline(["walk", "the"]) == ["VB", "DT"]
    # "alked" and "ely" were seen, of "Zzz" only the ending without letters: PRP and VBD have two words each
    assert baseline(["balked", "lovely", "Zzz"]) == ["VBD", "RB", "PRP"]


def test_endings_count_words_not_their_occurrences() -> None:
    baseline = MajorityTag([(["being"] * 9 + ["king", "thing"], ["VB"] * 9 + ["NN", "NN"])])
    assert baseline(["wring", "being"]) == ["NN", "VB"]
