"""Word vectors as an encoder of texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from foretell.data.text.words import WordsConfig, split_words
from foretell.encoders.bag import SPECIALS, bag_of
from foretell.tasks.classification import Classification
from foretell.tasks.layout import Layout
from foretell.transfer.text.features import embed_units

TEXT = Path(__file__).parents[2] / "CONTRIBUTING.md"
WORDS = ["red", "apple", "[CLS]", "stone"]
VECTORS = np.array([[1, 0, 0], [0, 2, 0], [9, 9, 9], [0, 0, 4]], np.float32)


@pytest.mark.parametrize("words", ["letters", "spaces"])
@pytest.mark.parametrize("lower", [True, False])
def test_words_are_those_of_the_run(words: str, lower: bool) -> None:
    config = WordsConfig(words=words, lower=lower)
    lines = [*TEXT.read_text().splitlines(), "The cat's re-run, 3 times! Ünï_code naïve—well", "", " \t "]
    lines.append("पृथ्वी परमेश्\u200dवर, น้ำ می\u200cروم cafe\u0301 \u0301alone")
    known = sorted({word for line in lines for word in split_words(line, config)})
    assert len(known) > 50
    _, tokenizer = bag_of(known, np.zeros((len(known), 2), np.float32), config)
    for line in lines:
        assert tokenizer.encode(line, add_special_tokens=False).tokens == split_words(line, config), line


def test_a_text_is_the_mean_of_the_words_that_are_known() -> None:
    before = torch.get_rng_state()
    model, tokenizer = bag_of(WORDS, VECTORS, WordsConfig())
    assert torch.equal(torch.get_rng_state(), before)  # the caller's random numbers go on where they were
    layout = Layout.of(model, tokenizer)
    texts = ["Red apple", "apple red RED unheard-of", "stone", "", "unheard-of", "apple red " * 3000]
    task = Classification.of(layout, [(text,) for text in texts], np.zeros(len(texts), np.int64), ["one"])
    found = embed_units(model, task)
    assert list(found) == ["mean"]
    expected = [[0.5, 1, 0], [2 / 3, 2 / 3, 0], [0, 0, 4], [0, 0, 0], [0, 0, 0], [0.5, 1, 0]]
    np.testing.assert_allclose(found["mean"], expected, atol=1e-6)
    assert layout.cut == 0


def test_a_word_named_as_a_special_token_leaves_the_vocabulary() -> None:
    model, tokenizer = bag_of(WORDS, VECTORS, WordsConfig())
    assert tokenizer.get_vocab_size() == model.shape.vocabulary == len(SPECIALS) + 3
    assert torch.equal(model.net.tokens.weight[: len(SPECIALS)], torch.zeros(len(SPECIALS), 3))
    assert torch.equal(model.net.tokens.weight[tokenizer.token_to_id("stone")], torch.tensor([0.0, 0.0, 4.0]))
