"""From a text file to completions, pairs and text written on, by the verbs a person types."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import foretell
from foretell.cli import main
from foretell.data.text.corpus import open_corpus
from foretell.data.text.tokenise import open_tokens
from foretell.data.text.tokenizer import MASKED, TokenizerConfig, load_tokenizer, train_tokenizer
from foretell.encoders.language import LanguageModel, Shape
from foretell.encoders.public import save_public
from foretell.errors import InputError
from foretell.objectives.bert import Bert
from foretell.objectives.gpt import Gpt
from foretell.train.step import Stepper
from foretell.verbs.text_data import tell_text
from foretell.verbs.text_examples import completions
from foretell.verbs.text_reading import reading
from foretell.verbs.text_run import TextModel, read_text

TINY = ["objective.network.layers=2", "objective.network.width=64", "objective.network.heads=2", "objective.length=48"]
TRAINING = ["training.rate=0.003", "training.precision=float32", "training.health_every=40", "training.batch=16"]
WHO = ["Anna", "Ben", "Clara", "David", "Emma", "Felix"]
PLACES = {"school": ("a child", "learns"), "kitchen": ("a cook", "boils"), "garden": ("a bird", "sings")}


def stories() -> str:
    """Documents of four sentences whose middle words are decided by what stands on both sides."""
    lines = []
    for i in range(240):
        name = WHO[i % 6]
        place, (who, does) = list(PLACES.items())[i % 3]
        lines += [
            f"{name} walks to the {place}.",
            f"In the {place} {who} {does} with {name}.",
            f"Then {name} goes home.",
            "",
        ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "stories.txt"
    file.write_text(stories())
    return file


@pytest.fixture(scope="module")
def bert(text: Path) -> Path:
    out = text.parent / "bert"
    given = [*TINY, *TRAINING, "objective.tasks=both"]
    foretell.pretrain(text, objective="bert", out=out, budget="480 steps", set=given)
    return out


@pytest.fixture(scope="module")
def gpt(text: Path) -> Path:
    out = text.parent / "gpt"
    foretell.pretrain(text, objective="gpt", out=out, budget="120 steps", set=[*TINY, *TRAINING])
    return out


def test_words_are_filled_from_both_sides(bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = foretell.fill(bert, "In the [MASK] a cook boils with Anna.", top=3)
    assert found.gaps[0][0][0] == "kitchen"
    assert found.text == "In the kitchen a cook boils with Anna."
    shares = [share for _, share in found.gaps[0]]
    assert shares == sorted(shares, reverse=True)
    assert len(foretell.fill(bert, "In the [MASK] a bird [MASK] with Anna.").gaps) == 2
    told = capsys.readouterr().out
    assert "kitchen" in told
    assert "not in the vocabulary" not in told
    assert re.fullmatch("日本 in the [a-z.]+ a cook boils", foretell.fill(bert, "日本 in the [MASK] a cook boils").text)
    assert "not in the vocabulary, so that the model does not see it: 日, 本\n" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_gap_is_shown_as_in_training_here_and_in_other_programs(
    kind: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*TINY, *TRAINING, f"objective.tokenizer.kind={kind}"]
    foretell.pretrain(text, objective="bert", out=tmp_path / "run", budget="2 steps", set=given)
    made = load_tokenizer(tmp_path / "run" / "encoder")
    ids = made.encode("In the kitchen a cook boils with Anna.").ids
    hidden = [made.token_to_id("[MASK]") if made.id_to_token(one)[1:] in ("kitchen", "Anna") else one for one in ids]
    assert sum(one != other for one, other in zip(ids, hidden, strict=True)) == 2
    seen: list[list[int]] = []
    states = TextModel.states
    monkeypatch.setattr(TextModel, "states", lambda self, ids: seen.append(ids) or states(self, ids))
    monkeypatch.setattr(LanguageModel, "logits", lambda self, states: chances)
    for names, expected in (
        ((" kitchen", " Anna"), "In the kitchen a cook boils with Anna."),
        (("s", " Anna"), "In thes a cook boils with Anna."),
    ):
        chances = torch.zeros(2, made.get_vocab_size())
        chances[[0, 1], [made.encode(f"a{name}").ids[-2] for name in names]] = 9.0
        assert foretell.fill(tmp_path / "run", "In the [MASK] a cook boils with [MASK].").text == expected
    assert seen == [hidden, hidden]
    other = AutoTokenizer.from_pretrained(tmp_path / "run" / "encoder")
    assert other("In the [MASK] a cook boils with [MASK].")["input_ids"] == hidden


def test_a_run_on_text_is_whole(bert: Path) -> None:
    for name in ("recipe.toml", "tokenizer.json", "report.html", "encoder/model.safetensors", "encoder/tokenizer.json"):
        assert (bert / name).is_file(), name
    whole = Tokenizer.from_file(str(bert / "encoder" / "tokenizer.json")).encode("Anna walks", "Ben boils")
    assert whole.tokens == ["[CLS]", "anna", "walks", "[SEP]", "ben", "boils", "[SEP]"]
    assert whole.type_ids == [0, 0, 0, 0, 1, 1, 1]
    kept = json.loads((bert / "results" / "text.json").read_text())
    assert kept["words"]["perplexity"] < kept["words"]["guess"]["perplexity"] / 2
    assert {"base", "topic", "length"} <= set(kept["sentences"]["guesses"])
    examples = json.loads((bert / "results" / "completions.json").read_text())["examples"]
    assert all("[MASK]" in given and "(it was: " in found for given, found in examples)
    page = (bert / "report.html").read_text()
    assert "Vocabulary" in page
    facts = json.loads((bert / "facts.json").read_text())
    assert facts["objective"]["examples"][0] == ["shown", "foretold"]
    assert facts["objective"]["hides"] == "15% of the words, and whether a second text follows the first"


def test_whole_passages_are_kept_for_the_report(bert: Path, gpt: Path) -> None:
    found = json.loads((bert / "results" / "reading.json").read_text())
    assert found["held_out"]
    assert len(found["masked"]) == 3
    for passage in found["masked"]:
        text = "".join(piece["text"] for piece in passage)
        assert re.match(r"(\w+ walks to the|in the|then) ", text), text
        gaps = [piece for piece in passage if "guesses" in piece]
        assert gaps
        for gap in gaps:
            shares = [share for _, share in gap["guesses"]]
            assert shares == sorted(shares, reverse=True)
            assert gap["right"] == (gap["guesses"][0][0] == gap["text"].strip())
            assert not gap["right"] or gap["share"] == pytest.approx(shares[0], abs=1e-5)
    assert sum(gap["right"] for passage in found["masked"] for gap in passage if "guesses" in gap) >= 2
    assert {pair["follows"] for pair in found["pairs"]} == {True, False}
    assert all(0 <= pair["share"] <= 1 for pair in found["pairs"])
    written = json.loads((gpt / "results" / "reading.json").read_text())
    assert max(piece["share"] for passage in written["surprise"] for piece in passage) > 0.9
    assert {"masked", "pairs"}.isdisjoint(written)
    lines = [json.loads(line) for line in (gpt / "metrics.jsonl").read_text().splitlines()]
    samples = [line for line in lines if line["kind"] == "sample"]
    assert [line["step"] for line in samples] == [0, 40, 80, 120]
    assert len({line["given"] for line in samples}) == 1
    page = (bert / "report.html").read_text()
    for part in ("foretold", "passages", "growth", "pairs"):
        assert f'<section id="{part}"' in page


def test_a_gap_stands_in_its_text_as_a_person_writes_it(text: Path, tmp_path: Path) -> None:
    corpus = open_corpus(text)
    made = train_tokenizer(corpus, TokenizerConfig(vocabulary=60), MASKED)
    store = open_tokens(corpus, made, cache=tmp_path)
    assert any(name.startswith("##") for name in made.get_vocab())
    model = Bert.model(Bert.Config(network={"layers": 1, "width": 8, "heads": 2}), store.vocabulary, store.specials)
    given = [given for given, _ in completions(model, store, 0, 30)]
    whole = re.sub(r"\s+", " ", text.read_text().lower())
    assert len(given) == 30
    for one in given:
        before, after = one.split("[MASK]")
        assert before in whole and after in whole, one  # noqa: PT018 (the two of one text)


@pytest.mark.parametrize("objective", ["bert", "gpt"])
def test_a_model_of_few_positions_is_shown_on_what_fits(objective: str, text: Path, tmp_path: Path) -> None:
    given = ["objective.length=8", "objective.network.size=tiny", "training.precision=float32"]
    made = foretell.pretrain(text, objective=objective, out=tmp_path / "run", budget="1 steps", batch=8, set=given)
    found = json.loads((made.run / "results" / "reading.json").read_text())
    assert all(len(passage) <= 8 for kind in ("masked", "surprise") for passage in found.get(kind, []))
    assert len(json.loads((made.run / "results" / "completions.json").read_text())["examples"]) == 3


def test_texts_are_written_on_by_draws_of_their_own(gpt: Path, text: Path, tmp_path: Path) -> None:
    read = read_text(gpt)
    store = open_tokens(open_corpus(text), read.tokenizer, cache=tmp_path)
    for parameter in read.model.parameters():
        parameter.zero_()  # every token is as likely, whatever stands before
    written = [found for _, found in completions(read.model, store, 0, 3)]
    assert len(set(written)) == 3
    assert written == [found for _, found in completions(read.model, store, 0, 3)]


def test_every_ordered_pair_is_scored(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.txt").write_text("Anna walks to the garden.\nBen walks to the school.\nThen Anna goes home.\n")
    found = foretell.next_sentence(bert, tmp_path / "s.txt")
    assert len(found.scores) == 3
    assert all(math.isnan(found.scores[i][i]) for i in range(3))
    assert all(0 <= found.scores[i][j] <= 1 for i in range(3) for j in range(3) if i != j)
    assert main(["next-sentence", str(bert), str(tmp_path / "s.txt")]) == 0
    assert "1 then 3:" in capsys.readouterr().out


def test_a_pair_that_is_too_long_is_named_before_any_is_scored(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.txt"
    file.write_text("Anna walks.\n\n" + "garden " * 30 + "\nBen walks.\n" + "school " * 20 + "\n")
    monkeypatch.setattr(TextModel, "states", None)  # nothing is computed
    assert main(["next-sentence", str(bert), str(file)]) == 2
    told = capsys.readouterr().err
    assert re.search(rf"^error: {file}: lines 3 and 5 make a pair of 53 tokens, .* at most 48, the positions", told), (
        told
    )
    file.write_text("Anna walks.\n\n" + "garden " * 30 + "\nBen walks.\n")
    monkeypatch.undo()
    assert len(foretell.next_sentence(bert, file).scores) == 3


def test_text_is_written_on(gpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = foretell.generate(gpt, "Anna walks to the", most=6, temperature=0.0)
    assert text.startswith("Anna walks to the ")
    assert text.split()[4].strip(".") in PLACES
    told = capsys.readouterr().out
    assert told.strip() == text
    assert foretell.generate(gpt, "Anna walks", most=20, seed=1) == foretell.generate(
        gpt, "Anna walks", most=20, seed=1
    )
    assert "the" not in foretell.generate(gpt, "Anna walks", most=20, temperature=0.0, stop="the")[10:]


def test_half_a_letter_at_the_end_is_not_told(
    gpt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A letter of several bytes may be cut off by the last token."""

    class Halved:
        def __init__(self, tokenizer: Any) -> None:
            self.tokenizer = tokenizer

        def __getattr__(self, name: str) -> Any:
            return getattr(self.tokenizer, name)

        def decode(self, ids: list[int]) -> str:
            return str(self.tokenizer.decode(ids)) + " \ufffd"

    read = read_text(gpt)
    halved = dataclasses.replace(read, tokenizer=Halved(read.tokenizer))
    monkeypatch.setattr("foretell.verbs.text_run.read_text", lambda place: halved)
    text = foretell.generate(gpt, "Anna walks", most=4)
    assert text.startswith("Anna walks")
    assert not text.endswith(("\ufffd", " "))
    assert capsys.readouterr().out == text + "\n"


