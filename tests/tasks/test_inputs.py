from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from task_models import BOTH, WORDS, decoder_and_layout, encoder_and_layout, tokenizer_of
from tokenizers import Tokenizer

from foretell.encoders.language import LanguageModel, NetworkConfig, Shape
from foretell.errors import InputError
from foretell.tasks.classification import Classification
from foretell.tasks.inputs import lay
from foretell.tasks.layout import DELIMITER, EXTRACT, START, Layout, extended, shares
from foretell.transfer.text.features import embed_units

TEXTS = [
    ("the cat sits here", "a dog"),
    ("red", "the big dog runs there and eats"),
    ("a small blue cat sleeps now and eats", "now"),
]


@pytest.mark.parametrize("kind", BOTH)
def test_rows_that_are_shared_give_the_states_of_each_text_alone(kind: str) -> None:
    model, layout = BOTH[kind]()
    model.eval()
    sequences = layout.pairs([a for a, _ in TEXTS], [b for _, b in TEXTS])
    together = lay(sequences, np.arange(3), layout.pad, layout.specials)
    assert together.tokens == int(sequences.length.sum())
    with torch.no_grad():
        states = together.states(model)
        for which in range(3):
            alone = lay(sequences.take(np.array([which])), np.array([0]), layout.pad, layout.specials)
            expected = alone.states(model)[0]
            start = int(together.start[which])
            found = states.flatten(0, 1)[start : start + len(expected)]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
            torch.testing.assert_close(together.summaries(states)[which], expected[-1 if layout.last else 0])
            ids = torch.tensor(sequences.tokens(which))
            content = torch.tensor([int(token) not in layout.specials for token in ids])
            torch.testing.assert_close(together.means(states)[which], expected[content].mean(0), rtol=0, atol=1e-5)


def test_short_texts_share_a_row() -> None:
    _, layout = encoder_and_layout()
    sequences = layout.singles(["a cat sits here and eats now", "red", "blue", "a dog"])
    laid = lay(sequences, np.arange(4), layout.pad)
    assert laid.ids.shape == (3, 9)
    assert sorted(set(laid.sequence.flatten().tolist())) == [0, 1, 2, 3, 4]


def test_an_encoder_reads_cls_first_and_two_segments() -> None:
    _, layout = encoder_and_layout()
    laid = lay(layout.pairs(["a cat"], ["red dog"]), np.zeros(1, np.int64), layout.pad, layout.specials)
    names = [layout.tokenizer.id_to_token(i) for i in laid.ids[0].tolist()]
    assert names == ["[CLS]", "a", "cat", "[SEP]", "red", "dog", "[SEP]"]
    assert laid.segment[0].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert laid.content[0].tolist() == [False, True, True, False, True, True, False]
    assert laid.summary.tolist() == [0]


def test_a_decoder_reads_start_delimiter_and_extract_last() -> None:
    _, layout = decoder_and_layout()
    pair = layout.pairs(["a cat"], ["red dog"])
    names = [layout.tokenizer.id_to_token(i) for i in pair.tokens(0)]
    assert names == [START, "a", "cat", DELIMITER, "red", "dog", EXTRACT]
    assert pair.summary.tolist() == [6]
    assert layout.singles(["a"]).summary.tolist() == [2]


def test_tokens_that_a_decoder_lacks_are_drawn_anew_and_the_others_kept() -> None:
    tokenizer = tokenizer_of("<|endoftext|>")
    size = tokenizer.get_vocab_size()
    shape = Shape.of(NetworkConfig(layers=1, width=256, heads=4), size, 16, causal=True, embedding_norm=False)
    models = [LanguageModel(shape, "gpt2") for _ in range(2)]
    before = models[0].net.tokens.weight.clone()
    made = [extended(model, tokenizer, seed=3) for model in models]
    table = made[0][0].net.tokens.weight
    assert table.shape == (size + 3, 256)
    assert made[0][0].shape.vocabulary == size + 3
    assert torch.equal(table[:size], before)
    start = made[0][1].token_to_id(START)
    assert torch.equal(table[start], before[tokenizer.token_to_id("<|endoftext|>")]), "what documents began with"
    others = [row for row in range(size, size + 3) if row != start]
    drawn = table[others]
    assert torch.equal(drawn, made[1][0].net.tokens.weight[others])
    assert 0.017 < float(drawn.detach().std()) < 0.023
    assert tokenizer.get_vocab_size() == size
    again, same = extended(*made[0])
    assert again.net.tokens.weight is table
    assert same is made[0][1]


