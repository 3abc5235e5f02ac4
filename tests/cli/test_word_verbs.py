"""Runs on words by the verbs a person types: vectors, neighbours, gaps, and what they are worth."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import foretell
from foretell.cli import main
from foretell.data.text.corpus import open_corpus
from foretell.data.text.words import open_words
from foretell.errors import InputError
from foretell.recipe import Recipe
from foretell.verbs.word_pretraining import division, too_few, unspaced

SETTINGS = [
    "objective.dim=16",
    "objective.window=3",
    "objective.sample=0",
    "training.threads=1",
    "objective.min_count=2",
]
THINGS = {"apple": ("sweet", "red"), "stone": ("hard", "grey"), "river": ("wet", "blue"), "night": ("dark", "black")}


def lines() -> str:
    """Each thing with its own words: in three of four documents "the red apple", in one "the red cherry"."""
    made = []
    for i in range(1600):
        thing, (is_so, looks) = list(THINGS.items())[i % 4]
        name = {"apple": "cherry", "stone": "rock", "river": "sea", "night": "cave"}[thing] if i % 16 < 4 else thing
        made.append(f"the {looks} {name} is {is_so} today")
    return "\n\n".join(made)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("words") / "things.txt"
    file.write_text(lines())
    return file


def trained(text: Path, name: str, *more: str) -> Path:
    out = text.parent / name
    foretell.pretrain(text, objective="word2vec", out=out, budget="40 epochs", set=[*SETTINGS, *more])
    return out


@pytest.fixture(scope="module")
def cbow(text: Path) -> Path:
    return trained(text, "cbow", "objective.model=cbow", "data.sentences=split")


@pytest.fixture(scope="module")
def skip(text: Path) -> Path:
    return trained(text, "skip")


def test_a_run_on_words_is_whole(cbow: Path) -> None:
    for name in ("vectors.bin", "vectors.txt", "outputs.bin", "vocabulary.txt"):
        assert (cbow / "encoder" / name).is_file(), name
    counts = dict(line.split() for line in (cbow / "encoder" / "vocabulary.txt").read_text().splitlines())
    assert int(counts["the"]) > int(counts["apple"]) > 250
    kept = json.loads((cbow / "results" / "words.json").read_text())
    assert kept["held_out_loss"] < kept["chance"] / 2
    assert [len(one["neighbours"]) for one in kept["neighbours"]]
    page = (cbow / "report.html").read_text()
    assert "Vocabulary" in page
    assert '<section id="near-words"' in page


def test_a_text_is_the_mean_of_its_words(skip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels are given for one name of each thing and asked for the other, which only unlabelled text has beside it."""
    others = {"apple": "cherry", "stone": "rock", "river": "sea", "night": "cave"}
    rows = [(f"the {thing} today", thing, "train") for thing in others for _ in range(6)]
    rows += [(f"the {other} today", thing, "test") for thing, other in others.items() for _ in range(6)]
    table = tmp_path / "things.csv"
    table.write_text("text,label,split\n" + "".join(",".join(row) + "\n" for row in rows))
    run = tmp_path / "run"
    shutil.copytree(skip, run)
    given = ["transfer.steps=40", "transfer.text.batch=8", "transfer.text.precision=float32"]
    found = foretell.evaluate(run, table, compare=True, per_class="6", seeds=2, trials=3, set=given)
    probes = {name: scores["accuracy"] for name, scores in found["linear_probe"].items()}
    assert probes["pretrained"] == 1.0
    assert max(probes["random"], probes["tfidf"]) < 0.6
    means = {row["arm"]: row["mean"] for row in found["comparison"]["summary"] if row["metric"] == "accuracy"}
    assert means["probe"] == 1.0
    assert means["pretrained"] > means["scratch"]
    assert '<section id="label-efficiency"' in (run / "report.html").read_text()
    capsys.readouterr()
    vectors = foretell.embed(run / "encoder" / "vectors.bin", table, out=tmp_path / "features.npz")
    assert vectors.shape == (len(rows), 16)
    assert main(["finetune", str(run), "--data", str(table)]) == 2
    assert "word vectors are not kept as a classifier" in capsys.readouterr().err


