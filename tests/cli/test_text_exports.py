"""A decoder in transformers writes what it writes here, and a checkpoint of transformers' is read or refused at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import foretell
from foretell.cli import main
from foretell.data.text.tokenizer import load_tokenizer
from foretell.encoders.language import LanguageModel, Shape
from foretell.encoders.public import readme_of, save_public
from foretell.verbs.text_pretraining import exported_tokenizer

transformers = pytest.importorskip("transformers")

END = "<|endoftext|>"
WORDS = ["Anna", "walks", "to", "the", "school", "and", "goes", "home", "."]
PROMPT = "Anna walks to"
SET = ["objective.length=16", "training.precision=float32", "training.batch=4"]


def tokenizer_of(end: str = END, *others: str) -> Tokenizer:
    names = [end, *others, *WORDS]
    made = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="."))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens([end, *others])
    return made


def decoder(tokenizer: Tokenizer, folder: Path) -> Path:
    """A GPT-2 with random weights, exported as a run exports it."""
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size()
    shape = Shape(
        vocabulary=size, layers=2, width=16, heads=2, inner=32, positions=32, causal=True, norm="pre",
        embedding_norm=False, activation="gelu_tanh", epsilon=1e-5,
    )  # fmt: skip
    model = LanguageModel(shape, "gpt2", specials={"end": 0})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    store: Any = SimpleNamespace(tokenizer=tokenizer, specials={"end": 0})
    return save_public(model, folder, exported_tokenizer(model, store), readme=readme_of(model, "gpt"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "stories.txt"
    file.write_text("Anna walks to the school.\nAnd goes home.\n\n" * 30)
    return file


@pytest.fixture
def unread(tmp_path: Path) -> Path:
    """A text of which whoever reads it says that it is none."""
    file = tmp_path / "bad.txt"
    file.write_text("Text.\n" * 40 + "\0")
    return file


@pytest.mark.parametrize("bytewise", [False, True])
def test_transformers_writes_what_is_written_here(bytewise: bool, tmp_path: Path) -> None:
    tokenizer = tokenizer_of()
    if bytewise:  # as that of GPT-2 has, which adds no token
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    folder = decoder(tokenizer, tmp_path / "encoder")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    given = theirs(PROMPT, return_tensors="pt")
    assert given["input_ids"][0, :2].tolist() == [0, 1]
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder)
    made = peer.generate(**given, max_new_tokens=8, do_sample=False)[0]
    written = theirs.decode(made, skip_special_tokens=True)
    assert foretell.generate(folder, PROMPT, most=8, temperature=0.0) == written.strip()
    assert "the tokenizer puts it there" in (folder / "README.md").read_text()


def test_the_token_before_a_text_is_put_there_once_where_an_export_goes_on(tmp_path: Path, text: Path) -> None:
    folder = decoder(tokenizer_of(), tmp_path / "encoder")
    made = foretell.pretrain(text, objective="gpt", weights=folder, out=tmp_path / "run", budget="1 step", set=SET)
    assert load_tokenizer(made.encoder).encode(PROMPT).ids == [0, 1, 2, 3]
    assert load_tokenizer(made.encoder).to_str() == load_tokenizer(folder).to_str()
    foretell.generate(made.run, PROMPT, most=3)


def test_a_checkpoint_ends_its_texts_by_its_own_token(
    tmp_path: Path, text: Path, unread: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = decoder(tokenizer_of("<eos>"), tmp_path / "known")
    foretell.pretrain(text, objective="gpt", weights=known, out=tmp_path / "run", budget="1 step", set=SET)
    odd = decoder(tokenizer_of("<stop>"), tmp_path / "odd")
    capsys.readouterr()
    words = ["pretrain", str(unread), "--objective", "gpt", "--weights", str(odd), "-s", "objective.length=16"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert f"{odd}/tokenizer.json: the tokenizer lacks {END}, and Foretell knows the role 'end' by the names" in told
    assert "give '<stop>', which the checkpoint has for it, one of these names wherever tokenizer.json names it" in told
    file = odd / "tokenizer.json"
    file.write_text(file.read_text().replace("<stop>", END))  # what the message says
    foretell.pretrain(text, objective="gpt", weights=odd, out=tmp_path / "mended", budget="1 step", set=SET)


def test_an_output_layer_of_its_own_is_refused_before_any_text_is_read(
    tmp_path: Path, unread: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = decoder(tokenizer_of(), tmp_path / "tied")
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder)
    peer.lm_head.weight = torch.nn.Parameter(torch.randn_like(peer.lm_head.weight))
    peer.config.tie_word_embeddings = False
    peer.save_pretrained(tmp_path / "untied")
    (tmp_path / "untied" / "tokenizer.json").write_text((folder / "tokenizer.json").read_text())
    words = ["pretrain", str(unread), "--objective", "gpt", "--weights", str(tmp_path / "untied")]
    assert main([*words, "-s", "objective.length=16"]) == 2
    told = capsys.readouterr().err
    assert re.search(r"'lm_head.weight' differs from .*save_pretrained\(FOLDER\)", told), told
    assert json.loads((tmp_path / "untied" / "config.json").read_text())["tie_word_embeddings"] is False