def test_new_tokens_get_ids_that_no_token_has() -> None:
    plain = tokenizer_of("<|endoftext|>")
    fields = json.loads(plain.to_str())
    fields["model"]["vocab"] = {name: number + (number > 5) for name, number in plain.get_vocab().items()}
    tokenizer = Tokenizer.from_str(json.dumps(fields))
    size = plain.get_vocab_size() + 1
    shape = Shape.of(NetworkConfig(layers=1, width=32, heads=2), size, 16, causal=True, embedding_norm=False)
    model = LanguageModel(shape, "gpt2")
    before = model.net.tokens.weight.clone()
    made, grown = extended(model, tokenizer)
    assert [grown.token_to_id(name) for name in (START, DELIMITER, EXTRACT)] == [size, size + 1, size + 2]
    assert torch.equal(made.net.tokens.weight[:size], before)
    assert {name: grown.token_to_id(name) for name in tokenizer.get_vocab()} == tokenizer.get_vocab()
    ids = grown.encode(f"the dog {EXTRACT}", add_special_tokens=False).ids
    assert ids == [*tokenizer.encode("the dog", add_special_tokens=False).ids, size + 2]


def test_what_a_frozen_decoder_makes_of_a_text_is_what_it_makes_of_a_document() -> None:
    tokenizer = tokenizer_of("<|endoftext|>")
    shape = Shape.of(
        NetworkConfig(layers=2, width=32, heads=4), tokenizer.get_vocab_size(), 16, causal=True, embedding_norm=False
    )
    model = LanguageModel(shape, "gpt2").eval()
    text = tokenizer.encode("the cat saw a red dog", add_special_tokens=False).ids
    document = torch.tensor([[tokenizer.token_to_id("<|endoftext|>"), *text]])
    with torch.no_grad():
        wanted = model.net(document)[0, 1:].mean(0)
    grown, more = extended(model, tokenizer)
    task = Classification.of(Layout.of(grown, more), [("the cat saw a red dog",)], np.zeros(1, np.int64), [])
    found = embed_units(grown, task)["mean"][0]
    assert np.allclose(found, wanted.numpy(), atol=1e-5)


def test_a_pair_that_is_too_long_loses_from_the_longer_text_and_is_counted() -> None:
    for first in range(1, 15):
        for second in range(1, 15):
            a, b = first, second
            while a + b > 9:
                a, b = (a - 1, b) if a > b else (a, b - 1)
            found = shares(first, second, 9)
            assert sorted(found) == sorted((a, b))
            assert sum(found) == min(9, first + second)
    _, layout = encoder_and_layout(length=8)
    pair = layout.pairs([" ".join(WORDS[:9]), "a"], ["red", "b"])
    assert (layout.cut, layout.laid) == (1, 2)
    layout.singles(["a", " ".join(WORDS[:9]), "b"])
    assert (layout.cut, layout.laid) == (2, 5)
    assert pair.length.tolist() == [8, 5]
    assert layout.tokenizer.decode(pair.tokens(0)) == "the a cat dog red"
    kept = layout.pairs([" ".join(WORDS[:9])], ["red"], tail=True)
    assert layout.tokenizer.decode(kept.tokens(0)) == "runs here there and red"


def test_what_cannot_be_laid_out_is_said() -> None:
    model, layout = encoder_and_layout()
    with pytest.raises(InputError, match="expected 8 to 32"):
        Layout.of(model, layout.tokenizer, 64, "runs/x")
    with pytest.raises(InputError, match=r"runs/x: its tokenizer has no \[CLS\]"):
        Layout.of(model, tokenizer_of("[PAD]"), where="runs/x")