def test_a_context_foretells_the_word(cbow: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = foretell.fill(cbow, "The red [MASK] is sweet today.", top=2)
    assert [word for word, _ in found.gaps[0]] == ["apple", "cherry"]
    assert found.gaps[0][0][1] == pytest.approx(0.75, abs=0.1)
    assert found.text == "The red apple is sweet today."
    assert "not in the vocabulary" not in capsys.readouterr().out
    foretell.fill(cbow, "The crimson [MASK] is sweet today.")
    assert "not in the vocabulary, so that the model does not see it: crimson\n" in capsys.readouterr().out
    assert main(["fill", str(cbow), "the grey [MASK] is hard today; the red apple is [MASK] today"]) == 0
    told = capsys.readouterr().out
    assert "gap 2: sweet" in told
    assert "the grey stone is hard today; the red apple is sweet today" in told
    tree = trained(text, "tree", "objective.model=cbow", "objective.loss=tree")
    assert foretell.fill(tree, "the blue [MASK] is wet").gaps[0][0][0] == "river"


def test_a_context_ends_with_its_sentence(cbow: Path, tmp_path: Path) -> None:
    alone = foretell.fill(cbow, "The red [MASK]").gaps
    assert foretell.fill(cbow, "The grey stone is hard today. The red [MASK]").gaps == alone
    assert foretell.fill(cbow, "The red [MASK]. Blue is the river [MASK] today.").gaps[0] == alone[0]
    lines = "the grey stone is hard today\nthe red [MASK]"
    assert foretell.fill(cbow, lines).gaps != alone
    run = tmp_path / "run"
    shutil.copytree(cbow, run)
    facts = json.loads((run / "facts.json").read_text())
    assert facts["data"]["sentence_rule"] == "split"
    facts["data"]["sentence_rule"] = "line"
    (run / "facts.json").write_text(json.dumps(facts))
    assert foretell.fill(run, lines).gaps == alone


def test_neighbours_share_their_context(skip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert foretell.neighbours(skip, "apple", k=3)[0]["neighbours"][0]["name"] in ("cherry", "sweet", "red")
    assert main(["neighbours", str(skip), "stone apple hard", "-k", "2"]) == 0
    assert "stone is to apple as hard is to" in capsys.readouterr().out


def test_what_vectors_are_worth(skip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, questions = tmp_path / "pairs.csv", tmp_path / "questions.txt"
    pairs.write_text(
        "apple,cherry,9\nstone,rock,9\nriver,sea,8\nnight,cave,8\napple,rock,1\nsea,cave,1\nriver,night,1\nx,y,2\n"
    )
    questions.write_text(": looks\nstone grey apple red\nriver blue night black\nApple red x y\n")
    assert main(["evaluate", str(skip), "--similarity", str(pairs), "--analogies", str(questions)]) == 0
    told = capsys.readouterr().out
    assert "7 of 8 pairs have both words in the vocabulary" in told
    assert "2 of 3 questions have their words in the vocabulary" in told
    kept = json.loads((skip / "results" / "words.json").read_text())
    assert kept["similarity"]["spearman"]["mean"] > 0.7
    assert kept["analogies"]["total"]["known"] == 2
    assert "held_out_loss" in kept
    alone = foretell.evaluate(skip / "encoder" / "vectors.txt", similarity=pairs)
    assert alone["similarity"]["pearson"] == kept["similarity"]["pearson"]
    assert "analogies" not in alone


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("はじめに神は天と地とを創造された。地は形なく、やみが淵のおもてにあった。", {}, True),
        ("はじめ に 神 は 天 と 地 と を 創造 された", {"objective.words": "spaces"}, False),
        ("In the beginning God created the heaven and the earth.", {}, False),
    ],
)
def test_words_without_spaces_between_them_are_told(
    text: str, options: dict[str, str], told: bool, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text(text)
    given = {"objective.name": "word2vec", "data.source": str(tmp_path / "text.txt"), **options}
    assert bool(unspaced(Recipe.load(None, given))) == told


def test_why_no_document_is_held_out_is_said(tmp_path: Path) -> None:
    file, table = tmp_path / "lines.txt", tmp_path / "table.csv"
    table.write_text("text,split\n" + "red blue,train\n" * 6)
    for count, message in (
        (60, "one in about 50 is, drawn by its number, and of 60 documents none was drawn"),
        (83, "held out to measure on: 1 document, 2 words"),
    ):
        file.write_text("red blue\n" * count)
        store = open_words(open_corpus(file, documents="line"), cache=tmp_path / "cache")
        assert division(store).endswith(message)
    store = open_words(open_corpus(table), cache=tmp_path / "cache")
    assert division(store) == "no document is held out: the split column puts all into the train part"


def test_a_small_text_that_is_read_too_seldom_is_told() -> None:
    (said,) = too_few(44_000, 5.0)
    assert "44,000 words read 5 times are few" in said
    assert "--budget '30 epochs'" in said
    assert too_few(44_000, 30.0) == too_few(44_000, None) == too_few(1_000_000, 1.0) == []


def test_a_run_goes_on(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    foretell.pretrain(text, objective="word2vec", out=out, budget="2 epochs", set=SETTINGS)
    shutil.rmtree(out / "encoder")
    for verb in (foretell.neighbours, foretell.fill):
        with pytest.raises(
            InputError,
            match=r"no encoder yet \(training is finished, but .* not written\); go on with: foretell pretrain --res",
        ):
            verb(out, "apple [MASK]")
    foretell.pretrain(out, resume=True)
    assert json.loads((out / "status.json").read_text())["state"] == "finished"
    text_before = text.read_text()
    text.write_text(text_before + "\n\nthe red apple is sweet today")
    with pytest.raises(InputError, match=r"the text of .* has changed since the run began"):
        foretell.pretrain(out, resume=True)
    text.write_text(text_before)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fill", "SKIP", "a [MASK]"], "skip-gram foretells neighbours of a word"),
        (["fill", "CBOW", "a word"], r"no \[MASK\] in 'a word'"),
        (["fill", "CBOW", "zzz [MASK] qqq"], r"no word beside \[MASK\] is in the vocabulary of"),
        (["fill", "CBOW", "A red apple. [MASK]"], r"'\[MASK\]': no word beside \[MASK\] is in the vocabulary of"),
        (["fill", "VECTORS", "the [MASK]"], "word vectors alone cannot fill a gap"),
        (["neighbours", "SKIP", "appel"], "unknown word 'appel'; did you mean 'apple'"),
        (["neighbours", "SKIP", "apple stone"], "expected one word, or three"),
        (["neighbours", "SKIP"], "error: the word is missing: expected one word, or three"),
        (["neighbours", "SKIP", "apple", "--data", "x.csv"], r"--data x\.csv: is for images; words are printed"),
        (["export", "SKIP", "out"], r"is of text, which other programs load from .*encoder as it is"),
        (
            ["evaluate", "SKIP", "posts.csv", "--similarity", "x.csv"],
            "take no labelled texts: evaluate these by themselv",
        ),
        (["neighbours", "SKIP", "apple", "-k", "0"], "--k 0: expected at least 1"),
        (["evaluate", "SKIP"], "give --similarity FILE .* --analogies FILE .* or a table of texts and labels"),
        (["evaluate", "SKIP", "--similarity", "none.csv"], "none.csv: cannot be read"),
        (["evaluate", "SKIP", "--similarity", "STRANGE"], r"strange.txt: 0 of 3 pairs have both words in the vocabul"),
        (["evaluate", "SKIP", "--analogies", "FOUR"], r"four.txt: none of 1 questions has its four words"),
        (["neighbours", "SKIP", "qqqq"], r"unknown word 'qqqq' \(it is not in the vocabulary of"),
        (["check", "SKIP", "--shortcuts"], "a run on words, and this is a verb for images; see neighbours"),
        (["generate", "SKIP", "a"], "a run on words, and this is a verb for text; see neighbours"),
    ],
)
def test_bad_input(
    words: list[str], message: str, cbow: Path, skip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"CBOW": str(cbow), "SKIP": str(skip), "VECTORS": str(cbow / "encoder" / "vectors.bin")}
    given |= {"STRANGE": str(tmp_path / "strange.txt"), "FOUR": str(tmp_path / "four.txt")}
    (tmp_path / "strange.txt").write_text("aa bb 1\ncc dd 2\nee ff 3\n")
    (tmp_path / "four.txt").write_text("aa bb cc dd\n")
    assert main([given.get(word, word) for word in words]) == 2
    told = capsys.readouterr().err
    assert re.search(message, told), told
    assert told.count("\n") == 1