def test_an_id_without_a_token_is_never_foretold(text: Path, tmp_path: Path) -> None:
    corpus = open_corpus(text)
    fields = json.loads(train_tokenizer(corpus, TokenizerConfig(vocabulary=60), (*MASKED, "end")).to_str())
    vocab = fields["model"]["vocab"]
    fields["model"]["vocab"] = {name: number + 900 * (number >= 40) for name, number in vocab.items()}
    store = open_tokens(corpus, Tokenizer.from_str(json.dumps(fields)), cache=tmp_path)
    assert store.vocabulary == 900 + len(store.used) == 960
    network = {"layers": 1, "width": 16, "heads": 2}
    for kind in (Bert, Gpt):
        model = kind.model(kind.Config(network=network, length=48), store.vocabulary, store.specials)
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)  # every id is as likely
        found = reading(model, store, 0, None)
        for passage in [*found.get("masked", []), *found.get("surprise", [])]:
            guesses = [guess for piece in passage for guess in piece.get("guesses", [])]
            assert guesses
            assert all(share == pytest.approx(1 / (len(store.used) - len(MASKED))) for _, share in guesses), guesses
        completions(model, store, 0, 3)
        save_public(model, tmp_path / kind.name, store.tokenizer_text)
    gap = foretell.fill(tmp_path / "bert", "Anna [MASK] home.", top=1_000).gaps[0]
    assert len(gap) == len(store.used) - len(set(store.specials.values()))
    assert all(word for word, _ in gap)


