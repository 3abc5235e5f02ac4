"""What is written with a decoder whose tokens are bytes: the end of the text, and a checkpoint that lacks a part."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import foretell
from foretell.cli import main
from foretell.encoders import generation
from foretell.encoders.public import save_public
from foretell.objectives.gpt import Gpt
from foretell.verbs.generate import _after

END = "<|endoftext|>"


def by_letters() -> Tokenizer:
    """A token for every byte, and an end of text."""
    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), END]
    made = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END])
    return made


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    """One of 300 tokens, of which its tokenizer has 257."""
    network = {"layers": 1, "width": 16, "heads": 2}
    model = Gpt.model(Gpt.Config(network=network), 300, {"end": 256})
    return save_public(model, tmp_path / "decoder", by_letters().to_str())


@pytest.mark.parametrize(
    ("prompt", "written", "stop", "whole"),
    [
        ("The first line\n", "more text\nand on", "\n", "The first line\nmore text"),
        ("The first line\n", "\nand on", "\n", "The first line"),
        ("One\n", "\ntwo\n\nthree", "\n\n", "One\n\ntwo"),
        ("A: ", "yes B: no", "B:", "A: yes"),
        ("the cat", " of  dex and", "dex", "the cat of"),
        ("the cat", " of  dots and ", "dex", "the cat of  dots and"),
        ("  a na\u00efve", " caf\u00e9 \u65e5\u672c x", "x", "a na\u00efve caf\u00e9 \u65e5\u672c"),
        ("the cat", "s", "", "the cats"),
    ],
)
def test_what_is_written_ends_the_text_and_not_the_prompt(
    prompt: str,
    written: str,
    stop: str,
    whole: str,
    decoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    banned: set[int] = set()

    def drawn(*given: object, **more: Any) -> Iterator[int]:
        banned.update(more["banned"])
        yield from by_letters().encode(written).ids

    monkeypatch.setattr(generation, "generate", drawn)
    assert foretell.generate(decoder, prompt, stop=stop, most=len(written.encode())) == whole
    assert capsys.readouterr().out == whole + "\n"
    assert banned == set(range(257, 300))  # of which nothing can be read


def test_a_prompt_that_is_decoded_otherwise_before_what_follows_is_found() -> None:
    assert _after("the cat\n", "the cat\n sat") == len("the cat\n")
    assert _after("do n", "don't know") == len("don")
    assert _after("a b ", "a") == 1


def test_a_decoder_without_its_output_layer_writes_nothing(decoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((decoder / "config.json").read_text())
    (decoder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    assert main(["generate", str(decoder), "Anna walks"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"error: .*decoder: its output layer is missing .* --weights FOLDER, or .*\n", told.err), (
        told.err
    )