@pytest.mark.parametrize("tasks", ["both", "sentences"])
def test_a_checkpoint_of_one_segment_tells_no_pairs(
    tasks: str, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = train_tokenizer(open_corpus(text), TokenizerConfig(vocabulary=60), MASKED)
    shape = Shape(vocabulary=60, layers=1, width=16, heads=2, inner=16, positions=48, segments=1)
    save_public(LanguageModel(shape, "bert", masked=True, pair=True), tmp_path / "one", made.to_str())
    (tmp_path / "bad.txt").write_text("Text.\n" * 40 + "\0")  # whoever reads it says so
    given = ["--weights", str(tmp_path / "one"), "-s", "objective.length=48", "-s", f"objective.tasks={tasks}"]
    assert main(["pretrain", str(tmp_path / "bad.txt"), *given]) == 2
    told = capsys.readouterr().err
    assert re.search(
        rf"'{tasks}': the checkpoint tells no segments apart \(type_vocab_size = 1\); use words\n$", told
    ), told
    (tmp_path / "s.txt").write_text("Anna walks.\nBen walks.\n")
    assert main(["next-sentence", str(tmp_path / "one"), str(tmp_path / "s.txt")]) == 2
    assert "one: tells no segments apart (type_vocab_size = 1)" in capsys.readouterr().err


def test_a_prompt_without_room_is_refused_before_it_is_printed(gpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(gpt), "Anna walks " * 40]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.search(r"^error: the prompt has \d+ tokens, the model 48 positions; shorten it", told.err), told.err


def test_a_text_that_ends_for_want_of_positions_says_so(gpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["Anna", "walks", "to", "the", "school."] * 10
    tokenizer = load_tokenizer(gpt / "encoder")
    prompts = [" ".join(words[:count]) for count in range(1, len(words))]
    prompt = max((one for one in prompts if len(tokenizer.encode(one).ids) < 46), key=len)
    text = foretell.generate(gpt, prompt, most=200, temperature=0.0)
    told = capsys.readouterr()
    assert told.out == text + "\n"
    assert re.fullmatch(
        r"the text ends after \d+ of 200 tokens: the model has 48 positions, and no further one\n", told.err
    ), told.err
    foretell.generate(gpt, prompt, most=1)
    foretell.generate(gpt, "Anna walks", most=200, stop="the")
    assert capsys.readouterr().err == ""


def test_a_run_goes_on_from_an_exported_encoder(bert: Path, text: Path, tmp_path: Path) -> None:
    made = foretell.pretrain(
        text, objective="bert", weights=bert, out=tmp_path / "on", budget="2 steps", set=["objective.length=48"]
    )
    before, after = (json.loads((run / "encoder" / "config.json").read_text()) for run in (bert, made.run))
    assert after["num_hidden_layers"] == before["num_hidden_layers"] == 2
    about = json.loads((made.run / "facts.json").read_text())["objective"]
    assert (about["hides"], about["foretells"]) == ("15% of the words", "the words, from both sides")
    assert "second" not in about["shown"]
    assert (
        made.knn["perplexity"] < 1.3 * json.loads((bert / "results" / "text.json").read_text())["words"]["perplexity"]
    )
    with pytest.raises(InputError, match="which gpt cannot go on with; use bert"):
        foretell.pretrain(text, objective="gpt", weights=bert, set=["objective.length=48"], budget="2 steps")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--encoder", "resnet18"], r"--encoder resnet18: is for images; the network of text is objective\.network"),
        (["--side", "64"], "--side 64: is for images; leave it out"),
        (["--labels", "posts.csv"], r"--labels posts\.csv: is for images; labels of text are a column"),
        (["--objective", "word2vec", "--weights", "BERT"], r"word2vec learns its vectors anew; leave it out"),
        (["--weights", "GPT"], r"the checkpoint is a gpt2 decoder, which bert cannot go on with; use gpt"),
        (["--objective", "gpt", "--weights", "BERT"], r"the checkpoint is a bert encoder, which gpt cannot go on with"),
        (["--weights", "BERT"], r"objective\.length = 128: the checkpoint has 48 positions"),
        (
            ["--weights", "ODD"],
            r"ODD.tokenizer\.json: the tokenizer lacks \[PAD\]; give the one that the checkpoint was",
        ),
    ],
)
def test_what_cannot_be_gone_on_with_is_said_before_any_text_is_read(
    words: list[str], message: str, bert: Path, gpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "ODD"
    shutil.copytree(bert / "encoder", odd)
    shutil.copy(gpt / "encoder" / "tokenizer.json", odd)
    (tmp_path / "bad.txt").write_text("Text.\n" * 40 + "\0")  # whoever reads it says so
    given = {"BERT": str(bert), "GPT": str(gpt), "ODD": str(odd)}
    length = [] if "48" in message else ["-s", "objective.length=48"]
    length = [] if "word2vec" in words else length
    assert main(["pretrain", str(tmp_path / "bad.txt"), *[given.get(word, word) for word in words], *length]) == 2
    told = capsys.readouterr().err
    assert re.search(message, told), told
    assert told.count("\n") == 1


def test_what_a_tokenizer_does_not_know_is_told(
    bert: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.txt").write_text("Nayo nchi ilikuwa ukiwa.\n" * 9)
    made = load_tokenizer(bert / "tokenizer.json")
    for name, told in ((text, False), (tmp_path / "other.txt", True)):
        tell_text(open_tokens(open_corpus(name), made, cache=tmp_path))
        assert ("% of the tokens are unknown to the tokenizer" in capsys.readouterr().out) == told


def test_a_stopped_run_goes_on(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run of one"
    foretell.pretrain(text, objective="gpt", out=out, budget="2 steps", set=[*TINY, *TRAINING])
    assert f"next: foretell generate '{out}' " in capsys.readouterr().out
    shutil.rmtree(out / "encoder")
    status = json.loads((out / "status.json").read_text())
    (out / "status.json").write_text(json.dumps(status | {"state": "running"}))
    with pytest.raises(InputError, match=rf"the run is cut off\); go on with: .*--resume '{out}'$"):
        foretell.generate(out, "Anna")
    foretell.pretrain(out, resume=True)
    assert json.loads((out / "status.json").read_text())["state"] == "finished"


def samples_of(run: Path) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["foretold"]) for line in lines if line["kind"] == "sample"]


def test_what_is_kept_of_a_text_is_the_same_where_a_run_goes_on(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*TINY, *TRAINING, "training.health_every=2", "training.checkpoint_every=4", "training.layout=contiguous"]

    def stop(self: Stepper, step: int, *others: Any) -> Any:
        if step == 5:
            raise KeyboardInterrupt
        return take(self, step, *others)

    whole, cut, take = tmp_path / "whole", tmp_path / "cut", Stepper.__call__
    foretell.pretrain(text, objective="gpt", out=whole, budget="12 steps", set=given)
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            foretell.pretrain(text, objective="gpt", out=cut, budget="12 steps", set=given)
    for _ in range(2):
        foretell.pretrain(cut, resume=True)
        assert samples_of(cut) == samples_of(whole)
    assert [step for step, _ in samples_of(whole)] == [0, 2, 4, 8, 12]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fill", "BERT", "no gap here"], r"no \[MASK\] in 'no gap here'"),
        (["fill", "BERT", "[MASK] " + "word " * 60], "longer than the 48 positions"),
        (["fill", "BERT", "a [MASK]", "--top", "0"], "--top 0: expected 1 or more"),
        (["fill", "GPT", "a [MASK]"], "cannot fill gaps, it is a decoder"),
        (["next-sentence", "GPT", "TEXT"], "sentences; expected 2 to 60|was not trained to tell next sentences"),
        (["next-sentence", "BERT", "none.txt"], "none.txt: cannot be read"),
        (["generate", "BERT", "a"], "fills gaps and cannot write on"),
        (["generate", "GPT", ""], "PROMPT is empty"),
        (["generate", "GPT", "  "], "PROMPT is empty"),
        (["export", "BERT", "out"], r"bert: is of text, which other programs load from .*bert.encoder as it is"),
        (["fill", "none", "a [MASK]"], "none: does not exist; give the folder of a checkpoint, or of a run"),
        (["generate", "GPT", "word " * 60], "tokens, the model 48 positions"),
        (["generate", "GPT", "a", "--top-p", "2"], "top-p 2.0: expected"),
        (["neighbours", "GPT"], "a run on text, and this is a verb for images"),
    ],
)
def test_bad_input(words: list[str], message: str, bert: Path, gpt: Path, text: Path, capsys) -> None:
    given = {"BERT": str(bert), "GPT": str(gpt), "TEXT": str(text)}
    assert main([given.get(word, word) for word in words]) == 2
    told = capsys.readouterr().err
    assert re.search(message, told), told
    assert told.count("\n") == 1


def test_a_decoder_with_wordpiece_reads_letters_that_it_never_saw(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, given = tmp_path / "run", [*TINY, *TRAINING, "objective.tokenizer.kind=wordpiece"]
    foretell.pretrain(text, objective="gpt", out=out, budget="2 steps", set=given)
    assert foretell.generate(out, "Anna \u4e2d", most=3).startswith("anna ")


def test_text_is_checked(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(text)]) == 0
    told = capsys.readouterr().out
    assert "240 documents, 720 sentences" in told
    assert "language, guessed by document: en 100%" in told
    found = foretell.check(text, set=["data.sentences=whole"])
    assert (found.documents, found.sentences) == (240, 240)
    (tmp_path / "t.csv").write_text(
        "text,split\n" + "One and the same sentence it is.,train\nOne and the same sentence it is.,test\n"
    )
    assert main(["check", str(tmp_path / "t.csv")]) == 0
    assert main(["check", str(tmp_path / "t.csv"), "--strict"]) == 1
    assert "1 finding of leaks" in capsys.readouterr().err
    assert main(["check", str(text), "--strict"]) == 0
    (tmp_path / "a.txt").write_bytes(bytes(range(256)))
    assert main(["check", str(tmp_path / "a.txt")]) == 2
    assert "is a NUL, so that this is a binary file" in capsys.readouterr().err
    assert main(["check", str(text), "--shortcuts"]) == 2
    assert "is text; --shortcuts and --labels are for images" in capsys.readouterr().err
